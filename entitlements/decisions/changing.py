"""What would change a ruling: the smallest sets of facts that, stated otherwise, grant it or end it; no database.

Sought over the leaves of the rule's tree, not by trying every combination: of a failed `&&` every failing side has
to change, of a failed `||` one. What is found is then asked of the rule as a whole, so nothing is promised that
the rule does not say.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import NamedTuple

from entitlements.facts.catalogue import CATALOGUE, department_to_ask
from entitlements.language import Kind, Known, Node, Stated, Subject, Tree, Value, evaluate, trace
from entitlements.language import tree as t
from entitlements.language.interpreter import Traced
from entitlements.rulebook.programmes import Outcome, RuleVersion
from entitlements.rulebook.rules import outcome_of

MOST_FACTS = 3
"""So many facts at once are still something that a person can follow."""
MOST_WAYS = 3
_KEPT = 12
"""Sets kept at each node; what is cut off has more facts than what stays."""
_TRIED = 12
_VALUES = 3

_TRUE, _FALSE = Known(value=True), Known(value=False)
_WANTED = {True: _TRUE, False: _FALSE}
_SOMEBODY = "somebody"
"""The key of a member who is only imagined, where a household has nobody else or is not known."""

Parameters = Mapping[str, Value]


class Change(NamedTuple):
    """That a fact of the person is stated otherwise, or one of somebody else in a household of theirs."""

    fact: str
    value: Value
    household: str = ""
    """Empty: the fact is the person's own."""
    member: str = ""

    @property
    def register(self) -> str:
        """The kind of register that can state it."""
        return department_to_ask(self.fact)


Way = frozenset[Change]


def changeable(fact: str) -> bool:
    """Whether life or a register could make it another: nobody is born another day, and nobody wishes a death."""
    kind = CATALOGUE.get(fact)
    return kind is not None and not kind.always_known and kind.type is not Kind.DAY


def sensible(fact: str, value: Value, whom: Subject, on: date) -> bool:
    """Whether a register could state this of somebody of that age: no pensioner goes to a nursery."""
    ages = CATALOGUE[fact].ages.get(value)
    born = whom.facts.get("birth_date")
    return ages is None or born is None or not isinstance(born.value, date) or ages.fit(born.value, on)


def ways_to_grant(
    version: RuleVersion,
    subject: Subject,
    parameters: Parameters,
    on: date,
    others: Mapping[str, Outcome],
) -> tuple[Way, ...]:
    """The smallest sets of changes, at most three, after which the rule grants."""
    return _confirmed(version, subject, parameters, on, others, grants=True)


def ways_to_end(
    version: RuleVersion,
    subject: Subject,
    parameters: Parameters,
    on: date,
    others: Mapping[str, Outcome],
) -> tuple[Way, ...]:
    """The smallest sets of changes, at most three, after which the rule no longer grants."""
    return _confirmed(version, subject, parameters, on, others, grants=False)


def _confirmed(
    version: RuleVersion,
    subject: Subject,
    parameters: Parameters,
    on: date,
    others: Mapping[str, Outcome],
    *,
    grants: bool,
) -> tuple[Way, ...]:
    search = _Search(parameters, on)
    seen: set[frozenset[tuple[str, str]]] = set()
    found: list[Way] = []
    for way in search.ways(trace(version.condition, subject, parameters, on), subject, want=grants)[:_TRIED]:
        shown = frozenset((change.fact, change.household) for change in way)
        if not way or any(before <= shown for before in seen) or _own_will_do(shown, seen):
            continue
        outcome = outcome_of(version, with_changes(subject, way, on), parameters, on, others)
        if (outcome is Outcome.GRANTED) is grants:
            seen.add(shown)
            found.append(way)
        if len(found) == MOST_WAYS:
            break
    return tuple(found)


def _own_will_do(shown: frozenset[tuple[str, str]], seen: Iterable[frozenset[tuple[str, str]]]) -> bool:
    """Whether the same facts, stated of the person, are on the list already: then a member's add nothing."""
    own = frozenset((fact, "") for fact, _ in shown)
    return own != shown and own in seen


def with_changes(subject: Subject, way: Iterable[Change], on: date) -> Subject:
    """The person as they would be known if all of this were stated from this day on, without an end."""
    households = dict(subject.households)
    facts = dict(subject.facts)
    for change in way:
        stated = Stated(
            change.value, on, None, change.register, datetime(on.year, on.month, on.day, tzinfo=UTC)
        )
        if not change.household:
            facts[change.fact] = stated
            continue
        members = {member.key: member for member in households.get(change.household, ())}
        who = members.get(change.member, Subject(change.member, {}))
        members[change.member] = replace(who, facts={**who.facts, change.fact: stated})
        households[change.household] = tuple(members.values())
    own = replace(subject, facts=facts, households={})
    # The person is one of the members, wherever they are one.
    kept = {
        kind: tuple(own if member.key == subject.key else member for member in members)
        for kind, members in households.items()
    }
    return replace(own, households=kept)


