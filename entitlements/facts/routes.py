"""The door by which a register is taken in: here, because what it may state is named by the catalogue."""

from datetime import datetime

from litestar import Router, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from entitlements.facts.service import check_remit
from entitlements.registers import service
from entitlements.registers.rules import Remit
from entitlements.registers.schemas import NewRegister, RegisterView


@post("/registers", operation_id="makeRegister", responses=problems(400, 401, 403, 404, 409, 422))
async def make_register(
    data: JSONBody[NewRegister],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> RegisterView:
    """Takes in a department's system and says what it may state."""
    remit = Remit(
        frozenset(data.remit.facts),
        frozenset(data.remit.households),
        data.remit.identities,
        data.remit.identification_numbers,
    )
    jwk = data.jwk.members() if data.jwk is not None else None
    check_remit(data.kind, remit)
    register = await service.take_in(
        session,
        caller,
        public_jwk=jwk,
        principal_id=data.principal_id,
        kind=data.kind,
        name=data.name,
        remit=remit,
        now=now,
    )
    (described,) = await service.describe(session, [register])
    return RegisterView.model_validate(described)


router = Router("/v1", route_handlers=[make_register], guards=[allow(Role.OPERATOR)], tags=["registers"])
