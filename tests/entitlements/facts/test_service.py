import random
from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel, col

from core.database import Database
from entitlements.facts import service
from entitlements.facts.history import Stating, learn
from entitlements.facts.models import CURRENT, Fact
from entitlements.facts.rules import UNREAD, day_after
from entitlements.facts.timelines import Outcome
from entitlements.people import merging
from entitlements.people import service as people
from entitlements.registers import service as registers
from tests.entitlements.facts.making import (
    NOON,
    a_household,
    a_register,
    list_members,
    some_persons,
    state,
)

TODAY = NOON.date()
LATER = NOON + timedelta(hours=1)


async def facts_of(session: AsyncSession, person_id: UUID, on: date = TODAY) -> dict[str, object]:
    """What rules see, which must be the same from the wide row and from the history."""
    await service.refresh(session, await service.closure(session, [person_id]), on)
    derived = await service.subjects(session, [person_id], on)
    assert derived == await service.subjects_on(session, [person_id], on)
    return {name: stated.value for name, stated in derived[person_id].facts.items()}


async def test_what_nobody_has_stated_is_unknown(session: AsyncSession) -> None:
    await a_register(session)
    (person,) = await some_persons(session, 1)
    assert "sgb2" not in await facts_of(session, person)


async def test_a_statement_holds_from_its_first_to_its_last_day(session: AsyncSession) -> None:
    register = await a_register(session)
    (person,) = await some_persons(session, 1)
    assert await state(session, register, person, "sgb2", True, TODAY, TODAY + timedelta(days=9)) == (
        Outcome.ACCEPTED
    )
    assert "sgb2" not in await facts_of(session, person, TODAY - timedelta(days=1))
    assert (await facts_of(session, person))["sgb2"] is True
    assert (await facts_of(session, person, TODAY + timedelta(days=9)))["sgb2"] is True
    assert "sgb2" not in await facts_of(session, person, TODAY + timedelta(days=10))
    subject = (await service.subjects(session, [person], TODAY))[person]
    assert subject.facts["sgb2"].until == TODAY + timedelta(days=9)
    assert subject.facts["sgb2"].register == "jobcenter"


async def test_silence_means_no_only_after_a_complete_list(session: AsyncSession) -> None:
    register = await a_register(session)
    (person,) = await some_persons(session, 1)
    assert "sgb2" not in await facts_of(session, person)
    await registers.complete(session, register.id, uuid4(), as_of=NOON, day=TODAY, now=NOON)
    assert (await facts_of(session, person))["sgb2"] is False
    assert "sgb2" not in await facts_of(session, person, TODAY - timedelta(days=1))


async def test_silence_means_no_only_when_each_register_of_the_fact_was_complete(
    session: AsyncSession,
) -> None:
    first = await a_register(session, "school", ["school_stage"])
    second = await a_register(session, "school", ["school_stage"])
    (person,) = await some_persons(session, 1)
    await registers.complete(session, first.id, uuid4(), as_of=NOON, day=TODAY, now=NOON)
    assert "school_stage" not in await facts_of(session, person)
    await registers.complete(session, second.id, uuid4(), as_of=NOON, day=TODAY, now=NOON)
    assert (await facts_of(session, person))["school_stage"] == "none"


async def test_a_statement_that_comes_late_is_kept_and_does_not_count(session: AsyncSession) -> None:
    register = await a_register(session, "sozialamt", ["household_need", "sgb2"])
    (person,) = await some_persons(session, 1)
    await state(session, register, person, "sgb2", False, TODAY, at=LATER)
    assert await state(session, register, person, "sgb2", True, TODAY, at=NOON) == Outcome.SUPERSEDED
    assert (await facts_of(session, person))["sgb2"] is False
    kept = (await session.execute(select(Fact).where(col(Fact.person_id) == person))).scalars().all()
    assert len(kept) == 2


