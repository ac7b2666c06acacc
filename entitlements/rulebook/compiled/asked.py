"""What is asked for a version of a programme, of everybody and of whoever is granted it, each tree under a label."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from entitlements.language import Tree
from entitlements.language import tree as t
from entitlements.language.days import month_end
from entitlements.rulebook.programmes import AllowanceRule, AmountRule, ChargeRule, RuleVersion

from .numbers import Expression, number

_OF_PERSONS = (t.Fact, t.Until, t.Under, t.AnyMember, t.CountMembers, t.RankAmong)


def due_on(version: RuleVersion, on: date) -> Iterator[tuple[AmountRule, date]]:
    """What is paid once and fell due this month."""
    for rule in version.amounts:
        due = date(on.year, rule.month, rule.day)
        if due <= on <= month_end(due):
            yield rule, due


def of_day(day: date) -> str:
    """How the label begins of what is asked of a day on which something fell due."""
    return f"d{day:%m%d}_"


def costs_of(rule: AllowanceRule) -> list[Tree]:
    """The amounts on which it rests; the first is what is paid."""
    return [tree for tree in rule.costs() if tree is not None]


def of_anybody(tree: Tree) -> bool:
    """Whether it is the same for everybody."""
    return not any(isinstance(node, _OF_PERSONS) for node in t.walk(tree.root))


@dataclass(frozen=True, slots=True)
class Asked:
    """One version and the labels of its trees."""

    version: RuleVersion
    place: int
    depth: int
    """How many others must be decided before it, one after the other."""
    shared: int
    """The place of the first that rests on the same grounds: they ask once which of them counts."""
    due: tuple[tuple[AmountRule, date], ...]

    def label(self, part: str, place: int = 0) -> str:
        """What a tree is called in the statement."""
        return f"p{self.place}{part}{place}"

    @property
    def asks(self) -> bool:
        """Whether it is the first that rests on its grounds."""
        return self.shared == self.place

    @property
    def head(self) -> str:
        """Where it stands which ground counts."""
        return f"p{self.shared}h0"

    @property
    def grounds(self) -> list[str]:
        """The labels of its grounds."""
        return [f"p{self.shared}g{n}" for n, _ in enumerate(self.version.grounds)]

    def of_everybody(self) -> Iterator[tuple[str, Tree]]:
        """Every tree of which a decision is made today, by its label."""
        version = self.version
        yield from ((self.label("q", n), r.when) for n, r in enumerate(version.requirements))
        if self.asks:
            yield from zip(self.grounds, (ground.when for ground in version.grounds), strict=True)
        yield from ((self.label("r", n), r.when) for n, r in enumerate(version.referrals))
        yield from self.of_granted()

    def of_granted(self) -> Iterator[tuple[str, Tree]]:
        """What is asked of whoever is granted it."""
        version = self.version
        yield from ((self.label("t", n), r.when) for n, r in enumerate(version.tariffs) if r.when is not None)
        yield from (
            (self.label("a", n), r.when) for n, r in enumerate(version.allowances) if r.when is not None
        )
        yield from ((self.label("c", n), r.when) for n, r in enumerate(version.charges) if r.when is not None)
        for n, allowance in enumerate(version.allowances):
            for m, tree in enumerate(costs_of(allowance)):
                if not of_anybody(tree):
                    yield self.label(f"a{n}m", m), tree
        for n, charge in enumerate(version.charges):
            if not of_anybody(charge.monthly):
                yield self.label(f"c{n}m"), charge.monthly

    def of_paid(self, day: date) -> Iterator[tuple[str, Tree]]:
        """What is asked of the day on which something fell due."""
        due = [(n, rule) for n, (rule, due) in enumerate(self.due) if due == day]
        if due:
            yield self.label(of_day(day)), self.version.condition
        for n, rule in due:
            if rule.when is not None:
                yield self.label("d", n), rule.when
            if not of_anybody(rule.cents):
                yield self.label(f"d{n}m"), rule.cents

    def belongs(self, charge: ChargeRule) -> list[Expression] | None:
        """The grounds to which a charge belongs, as numbers; None where it belongs to all of them."""
        if not charge.grounds:
            return None
        return [number(n + 1) for n, g in enumerate(self.version.grounds) if g.name in charge.grounds]
