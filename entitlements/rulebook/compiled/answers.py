"""What the statement says of a person about each programme: the outcome, its money, and its essence, a number.

The essence is another whenever the decision says something else, apart from its days. It is added up from a number for
each thing that is said, so that it can be worked out for everybody by the database.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import and_, bindparam, case, func, select
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.sql.selectable import Select, Subquery

from entitlements.language import Known, Subject, Tree, Value, canonical_json, evaluate
from entitlements.rulebook.programmes import Outcome, RuleVersion, plain

from .asked import Asked, costs_of, of_anybody, of_day
from .numbers import (
    BIG,
    DIED,
    FAULT,
    OTHER_FIRST,
    OTHER_OPEN,
    PARTLY,
    REFERRED,
    REFUSED,
    UNDETERMINED,
    Expression,
    is_of,
    number,
    text,
    total,
    whole,
)

OUTCOME, GROUND, ESSENCE, TARIFFS, ALLOWANCE, CHARGE, AMOUNT = (
    "__outcome",
    "__ground",
    "__essence",
    "__tariffs",
    "__allowance__",
    "__charge__",
    "__amount__",
)
"""End the name of a column after its programme's; the last three are followed by a kind of money."""

Derive = Callable[[Mapping[str, Value], date], int | None]

_NOBODY = Subject("", {})
_MANY = 64
"""So many ways to be refused are told apart one by one."""
_LOWER, _UPPER = (1 << 20) - 1, (1 << 24) - 1


def _hashed(*said: object) -> int:
    return int.from_bytes(hashlib.sha256(canonical_json(plain(said)).encode()).digest()[:16])


def _mark(*said: object) -> int:
    """A number for what a part of a decision says; of 53 bits, so that a thousand of them add up to one of 64."""
    return 1 << 52 | _hashed(*said) % (1 << 52)


def _weights(*what: object) -> tuple[int, int, int]:
    """By what the lower, the middle and the upper bits of an amount are multiplied in an essence (`_weighed`)."""
    return _mark(*what, 0) >> 23, _mark(*what, 1) >> 23, _mark(*what, 2) >> 23


def _weighed(amount: int, weights: tuple[int, int, int]) -> int:
    """What an amount adds to an essence: at most 54 bits, another for every amount."""
    lower, middle, upper = weights
    return (amount & _LOWER) * lower + ((amount >> 20) & _LOWER) * middle + ((amount >> 40) & _UPPER) * upper


def _fixed(tree: Tree, parameters: Mapping[str, Value], on: date) -> int | None:
    """An amount that depends on no person; None where it is a fault."""
    result = evaluate(tree, _NOBODY, parameters, on)
    return result.value if isinstance(result, Known) and isinstance(result.value, int) else None


