"""Run a simulation over everybody, step by step, and say what of it may be shown."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, time
from time import perf_counter
from typing import Any
from uuid import UUID

from sqlalchemy import and_, case, func, not_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.errors import Conflict, NotFound
from core.settings import Settings
from core.vault import Label, Vault
from entitlements.facts.service import silences
from entitlements.registers.service import vouching
from entitlements.rulebook.compiled import ALLOWANCE
from entitlements.rulebook.programmes import Rulebook

from . import rules
from .beginnings import beginnings
from .models import Failure, Progress, Simulation
from .rules import AGE, DISTRICT, Change, Counted, Month, Rounding
from .statements import LARGEST, Comparison, asked, plainly, side_of
from .together import Side

MONTHS_IN_A_YEAR = 12


class NotSimulated(Conflict):
    """The simulation is not done yet, or has failed."""

    slug, title = "not-simulated", "The simulation has no result yet"


@dataclass(frozen=True, slots=True)
class Compared:
    """Everything that was counted; it is for deciding, and never shown as it stands."""

    persons: int
    programmes: Mapping[str, Counted]


async def alone_on(session: AsyncSession, today: date) -> frozenset[str]:
    """The kinds of household of which it is known today who is in none."""
    _, alone, _ = silences(await vouching(session), today)
    return alone


async def compare(session: AsyncSession, before: Side, after: Side, on: date, today: date) -> Compared:
    """Counts what becomes of everybody, with the facts as they stand today, looked at on a day."""
    comparison = Comparison(before, after)
    given = comparison.bind(on, await alone_on(session, today))
    found = {
        name: Counted(asked=comparison.asked(name), pays=comparison.pays(name))
        for name in comparison.programmes
    }
    persons = 0
    await plainly(session)
    for row in (await session.execute(comparison.counts(), given)).mappings():
        if row["part"]:
            found[comparison.programmes[row["part"] - 1]].pairs[row["one"], row["other"]] = row["persons"]
            continue
        persons += row["persons"]
        for n, name in enumerate(comparison.programmes):
            counts = {what: int(row[f"{n}_{what}"] or 0) for what in rules.COUNTS}
            money = {what: int(row[f"{n}_{what}"] or 0) for what in found[name].pays}
            largest = {what: int(row[f"{n}_{what}{LARGEST}"] or 0) for what in found[name].pays}
            found[name].add(row["one"], row["other"], counts, money, largest)
    return Compared(persons, found)


async def persons(
    session: AsyncSession,
    before: Side,
    after: Side,
    *,
    on: date,
    today: date,
    programme: str,
    change: Change,
    behind: UUID | None,
    limit: int,
) -> list[UUID]:
    """Of whom this becomes: a page of ids, worked out anew, since no list of them is kept."""
    comparison = Comparison(before, after)
    if programme not in comparison.programmes:
        return []
    given = comparison.bind(on, await alone_on(session, today))
    wanted = comparison.persons(programme, change, after=behind, limit=limit)
    await plainly(session)
    return list((await session.execute(wanted, given)).scalars())


# --- what may be shown --------------------------------------------------------------------------------------


def rounding(vault: Vault, base: int) -> Rounding:
    """How numbers are rounded in this house; nobody outside can tell by which chance."""
    return Rounding(vault.secret(Label.ROUNDING), base)


def shown(compared: Compared, how: Rounding) -> dict[str, Any]:
    """The numbers as they may be shown."""
    return {
        "persons": compared.persons,
        "withheld": False,
        "programmes": [
            {"programme": name} | _shown(rules.shown(counted, how))
            for name, counted in compared.programmes.items()
            if counted.counts
        ],
    }


def withheld(compared: Compared) -> dict[str, Any]:
    """What is shown to whoever has seen as much today as anybody may."""
    return {"persons": compared.persons, "withheld": True, "programmes": []}


def _shown(found: rules.Shown) -> dict[str, Any]:
    def line(told: rules.Line) -> dict[str, Any]:
        return {
            name: _twelfth(number) if "lump" in name and number else number for name, number in told.items()
        }

    return {
        "total": line(found.total),
        "districts": [{"group": group} | line(told) for group, told in found.groups[DISTRICT].items()],
        "ages": [{"group": group} | line(told) for group, told in found.groups[AGE].items()],
        "grounds": [
            {"before": before, "after": after, "persons": number}
            for (before, after), number in found.pairs.items()
        ],
    }


def _twelfth(cents: int) -> int:
    """A twelfth, to the nearest cent."""
    return (2 * cents + MONTHS_IN_A_YEAR) // (2 * MONTHS_IN_A_YEAR)


# --- months -------------------------------------------------------------------------------------------------


async def look_ahead(
    session: AsyncSession, book: Rulebook, *, last: date | None, day: date, today: date
) -> dict[str, Month]:
    """What is held on a day by each programme, against the day before that was looked at (None: the first)."""
    after = side_of(book, day)
    names = [version.programme for version in after.versions]
    then = Comparison(side_of(book, last or day), after, programmes=names, two_days=True)
    given = then.bind(last or day, await alone_on(session, today), later=day)
    columns: list[Any] = []
    for n, name in enumerate(names):
        counted = {
            "held": then.after.held(name),
            "granted": and_(not_(then.before.held(name)), then.after.held(name)),
            "ending": then.change(name, Change.LOSES),
            "unclear": then.change(name, Change.UNCLEAR),
        }
        columns += [
            func.sum(case((holds, 1), else_=0)).label(f"{n}_{what}") for what, holds in counted.items()
        ]
        cost = then.after.cents(name, ALLOWANCE)
        columns += [
            func.sum(cost).label(f"{n}_cost"),
            func.sum(then.after.lump_cents(name)).label(f"{n}_lump"),
            func.max(cost + then.after.lump_cents(name)).label(f"{n}_largest"),
        ]
    await plainly(session)
    row = (await session.execute(then.totals(columns), given)).mappings().one()
    return {
        name: Month(
            day=day,
            held=int(row[f"{n}_held"] or 0),
            granted=int(row[f"{n}_granted"] or 0),
            ending=int(row[f"{n}_ending"] or 0),
            unclear=int(row[f"{n}_unclear"] or 0),
            cost_cents=int(row[f"{n}_cost"] or 0) + _twelfth(int(row[f"{n}_lump"] or 0)),
            largest_cents=int(row[f"{n}_largest"] or 0),
        )
        for n, name in enumerate(names)
    }


def shown_months(months: Sequence[Month], asked: Sequence[str], how: Rounding) -> list[dict[str, Any]]:
    """The months of one programme, each with what decides it then."""
    return [
        {"day": month.day.isoformat()} | rules.shown_month(month, said, how)
        for month, said in zip(months, asked, strict=True)
    ]


# --- one simulation -----------------------------------------------------------------------------------------


async def ask(session: AsyncSession, wanted: Simulation) -> Simulation:
    """Keeps what is asked; the answer comes by `step`."""
    session.add(wanted)
    await session.flush()
    return wanted


async def simulation(session: AsyncSession, simulation_id: UUID) -> Simulation:
    """One simulation; NotFound where there is none."""
    row = await session.get(Simulation, simulation_id)
    if row is None:
        raise NotFound
    return row


def fail(session: AsyncSession, row: Simulation, problem: Failure, now: datetime) -> None:
    """Says that it has failed, and why; what was counted so far is not kept."""
    row.state, row.problem, row.so_far, row.finished_at = Progress.FAILED, problem, {}, now
    session.add(row)


async def latest_of(session: AsyncSession, release_id: UUID, content_hash: str) -> Simulation:
    """The newest simulation of what a draft says; NotFound where there is none."""
    wanted = (
        select(Simulation)
        .where(col(Simulation.release_id) == release_id, col(Simulation.content_hash) == content_hash)
        .order_by(col(Simulation.asked_at).desc(), col(Simulation.id).desc())
        .limit(1)
    )
    row: Simulation | None = (await session.execute(wanted)).scalar_one_or_none()
    if row is None:
        raise NotFound
    return row


async def step(
    session: AsyncSession,
    row: Simulation,
    before: Rulebook,
    after: Rulebook,
    *,
    today: date,
    now: datetime,
    settings: Settings,
    vault: Vault,
) -> Compared | None:
    """Does the next part: first the comparison (given back, for whoever decides by it), then month by month."""
    started, compared, how = perf_counter(), None, rounding(vault, row.threshold)
    if "programmes" not in row.so_far:
        compared = await compare(
            session, side_of(before, row.before_on), side_of(after, row.after_on), row.on, today
        )
        tables = len(compared.programmes) + (len(after.programmes) if row.months else 0)
        left = settings.simulation_tables - await tables_of(session, row.asked_by, today, settings)
        row.so_far = shown(compared, how) if tables <= left else withheld(compared)
        row.tables = 0 if row.so_far["withheld"] else tables
    elif row.months_done <= row.months:
        await _next_month(session, row, after, today)
    hides = row.so_far["withheld"]
    if row.months == 0 or row.months_done > row.months or hides:
        so_far = dict(row.so_far)
        ahead = {} if hides else so_far.pop("ahead", {})
        so_far["months"] = [
            {
                "programme": name,
                "months": shown_months(_months(said[1:]), [one["asked"] for one in said[1:]], how),
            }
            for name, said in ahead.items()
        ]
        row.result, row.so_far, row.state, row.finished_at = so_far, {}, Progress.DONE, now
    row.seconds = round((row.seconds or 0) + perf_counter() - started, 3)
    session.add(row)
    await session.flush()
    return compared


async def tables_of(session: AsyncSession, principal_id: UUID, today: date, settings: Settings) -> int:
    """How many tables, one for each programme of each simulation, somebody has been shown on a day."""
    since = datetime.combine(today, time(), settings.zone)
    wanted = select(func.coalesce(func.sum(col(Simulation.tables)), 0)).where(
        col(Simulation.asked_by) == principal_id, col(Simulation.asked_at) >= since
    )
    found: int = (await session.execute(wanted)).scalar_one()
    return found


async def _next_month(session: AsyncSession, row: Simulation, book: Rulebook, today: date) -> None:
    """Looks at the next month; the first look is at the day of the simulation itself."""
    days = [row.on, *rules.months_after(row.on, row.months)]
    n = row.months_done
    found = await look_ahead(session, book, last=days[n - 1] if n else None, day=days[n], today=today)
    side = side_of(book, days[n])
    if n:
        looked_at = {version.programme: version.looks_at for version in side.versions}
        begun = await beginnings(session, days[n - 1], days[n], frozenset().union(*looked_at.values()))
        for name, kinds in looked_at.items():
            unseen = set[UUID]().union(*(whom for kind, whom in begun.items() if kind in kinds))
            found[name] = replace(found[name], unseen=len(unseen))
    ahead = {name: list(said) for name, said in row.so_far.get("ahead", {}).items()}
    for name, month in found.items():
        # A programme that begins later was held by nobody before.
        nobody = [_kept(Month(day, 0, 0, 0, 0, 0, 0), "") for day in days[:n]]
        ahead.setdefault(name, nobody).append(_kept(month, asked(side, name)))
    for name, said in ahead.items():
        if name not in found:
            ended = Month(days[n], 0, 0, said[-1]["held"], 0, 0, 0)
            said.append(_kept(ended, said[-1]["asked"]))
    row.so_far = {**row.so_far, "ahead": ahead}
    row.months_done = n + 1


def _kept(month: Month, decided_by: str) -> dict[str, Any]:
    return asdict(month) | {"day": month.day.isoformat(), "asked": decided_by}


def _months(said: Sequence[Mapping[str, Any]]) -> list[Month]:
    fields = [{name: value for name, value in one.items() if name != "asked"} for one in said]
    return [Month(**one | {"day": date.fromisoformat(one["day"])}) for one in fields]


__all__ = [
    "Compared",
    "NotSimulated",
    "Side",
    "ask",
    "compare",
    "fail",
    "latest_of",
    "look_ahead",
    "persons",
    "shown",
    "simulation",
    "step",
]
