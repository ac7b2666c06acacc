"""What holds of whom: the wide row per person, derived by set statements, and the same read from the history."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Date,
    String,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col

from core.bulk import chunks, table_of
from core.errors import Unprocessable
from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS, REGISTERS
from entitlements.facts.history import plain
from entitlements.facts.models import CURRENT, UNTIL, Fact, column_type
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

_MENTIONED = "__mentioned"


def _or_none(value: ColumnElement[Any], none: Any) -> ColumnElement[Any]:
    return case((value == none, None), else_=value)


@cache
def _derive(dialect: str) -> Insert:
    """The statement that derives the wide rows of some persons from the history."""
    on = bindparam("on", type_=Date())
    everybody: Any = bindparam("aliases", expanding=True)
    root = func.coalesce(Person.merged_into, Person.id)
    person = table_of(Person)
    values = ("value_int", "value_text", "value_day")

    own: Any = (
        select(
            root.label("person"),
            *(col(getattr(Fact, name)).label(name) for name in ("kind", *values)),
            col(Fact.valid_from).label("first"),
            col(Fact.valid_until).label("last"),
            col(Fact.valid_next).label("following"),
            cast(col(Fact.register_id), String(36)).label("register"),
            col(Fact.known_from).label("known_from"),
        )
        .join(Person, col(Person.id) == col(Fact.person_id))
        .where(
            col(Fact.person_id).in_(everybody),
            col(Fact.known_until).is_(None),
            col(Fact.withdrawn).is_(False),
            col(Fact.valid_next) > on,
        )
    )

    def later(a: Any, b: Any) -> Any:
        return case((a > b, a), else_=b)

    def earlier(a: Any, b: Any) -> Any:
        return case((a < b, a), else_=b)

    living = (
        select(
            root.label("person"),
            col(Membership.household_id).label("household_id"),
            col(Membership.valid_from).label("valid_from"),
            col(Membership.valid_until).label("valid_until"),
            col(Membership.valid_next).label("valid_next"),
            col(Membership.known_from).label("known_from"),
        )
        .join(Person, col(Person.id) == col(Membership.person_id))
        .where(
            col(Membership.person_id).in_(everybody),
            col(Membership.known_until).is_(None),
            col(Membership.valid_next) > on,
        )
        .cte("living")
    )
    w = living.c
    shared: Any = (
        select(
            w.person,
            *(col(getattr(Fact, name)).label(name) for name in ("kind", *values)),
            later(col(Fact.valid_from), w.valid_from).label("first"),
            earlier(col(Fact.valid_until), w.valid_until).label("last"),
            earlier(col(Fact.valid_next), w.valid_next).label("following"),
            cast(col(Fact.register_id), String(36)).label("register"),
            later(col(Fact.known_from), w.known_from).label("known_from"),
        )
        .join(living, w.household_id == col(Fact.household_id))
        .where(
            # Said twice, so that the database begins with these few households and not with all facts.
            col(Fact.household_id).in_(select(w.household_id)),
            col(Fact.known_until).is_(None),
            col(Fact.withdrawn).is_(False),
            col(Fact.valid_next) > on,
            col(Fact.valid_from) < w.valid_next,
            w.valid_from < col(Fact.valid_next),
        )
    )
    pieces = union_all(own, shared).cte("pieces")
    p = pieces.c

    # What holds today, one row per person and fact. Values of different registers that differ contradict.
    contradiction = or_(*(func.coalesce(func.min(p[name]) != func.max(p[name]), False) for name in values))
    today = (
        select(
            p.person,
            p.kind,
            *(func.max(p[name]).label(name) for name in values),
            contradiction.label("contradiction"),
            func.min(p.first).label("first"),
            func.max(p.last).label("last"),
            func.max(p.following).label("following"),
            func.max(p.register).label("register"),
            func.max(p.known_from).label("known_from"),
        )
        .where(p.first <= on)
        .group_by(p.person, p.kind)
        .cte("today")
    )
    t = today.c

    # Periods of the same value that follow without a gap prolong it; few have one, and only they are sorted.
    coming = (
        select(p.person, p.kind, p.first, p.last, p.following)
        .join(today, and_(t.person == p.person, t.kind == p.kind))
        .where(p.first > on, *(p[name].is_not_distinct_from(t[name]) for name in values))
    )
    future = select(p.person, p.kind).where(p.first > on).distinct().cte("future")
    chained = (
        select(t.person, t.kind, t.first, t.last, t.following)
        .join(future, and_(future.c.person == t.person, future.c.kind == t.kind))
        .union_all(coming)
        .cte("chained")
    )
    c = chained.c
    before = func.max(c.following).over(
        partition_by=(c.person, c.kind), order_by=(c.first, c.following), rows=(None, -1)
    )
    gaps = select(
        c.person, c.kind, c.first, c.last, c.following, case((c.first > before, 1), else_=0).label("gap")
    ).cte("gaps")
    g = gaps.c
    runs = select(
        g.person,
        g.kind,
        g.last,
        func.sum(g.gap)
        .over(partition_by=(g.person, g.kind), order_by=(g.first, g.following), rows=(None, 0))
        .label("run"),
    ).cte("runs")
    r = runs.c
    prolonged = (
        select(r.person, r.kind, func.max(r.last).label("last"))
        .where(r.run == 0)
        .group_by(r.person, r.kind)
        .cte("prolonged")
    )
    until = func.coalesce(prolonged.c.last, t.last)
    holds = (
        select(
            t.person,
            t.kind,
            *(t[name] for name in values),
            t.contradiction,
            t.first,
            _or_none(until, OPEN).label("until"),
            t.register,
            t.known_from,
        )
        .outerjoin(prolonged, and_(prolonged.c.person == t.person, prolonged.c.kind == t.kind))
        .cte("holds")
    )
    h = holds.c

    # The household of each kind: the one stated last, where two registers or two merged persons differ.
    members = (
        select(
            root.label("person"),
            col(Membership.kind).label("kind"),
            col(Membership.household_id).label("household"),
            func.row_number()
            .over(
                partition_by=(root, col(Membership.kind)),
                order_by=(
                    col(Membership.confirmed_at).desc(),
                    cast(col(Membership.household_id), String(36)).desc(),
                ),
            )
            .label("place"),
        )
        .join(Person, col(Person.id) == col(Membership.person_id))
        .where(
            col(Membership.person_id).in_(everybody),
            col(Membership.known_until).is_(None),
            col(Membership.valid_from) <= on,
            col(Membership.valid_next) > on,
        )
        .cte("members")
    )
    m = members.c
    in_household = (
        select(
            m.person,
            *(
                func.max(case((m.kind == literal_column(f"'{name}'"), cast(m.household, String(36))))).label(
                    name
                )
                for name in HOUSEHOLDS
            ),
        )
        .where(m.place == 1)
        .group_by(m.person)
        .cte("in_household")
    )

    # The next day on which anything that is known of the person begins or is over.
    turns = union_all(
        select(p.person, case((p.first > on, p.first), else_=p.following).label("turn")),
        select(w.person, case((w.valid_from > on, w.valid_from), else_=w.valid_next).label("turn")),
    ).cte("turns")
    next_turns = (
        select(turns.c.person, func.min(turns.c.turn).label("turn"))
        .group_by(turns.c.person)
        .cte("next_turns")
    )

    def pick(name: str, source: Any) -> ColumnElement[Any]:
        return func.max(case((h.kind == literal_column(f"'{name}'"), source)))

    picked: list[ColumnElement[Any]] = []
    for name, kind in CATALOGUE.items():
        source: Any = {
            Kind.BOOL: h.value_int,
            Kind.INT: h.value_int,
            Kind.CENTS: h.value_int,
            Kind.DAY: h.value_day,
        }.get(kind.type, h.value_text)
        until_then: Any = h.until
        if not kind.always_known:
            source = case((h.contradiction.is_(False), source))
            until_then = case((h.contradiction.is_(False), until_then))
        value = pick(name, source)
        picked += [
            (value != 0 if kind.type is Kind.BOOL else value).label(name),
            pick(name, until_then).label(name + UNTIL),
        ]
        if kind.absent is not None:
            picked.append(pick(name, literal_column("1")).label(name + _MENTIONED))
    known = or_(h.contradiction.is_(False), h.kind.in_([n for n, k in CATALOGUE.items() if k.always_known]))
    if dialect == "sqlite":
        sources: Any = func.json_group_object(h.kind, func.json_array(h.first, h.register, h.known_from))
        none: Any = literal_column("'{}'")
    else:
        sources = func.json_object_agg(h.kind, func.json_build_array(h.first, h.register, h.known_from))
        none = literal_column("'{}'::json")
    wide = select(h.person, *picked, sources.filter(known).label("sources")).group_by(h.person).cte("wide")
    cells: list[ColumnElement[Any]] = []
    for name, kind in CATALOGUE.items():
        said: ColumnElement[Any] = wide.c[name]
        if kind.absent is not None:
            silence = bindparam(f"silence_{name}", type_=column_type(kind.type))
            said = case((wide.c[name + _MENTIONED].is_(None), silence), else_=said)
        cells += [said, wide.c[name + UNTIL]]
    cap = bindparam("cap", type_=Date())
    turn = next_turns.c.turn
    query = (
        select(
            person.c.id,
            on,
            case((and_(turn.is_not(None), turn < cap), turn), else_=cap),
            *(cast(in_household.c[name], Uuid()) for name in HOUSEHOLDS),
            *cells,
            func.coalesce(wide.c.sources, none),
        )
        .select_from(person)
        .outerjoin(wide, wide.c.person == person.c.id)
        .outerjoin(in_household, in_household.c.person == person.c.id)
        .outerjoin(next_turns, next_turns.c.person == person.c.id)
        .where(person.c.id.in_(bindparam("roots", expanding=True)))
    )
    return insert(CURRENT).from_select([c.name for c in CURRENT.columns], query)


async def refresh(session: AsyncSession, person_ids: Iterable[UUID], on: date) -> None:
    """Derives the wide rows of these persons anew, for this day and for all days until something turns."""
    everybody = await aliases(session, person_ids)
    registers = await vouching(session)
    said, _, cap = silences(registers, on)
    defaults = {
        f"silence_{name}": said[name].value if name in said else None
        for name, kind in CATALOGUE.items()
        if kind.absent is not None
    }
    kept = sorted(set(everybody.values()))
    names: dict[UUID, list[UUID]] = defaultdict(list)
    for known_as, root in everybody.items():
        names[root].append(known_as)
    await session.flush()
    statement = _derive(session.get_bind().dialect.name)
    for some in chunks(kept):
        mine = [known_as for root in some for known_as in names[root]]
        # Whoever derives the same persons at the same time waits here, and then sees what we wrote.
        await session.execute(
            select(col(Person.id)).where(col(Person.id).in_(some)).order_by(col(Person.id)).with_for_update()
        )
        for gone in chunks(mine):
            await session.execute(delete(CURRENT).where(CURRENT.c.person_id.in_(gone)))
        await session.execute(statement, {"on": on, "aliases": mine, "roots": some, "cap": cap, **defaults})


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
            elif name in alone:
                households[name] = ()
        found[person_id] = Subject(str(person_id), plainly[person_id].facts, households)
    return found


async def _wide_rows(session: AsyncSession, by: Any, ids: Collection[UUID]) -> dict[UUID, Any]:
    found: dict[UUID, Any] = {}
    for some in chunks(sorted(ids)):
        rows = await session.execute(select(CURRENT).where(by.in_(some)))
        found.update((row.person_id, row) for row in rows)
    return found


def wide_facts(row: Any, kinds: Mapping[UUID, str], said: Mapping[str, Silence]) -> dict[str, Stated]:
    """What a wide row says, and silence where it says nothing."""
    facts = {}
    for name in CATALOGUE:
        value = getattr(row, name)
        if value is None:
            continue
        if name in row.sources:
            since, register, learned = row.sources[name]
            facts[name] = Stated(
                value,
                date.fromisoformat(since),
                getattr(row, name + UNTIL),
                kinds[UUID(register)],
                _moment(learned),
            )
        elif name in said:
            facts[name] = _silent(said[name])
    return facts


def _silent(said: Silence) -> Stated:
    return Stated(said.value, said.since, None, said.register, said.learned_at)


def _moment(written: str) -> datetime:
    read = datetime.fromisoformat(written)
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


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
    plainly = {
        root: Subject(str(root), _facts_on(holdings.get(root, {}), on, registers.kinds, said))
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
            elif name in alone:
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
            select(Membership).where(col(Membership.person_id).in_(some), *_known(Membership, known_at))
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
                col(Membership.household_id).in_(some), *_known(Membership, known_at)
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
                select(Fact).where(by.in_(some), col(Fact.withdrawn).is_(False), *_known(Fact, known_at))
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


def _facts_on(
    rows: Mapping[str, Sequence[Holding]], on: date, kinds: Mapping[UUID, str], said: Mapping[str, Silence]
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
        elif not today and name in said:
            facts[name] = _silent(said[name])
    return facts


async def next_turn_of(session: AsyncSession, person_id: UUID, on: date) -> date:
    """The first day after this one on which something that is known of the person begins or is over."""
    everybody = await aliases(session, [person_id])
    memberships = await _memberships(session, everybody, None)
    holdings = await _holdings(session, everybody, memberships, None)
    _, _, cap = silences(await vouching(session), on)
    turns = [next_turn(rows, on) for kinds in holdings.values() for rows in kinds.values()]
    turns += [
        day
        for rows in memberships.values()
        for row in rows
        for day in (row.valid_from, row.valid_next)
        if day > on
    ]
    return min([*turns, cap])


async def closure(session: AsyncSession, person_ids: Iterable[UUID]) -> set[UUID]:
    """These persons and everybody who shares or shared a household of any kind with one of them."""
    everybody = await aliases(session, person_ids)
    households: set[UUID] = set()
    for some in chunks(list(everybody)):
        rows = await session.execute(
            select(col(Membership.household_id))
            .where(col(Membership.person_id).in_(some), col(Membership.known_until).is_(None))
            .distinct()
        )
        households.update(rows.scalars())
    near = await _members_of(session, households, None)
    return set(everybody.values()) | set((await aliases(session, near)).values())


async def members(session: AsyncSession, household_ids: Iterable[UUID]) -> set[UUID]:
    """Everybody who belongs to one of these households on any day."""
    return set((await aliases(session, await _members_of(session, household_ids, None))).values())
