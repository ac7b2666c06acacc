"""Measures assessments of a city whose facts are in: everybody for the first time, compared again, a night, one person.

The yardstick is what a plain script would do: load the rows into dicts, ask a hand-written function, load what was
said before, and compare. It knows two of the programmes only, which is to its advantage; on these two it must
agree about every person.
"""

import resource
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.clock import day_of
from core.database import Database
from core.settings import Settings
from entitlements.decisions import everybody
from entitlements.decisions import service as decisions
from entitlements.decisions.models import Assessed, Run, RunState, Verdict
from entitlements.facts import service as facts
from entitlements.facts.models import CURRENT
from entitlements.language.days import years_before
from entitlements.registers.service import vouching

KARTE, PASS = "dortmund-karte", "sozialpass"
_ASKED = (
    "main_residence",
    "sgb2",
    "sgb12_gsi",
    "sgb12_hlu",
    "asylblg_2",
    "asylblg_3",
    "sgb8_wjh",
    "wog",
    "kiz",
    "bafoeg",
    "sgb14",
    "elternbeitrag_befreit",
    "birth_date",
    "birth_date_latest",
    "deceased",
)
_HOMES = ("registered_household", "bedarfsgemeinschaft", "wohngeld_household")


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
    while await _one_step(database, settings, run_id, now):
        pass
    async with database.reading() as session:
        run: Run = await everybody.get(session, run_id)
    if run.state is not RunState.FINISHED:
        raise RuntimeError(f"the run is {run.state}: it would end {run.ends} of {run.standing}")
    return _measured(began, run.done)


async def _one_step(database: Database, settings: Settings, run_id: UUID, now: datetime) -> bool:
    async with database.writing() as session:
        return await everybody.advance(session, run_id, now=now, settings=settings)


async def decide_and_diff(database: Database, on: date) -> tuple[Measured, list[UUID]]:
    """Decides for everybody in the database and lets only those out for whom something is another."""
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
        persons = (await session.execute(select(func.count()).select_from(CURRENT))).scalar_one()
    return _measured(began, persons), found


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
    said: Mapping[UUID, tuple[str, str]]

    @property
    def seconds(self) -> float:
        return self.loading + self.deciding + self.comparing


async def plainly(database: Database, on: date) -> Plainly:
    """Rows into dicts, a function over each, what was said before into a dict, and a comparison."""
    began = time.perf_counter()
    async with database.reading() as session:
        wanted = [CURRENT.c.person_id, *(CURRENT.c[name] for name in (*_HOMES, *_ASKED))]
        people = [dict(row) for row in (await session.execute(select(*wanted))).mappings()]
        _, alone, _ = facts.silences(await vouching(session), on)
        loaded = time.perf_counter()
        said = decide_by_hand(people, on, alone)
        decided = time.perf_counter()
        before = dict((await session.execute(select(Assessed.person_id, Assessed.essence))).all())  # type: ignore[call-overload]
    another = [person for person, word in said.items() if before.get(person) != "".join(word)]
    del another
    return Plainly(loaded - began, decided - loaded, time.perf_counter() - decided, said)


def decide_by_hand(
    people: list[dict[str, Any]], on: date, alone: frozenset[str]
) -> dict[UUID, tuple[str, str]]:
    """The Dortmund-Karte and the Sozialpass as somebody would write them down, missing facts included."""
    shared: dict[tuple[str, UUID, str], bool | None] = {}
    asked = (
        ("bedarfsgemeinschaft", "sgb2"),
        ("wohngeld_household", "wog"),
        ("registered_household", "kiz"),
        ("registered_household", "elternbeitrag_befreit"),
    )
    homes: dict[tuple[str, UUID], list[dict[str, Any]]] = defaultdict(list)
    for one in people:
        for kind in _HOMES:
            if one[kind] is not None:
                homes[kind, one[kind]].append(one)
    for (kind, home), members in homes.items():
        for of, name in asked:
            if of == kind:
                shared[kind, home, name] = _some([member[name] for member in members])
    limit = years_before(on, 25)
    found = {}
    for one in people:

        def around(kind: str, name: str, one: dict[str, Any] = one) -> bool | None:
            if one[kind] is None:
                return False if kind in alone else None
            return shared[kind, one[kind], name]

        if one["deceased"]:
            found[one["person_id"]] = ("refused", "refused")
            continue
        home_wog = around("wohngeld_household", "wog")
        card = _some(
            [
                one["sgb2"],
                around("bedarfsgemeinschaft", "sgb2"),
                one["sgb12_gsi"],
                one["sgb12_hlu"],
                one["asylblg_2"],
                one["asylblg_3"],
                one["sgb8_wjh"],
                one["wog"],
                home_wog,
                one["kiz"],
                _all([_young(one, limit), around("registered_household", "kiz")]),
                one["bafoeg"],
                one["sgb14"],
                one["elternbeitrag_befreit"],
                around("registered_household", "elternbeitrag_befreit"),
            ]
        )
        ticket = _some(
            [
                one["sgb2"],
                one["sgb12_gsi"],
                one["sgb12_hlu"],
                one["sgb8_wjh"],
                one["wog"],
                home_wog,
                one["asylblg_2"],
                one["asylblg_3"],
            ]
        )
        found[one["person_id"]] = (_word(_all([one["main_residence"], card])), _word(ticket))
    return found


def _some(answers: list[bool | None]) -> bool | None:
    return True if True in answers else None if None in answers else False


def _all(answers: list[bool | None]) -> bool | None:
    return False if False in answers else None if None in answers else True


def _young(one: dict[str, Any], limit: date) -> bool | None:
    first, last = one["birth_date"], one["birth_date_latest"]
    if first is None:
        return None
    if first > limit:
        return True
    return False if last is None or last <= limit else None


def _word(answer: bool | None) -> str:
    return {True: "granted", False: "refused", None: "open"}[answer]


async def disagreeing(session: AsyncSession, said: Mapping[UUID, tuple[str, str]], on: date) -> list[UUID]:
    """Whoever is told something else by hand than by the statement; open is undetermined or for a human."""
    compiled, given = await everybody.decided(session, on)
    everyone = compiled.select.subquery("said")
    rows = await session.execute(
        select(everyone.c.key, everyone.c[f"{KARTE}__outcome"], everyone.c[f"{PASS}__outcome"]), given
    )
    open_ = {"undetermined": "open", "refer": "open"}
    return [key for key, *words in rows if said[key] != tuple(open_.get(word, word) for word in words)]
