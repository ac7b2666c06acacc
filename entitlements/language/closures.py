"""A tree made ready to be asked often: functions in place of nodes, which say exactly what the interpreter says."""

from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, cast

from . import tree as t
from .days import month_start, years_before
from .interpreter import (
    COMPARE,
    FALSE,
    NO_END,
    TRUE,
    Parameters,
    calculate,
    evaluate,
    open_among,
    others_of,
    rank,
)
from .tree import Node, Tree
from .values import PRECISE, Known, Result, Subject, Unknown

Ask = Callable[[Subject, Parameters, date], Result]

_READY = "_ready"


def ready(tree: Tree) -> Ask:
    """The tree as a function; made once for each tree."""
    made: Ask | None = tree.__dict__.get(_READY)
    if made is None:
        made = tree.__dict__[_READY] = _make(tree.root)
    return made


def _make(node: Node) -> Ask:
    match node:
        case t.Literal():
            return _always(_plain(Known(node.value)))
        case t.Fact():
            return _fact(node.name)
        case t.Until():
            return _until(node.fact)
        case t.Not():
            return _not(_make(node.term))
        case t.And():
            return _settle([_make(term) for term in node.terms], FALSE, TRUE)
        case t.Or():
            return _settle([_make(term) for term in node.terms], TRUE, FALSE)
        case t.Choose():
            return _choose([(_make(when), _make(then)) for when, then in node.cases], _make(node.otherwise))
        case t.OneOf():
            return _one_of(_make(node.item), frozenset(option.value for option in node.options))
        case t.Under():
            return _under(node)
        case t.AnyMember():
            return _any_member(node.household, _make(node.term))
        case t.CountMembers():
            return _count_members(node.household, _make(node.term))
        case t.RankAmong():
            return _rank_among(node, _make(node.term))
        case t.Parameter():
            return _parameter(node)
        case t.Compare():
            holds = COMPARE[node.operator]
            return _of_two(_make(node.left), _make(node.right), lambda a, b: TRUE if holds(a, b) else FALSE)
        case t.Arithmetic():
            sign = node.operator
            return _of_two(_make(node.left), _make(node.right), lambda a, b: calculate(sign, a, b))
    # The rest is asked seldom, and of the interpreter itself.
    whole = Tree(node)
    return lambda subject, parameters, on: _plain(evaluate(whole, subject, parameters, on))


def _plain(result: Result) -> Result:
    """Of yes and no there is one of each, so that they can be told by identity."""
    if isinstance(result, Known):
        if result.value is True:
            return TRUE
        if result.value is False:
            return FALSE
    return result


def _always(result: Result) -> Ask:
    return lambda _subject, _parameters, _on: result


def _fact(name: str) -> Ask:
    missing = Unknown(frozenset({name}))

    def ask(subject: Subject, parameters: Parameters, on: date) -> Result:
        stated = subject.facts.get(name)
        if stated is None:
            return missing
        value = stated.value
        if stated.since <= on and (stated.until is None or on <= stated.until):
            return TRUE if value is True else FALSE if value is False else Known(value)
        return FALSE if value is True else missing

    return ask


def _until(name: str) -> Ask:
    missing = Unknown(frozenset({name}))

    def ask(subject: Subject, parameters: Parameters, on: date) -> Result:
        stated = subject.facts.get(name)
        return missing if stated is None else Known(stated.until or NO_END)

    return ask


def _not(term: Ask) -> Ask:
    def ask(subject: Subject, parameters: Parameters, on: date) -> Result:
        result = term(subject, parameters, on)
        return FALSE if result is TRUE else TRUE if result is FALSE else result

    return ask


def _settle(terms: Sequence[Ask], decisive: Known, other: Known) -> Ask:
    def ask(subject: Subject, parameters: Parameters, on: date) -> Result:
        some: list[Result] = []
        for term in terms:
            result = term(subject, parameters, on)
            if result is decisive:
                return decisive
            if result is not other:
                some.append(result)
        return (open_among(some) or other) if some else other

    return ask


def _choose(cases: Sequence[tuple[Ask, Ask]], otherwise: Ask) -> Ask:
    def ask(subject: Subject, parameters: Parameters, on: date) -> Result:
        for when, then in cases:
            result = when(subject, parameters, on)
            if result is TRUE:
                return then(subject, parameters, on)
            if result is not FALSE:
                return result
        return otherwise(subject, parameters, on)

    return ask


def _one_of(item: Ask, options: frozenset[object]) -> Ask:
    def ask(subject: Subject, parameters: Parameters, on: date) -> Result:
        result = item(subject, parameters, on)
        if not isinstance(result, Known):
            return result
        return TRUE if result.value in options else FALSE

    return ask


@lru_cache(maxsize=4_096)
def _threshold(day: date, years: int) -> date:
    return years_before(day, years)


def _under(node: t.Under) -> Ask:
    born, latest, years, monthly = node.born, node.latest, _make(node.years), node.at != "today"
    missing, partly = Unknown(frozenset({born})), Unknown(frozenset({born + PRECISE}))

    def ask(subject: Subject, parameters: Parameters, on: date) -> Result:
        first = subject.facts.get(born)
        if first is None:
            return missing
        age = cast("Known", years(subject, parameters, on)).value
        limit = _threshold(month_start(on) if monthly else on, cast("int", age))
        day = cast("date", first.value)
        if day > limit:
            return TRUE
        last = subject.facts.get(latest)
        if last is None or cast("date", last.value) <= limit:
            return FALSE
        return partly

    return ask


def _any_member(household: str, term: Ask) -> Ask:
    missing = Unknown(frozenset({household}))

    def ask(subject: Subject, parameters: Parameters, on: date) -> Result:
        members = subject.households.get(household)
        if members is None:
            return missing
        some: list[Result] = []
        # Everybody is asked, because a fault of one does not outweigh what is missing of another.
        for member in members:
            result = term(member, parameters, on)
            if result is TRUE:
                return TRUE
            if result is not FALSE:
                some.append(result)
        return (open_among(some) or FALSE) if some else FALSE

    return ask


def _count_members(household: str, term: Ask) -> Ask:
    missing = Unknown(frozenset({household}))

    def ask(subject: Subject, parameters: Parameters, on: date) -> Result:
        members = subject.households.get(household)
        if members is None:
            return missing
        some = [term(member, parameters, on) for member in members]
        return open_among(some) or Known(sum(result is TRUE for result in some))

    return ask


def _rank_among(node: t.RankAmong, term: Ask) -> Ask:
    def ask(subject: Subject, parameters: Parameters, on: date) -> Result:
        asked = (subject, *others_of(node, subject))
        return rank(node, [term(whom, parameters, on) for whom in asked], subject)

    return ask


def _parameter(node: t.Parameter) -> Ask:
    name, whole = node.name, Tree(node)

    def ask(subject: Subject, parameters: Parameters, on: date) -> Result:
        # Where it has no value, the interpreter says so.
        return _plain(
            Known(parameters[name]) if name in parameters else evaluate(whole, subject, parameters, on)
        )

    return ask


def _of_two(left: Ask, right: Ask, combine: Callable[[Any, Any], Result]) -> Ask:
    def ask(subject: Subject, parameters: Parameters, on: date) -> Result:
        one, other = left(subject, parameters, on), right(subject, parameters, on)
        if isinstance(one, Known) and isinstance(other, Known):
            return combine(one.value, other.value)
        return open_among([one, other]) or one

    return ask


__all__ = ["Ask", "ready"]
