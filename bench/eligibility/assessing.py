"""Measures assessments of a city whose facts are in: everybody for the first time, compared again, a night, one person.

The yardstick is what a plain script would do: load the rows into dicts, ask a hand-written function, load what was
said before, and compare (`plain.py`). It must agree about every person.
"""

import asyncio
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from bench.eligibility import plain
from core.clock import day_of
from core.database import Database
from core.settings import Settings
from entitlements.decisions import everybody
from entitlements.decisions import service as decisions
from entitlements.decisions.models import Assessed, Run, RunState, Verdict
from entitlements.facts import service as facts
from entitlements.facts.models import CURRENT
from entitlements.registers.service import vouching
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.compiled import ALLOWANCE, AMOUNT, CHARGE, GROUND, OUTCOME
from entitlements.simulations import service as simulations
from entitlements.simulations.statements import side_of


@dataclass(frozen=True)
class Measured:
    """How one part went."""

    seconds: float
    persons: int
    megabytes: float

    @property
    def rate(self) -> float:
        return self.persons / self.seconds


def _measured(began: float, persons: int) -> Measured:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Measured(time.perf_counter() - began, persons, peak)


# --- with citycard ------------------------------------------------------------------------------------------


async def full(database: Database, settings: Settings, now: datetime, cause: str = "first") -> Measured:
    """Everybody by a run of their own, step by step until it has finished."""
    began = time.perf_counter()
    async with database.writing() as session:
        run_id = (await everybody.begin(session, cause=cause, now=now, settings=settings)).id
    run = await through(database, settings, run_id, now)
    return _measured(began, run.done)


async def through(database: Database, settings: Settings, run_id: UUID, now: datetime) -> Run:
    """Takes a run to its end, beside whoever helps."""
    while (run := await _run(database, run_id)).state is RunState.RUNNING:
        if not await _one_step(database, settings, run_id, now):
            await asyncio.sleep(0.02)  # a helper may be at its last persons
    if run.state is not RunState.FINISHED:
        raise RuntimeError(f"the run is {run.state}: it would end {run.ends} of {run.standing}")
    return run


async def help_along(database: Database, settings: Settings, now: datetime) -> float:
    """Judges beside whoever begins a run, as another process of the city would; seconds of this processor."""
    print("ready", flush=True)
    run = None
    while run is None or not run.persons:
        await asyncio.sleep(0.1)
        async with database.reading() as session:
            found = await session.execute(select(Run).where(col(Run.state) == RunState.RUNNING))
            run = found.scalar_one_or_none()
    began = time.process_time()
    while await _one_step(database, settings, run.id, now):
        pass
    return time.process_time() - began


async def _run(database: Database, run_id: UUID) -> Run:
    async with database.reading() as session:
        return await everybody.get(session, run_id)


async def _one_step(database: Database, settings: Settings, run_id: UUID, now: datetime) -> bool:
    async with database.writing() as session:
        return await everybody.advance(session, run_id, now=now, settings=settings)


async def decide_and_diff(database: Database, on: date) -> tuple[Measured, list[UUID]]:
    """Decides for everybody in the database and lets only those out for whom something is another."""
    persons = await _persons(database)
    began = time.perf_counter()
    async with database.reading() as session:
        await everybody.prepare(session)
        compiled, given = await everybody.decided(session, on)
        said = compiled.select.subquery("said")
        before = select(Assessed).subquery("before")
        another = (
            select(said.c.key)
            .outerjoin(before, before.c.person_id == said.c.key)
            .where(said.c.essence.is_distinct_from(before.c.essence))
        )
        found = list((await session.execute(another, given)).scalars())
    return _measured(began, persons), found


async def _persons(database: Database) -> int:
    async with database.reading() as session:
        found: int = (await session.execute(select(func.count()).select_from(CURRENT))).scalar_one()
    return found


