"""The cells of a decision table: what each asks of its input, as text, as a condition, and of a value at hand."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from . import tree as t
from .interpreter import holds_between
from .messages import Mismatch, RuleError
from .syntax import Parser
from .tree import Kind, Node, Vocabulary
from .values import Value
from .words import Word, words

Constant = t.Literal | t.Parameter
_LOWER, _UPPER = {True: ">=", False: ">"}, {True: "<=", False: "<"}


@dataclass(frozen=True, slots=True)
class Test:
    """A comparison of the input with one value."""

    operator: str
    value: Constant

    def condition(self, item: Node) -> Node:
        if self.value.type == t.BOOL and isinstance(self.value, t.Literal) and self.operator == "==":
            return item if self.value.value else t.Not(item)
        return t.Compare(self.operator, item, self.value)

    def fits(self, value: Value, parameters: Mapping[str, Value]) -> bool:
        return holds_between(self.operator, value, _resolved(self.value, parameters))

    def constants(self) -> Iterator[Constant]:
        yield self.value

    def __str__(self) -> str:
        shown = _shown(self.value)
        return shown if self.operator == "==" else f"{self.operator} {shown}"


@dataclass(frozen=True, slots=True)
class Interval:
    """Whether the input lies between two values; an end belongs to it or not."""

    low: Constant
    high: Constant
    with_low: bool = True
    with_high: bool = True

    def tests(self) -> tuple[Test, Test]:
        return Test(_LOWER[self.with_low], self.low), Test(_UPPER[self.with_high], self.high)

    def condition(self, item: Node) -> Node:
        return t.And(tuple(test.condition(item) for test in self.tests()))

    def fits(self, value: Value, parameters: Mapping[str, Value]) -> bool:
        return all(test.fits(value, parameters) for test in self.tests())

    def constants(self) -> Iterator[Constant]:
        yield from (self.low, self.high)

    def __str__(self) -> str:
        begin, end = "[" if self.with_low else "(", "]" if self.with_high else ")"
        return f"{begin}{_shown(self.low)}..{_shown(self.high)}{end}"


@dataclass(frozen=True, slots=True)
class Cell:
    """What a row asks of one input: any of some tests, or none of them; without tests, whatever it is."""

    tests: tuple[Test | Interval, ...] = ()
    negated: bool = False

    def condition(self, item: Node) -> Node | None:
        """The cell as a condition on its input; `None` where the input makes no difference."""
        if not self.tests:
            return None
        asked = self._any_of(item)
        return t.Not(asked) if self.negated else asked

    def _any_of(self, item: Node) -> Node:
        if len(self.tests) == 1:
            return self.tests[0].condition(item)
        values = [
            test.value
            for test in self.tests
            if isinstance(test, Test) and test.operator == "==" and isinstance(test.value, t.Literal)
        ]
        if len(values) == len(self.tests):
            return t.OneOf(item, tuple(values))
        return t.Or(tuple(test.condition(item) for test in self.tests))

    def fits(self, value: Value, parameters: Mapping[str, Value]) -> bool:
        """Whether the cell holds for this value of its input."""
        if not self.tests:
            return True
        return any(test.fits(value, parameters) for test in self.tests) is not self.negated

    def constants(self) -> Iterator[Constant]:
        """The values that the cell names."""
        for test in self.tests:
            yield from test.constants()

    def __str__(self) -> str:
        if not self.tests:
            return "-"
        inner = ", ".join(map(str, self.tests))
        return f"not({inner})" if self.negated else inner


ANY = Cell()
_Asks = TypeVar("_Asks", Test, Interval)


def _resolved(constant: Constant, parameters: Mapping[str, Value]) -> Value:
    if isinstance(constant, t.Literal):
        return constant.value
    if constant.name not in parameters:
        raise Mismatch("parameter-without-value", found=constant.name, on="")
    return parameters[constant.name]


def _shown(constant: Constant) -> str:
    return t.show_literal(constant) if isinstance(constant, t.Literal) else t.show(constant)


def values_of(cell: Cell, parameters: Mapping[str, Value]) -> Iterator[Value]:
    """The values that a cell names, its parameters as they are."""
    for constant in cell.constants():
        yield _resolved(constant, parameters)


# --- from text ------------------------------------------------------------------------------------------------


def read_cell(text: str, item: Node, vocabulary: Vocabulary) -> Cell:
    """The cell that a text says about this input; RuleError with the place within the text."""
    found = words(text)
    if len(found) == 1:
        raise RuleError(Mismatch("cell-missing"), 1, 1)
    if len(found) == 2 and found[0].text == "-":
        return ANY
    return _Reader(found, vocabulary, item).cell()


class _Reader(Parser):
    """Reads the words of one cell."""

    def __init__(self, found: list[Word], vocabulary: Vocabulary, item: Node) -> None:
        super().__init__(found, vocabulary)
        self.item = item

    def cell(self) -> Cell:
        negated = self.word.text == "not" and self.words[self.position + 1].text == "("
        if negated:
            self.take()
            self.take()
        tests = [self.test()]
        while self.accept(","):
            tests.append(self.test())
        if negated:
            self.expect(")", "function-open", function="not")
        if self.word.kind != "end":
            raise self.fail("cell-form", found=self.word.text)
        return Cell(tuple(tests), negated)

    def test(self) -> Test | Interval:
        sign = self.word
        if sign.kind == "sign" and sign.text in t.OPERATORS:
            self.take()
            return self.fitting(sign, Test(sign.text, self.constant()))
        if sign.text in {"[", "("}:
            return self.interval(self.take())
        if sign.kind == "sign" and sign.text != "-":
            raise self.fail("cell-form", found=sign.text)
        return self.fitting(sign, Test("==", self.constant()))

    def interval(self, begin: Word) -> Interval:
        low = self.constant()
        if self.accept("..") is None:
            raise self.fail("cell-interval", found=self.word.text or "@end")
        high = self.constant()
        end = self.accept("]", ")")
        if end is None:
            raise self.fail("cell-interval", found=self.word.text or "@end")
        return self.fitting(begin, Interval(low, high, begin.text == "[", end.text == "]"))

    def constant(self) -> Constant:
        place = self.word
        node = self.unary()
        node = self.make(place, lambda: self.towards(node, self.item))
        if not isinstance(node, t.Literal | t.Parameter):
            raise self.fail("cell-constant", place)
        return node

    def fitting(self, place: Word, test: _Asks) -> _Asks:
        self.make(place, lambda: test.condition(self.item))
        for constant in test.constants():
            # `true` beside a number would else become a condition of its own.
            self.make(place, partial(t.Compare, "==", self.item, constant))
        return test


# --- from a condition -----------------------------------------------------------------------------------------


def cell_of(condition: Node) -> tuple[Node, Cell]:
    """The input that a condition asks about, and how a cell would ask it."""
    if isinstance(condition, t.Not):
        found = _asked(condition.term)
        if found is None:
            return condition.term, Cell((Test("==", t.Literal(t.BOOL, value=False)),))
        return found[0], Cell(found[1], negated=True)
    found = _asked(condition)
    if found is None:
        return condition, Cell((Test("==", t.Literal(t.BOOL, value=True)),))
    return found[0], Cell(found[1])


def _asked(node: Node) -> tuple[Node, tuple[Test | Interval, ...]] | None:
    if isinstance(node, t.OneOf) and len(node.options) > 1:
        return node.item, tuple(Test("==", option) for option in node.options)
    if isinstance(node, t.Or):
        found = [_one(term) for term in node.terms]
        items = {part[0] for part in found if part is not None}
        if None in found or len(items) != 1:
            return None
        return items.pop(), tuple(part[1] for part in found if part is not None)
    one = _one(node)
    return None if one is None else (one[0], (one[1],))


def _one(node: Node) -> tuple[Node, Test | Interval] | None:
    match node:
        case t.Compare(operator, item, (t.Literal() | t.Parameter()) as value):
            told = item.type.kind is not Kind.BOOL and not isinstance(item, t.Literal)
            return (item, Test(operator, value)) if told else None
        case t.And((first, second)):
            low, high = _one(first), _one(second)
            if low is None or high is None or low[0] != high[0]:
                return None
            match low[1], high[1]:
                case Test(">=" | ">" as begin, least), Test("<=" | "<" as end, most):
                    return low[0], Interval(least, most, begin == ">=", end == "<=")
    return None
