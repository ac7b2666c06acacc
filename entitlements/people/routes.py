"""The doors for persons: who am I, for whom may I act, one-time codes, guardians."""

from datetime import date, datetime, timedelta
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from core.limits.rules import Limit
from core.limits.service import limited
from core.vault import Vault
from entitlements.people import service
from entitlements.people.models import LinkedBy
from entitlements.people.schemas import (
    Activation,
    ActivationCodeView,
    EndOfGuardianship,
    GuardianshipView,
    NewLink,
    PersonsView,
    WardView,
)


@get("/me/persons", operation_id="whoseThings", responses=problems(401, 403))
async def my_persons(
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    today: NamedDependency[date],
) -> PersonsView:
    """Who the caller is, and for whom the caller may act today; ids for the `Acting-For` header."""
    own = await service.whoami(session, caller)
    if own is None:
        return PersonsView(person_id=None, wards=())
    held = await service.guardianships_of(session, own, today)
    named = await service.identities_of(session, vault, [row.child_id for row in held])
    meant = await service.roots(session, [row.child_id for row in held])
    wards = {
        meant[row.child_id]: WardView(
            person_id=meant[row.child_id],
            given_name=named[row.child_id].given_name if row.child_id in named else "",
            until=row.until,
        )
        for row in held
    }
    return PersonsView(person_id=own, wards=tuple(wards.values()))


@post(
    "/me/activation",
    operation_id="activateLogin",
    status_code=200,
    guards=[limited("activation", Limit(5, timedelta(hours=1)))],
    responses=problems(400, 401, 403, 409, 422, 429),
)
async def activate(
    data: JSONBody[Activation],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    now: NamedDependency[datetime],
) -> PersonsView:
    """Links the caller's login to the person for whom a one-time code was made; five tries an hour."""
    own = await service.activate(session, vault, caller, data.code, now)
    return PersonsView(person_id=own, wards=())


@post(
    "/people/{person_id:uuid}/activation-codes",
    operation_id="makeActivationCode",
    responses=problems(400, 401, 403, 404),
)
async def make_activation_code(
    person_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    now: NamedDependency[datetime],
) -> ActivationCodeView:
    """A one-time code for somebody at the desk or by letter; codes made earlier end with it."""
    code, expires_at = await service.make_activation_code(session, vault, caller, person_id, now)
    return ActivationCodeView(code=code, expires_at=expires_at)


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
    row = await service.end_guardianship(session, caller, guardianship_id, last_day, now)
    return GuardianshipView.model_validate(row)


ROUTERS = [
    Router(
        "/v1",
        route_handlers=[my_persons, activate],
        guards=[allow(Role.CITIZEN, Role.GUARDIAN)],
        tags=["people"],
    ),
    Router(
        "/v1",
        route_handlers=[make_activation_code, link_login, end_guardianship],
        guards=[allow(Role.CASE_WORKER)],
        tags=["people"],
    ),
]
