"""Two rulebooks over everybody as one statement, and what becomes of each person."""

import hashlib
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
from entitlements.language import Tree
from entitlements.language.sql import Compiled, compile_rules
from entitlements.rulebook.compiled import ALLOWANCE, CHARGE, GROUND, OUTCOME, CompiledBook, compile_book
from entitlements.rulebook.programmes import Outcome, Rulebook, RuleVersion

from . import rules
from .rules import Change
from .together import Side, together

Expression = ColumnElement[Any]
DATED = replace(CURRENT_ROWS, current=False)
"""The wide rows as they stand today, asked about a later day: of each fact it is looked until when it holds."""
LARGEST = "_largest"
"""Ends the name of a column with the most that one person has of what is summed."""
_BORN = "simulation_born_"


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


def asked(side: Side, programme: str) -> str:
    """A hash of all by which a side decides a programme, with what it waits for."""
    told = [side.says(version.programme) for version in needed_for(side, (programme,)).versions]
    return hashlib.sha256(repr(told).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Statement:
    """A rulebook, compiled: its rows, and the amounts that are paid once a year beside them."""

    side: Side
    book: CompiledBook | None
    """None where no programme is in force."""
    source: FromClause
    lump_sums: Compiled | None
    lumps: FromClause | None

    def bind(self, on: date, alone: frozenset[str]) -> dict[str, Any]:
        said = self.book.bind(self.side.parameters, on, alone=alone) if self.book is not None else {}
        return said | (self.lump_sums.bind(self.side.parameters, on) if self.lump_sums is not None else {})

    def beside(self, source: FromClause) -> FromClause:
        """Everybody of the source with what is said of them."""
        if self.book is not None:
            source = source.join(self.source, self.source.c.key == CURRENT.c.person_id)
        if self.lumps is not None:
            source = source.join(self.lumps, self.lumps.c.key == CURRENT.c.person_id)
        return source


def _lump(version: RuleVersion, number: int) -> str:
    return f"{version.programme}__lump{number}"


_KEPT = 8
_kept: dict[tuple[str, ...], _Statement] = {}


def _statement(side: Side, prefix: str) -> _Statement:
    """The statement of these rules; kept, because a draft is looked at page after page, with the amounts handed in."""
    key = (prefix, *(version.rule_hash for version in side.versions))
    if key not in _kept:
        if len(_kept) >= _KEPT:
            _kept.pop(next(iter(_kept)))
        _kept[key] = _compiled(side, prefix)
    return replace(_kept[key], side=side)


def _compiled(side: Side, prefix: str) -> _Statement:
    book = compile_book(side.versions, DATED, prefix) if side.versions else None
    lumps: dict[str, Tree] = {}
    for version in side.versions:
        for n, amount in enumerate(version.amounts):
            label = _lump(version, n)
            lumps[f"{label}_cents"] = amount.cents
            if amount.when is not None:
                lumps[f"{label}_when"] = amount.when
    compiled = compile_rules(lumps, DATED, prefix=f"{prefix}l", says=False) if lumps else None
    return _Statement(
        side,
        book,
        book.select.subquery(f"{prefix}_side") if book else CURRENT,
        compiled,
        compiled.select.subquery(f"{prefix}_lumps") if compiled else None,
    )


@dataclass(frozen=True, slots=True)
class _Decided:
    """What one side decides: where it stands in a statement, and under which names."""

    statement: _Statement
    names: Mapping[str, str]

    def pays(self, programme: str) -> dict[str, bool]:
        """Which sorts of money the rule can come to, whoever the people are."""
        version = self.statement.side.version(self.names.get(programme, ""))
        return {
            "allowances": version is not None and bool(version.allowances),
            "lump_sums": version is not None and bool(version.amounts),
            "charges": version is not None and bool(version.charges),
        }

    def outcome(self, programme: str) -> Expression:
        if programme not in self.names:
            return literal(Outcome.REFUSED.value, String())
        return self.statement.source.c[self.names[programme] + OUTCOME]

    def held(self, programme: str) -> Expression:
        return self.outcome(programme) == literal(Outcome.GRANTED.value, String())

    def ground(self, programme: str) -> Expression:
        if programme not in self.names:
            return literal("", String())
        return func.coalesce(self.statement.source.c[self.names[programme] + GROUND], "")

    def cents(self, programme: str, kind: str) -> Expression:
        """What all kinds of one sort come to in a month."""
        if programme not in self.names:
            return literal(0)
        start = self.names[programme] + kind
        columns = [c for c in self.statement.source.c if c.name.startswith(start)]
        return sum(columns[1:], columns[0]) if columns else literal(0)

    def lump_cents(self, programme: str) -> Expression:
        """What is paid once a year, if it were due on this day."""
        version = self.statement.side.version(self.names.get(programme, ""))
        lumps = self.statement.lumps
        if version is None or lumps is None or not version.amounts:
            return literal(0)
        terms = []
        for n, amount in enumerate(version.amounts):
            label = _lump(version, n)
            whens = [self.held(programme)]
            whens += [lumps.c[f"{label}_when"]] if amount.when is not None else []
            cents = func.coalesce(lumps.c[f"{label}_cents"], 0)
            terms.append(case((and_(*whens), cents), else_=0))
        return sum(terms[1:], terms[0])


class Comparison:
    """Two sides over everybody."""

    def __init__(
        self, before: Side, after: Side, programmes: Sequence[str] | None = None, *, two_days: bool = False
    ) -> None:
        """Only the programmes that can differ are decided, unless others are named.

        Where both sides are asked about one day, what they say alike is decided once.
        """
        self.programmes = tuple(programmes) if programmes is not None else differing(before, after)
        before, after = needed_for(before, self.programmes), needed_for(after, self.programmes)
        self._sides = before, after
        if two_days:
            self.statements = [_statement(before, "b"), _statement(after, "a")]
            self.before, self.after = (
                _Decided(one, {v.programme: v.programme for v in one.side.versions})
                for one in self.statements
            )
        else:
            both = together(before, after, differing(before, after))
            self.statements = [_statement(both.side, "b")]
            self.before = _Decided(self.statements[0], both.before)
            self.after = _Decided(self.statements[0], both.after)

    def bind(self, on: date, alone: frozenset[str], later: date | None = None) -> dict[str, Any]:
        """What the statements must be given; `later`: the day for the second side, where it is another."""
        said: dict[str, Any] = {f"{_BORN}{n}": day for n, day in enumerate(rules.age_limits(on).values())}
        for statement, day in zip(self.statements, (on, later or on), strict=False):
            said |= statement.bind(day, alone)
        return said

    def asked(self, programme: str) -> tuple[str, str]:
        """What is asked about a programme: what decides it before, and after."""
        before, after = self._sides
        return asked(before, programme), asked(after, programme)

    def pays(self, programme: str) -> frozenset[str]:
        """The sums of money that either side can come to."""
        return frozenset(
            f"{name}_{when}"
            for when, decided in (("before", self.before), ("after", self.after))
            for name, paid in decided.pays(programme).items()
            if paid
        )

    def _everybody(self) -> FromClause:
        source: FromClause = CURRENT
        for statement in self.statements:
            source = statement.beside(source)
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
        money = [name for name in names if name.partition("_")[2] in rules.MONEY]
        sums = [func.sum(everybody.c[name]).label(name) for name in names]
        sums += [func.max(everybody.c[name]).label(f"{name}{LARGEST}") for name in money]
        first: Select[Any] = select(
            literal(0).label("part"),
            everybody.c.district.label("one"),
            everybody.c.age.label("other"),
            func.count().label("persons"),
            *sums,
        ).group_by(everybody.c.district, everybody.c.age)
        nothing = [cast(null(), BigInteger()).label(one.name) for one in sums]
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
        return [
            f"{n}_{name}"
            for n, programme in enumerate(self.programmes)
            for name in (*rules.COUNTS, *(m for m in rules.MONEY if m in self.pays(programme)))
        ]

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
                paid = decided.pays(programme)
                columns += [cents.label(f"{n}_{name}_{when}") for name, cents in money.items() if paid[name]]
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
