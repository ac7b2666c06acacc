"""The operator's door to the signing keys."""

from datetime import datetime

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.exceptions import ValidationException
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core import jose
from core.access.rules import Caller, Role, allow
from core.errors import problems
from core.vault import KeyUse, Vault
from issuers.authorities import service
from issuers.authorities.models import IssuingKey
from issuers.authorities.schemas import KeysView, KeyView, NewKey, Withdrawal


@get("/keys", operation_id="listKeys", responses=problems(401, 403))
async def list_keys(session: NamedDependency[AsyncSession]) -> KeysView:
    """Every signing key: what it signs, since when, and whether it was withdrawn."""
    return KeysView(keys=[_view(key) for key in await service.keys_of(session)])


@post("/keys", operation_id="rotateKey", responses=problems(400, 401, 403, 409, 503))
async def rotate_key(
    data: JSONBody[NewKey],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    now: NamedDependency[datetime],
) -> KeyView:
    """Announce the next key of a use; what the present one has signed stays good until it ends by itself."""
    if data.not_before is not None and data.not_before.tzinfo is None:
        raise ValidationException(extra=[{"key": "not_before", "message": "a moment needs a time zone"}])
    use = KeyUse(data.use.value)
    key = await service.rotate(session, vault, use, now, not_before=data.not_before, caller=caller)
    return _view(key)


@post(
    "/keys/{key_id:str}/withdrawal", operation_id="withdrawKey", responses=problems(400, 401, 403, 404, 503)
)
async def withdraw_key(
    *,
    key_id: FromPath[str],
    data: JSONBody[Withdrawal],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    now: NamedDependency[datetime],
) -> KeyView:
    """Take a key out at once: nothing it signed counts any more, and what it signed is revoked."""
    key = await service.withdraw(session, vault, key_id, now, reason=data.reason, caller=caller)
    return _view(key)


def _view(key: IssuingKey) -> KeyView:
    return KeyView(
        key_id=key.key_id,
        use=key.use.value,
        jwk=jose.jwk(service.public_key(key.point)),
        created_at=key.created_at,
        not_before=key.not_before,
        withdrawn_at=key.withdrawn_at,
        withdrawn_for=key.withdrawn_for,
    )


router = Router(
    path="/v1",
    route_handlers=[list_keys, rotate_key, withdraw_key],
    guards=[allow(Role.OPERATOR)],
    tags=["Keys"],
)
