"""What a rulebook is made of once it is read: programmes, their dated rule versions, parameters and worked cases."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

from entitlements.language import Tree, Type, Value, canonical_json
from entitlements.language import tree as t
from entitlements.language.days import next_day

Param = str | int | bool | None
Terms = Literal["monthly", "per_event", "per_meal", "by_decision"]

LATER = {"later": True}
"""Marks what rules could not say at first. It is written down only where it says something, so that a rule
from before keeps the hash under which decisions name it."""


class Outcome(StrEnum):
    """What a rule can say about a person."""

    GRANTED = "granted"
    REFUSED = "refused"
    UNDETERMINED = "undetermined"
    REFER = "refer"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something in a rulebook comes from; an assumption waits for the city to confirm it."""

    statute: str
    source: str = ""
    assumption: bool = False


@dataclass(frozen=True, slots=True)
class ReasonTemplate:
    """A reason as the rulebook words it: a code with fixed parameters."""

    code: str
    params: tuple[tuple[str, Param], ...] = ()


@dataclass(frozen=True, slots=True)
class DatedValue:
    """What a parameter is from some day on."""

    since: date
    value: Value
    origin: Origin


@dataclass(frozen=True, slots=True)
class Parameter:
    """A dated amount, number or day that rules use by name."""

    name: str
    type: Type
    values: tuple[DatedValue, ...]

    def on(self, day: date) -> DatedValue | None:
        """The value in force on a day."""
        return next((value for value in reversed(self.values) if value.since <= day), None)


@dataclass(frozen=True, slots=True)
class Requirement:
    """A condition that must hold whatever the ground; its reason says what is wrong if it does not."""

    when: Tree
    reason: ReasonTemplate
    origin: Origin


@dataclass(frozen=True, slots=True)
class Ground:
    """One row of the table of grounds: the legal circle, who pays, and the reason given."""

    name: str
    when: Tree
    payer: str | None
    reason: ReasonTemplate
    origin: Origin
    on_request: bool = field(default=False, metadata=LATER)
    """The law wants a request: whoever it holds for is offered it, and has it once they accept."""
    reaches_back: int | None = field(default=None, metadata=LATER)
    """For how many months before the request the claim can be made good at most; 0: from the first of its month."""


@dataclass(frozen=True, slots=True)
class Referral:
    """When a person has to look: instead of a refusal, or always."""

    when: Tree
    reason: ReasonTemplate
    origin: Origin
    even_if_granted: bool = False


@dataclass(frozen=True, slots=True)
class Validity:
    """Until when: the earlier of a fixed length and the end of what it rests on, rounded up if so wished."""

    months: int | None = None
    ends_with: Literal["ground", "condition"] | None = None
    round_up: Literal["month", "quarter", "year"] | None = None


@dataclass(frozen=True, slots=True)
class TariffRule:
    """A tariff that the entitlement brings, for all or under a condition."""

    name: str
    when: Tree | None = None


@dataclass(frozen=True, slots=True)
class AllowanceRule:
    """Money for one kind of use: so much by the month, or what a meal, an event or a case worker's word costs."""

    kind: str
    monthly: Tree
    """No cents where nothing comes by the month."""
    when: Tree | None
    accrual: Literal["monthly", "upfront"]
    carry_over: Literal["none", "within_approval", "to_next_approval"]
    grace: str
    origin: Origin
    terms: Terms = field(default="monthly", metadata=LATER)
    """Other than by the month, the actual cost is paid when it arises."""
    unit_ceiling: Tree | None = field(default=None, metadata=LATER)
    """The most, in cents, that one meal or one event may cost; none: whatever it costs."""
    ceiling: Tree | None = field(default=None, metadata=LATER)
    """The most, in cents, that all of them may cost within one approval; none: whatever they cost."""

    def costs(self) -> tuple[Tree, Tree | None, Tree | None]:
        """What comes by the month, and the most for one and for all."""
        return self.monthly, self.unit_ceiling, self.ceiling


@dataclass(frozen=True, slots=True)
class AmountRule:
    """Money paid once on a day of the year, to whoever fulfils the condition on that day."""

    kind: str
    cents: Tree
    month: int
    day: int
    when: Tree | None
    origin: Origin


@dataclass(frozen=True, slots=True)
class ChargeRule:
    """What the holder pays by the month."""

    kind: str
    monthly: Tree
    when: Tree | None
    grounds: tuple[str, ...]
    """The grounds to which the charge belongs; none named means all."""
    origin: Origin


