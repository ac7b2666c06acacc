"""What happens to families: children grow up, households split, people move, die, and registers err."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.models import Principal
from core.access.rules import Caller, Channel, Method, PrincipalKind, Role
from core.database import new_id
from core.errors import NotFound
from entitlements.allowances.models import CreditedMonth
from entitlements.grants.models import EndReason, Standing
from entitlements.ledger import service as ledger
from entitlements.ledger.models import AccountKind, EntryKind
from entitlements.ledger.service import NewEntry
from entitlements.notices.models import Notice
from entitlements.people import service as people
from entitlements.people.models import LinkedBy
from entitlements.rulebook.programmes import Outcome
from tests.entitlements.decisions.making import LONG_AGO, NOON, TODAY, City
from tests.entitlements.facts.making import a_register, list_members, state
from wallet.inbox import service as inbox

ADULT = date(1990, 5, 4)
BORN = date(2015, 3, 1)
KARTE, PASS, BILDUNG = "dortmund-karte", "sozialpass", "bildungskarte"
NOTICE_AND_GRACE = timedelta(days=4 + 14)


async def somebody(session: AsyncSession, person_id: UUID, *, acting_for: UUID | None = None) -> Caller:
    """Somebody who signs in for the first time, with a login of their own."""
    principal = Principal(kind=PrincipalKind.LOGIN, created_at=NOON)
    session.add(principal)
    await session.flush()
    await people.link_login(session, principal.id, person_id, by=LinkedBy.DESK, caller=None, now=NOON)
    return Caller(
        principal.id,
        PrincipalKind.LOGIN,
        frozenset({Role.CITIZEN}),
        Method.SESSION,
        acting_for=acting_for,
        channel=Channel.WEB,
    )


async def a_pupil(city: City, *, born: date = BORN, **stated: Any) -> UUID:
    return await city.person(born, school_stage="primary", **({"sgb2": True} | stated))


async def participation(city: City, child: UUID) -> list[tuple[UUID, int]]:
    return [
        (p.approval.id, p.balance_cents) for p in await city.pots(child) if p.approval.kind == "participation"
    ]


async def months(city: City, child: UUID) -> list[date]:
    async with city.database.reading() as session:
        rows = await session.execute(
            select(col(CreditedMonth.month))
            .where(col(CreditedMonth.person_id) == child, col(CreditedMonth.kind) == "participation")
            .order_by(col(CreditedMonth.month))
        )
        return list(rows.scalars())


# ---- children --------------------------------------------------------------------------------------------


async def test_whoever_turns_eighteen_speaks_for_themselves_and_loses_nothing(city: City) -> None:
    born = TODAY.replace(year=TODAY.year - 18) + timedelta(days=3)
    birthday = TODAY + timedelta(days=3)
    mother = await city.person(ADULT, sgb2=True)
    child = await city.person(born, sgb2=True, school_stage="sek2")
    await city.household("bedarfsgemeinschaft", mother, child)
    await city.assess(mother, child)
    before = await city.holds(child, KARTE)
    async with city.database.writing() as session:
        await people.make_guardian(
            session, None, mother, child, since=TODAY, until=birthday - timedelta(days=1), now=NOON
        )
        caller = await somebody(session, mother, acting_for=child)
        own = await somebody(session, child)
        for notice_id in [row.id for row in await owed_to(session, child)]:
            await inbox.deliver(session, {"notice_id": str(notice_id)}, NOON, settings=city.settings)
        assert await people.subject_of(session, caller, birthday - timedelta(days=1)) == child
        with pytest.raises(NotFound):
            await people.subject_of(session, caller, birthday)
        assert await people.guardians_of(session, child, birthday) == []
        mine = await inbox.read(session, own, "de", settings=city.settings, now=city.clock.now())
        assert {message.person_id for message in mine.messages} == {child}
    await city.until(birthday + timedelta(days=1))
    async with city.database.reading() as session:
        # What was told before stays the child's own, and is no longer in the mother's inbox.
        plainly = Caller(caller.principal_id, caller.kind, caller.roles, caller.method)
        hers = await inbox.read(session, plainly, "de", settings=city.settings, now=city.clock.now())
        mine = await inbox.read(session, own, "de", settings=city.settings, now=city.clock.now())
        assert child not in {message.person_id for message in hers.messages}
        assert mine.messages
        assert await people.subject_of(session, own, city.today) == child
    after = await city.holds(child, KARTE)
    assert before is not None
    assert after is not None
    assert (after.id, after.status) == (before.id, Standing.ACTIVE)


async def owed_to(session: AsyncSession, person_id: UUID) -> list[Any]:
    rows = await session.execute(select(Notice).where(col(Notice.person_id) == person_id))
    return list(rows.scalars())


# ---- households ------------------------------------------------------------------------------------------


async def test_when_a_household_splits_the_money_stays_with_the_child(city: City) -> None:
    mother, father = await city.person(ADULT, sgb2=True), await city.person(ADULT, sgb2=True)
    child, other = await a_pupil(city), await a_pupil(city, born=date(2016, 4, 2))
    together = await city.household("bedarfsgemeinschaft", mother, father, child, other)
    await city.assess(mother)
    before = await participation(city, child), await participation(city, other)
    credited = await months(city, child)
    city.clock.forward(timedelta(days=1))
    # The father moves out with one of the children.
    register = city.registers["jobcenter"]
    async with city.database.writing() as session:
        await list_members(
            session,
            register,
            together,
            "bedarfsgemeinschaft",
            [mother, child],
            city.today,
            at=city.clock.now(),
            known=city.clock.now(),
        )
    await city.household("bedarfsgemeinschaft", father, other, since=city.today)
    await city.assess(mother, father)
    assert (await participation(city, child), await participation(city, other)) == before
    assert await months(city, child) == credited
    for person in (mother, father, child, other):
        held = await city.holds(person, KARTE)
        assert held is not None
        assert held.status is Standing.ACTIVE
    assert await city.books_in_order()


async def test_a_child_who_moves_to_the_other_parent_keeps_what_the_ground_still_carries(city: City) -> None:
    """The mother has Wohngeld, the father Bürgergeld: the ground of the card changes, the card goes on."""
    mother, father = await city.person(ADULT), await city.person(ADULT, sgb2=True)
    child = await city.person(BORN, school_stage="primary")
    await city.state(mother, wog=True)
    hers = await city.household("wohngeld_household", mother, child)
    await city.assess(mother, father)
    before = await city.holds(child, KARTE)
    assert before is not None
    city.clock.forward(timedelta(days=1))
    async with city.database.writing() as session:
        await list_members(
            session,
            city.registers["wohngeldstelle"],
            hers,
            "wohngeld_household",
            [mother],
            city.today,
            at=city.clock.now(),
            known=city.clock.now(),
        )
    await city.household("bedarfsgemeinschaft", father, child, since=city.today)
    await city.state(child, since=city.today, sgb2=True)
    await city.assess(mother, father)
    after = await city.holds(child, KARTE)
    assert after is not None
    assert (after.id, after.status, after.ground) == (before.id, Standing.ACTIVE, "sgb2")


# ---- moving ----------------------------------------------------------------------------------------------


async def moves_out(city: City, person: UUID) -> None:
    await city.state(person, since=city.today, main_residence=False)
    await city.assess(person)


async def test_whoever_moves_out_is_told_first_and_whoever_comes_back_in_time_keeps_it(city: City) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    before = await city.holds(person, KARTE)
    await city.until(TODAY + timedelta(days=1))
    await moves_out(city, person)
    ending = await city.holds(person, KARTE)
    assert ending is not None
    assert (ending.status, ending.ends_on) == (Standing.ENDING, city.today + NOTICE_AND_GRACE)
    await city.until(city.today + timedelta(days=10))
    assert await city.holds(person, KARTE) is not None
    await city.state(person, since=city.today, main_residence=True)
    await city.assess(person)
    back = await city.holds(person, KARTE)
    assert before is not None
    assert back is not None
    assert (back.id, back.status) == (before.id, Standing.ACTIVE)
    assert [code for code, params in await city.told(person) if params["programme"] == KARTE] == [
        "entitlement.granted-until",
        "entitlement.ending",
        "entitlement.continues",
    ]


async def test_whoever_comes_back_later_gets_it_again(city: City) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    await city.until(TODAY + timedelta(days=1))
    await moves_out(city, person)
    await city.until(city.today + NOTICE_AND_GRACE + timedelta(days=2))
    assert await city.holds(person, KARTE) is None
    assert (await city.latest(person, KARTE)).end_reason is EndReason.GROUND_ENDED
    await city.state(person, since=city.today, main_residence=True)
    await city.assess(person)
    again = await city.holds(person, KARTE)
    assert again is not None
    assert again.since == city.today


# ---- death, contradiction, correction --------------------------------------------------------------------


async def test_when_a_parent_dies_the_children_keep_theirs(city: City) -> None:
    mother = await city.person(ADULT, sgb2=True)
    child = await a_pupil(city)
    await city.household("bedarfsgemeinschaft", mother, child)
    await city.assess(mother)
    money = await participation(city, child)
    await city.state(mother, since=city.today, deceased=True)
    await city.assess(mother)
    assert (await city.latest(mother, KARTE)).end_reason is EndReason.DEATH
    assert await city.holds(mother, KARTE) is None
    held = await city.holds(child, KARTE)
    assert held is not None
    assert held.status is Standing.ACTIVE
    assert await participation(city, child) == money


async def test_where_two_registers_contradict_each_other_a_human_decides_and_nothing_is_cut(
    city: City,
) -> None:
    """Two job centres, of which each says something else: whoever moved from one to the other knows the case."""
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    held = await city.holds(person, KARTE)
    assert held is not None
    city.clock.forward(timedelta(days=1))
    async with city.database.writing() as session:
        other = await a_register(session, "jobcenter", ["sgb2"])
        now = city.clock.now()
        await state(session, other, person, "sgb2", value=False, first=LONG_AGO, at=now, known=now)
    await city.assess(person)
    decision = await city.decision(person, KARTE)
    assert decision.outcome is Outcome.REFER
    assert "registers_contradict" in {reason["code"] for reason in decision.reasons}
    after = await city.holds(person, KARTE)
    assert after is not None
    assert (after.id, after.status) == (held.id, Standing.ACTIVE)


async def test_a_corrected_past_takes_no_credited_month_back(city: City) -> None:
    child = await a_pupil(city, sgb2=False)
    await city.state(child, since=date(2026, 7, 1), until=date(2026, 12, 31), sgb2=True)
    await city.assess(child)
    assert await months(city, child) == [date(2026, 7, 1), date(2026, 8, 1), date(2026, 9, 1)]
    await city.until(TODAY + timedelta(days=1))
    # The Jobcenter learns that it should have ended with July.
    await city.state(child, since=date(2026, 7, 1), until=date(2026, 7, 31), sgb2=True)
    await city.assess(child)
    assert await months(city, child) == [date(2026, 7, 1), date(2026, 8, 1), date(2026, 9, 1)]
    assert [cents for _, cents in await participation(city, child)] == [4500]
    await city.until(date(2026, 10, 2))
    assert len(await months(city, child)) == 3
    # And that it was an error after all: October follows, and nothing comes twice.
    await city.state(child, since=date(2026, 7, 1), until=date(2026, 12, 31), sgb2=True)
    await city.assess(child)
    assert await months(city, child) == [date(2026, month, 1) for month in (7, 8, 9, 10)]
    assert sum(cents for _, cents in await participation(city, child)) == 6000
    assert await city.books_in_order()


async def test_what_was_spent_before_a_correction_stays_spent_and_is_nobodys_debt(city: City) -> None:
    child = await a_pupil(city, sgb2=False)
    await city.state(child, since=date(2026, 7, 1), until=date(2026, 12, 31), sgb2=True)
    await city.assess(child)
    (pot,) = [p for p in await city.pots(child) if p.approval.kind == "participation"]
    async with city.database.writing() as session:
        club = await ledger.account(session, AccountKind.PAYABLE, "club", now=NOON)
        entry = NewEntry(f"club:{new_id()}", EntryKind.BOOKING, {pot.approval.account_id: -4000, club: 4000})
        await ledger.book(session, entry, now=city.clock.now())
    await city.until(TODAY + timedelta(days=1))
    await city.state(child, since=date(2026, 7, 1), until=date(2026, 7, 31), sgb2=True)
    await city.assess(child)
    assert [cents for _, cents in await participation(city, child)] == [500]
    assert await city.books_in_order()


# ---- birthdays known in part -----------------------------------------------------------------------------


async def test_a_birthday_known_in_part_cuts_nobody_off_while_it_may_still_be_to_come(city: City) -> None:
    """Born some day in September 18 years ago: in September nobody knows, in October everybody does."""
    child = await city.person(date(2010, 1, 1), sgb2=True, school_stage="sek2")
    await city.state(
        child, since=date(1900, 1, 1), birth_date=date(2008, 9, 1), birth_date_latest=date(2008, 9, 30)
    )
    await city.assess(child)
    assert (await city.decision(child, KARTE)).outcome is Outcome.GRANTED
    held = await city.holds(child, KARTE)
    await city.until(date(2026, 10, 1))
    after = await city.holds(child, KARTE)
    assert held is not None
    assert after is not None
    assert (after.id, after.status) == (held.id, Standing.ACTIVE)
