"""Turns rules into one SQL statement that judges everybody at once and means what the interpreter means.

A part of a rule becomes an expression that is NULL where the interpreter says unknown or fault. Which of the two
it is stands beside it, as a number that is zero if nothing is missing: only for parts that can fail, because
elsewhere NULL says it all. What an expression needs more than once (the conditions of a choice, the terms of
least and greatest, whatever is asked of a household) is named in a layer below, a CTE; so no expression grows
with the depth of the rule. Whatever depends on no person is worked out by the interpreter, once for a day, and
handed in as a parameter, and so no database does arithmetic with days.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from functools import partial
from typing import Any, cast

from sqlalchemy import (
    and_,
    bindparam,
    case,
    column,
    false,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
    true,
    type_coerce,
)
from sqlalchemy.engine import RowMapping
from sqlalchemy.sql.elements import BindParameter, ColumnClause, ColumnElement, Grouping
from sqlalchemy.sql.selectable import FromClause, Select
from sqlalchemy.types import TypeEngine

from entitlements.language import tree as t
from entitlements.language.days import ONE_DAY, month_start, years_before
from entitlements.language.interpreter import NO_END, evaluate
from entitlements.language.messages import Mismatch
from entitlements.language.tree import INT_MAX, INT_MIN, Kind, Node, Tree
from entitlements.language.values import NO_RESULT, PRECISE, Fault, Known, Result, Subject, Unknown, Value

from .expressions import (
    BOOLEAN,
    DAY,
    NUMBER,
    TEXT,
    TYPES,
    any_bit,
    is_before,
    is_name,
    names_in,
    not_false,
    number,
    one_or_zero,
    or_zero,
    whole,
)
from .layers import Beside, Layers
from .numbers import ANYTHING, DIVISIONS, FITS, calculated, limits, reach
from .rows import Cell, Expression, Rows

Derive = Callable[[Mapping[str, Value], date], Value | None]

MAX_NAMED = 62
"""How many different missing facts one statement can name: each is a bit of a 64-bit number."""
MAX_DEPTH = 4
"""How deep an expression may nest before it is named in a layer of its own; parsers of databases have limits."""
MAX_TERMS = 40
_COUNTABLE = (0, 2**40)
_OF_HOUSEHOLDS = (t.AnyMember, t.CountMembers, t.RankAmong)
_DEPENDS_ON_PERSONS = (t.Fact, t.Until, t.Under, *_OF_HOUSEHOLDS)
_NOBODY = Subject("", {})
_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


# --- what comes out ------------------------------------------------------------------------------------------


class Says(StrEnum):
    """What a rule says about a person, as a word in a column."""

    GRANTED = "granted"
    REFUSED = "refused"
    VALUE = "value"
    """The rule is no condition, and it has a value."""
    UNDETERMINED = "undetermined"
    FAULT = "fault"


SAYS, MISSING = "__says", "__missing"
"""End the names of the columns that stand beside a rule's value."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement that answers some rules for every row, and what it must be given on a day.

    Its columns: `key`; for each rule, under its label, the value (NULL if there is none); with `__says` what that
    means; and, where it was asked for, with `__missing` the facts that could decide it, as a number to be read.
    """

    select: Select[Any]
    bits: Mapping[str, int]
    """What each bit of the numbers in `__missing` columns stands for."""
    may_miss: frozenset[str]
    """The labels of the rules that can be undetermined; of no other is there ever anything missing."""
    may_fail: frozenset[str]
    """The labels of the rules that can be a fault."""
    _given: Mapping[str, Derive]

    def bind(self, parameters: Mapping[str, Value], on: date) -> dict[str, Value | None]:
        """The statement's parameters for a day: today, ages as days of birth, amounts, and the limits of sums."""
        return {name: derive(parameters, on) for name, derive in self._given.items()}

    def missing(self, number: int) -> frozenset[str]:
        """The names of the facts for which a number in a `__missing` column stands."""
        return frozenset(name for name, bit in self.bits.items() if number & bit)

    def result(self, row: RowMapping, label: str) -> Result:
        """A row's answer as the interpreter would give it; without `__missing` an unknown names nothing."""
        match row[label + SAYS]:
            case Says.UNDETERMINED:
                return Unknown(self.missing(row.get(label + MISSING, 0)))
            case Says.FAULT:
                return NO_RESULT
        return Known(row[label])


