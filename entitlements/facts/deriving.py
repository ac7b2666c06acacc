"""Derives the wide row of each person from the history: one statement, put together from its steps."""

from collections.abc import Mapping
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
    false,
    func,
    insert,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col

from core.bulk import among, table_of
from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS
from entitlements.facts.models import CURRENT, Fact, column_type
from entitlements.facts.rules import OPEN
from entitlements.language import Kind
from entitlements.people.models import Membership, Person

ON: ColumnElement[Any] = bindparam("on", type_=Date())
VALUES = ("value_int", "value_text", "value_day")
_ROOT = func.coalesce(Person.merged_into, Person.id)


@cache
def derive(dialect: str) -> Insert:
    """The statement that derives the wide rows of some persons.

    Its parameters: `on`, the day; `aliases`, every id of these persons, and `roots`, those that they have today;
    `households`, in which any of them is or will be; `cap`, the next day on which a register's silence begins to mean something; `silence_<fact>` for each fact of
    which silence can mean something, what it says on that day.
    """
    living = _living()
    pieces, unread = union_all(_own(), _shared(living)).cte("pieces"), _unread()
    holds = _holds(pieces)
    return insert(CURRENT).from_select(
        [column.name for column in CURRENT.columns],
        _rows(holds, _unsure(holds, unread), _in_household(), _next_turns(pieces, living, unread), dialect),
    )


def _later(a: Any, b: Any) -> Any:
    return case((a > b, a), else_=b)


def _earlier(a: Any, b: Any) -> Any:
    return case((a < b, a), else_=b)


# ---- what is known of whom, from today on ----


def _own() -> Any:
    """What is stated of the persons themselves."""
    return (
        select(
            _ROOT.label("person"),
            *(col(getattr(Fact, name)).label(name) for name in ("kind", *VALUES)),
            col(Fact.valid_from).label("first"),
            col(Fact.valid_until).label("last"),
            col(Fact.valid_next).label("following"),
            col(Fact.register_id).label("register"),
            col(Fact.known_from).label("known_from"),
        )
        .join(Person, col(Person.id) == col(Fact.person_id))
        .where(
            among(col(Fact.person_id), "aliases"),
            col(Fact.known_until).is_(None),
            col(Fact.withdrawn).is_(False),
            col(Fact.valid_next) > ON,
        )
    )


def _living() -> Any:
    """Who belongs to which household, now and later."""
    return (
        select(
            _ROOT.label("person"),
            *(
                col(getattr(Membership, name)).label(name)
                for name in ("household_id", "valid_from", "valid_until", "valid_next", "known_from")
            ),
        )
        .join(Person, col(Person.id) == col(Membership.person_id))
        .where(
            among(col(Membership.person_id), "aliases"),
            col(Membership.known_until).is_(None),
            col(Membership.valid_next) > ON,
        )
        .cte("living")
    )


def _shared(living: Any) -> Any:
    """What is stated of a household, for each member and the days on which they belong to it."""
    w = living.c
    return (
        select(
            w.person,
            *(col(getattr(Fact, name)).label(name) for name in ("kind", *VALUES)),
            _later(col(Fact.valid_from), w.valid_from).label("first"),
            _earlier(col(Fact.valid_until), w.valid_until).label("last"),
            _earlier(col(Fact.valid_next), w.valid_next).label("following"),
            col(Fact.register_id).label("register"),
            _later(col(Fact.known_from), w.known_from).label("known_from"),
        )
        .join(living, w.household_id == col(Fact.household_id))
        .where(
            # Said twice, so that the database begins with these few households and not with all facts.
            among(col(Fact.household_id), "households"),
            col(Fact.known_until).is_(None),
            col(Fact.withdrawn).is_(False),
            col(Fact.valid_next) > ON,
            col(Fact.valid_from) < w.valid_next,
            w.valid_from < col(Fact.valid_next),
        )
    )


# ---- what holds today, and until when ----


def _several(pieces: Any) -> Any:
    """Of what there is more to say about a person than one piece: only that has to be settled."""
    p = pieces.c
    return select(p.person, p.kind).group_by(p.person, p.kind).having(func.count() > 1).cte("several")


def _among_several(p: Any, several: Any) -> ColumnElement[bool]:
    # Not as EXISTS: to look into a set that is most often empty, PostgreSQL would sort all pieces.
    return tuple_(p.person, p.kind).in_(select(several.c.person, several.c.kind))


def _today(pieces: Any, several: Any) -> Any:
    """What holds today of several pieces, one row per person and fact. Values of registers that differ contradict."""
    p = pieces.c
    differs = or_(*(func.coalesce(func.min(p[name]) != func.max(p[name]), False) for name in VALUES))
    return (
        select(
            p.person,
            p.kind,
            *(func.max(p[name]).label(name) for name in VALUES),
            differs.label("contradiction"),
            func.min(p.first).label("first"),
            func.max(p.last).label("last"),
            func.max(p.following).label("following"),
            cast(func.max(cast(p.register, String(36))), Uuid()).label("register"),
            func.max(p.known_from).label("known_from"),
        )
        .where(p.first <= ON, _among_several(p, several))
        .group_by(p.person, p.kind)
        .cte("today")
    )