async def test_the_same_statement_twice_changes_nothing(session: AsyncSession) -> None:
    register = await a_register(session)
    (person,) = await some_persons(session, 1)
    await state(session, register, person, "sgb2", True, TODAY)
    assert await state(session, register, person, "sgb2", True, TODAY) == Outcome.UNCHANGED
    assert await state(session, register, person, "sgb2", True, TODAY, at=LATER) == Outcome.UNCHANGED
    assert len((await session.execute(select(Fact))).scalars().all()) == 1


async def test_what_was_said_again_counts_as_said_then(session: AsyncSession) -> None:
    register = await a_register(session)
    (person,) = await some_persons(session, 1)
    await state(session, register, person, "sgb2", True, TODAY, at=NOON)
    await state(session, register, person, "sgb2", True, TODAY, at=NOON + timedelta(hours=4))
    between = await state(session, register, person, "sgb2", False, TODAY, at=NOON + timedelta(hours=2))
    assert between == Outcome.SUPERSEDED
    assert (await facts_of(session, person))["sgb2"] is True


async def test_a_withdrawn_statement_leaves_it_unknown(session: AsyncSession) -> None:
    register = await a_register(session)
    (person,) = await some_persons(session, 1)
    await state(session, register, person, "sgb2", True, TODAY)
    await state(session, register, person, "sgb2", None, TODAY, at=LATER)
    assert "sgb2" not in await facts_of(session, person)


async def test_the_past_can_be_asked_as_it_was_known(session: AsyncSession) -> None:
    register = await a_register(session)
    (person,) = await some_persons(session, 1)
    await state(session, register, person, "sgb2", True, TODAY, known=NOON)
    await state(session, register, person, "sgb2", False, TODAY, at=LATER, known=LATER)
    before = await service.subjects_on(session, [person], TODAY, known_at=NOON)
    after = await service.subjects_on(session, [person], TODAY, known_at=LATER)
    assert before[person].facts["sgb2"].value is True
    assert after[person].facts["sgb2"].value is False


async def test_a_fact_of_the_household_reaches_every_member_while_they_belong_to_it(
    session: AsyncSession,
) -> None:
    office = await a_register(session, "sozialamt", ["household_need"])
    melde = await a_register(session, "melderegister", [], ["registered_household"])
    mother, child, lodger = await some_persons(session, 3)
    home = await a_household(session, melde, "registered_household")
    await list_members(session, melde, home, "registered_household", [mother, child], TODAY)
    await state(session, office, home, "household_need", 95_000, TODAY, about_household=True)
    assert (await facts_of(session, mother))["household_need"] == 95_000
    assert (await facts_of(session, child))["household_need"] == 95_000
    assert "household_need" not in await facts_of(session, lodger)


async def test_whoever_a_household_leaves_out_no_longer_belongs_to_it(session: AsyncSession) -> None:
    melde = await a_register(session, "melderegister", [], ["registered_household"])
    mother, child = await some_persons(session, 2)
    home = await a_household(session, melde, "registered_household")
    kind = "registered_household"
    await list_members(session, melde, home, kind, [mother, child], TODAY)
    moved_out = TODAY + timedelta(days=10)
    await list_members(session, melde, home, kind, [mother], moved_out, at=LATER)
    late = await list_members(session, melde, home, kind, [mother, child], moved_out, at=NOON)
    assert late == Outcome.SUPERSEDED
    await service.refresh(session, [mother, child], moved_out)
    subject = (await service.subjects(session, [mother], moved_out))[mother]
    assert [one.key for one in subject.households[kind]] == [str(mother)]
    earlier = (await service.subjects_on(session, [mother], TODAY))[mother]
    assert len(earlier.households[kind]) == 2


async def test_whoever_moves_into_another_household_leaves_the_first(session: AsyncSession) -> None:
    melde = await a_register(session, "melderegister", [], ["registered_household"])
    mother, child = await some_persons(session, 2)
    kind = "registered_household"
    first, second = await a_household(session, melde, kind), await a_household(session, melde, kind)
    await list_members(session, melde, first, kind, [mother, child], TODAY)
    await list_members(session, melde, second, kind, [child], TODAY + timedelta(days=1), at=LATER)
    found = await service.subjects_on(session, [mother, child], TODAY + timedelta(days=1))
    assert [one.key for one in found[mother].households[kind]] == [str(mother)]
    assert [one.key for one in found[child].households[kind]] == [str(child)]
    assert await service.closure(session, [mother]) == {mother, child}