def compile_rules(
    rules: Mapping[str, Tree],
    rows: Rows,
    *,
    name_missing: bool = False,
    prefix: str = "r",
    names: Iterable[str] = (),
    says: bool = True,
) -> Compiled:
    """One statement for all these rules; what they have in common is worked out once.

    The prefix keeps the names of two compiled statements apart where they become one. `names` have their bits in
    this order whatever the rules look at, so that the numbers of several statements mean the same. Without `says`
    there are no `__says` columns: where a value is NULL and nothing is missing, it is a fault.
    """
    compiler = _Compiler(rows, prefix, name_missing=name_missing, says=says)
    for name in names if name_missing else ():
        compiler.bit(name)
    return compiler.compile(rules)


@dataclass(frozen=True, slots=True)
class _Said:
    """What became of a part of a rule."""

    value: Expression
    """NULL: unknown or fault."""
    open: Expression | None = None
    """What is missing, as a number: always there if the part can both be unknown and fail."""
    names: frozenset[str] = frozenset()
    """What may be missing; if nothing may, the part is never unknown."""
    fails: bool = False
    """Whether the part may be a fault."""
    layer: int = 0
    """The lowest layer that has everything the expressions name."""
    depth: int = 0
    span: tuple[int, int] = ANYTHING
    """For whole numbers and amounts, the least and the greatest it can be."""

    @property
    def may_be_null(self) -> bool:
        return bool(self.names) or self.fails


def _said_often(roots: Iterable[Node]) -> set[Node]:
    """The parts that stand in more than one place of the rules."""
    seen, often, waiting = set[Node](), set[Node](), list(roots)
    while waiting:
        node = waiting.pop()
        if node in seen:
            often.add(node)
        else:
            seen.add(node)
            waiting.extend(node.parts)
    return often


