"""The door for finding somebody by name or by a register's number."""

from datetime import datetime

from litestar import Router, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from core.vault import Vault
from entitlements.people.schemas import PersonView, Query
from entitlements.registers import service


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


router = Router("/v1", route_handlers=[find_people], guards=[allow(Role.CASE_WORKER)], tags=["people"])
