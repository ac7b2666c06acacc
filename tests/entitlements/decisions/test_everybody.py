"""Everybody is assessed at once: only who is concerned is judged, much is held, and nothing is lost on the way."""

import asyncio
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller, Channel, Method, PrincipalKind, Role
from core.jobs.models import Job
from core.settings import Settings
from entitlements.decisions import everybody
from entitlements.decisions.everybody import RunNotOpen, RunUnderWay
from entitlements.decisions.models import Assessed, Decision, Run, RunPerson, RunState, Verdict
from entitlements.facts import service as facts
from entitlements.requests.models import BenefitRequest
from entitlements.rulebook.programmes import Outcome
from tests.conftest import NOON
from tests.entitlements.decisions.making import City
from tests.entitlements.facts.making import state

ADULT, CHILD = date(1990, 5, 4), date(2015, 3, 1)


async def run_of(city: City, cause: str = "rules", *, steps: int = 100) -> Run:
    """Begins a run and takes it as far as it goes, one transaction a step."""
    async with city.database.writing() as session:
        run_id = (
            await everybody.begin(session, cause=cause, now=city.clock.now(), settings=city.settings)
        ).id
    return await go_on(city, run_id, steps=steps)


async def go_on(city: City, run_id: UUID, *, steps: int = 100) -> Run:
    for _ in range(steps):
        async with city.database.writing() as session:
            if not await everybody.advance(session, run_id, now=city.clock.now(), settings=city.settings):
                break
    async with city.database.reading() as session:
        return await everybody.get(session, run_id)


async def count(city: City, table: Any) -> int:
    async with city.database.reading() as session:
        return (await session.execute(select(func.count()).select_from(table))).scalar_one()


async def learned(city: City, *people: UUID) -> None:
    """Their rows are derived, and nobody is judged yet."""
    async with city.database.writing() as session:
        await facts.refresh(session, people, city.today)


def somebody(role: Role = Role.OPERATOR) -> Caller:
    return Caller(
        principal_id=uuid4(),
        kind=PrincipalKind.LOGIN,
        roles=frozenset({role}),
        method=Method.SESSION,
        channel=Channel.WEB,
    )


async def test_the_first_run_judges_everybody_and_the_next_one_nobody(city: City) -> None:
    people = [await city.person(ADULT, sgb2=n % 2 == 0) for n in range(5)]
    await learned(city, *people)
    first = await run_of(city)
    assert (first.state, first.persons, first.total, first.done) == (RunState.FINISHED, 5, 5, 5)
    assert await count(city, Assessed) == 5
    assert await count(city, RunPerson) == 0
    appended = await count(city, Decision)
    second = await run_of(city)
    assert (second.state, second.total, second.decisions) == (RunState.FINISHED, 0, 0)
    assert await count(city, Decision) == appended


async def test_only_whose_facts_say_something_else_is_judged_again(city: City) -> None:
    people = [await city.person(ADULT, sgb2=True) for _ in range(4)]
    await learned(city, *people)
    await run_of(city)
    city.clock.forward(timedelta(hours=1))
    await city.state(people[0], wog=True, sgb2=False)
    await learned(city, people[0])
    run = await run_of(city)
    assert (run.differing, run.total, run.done) == (1, 1, 1)


async def test_who_was_judged_in_between_is_not_judged_once_more(city: City) -> None:
    person = await city.person(ADULT, sgb2=True)
    await learned(city, person)
    await run_of(city)
    await city.assess(person)
    assert await count(city, Assessed) == 0
    run = await run_of(city)
    assert (run.total, await count(city, Assessed)) == (0, 1)


async def test_a_run_is_stopped_and_taken_up_again_without_loss(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everybody, "AT_ONCE", 2)
    people = [await city.person(ADULT, sgb2=True) for _ in range(5)]
    await learned(city, *people)
    half = await run_of(city, steps=2)
    assert (half.total, half.done, half.state) == (5, 2, RunState.RUNNING)
    async with city.database.writing() as session:
        await everybody.stop(session, somebody(), half.id, city.clock.now())
    assert (await go_on(city, half.id)).done == 2
    async with city.database.writing() as session:
        with pytest.raises(RunUnderWay):
            await everybody.begin(session, cause="again", now=city.clock.now(), settings=city.settings)
        with pytest.raises(RunNotOpen):
            await everybody.release(session, somebody(), half.id, city.clock.now())
        await everybody.resume(session, somebody(), half.id, city.clock.now())
    whole = await go_on(city, half.id)
    assert (whole.done, whole.state) == (5, RunState.FINISHED)
    assert [len(await city.decisions(person)) for person in people] == [
        len(await city.decisions(people[0]))
    ] * 5


async def test_several_judge_side_by_side_and_each_person_once(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everybody, "AT_ONCE", 2)
    people = [await city.person(ADULT, sgb2=True) for _ in range(9)]
    await learned(city, *people)
    begun = await run_of(city, steps=1)
    lanes = await asyncio.gather(*(go_on(city, begun.id) for _ in range(3)))
    run = await go_on(city, begun.id)
    assert (run.state, run.done, run.total) == (RunState.FINISHED, 9, 9)
    assert run.decisions == await count(city, Decision)
    assert await count(city, Assessed) == 9
    assert all(lane.id == run.id for lane in lanes)