class _Compiler:
    """Asks each part of some rules once, and then builds the layers from what they need."""

    def __init__(self, rows: Rows, prefix: str, *, name_missing: bool, says: bool = True) -> None:
        self.rows, self.prefix, self.name_missing, self.says = rows, prefix, name_missing, says
        self.layers = Layers(prefix)
        self.asked: dict[Node, _Said] = {}
        self.fixed: dict[Node, _Said] = {}
        self.often: set[Node] = set()
        self.of_members: dict[Node, _Said] = {}
        self.counted: dict[str, dict[Node, int]] = {}
        self.placed: dict[Node | str, str] = {}
        self.given: dict[str, Derive] = {}
        self.bits: dict[str, int] = {}

    def hand_in(self, derive: Derive, type_: TypeEngine[Any]) -> BindParameter[Any]:
        name = f"{self.prefix}_{len(self.given)}"
        self.given[name] = derive
        return bindparam(name, type_=type_)

    def by_name(self, said: _Said) -> _Said:
        """The same, so that it can be said twice."""
        if is_name(said.value) and (said.open is None or is_name(said.open)):
            return said
        value, open_ = said.value, said.open
        if not is_name(value):
            value = self.layers.name(value, said.layer, value.type)
        if open_ is not None and not is_name(open_):
            open_ = self.layers.name(open_, said.layer, NUMBER)
        return replace(said, value=value, open=open_, layer=said.layer + 1, depth=0)

    # --- what is missing -------------------------------------------------------------------------------------

    def bit(self, name: str) -> Expression:
        if not self.name_missing:
            return number(1)
        if name not in self.bits:
            if len(self.bits) == MAX_NAMED:
                raise Mismatch(f"one statement names at most {MAX_NAMED} missing facts; ask for fewer rules")
            self.bits[name] = 1 << len(self.bits)
        return number(self.bits[name])

    def tells_apart(self, names: frozenset[str], *, fails: bool) -> bool:
        """Whether what is missing must be kept beside the value."""
        return bool(names) and (fails or self.name_missing)

    def mask(self, said: _Said) -> Expression | None:
        """What is missing in a part, as a number; `None` if nothing ever is. May say the value once more."""
        if not said.names:
            return None
        return said.open if said.open is not None else one_or_zero(said.value.is_(None))

    def sayable(self, said: _Said) -> _Said:
        """A part whose value and mask can both be written."""
        return self.by_name(said) if said.names and said.open is None else said

    def strict(
        self, parts: Sequence[_Said], build: Callable[..., Expression], *, fails: bool = False
    ) -> _Said:
        """A calculation that has a value exactly where all its parts have one and it does not itself fail."""
        names = frozenset[str]().union(*(part.names for part in parts))
        fails = fails or any(part.fails for part in parts)
        open_ = None
        if self.tells_apart(names, fails=fails):
            parts = [self.sayable(part) for part in parts]
            open_ = any_bit(self.mask(part) for part in parts)
        return self.said(parts, build(*(whole(part.value) for part in parts)), open_, names, fails=fails)

    def said(
        self,
        parts: Iterable[_Said],
        value: Expression,
        open_: Expression | None,
        names: frozenset[str],
        *,
        fails: bool,
    ) -> _Said:
        some = list(parts)
        layer = max((part.layer for part in some), default=0)
        depth = 1 + max((part.depth for part in some), default=0)
        return _Said(value, open_, names, fails, layer, depth)

    # --- parts of a rule -------------------------------------------------------------------------------------

    def ask(self, node: Node) -> _Said:
        """What a part comes to, worked out once however often it stands in the rules."""
        said = self.asked.get(node)
        if said is None:
            said = self.answer(node)
            if said.depth > MAX_DEPTH or node in self.often:
                said = self.by_name(said)
            self.asked[node] = said
        return said

    def answer(self, node: Node) -> _Said:
        if not any(isinstance(part, _DEPENDS_ON_PERSONS) for part in t.walk(node)):
            return self.constant(node)
        match node:
            case t.Fact():
                return self.fact(node)
            case t.Until():
                return self.until(node)
            case t.Not():
                return self.strict([self.ask(node.term)], not_)
            case t.Negative():
                return self.calculation("-", t.Literal(node.type, 0), node.term)
            case t.And():
                return self.settle([self.ask(term) for term in node.terms], and_)
            case t.Or():
                return self.settle([self.ask(term) for term in node.terms], or_)
            case t.Compare():
                return self.strict([self.ask(node.left), self.ask(node.right)], _COMPARE[node.operator])
            case t.Arithmetic():
                return self.calculation(node.operator, node.left, node.right)
            case t.Choose():
                return self.choose(node)
            case t.OneOf():
                return self.one_of(node)
            case t.Extreme():
                return self.extreme(node.operator, [self.ask(term) for term in node.terms])
            case t.Under():
                return self.under(node)
            case t.AnyMember():
                return self.any_member(node)
            case t.CountMembers():
                return self.count_members(node)
            case t.RankAmong():
                return self.rank_among(node)
        raise AssertionError(node)

    def constant(self, node: Node) -> _Said:
        """A part that is the same for everybody: the interpreter works it out."""
        if node not in self.fixed:
            self.fixed[node] = self.work_out(node)
        return self.fixed[node]

    def work_out(self, node: Node) -> _Said:
        tree, type_, span = Tree(node), TYPES[node.type.kind], ANYTHING
        fails = any(isinstance(part, t.Arithmetic | t.Negative) for part in t.walk(node))
        dated = any(isinstance(part, t.Parameter | t.Today) for part in t.walk(node))
        if not dated and node.type.kind in {Kind.INT, Kind.CENTS}:
            result = evaluate(tree, _NOBODY, {}, date.min)
            fails = isinstance(result, Fault)
            if isinstance(result, Known):
                span = (cast("int", result.value), cast("int", result.value))

        def derive(parameters: Mapping[str, Value], on: date) -> Value | None:
            result = evaluate(tree, _NOBODY, parameters, on)
            return result.value if isinstance(result, Known) else None

        return _Said(self.hand_in(derive, type_), fails=fails, span=span)

    def fact(self, node: t.Fact) -> _Said:
        cell = self.cell(node.name)
        expression, type_ = cell.value, TYPES[node.type.kind]
        dated = not self.rows.current and (cell.since is not None or cell.until is not None)
        if node.type.kind is Kind.DAY:
            expression = self.day(expression)
        if dated:
            holds = self.holds(cell)
            # "Yes, from March to June" also says: not in July.
            over = [(cell.value, false())] if node.type.kind is Kind.BOOL else []
            expression = case((holds, expression), *over)
        value = self.layers.from_row("fact", node.name, expression, type_)
        names = frozenset() if cell.always_known and not dated else frozenset({node.name})
        return _Said(value, self.where_null(value, node.name, names), names)

    def cell(self, name: str) -> Cell:
        if name not in self.rows.facts:
            raise Mismatch(f"the rows have no fact {name}")
        return self.rows.facts[name]

    def day(self, expression: Expression) -> Expression:
        """A day, of which the first and the last that can be written are always the same.

        A driver that writes them as "infinity" would else hold them apart from the same days written by others.
        """
        return case(
            (expression > self.on(date.max - ONE_DAY), self.on(date.max)),
            (expression < self.on(date.min + ONE_DAY), self.on(date.min)),
            else_=expression,
        )

    def on(self, day: date) -> Expression:
        return self.constant(t.Literal(t.DAY, day)).value

    def holds(self, cell: Cell) -> ColumnElement[bool]:
        tests: list[ColumnElement[bool]] = []
        today = self.constant(t.Today()).value
        if cell.since is not None:
            tests.append(cell.since <= today)
        if cell.until is not None:
            tests.append(Grouping(or_(cell.until.is_(None), cell.until >= today)))
        return and_(*tests)

    def where_null(self, value: Expression, name: str, names: frozenset[str]) -> Expression | None:
        if not self.tells_apart(names, fails=False):
            return None
        return case((value.is_(None), self.bit(name)), else_=number(0))

    def stated(self, name: str) -> ColumnClause[Any]:
        """A day of birth, which holds on every day there is."""
        return self.layers.from_row("stated", name, self.cell(name).value, DAY)

    def until(self, node: t.Until) -> _Said:
        cell = self.cell(node.fact)
        no_end = self.on(NO_END)
        last = no_end if cell.until is None else func.coalesce(self.day(cell.until), no_end)
        if not cell.always_known:
            last = case((cell.value.is_not(None), last))
        value = self.layers.from_row("until", node.fact, last, DAY)
        names = frozenset() if cell.always_known else frozenset({node.fact})
        return _Said(value, self.where_null(value, node.fact, names), names)

    def settle(self, parts: Sequence[_Said], join: Callable[..., ColumnElement[bool]]) -> _Said:
        """SQL's own AND and OR: one side that decides is enough, and NULL is neither."""
        while len(parts) > MAX_TERMS:
            bundles = (parts[n : n + MAX_TERMS] for n in range(0, len(parts), MAX_TERMS))
            parts = [self.by_name(self.settle(bundle, join)) for bundle in bundles]
        names = frozenset[str]().union(*(part.names for part in parts))
        fails = any(part.fails for part in parts)
        told = self.tells_apart(names, fails=fails)
        parts = [self.sayable(part) for part in parts] if told else parts
        said = self.said(parts, join(*(whole(part.value) for part in parts)), None, names, fails=fails)
        if not told:
            return said
        settled = self.by_name(said)
        missing = or_zero(any_bit(self.mask(part) for part in parts))
        open_ = case((settled.value.is_(None), missing), else_=number(0))
        return replace(settled, open=open_, depth=said.depth)

    def choose(self, node: t.Choose) -> _Said:
        cases = [(self.ask(when), self.ask(then)) for when, then in node.cases]
        last = self.ask(node.otherwise)
        parts = [*(part for pair in cases for part in pair), last]
        names = frozenset[str]().union(*(part.names for part in parts))
        fails = any(part.fails for part in parts)
        told = self.tells_apart(names, fails=fails)
        cases = [
            (
                self.by_name(when) if told or when.may_be_null else when,
                self.sayable(then) if told else then,
            )
            for when, then in cases
        ]
        last = self.sayable(last) if told else last
        # CASE takes ELSE where a condition is NULL; a choice stays open there.
        value = self.cases(cases, null(), [then.value for _, then in cases], last.value)
        open_ = None
        if told:
            masks = [or_zero(self.mask(then)) for _, then in cases]
            open_ = self.cases(cases, None, masks, or_zero(self.mask(last)))
        parts = [*(part for pair in cases for part in pair), last]
        said = self.said(parts, type_coerce(value, last.value.type), open_, names, fails=fails)
        spans = [last.span, *(then.span for _, then in cases)]
        return replace(said, span=(min(low for low, _ in spans), max(high for _, high in spans)))

    def cases(
        self,
        cases: Sequence[tuple[_Said, _Said]],
        undecided: Expression | None,
        chosen: Sequence[Expression],
        last: Expression,
    ) -> Expression:
        """A CASE that stops where a condition is NULL, with `undecided` or else with what the condition misses."""
        whens: list[tuple[Any, Any]] = []
        for (when, _), then in zip(cases, chosen, strict=True):
            if when.may_be_null:
                stop = or_zero(self.mask(when)) if undecided is None else undecided
                whens.append((when.value.is_(None), stop))
            whens.append((whole(when.value), then))
        return case(*whens, else_=last)

    def one_of(self, node: t.OneOf) -> _Said:
        options = [self.constant(option).value for option in node.options]
        if options:
            return self.strict([self.ask(node.item)], lambda item: item.in_(options))
        # Nothing is among nothing, but a missing fact stays missing.
        return self.strict([self.ask(node.item)], lambda item: case((item.is_not(None), false())))

    def extreme(self, which: str, terms: Sequence[_Said]) -> _Said:
        if len(terms) == 1:
            return terms[0]
        if len(terms) > 3:
            half = len(terms) // 2
            return self.extreme(which, [self.extreme(which, terms[:half]), self.extreme(which, terms[half:])])
        first = operator.le if which == "least" else operator.ge

        # GREATEST ignores NULL in one database and not in another; comparisons with NULL hold in none.
        def pick(*values: Expression) -> Expression:
            type_ = values[0].type
            wins = [
                (and_(*(first(one, other) for m, other in enumerate(values) if m != n)), one)
                for n, one in enumerate(values)
            ]
            return type_coerce(case(*wins), type_)

        said = self.strict([self.by_name(term) for term in terms], pick)
        end = min if which == "least" else max
        return replace(said, span=(end(term.span[0] for term in terms), end(term.span[1] for term in terms)))

    def under(self, node: t.Under) -> _Said:
        """Young enough if born after a day: the threshold is worked out for the day, not for the person."""
        cell, years, at = self.cell(node.born), Tree(node.years), node.at

        def threshold(parameters: Mapping[str, Value], on: date) -> date:
            found = evaluate(years, _NOBODY, parameters, on)
            assert isinstance(found, Known)
            return years_before(on if at == "today" else month_start(on), cast("int", found.value))

        limit = self.hand_in(threshold, DAY)
        first = self.stated(node.born)
        names = frozenset() if cell.always_known else frozenset({node.born})
        if not node.latest:
            return _Said(first > limit, self.where_null(first, node.born, names), names, depth=1)
        last = self.stated(node.latest)
        value = case((first > limit, true()), (last > limit, null()), (first <= limit, false()))
        names |= {node.born + PRECISE}
        open_ = None
        if self.name_missing:
            partly = and_(first <= limit, last > limit)
            open_ = case(
                (first.is_(None), self.bit(node.born)),
                (partly, self.bit(node.born + PRECISE)),
                else_=number(0),
            )
        return _Said(type_coerce(value, BOOLEAN), open_, names, depth=1)

    # --- numbers ---------------------------------------------------------------------------------------------

    def calculation(self, sign: str, left: Node, right: Node) -> _Said:
        """A calculation, which is a fault where it leaves 64 bits or divides by zero."""
        one, other = self.ask(left), self.ask(right)
        span = reach(sign, one.span, other.span)
        if span[0] >= INT_MIN and span[1] <= INT_MAX:
            return replace(self.strict([one, other], partial(calculated, sign)), span=span)
        fits = self.bounds(sign, left, right) or FITS[sign]

        def guarded(a: Expression, b: Expression) -> Expression:
            return type_coerce(case((fits(a, b), calculated(sign, a, b))), NUMBER)

        return self.strict([self.by_name(one), self.by_name(other)], guarded, fails=True)

    def bounds(self, sign: str, left: Node, right: Node) -> Callable[[Expression, Expression], Any] | None:
        """Where one side is the same for everybody, the least and the greatest that the other may be."""
        for fixed, side in ((right, "right"), (left, "left")):
            if any(isinstance(part, _DEPENDS_ON_PERSONS) for part in t.walk(fixed)):
                continue
            if sign in DIVISIONS and side == "left":
                continue
            tree = Tree(fixed)

            def derive(end: int, tree: Tree = tree, side: str = side) -> Derive:
                def limit(parameters: Mapping[str, Value], on: date) -> Value | None:
                    found = evaluate(tree, _NOBODY, parameters, on)
                    if not isinstance(found, Known):
                        return None
                    return limits(sign, cast("int", found.value), side)[end]

                return limit

            low, high = (self.hand_in(derive(end), NUMBER) for end in (0, 1))
            if side == "right":
                return lambda a, _: a.between(low, high)
            return lambda _, b: b.between(low, high)
        return None

    # --- households ------------------------------------------------------------------------------------------

    def gather(self, rules: Iterable[Tree]) -> None:
        """Asks first whatever is asked of members, so that all households are looked at in one place.

        A layer that is named twice is read twice by the planner of SQLite, with all below it: households here
        and there on the way up would double the statement each time.
        """
        found = dict.fromkeys(n for rule in rules for n in t.walk(rule.root) if isinstance(n, _OF_HOUSEHOLDS))
        for node in found:
            self.of_members[node.term] = said = self.by_name(self.ask(node.term))
            self.layers.level = max(self.layers.level, said.layer)
        for node in found:
            if isinstance(node, t.RankAmong):
                self.layers.beside.append(self.ranks(node, f"{self.prefix}k{len(self.layers.beside)}"))
                self.placed[node] = self.layers.beside[-1].name
            else:
                self.counted.setdefault(node.household, {}).setdefault(
                    node.term, len(self.counted[node.household])
                )
        for household, terms in self.counted.items():
            self.layers.beside.append(
                self.counts(household, terms, f"{self.prefix}h{len(self.layers.beside)}")
            )
            self.placed[household] = self.layers.beside[-1].name

    def household(self, name: str) -> tuple[ColumnClause[Any], Expression]:
        shared = self.rows.households.get(name)
        if shared is None:
            raise Mismatch(f"the rows have no kind of household {name}")
        return (
            self.layers.from_row("household", name, shared.household, shared.household.type),
            self.layers.from_row("alone", name, shared.alone, BOOLEAN),
        )

    def counts(self, household: str, terms: Mapping[Node, int], name: str) -> Beside:
        """Of each household in which something asked is not false for everybody: for how many it holds, or is open."""
        own, _ = self.household(household)
        columns: list[Expression] = [own.label(f"{name}_household")]
        concerned: list[Expression] = []
        uses = names_in(own)
        for term, place in terms.items():
            said = self.of_members[term]
            uses |= names_in(said.value, *([] if said.open is None else [said.open]))
            columns += [
                func.sum(one_or_zero(whole(said.value))).label(f"{name}_yes{place}"),
                func.sum(one_or_zero(said.value.is_(None))).label(f"{name}_open{place}"),
            ]
            if self.tells_apart(said.names, fails=said.fails):
                columns += self.bits_among(said.names, or_zero(self.mask(said)), f"{name}_missing{place}")
            concerned.append(not_false(said.value, may_be_null=said.may_be_null))

        def build(layer: FromClause) -> Select[Any]:
            return select(*columns).select_from(layer).where(own.is_not(None), or_(*concerned)).group_by(own)

        return Beside(name, own.name, f"{name}_household", uses, build)

    def bits_among(self, names: Iterable[str], mask: Expression, label: str) -> list[Expression]:
        """What is missing for anybody: bit by bit, for not every database joins the bits of many rows."""
        bits = self.bits_of(names)
        return [func.max(whole(mask).bitwise_and(number(bit))).label(f"{label}_{bit}") for bit in bits]

    def bits_of(self, names: Iterable[str]) -> list[int]:
        for name in sorted(names):
            self.bit(name)
        return sorted({self.bits.get(name, 1) for name in names})

    def missing_beside(self, label: str, names: frozenset[str]) -> Expression:
        parts = [column(f"{label}_{bit}", NUMBER) for bit in self.bits_of(names)]
        return func.coalesce(or_zero(any_bit(parts)), number(0))

    def of_household(
        self, household: str, said: _Said, value: Expression, open_: Expression | None, type_: TypeEngine[Any]
    ) -> _Said:
        """An answer by name: what stands beside a layer is seen only from the next one."""
        made = self.layers.name(value, self.layers.level, type_)
        kept = None if open_ is None else self.layers.name(open_, self.layers.level, NUMBER)
        return _Said(made, kept, said.names | {household}, said.fails, self.layers.level + 1)

    def counted_in(
        self, node: t.AnyMember | t.CountMembers
    ) -> tuple[_Said, Callable[[str], Expression], Expression]:
        """What is asked of the members, how to read what was counted, and what is missing among them."""
        said, place = self.of_members[node.term], self.counted[node.household][node.term]
        name = self.placed[node.household]

        def beside(what: str) -> Expression:
            # Households in which it is false for everybody are not counted at all.
            return func.coalesce(column(f"{name}_{what}{place}", NUMBER), number(0))

        missing = self.missing_beside(f"{name}_missing{place}", said.names) if said.names else number(0)
        return said, beside, missing

    def any_member(self, node: t.AnyMember) -> _Said:
        said, beside, missing = self.counted_in(node)
        own, alone = self.household(node.household)
        yes = beside("yes") > number(0)
        value = case(
            (own.is_(None), case((alone, false()))), (yes, true()), (beside("open") == number(0), false())
        )
        open_ = None
        if self.tells_apart(said.names | {node.household}, fails=said.fails):
            unheard = case((alone, number(0)), else_=self.bit(node.household))
            open_ = case((own.is_(None), unheard), (yes, number(0)), else_=missing)
        return self.of_household(node.household, said, value, open_, BOOLEAN)

    def count_members(self, node: t.CountMembers) -> _Said:
        said, beside, missing = self.counted_in(node)
        own, alone = self.household(node.household)
        value = case((own.is_(None), case((alone, number(0)))), (beside("open") == number(0), beside("yes")))
        open_ = None
        if self.tells_apart(said.names | {node.household}, fails=said.fails):
            unheard = case((alone, number(0)), else_=self.bit(node.household))
            open_ = case((own.is_(None), unheard), else_=missing)
        counted = self.of_household(node.household, said, value, open_, NUMBER)
        return replace(counted, span=_COUNTABLE)

    def born(self, node: t.RankAmong) -> tuple[ColumnClause[Any], ColumnClause[Any]]:
        """The first and the last possible day of birth."""
        born = self.stated(node.born)
        if not node.latest:
            return born, born
        first, last = self.cell(node.born).value, self.cell(node.latest).value
        # A last possible day before the first one says nothing.
        bounded = case((last > first, last), else_=first)
        return born, self.layers.from_row(f"latest of {node.born}", node.latest, bounded, DAY)

    def ranks(self, node: t.RankAmong, name: str) -> Beside:
        """For whoever counts: how many others are surely older, and whether that is open."""
        said, key = self.of_members[node.term], self.key()
        own, _ = self.household(node.household)
        born, latest = self.born(node)
        names = said.names | {node.household, node.born, node.born + PRECISE}

        def build(layer: FromClause) -> Select[Any]:
            me, other = layer.alias(f"{name}_me"), layer.alias(f"{name}_other")

            def at(whose: FromClause, what: Expression) -> Expression:
                return whose.c[what.name] if isinstance(what, ColumnClause) else what

            counts = at(other, said.value)
            surely = is_before(at(other, latest), at(other, key), at(me, born), at(me, key))
            maybe = is_before(at(other, born), at(other, key), at(me, latest), at(me, key))
            unborn = at(other, born).is_(None)
            doubtful = or_(unborn, and_(maybe, not_(Grouping(surely))), and_(surely, counts.is_(None)))
            columns: list[Expression] = [
                at(me, key).label(f"{name}_key"),
                func.sum(one_or_zero(surely)).label(f"{name}_older"),
                func.sum(one_or_zero(doubtful)).label(f"{name}_doubts"),
            ]
            if self.tells_apart(names, fails=said.fails):
                open_ = None if said.open is None else at(other, said.open)
                theirs = self.mask(replace(said, value=counts, open=open_))
                missing = case(
                    (unborn, self.bit(node.born)),
                    (surely, or_zero(theirs)),
                    (maybe, or_zero(any_bit([theirs, self.bit(node.born + PRECISE)]))),
                    else_=number(0),
                )
                columns += self.bits_among(names, missing, f"{name}_missing")
            together = and_(at(other, own) == at(me, own), at(other, key) != at(me, key))
            both = [not_false(at(whose, said.value), may_be_null=said.may_be_null) for whose in (me, other)]
            return select(*columns).select_from(me.join(other, together)).where(*both).group_by(at(me, key))

        uses = names_in(own, born, latest, key, said.value, *([] if said.open is None else [said.open]))
        return Beside(name, key.name, f"{name}_key", uses, build)

    def rank_among(self, node: t.RankAmong) -> _Said:
        """One more than those who are surely older; open while somebody may or may not be."""
        said, name = self.of_members[node.term], self.placed[node]
        own, alone = self.household(node.household)
        born, _ = self.born(node)
        names = said.names | {node.household, node.born, node.born + PRECISE}
        settled = or_(own.is_not(None), alone)
        older, doubts = (
            func.coalesce(column(f"{name}_{what}", NUMBER), number(0)) for what in ("older", "doubts")
        )
        value = case(
            (not_(whole(said.value)), number(0)),
            (and_(whole(said.value), born.is_not(None), settled, doubts == number(0)), older + number(1)),
        )
        open_ = None
        if self.tells_apart(names, fails=said.fails):
            unheard = case((settled, number(0)), else_=self.bit(node.household))
            unborn = case((and_(settled, born.is_(None)), self.bit(node.born)), else_=number(0))
            others = self.missing_beside(f"{name}_missing", names)
            masks = any_bit([self.mask(said), unheard, unborn, others])
            open_ = case((not_(whole(said.value)), number(0)), else_=or_zero(masks))
        ranked = self.of_household(node.household, replace(said, names=names), value, open_, NUMBER)
        return replace(ranked, span=_COUNTABLE)

    def key(self) -> ColumnClause[Any]:
        return self.layers.from_row("key", "", self.rows.key, self.rows.key.type)

    # --- the statement ---------------------------------------------------------------------------------------

    def compile(self, rules: Mapping[str, Tree]) -> Compiled:
        self.often = _said_often(rule.root for rule in rules.values())
        self.gather(rules.values())
        key, answers, said_of = self.key(), list[tuple[str, Expression]](), dict[str, _Said]()
        top = self.layers.level + 1 if self.layers.beside else 0
        for label, rule in rules.items():
            said = said_of[label] = self.by_name(self.ask(rule.root))
            top = max(top, said.layer)
            answers += self.columns_of(label, rule, said)
        layer = self.layers.up_to(top, [key, *(expression for _, expression in answers)], self.rows)
        statement = select(
            key.label("key"), *(expression.label(label) for label, expression in answers)
        ).select_from(layer)
        return Compiled(
            statement,
            self.bits,
            frozenset(label for label, said in said_of.items() if said.names),
            frozenset(label for label, said in said_of.items() if said.fails),
            self.given,
        )

    def columns_of(self, label: str, rule: Tree, said: _Said) -> list[tuple[str, Expression]]:
        whens: list[tuple[Any, Any]] = []
        if rule.type.kind is Kind.BOOL:
            whens = [
                (whole(said.value), self.word(Says.GRANTED)),
                (not_(whole(said.value)), self.word(Says.REFUSED)),
            ]
        elif said.may_be_null:
            whens = [(said.value.is_not(None), self.word(Says.VALUE))]
        mask = self.mask(said)
        if mask is not None and said.fails:
            whens.append((whole(mask) == number(0), self.word(Says.FAULT)))
        rest = Says.UNDETERMINED if mask is not None else Says.FAULT if said.fails else Says.VALUE
        says = case(*whens, else_=self.word(rest)) if whens else self.word(rest)
        columns = [(label, said.value), *([(label + SAYS, says)] if self.says else [])]
        # Without words, what is both unknown and able to fail needs the number to be told apart.
        counts = self.name_missing or (not self.says and said.fails and mask is not None)
        return [*columns, (label + MISSING, or_zero(mask))] if counts else columns

    def word(self, word: Says) -> Expression:
        return literal_column(f"'{word.value}'", TEXT)
