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
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any, cast

from sqlalchemy import (
    and_,
    bindparam,
    case,
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
from sqlalchemy.sql.elements import BindParameter, ColumnElement, Grouping
from sqlalchemy.types import TypeEngine

from entitlements.language import tree as t
from entitlements.language.days import ONE_DAY, month_start, years_before
from entitlements.language.interpreter import NO_END, evaluate
from entitlements.language.tree import INT_MAX, INT_MIN, Kind, Node, Tree
from entitlements.language.values import PRECISE, Fault, Known, Subject, Value

from .compiled import MISSING, SAYS, Compiled, Derive, Says
from .expressions import BOOLEAN, DAY, NUMBER, TEXT, TYPES, any_bit, is_name, number, or_zero, whole
from .households import OF_HOUSEHOLDS, Households
from .layers import Layers
from .numbers import ANYTHING, DIVISIONS, FITS, calculated, limits, reach
from .rows import Cell, Expression, Rows
from .said import Missing, Said

MAX_DEPTH = 4
"""How deep an expression may nest before it is named in a layer of its own; parsers of databases have limits."""
MAX_TERMS = 40
_DEPENDS_ON_PERSONS = (t.Fact, t.Until, t.Under, *OF_HOUSEHOLDS)
_NOBODY = Subject("", {})
_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


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
        compiler.missing.bit(name)
    return compiler.compile(rules)


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
        self.rows, self.prefix, self.says = rows, prefix, says
        self.layers = Layers(rows, prefix)
        self.missing = Missing(named=name_missing)
        self.households = Households(self.layers, self.missing)
        self.asked: dict[Node, Said] = {}
        self.fixed: dict[Node, Said] = {}
        self.often: set[Node] = set()
        self.given: dict[str, Derive] = {}

    def hand_in(self, derive: Derive, type_: TypeEngine[Any]) -> BindParameter[Any]:
        name = f"{self.prefix}_{len(self.given)}"
        self.given[name] = derive
        return bindparam(name, type_=type_)

    def by_name(self, said: Said) -> Said:
        """The same, so that it can be said twice."""
        if is_name(said.value) and (said.open is None or is_name(said.open)):
            return said
        value, open_ = said.value, said.open
        if not is_name(value):
            value = self.layers.name(value, said.layer, value.type)
        if open_ is not None and not is_name(open_):
            open_ = self.layers.name(open_, said.layer, NUMBER)
        return replace(said, value=value, open=open_, layer=said.layer + 1, depth=0)

    def sayable(self, said: Said) -> Said:
        """A part whose value and mask can both be written."""
        return self.by_name(said) if said.names and said.open is None else said

    def strict(self, parts: Sequence[Said], build: Callable[..., Expression], *, fails: bool = False) -> Said:
        """A calculation that has a value exactly where all its parts have one and it does not itself fail."""
        names = frozenset[str]().union(*(part.names for part in parts))
        fails = fails or any(part.fails for part in parts)
        open_ = None
        if self.missing.tells_apart(names, fails=fails):
            parts = [self.sayable(part) for part in parts]
            open_ = any_bit(self.missing.mask(part) for part in parts)
        return self.said(parts, build(*(whole(part.value) for part in parts)), open_, names, fails=fails)

    def said(
        self,
        parts: Iterable[Said],
        value: Expression,
        open_: Expression | None,
        names: frozenset[str],
        *,
        fails: bool,
    ) -> Said:
        some = list(parts)
        layer = max((part.layer for part in some), default=0)
        depth = 1 + max((part.depth for part in some), default=0)
        return Said(value, open_, names, fails, layer, depth)

    # --- parts of a rule -------------------------------------------------------------------------------------

    def ask(self, node: Node) -> Said:
        """What a part comes to, worked out once however often it stands in the rules."""
        said = self.asked.get(node)
        if said is None:
            said = self.answer(node)
            if said.depth > MAX_DEPTH or node in self.often:
                said = self.by_name(said)
            self.asked[node] = said
        return said

    def answer(self, node: Node) -> Said:
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
                return self.households.any_member(node)
            case t.CountMembers():
                return self.households.count_members(node)
            case t.RankAmong():
                return self.households.rank_among(node)
        raise AssertionError(node)

    def constant(self, node: Node) -> Said:
        """A part that is the same for everybody: the interpreter works it out."""
        if node not in self.fixed:
            self.fixed[node] = self.work_out(node)
        return self.fixed[node]

    def work_out(self, node: Node) -> Said:
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

        return Said(self.hand_in(derive, type_), fails=fails, span=span)

    def fact(self, node: t.Fact) -> Said:
        cell = self.rows.cell(node.name)
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
        return Said(value, self.missing.where_null(value, node.name, names), names)

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

    def until(self, node: t.Until) -> Said:
        cell = self.rows.cell(node.fact)
        no_end = self.on(NO_END)
        last = no_end if cell.until is None else func.coalesce(self.day(cell.until), no_end)
        if not cell.always_known:
            last = case((cell.value.is_not(None), last))
        value = self.layers.from_row("until", node.fact, last, DAY)
        names = frozenset() if cell.always_known else frozenset({node.fact})
        return Said(value, self.missing.where_null(value, node.fact, names), names)

    def settle(self, parts: Sequence[Said], join: Callable[..., ColumnElement[bool]]) -> Said:
        """SQL's own AND and OR: one side that decides is enough, and NULL is neither."""
        while len(parts) > MAX_TERMS:
            bundles = (parts[n : n + MAX_TERMS] for n in range(0, len(parts), MAX_TERMS))
            parts = [self.by_name(self.settle(bundle, join)) for bundle in bundles]
        names = frozenset[str]().union(*(part.names for part in parts))
        fails = any(part.fails for part in parts)
        told = self.missing.tells_apart(names, fails=fails)
        parts = [self.sayable(part) for part in parts] if told else parts
        said = self.said(parts, join(*(whole(part.value) for part in parts)), None, names, fails=fails)
        if not told:
            return said
        settled = self.by_name(said)
        missing = or_zero(any_bit(self.missing.mask(part) for part in parts))
        open_ = case((settled.value.is_(None), missing), else_=number(0))
        return replace(settled, open=open_, depth=said.depth)

    def choose(self, node: t.Choose) -> Said:
        cases = [(self.ask(when), self.ask(then)) for when, then in node.cases]
        last = self.ask(node.otherwise)
        parts = [*(part for pair in cases for part in pair), last]
        names = frozenset[str]().union(*(part.names for part in parts))
        fails = any(part.fails for part in parts)
        told = self.missing.tells_apart(names, fails=fails)
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
            masks = [or_zero(self.missing.mask(then)) for _, then in cases]
            open_ = self.cases(cases, None, masks, or_zero(self.missing.mask(last)))
        parts = [*(part for pair in cases for part in pair), last]
        said = self.said(parts, type_coerce(value, last.value.type), open_, names, fails=fails)
        spans = [last.span, *(then.span for _, then in cases)]
        return replace(said, span=(min(low for low, _ in spans), max(high for _, high in spans)))

    def cases(
        self,
        cases: Sequence[tuple[Said, Said]],
        undecided: Expression | None,
        chosen: Sequence[Expression],
        last: Expression,
    ) -> Expression:
        """A CASE that stops where a condition is NULL, with `undecided` or else with what the condition misses."""
        whens: list[tuple[Any, Any]] = []
        for (when, _), then in zip(cases, chosen, strict=True):
            if when.may_be_null:
                stop = or_zero(self.missing.mask(when)) if undecided is None else undecided
                whens.append((when.value.is_(None), stop))
            whens.append((whole(when.value), then))
        return case(*whens, else_=last)

    def one_of(self, node: t.OneOf) -> Said:
        options = [self.constant(option).value for option in node.options]
        if options:
            return self.strict([self.ask(node.item)], lambda item: item.in_(options))
        # Nothing is among nothing, but a missing fact stays missing.
        return self.strict([self.ask(node.item)], lambda item: case((item.is_not(None), false())))

    def extreme(self, which: str, terms: Sequence[Said]) -> Said:
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

    def under(self, node: t.Under) -> Said:
        """Young enough if born after a day: the threshold is worked out for the day, not for the person."""
        cell, years, at = self.rows.cell(node.born), Tree(node.years), node.at

        def threshold(parameters: Mapping[str, Value], on: date) -> date:
            found = evaluate(years, _NOBODY, parameters, on)
            assert isinstance(found, Known)
            return years_before(on if at == "today" else month_start(on), cast("int", found.value))

        limit = self.hand_in(threshold, DAY)
        first = self.layers.stated(node.born)
        names = frozenset() if cell.always_known else frozenset({node.born})
        if not node.latest:
            return Said(first > limit, self.missing.where_null(first, node.born, names), names, depth=1)
        last = self.layers.stated(node.latest)
        value = case((first > limit, true()), (last > limit, null()), (first <= limit, false()))
        names |= {node.born + PRECISE}
        open_ = None
        if self.missing.named:
            partly = and_(first <= limit, last > limit)
            open_ = case(
                (first.is_(None), self.missing.bit(node.born)),
                (partly, self.missing.bit(node.born + PRECISE)),
                else_=number(0),
            )
        return Said(type_coerce(value, BOOLEAN), open_, names, depth=1)

    # --- numbers ---------------------------------------------------------------------------------------------

    def calculation(self, sign: str, left: Node, right: Node) -> Said:
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

    # --- the statement ---------------------------------------------------------------------------------------

    def compile(self, rules: Mapping[str, Tree]) -> Compiled:
        self.often = _said_often(rule.root for rule in rules.values())
        nodes = (node for rule in rules.values() for node in t.walk(rule.root))
        self.households.gather(nodes, lambda node: self.by_name(self.ask(node)))
        key, answers, said_of = self.layers.key(), list[tuple[str, Expression]](), dict[str, Said]()
        top = self.layers.level + 1 if self.layers.beside else 0
        for label, rule in rules.items():
            said = said_of[label] = self.by_name(self.ask(rule.root))
            top = max(top, said.layer)
            answers += self.columns_of(label, rule, said)
        layer = self.layers.up_to(top, [key, *(expression for _, expression in answers)])
        statement = select(
            key.label("key"), *(expression.label(label) for label, expression in answers)
        ).select_from(layer)
        return Compiled(
            statement,
            self.missing.bits,
            frozenset(label for label, said in said_of.items() if said.names),
            frozenset(label for label, said in said_of.items() if said.fails),
            self.given,
        )

    def columns_of(self, label: str, rule: Tree, said: Said) -> list[tuple[str, Expression]]:
        whens: list[tuple[Any, Any]] = []
        if rule.type.kind is Kind.BOOL:
            whens = [
                (whole(said.value), self.word(Says.GRANTED)),
                (not_(whole(said.value)), self.word(Says.REFUSED)),
            ]
        elif said.may_be_null:
            whens = [(said.value.is_not(None), self.word(Says.VALUE))]
        mask = self.missing.mask(said)
        if mask is not None and said.fails:
            whens.append((whole(mask) == number(0), self.word(Says.FAULT)))
        rest = Says.UNDETERMINED if mask is not None else Says.FAULT if said.fails else Says.VALUE
        says = case(*whens, else_=self.word(rest)) if whens else self.word(rest)
        columns = [(label, said.value), *([(label + SAYS, says)] if self.says else [])]
        # Without words, what is both unknown and able to fail needs the number to be told apart.
        counts = self.missing.named or (not self.says and said.fails and mask is not None)
        return [*columns, (label + MISSING, or_zero(mask))] if counts else columns

    def word(self, word: Says) -> Expression:
        return literal_column(f"'{word.value}'", TEXT)
