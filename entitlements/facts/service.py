"""What holds of whom: the wide row per person, derived by set statements, and the same read from the history."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    delete,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col

from core.bulk import among, chunks
from core.errors import Unprocessable
from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS, REGISTERS
from entitlements.facts.deriving import derive, sources_of
from entitlements.facts.history import plain
from entitlements.facts.models import CURRENT, UNSURE, UNTIL, Fact
from entitlements.facts.rules import OPEN, Held, Holding, complete, held_on, next_turn
from entitlements.language import Kind, Stated, Subject, Value
from entitlements.people.models import Membership, Person
from entitlements.people.past import aliases_at
from entitlements.people.service import aliases
from entitlements.registers.rules import Remit
from entitlements.registers.service import Vouching, vouching

ALWAYS = date(1970, 1, 1)
"""Stands for "since ever" where a fact is always known and no register has said since when."""


class KindUnknown(Unprocessable):
    """The catalogue does not know that kind of register, of fact or of household."""

    slug, title = "kind-unknown", "The catalogue does not know that kind"


def check_remit(kind: str, remit: Remit) -> None:
    """KindUnknown if the catalogue does not know the kind of register, or something that it is to state."""
    unknown = remit.unknown(CATALOGUE, HOUSEHOLDS)
    if kind not in REGISTERS:
        unknown.append(kind)
    if unknown:
        raise KindUnknown(f"unknown: {', '.join(unknown)}")


# ---- what silence means ----


@dataclass(frozen=True, slots=True)
class Silence:
    """What is known of whoever no register mentions, because the registers' lists are complete."""

    value: Value
    since: date
    register: str
    learned_at: datetime


def silences(registers: Vouching, on: date) -> tuple[dict[str, Silence], frozenset[str], date]:
    """For each fact what silence says on this day; for which kinds of household it says "in none"; until when."""
    listed = {one.register_id: one for one in registers.lists if one.day <= on}
    said: dict[str, Silence] = {}
    for name, kind in CATALOGUE.items():
        if kind.absent is None:
            continue
        may = registers.stating_fact(name)
        if kind.listing == "exhaustive" and complete(may, listed):
            last = max(
                (listed[register_id] for register_id in may), key=lambda one: (one.day, one.known_from)
            )
            said[name] = Silence(
                kind.absent,
                last.day,
                registers.kinds[last.register_id],
                max(listed[r].known_from for r in may),
            )
        elif kind.always_known:
            said[name] = Silence(kind.absent, ALWAYS, kind.suppliers[0], _first_moment(ALWAYS))
    alone = frozenset(
        name
        for name, household in HOUSEHOLDS.items()
        if household.listing == "exhaustive" and complete(registers.stating_household(name), listed)
    )
    return said, alone, min((one.day for one in registers.lists if one.day > on), default=OPEN)


