"""The doors to a person's credentials: see which there are, take one back."""

from datetime import date, datetime
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from issuers.credentials import service
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
    return CredentialsView(credentials=[CredentialView.model_validate(view) for view in held])


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
    return CredentialView.model_validate(taken)


router = Router(
    path="/v1",
    route_handlers=[list_credentials, revoke_credential],
    guards=[allow(Role.CITIZEN, Role.GUARDIAN, Role.CASE_WORKER)],
    tags=["Wallet"],
)