@dataclass(frozen=True, slots=True)
class Dependency:
    """Another programme that must have been decided in one of these ways first."""

    programme: str
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class RuleVersion:
    """A programme's rule for some days; what decides is its `condition`, the rest says what follows."""

    programme: str
    since: date
    until: date | None
    origin: Origin
    requirements: tuple[Requirement, ...]
    hit: Literal["first", "any"]
    grounds: tuple[Ground, ...]
    otherwise: ReasonTemplate
    referrals: tuple[Referral, ...]
    validity: Validity
    tariffs: tuple[TariffRule, ...]
    allowances: tuple[AllowanceRule, ...]
    amounts: tuple[AmountRule, ...]
    charges: tuple[ChargeRule, ...]
    depends_on: tuple[Dependency, ...]

    @cached_property
    def condition(self) -> Tree:
        """The whole rule as one condition: all requirements and a ground.

        Where the first hit counts, a ground above that is unknown leaves open which one it is, and so the
        whole; where any hit counts, one that is known suffices.
        """
        return conjunction(*(requirement.when for requirement in self.requirements), self._some_ground())

    def _some_ground(self) -> Tree:
        terms = tuple(ground.when.root for ground in self.grounds)
        if len(terms) == 1:
            return Tree(terms[0])
        if self.hit == "any":
            return Tree(t.Or(terms))
        yes, no = t.Literal(t.BOOL, value=True), t.Literal(t.BOOL, value=False)
        return Tree(t.Choose(tuple((term, yes) for term in terms), no))

    def resting_on(self, ground: Ground) -> Tree:
        """The rule as if this were its only ground."""
        return self._resting[ground.name]

    @cached_property
    def _resting(self) -> Mapping[str, Tree]:
        required = [requirement.when for requirement in self.requirements]
        return {ground.name: conjunction(*required, ground.when) for ground in self.grounds}

    def trees(self) -> Iterator[Tree]:
        """Every tree of the version."""
        yield from (requirement.when for requirement in self.requirements)
        yield from (ground.when for ground in self.grounds)
        yield from (referral.when for referral in self.referrals)
        for allowance in self.allowances:
            yield from (tree for tree in allowance.costs() if tree is not None)
        yield from (amount.cents for amount in self.amounts)
        yield from (charge.monthly for charge in self.charges)
        for brought in (self.tariffs, self.allowances, self.amounts, self.charges):
            yield from (rule.when for rule in brought if rule.when is not None)

    @cached_property
    def moments(self) -> tuple[tuple[str, t.Node], ...]:
        """What in any of its trees can turn as time passes, each with the household of whose members it is asked."""
        return tuple(dict.fromkeys(moment for tree in self.trees() for moment in tree.moments))

    @cached_property
    def looks_at(self) -> frozenset[str]:
        """Every fact and kind of household on which its answer can depend; a death counts for every rule."""
        nodes = [node for tree in self.trees() for node in t.walk(tree.root)]
        latest = {node.latest for node in nodes if isinstance(node, t.Under | t.RankAmong) and node.latest}
        return frozenset({"deceased", *latest, *(name for tree in self.trees() for name in tree.mentions())})

    def reasons(self) -> Iterator[tuple[ReasonTemplate, Origin]]:
        """Every reason that this version can give by itself, with the statute it rests on."""
        for rules in (self.requirements, self.grounds, self.referrals):
            yield from ((rule.reason, rule.origin) for rule in rules)
        yield self.otherwise, self.origin

    @cached_property
    def rule_hash(self) -> str:
        """SHA-256 over all the version says but its last day, which is set when its successor is known."""
        return hashlib.sha256(canonical_json(plain(replace(self, until=None))).encode()).hexdigest()

    def covers(self, day: date) -> bool:
        """Whether the version is in force on a day."""
        return self.since <= day and (self.until is None or day <= self.until)


def conjunction(*trees: Tree) -> Tree:
    """All of these conditions as one."""
    return trees[0] if len(trees) == 1 else Tree(t.And(tuple(tree.root for tree in trees)))


def plain(value: object) -> Any:
    """A part of a rulebook as plain lists, mappings and scalars: what is hashed, and what is kept."""
    if isinstance(value, Tree):
        return value.to_json()
    if is_dataclass(value) and not isinstance(value, type):
        parts = ((f, getattr(value, f.name)) for f in fields(value))
        return {f.name: plain(part) for f, part in parts if not f.metadata.get("later") or part != f.default}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def parameters_hash(parameters: Mapping[str, Value]) -> str:
    """SHA-256 over a set of parameter values, so that a decision can name the one it used."""
    return hashlib.sha256(canonical_json(plain(tuple(sorted(parameters.items())))).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ProgrammeRules:
    """A programme with its rule versions in the order of their days."""

    name: str
    label: Mapping[str, str]
    versions: tuple[RuleVersion, ...]

    def on(self, day: date) -> RuleVersion | None:
        """The version in force on a day; `None` before the programme began or after it ended."""
        return next((version for version in self.versions if version.covers(day)), None)


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a card carries and an offer names; the bit is its place on the card and never changes."""

    name: str
    bit: int
    label: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WorkedCase:
    """An example that a clerk can check: a person's facts on a day, and what the rule must say."""

    programme: str
    name: str
    day: date
    facts: Mapping[str, Any]
    households: Mapping[str, tuple[Mapping[str, Any], ...]]
    rest_absent: bool
    """Whether every fact not given has the value of somebody whom the registers' full lists leave out."""
    expect: Mapping[str, Any]
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Rulebook:
    """A city's programmes, tariffs and parameters."""

    city: str
    tariffs: Mapping[str, Tariff]
    parameters: Mapping[str, Parameter]
    programmes: Mapping[str, ProgrammeRules]
    cases: tuple[WorkedCase, ...]

    def parameters_on(self, day: date) -> Mapping[str, Value]:
        """The values of all parameters that are in force on a day."""
        found = ((name, parameter.on(day)) for name, parameter in self.parameters.items())
        return {name: dated.value for name, dated in found if dated is not None}

    def next_change(self, programme: str, on: date) -> date | None:
        """The next day on which another version or another value of a parameter it uses comes into force."""
        rules = self.programmes[programme]
        days = {day for v in rules.versions for day in (v.since, v.until and next_day(v.until)) if day}
        used = {name for version in rules.versions for tree in version.trees() for name in tree.parameters()}
        days |= {dated.since for name in used for dated in self.parameters[name].values}
        return min((day for day in days if day > on), default=None)

    def order(self) -> tuple[str, ...]:
        """The programmes so that each comes after those it depends on."""
        done: list[str] = []
        waiting = dict(self.programmes)
        while waiting:
            ready = [
                name
                for name, rules in waiting.items()
                if all(d.programme in done for version in rules.versions for d in version.depends_on)
            ]
            if not ready:
                raise ValueError(f"these programmes wait for one another: {', '.join(sorted(waiting))}")
            done += ready
            waiting = {name: rules for name, rules in waiting.items() if name not in ready}
        return tuple(done)