def _first_moment(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


# ---- the wide row ----


async def refresh(session: AsyncSession, person_ids: Iterable[UUID], on: date) -> None:
    """Derives the wide rows of these persons anew, for this day and for all days until something turns."""
    registers = await vouching(session)
    said, _, cap = silences(registers, on)
    defaults = {
        f"silence_{name}": said[name].value if name in said else None
        for name, kind in CATALOGUE.items()
        if kind.absent is not None
    }
    await session.flush()
    statement = derive(session.get_bind().dialect.name)
    for asked in chunks(sorted(set((await aliases(session, person_ids)).values()))):
        # Whoever derives the same persons at the same time waits here, and then sees what we wrote.
        await _hold(session, asked)
        # Only now: while we waited, two of them may have become one, or one of them two.
        known_as = await aliases(session, asked)
        some, mine = sorted(set(known_as.values())), list(known_as)
        await _hold(session, sorted(set(some) - set(asked)))
        await session.execute(delete(CURRENT).where(among(CURRENT.c.person_id, [*mine, *asked])))
        households = await session.execute(
            select(col(Membership.household_id))
            .where(
                among(col(Membership.person_id), mine),
                col(Membership.known_until).is_(None),
                col(Membership.valid_next) > on,
            )
            .distinct()
        )
        whose = {"aliases": mine, "roots": some, "households": list(households.scalars())}
        await session.execute(statement, {"on": on, "cap": cap, **whose, **defaults})


async def _hold(session: AsyncSession, person_ids: Sequence[UUID]) -> None:
    if person_ids:
        await session.execute(
            select(col(Person.id))
            .where(among(col(Person.id), person_ids))
            .order_by(col(Person.id))
            .with_for_update()
        )


async def rebuild(session: AsyncSession, on: date) -> int:
    """Derives every wide row anew from the history; gives the number of persons."""
    count, after = 0, UUID(int=0)
    while True:
        rows = await session.execute(
            select(col(Person.id))
            .where(col(Person.merged_into).is_(None), col(Person.id) > after)
            .order_by(col(Person.id))
            .limit(1_000)
        )
        some = list(rows.scalars())
        if not some:
            return count
        await refresh(session, some, on)
        count, after = count + len(some), some[-1]


async def turning(session: AsyncSession, on: date, *, limit: int) -> list[UUID]:
    """Persons of whom something began or was over by this day since their row was derived."""
    rows = await session.execute(
        select(CURRENT.c.person_id)
        .where(CURRENT.c.refresh_on <= on)
        .order_by(CURRENT.c.refresh_on, CURRENT.c.person_id)
        .limit(limit)
    )
    return list(rows.scalars())


# ---- subjects: what rules are asked about ----


async def subjects(session: AsyncSession, person_ids: Iterable[UUID], on: date) -> dict[UUID, Subject]:
    """The persons as rules know them on this day, by the ids that they have today (see `people.service.roots`).

    Read from the wide rows; where one of them does not speak of this day, from the history.
    """
    wanted = set((await aliases(session, person_ids)).values())
    rows = await _wide_rows(session, CURRENT.c.person_id, wanted)
    companions: dict[str, dict[UUID, list[Any]]] = {name: defaultdict(list) for name in HOUSEHOLDS}
    for name in HOUSEHOLDS:
        shared = {getattr(row, name) for row in rows.values()} - {None}
        for row in (await _wide_rows(session, CURRENT.c[name], shared)).values():
            companions[name][getattr(row, name)].append(row)
    concerned = {row.person_id: row for kind in companions.values() for some in kind.values() for row in some}
    concerned |= rows
    if wanted - rows.keys() or not all(row.on_day <= on < row.refresh_on for row in concerned.values()):
        return await subjects_on(session, wanted, on)
    registers = await vouching(session)
    said, alone, _ = silences(registers, on)
    plainly = {
        person_id: Subject(str(person_id), wide_facts(row, registers.kinds, said))
        for person_id, row in concerned.items()
    }
    found = {}
    for person_id in wanted:
        households: dict[str, tuple[Subject, ...]] = {}
        for name in HOUSEHOLDS:
            household_id = getattr(rows[person_id], name)
            if household_id is not None:
                same = sorted(row.person_id for row in companions[name][household_id])
                households[name] = tuple(plainly[member] for member in same)
            elif name in alone and not getattr(rows[person_id], name + UNSURE):
                households[name] = ()
        found[person_id] = Subject(str(person_id), plainly[person_id].facts, households)
    return found


async def _wide_rows(session: AsyncSession, by: Any, ids: Collection[UUID]) -> dict[UUID, Any]:
    found: dict[UUID, Any] = {}
    for some in chunks(sorted(ids)):
        rows = await session.execute(select(CURRENT).where(among(by, some)))
        found.update((row.person_id, row) for row in rows)
    return found


def wide_facts(
    row: Any, kinds: Mapping[UUID, str], said: Mapping[str, Silence], names: Iterable[str] = CATALOGUE
) -> dict[str, Stated]:
    """What a wide row says, and silence where it says nothing; of these facts only, where some are named."""
    facts, sources = {}, sources_of(row.sources)
    for name in names:
        value = getattr(row, name)
        if value is None:
            continue
        if name in sources:
            since, register, learned = sources[name]
            facts[name] = Stated(value, since, getattr(row, name + UNTIL), kinds[register], learned)
        elif name in said:
            facts[name] = _silent(said[name])
    return facts


def _silent(said: Silence) -> Stated:
    return Stated(said.value, said.since, None, said.register, said.learned_at)


async def subjects_on(
    session: AsyncSession, person_ids: Iterable[UUID], on: date, known_at: datetime | None = None
) -> dict[UUID, Subject]:
    """The persons as the history knows them: what held on a day, as far as it was known at a moment.

    Who is who (merged persons) is taken as it stood at that moment, or as it stands today.
    """
    wanted = set((await aliases_at(session, person_ids, known_at)).values())
    registers = (await vouching(session)).at(known_at)
    said, alone, _ = silences(registers, on)
    own = await _memberships(session, await aliases_at(session, wanted, known_at), known_at)
    chosen = {root: _chosen(rows, on) for root, rows in own.items()}
    households = {household for kinds in chosen.values() for household in kinds.values()}
    near = await _members_of(session, households, known_at)
    everybody = await aliases_at(session, wanted | near, known_at)
    memberships = await _memberships(session, everybody, known_at)
    chosen = {root: _chosen(rows, on) for root, rows in memberships.items()}
    holdings = await _holdings(session, everybody, memberships, known_at)
    unread = {
        root: {kind for kind, first, following in some if first <= on < following}
        for root, some in (await _unread(session, everybody, known_at)).items()
    }
    plainly = {
        root: Subject(
            str(root), _facts_on(holdings.get(root, {}), on, registers.kinds, said, unread.get(root, ()))
        )
        for root in set(everybody.values())
    }
    found = {}
    for person_id in wanted:
        with_whom: dict[str, tuple[Subject, ...]] = {}
        for name in HOUSEHOLDS:
            household_id = chosen.get(person_id, {}).get(name)
            if household_id is not None:
                same = sorted(root for root, kinds in chosen.items() if kinds.get(name) == household_id)
                with_whom[name] = tuple(plainly[member] for member in same)
            elif name in alone and name not in unread.get(person_id, ()):
                with_whom[name] = ()
        found[person_id] = Subject(str(person_id), plainly[person_id].facts, with_whom)
    return found


def _known(model: type[Fact | Membership], known_at: datetime | None) -> list[ColumnElement[bool]]:
    if known_at is None:
        return [col(model.known_until).is_(None)]
    return [
        col(model.known_from) <= known_at,
        or_(col(model.known_until).is_(None), col(model.known_until) > known_at),
    ]


async def _memberships(
    session: AsyncSession, everybody: Mapping[UUID, UUID], known_at: datetime | None
) -> dict[UUID, list[Membership]]:
    found: dict[UUID, list[Membership]] = defaultdict(list)
    for some in chunks(list(everybody)):
        rows = await session.execute(
            select(Membership).where(among(col(Membership.person_id), some), *_known(Membership, known_at))
        )
        for row in rows.scalars():
            found[everybody[row.person_id]].append(row)
    return found


def _chosen(rows: Sequence[Membership], on: date) -> dict[str, UUID]:
    today = [row for row in rows if row.valid_from <= on < row.valid_next]
    # Sorted so that the one stated last comes last, and stays.
    ordered = sorted(today, key=lambda row: (row.confirmed_at, row.household_id.hex))
    return {row.kind: row.household_id for row in ordered}


async def _members_of(
    session: AsyncSession, household_ids: Iterable[UUID], known_at: datetime | None
) -> set[UUID]:
    found: set[UUID] = set()
    for some in chunks(sorted(household_ids)):
        rows = await session.execute(
            select(col(Membership.person_id)).where(
                among(col(Membership.household_id), some), *_known(Membership, known_at)
            )
        )
        found.update(rows.scalars())
    return found


async def _holdings(
    session: AsyncSession,
    everybody: Mapping[UUID, UUID],
    memberships: Mapping[UUID, Sequence[Membership]],
    known_at: datetime | None,
) -> dict[UUID, dict[str, list[Holding]]]:
    found: dict[UUID, dict[str, list[Holding]]] = defaultdict(lambda: defaultdict(list))

    def add(root: UUID, row: Fact, first: date, following: date, known_from: datetime) -> None:
        kind = CATALOGUE.get(row.kind)
        if kind is not None and first < following:
            value = plain(row)
            held = Holding(
                bool(value) if kind.type is Kind.BOOL else value,
                first,
                following,
                row.register_id,
                known_from,
            )
            found[root][row.kind].append(held)

    living: dict[UUID, list[tuple[UUID, Membership]]] = defaultdict(list)
    for root, rows in memberships.items():
        for membership in rows:
            living[membership.household_id].append((root, membership))
    for by, ids in ((col(Fact.person_id), list(everybody)), (col(Fact.household_id), list(living))):
        for some in chunks(ids):
            facts = await session.execute(
                select(Fact).where(among(by, some), col(Fact.withdrawn).is_(False), *_known(Fact, known_at))
            )
            for row in facts.scalars():
                if row.person_id is not None:
                    add(everybody[row.person_id], row, row.valid_from, row.valid_next, row.known_from)
                    continue
                for root, membership in living.get(row.household_id, ()) if row.household_id else ():
                    add(
                        root,
                        row,
                        max(row.valid_from, membership.valid_from),
                        min(row.valid_next, membership.valid_next),
                        max(row.known_from, membership.known_from),
                    )
    return found


async def _unread(
    session: AsyncSession, everybody: Mapping[UUID, UUID], known_at: datetime | None
) -> dict[UUID, list[tuple[str, date, date]]]:
    """Of which facts and kinds of household something was said of each person that nobody could read, and on which
    days.
    """
    found: dict[UUID, list[tuple[str, date, date]]] = defaultdict(list)
    for some in chunks(list(everybody)):
        rows: Any = await session.execute(
            select(col(Fact.person_id), col(Fact.kind), col(Fact.valid_from), col(Fact.valid_next)).where(
                among(col(Fact.person_id), some), col(Fact.unread), *_known(Fact, known_at)
            )
        )
        for person_id, *said in rows:
            found[everybody[person_id]].append(tuple(said))
    return found


def _facts_on(
    rows: Mapping[str, Sequence[Holding]],
    on: date,
    kinds: Mapping[UUID, str],
    said: Mapping[str, Silence],
    unread: Collection[str],
) -> dict[str, Stated]:
    facts = {}
    for name, kind in CATALOGUE.items():
        today = any(row.first <= on < row.following for row in rows.get(name, ()))
        held: Held | None = held_on(rows.get(name, ()), on, certain=kind.always_known)
        if held is not None:
            facts[name] = Stated(
                held.value,  # type: ignore[arg-type]
                held.since,
                held.until,
                kinds[held.register_id],
                held.known_from,
            )
        elif not today and name in said and (kind.always_known or name not in unread):
            facts[name] = _silent(said[name])
    return facts


async def next_turn_of(session: AsyncSession, person_id: UUID, on: date) -> date:
    """The first day after this one on which something that is known of the person begins or is over."""
    everybody = await aliases(session, [person_id])
    memberships = await _memberships(session, everybody, None)
    holdings = await _holdings(session, everybody, memberships, None)
    unread = await _unread(session, everybody, None)
    _, _, cap = silences(await vouching(session), on)
    turns = [next_turn(rows, on) for kinds in holdings.values() for rows in kinds.values()]
    periods = [(row.valid_from, row.valid_next) for rows in memberships.values() for row in rows]
    periods += [(first, following) for rows in unread.values() for _, first, following in rows]
    turns += [day for period in periods for day in period if day > on]
    return min([*turns, cap])


async def closure(session: AsyncSession, person_ids: Iterable[UUID]) -> set[UUID]:
    """These persons and everybody who shares or shared a household of any kind with one of them."""
    everybody = await aliases(session, person_ids)
    households: set[UUID] = set()
    for some in chunks(list(everybody)):
        rows = await session.execute(
            select(col(Membership.household_id))
            .where(among(col(Membership.person_id), some), col(Membership.known_until).is_(None))
            .distinct()
        )
        households.update(rows.scalars())
    near = await _members_of(session, households, None)
    return set(everybody.values()) | set((await aliases(session, near)).values())


async def members(session: AsyncSession, household_ids: Iterable[UUID]) -> set[UUID]:
    """Everybody who belongs to one of these households on any day."""
    return set((await aliases(session, await _members_of(session, household_ids, None))).values())
