"""Rulings for many people: who is alike in everything that a rule looks at is told the same, and it is worked out once.

Most of a city is: whoever receives nothing differs from the next only in facts that no rule asks about, and in a
birthday that no threshold still lies before.
"""

import json
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, cast

from entitlements.decisions.rules import digest, said
from entitlements.language import Known, Subject, Tree, Value, evaluate
from entitlements.language import tree as t
from entitlements.language.days import month_start, reaches
from entitlements.rulebook.programmes import Outcome, RuleVersion
from entitlements.rulebook.rules import Ruling, decide

_NOBODY = Subject("", {})
PAST = 1
"""Stands for an age that is reached, and was all this month; 0 for a birth date that is not known."""


@dataclass(slots=True)
class Weighed:
    """A ruling, and what is kept of it; both are worked out when they are asked for, and shared."""

    ruling: Ruling
    _digest: str | None = None
    _written: tuple[str, str, str] | None = None

    @property
    def digest(self) -> str:
        if self._digest is None:
            self._digest = digest(self.ruling)
        return self._digest

    @property
    def written(self) -> tuple[str, str, str]:
        """Its reasons, what is missing and what it brings, as JSON."""
        if self._written is None:
            kept = said(self.ruling)
            self._written = (json.dumps(kept.reasons), json.dumps(kept.missing), json.dumps(kept.brings))
        return self._written


@dataclass(frozen=True, slots=True)
class _Looks:
    """What a version looks at in one person."""

    facts: tuple[str, ...]
    ages: tuple[tuple[str, str, tuple[int, ...]], ...]
    """The first and the last possible day of birth, and the ages that are asked about."""


@dataclass(slots=True)
class Docket:
    """One version on one day, with its parameters: everybody who is alike gets the ruling that was given first."""

    version: RuleVersion
    parameters: Mapping[str, Value]
    on: date
    _own: _Looks = field(init=False)
    _homes: tuple[tuple[str, _Looks, bool], ...] = field(init=False)
    """By kind of household what is asked of its members, and whether their order by age matters."""
    _given: dict[Hashable, Weighed] = field(init=False, default_factory=dict)
    _ages: dict[Hashable, Hashable] = field(init=False, default_factory=dict)
    _first: date = field(init=False)
    _named: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        own, homes, ranked = list[t.Node](), dict[str, list[t.Node]](), set[str]()

        def gather(node: t.Node, into: list[t.Node]) -> None:
            if isinstance(node, t.AnyMember | t.CountMembers | t.RankAmong):
                into = homes.setdefault(node.household, [])
                if isinstance(node, t.RankAmong):
                    ranked.add(node.household)
            into.append(node)
            for part in node.parts:
                gather(part, into)

        for tree in self.version.trees():
            gather(tree.root, own)
        self._first = month_start(self.on)
        self._own = self._looks([*own, t.Fact("deceased", t.BOOL)])
        self._named = tuple(sorted(self.version.looks_at))
        self._homes = tuple(
            (kind, self._looks(nodes), kind in ranked) for kind, nodes in sorted(homes.items())
        )

    def _looks(self, nodes: list[t.Node]) -> _Looks:
        facts, ages = set[str](), dict[tuple[str, str], set[int]]()
        for node in nodes:
            match node:
                case t.Fact():
                    facts.add(node.name)
                case t.Until():
                    facts.add(node.fact)
                case t.RankAmong():
                    facts |= {name for name in (node.born, node.latest) if name}
                case t.Under():
                    years = evaluate(Tree(node.years), _NOBODY, self.parameters, self.on)
                    ages.setdefault((node.born, node.latest), set()).add(
                        cast("int", cast("Known", years).value)
                    )
                case _:
                    pass
        asked = ((born, latest, tuple(sorted(years))) for (born, latest), years in sorted(ages.items()))
        return _Looks(tuple(sorted(facts)), tuple(asked))

    def weigh(self, subject: Subject, *, held_since: date | None, others: Mapping[str, Outcome]) -> Weighed:
        """What the version says about this person."""
        version = self.version
        counted = held_since if version.validity.months is not None else None
        key: tuple[Hashable, ...] = (self._likeness(subject), counted, tuple(others.items()))
        weighed = self._given.get(key)
        if weighed is not None and (weighed.ruling.outcome is not Outcome.GRANTED or not version.allowances):
            return weighed
        if weighed is not None:
            # How far back money reaches depends on the very day since which a fact is stated.
            key = (*key, self._sinces(subject))
            weighed = self._given.get(key)
            if weighed is not None:
                return weighed
        ruling = decide(version, subject, self.parameters, self.on, held_since=held_since, others=others)
        weighed = Weighed(ruling)
        self._given[key] = weighed
        if len(key) == 3 and ruling.outcome is Outcome.GRANTED and version.allowances:
            self._given[*key, self._sinces(subject)] = weighed
        return weighed

    @property
    def size(self) -> int:
        return len(self._given)

    def _sinces(self, subject: Subject) -> Hashable:
        return tuple(stated and stated.since for stated in map(subject.facts.get, self._named))

    def _likeness(self, subject: Subject) -> Hashable:
        """Equal for two persons only if the version says the same of both, today and on every day to come."""
        homes: list[Hashable] = []
        for kind, looks, ranked in self._homes:
            members = subject.households.get(kind)
            if not members:
                homes.append(members)
            elif ranked:
                homes.append(tuple((m.key == subject.key, self._one(looks, m)) for m in members))
            else:
                homes.append(frozenset(Counter(self._one(looks, m) for m in members).items()))
        return self._one(self._own, subject), tuple(homes)

    def _one(self, looks: _Looks, subject: Subject) -> Hashable:
        facts, first = subject.facts, self._first
        said: list[Any] = []
        for name in looks.facts:
            stated = facts.get(name)
            # Since when matters only for what is paid on a day of this month; before, it holds already.
            said.append(
                stated and (stated.value, stated.until, stated.since if stated.since > first else None)
            )
        for born, latest, years in looks.ages:
            earliest, last = facts.get(born), facts.get(latest)
            said.append(
                self._turns(earliest.value if earliest else None, last.value if last else None, years)
            )
        return tuple(said)

    def _turns(self, born: Value | None, latest: Value | None, years: tuple[int, ...]) -> Hashable:
        """On which days the ages are reached that nobody of this birth date had reached when the month began."""
        known = (born, latest, years)
        turns = self._ages.get(known)
        if turns is None:
            if born is None:
                turns = 0
            else:
                days = [cast("date", born), cast("date", latest if latest is not None else born)]
                days[1] = max(days)
                turns = tuple(
                    PAST if (day := reaches(birth, age)) <= self._first else day
                    for birth in days
                    for age in years
                )
            self._ages[known] = turns
        return turns


class Dockets:
    """The dockets of a day, one for each version; forgotten when they have grown large."""

    LIMIT = 4_000

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, date], Docket] = {}

    def of(
        self, version: RuleVersion, hashes: tuple[str, str], parameters: Mapping[str, Value], on: date
    ) -> Docket:
        """The docket of a version, by its hash and that of its amounts."""
        key = (*hashes, on)
        docket = self._kept.get(key)
        if docket is None or docket.size > self.LIMIT:
            self._kept = {kept: d for kept, d in self._kept.items() if kept[2] == on}
            docket = self._kept[key] = Docket(version, parameters, on)
        return docket
