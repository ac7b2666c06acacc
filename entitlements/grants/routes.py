"""The door by which a case worker takes an entitlement away at once."""

from datetime import datetime
from uuid import UUID

from litestar import Router, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from core.settings import Settings
from entitlements.grants import service
from entitlements.grants.models import EndReason
from entitlements.grants.schemas import NewRevocation, RevokedView


@post(
    "/{entitlement_id:uuid}/revocation",
    operation_id="revokeEntitlement",
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def revoke_entitlement(
    *,
    entitlement_id: FromPath[UUID],
    data: JSONBody[NewRevocation],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
    settings: NamedDependency[Settings],
) -> RevokedView:
    """Take an entitlement away at once: for loss, fraud, death or error only, with a reason, on the record.

    What was revoked is not given again by itself; ask for an assessment when it shall be.
    """
    revoked = await service.revoke(
        session, entitlement_id, EndReason(data.reason), caller=caller, now=now, settings=settings
    )
    return RevokedView.model_validate(revoked)


router = Router(
    "/v1/entitlements",
    route_handlers=[revoke_entitlement],
    guards=[allow(Role.CASE_WORKER)],
    tags=["entitlements"],
)
"""What only case workers may do to an entitlement."""
