"""The doors for persons: who am I, for whom may I act, logins, guardians."""

from datetime import date, datetime, timedelta
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from core.vault import Vault
from entitlements.people import service
from entitlements.people.models import LinkedBy
from entitlements.people.schemas import (
    EndOfGuardianship,
    GuardianshipsView,
    GuardianshipView,
    NewLink,
    PersonsView,
)
from entitlements.people.whose import persons_of


@get("/me/persons", operation_id="whoseThings", responses=problems(401, 403))
async def my_persons(
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    today: NamedDependency[date],
) -> PersonsView:
    """Who the caller is, and for whom the caller may act today; ids for the `Acting-For` header."""
    return await persons_of(session, vault, await service.whoami(session, caller), today)


@post(
    "/people/{person_id:uuid}/logins",
    operation_id="linkLogin",
    status_code=204,
    responses=problems(400, 401, 403, 404, 409),
)
async def link_login(
    person_id: FromPath[UUID],
    data: JSONBody[NewLink],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> None:
    """Links a login to the person whose papers lie on the desk."""
    await service.link_login(session, data.principal_id, person_id, by=LinkedBy.DESK, caller=caller, now=now)


@get(
    "/people/{person_id:uuid}/guardianships",
    operation_id="listGuardianships",
    responses=problems(400, 401, 403, 404),
)
async def list_guardianships(
    person_id: FromPath[UUID], session: NamedDependency[AsyncSession], today: NamedDependency[date]
) -> GuardianshipsView:
    """See who may act for a person, and for whom that person may act, today or from a day to come."""
    rows = await service.guardianships_about(session, person_id, today)
    return GuardianshipsView(guardianships=[GuardianshipView.model_validate(row) for row in rows])


@post(
    "/guardianships/{guardianship_id:uuid}/end",
    operation_id="endGuardianship",
    status_code=200,
    responses=problems(400, 401, 403, 404),
)
async def end_guardianship(
    *,
    guardianship_id: FromPath[UUID],
    data: JSONBody[EndOfGuardianship],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
    today: NamedDependency[date],
) -> GuardianshipView:
    """Ends a guardianship; one that would end earlier stays as it is."""
    last_day = data.last_day or today - timedelta(days=1)
    row = await service.end_guardianship(session, caller, guardianship_id, last_day, today=today, now=now)
    return GuardianshipView.model_validate(row)


ROUTERS = [
    Router(
        "/v1",
        route_handlers=[my_persons],
        guards=[allow(Role.CITIZEN, Role.GUARDIAN)],
        tags=["people"],
    ),
    Router(
        "/v1",
        route_handlers=[link_login, list_guardianships, end_guardianship],
        guards=[allow(Role.CASE_WORKER)],
        tags=["people"],
    ),
]
