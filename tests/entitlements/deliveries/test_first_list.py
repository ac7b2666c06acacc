"""A register's first list says something of everybody: they are judged once, when it is through."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from entitlements.decisions import everybody
from entitlements.decisions.models import Decision, Run, RunState, Verdict
from entitlements.deliveries import applying
from entitlements.facts.catalogue import RULEBOOKS
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.reading import load_rulebook
from tests.entitlements.deliveries.making import Office, fact, person

Work = Callable[[], Awaitable[int]]

PEOPLE = [
    row
    for number in range(6)
    for row in (
        person(f"P-{number}", birth_date="1990-01-01"),
        fact(f"P-{number}", "main_residence", value=True),
    )
]


@pytest.fixture
async def ruled(database: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "SMALL", 5)
    async with database.writing() as session:
        await rulebook.load(session, load_rulebook(RULEBOOKS / "dortmund"), clock.now())


async def runs_of(database: Database) -> list[Run]:
    async with database.reading() as session:
        return list((await session.execute(select(Run).order_by(col(Run.started_at)))).scalars())


async def said(database: Database) -> dict[str, int]:
    """How many decisions say what."""
    async with database.reading() as session:
        rows = await session.execute(
            select(col(Decision.outcome), func.count()).group_by(col(Decision.outcome))
        )
        return {outcome.value: number for outcome, number in rows}


async def listed(melde: Office, clock: FixedClock, name: str = "all") -> str:
    clock.forward(timedelta(minutes=2))
    done = await melde.deliver(name, PEOPLE, mode="full", as_of=clock.now())
    assert done["state"] == "applied"
    return f"delivery:{done['id']}"


@pytest.mark.usefixtures("ruled")
async def test_everybody_of_it_is_judged_once_and_by_a_run(
    melde: Office, database: Database, work: Work, clock: FixedClock
) -> None:
    cause = await listed(melde, clock)
    assert await said(database) == {}
    await work()
    [run] = await runs_of(database)
    assert (run.cause, run.state, run.done) == (cause, RunState.FINISHED, 6)
    async with database.reading() as session:
        verdicts = (await session.execute(select(func.count()).select_from(Verdict))).scalar_one()
        programmes = len((await rulebook.in_force(session)).programmes)
    assert verdicts == 6 * programmes
    assert sum((await said(database)).values()) == run.decisions == 6 * programmes


@pytest.mark.usefixtures("ruled")
async def test_what_comes_out_is_what_comes_out_row_by_row(
    melde: Office, database: Database, work: Work, clock: FixedClock, settings: Settings
) -> None:
    await listed(melde, clock)
    await work()
    before = await said(database)
    async with database.writing() as session:
        everyone = list((await session.execute(select(col(Verdict.person_id)).distinct())).scalars())
        again = await everybody.assess(session, everyone, now=clock.now(), settings=settings, cause="again")
    assert (again.persons, again.decisions) == (6, 0)
    assert await said(database) == before


@pytest.mark.usefixtures("ruled")
async def test_a_later_list_judges_those_whom_it_concerns_as_it_goes(
    melde: Office, database: Database, work: Work, clock: FixedClock
) -> None:
    await listed(melde, clock)
    await work()
    clock.forward(timedelta(minutes=2))
    later = [*PEOPLE, fact("P-5", "deceased", value=True)]
    await melde.deliver("second", later, mode="full", as_of=clock.now())
    assert len(await runs_of(database)) == 1
    async with database.reading() as session:
        rows = await session.execute(select(col(Decision.cause)).distinct())
        assert len(set(rows.scalars())) == 2


async def test_before_there_are_rules_nobody_is_judged(  # noqa: PLR0917
    melde: Office,
    database: Database,
    work: Work,
    clock: FixedClock,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(applying, "SMALL", 5)
    await listed(melde, clock)
    await work()
    assert await runs_of(database) == []
    async with database.writing() as session:
        await everybody.begin(session, cause="asked", now=clock.now(), settings=settings)
    await work()
    [run] = await runs_of(database)
    assert (run.state, run.done) == (RunState.FINISHED, 0)
    assert await said(database) == {}


@pytest.mark.usefixtures("ruled")
async def test_it_waits_for_a_run_that_is_under_way(
    melde: Office, database: Database, work: Work, clock: FixedClock, settings: Settings
) -> None:
    async with database.writing() as session:
        other = await everybody.begin(session, cause="asked", now=clock.now(), settings=settings)
    cause = await listed(melde, clock)
    assert [run.id for run in await runs_of(database)] == [other.id]
    await work()
    clock.forward(timedelta(minutes=2))
    await work()
    first, second = await runs_of(database)
    assert (first.id, first.state) == (other.id, RunState.FINISHED)
    assert (second.cause, second.state) == (cause, RunState.FINISHED)
