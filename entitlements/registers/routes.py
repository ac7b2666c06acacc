"""The doors for looking at registers, and for finding somebody by name or by a register's number."""

from datetime import datetime

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from core.vault import Vault
from entitlements.people.schemas import PersonView, Query
from entitlements.registers import service
from entitlements.registers.schemas import RegisterView


@get("/registers", operation_id="listRegisters", responses=problems(401, 403))
async def list_registers(session: NamedDependency[AsyncSession]) -> list[RegisterView]:
    """All registers, what each may state, and since when its silence means something."""
    described = await service.describe(session, await service.registers(session))
    return [RegisterView.model_validate(one) for one in described]


@post("/people/search", operation_id="findPeople", status_code=200, responses=problems(400, 401, 403))
async def find_people(
    data: JSONBody[Query],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    now: NamedDependency[datetime],
) -> list[PersonView]:
    """Looks for somebody by name or by a register's number; at most twenty, and every look is written down."""
    found = await service.find(
        session, vault, caller, name=data.name, register_id=data.register_id, number=data.number, now=now
    )
    return [
        PersonView(
            person_id=person_id,
            given_name=identity.given_name,
            family_name=identity.family_name,
            birth_date=identity.birth_date,
            street=identity.street,
            postcode=identity.postcode,
            town=identity.town,
        )
        for person_id, identity in found
    ]


ROUTERS = [
    Router(
        "/v1",
        route_handlers=[list_registers],
        guards=[
            allow(
                Role.OPERATOR, Role.CASE_WORKER, Role.AUDITOR, Role.DATA_PROTECTION_OFFICER, Role.RULE_AUTHOR
            )
        ],
        tags=["registers"],
    ),
    Router("/v1", route_handlers=[find_people], guards=[allow(Role.CASE_WORKER)], tags=["people"]),
]