def _prolonged(pieces: Any, today: Any) -> Any:
    """Until when the next periods of the same value carry on, without a gap; few have one, and only they are sorted."""
    p, t = pieces.c, today.c
    coming = (
        select(p.person, p.kind, p.first, p.last, p.following)
        .join(today, and_(t.person == p.person, t.kind == p.kind))
        .where(p.first > ON, *(p[name].is_not_distinct_from(t[name]) for name in VALUES))
    )
    future = select(p.person, p.kind).where(p.first > ON).distinct().cte("future")
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
    return (
        select(r.person, r.kind, func.max(r.last).label("last"))
        .where(r.run == 0)
        .group_by(r.person, r.kind)
        .cte("prolonged")
    )


def _holds(pieces: Any) -> Any:
    """What holds today and its last day, NULL where that is open."""
    p, several = pieces.c, _several(pieces)
    today = _today(pieces, several)
    t, prolonged = today.c, _prolonged(pieces, today)
    until = func.coalesce(prolonged.c.last, t.last)
    settled = select(
        t.person,
        t.kind,
        *(t[name] for name in VALUES),
        t.contradiction,
        t.first,
        case((until == OPEN, None), else_=until).label("until"),
        t.register,
        t.known_from,
    ).outerjoin(prolonged, and_(prolonged.c.person == t.person, prolonged.c.kind == t.kind))
    # Most that is known of somebody was said once, and holds as it stands.
    plain = select(
        p.person,
        p.kind,
        *(p[name] for name in VALUES),
        false().label("contradiction"),
        p.first,
        case((p.last == OPEN, None), else_=p.last).label("until"),
        p.register,
        p.known_from,
    ).where(p.first <= ON, ~_among_several(p, several))
    return union_all(plain, settled).cte("holds")


# ---- households, and the next day on which anything changes ----


