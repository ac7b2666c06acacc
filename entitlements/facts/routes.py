"""The doors for registers: here, because what a register may state is named by the catalogue."""

from datetime import datetime

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from entitlements.facts.service import check_remit
from entitlements.registers import service
from entitlements.registers.rules import Remit
from entitlements.registers.schemas import NewRegister, RegisterView


@post(
    "/registers",
    operation_id="makeRegister",
    guards=[allow(Role.OPERATOR)],
    responses=problems(400, 401, 403, 404, 409, 422),
)
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
        data.remit.likeness,
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


@get(
    "/registers",
    operation_id="listRegisters",
    guards=[
        allow(Role.OPERATOR, Role.CASE_WORKER, Role.AUDITOR, Role.DATA_PROTECTION_OFFICER, Role.RULE_AUTHOR)
    ],
    responses=problems(401, 403),
)
async def list_registers(session: NamedDependency[AsyncSession]) -> list[RegisterView]:
    """All registers, what each may state, and since when its silence means something."""
    described = await service.describe(session, await service.registers(session))
    return [RegisterView.model_validate(one) for one in described]


router = Router("/v1", route_handlers=[make_register, list_registers], tags=["registers"])
