"""Two persons become one and two again, and neither loses a day or a cent."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import anyio
import pytest
from sqlalchemy import select
from sqlmodel import col

from core.clock import FixedClock
from core.database import Database, tables
from core.jobs.models import Job
from core.settings import Settings
from entitlements.allowances.models import ApprovalState, CreditedMonth
from entitlements.clearing import service
from entitlements.clearing.rules import WAYS, Held, differences
from entitlements.decisions import explaining
from entitlements.decisions.service import overview
from entitlements.facts import service as facts
from entitlements.facts.models import CURRENT
from entitlements.grants.models import EndReason, Entitlement, Standing
from entitlements.ledger import service as ledger
from entitlements.ledger.models import AccountKind, EntryKind
from entitlements.ledger.service import NewEntry
from entitlements.people.merging import ActForEachOther, AlreadyMerged, AlreadyUndone, LaterFirst
from entitlements.people.models import Merge
from entitlements.people.service import NotTwoPersons, guardians_of, make_guardian, roots, wards_of
from tests.entitlements.decisions.making import NOON, TODAY, City

ADULT = date(1990, 5, 4)
BORN = date(2015, 3, 1)
KARTE, BILDUNG = "dortmund-karte", "bildungskarte"
SINCE = date(2026, 7, 1)


@pytest.fixture
async def city(database: Database, settings: Settings, clock: FixedClock) -> City:
    city = City(database, settings, clock)
    await city.found()
    return city


async def merged(city: City, gone: UUID, kept: UUID) -> Merge:
    async with city.database.writing() as session:
        return await service.merge(session, city.settings, None, gone, kept, now=city.clock.now())


async def parted(city: City, act: Merge) -> Merge:
    async with city.database.writing() as session:
        return await service.part(session, city.settings, None, act.id, now=city.clock.now())


async def a_pupil(city: City, *, since: date = SINCE) -> UUID:
    """A child with the Bildungskarte and its money."""
    child = await city.person(BORN, school_stage="primary")
    await city.state(child, since=since, until=date(2026, 12, 31), sgb2=True)
    await city.assess(child)
    return child


async def cents(city: City, person: UUID) -> list[int]:
    return sorted(p.balance_cents for p in await city.pots(person) if p.approval.kind == "participation")


async def spend(city: City, person: UUID, amount: int) -> None:
    pot = next(p for p in await city.pots(person) if p.balance_cents >= amount)
    async with city.database.writing() as session:
        club = await ledger.account(session, AccountKind.PAYABLE, "club", now=NOON)
        entry = NewEntry(
            f"club:{person}", EntryKind.BOOKING, {pot.approval.account_id: -amount, club: amount}
        )
        await ledger.book(session, entry, now=city.clock.now())


async def told_right(city: City, kind: str) -> list[dict[str, Any]]:
    async with city.database.reading() as session:
        rows = await session.execute(select(col(Job.payload)).where(col(Job.kind) == kind))
        return list(rows.scalars())


async def standing(city: City, person: UUID) -> dict[str, Standing]:
    async with city.database.reading() as session:
        rows = await session.execute(select(Entitlement).where(col(Entitlement.person_id) == person))
        return {row.programme: row.status for row in rows.scalars()}


async def test_what_one_of_two_held_is_held_by_the_one_that_stays(city: City) -> None:
    gone, kept = await city.person(ADULT, sgb2=True), await city.person(ADULT)
    await city.assess(gone, kept)
    assert await city.holds(kept, KARTE) is None
    before = await city.holds(gone, KARTE)
    act = await merged(city, gone, kept)
    after = await city.holds(kept, KARTE)
    assert before is not None
    assert after is not None
    assert (after.id, after.since) == (before.id, before.since)
    assert await city.holds(gone, KARTE) is None
    assert ("person.merged", {}) in await city.told(kept)
    # The cards of the one that went are taken back, and the one that stays hears of it.
    assert {str(gone), str(kept)} in [
        set(payload["person_ids"]) for payload in await told_right(city, "holdings.changed")
    ]
    assert await told_right(city, "person.merged") == [{"gone_id": str(gone), "kept_id": str(kept)}]
    # Every decision about either is one about them.
    assert {one.person_id for one in await city.decisions(kept)} == {gone, kept}
    undone = await parted(city, act)
    assert undone.undone_at == NOON
    assert (await city.holds(gone, KARTE)).id == before.id  # type: ignore[union-attr]
    assert (await city.latest(kept, KARTE) if await city.holds(kept, KARTE) else None) is None
    assert await told_right(city, "person.parted") == [{"gone_id": str(gone), "kept_id": str(kept)}]


async def test_what_both_held_goes_on_once_in_its_better_standing(city: City) -> None:
    gone, kept = await city.person(ADULT, sgb2=True), await city.person(ADULT, sgb2=True)
    await city.assess(gone, kept)
    await city.state(kept, since=TODAY, sgb2=False)
    await city.assess(kept)
    ending = await city.latest(kept, KARTE)
    assert ending.status is Standing.ENDING
    better = await city.latest(gone, KARTE)
    act = await merged(city, gone, kept)
    held = await city.holds(kept, KARTE)
    assert held is not None
    assert held.id == better.id
    async with city.database.reading() as session:
        shown = {one.programme: one.entitlement for one in await overview(session, kept)}[KARTE]
        assert shown is not None
        # Although the one that ended was granted later.
        assert (shown.id, shown.status) == (better.id, Standing.ACTIVE)
        closed = await session.get_one(Entitlement, ending.id)
        assert (closed.status, closed.end_reason) == (Standing.ENDED, EndReason.MERGED)
    await parted(city, act)
    async with city.database.reading() as session:
        again = await session.get_one(Entitlement, ending.id)
        assert (again.person_id, again.status, again.ends_on) == (kept, Standing.ENDING, ending.ends_on)
        mine = await session.get_one(Entitlement, better.id)
        assert (mine.person_id, mine.status) == (gone, Standing.ACTIVE)


async def test_money_is_neither_lost_nor_doubled(city: City) -> None:
    gone, kept = await a_pupil(city), await a_pupil(city, since=date(2026, 8, 1))
    assert (await cents(city, gone), await cents(city, kept)) == ([4500], [3000])
    act = await merged(city, gone, kept)
    # August and September were credited to both: one of each goes back. July was credited to one alone.
    assert await cents(city, kept) == [1500, 3000]
    assert await cents(city, gone) == []
    async with city.database.reading() as session:
        rows = await session.execute(
            select(col(CreditedMonth.month)).where(
                col(CreditedMonth.person_id) == kept,
                col(CreditedMonth.kind) == "participation",
                col(CreditedMonth.moved_at).is_(None),
            )
        )
        assert sorted(rows.scalars()) == [date(2026, 7, 1), date(2026, 8, 1), date(2026, 9, 1)]
    assert await city.books_in_order()
    # The next month is credited once.
    await city.until(date(2026, 10, 1))
    assert sum(await cents(city, kept)) == 6000
    await parted(city, act)
    assert await city.books_in_order()
    # Each has their own again; what the one that went missed meanwhile is made up for.
    assert await cents(city, gone) == [6000]
    assert await cents(city, kept) == [4500]
    assert [p.approval.state for p in await city.pots(gone) if p.approval.kind == "participation"] == [
        ApprovalState.ACTIVE
    ]


async def test_what_was_spent_stays_spent(city: City) -> None:
    gone, kept = await a_pupil(city), await a_pupil(city)
    await spend(city, gone, 4000)
    act = await merged(city, gone, kept)
    assert await cents(city, kept) == [0, 4500]
    assert await city.books_in_order()
    await parted(city, act)
    assert (await cents(city, gone), await cents(city, kept)) == ([500], [4500])
    assert await city.books_in_order()


async def test_a_look_shows_what_would_change_and_changes_nothing(city: City) -> None:
    gone, kept = await a_pupil(city), await a_pupil(city)
    before = await standing(city, gone), await standing(city, kept), await cents(city, gone)
    async with city.database.writing() as session:

        async def deed() -> Merge:
            return await service.merge(session, city.settings, None, gone, kept, now=city.clock.now())

        found = await service.look(session, [gone, kept], deed)
    assert {one.what for one in found if one.person_id == gone} >= {KARTE, BILDUNG, "participation"}
    assert all(one.after == "" for one in found if one.person_id == gone)
    assert (await standing(city, gone), await standing(city, kept), await cents(city, gone)) == before
    async with city.database.reading() as session:
        assert (await session.execute(select(Merge))).all() == []
    assert await told_right(city, "person.merged") == []


async def test_a_family_is_judged_anew_when_one_of_them_turns_out_to_be_somebody_else(city: City) -> None:
    parent, child = await city.person(ADULT), await city.person(BORN, school_stage="primary")
    stranger = await city.person(BORN)
    await city.household("wohngeld_household", parent, stranger)
    await city.state(parent, wog=True)
    await city.assess(parent, child)
    assert await city.holds(stranger, KARTE) is not None
    assert await city.holds(child, KARTE) is None
    act = await merged(city, stranger, child)
    assert await city.holds(child, KARTE) is not None
    assert f"merge:{act.id}" in {one.cause for one in await city.decisions(child)}
    await parted(city, act)
    assert await city.holds(stranger, KARTE) is not None
    assert await city.holds(child, KARTE) is None


async def test_undone_acts_stay_on_record_and_the_last_goes_first(city: City) -> None:
    one, two, three = [await city.person(ADULT) for _ in range(3)]
    first = await merged(city, one, two)
    second = await merged(city, two, three)
    async with city.database.reading() as session:
        assert set((await roots(session, [one, two, three])).values()) == {three}
    with pytest.raises(LaterFirst):
        await parted(city, first)
    await parted(city, second)
    async with city.database.reading() as session:
        assert await roots(session, [one, two, three]) == {one: two, two: two, three: three}
    await parted(city, first)
    with pytest.raises(AlreadyUndone):
        await parted(city, first)
    async with city.database.reading() as session:
        assert await roots(session, [one, two, three]) == {one: one, two: two, three: three}
    # And they can become one again.
    await merged(city, one, two)


async def test_of_two_clerks_who_merge_at_once_one_does(city: City) -> None:
    gone, kept = await a_pupil(city), await a_pupil(city)
    done: list[Merge] = []
    refused: list[Exception] = []

    async def clerk(one: UUID, other: UUID) -> None:
        try:
            done.append(await merged(city, one, other))
        except (AlreadyMerged, NotTwoPersons) as error:
            refused.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(clerk, gone, kept)
        tasks.start_soon(clerk, kept, gone)
    assert (len(done), len(refused)) == (1, 1)
    assert sum(await cents(city, done[0].kept_id)) == 4500
    assert await city.books_in_order()


async def test_whoever_is_derived_while_they_are_merged_has_one_row(city: City) -> None:
    gone, kept = await city.person(ADULT, sgb2=True), await city.person(ADULT)
    await city.assess(gone, kept)

    async def derive() -> None:
        async with city.database.writing() as session:
            await facts.refresh(session, [gone], city.today)

    async with anyio.create_task_group() as tasks, city.database.writing() as session:
        await service.merge(session, city.settings, None, gone, kept, now=city.clock.now())
        tasks.start_soon(derive)
        await anyio.sleep(0.2)
    async with city.database.reading() as session:
        rows = await session.execute(select(CURRENT.c.person_id, CURRENT.c.sgb2))
        assert rows.all() == [(kept, True)]


async def test_whoever_acts_for_a_child_acts_for_it_under_whichever_id(city: City) -> None:
    mother, twice, child = await city.person(ADULT), await city.person(BORN), await city.person(BORN)
    async with city.database.writing() as session:
        await make_guardian(session, None, mother, twice, since=TODAY, until=date(2033, 2, 28), now=NOON)
    act = await merged(city, twice, child)
    async with city.database.reading() as session:
        assert await wards_of(session, mother, TODAY) == [child]
        assert await guardians_of(session, child, TODAY) == [mother]
    await parted(city, act)
    async with city.database.reading() as session:
        assert await wards_of(session, mother, TODAY) == [twice]
        assert await guardians_of(session, child, TODAY) == []


async def test_a_guardian_and_a_child_are_two(city: City) -> None:
    mother, child = await city.person(ADULT), await city.person(BORN)
    async with city.database.writing() as session:
        await make_guardian(session, None, mother, child, since=TODAY, until=date(2033, 2, 28), now=NOON)
    with pytest.raises(ActForEachOther):
        await merged(city, mother, child)


async def test_a_decision_comes_out_again_though_its_person_is_another_now(city: City) -> None:
    gone, kept = await city.person(ADULT, sgb2=True), await city.person(ADULT)
    await city.assess(gone, kept)
    decision = await city.decision(gone, KARTE)
    city.clock.forward(timedelta(hours=1))
    act = await merged(city, gone, kept)
    assert await comes_out(city, decision.id)
    city.clock.forward(timedelta(hours=1))
    joint = await city.decision(kept, KARTE)
    await parted(city, act)
    assert await comes_out(city, decision.id)
    assert await comes_out(city, joint.id)


async def comes_out(city: City, decision_id: UUID) -> bool:
    async with city.database.reading() as session:
        return (await explaining.replay(session, decision_id)).same


def test_every_table_about_persons_says_what_a_merge_does_to_it() -> None:
    """A new table about persons: say in `clearing.rules.WAYS` how it is found once two of them are one."""
    about = {table.name for table in tables().sorted_tables if table.info.get("person")}
    assert about - set(WAYS) == set()


def test_two_looks_differ_only_where_something_differs() -> None:
    one, other = UUID(int=1), UUID(int=2)
    before = [Held(one, "a", "active"), Held(one, "b", "active"), Held(other, "a", "5")]
    after = [Held(one, "a", "active"), Held(other, "a", "7"), Held(other, "c", "active")]
    assert [(d.person_id, d.what, d.before, d.after) for d in differences(before, after)] == [
        (one, "b", "active", ""),
        (other, "a", "5", "7"),
        (other, "c", "", "active"),
    ]