class Answers:
    """The columns of each programme, read from a layer in which all is decided."""

    def __init__(self, programmes: Sequence[Asked], prefix: str, bits: Mapping[str, int]) -> None:
        self.programmes, self.prefix, self.bits = programmes, prefix, bits
        self.handed_in: dict[str, Derive] = {}
        """Amounts that are the same for everybody, by the names of their parameters."""

    def of(self, layer: Subquery) -> Select[Any]:
        """The statement that says of each row of the layer what is said."""
        columns: list[Any] = [layer.c.key.label("key")]
        essences = []
        for one in self.programmes:
            name, decision = one.version.programme, layer.c[one.label("z")]
            grounds = {n + 1: g.name for n, g in enumerate(one.version.grounds)}
            essence = self._essence(layer, one)
            essences.append(essence)
            columns += [
                case(
                    *((is_of(decision, outcome), text(outcome.value)) for outcome in list(Outcome)[:-1]),
                    else_=text(Outcome.REFER.value),
                ).label(name + OUTCOME),
                case(*((decision == number(n), text(word)) for n, word in grounds.items())).label(
                    name + GROUND
                ),
                essence.label(name + ESSENCE),
            ]
            if one.version.tariffs:
                columns.append(self._tariffs(layer, one).label(name + TARIFFS))
            columns += [cents.label(label) for label, cents in self._money(layer, one).items()]
        return select(*columns, total(essences).label("essence"))

    def _tariffs(self, layer: Subquery, one: Asked) -> Expression:
        """Which of the version's tariffs the person has, by their places as bits."""
        decision, brought = layer.c[one.label("z")], list[Expression]()
        for n, tariff in enumerate(one.version.tariffs):
            has = number(1 << n)
            if tariff.when is not None:
                has = case((layer.c[one.label("t", n)], has), else_=number(0))
            brought.append(has)
        return case((decision > number(0), sum(brought[1:], brought[0])), else_=number(0))

    def _essence(self, layer: Subquery, one: Asked) -> Expression:
        """Added up from a number for each thing that is said; whose sum is the same says the same."""
        name, decision, missing = one.version.programme, layer.c[one.label("z")], layer.c[one.label("w")]
        said = self._words(layer, one)
        misses = case(
            (missing != number(0), self._weighed_in_row(missing, name, "missing", sorted(self.bits.items()))),
            else_=whole(0),
        )
        pieces = list(self._pieces(layer, one))
        if not pieces:
            return said + misses
        return said + misses + case((decision > number(0), total(pieces)), else_=whole(0))

    def _weighed_in_row(self, amount: Expression, *what: object) -> Expression:
        """`_weighed`, for an amount that stands in a row."""
        lower, middle, upper = (whole(weight) for weight in _weights(*what))
        low = Grouping(amount.bitwise_and(number(_LOWER)))
        mid = Grouping(Grouping(amount.bitwise_rshift(number(20))).bitwise_and(number(_LOWER)))
        high = Grouping(Grouping(amount.bitwise_rshift(number(40))).bitwise_and(number(_UPPER)))
        return Grouping(low * lower + mid * middle + high * upper)

    def _words(self, layer: Subquery, one: Asked) -> Expression:
        """What is said for each number that a decision can have; first it is asked of which sort it is."""
        version, decision = one.version, layer.c[one.label("z")]
        statute = version.origin.statute

        def mark(*said: object) -> Expression:
            return whole(_mark(version.programme, *said))

        tariffs = tuple(tariff.name for tariff in version.tariffs if tariff.when is None)
        granted: list[tuple[Any, Any]] = [
            (
                decision == number(n + 1),
                mark("granted", ground.name, ground.payer, ground.reason, ground.origin.statute, tariffs),
            )
            for n, ground in enumerate(version.grounds)
        ]
        others: list[tuple[Any, Any]] = []
        for k, needed in enumerate(version.depends_on):
            others.append((decision == number(OTHER_FIRST - k), mark("first", needed.programme, statute)))
            others.append((decision == number(OTHER_OPEN - k), mark("open", needed.programme, statute)))
        others += [
            (decision == number(UNDETERMINED), mark("undetermined")),
            (decision == number(PARTLY), mark("partly")),
            (decision == number(FAULT), mark("fault", statute)),
            (decision == number(DIED), mark("died")),
        ]
        for n, referral in enumerate(version.referrals):
            said = (referral.reason, referral.origin.statute)
            others.append((decision == number(REFERRED - n), mark("referred", *said)))
        nothing = whole(_mark(version.programme, "nothing"))
        sorts = [(decision < number(REFUSED), self._refused(decision, version))]
        if granted:
            sorts.append((decision > number(0), case(*granted, else_=nothing)))
        return case(*sorts, *others, else_=nothing)

    def _refused(self, decision: Expression, version: RuleVersion) -> Expression:
        """What is said of the requirements that fail, and of grounds of which there is none."""

        def mark(*said: object) -> Expression:
            return whole(_mark(version.programme, *said))

        required = [(r.reason, r.origin.statute) for r in version.requirements]
        otherwise = (version.otherwise, version.origin.statute)
        if 2 << len(required) <= _MANY:
            ways = sorted(range(1, 2 << len(required)), key=lambda way: way.bit_count())
            whens: list[tuple[Any, Any]] = []
            for way in ways:
                reasons = [required[n] for n in range(len(required)) if way >> (n + 1) & 1]
                reasons += [otherwise] if way & 1 else []
                whens.append((decision == number(REFUSED - way), mark("refused", *reasons)))
            return case(*whens, else_=mark("nothing"))
        mask = Grouping(number(REFUSED) - decision)

        def when(bit: int, said: Expression) -> Expression:
            return case((mask.bitwise_and(number(1 << bit)) != number(0), said), else_=whole(0))

        reasons_said = [when(n + 1, mark("reason", n, reason)) for n, reason in enumerate(required)]
        return total([mark("refused"), when(0, mark("otherwise", otherwise)), *reasons_said])

    def _pieces(self, layer: Subquery, one: Asked) -> Iterator[Expression]:
        """What a granted programme brings under conditions, or in amounts, each as a number of its own."""
        version, name, of_kind = one.version, one.version.programme, Counter[tuple[str, str]]()

        def place(what: str, kind: str) -> int:
            # Two of one kind are told apart by their order.
            of_kind[what, kind] += 1
            return of_kind[what, kind]

        for n, tariff in enumerate(version.tariffs):
            if tariff.when is not None:
                yield self._piece(layer, [layer.c[one.label("t", n)]], [], name, "tariff", tariff.name)
        for n, allowance in enumerate(version.allowances):
            whens = [layer.c[one.label("a", n)]] if allowance.when is not None else []
            costs = [(one.label(f"a{n}m", m), tree) for m, tree in enumerate(costs_of(allowance))]
            at = place("allowance", allowance.kind)
            yield self._piece(layer, whens, costs, name, "allowance", allowance.kind, allowance.terms, at)
        for n, charge in enumerate(version.charges):
            applies: list[Expression] = [layer.c[one.label("c", n)]] if charge.when is not None else []
            belongs = one.belongs(charge)
            if belongs is not None:
                applies.append(layer.c[one.label("z")].in_(belongs))
            costs = [(one.label(f"c{n}m"), charge.monthly)]
            at = place("charge", charge.kind)
            yield self._piece(layer, applies, costs, name, "charge", charge.kind, at)
        for n, (rule, due) in enumerate(one.due):
            whens = [layer.c[one.label(of_day(due))]]
            whens += [layer.c[one.label("d", n)]] if rule.when is not None else []
            costs = [(one.label(f"d{n}m"), rule.cents)]
            at = place("amount", rule.kind)
            yield self._piece(layer, whens, costs, name, "amount", rule.kind, due, at)

    def _piece(
        self,
        layer: Subquery,
        whens: Sequence[Expression],
        costs: Sequence[tuple[str, Tree]],
        *what: object,
    ) -> Expression:
        """Its number, where the conditions hold and the amounts are known; else 0."""
        terms = [whole(_mark(*what))]
        terms += [self._amount(layer, label, tree, *what, m) for m, (label, tree) in enumerate(costs)]
        said = total(terms)
        if whens:
            said = case((and_(*whens), said))
        return func.coalesce(said, whole(0)) if whens or costs else said

    def _amount(self, layer: Subquery, label: str, tree: Tree, *what: object) -> Expression:
        """What an amount adds to an essence; NULL where it is not known."""
        if not of_anybody(tree):
            return self._weighed_in_row(layer.c[label], *what)
        name, weights = f"{self.prefix}_weight_{label}", _weights(*what)

        def derive(parameters: Mapping[str, Value], on: date) -> int | None:
            cents = _fixed(tree, parameters, on)
            return None if cents is None else _weighed(cents, weights)

        self.handed_in[name] = derive
        return bindparam(name, type_=BIG)

    def _money(self, layer: Subquery, one: Asked) -> dict[str, Expression]:
        """Cents by kind."""
        version, name, decision = one.version, one.version.programme, layer.c[one.label("z")]
        found: dict[str, list[Expression]] = {}

        def add(label: str, whens: Sequence[Expression], costs: Sequence[tuple[str, Tree]]) -> None:
            # All of its amounts must be known, and the first is what is paid.
            amounts = [self._cents(layer, *cost) for cost in costs]
            known = [amount.is_not(None) for amount in amounts]
            found.setdefault(label, []).append(case((and_(*whens, *known), amounts[0]), else_=number(0)))

        for n, allowance in enumerate(version.allowances):
            whens = [decision > number(0)]
            whens += [layer.c[one.label("a", n)]] if allowance.when is not None else []
            costs = [(one.label(f"a{n}m", m), tree) for m, tree in enumerate(costs_of(allowance))]
            add(name + ALLOWANCE + allowance.kind, whens, costs)
        for n, charge in enumerate(version.charges):
            belongs = one.belongs(charge)
            whens = [decision > number(0) if belongs is None else decision.in_(belongs)]
            whens += [layer.c[one.label("c", n)]] if charge.when is not None else []
            add(name + CHARGE + charge.kind, whens, [(one.label(f"c{n}m"), charge.monthly)])
        for n, (rule, due) in enumerate(one.due):
            whens = [decision > number(0), layer.c[one.label(of_day(due))]]
            whens += [layer.c[one.label("d", n)]] if rule.when is not None else []
            add(name + AMOUNT + rule.kind, whens, [(one.label(f"d{n}m"), rule.cents)])
        return {label: sum(some[1:], some[0]) for label, some in found.items()}

    def _cents(self, layer: Subquery, label: str, tree: Tree) -> Expression:
        """An amount; one that is the same for everybody is handed in."""
        if not of_anybody(tree):
            return layer.c[label]
        name = f"{self.prefix}_cents_{label}"
        self.handed_in[name] = lambda parameters, on: _fixed(tree, parameters, on)
        return bindparam(name, type_=BIG)
