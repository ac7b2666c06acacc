"""The doors to partners: the operator lets them in, their managers see their own."""

from datetime import datetime
from uuid import UUID

from litestar import Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from verifiers.partners import service
from verifiers.partners.schemas import MemberView, NewMember, NewPartner, PartnerView

# One path has doors for several: each names its own guard.
OPERATORS = allow(Role.OPERATOR)
MANAGERS = allow(Role.OPERATOR, Role.PARTNER_MANAGER)


@post("/", operation_id="addPartner", guards=[OPERATORS], responses=problems(400, 401, 403, 409, 422))
async def add_partner(
    data: JSONBody[NewPartner],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> PartnerView:
    """Let an organisation in."""
    return PartnerView.model_validate(await service.join(session, caller, data, now))


@get("/", operation_id="listPartners", guards=[MANAGERS], responses=problems(401, 403))
async def list_partners(
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> list[PartnerView]:
    """See the organisations that you manage; the operator sees all."""
    return [PartnerView.model_validate(partner) for partner in await service.managed_by(session, caller, now)]


@get(
    "/{partner_id:uuid}", operation_id="getPartner", guards=[MANAGERS], responses=problems(400, 401, 403, 404)
)
async def get_partner(
    partner_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> PartnerView:
    """See one organisation that you manage."""
    return PartnerView.model_validate(await service.managed(session, caller, partner_id, now))


@get(
    "/{partner_id:uuid}/members",
    operation_id="listMembers",
    guards=[OPERATORS],
    responses=problems(400, 401, 403, 404),
)
async def list_members(
    partner_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> list[MemberView]:
    """See who manages this organisation."""
    members = await service.members(session, caller, partner_id, now)
    return [MemberView.model_validate(member) for member in members]


@post(
    "/{partner_id:uuid}/members",
    operation_id="appointMember",
    guards=[OPERATORS],
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def appoint_member(
    partner_id: FromPath[UUID],
    data: JSONBody[NewMember],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> MemberView:
    """Make somebody who has signed in a manager of this organisation."""
    member = await service.appoint(session, caller, partner_id, data.principal_id, now)
    return MemberView.model_validate(member)


@delete(
    "/{partner_id:uuid}/members/{principal_id:uuid}",
    operation_id="dismissMember",
    guards=[OPERATORS],
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def dismiss_member(
    partner_id: FromPath[UUID],
    principal_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> None:
    """Take the management of this organisation from somebody."""
    await service.dismiss(session, caller, partner_id, principal_id, now)


router = Router(
    "/v1/partners",
    route_handlers=[list_partners, get_partner, add_partner, list_members, appoint_member, dismiss_member],
    tags=["partners"],
)
