from datetime import date, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from core.access.rules import Caller, Method, PrincipalKind, Role
from core.audit.models import Entry
from core.database import new_id
from core.errors import NotFound
from entitlements.grants import service
from entitlements.grants.models import EndReason, Entitlement, Standing
from tests.entitlements.decisions.making import NOON, TODAY, City

ADULT = date(1990, 5, 4)
KARTE, PASS = "dortmund-karte", "sozialpass"


def a_case_worker(reason: str | None = "Karte gestohlen") -> Caller:
    return Caller(new_id(), PrincipalKind.LOGIN, frozenset({Role.CASE_WORKER}), Method.SESSION, reason=reason)


async def a_holder(city: City) -> UUID:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    return person


async def revoke(city: City, entitlement_id: UUID, reason: EndReason, caller: Caller | None) -> Entitlement:
    async with city.database.writing() as session:
        return await service.revoke(
            session, entitlement_id, reason, caller=caller, now=city.clock.now(), settings=city.settings
        )


async def test_a_card_carries_the_tariffs_of_everything_that_is_held(city: City) -> None:
    person = await a_holder(city)
    async with city.database.reading() as session:
        holding = await service.tariffs_of(session, person, TODAY)
        assert (holding.tariff_bits, holding.tariffs) == (0b101, ("reduced", "social_ticket"))
        assert holding.until == date(2027, 9, 15)
        before = await service.tariffs_of(session, person, TODAY - timedelta(days=1))
        nobody = await service.tariffs_of(session, new_id(), TODAY)
    assert (before.tariff_bits, before.until) == (0, None)
    assert nobody == service.Holding(0, (), None, None)


async def test_an_announced_end_is_the_last_day_of_the_card(city: City) -> None:
    person = await a_holder(city)
    city.clock.forward(timedelta(hours=1))
    await city.state(person, sgb2=False)
    await city.assess(person)
    last = TODAY + timedelta(days=18)
    async with city.database.reading() as session:
        on_the_last = await service.tariffs_of(session, person, last)
        after = await service.tariffs_of(session, person, last + timedelta(days=1))
    assert (on_the_last.tariff_bits, on_the_last.until) == (0b101, last)
    assert on_the_last.changes_on == last + timedelta(days=1)
    assert after.tariff_bits == 0


async def test_of_one_programme_a_person_holds_one_entitlement_at_most(city: City) -> None:
    person = await a_holder(city)
    held = await city.holds(person, PASS)
    assert held is not None
    twin = Entitlement(**(held.model_dump() | {"id": new_id()}))
    with pytest.raises(IntegrityError):
        async with city.database.writing() as session:
            session.add(twin)


@pytest.mark.parametrize(
    "lie",
    [
        {"status": Standing.ENDING},
        {"status": Standing.ENDED},
        {"status": Standing.ENDED, "end_reason": EndReason.FRAUD, "ended_at": NOON},
        {"status": Standing.REVOKED, "end_reason": EndReason.GROUND_ENDED, "ended_at": NOON},
        {"until": TODAY - timedelta(days=1)},
        {"ends_on": TODAY},
    ],
)
async def test_the_database_itself_refuses_an_end_without_notice_or_reason(
    city: City, lie: dict[str, object]
) -> None:
    person = await a_holder(city)
    with pytest.raises(IntegrityError):
        async with city.database.writing() as session:
            await session.execute(
                update(Entitlement).where(col(Entitlement.person_id) == person).values(**lie)
            )


@pytest.mark.parametrize("reason", [EndReason.LOSS, EndReason.FRAUD, EndReason.ERROR, EndReason.DEATH])
async def test_a_revocation_takes_effect_at_once_and_stands_in_the_trail(
    city: City, reason: EndReason
) -> None:
    person = await a_holder(city)
    held = await city.holds(person, PASS)
    assert held is not None
    caller = a_case_worker()
    gone = await revoke(city, held.id, reason, caller)
    assert (gone.status, gone.end_reason, gone.ended_at) == (Standing.REVOKED, reason, NOON)
    assert (gone.revoked_by, gone.remark) == (caller.principal_id, "Karte gestohlen")
    assert await city.holds(person, PASS) is None
    assert await city.holds(person, KARTE) is not None
    told = [code for code, _ in await city.told(person)]
    assert (f"entitlement.revoked-{reason}" in told) is (reason is not EndReason.DEATH)
    async with city.database.reading() as session:
        rows = await session.execute(select(Entry).where(col(Entry.action) == "entitlement.revoked"))
        (entry,) = rows.scalars()
    assert (entry.principal_id, entry.details) == (caller.principal_id, {"reason": reason.value})
    assert "gestohlen" not in str(entry.details)


async def test_nothing_else_ends_at_once(city: City) -> None:
    person = await a_holder(city)
    held = await city.holds(person, PASS)
    assert held is not None
    for reason in (EndReason.GROUND_ENDED, EndReason.FORESEEN):
        with pytest.raises(service.NotAtOnce):
            await revoke(city, held.id, reason, a_case_worker())
    assert await city.holds(person, PASS) is not None


async def test_whoever_takes_something_away_says_why(city: City) -> None:
    person = await a_holder(city)
    held = await city.holds(person, PASS)
    assert held is not None
    with pytest.raises(service.ReasonMissing):
        await revoke(city, held.id, EndReason.ERROR, a_case_worker(reason=None))


async def test_what_is_over_or_was_never_there_cannot_be_revoked(city: City) -> None:
    person = await a_holder(city)
    held = await city.holds(person, PASS)
    assert held is not None
    await revoke(city, held.id, EndReason.ERROR, a_case_worker())
    with pytest.raises(service.NotStanding):
        await revoke(city, held.id, EndReason.ERROR, a_case_worker())
    with pytest.raises(NotFound):
        await revoke(city, new_id(), EndReason.ERROR, a_case_worker())
