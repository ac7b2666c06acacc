"""Doubts about what can be read and yet hardly be meant: comparisons that never hold, sums that never have a result.

A doubt is no error of the language: `true || 1 / 0 > 0` is true, as in CEL. Whoever keeps rules refuses it.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta

from . import tree as t
from .interpreter import calculate, evaluate
from .messages import Mismatch
from .tree import INT_MAX, INT_MIN, Kind, Node, Tree
from .values import BY_ZERO, Fault, Known, Subject, Value

Span = tuple[int, int]
_ANYTHING: Span = (INT_MIN, INT_MAX)
_MEMBERS: Span = (0, 2**40)
_NOBODY = Subject("", {})
_VARIES = (t.Fact, t.Until, t.Under, t.AnyMember, t.CountMembers, t.RankAmong, t.Parameter, t.Today)
_DAYS = date.min.toordinal(), date.max.toordinal()


def doubt(node: Node) -> Mismatch | None:
    """What is doubtful about this part of a rule, its own parts aside."""
    match node:
        case t.Arithmetic() | t.Negative():
            return _about_calculation(node)
        case t.Compare():
            return _about_comparison(node)
        case t.OneOf():
            return _about_list(node)
        case t.And() | t.Or():
            return _about_chain(node)
    return None


def _constant(node: Node) -> bool:
    return not any(isinstance(part, _VARIES) for part in t.walk(node))


def _about_calculation(node: t.Arithmetic | t.Negative) -> Mismatch | None:
    fault = None
    if _constant(node):
        result = evaluate(Tree(node), _NOBODY, {}, date.min)
        # What fails already in a part is told there.
        parts = (evaluate(Tree(part), _NOBODY, {}, date.min) for part in node.parts)
        if isinstance(result, Fault) and not any(isinstance(part, Fault) for part in parts):
            fault = result
    elif isinstance(node, t.Arithmetic) and node.operator in {"/", "%"} and span(node.right) == (0, 0):
        fault = BY_ZERO
    if fault is None:
        return None
    return Mismatch("divides-by-zero" if fault is BY_ZERO or fault.code == BY_ZERO.code else "overflow")


def _about_comparison(node: t.Compare) -> Mismatch | None:
    if _constant(node):
        result = evaluate(Tree(node), _NOBODY, {}, date.min)
        if isinstance(result, Known):
            return Mismatch("always-true" if result.value else "never-true")
        return None
    if node.left == node.right:
        return Mismatch("always-true" if node.operator in {"==", "<=", ">="} else "never-true")
    if node.left.type.kind not in {Kind.INT, Kind.CENTS}:
        return None
    left, right = span(node.left), span(node.right)
    if _never(node.operator, left, right):
        return Mismatch("never-true")
    if _never(_OPPOSITE[node.operator], left, right):
        return Mismatch("always-true")
    return None


_OPPOSITE: Mapping[str, str] = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def _never(operator: str, left: Span, right: Span) -> bool:
    match operator:
        case "<":
            return left[0] >= right[1]
        case "<=":
            return left[0] > right[1]
        case ">":
            return left[1] <= right[0]
        case ">=":
            return left[1] < right[0]
        case "==":
            return left[1] < right[0] or right[1] < left[0]
    return left == right and left[0] == left[1]


def span(node: Node) -> Span:
    """The least and the greatest that a number can be."""
    match node:
        case t.Literal():
            return (int(node.value), int(node.value)) if isinstance(node.value, int) else _ANYTHING
        case t.CountMembers() | t.RankAmong():
            return _MEMBERS
        case t.Extreme() if node.type.kind is not Kind.DAY:
            spans = [span(term) for term in node.terms]
            end = min if node.operator == "least" else max
            return end(low for low, _ in spans), end(high for _, high in spans)
        case t.Choose() if node.type.kind in {Kind.INT, Kind.CENTS}:
            spans = [span(node.otherwise), *(span(then) for _, then in node.cases)]
            return min(low for low, _ in spans), max(high for _, high in spans)
        case t.Arithmetic() if node.operator in {"+", "-", "*"}:
            ends = [calculate(node.operator, a, b) for a in span(node.left) for b in span(node.right)]
            known = [end.value for end in ends if isinstance(end, Known) and isinstance(end.value, int)]
            return (min(known), max(known)) if len(known) == len(ends) else _ANYTHING
    return _ANYTHING


def _about_list(node: t.OneOf) -> Mismatch | None:
    if not node.options:
        return Mismatch("never-true")
    seen: set[Value] = set()
    for option in node.options:
        if option.value in seen:
            return Mismatch("option-twice", found=str(option.value))
        seen.add(option.value)
    return None


def _about_chain(node: t.And | t.Or) -> Mismatch | None:
    if len(set(node.terms)) < len(node.terms):
        return Mismatch("said-twice")
    if isinstance(node, t.Or):
        return None
    limits: dict[Node, list[t.Compare | t.OneOf]] = {}
    for term in node.terms:
        if isinstance(term, t.Compare) and isinstance(term.right, t.Literal):
            limits.setdefault(term.left, []).append(term)
        elif isinstance(term, t.OneOf):
            limits.setdefault(term.item, []).append(term)
    for item, tests in limits.items():
        if len(tests) > 1 and not any(_holds(tests, value) for value in _samples(item, tests)):
            return Mismatch("never-together", found=t.show(item))
    return None


def _samples(item: Node, tests: Iterable[t.Compare | t.OneOf]) -> Iterator[Value]:
    """Values enough to find one for which all tests hold, if there is any: those named, and their neighbours."""
    for test in tests:
        for literal in test.options if isinstance(test, t.OneOf) else (test.right,):
            assert isinstance(literal, t.Literal)
            yield literal.value
            match literal.value:
                case bool() | str():
                    pass
                case int(number):
                    yield from (near for near in (number - 1, number + 1) if INT_MIN <= near <= INT_MAX)
                case date() as day:
                    ordinal = day.toordinal()
                    yield from (
                        day + timedelta(step) for step in (-1, 1) if _DAYS[0] <= ordinal + step <= _DAYS[1]
                    )
    if item.type.kind is Kind.BOOL:
        yield from (True, False)
    elif item.type.kind in {Kind.ENUM, Kind.STRING}:
        yield "\0"  # one that is not named


def _holds(tests: Iterable[t.Compare | t.OneOf], value: Value) -> bool:
    def test(one: t.Compare | t.OneOf) -> bool:
        at = t.Literal(one.parts[0].type, value)
        asked = (
            t.OneOf(at, one.options) if isinstance(one, t.OneOf) else t.Compare(one.operator, at, one.right)
        )
        return evaluate(Tree(asked), _NOBODY, {}, date.min) == Known(value=True)

    return all(test(one) for one in tests)
