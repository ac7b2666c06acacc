"""Judges one person by a tree: the answer, the trace of how it came about, its reasons, and when it can change.

Every operation is defined on missing facts (Kleene's three values, as in CEL): a false side settles `&&`
and a true side settles `||` whatever the other is, and what is unknown never becomes yes or no by accident.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from . import tree as t
from .days import ONE_DAY, is_under, month_end, month_start, next_day, reaches
from .messages import Mismatch
from .tree import Node, Tree
from .values import BY_ZERO, OVERFLOW, PRECISE, Fault, Known, Result, Subject, Unknown, Value

Parameters = Mapping[str, Value]
TRUE, FALSE = Known(value=True), Known(value=False)
NO_END = date.max
_DECISIVE: Mapping[type, Known] = {t.And: FALSE, t.Or: TRUE}
_OF_HOUSEHOLDS = (t.AnyMember, t.CountMembers, t.RankAmong)


@dataclass(frozen=True, slots=True)
class Traced:
    """One node of a rule with what it came to for one person, and the same for what lies below it."""

    node: Node
    result: Result
    below: tuple["Traced", ...]


def evaluate(tree: Tree, subject: Subject, parameters: Parameters, on: date) -> Result:
    """What the rule says about this person on this day."""
    return _judge(tree.root, subject, parameters, on)


def trace(tree: Tree, subject: Subject, parameters: Parameters, on: date) -> Traced:
    """The same answer, with the answer of every part."""
    return _trace(tree.root, subject, parameters, on)


def _judge(node: Node, subject: Subject, parameters: Parameters, on: date) -> Result:
    decisive = _DECISIVE.get(type(node))
    if decisive is None:
        below = [_judge(part, whom, parameters, on) for part, whom in _asked(node, subject)]
        return _combine(node, below, subject, parameters, on)
    below = []
    for part in node.parts:
        result = _judge(part, subject, parameters, on)
        if result == decisive:
            return decisive
        below.append(result)
    return _settle(below, decisive)


def _trace(node: Node, subject: Subject, parameters: Parameters, on: date) -> Traced:
    below = tuple(_trace(part, whom, parameters, on) for part, whom in _asked(node, subject))
    return Traced(node, _combine(node, [b.result for b in below], subject, parameters, on), below)


def _asked(node: Node, subject: Subject) -> Iterable[tuple[Node, Subject]]:
    """Which parts are asked of whom: household predicates ask each member, all others the person."""
    if not isinstance(node, _OF_HOUSEHOLDS):
        return [(part, subject) for part in node.parts]
    if isinstance(node, t.RankAmong):
        return [(node.term, whom) for whom in (subject, *others_of(node, subject))]
    return [(node.term, member) for member in subject.households.get(node.household, ())]


def others_of(node: t.RankAmong, subject: Subject) -> tuple[Subject, ...]:
    """Everybody else in the household in which the place is asked for."""
    return tuple(m for m in subject.households.get(node.household, ()) if m.key != subject.key)


def _combine(node: Node, below: list[Result], subject: Subject, parameters: Parameters, on: date) -> Result:
    match node:
        case t.Literal():
            return Known(node.value)
        case t.Fact():
            return _read(node.name, subject, on)
        case t.Parameter():
            if node.name not in parameters:
                raise Mismatch("parameter-without-value", found=node.name, on=on.isoformat())
            return Known(parameters[node.name])
        case t.Today():
            return Known(on)
        case t.Until():
            stated = subject.facts.get(node.fact)
            return Unknown(frozenset({node.fact})) if stated is None else Known(stated.until or NO_END)
        case t.And() | t.Or():
            return _settle(below, _DECISIVE[type(node)])
        case t.Choose():
            return _choose(below)
        case t.AnyMember():
            return _settle(below, TRUE) if node.household in subject.households else _nobody(node.household)
        case t.CountMembers() if node.household not in subject.households:
            return _nobody(node.household)
        case t.RankAmong():
            return rank(node, below, subject)
        case t.Under():
            return open_among(below) or _under(node, _plain(below[0]), subject, on)
        case _:
            return open_among(below) or _calculate(node, [_plain(r) for r in below])


def _read(name: str, subject: Subject, on: date) -> Result:
    stated = subject.facts.get(name)
    if stated is not None and stated.holds(on):
        return Known(stated.value)
    # "Yes, from March to June" also says: not in July. Anything else outside its days says nothing.
    return FALSE if stated is not None and stated.value is True else Unknown(frozenset({name}))


def _nobody(household: str) -> Unknown:
    return Unknown(frozenset({household}))


def _plain(result: Result) -> Value:
    assert isinstance(result, Known)
    return result.value


def open_among(below: Iterable[Result]) -> Unknown | Fault | None:
    """What keeps a calculation from having a value: missing facts first (they may yet heal it), then faults."""
    missing, fault = frozenset[str](), None
    for result in below:
        match result:
            case Unknown():
                missing |= result.facts
            case Fault():
                fault = fault or result
            case Known():
                pass
    return Unknown(missing) if missing else fault


def _settle(below: list[Result], decisive: Known) -> Result:
    if decisive in below:
        return decisive
    return open_among(below) or Known(not decisive.value)


def _choose(below: list[Result]) -> Result:
    for when, then in zip(below[:-1:2], below[1::2], strict=True):
        if when == TRUE:
            return then
        if when != FALSE:
            return when
    return below[-1]


def _under(node: t.Under, years: Value, subject: Subject, on: date) -> Result:
    born = _born(node.born, node.latest, subject)
    if isinstance(born, Unknown):
        return born
    assert isinstance(years, int)
    day = on if node.at == "today" else month_start(on)
    youngest, oldest = is_under(born[1], years, day), is_under(born[0], years, day)
    return Known(youngest) if youngest == oldest else Unknown(frozenset({node.born + PRECISE}))


def _born(name: str, latest: str, subject: Subject) -> tuple[date, date] | Unknown:
    """The first and last day on which somebody may be born; a birth date holds on every day there is."""
    first, last = subject.facts.get(name), subject.facts.get(latest)
    if first is None:
        return Unknown(frozenset({name}))
    last = last or first
    assert isinstance(first.value, date)
    assert isinstance(last.value, date)
    return first.value, max(first.value, last.value)


def rank(node: t.RankAmong, below: list[Result], subject: Subject) -> Result:
    """The place by age, of the answers of the person and of `others_of`; 0 for whom the condition does not hold."""
    if below[0] == FALSE:
        return Known(0)
    if node.household not in subject.households:
        return open_among([below[0], _nobody(node.household)]) or below[0]
    own = _born(node.born, node.latest, subject)
    doubts: list[Result] = [below[0], *([own] if isinstance(own, Unknown) else [])]
    older = 0
    for member, counts in zip(others_of(node, subject), below[1:], strict=True):
        if counts == FALSE:
            continue
        born = _born(node.born, node.latest, member)
        if isinstance(born, Unknown):
            doubts.append(born)
        elif not isinstance(own, Unknown):
            surely = (born[1], member.key) < (own[0], subject.key)
            if surely != ((born[0], member.key) < (own[1], subject.key)):
                doubts += [counts, Unknown(frozenset({node.born + PRECISE}))]
            elif surely:
                older += 1
                doubts.append(counts)
    return open_among(doubts) or Known(older + 1)


def _calculate(node: Node, values: list[Value]) -> Result:
    match node:
        case t.Not():
            return Known(not values[0])
        case t.Negative():
            return _whole(-_int(values[0]))
        case t.Compare():
            return Known(COMPARE[node.operator](values[0], values[1]))
        case t.Arithmetic():
            return calculate(node.operator, *map(_int, values))
        case t.OneOf():
            return Known(values[0] in values[1:])
        case t.Extreme():
            pick = min if node.operator == "least" else max
            return Known(pick(values))
        case t.CountMembers():
            return Known(sum(map(_int, values)))
    raise AssertionError(node)


def _int(value: Value) -> int:
    assert isinstance(value, int)
    return value


def holds_between(sign: str, left: Value, right: Value) -> bool:
    """Whether a comparison holds between two values of one type."""
    return COMPARE[sign](left, right)


def calculate(sign: str, left: int, right: int) -> Result:
    """A sum, difference, product, quotient or remainder of whole numbers of 64 bits."""
    match sign:
        case "+":
            return _whole(left + right)
        case "-":
            return _whole(left - right)
        case "*":
            return _whole(left * right)
    if right == 0:
        return BY_ZERO
    # Towards zero, where Python's own // goes downwards.
    quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    whole = _whole(quotient)
    return whole if sign == "/" or isinstance(whole, Fault) else Known(left - quotient * right)


def _whole(number: int) -> Result:
    return Known(number) if t.INT_MIN <= number <= t.INT_MAX else OVERFLOW


COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def minimal_reasons(tree: Tree, subject: Subject, parameters: Parameters, on: date) -> tuple[Traced, ...]:
    """The fewest parts that made the answer what it is: what failed, what held, or what is missing.

    Of a false `&&` only the failing sides, of a true `||` the first that holds, of an unknown answer the
    parts that are unknown themselves.
    """
    found: dict[Node, Traced] = {}
    for part in _because(trace(tree, subject, parameters, on)):
        found.setdefault(part.node, part)
    return tuple(found.values())


def _because(traced: Traced) -> Iterator[Traced]:
    below, result = traced.below, traced.result
    match traced.node:
        case t.Not():
            yield from _because(below[0])
        case t.And() | t.Or():
            decisive = _DECISIVE[type(traced.node)]
            same_kind = [b for b in below if isinstance(b.result, type(result))]
            if result == TRUE == decisive:
                same_kind = [b for b in below if b.result == TRUE][:1]
            elif result == decisive:
                same_kind = [b for b in below if b.result == decisive]
            for part in same_kind:
                yield from _because(part)
        case t.Choose():
            for when, then in zip(below[:-1:2], below[1::2], strict=True):
                yield from _because(when)
                if when.result != FALSE:
                    if when.result == TRUE:
                        yield from _because(then)
                    return
            yield from _because(below[-1])
        case t.Literal():
            return
        case _:
            yield traced


def turning_days(tree: Tree, subject: Subject, parameters: Parameters) -> tuple[date, ...]:
    """Every day on which the answer could turn merely because time passes, in order."""
    return tuple(sorted(turning_of(tree.moments, subject, parameters)))


def turning_of(
    moments: Iterable[tuple[str, Node]], subject: Subject, parameters: Parameters, after: date = date.min
) -> set[date]:
    """The same for the moments of one tree or of several, in no order; of those up to a day some may be left out."""
    days: set[date] = set()
    for household, node in moments:
        members = (subject, *subject.households.get(household, ())) if household else (subject,)
        if type(node) is t.Fact:
            # Nearly everything that is asked is a fact, and nearly every fact began long ago.
            for whom in members:
                stated = whom.facts.get(node.name)
                if stated is None:
                    continue
                if stated.since > after:
                    days.add(stated.since)
                if stated.until is not None and stated.until >= after:
                    days.add(next_day(stated.until))
                days.update(_around(stated.value))
        else:
            for whom in members:
                days.update(_turning(node, whom, parameters))
    return days


def _turning(node: Node, subject: Subject, parameters: Parameters) -> Iterator[date]:
    match node:
        case t.Until():
            stated = subject.facts.get(node.fact)
            if stated is not None and stated.until is not None:
                yield from _around(stated.until)
        case t.Literal():
            yield from _around(node.value)
        case t.Parameter():
            yield from _around(parameters.get(node.name))
        case t.Under():
            born = _born(node.born, node.latest, subject)
            if not isinstance(born, Unknown):
                asked = node.years
                assert isinstance(asked, t.Literal | t.Parameter)
                years = _int(asked.value if isinstance(asked, t.Literal) else parameters[asked.name])
                for birth in dict.fromkeys(born):
                    reached = reaches(birth, years)
                    yield reached
                    if node.at == "month_start" and reached.day > 1 and reached < month_start(date.max):
                        yield next_day(month_end(reached))
        case _:
            raise AssertionError(node)


def _around(value: Value | None) -> tuple[date, ...]:
    """A comparison with today turns on that very day or on the next, never elsewhere."""
    return (value, next_day(value)) if isinstance(value, date) else ()


def changes_on(tree: Tree, subject: Subject, parameters: Parameters, on: date) -> date | None:
    """The next day on which the answer is another, if nothing new is learned; `None` if never."""
    now = evaluate(tree, subject, parameters, on)
    later = (day for day in turning_days(tree, subject, parameters) if day > on)
    return next((day for day in later if evaluate(tree, subject, parameters, day) != now), None)


def holds_until(tree: Tree, subject: Subject, parameters: Parameters, on: date) -> date | None:
    """The last day of the unbroken time from this day on for which the condition is known to hold; `None`: no end."""
    later = (day for day in turning_days(tree, subject, parameters) if day > on)
    broken = next((day for day in later if evaluate(tree, subject, parameters, day) != TRUE), None)
    return broken and broken - ONE_DAY