def _in_household() -> Any:
    """The household of each kind: the one stated last, where two registers or two merged persons differ."""
    members = (
        select(
            _ROOT.label("person"),
            col(Membership.kind).label("kind"),
            col(Membership.household_id).label("household"),
            func.row_number()
            .over(
                partition_by=(_ROOT, col(Membership.kind)),
                order_by=(
                    col(Membership.confirmed_at).desc(),
                    cast(col(Membership.household_id), String(36)).desc(),
                ),
            )
            .label("place"),
        )
        .join(Person, col(Person.id) == col(Membership.person_id))
        .where(
            among(col(Membership.person_id), "aliases"),
            col(Membership.known_until).is_(None),
            col(Membership.valid_from) <= ON,
            col(Membership.valid_next) > ON,
        )
        .cte("members")
    )
    m = members.c
    return (
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


def _next_turns(pieces: Any, living: Any, unread: Any) -> Any:
    """The next day on which anything that is known of the person, or could not be read, begins or is over."""
    p, w, u = pieces.c, living.c, unread.c
    turns = union_all(
        select(p.person, func.min(case((p.first > ON, p.first), else_=p.following)).label("turn")).group_by(
            p.person
        ),
        select(
            w.person, func.min(case((w.valid_from > ON, w.valid_from), else_=w.valid_next)).label("turn")
        ).group_by(w.person),
        select(u.person, func.min(case((u.first > ON, u.first), else_=u.following)).label("turn")).group_by(
            u.person
        ),
    ).cte("turns")
    return (
        select(turns.c.person, func.min(turns.c.turn).label("turn"))
        .group_by(turns.c.person)
        .cte("next_turns")
    )


# ---- the wide row ----


def _pivot(holds: Any, cells: dict[str, ColumnElement[Any]], *where: ColumnElement[bool]) -> Any:
    """One row per person with a column for each fact: what `cells` takes from the row about it."""
    h = holds.c
    return (
        select(
            h.person,
            *(
                func.max(case((h.kind == literal_column(f"'{name}'"), cell))).label(name)
                for name, cell in cells.items()
            ),
        )
        .where(*where)
        .group_by(h.person)
    )


def _values(holds: Any) -> Any:
    h = holds.c
    cells = {}
    for name, kind in CATALOGUE.items():
        source: Any = {
            Kind.BOOL: h.value_int,
            Kind.INT: h.value_int,
            Kind.CENTS: h.value_int,
            Kind.DAY: h.value_day,
        }.get(kind.type, h.value_text)
        cells[name] = source
    return _pivot(holds, cells, _counts(h)).cte("wide")


def _counts(h: Any) -> ColumnElement[bool]:
    """Where registers contradict each other nothing is known, but of what must be known the greatest value counts."""
    certain = [name for name, kind in CATALOGUE.items() if kind.always_known]
    return or_(h.contradiction.is_(False), h.kind.in_(certain))


def _ends(holds: Any) -> Any:
    """The last days; most facts are open, and few rows are looked at."""
    h = holds.c
    return _pivot(holds, dict.fromkeys(CATALOGUE, h.until), _counts(h), h.until.is_not(None)).cte("ends")


def _unread() -> Any:
    """Of what something was said that nobody could read, a kind of household among it, now and later."""
    return (
        select(
            _ROOT.label("person"),
            col(Fact.kind).label("kind"),
            col(Fact.valid_from).label("first"),
            col(Fact.valid_next).label("following"),
        )
        .join(Person, col(Person.id) == col(Fact.person_id))
        .where(
            among(col(Fact.person_id), "aliases"),
            col(Fact.known_until).is_(None),
            col(Fact.unread),
            col(Fact.valid_next) > ON,
        )
        .cte("unread")
    )


def _unsure(holds: Any, unread: Any) -> Any:
    """Of what registers contradict each other, or one could not be read: that is not the silence that means no."""
    h, u = holds.c, unread.c
    contested = select(h.person, h.kind).where(h.contradiction)
    unsure = union_all(contested, select(u.person, u.kind).where(u.first <= ON)).cte("unsure_of")
    names = [name for name, kind in CATALOGUE.items() if kind.absent is not None and not kind.always_known]
    return _pivot(unsure, dict.fromkeys([*names, *HOUSEHOLDS], literal_column("1"))).cte("unsure")


def _sources(holds: Any, dialect: str) -> Any:
    """Since when, from which register and when learned, each with all facts of which it is true (see `sources_of`)."""
    h = holds.c
    lite = dialect == "sqlite"
    together: Any = func.group_concat(h.kind, " ") if lite else func.string_agg(h.kind, " ")
    alike = (
        select(h.person, h.first, h.register, h.known_from, together.label("kinds"))
        .where(_counts(h))
        .group_by(h.person, h.first, h.register, h.known_from)
        .cte("alike")
    )
    a = alike.c
    said = cast(a.first, String) + "|" + cast(a.register, String(36)) + "|" + cast(a.known_from, String)
    gathered: Any = func.json_group_object(said, a.kinds) if lite else func.json_object_agg(said, a.kinds)
    return select(a.person, gathered.label("sources")).group_by(a.person).cte("sources")


def _rows(holds: Any, unsure: Any, in_household: Any, next_turns: Any, dialect: str) -> Any:
    """The finished rows: with what silence means, and for persons of whom nothing is known."""
    person, turn = table_of(Person), next_turns.c.turn
    wide, ends = _values(holds), _ends(holds)
    sources = _sources(holds, dialect)
    cells: list[ColumnElement[Any]] = []
    for name, kind in CATALOGUE.items():
        said: ColumnElement[Any] = wide.c[name]
        if kind.type is Kind.BOOL:
            said = said != 0
        if kind.absent is not None:
            silence = bindparam(f"silence_{name}", type_=column_type(kind.type))
            silent = wide.c[name].is_(None)
            if not kind.always_known:
                silent = and_(silent, unsure.c[name].is_(None))
            said = case((silent, silence), else_=said)
        cells += [said, ends.c[name]]
    cap = bindparam("cap", type_=Date())
    nothing: Any = literal_column("'{}'" if dialect == "sqlite" else "'{}'::json")
    rows: Any = person
    for one in (wide, ends, unsure, sources, in_household, next_turns):
        rows = rows.outerjoin(one, one.c.person == person.c.id)
    return (
        select(
            person.c.id,
            ON,
            case((and_(turn.is_not(None), turn < cap), turn), else_=cap),
            *(cast(in_household.c[name], Uuid()) for name in HOUSEHOLDS),
            *(
                case((and_(in_household.c[name].is_(None), unsure.c[name].is_not(None)), true()))
                for name in HOUSEHOLDS
            ),
            *cells,
            func.coalesce(sources.c.sources, nothing),
        )
        .select_from(rows)
        .where(among(person.c.id, "roots"))
    )


def sources_of(kept: Mapping[str, str]) -> dict[str, tuple[date, UUID, datetime]]:
    """By fact: since when it holds, which register said so, and when the city learned of it."""
    found = {}
    for said, names in kept.items():
        first, register, known_from = said.split("|")
        learned = datetime.fromisoformat(known_from)
        source = (
            date.fromisoformat(first),
            UUID(register),
            learned.replace(tzinfo=UTC) if learned.tzinfo is None else learned.astimezone(UTC),
        )
        found.update(dict.fromkeys(names.split(" "), source))
    return found
