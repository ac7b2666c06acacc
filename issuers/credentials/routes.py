"""The doors to a person's credentials: see which there are, take one back."""

from datetime import date, datetime
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from core.settings import Settings
from issuers.credentials import pausing, service
from issuers.credentials.models import Credential
from issuers.credentials.rules import Revocation
from issuers.credentials.schemas import CredentialsView, CredentialView, NewCredentialRevocation


@get("/credentials", operation_id="listCredentials", responses=problems(401, 403, 404))
async def list_credentials(
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    today: NamedDependency[date],
    now: NamedDependency[datetime],
) -> CredentialsView:
    """The credentials that still run: the caller's own, or those of the person acted for."""
    held = await service.held_by(session, caller, today=today, now=now)
    suspended = await pausing.suspended(session, held)
    return CredentialsView(credentials=[_view(one, suspended=one.id in suspended) for one in held])


@post(
    "/credentials/{credential_id:uuid}/revocation",
    operation_id="revokeCredential",
    responses=problems(400, 401, 403, 404),
)
async def revoke_credential(
    *,
    credential_id: FromPath[UUID],
    data: JSONBody[NewCredentialRevocation],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    today: NamedDependency[date],
    now: NamedDependency[datetime],
) -> CredentialView:
    """Take one credential back at once; there is no way back, and doing it twice changes nothing."""
    taken = await service.take_back(
        session, caller, credential_id, Revocation(data.reason), today=today, now=now
    )
    if caller.has(Role.CASE_WORKER):
        await pausing.settle(session, caller, taken, now=now)
    return _view(taken, suspended=False)


@post(
    "/credentials/{credential_id:uuid}/suspension",
    operation_id="suspendCredential",
    guards=[allow(Role.CASE_WORKER)],
    responses=problems(400, 401, 403, 404, 409),
)
async def suspend_credential(
    *,
    credential_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    today: NamedDependency[date],
    now: NamedDependency[datetime],
) -> CredentialView:
    """Suspend one credential while something is looked into: verifiers refuse it until it is resumed.

    The holder is told, also when it counts again. With a card on a phone, phones get no fresh ones meanwhile.
    """
    credential = await pausing.of_subject(session, caller, credential_id, today=today)
    await pausing.pause(session, caller, credential, settings=settings, now=now)
    return _view(credential, suspended=True)


@post(
    "/credentials/{credential_id:uuid}/resumption",
    operation_id="resumeCredential",
    guards=[allow(Role.CASE_WORKER)],
    responses=problems(400, 401, 403, 404, 409),
)
async def resume_credential(
    *,
    credential_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    today: NamedDependency[date],
    now: NamedDependency[datetime],
) -> CredentialView:
    """Let a suspended credential count again; doing it twice changes nothing."""
    credential = await pausing.of_subject(session, caller, credential_id, today=today)
    await pausing.resume(session, caller, credential, settings=settings, now=now)
    return _view(credential, suspended=False)


def _view(credential: Credential, *, suspended: bool) -> CredentialView:
    return CredentialView(
        id=credential.id,
        kind=credential.kind,
        named=credential.named,
        issued_at=credential.issued_at,
        expires_at=credential.expires_at,
        device_id=credential.device_id,
        suspended=suspended,
        revoked_at=credential.revoked_at,
        revoked_for=credential.revoked_for,
    )


router = Router(
    path="/v1",
    route_handlers=[list_credentials, revoke_credential, suspend_credential, resume_credential],
    guards=[allow(Role.CITIZEN, Role.GUARDIAN, Role.CASE_WORKER)],
    tags=["Wallet"],
)