async def simulate(database: Database, on: date) -> Measured:
    """A draft tried on everybody: more money for taking part, and one circle of families left out."""
    persons = await _persons(database)
    async with database.reading() as session:
        before = side_of(await rulebook.in_force(session), on)
        changed = tuple(
            replace(version, grounds=version.grounds[:-1])
            if version.programme == "bildungskarte"
            else version
            for version in before.versions
        )
        after = replace(
            before, versions=changed, parameters={**before.parameters, "participation_monthly": 2_000}
        )
        began = time.perf_counter()
        compared = await simulations.compare(session, before, after, on, on)
    if compared.persons != persons:
        raise RuntimeError(f"{compared.persons} were compared, not {persons}")
    return _measured(began, persons)


async def night(database: Database, settings: Settings, now: datetime, share: float = 0.01) -> Measured:
    """A night after a day on which a share of the city has changed: their day has come, and no one else's."""
    today = day_of(now, settings.zone)
    async with database.writing() as session:
        persons = (await session.execute(select(func.count()).select_from(CURRENT))).scalar_one()
        some = select(CURRENT.c.person_id).order_by(CURRENT.c.person_id).limit(max(1, round(persons * share)))
        changed = list((await session.execute(some)).scalars())
        # What they receive begins or is over; both directions, so that nothing is held.
        await session.execute(
            update(CURRENT)
            .where(CURRENT.c.person_id.in_(changed))
            .values(wog=~func.coalesce(CURRENT.c.wog, False))
        )
        await session.execute(
            update(Verdict)
            .where(Verdict.person_id.in_(changed))  # type: ignore[attr-defined]
            .values(look_on=today)
            .execution_options(synchronize_session=False)
        )
    return await full(database, settings, now + timedelta(minutes=1), cause="night")


async def one(database: Database, settings: Settings, now: datetime, times: int = 50) -> float:
    """Seconds for one person's assessment, household and all, in a transaction of its own."""
    async with database.reading() as session:
        rows = select(CURRENT.c.person_id).order_by(CURRENT.c.person_id).limit(times)
        people = list((await session.execute(rows)).scalars())
    began = time.perf_counter()
    for person in people:
        async with database.writing() as session:
            await decisions.assess(session, [person], now=now, settings=settings, cause="one")
    return (time.perf_counter() - began) / len(people)


# --- the plain way ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plainly:
    """How the plain way went, and what it says."""

    loading: float
    deciding: float
    comparing: float
    cpu: float
    """Seconds that this process was busy; what the database did for it comes on top."""
    said: Mapping[UUID, tuple[plain.Said, ...]]

    @property
    def seconds(self) -> float:
        return self.loading + self.deciding + self.comparing


async def plainly(database: Database, on: date) -> Plainly:
    """Rows into dicts, a function over each, what was said before into a dict, and a comparison."""
    began, busy = time.perf_counter(), time.process_time()
    names = ("person_id", *plain.HOMES, *plain.FACTS)
    async with database.reading() as session:
        rows = await session.execute(select(*(CURRENT.c[name] for name in names)))
        people = [dict(zip(names, row, strict=True)) for row in rows]
        _, alone, _ = facts.silences(await vouching(session), on)
        loaded = time.perf_counter()
        said = dict(plain.decide(people, on, alone))
        decided = time.perf_counter()
        before = dict((await session.execute(select(Assessed.person_id, Assessed.essence))).all())  # type: ignore[call-overload]
    another = [person for person, word in said.items() if before.get(person) != word]
    ended, busy = time.perf_counter(), time.process_time() - busy
    del another
    return Plainly(loaded - began, decided - loaded, ended - decided, busy, said)


async def disagreeing(
    session: AsyncSession, said: Mapping[UUID, tuple[plain.Said, ...]], on: date
) -> list[UUID]:
    """Whoever is told something else by hand than by the statement: an outcome, a ground or an amount."""
    compiled, given = await everybody.decided(session, on)
    found = []
    for row in (await session.execute(compiled.select, given)).mappings():
        by_hand = dict(zip(plain.PROGRAMMES, said[row["key"]], strict=True))
        for name in compiled.programmes:
            if by_hand[name] != (row[name + OUTCOME], row[name + GROUND], _cents(row, name)):
                found.append(row["key"])
                break
    return found


def _cents(row: RowMapping, programme: str) -> int:
    kinds = tuple(programme + kind for kind in (ALLOWANCE, CHARGE, AMOUNT))
    return sum(value for name, value in row.items() if name.startswith(kinds))
