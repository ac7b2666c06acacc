"""Reads off a rule, and the facts that it was asked with, on which of these its answer rests; no database."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from entitlements.decisions.models import Decision
from entitlements.decisions.rules import NO_REQUEST
from entitlements.language import Known, Stated, Subject, Tree, Value, minimal_reasons
from entitlements.language import tree as t
from entitlements.language.interpreter import Traced
from entitlements.rulebook.programmes import Outcome, RuleVersion

_TRUE, _FALSE = Known(value=True), Known(value=False)


@dataclass(frozen=True, slots=True)
class Rested:
    """A fact that a decision rests on."""

    fact: str
    """Named like the household where it is kept back what is known of the others there."""
    stated: Stated | None
    """None: no member of the household has it, or it is kept back."""
    household: str = ""
    """Empty: the person's own; else of somebody else in a household of this kind."""
    member: str = ""
    """Of whom, for those who may know."""
    partly: bool = False
    """Without a value: it is one of several things asked of a member, and nobody there meets all of them."""


def rests_on(
    decision: Decision, version: RuleVersion, subject: Subject, parameters: Mapping[str, Value]
) -> tuple[Rested, ...]:
    reading = _Reading(parameters, decision.day)
    found: dict[tuple[str, str, str], Rested] = {}
    for tree in deciding(decision, version):
        for rested in reading.of(tree, subject):
            found.setdefault((rested.household, rested.fact, rested.member), rested)
    return tuple(found.values())


def deciding(decision: Decision, version: RuleVersion) -> Sequence[Tree]:
    """The parts of the rule from which the outcome follows."""
    codes = {reason["code"] for reason in decision.reasons}
    if NO_REQUEST in codes:
        return []
    if "deceased" in codes:
        return [Tree(t.Fact("deceased", t.BOOL))]
    if decision.outcome is Outcome.GRANTED:
        return [version.resting_on(ground) for ground in version.grounds if ground.name == decision.ground]
    for_a_human = [referral.when for referral in version.referrals if referral.reason.code in codes]
    if decision.outcome is Outcome.REFER and for_a_human:
        return for_a_human
    failing = [part.when for part in version.requirements if part.reason.code in codes]
    if decision.outcome is Outcome.REFUSED and (failing or version.otherwise.code in codes):
        grounds = [ground.when for ground in version.grounds] if version.otherwise.code in codes else []
        return [*failing, *grounds]
    return [version.condition]


@dataclass(frozen=True, slots=True)
class _Reading:
    """Reads off a rule which facts made its answer what it is."""

    parameters: Mapping[str, Value]
    on: date

    def of(self, tree: Tree, subject: Subject) -> Iterator[Rested]:
        for traced in minimal_reasons(tree, subject, self.parameters, self.on):
            yield from self._in(traced, subject)

    def _in(self, traced: Traced, subject: Subject) -> Iterator[Rested]:
        node = traced.node
        match node:
            case t.AnyMember():
                yield from self._of_members(node, traced, subject)
            case t.CountMembers() | t.RankAmong():
                for member in subject.households.get(node.household, ()):
                    own = member.key == subject.key
                    for rested in _stated(Tree(node.term), member):
                        yield rested if own else _of_another(rested, node.household, member)
            case t.Compare() | t.OneOf() | t.Arithmetic() | t.Extreme() | t.Negative():
                for below in traced.below:
                    yield from self._in(below, subject)
            case _:
                yield from _stated(Tree(node), subject)

    def _of_members(self, node: t.AnyMember, traced: Traced, subject: Subject) -> Iterator[Rested]:
        if traced.result == _FALSE:
            # One line for all of them, whoever they are; what is stated of the person stands by itself.
            # Who meets a part of what is asked is not told: that nobody meets it all is true of each part.
            partly = not isinstance(node.term, t.Fact)
            for name in sorted(Tree(node.term).mentions()):
                yield Rested(name, None, node.household, partly=partly)
            return
        members = subject.households.get(node.household, ())
        for member, below in zip(members, traced.below, strict=True):
            if traced.result == _TRUE != below.result:
                continue
            for rested in self.of(Tree(node.term), member):
                yield rested if member.key == subject.key else _of_another(rested, node.household, member)
            if traced.result == _TRUE:
                return


def _stated(tree: Tree, whom: Subject) -> Iterator[Rested]:
    for name in sorted(tree.mentions()):
        stated = whom.facts.get(name)
        if stated is not None:
            yield Rested(name, stated)


def _of_another(rested: Rested, household: str, member: Subject) -> Rested:
    return Rested(rested.fact, rested.stated, household, member.key)