@dataclass(frozen=True, slots=True)
class _Search:
    parameters: Parameters
    on: date

    def ways(self, traced: Traced, subject: Subject, *, want: bool) -> list[Way]:
        """The sets of changes that make this part of the rule come to what is wanted, the smallest first."""
        if traced.result == _WANTED[want]:
            return [frozenset()]
        node, below = traced.node, traced.below
        match node:
            case t.Not():
                return self.ways(below[0], subject, want=not want)
            case t.And() | t.Or():
                parts = [self.ways(part, subject, want=want) for part in below]
                either = want is isinstance(node, t.Or)
                return _either(parts) if either else _all(parts)
            case t.Choose():
                return self._choose(below, subject, want=want)
            case t.AnyMember():
                return self._member(node, below, subject, want=want)
            case t.Fact():
                can_be = changeable(node.name) and sensible(node.name, want, subject, self.on)
                return [frozenset({Change(node.name, want)})] if can_be else []
            case t.Compare() | t.OneOf():
                return _smallest(self._compared(node, subject, want=want))
            case _:
                return []

    def _choose(self, below: Sequence[Traced], subject: Subject, *, want: bool) -> list[Way]:
        found: list[list[Way]] = []
        passed: list[Way] = [frozenset()]
        for when, then in zip(below[:-1:2], below[1::2], strict=True):
            taken = self.ways(when, subject, want=True)
            found.append(_all([passed, taken, self.ways(then, subject, want=want)]))
            passed = _all([passed, self.ways(when, subject, want=False)])
        found.append(_all([passed, self.ways(below[-1], subject, want=want)]))
        return _either(found)

    def _member(
        self, node: t.AnyMember, below: Sequence[Traced], subject: Subject, *, want: bool
    ) -> list[Way]:
        members = subject.households.get(node.household, ())
        asked = [
            _of(member, node.household, self.ways(part, member, want=want))
            if member.key != subject.key
            else self.ways(part, member, want=want)
            for member, part in zip(members, below, strict=True)
        ]
        if not want:
            return _all(asked)
        if all(member.key == subject.key for member in members):
            # Nobody else is there: somebody would have to belong to it of whom it is stated.
            nobody = Subject(_SOMEBODY, {})
            imagined = trace(Tree(node.term), nobody, self.parameters, self.on)
            asked.append(_of(nobody, node.household, self.ways(imagined, nobody, want=True)))
        return _either(asked)

    def _compared(self, node: Node, subject: Subject, *, want: bool) -> Iterator[Way]:
        leaf = Tree(node)
        for fact in dict.fromkeys(part for part in t.walk(node) if isinstance(part, t.Fact)):
            if not changeable(fact.name):
                continue
            fits = 0
            for value in self._values(fact, node, subject):
                if not sensible(fact.name, value, subject, self.on):
                    continue
                changed = {Change(fact.name, value)}
                other = with_changes(subject, changed, self.on)
                if evaluate(leaf, other, self.parameters, self.on) == _WANTED[want]:
                    fits += 1
                    yield frozenset(changed)
                if fits == _VALUES:
                    break

    def _values(self, fact: t.Fact, node: Node, subject: Subject) -> Iterator[Value]:
        """The values worth trying: an enum's members, those that the rule names first; a number's crossing points."""
        match fact.type.kind:
            case Kind.BOOL:
                yield from (True, False)
            case Kind.ENUM:
                named = [p.value for p in t.walk(node) if isinstance(p, t.Literal) and p.type == fact.type]
                yield from dict.fromkeys([*named, *CATALOGUE[fact.name].members])
            case Kind.INT | Kind.CENTS if isinstance(node, t.Compare):
                yield from self._crossings(fact, node, subject)
            case _:
                return

    def _crossings(self, fact: t.Fact, node: t.Compare, subject: Subject) -> Iterator[int]:
        """Around where the two sides are equal, if the fact stands in them in no higher power than one."""

        def difference(value: int) -> int | None:
            other = with_changes(subject, {Change(fact.name, value)}, self.on)
            sides = [
                evaluate(Tree(side), other, self.parameters, self.on) for side in (node.left, node.right)
            ]
            numbers = [s.value for s in sides if isinstance(s, Known) and isinstance(s.value, int)]
            return numbers[0] - numbers[1] if len(numbers) == len(sides) else None

        at_zero, at_one = difference(0), difference(1)
        if at_zero is None or at_one is None or at_one == at_zero:
            return
        crossing = -at_zero // (at_one - at_zero)
        yield from (crossing, crossing + 1, crossing - 1)


def _of(member: Subject, household: str, ways: Iterable[Way]) -> list[Way]:
    return [
        frozenset(change._replace(household=household, member=member.key) for change in way) for way in ways
    ]


def _either(parts: Iterable[Iterable[Way]]) -> list[Way]:
    return _smallest(way for part in parts for way in part)


def _all(parts: Sequence[Sequence[Way]]) -> list[Way]:
    found: list[Way] = [frozenset()]
    for part in parts:
        found = _smallest(joined for one in found for other in part if _agree(joined := one | other))
    return found


def _agree(way: Way) -> bool:
    return len(way) <= MOST_FACTS and len({(c.household, c.member, c.fact) for c in way}) == len(way)


def _smallest(ways: Iterable[Way]) -> list[Way]:
    """The smallest first, the person's own facts before those of others, else as the rule has them."""
    ordered = sorted(dict.fromkeys(ways), key=lambda way: (len(way), sum(bool(c.household) for c in way)))
    kept: list[Way] = []
    for way in ordered:
        if not any(before <= way for before in kept):
            kept.append(way)
        if len(kept) == _KEPT:
            break
    return kept