async def test_two_persons_that_are_one_are_read_as_one(session: AsyncSession) -> None:
    jobcenter = await a_register(session)
    melde = await a_register(session, "melderegister", ["main_residence"])
    kept, gone = await some_persons(session, 2)
    await state(session, jobcenter, gone, "sgb2", True, TODAY)
    await state(session, melde, kept, "main_residence", True, TODAY)
    await merging.merge(session, None, gone, kept, NOON)
    facts = await facts_of(session, kept)
    assert facts["sgb2"] is True
    assert facts["main_residence"] is True
    assert set(await service.subjects(session, [gone], TODAY)) == {kept}


async def test_a_death_is_known_even_before_any_list(session: AsyncSession) -> None:
    melde = await a_register(session, "melderegister", ["deceased"])
    (person,) = await some_persons(session, 1)
    assert (await facts_of(session, person))["deceased"] is False
    await state(session, melde, person, "deceased", True, TODAY)
    assert (await facts_of(session, person))["deceased"] is True


async def test_a_partial_birth_date_is_two_days(session: AsyncSession) -> None:
    melde = await a_register(session, "melderegister", ["birth_date", "birth_date_latest"])
    (person,) = await some_persons(session, 1)
    await state(session, melde, person, "birth_date", date(1990, 1, 1), date(1990, 1, 1))
    await state(session, melde, person, "birth_date_latest", date(1990, 12, 31), date(1990, 1, 1))
    facts = await facts_of(session, person)
    assert facts["birth_date"] == date(1990, 1, 1)
    assert facts["birth_date_latest"] == date(1990, 12, 31)


async def test_rows_that_turn_are_found_on_their_day(session: AsyncSession) -> None:
    register = await a_register(session)
    turning, still = await some_persons(session, 2)
    await state(session, register, turning, "sgb2", True, TODAY, TODAY + timedelta(days=4))
    await service.refresh(session, [turning, still], TODAY)
    assert await service.turning(session, TODAY + timedelta(days=4), limit=10) == []
    assert await service.turning(session, TODAY + timedelta(days=5), limit=10) == [turning]


# ---- the wide row is what the history says, whatever happened ----

KINDS = ["sgb2", "school_stage", "birth_date", "school_route_m", "deceased", "household_need"]
VALUES: dict[str, list[object]] = {
    "sgb2": [True, False, None],
    "school_stage": ["primary", "sek1", None],
    "birth_date": [date(1990, 1, 1), date(2010, 2, 28), None],
    "school_route_m": [0, 2_000, 2**62, -5],
    "deceased": [True, False, None],
    "household_need": [90_000, 95_000],
}


async def _clear(session: AsyncSession) -> None:
    for table in reversed(SQLModel.metadata.sorted_tables):
        await session.execute(delete(table))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