async def test_nobody_finishes_a_run_while_somebody_else_is_at_its_last_persons(city: City) -> None:
    people = [await city.person(ADULT, sgb2=True) for _ in range(3)]
    await learned(city, *people)
    begun = await run_of(city, steps=1)
    if not city.database.is_sqlite:  # where one writes at a time, nobody is beside anybody
        async with city.database.engine.connect() as elsewhere:
            at_it = (
                select(col(RunPerson.person_id)).where(col(RunPerson.run_id) == begun.id).with_for_update()
            )
            await elsewhere.execute(at_it)
            meanwhile = await go_on(city, begun.id)
            assert (meanwhile.state, meanwhile.done) == (RunState.RUNNING, 0)
    run = await go_on(city, begun.id)
    assert (run.state, run.done) == (RunState.FINISHED, 3)


async def test_the_steps_of_a_run_are_owed_in_as_many_lanes_as_can_write(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everybody, "AT_ONCE", 2)
    people = [await city.person(ADULT, sgb2=True) for _ in range(5)]
    await learned(city, *people)
    await run_of(city, steps=1)
    async with city.database.reading() as session:
        owed = await session.execute(select(func.count()).where(col(Job.kind) == everybody.STEP))
        assert owed.scalar_one() == (1 if city.database.is_sqlite else everybody.LANES)


async def test_a_run_that_would_end_too_much_waits_for_a_person(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everybody, "FEW", 1)
    people = [await city.person(ADULT, sgb2=True) for _ in range(3)]
    await learned(city, *people)
    await run_of(city)
    city.clock.forward(timedelta(hours=1))
    for person in people:
        await city.state(person, sgb2=False)
    await learned(city, *people)
    held = await run_of(city)
    assert (held.state, held.ends, held.standing) == (RunState.HELD, 6, 6)
    assert [len(await city.told(person)) for person in people] == [2, 2, 2]
    by = somebody(Role.CASE_WORKER)
    async with city.database.writing() as session:
        await everybody.release(session, by, held.id, city.clock.now())
    done = await go_on(city, held.id)
    assert (done.state, done.released_by) == (RunState.FINISHED, by.principal_id)
    assert [len(await city.told(person)) for person in people] == [4, 4, 4]


async def test_what_is_due_does_not_wait_for_a_run_that_waits(city: City) -> None:
    child = await city.person(date(2008, 9, 20), sgb2=True)
    await city.assess(child)
    async with city.database.writing() as session:
        run = await everybody.begin(session, cause="rules", now=city.clock.now(), settings=city.settings)
        run.state = RunState.HELD
    await city.until(date(2026, 9, 20))
    held = await city.holds(child, "dortmund-karte")
    assert held is not None
    assert held.tariffs == ["reduced"]


async def test_new_rules_reach_everybody_and_end_what_they_no_longer_give(city: City) -> None:
    people = [await city.person(ADULT, sgb2=True) for _ in range(3)]
    await learned(city, *people)
    await run_of(city)
    async with city.database.writing() as session:
        await session.execute(update(Verdict).values(timeline_hash="older"))
    run = await run_of(city)
    assert (run.differing, run.total, run.done) == (0, 3, 3)
    async with city.database.reading() as session:
        older = select(func.count()).where(col(Verdict.timeline_hash) == "older")
        assert (await session.execute(older)).scalar_one() == 0


async def family_on_request(city: City) -> tuple[UUID, UUID]:
    """A mother, and a child to whom the law gives the Bildungskarte only when somebody asks (§ 6b BKGG)."""
    mother = await city.person(ADULT, kindergeld_recipient=True, wog=True)
    child = await city.person(CHILD, kindergeld=True, school_stage="primary")
    await city.household("wohngeld_household", mother, child)
    return mother, child


@pytest.mark.parametrize("answered", [False, True], ids=["open", "declined"])
async def test_who_is_offered_something_does_not_look_changed_every_night(city: City, answered: bool) -> None:
    mother, child = await family_on_request(city)
    await learned(city, mother, child)
    await run_of(city)
    async with city.database.reading() as session:
        offers = list((await session.execute(select(BenefitRequest))).scalars())
        verdict = await session.get_one(Verdict, (child, "bildungskarte"))
    assert ([offer.person_id for offer in offers], verdict.decision_id) == ([child], None)
    if answered:
        async with city.database.writing() as session:
            await session.execute(delete(BenefitRequest))
    for _ in range(2):
        run = await run_of(city, "night")
        assert (run.differing, run.total, run.decisions) == (0, 0, 0)


async def test_a_contradiction_about_what_was_missing_is_judged_when_it_is_learned(silent_city: City) -> None:
    city = silent_city
    person = await city.person(date(2006, 3, 1), sgb2=True, school_full_time=True)
    await learned(city, person)
    await run_of(city)
    assert (await city.decision(person, "bildungskarte")).outcome is Outcome.UNDETERMINED
    for register, stage in (("school", "sek2"), ("schulverwaltungsamt", "none")):
        async with city.database.writing() as session:
            await state(
                session, city.registers[register], person, "school_stage", stage, date(2026, 1, 1), None,
                at=city.clock.now(), known=city.clock.now(),
            )  # fmt: skip
    # To the statement for everybody it is as missing as before; whoever learns of it judges.
    await learned(city, person)
    assert (await run_of(city, "night")).differing == 0
    await city.assess(person)
    assert (await city.decision(person, "bildungskarte")).outcome is Outcome.REFER
    again = await run_of(city, "night")
    assert (again.differing, again.decisions) == (0, 0)
    assert (await city.decision(person, "bildungskarte")).outcome is Outcome.REFER


async def test_a_night_before_any_rule_is_loaded_looks_at_nobody(
    session: AsyncSession, settings: Settings
) -> None:
    await everybody.turn(session, {}, NOON, settings=settings)
    assert await everybody.open_run(session) is None
