"""Two rulebooks over everybody as one statement: each decided by itself, and joined person by person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    String,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.selectable import CTE, CompoundSelect, FromClause, Select
from sqlalchemy.types import Date

from entitlements.facts.catalogue import CATALOGUE
from entitlements.facts.models import CURRENT
from entitlements.facts.rows import CURRENT_ROWS
from entitlements.language import Tree, Value
from entitlements.language.sql import Compiled, compile_rules
from entitlements.rulebook.compiled import ALLOWANCE, CHARGE, GROUND, OUTCOME, CompiledBook, compile_book
from entitlements.rulebook.programmes import Outcome, Rulebook, RuleVersion

from . import rules
from .rules import Change

Expression = ColumnElement[Any]
DATED = replace(CURRENT_ROWS, current=False)
"""The wide rows as they stand today, asked about a later day: of each fact it is looked until when it holds."""
_BORN = "simulation_born_"


@dataclass(frozen=True, slots=True)
class Side:
    """The rules and amounts of one day."""

    versions: tuple[RuleVersion, ...]
    """Those that others depend on first."""
    parameters: Mapping[str, Value]

    def says(self, programme: str) -> tuple[str, tuple[tuple[str, Value], ...]] | None:
        """What decides a programme: its rule and the amounts that it uses; None where it has none."""
        version = next((v for v in self.versions if v.programme == programme), None)
        if version is None:
            return None
        used = {name for tree in version.trees() for name in tree.parameters()}
        return version.rule_hash, tuple(sorted((n, v) for n, v in self.parameters.items() if n in used))


def side_of(book: Rulebook, on: date) -> Side:
    """The rules and amounts of a book that are in force on a day."""
    found = (rules.on(on) for rules in (book.programmes[name] for name in book.order()))
    return Side(tuple(version for version in found if version is not None), book.parameters_on(on))


def differing(before: Side, after: Side) -> tuple[str, ...]:
    """The programmes that the two sides can decide differently: another rule or amount, or waiting for such a one."""
    ordered = [version.programme for version in after.versions]
    ordered += [v.programme for v in before.versions if v.programme not in ordered]
    found = {name for name in ordered if before.says(name) != after.says(name)}
    while True:
        waiting = {
            version.programme
            for version in (*before.versions, *after.versions)
            if any(needed.programme in found for needed in version.depends_on)
        }
        if waiting <= found:
            return tuple(name for name in ordered if name in found)
        found |= waiting


def needed_for(side: Side, programmes: Sequence[str]) -> Side:
    """The side with these programmes and those that they wait for."""
    wanted = set(programmes)
    for version in reversed(side.versions):
        if version.programme in wanted:
            wanted |= {needed.programme for needed in version.depends_on}
    return replace(side, versions=tuple(v for v in side.versions if v.programme in wanted))


@dataclass(frozen=True, slots=True)
class _Decided:
    """One side, compiled: its rows, and the amounts that are paid once a year beside them."""

    side: Side
    book: CompiledBook | None
    """None where no programme is in force."""
    source: FromClause
    lump_sums: Compiled | None
    lumps: FromClause | None

    def has(self, programme: str) -> bool:
        return any(version.programme == programme for version in self.side.versions)

    def outcome(self, programme: str) -> Expression:
        if not self.has(programme):
            return literal(Outcome.REFUSED.value, String())
        return self.source.c[programme + OUTCOME]

    def held(self, programme: str) -> Expression:
        return self.outcome(programme) == literal(Outcome.GRANTED.value, String())

    def ground(self, programme: str) -> Expression:
        if not self.has(programme):
            return literal("", String())
        return func.coalesce(self.source.c[programme + GROUND], "")

    def cents(self, programme: str, kind: str) -> Expression:
        """What all kinds of one sort come to in a month."""
        columns = [c for c in self.source.c if c.name.startswith(programme + kind)]
        return sum(columns[1:], columns[0]) if columns else literal(0)

    def lump_cents(self, programme: str) -> Expression:
        """What is paid once a year, if it were due on this day."""
        version = next((v for v in self.side.versions if v.programme == programme), None)
        if version is None or self.lumps is None or not version.amounts:
            return literal(0)
        terms = []
        for n, amount in enumerate(version.amounts):
            label = _lump(self.side, version, n)
            whens = [self.held(programme)]
            whens += [self.lumps.c[f"{label}when"]] if amount.when is not None else []
            cents = func.coalesce(self.lumps.c[f"{label}cents"], 0)
            terms.append(case((and_(*whens), cents), else_=0))
        return sum(terms[1:], terms[0])


def _lump(side: Side, version: RuleVersion, number: int) -> str:
    return f"v{side.versions.index(version)}l{number}"


def _decided(side: Side, prefix: str) -> _Decided:
    book = compile_book(side.versions, DATED, prefix) if side.versions else None
    lumps: dict[str, Tree] = {}
    for version in side.versions:
        for n, amount in enumerate(version.amounts):
            label = _lump(side, version, n)
            lumps[f"{label}cents"] = amount.cents
            if amount.when is not None:
                lumps[f"{label}when"] = amount.when
    compiled = compile_rules(lumps, DATED, prefix=f"{prefix}l") if lumps else None
    return _Decided(
        side,
        book,
        book.select.subquery(f"{prefix}_side") if book else CURRENT,
        compiled,
        compiled.select.subquery(f"{prefix}_lumps") if compiled else None,
    )


class Comparison:
    """Two sides over everybody."""

    def __init__(self, before: Side, after: Side, programmes: Sequence[str] | None = None) -> None:
        """Only the programmes that can differ are decided, unless others are named."""
        self.programmes = tuple(programmes) if programmes is not None else differing(before, after)
        self.before = _decided(needed_for(before, self.programmes), "b")
        self.after = _decided(needed_for(after, self.programmes), "a")

    def bind(self, on: date, alone: frozenset[str], later: date | None = None) -> dict[str, Any]:
        """What the statements must be given; `later`: the day for the second side, where it is another."""
        said: dict[str, Any] = {f"{_BORN}{n}": day for n, day in enumerate(rules.age_limits(on).values())}
        for decided, day in ((self.before, on), (self.after, later or on)):
            if decided.book is not None:
                said |= decided.book.bind(decided.side.parameters, day, alone=alone)
            if decided.lump_sums is not None:
                said |= decided.lump_sums.bind(decided.side.parameters, day)
        return said

    def _everybody(self) -> FromClause:
        source: FromClause = CURRENT
        for decided in (self.before, self.after):
            if decided.book is not None:
                source = source.join(decided.source, decided.source.c.key == CURRENT.c.person_id)
            if decided.lumps is not None:
                source = source.join(decided.lumps, decided.lumps.c.key == CURRENT.c.person_id)
        return source

    def change(self, programme: str, change: Change) -> Expression:
        """Whether this is what becomes of the person."""
        before, after = self.before.held(programme), self.after.held(programme)
        refused = self.after.outcome(programme) == literal(Outcome.REFUSED.value, String())
        match change:
            case Change.GAINS:
                return and_(not_(before), after)
            case Change.LOSES:
                return and_(before, refused)
            case Change.UNCLEAR:
                return and_(before, not_(or_(after, refused)))
            case Change.MOVES:
                return and_(before, after, self.before.ground(programme) != self.after.ground(programme))

    def counts(self) -> CompoundSelect[Any]:
        """Every count and sum, in one pass over everybody.

        Rows of `part` 0 are for a district and an age group, with `0_gains` and so on of each programme by its place;
        those of part n say of programme n - 1 how many go from one ground to another.
        """
        everybody = self._each()
        names = self._sums()
        sums = [func.sum(everybody.c[name]).label(name) for name in names]
        first: Select[Any] = select(
            literal(0).label("part"),
            everybody.c.district.label("one"),
            everybody.c.age.label("other"),
            func.count().label("persons"),
            *sums,
        ).group_by(everybody.c.district, everybody.c.age)
        nothing = [cast(null(), BigInteger()).label(name) for name in names]
        moves = [
            select(
                literal(n + 1).label("part"),
                everybody.c[f"{n}_from"].label("one"),
                everybody.c[f"{n}_to"].label("other"),
                func.count().label("persons"),
                *nothing,
            )
            .where(everybody.c[f"{n}_{Change.MOVES}"] == 1)
            .group_by(everybody.c[f"{n}_from"], everybody.c[f"{n}_to"])
            for n in range(len(self.programmes))
        ]
        return union_all(first, *moves)

    def _sums(self) -> list[str]:
        return [f"{n}_{name}" for n in range(len(self.programmes)) for name in (*rules.COUNTS, *rules.MONEY)]

    def _each(self) -> CTE:
        """One row per person, worked out once for all that is counted."""
        columns: list[Any] = []
        for n, programme in enumerate(self.programmes):
            counted = {
                rules.HELD_BEFORE: self.before.held(programme),
                rules.HELD_AFTER: self.after.held(programme),
                **{change.value: self.change(programme, change) for change in Change},
            }
            columns += [case((holds, 1), else_=0).label(f"{n}_{name}") for name, holds in counted.items()]
            for when, decided in (("before", self.before), ("after", self.after)):
                money = {
                    "allowances": decided.cents(programme, ALLOWANCE),
                    "lump_sums": decided.lump_cents(programme),
                    "charges": decided.cents(programme, CHARGE),
                }
                columns += [cents.label(f"{n}_{name}_{when}") for name, cents in money.items()]
            columns += [
                self.before.ground(programme).label(f"{n}_from"),
                self.after.ground(programme).label(f"{n}_to"),
            ]
        each = select(_district().label("district"), _age().label("age"), *columns)
        return each.select_from(self._everybody()).cte("each_person").prefix_with("MATERIALIZED")

    def totals(self, columns: Sequence[Any]) -> Select[Any]:
        """These sums over everybody."""
        return select(func.count().label("persons"), *columns).select_from(self._everybody())

    def persons(
        self, programme: str, change: Change, *, after: UUID | None = None, limit: int = 100
    ) -> Select[Any]:
        """The ids of those of whom this becomes, in their order."""
        found = select(CURRENT.c.person_id).select_from(self._everybody())
        found = found.where(self.change(programme, change))
        if after is not None:
            found = found.where(CURRENT.c.person_id > after)
        return found.order_by(CURRENT.c.person_id).limit(limit)


def _district() -> Expression:
    if "district" not in CATALOGUE:
        return literal(rules.NOT_KNOWN, String())
    return func.coalesce(CURRENT.c.district, literal(rules.NOT_KNOWN, String()))


def _age() -> Expression:
    born = CURRENT.c.birth_date
    whens = [
        (born > bindparam(f"{_BORN}{n}", type_=Date()), literal(group, String()))
        for n, group in enumerate(rules.AGE_GROUPS)
    ]
    unknown = (born.is_(None), literal(rules.NOT_KNOWN, String()))
    return case(unknown, *whens, else_=literal(rules.OLDEST, String()))


async def plainly(session: AsyncSession) -> None:
    """Spares PostgreSQL from compiling a statement that runs once: it takes longer than the statement."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(text("SET LOCAL jit = off"))