async def test_the_wide_row_always_says_what_the_history_says(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    async with database.writing() as session:
        await _clear(session)
        both = [
            await a_register(session, "melderegister", KINDS, ["registered_household", "bedarfsgemeinschaft"])
            for _ in range(2)
        ]
        persons = await some_persons(session, 4)
        homes = [
            (await a_household(session, register, kind), kind, register)
            for register in both
            for kind in ("registered_household", "bedarfsgemeinschaft")
        ]
        for _ in range(chance.randint(0, 25)):
            register = chance.choice(both)
            first = TODAY + timedelta(days=chance.randint(-6, 6))
            last = None if chance.random() < 0.4 else first + timedelta(days=chance.randint(0, 6))
            at = NOON + timedelta(minutes=chance.randint(0, 30))
            match chance.randint(0, 9):
                case 0 | 1:
                    home, kind, register = chance.choice(homes)
                    some = chance.sample(persons, chance.randint(0, 3))
                    await list_members(session, register, home, kind, some, first, last, at=at)
                case 2:
                    home, _, _ = chance.choice(homes)
                    need = chance.choice(VALUES["household_need"])
                    await state(
                        session,
                        register,
                        home,
                        "household_need",
                        need,
                        first,
                        last,
                        at=at,
                        about_household=True,
                    )
                case 3 if chance.random() < 0.3:
                    await registers.complete(session, register.id, uuid4(), as_of=at, day=first, now=NOON)
                case 4 if chance.random() < 0.2:
                    gone, kept = chance.sample(persons, 2)
                    known = await people.roots(session, persons)
                    if known[gone] == gone and known[kept] == kept:
                        await merging.merge(session, None, gone, kept, NOON)
                case 5:
                    kind = chance.choice([*KINDS, "registered_household", "bedarfsgemeinschaft"])
                    someone = chance.choice(persons)
                    said = Stating(someone, False, kind, UNREAD, first, day_after(last), at)
                    await learn(
                        session, register.id, [said], await registers.lists_of(session, register.id), NOON
                    )
                case _:
                    name = chance.choice(KINDS)
                    value = chance.choice(VALUES[name])
                    await state(session, register, chance.choice(persons), name, value, first, last, at=at)
        on = TODAY + timedelta(days=chance.randint(-4, 4))
        assert await service.rebuild(session, on) == len(set((await people.roots(session, persons)).values()))
        assert await service.subjects(session, persons, on) == await service.subjects_on(session, persons, on)
        rows = await session.execute(select(CURRENT.c.person_id, CURRENT.c.refresh_on))
        for person, refresh_on in rows.all():
            assert refresh_on == await service.next_turn_of(session, person, on)
            day = min(refresh_on, on + timedelta(days=12)) - timedelta(days=1)
            if day > on:
                same = await service.subjects_on(session, [person], day)
                assert same[person].facts == (await service.subjects_on(session, [person], on))[person].facts


@pytest.mark.parametrize("seed", range(4))
async def test_out_of_order_statements_settle_to_the_same(database: Database, seed: int) -> None:
    """Whatever order the statements arrive in, the days that count are the same."""
    chance = random.Random(seed)
    kind = "registered_household"
    async with database.writing() as session:
        melde = await a_register(session, "melderegister", ["sgb2"], [kind])
        homes = [await a_household(session, melde, kind) for _ in range(2)]
        acts: list[tuple[object, ...]] = []
        moments = chance.sample(range(100), 14)
        for number, minute in enumerate(moments):
            first = TODAY + timedelta(days=chance.randint(-6, 6))
            last = None if chance.random() < 0.4 else first + timedelta(days=chance.randint(0, 6))
            at = NOON + timedelta(minutes=minute)
            if number % 2:
                acts.append(("fact", chance.choice([True, False, None]), first, last, at))
            else:
                acts.append(("home", chance.choice([0, 1]), chance.sample([0, 1, 2], 2), first, last, at))
        seen = set()
        for _ in range(4):
            await session.execute(delete(Fact))
            for table in ("memberships", "rosters"):
                await session.execute(delete(SQLModel.metadata.tables[table]))
            persons = await some_persons(session, 3)
            chance.shuffle(acts)
            for tick, act in enumerate(acts):
                known = NOON + timedelta(days=1, seconds=tick)
                if act[0] == "fact":
                    _, value, first, last, at = act
                    await state(session, melde, persons[0], "sgb2", value, first, last, at=at, known=known)
                else:
                    _, home, who, first, last, at = act
                    members = [persons[one] for one in who]
                    await list_members(
                        session, melde, homes[home], kind, members, first, last, at=at, known=known
                    )
            days = []
            for number in range(-7, 14):
                on = TODAY + timedelta(days=number)
                found = await service.subjects_on(session, persons, on)
                for place, person in enumerate(persons):
                    subject = found[person]
                    stated = subject.facts.get("sgb2")
                    together = [persons.index(UUID(one.key)) for one in subject.households.get(kind, ())]
                    days.append((number, place, stated and stated.value, tuple(sorted(together))))
            seen.add(tuple(days))
        assert len(seen) == 1
