"""The whole rulebook of a day as one statement over the wide rows: what `decide` says of each person, of everybody.

It follows `entitlements.rulebook.rules` step by step: death, other programmes first, referrals whatever else holds,
requirements, grounds, referrals instead of a refusal, what is missing, faults, and then what a ground brings. Days
(until when, when it can change) are left to the interpreter, for the few whose outcome is another.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Integer,
    String,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
    true,
    union,
    union_all,
)
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.sql.selectable import CTE, Select, Subquery

from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS
from entitlements.facts.rows import CURRENT_ROWS, DATED_ROWS, given
from entitlements.language import PRECISE, Known, Subject, Tree, Value, canonical_json, evaluate
from entitlements.language import tree as t
from entitlements.language.days import month_end
from entitlements.language.sql import MISSING, Compiled, Rows, compile_rules
from entitlements.language.sql.persons import households_of

from .programmes import AllowanceRule, AmountRule, ChargeRule, Outcome, RuleVersion, plain

Expression = ColumnElement[Any]
_NOBODY = Subject("", {})
_DEAD = Tree(t.Fact("deceased", t.BOOL))
_BIG = BigInteger()
_OPEN, _PAID = "opens", "paid"
"""Flags of a person: something is missing that counts; something that is granted may have fallen due."""
_OF_PERSONS = (t.Fact, t.Until, t.Under, t.AnyMember, t.CountMembers, t.RankAmong)

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

# How a ground and a decision are numbered inside the statement: a ground by its place, from 1.
_UNKNOWN, _FAILED = -1, -2
_MISSING, _OTHER_OPEN = 0, -1
_PARTLY, _FAULT, _REFERRED = -1_000, -1_001, -1_002
_DIED, _OTHER_FIRST, _REFUSED = -100_000, -100_001, -100_200
_MANY = 64
_LOWER, _UPPER = (1 << 20) - 1, (1 << 24) - 1


@dataclass(frozen=True, slots=True)
class CompiledBook:
    """A statement that decides every programme for every row, and what it must be given on a day.

    Columns: `key`; `essence` over all programmes; for each programme, after its name, `__outcome`, `__ground` (NULL
    unless granted) and `__essence`, a number that is another whenever the decision says something else apart from
    its days; `__tariffs`, where the version has some: which of them are brought, by their places as bits; and for each
    kind of money `__allowance__` and `__charge__` (cents a month) and `__amount__` (cents once), 0 where there is none.
    """

    select: Select[Any]
    programmes: tuple[str, ...]
    _parts: tuple[tuple[Compiled, date | None], ...]
    _handed_in: Mapping[str, Callable[[Mapping[str, Value], date], int | None]]

    def bind(
        self,
        parameters: Mapping[str, Value],
        on: date,
        *,
        alone: Collection[str] = (),
        listed: Mapping[str, date] | None = None,
        parameters_on: Callable[[date], Mapping[str, Value]] | None = None,
    ) -> dict[str, Any]:
        """The statement's parameters for a day.

        `alone` names the kinds of household of which it is known who is in none, `listed` the day since which a fact
        is known of whoever the registers' lists leave out (see `facts.service.silences`).
        """
        said: dict[str, Any] = given(alone, dict(listed or {}))
        for compiled, day in self._parts:
            said |= compiled.bind(parameters, day or on)
        said |= {name: derive(parameters, on) for name, derive in self._handed_in.items()}
        return said


def due_on(version: RuleVersion, on: date) -> Iterator[tuple[AmountRule, date]]:
    """What is paid once and fell due this month."""
    for rule in version.amounts:
        due = date(on.year, rule.month, rule.day)
        if due <= on <= month_end(due):
            yield rule, due


def compile_book(
    versions: Iterable[RuleVersion],
    rows: Rows = CURRENT_ROWS,
    prefix: str = "r",
    *,
    on: date | None = None,
    dated: Rows = DATED_ROWS,
) -> CompiledBook:
    """One statement for these versions, those that others depend on first.

    `on` is needed only for what is paid once: which amounts fell due this month, judged on the day they fell due.
    """
    return _Book(tuple(versions), rows, prefix, on, dated).compile()


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


def _text(written: str) -> Expression:
    return literal_column(f"'{written}'", String())


def _number(value: int) -> Expression:
    return literal_column(str(value), Integer())


def _whole(value: int) -> Expression:
    """A number of 64 bits, in whose arithmetic nothing overflows."""
    return literal_column(f"CAST({value} AS BIGINT)", _BIG)


def _is(decision: Expression, outcome: Outcome) -> Expression:
    """Whether a numbered decision is of this outcome."""
    match outcome:
        case Outcome.GRANTED:
            return decision > _number(0)
        case Outcome.UNDETERMINED:
            return decision.between(_number(_PARTLY + 1), _number(_MISSING))
        case Outcome.REFER:
            return decision.between(_number(_DIED + 1), _number(_PARTLY))
    return decision <= _number(_DIED)


def _name_of(expression: Expression) -> str:
    """What a column is called in its table."""
    return str(getattr(expression, "name"))  # noqa: B009  (only columns have one)


def _sum(numbers: Sequence[Expression]) -> Expression:
    total = _whole(0) if not numbers else numbers[0]
    for number in numbers[1:]:
        total += number
    return total


def _then(day: date) -> str:
    return f"d{day:%m%d}_"


def _costs(rule: AllowanceRule) -> list[Tree]:
    return [tree for tree in rule.costs() if tree is not None]


def _fixed(tree: Tree, parameters: Mapping[str, Value], on: date) -> int | None:
    """An amount that depends on no person; None where it is a fault."""
    result = evaluate(tree, _NOBODY, parameters, on)
    return result.value if isinstance(result, Known) and isinstance(result.value, int) else None


def _any(masks: Iterable[Expression | None]) -> Expression | None:
    some = [mask for mask in masks if mask is not None]
    if not some:
        return None
    union = some[0]
    for mask in some[1:]:
        union = union.bitwise_or(mask)
    return union


def _of_anybody(tree: Tree) -> bool:
    """Whether it is the same for everybody."""
    return not any(isinstance(node, _OF_PERSONS) for node in t.walk(tree.root))


@dataclass(slots=True)
class _Programme:
    """One version with the labels of its trees, and what became of it layer by layer."""

    version: RuleVersion
    place: int
    depth: int
    due: tuple[tuple[AmountRule, date], ...]

    def label(self, part: str, number: int = 0) -> str:
        return f"p{self.place}{part}{number}"


class _Book:
    def __init__(
        self, versions: Sequence[RuleVersion], rows: Rows, prefix: str, on: date | None, dated: Rows
    ) -> None:
        self.rows, self.prefix, self.on, self.dated = rows, prefix, on, dated
        depths: dict[str, int] = {}
        self.programmes: list[_Programme] = []
        for place, version in enumerate(versions):
            below = [depths[d.programme] for d in version.depends_on if d.programme in depths]
            depths[version.programme] = 1 + max(below, default=-1)
            due = tuple(due_on(version, on)) if on is not None else ()
            self.programmes.append(_Programme(version, place, depths[version.programme], due))
        self.by_name = {one.version.programme: one for one in self.programmes}
        # Programmes that rest on the same grounds ask once which of them counts.
        same: dict[tuple[Any, ...], _Programme] = {}
        self.first = [
            same.setdefault((one.version.hit, *(ground.when for ground in one.version.grounds)), one)
            for one in self.programmes
        ]
        self.heads = [one.label("h") for one in self.first]
        self.may_miss: frozenset[str] = frozenset()
        self.may_fail: frozenset[str] = frozenset()
        self.parts: list[Subquery] = []
        self.handed_in: dict[str, Callable[[Mapping[str, Value], date], int | None]] = {}
        self.bits: Mapping[str, int] = {}

    # --- what is asked ---------------------------------------------------------------------------------------

    def asked(self, one: _Programme) -> Iterator[tuple[str, Tree]]:
        """Every tree of which a decision is made today, by its label."""
        version = one.version
        yield from ((one.label("q", n), r.when) for n, r in enumerate(version.requirements))
        if self.asks(one):
            yield from zip(self.grounds(one), (ground.when for ground in version.grounds), strict=True)
        yield from ((one.label("r", n), r.when) for n, r in enumerate(version.referrals))
        yield from self.asked_of_granted(one)

    def asks(self, one: _Programme) -> bool:
        """Whether it is the first that rests on its grounds."""
        return self.first[one.place] is one

    def grounds(self, one: _Programme) -> list[str]:
        return [self.first[one.place].label("g", n) for n, _ in enumerate(one.version.grounds)]

    def asked_of_granted(self, one: _Programme) -> Iterator[tuple[str, Tree]]:
        version = one.version
        yield from ((one.label("t", n), r.when) for n, r in enumerate(version.tariffs) if r.when is not None)
        yield from (
            (one.label("a", n), r.when) for n, r in enumerate(version.allowances) if r.when is not None
        )
        yield from ((one.label("c", n), r.when) for n, r in enumerate(version.charges) if r.when is not None)
        for n, allowance in enumerate(version.allowances):
            for m, tree in enumerate(_costs(allowance)):
                if not _of_anybody(tree):
                    yield one.label(f"a{n}m", m), tree
        for n, charge in enumerate(version.charges):
            if not _of_anybody(charge.monthly):
                yield one.label(f"c{n}m"), charge.monthly

    def asked_then(self, one: _Programme, day: date) -> Iterator[tuple[str, Tree]]:
        """What is asked of the day on which something fell due."""
        due = [(n, rule) for n, (rule, due) in enumerate(one.due) if due == day]
        if due:
            yield one.label(_then(day)), one.version.condition
        for n, rule in due:
            if rule.when is not None:
                yield one.label("d", n), rule.when
            if not _of_anybody(rule.cents):
                yield one.label(f"d{n}m"), rule.cents

    def compile(self) -> CompiledBook:
        """First what is decided of everybody, without asking which facts are missing; that is asked only of those
        for whom it matters, and what fell due only of those who are granted something.
        """
        rules = {label: tree for one in self.programmes for label, tree in self.asked(one)} | {"dead": _DEAD}
        values = compile_rules(rules, self.rows, prefix=self.prefix, says=False)
        self.may_miss, self.may_fail = values.may_miss, values.may_fail
        parts: list[tuple[Compiled, date | None]] = [(values, None)]
        layer = values.select.offset(_number(0)).subquery(f"{self.prefix}_0")
        grounds = frozenset(label for one in self.programmes for label in self.grounds(one))
        layer = self.next(layer, self.first_look(layer), without=grounds | {g + MISSING for g in grounds})
        for depth in range(1 + max((one.depth for one in self.programmes), default=0)):
            some = [one for one in self.programmes if one.depth == depth]
            layer = self.next(layer, [self.decided(layer, one).label(one.label("o")) for one in some])
        decided = self.settled(layer)

        source: Any = decided
        for n, day in enumerate(sorted({due for one in self.programmes for _, due in one.due})):
            paid = [one for one in self.programmes if any(due == day for _, due in one.due)]
            then = {label: tree for one in paid for label, tree in self.asked_then(one, day)}
            compiled = self.of_some(then, self.dated, f"{self.prefix}d{n}", decided, _PAID)
            parts.append((compiled, day))
            source = self.beside(source, decided, compiled)
        # What a referral misses is never said.
        referred = {one.label("r", n) for one in self.programmes for n, _ in enumerate(one.version.referrals)}
        rules = {label: tree for label, tree in rules.items() if label in values.may_miss - referred}
        if rules:
            compiled = self.of_some(rules, self.rows, f"{self.prefix}m", decided, _OPEN)
            parts.append((compiled, None))
            source = self.beside(source, decided, compiled)
        statement = self.answers(self.plainly(decided))
        if self.parts:
            # For most there is nothing more to ask.
            rest = decided.c[_OPEN] + decided.c[_PAID] > _number(0)
            columns = {column.name: column for part in self.parts for column in part.c}
            columns |= {column.name: column for column in decided.c}
            more = select(*columns.values()).select_from(source).where(rest)
            layer = more.offset(_number(0)).subquery(f"{self.prefix}_more")
            layer = self.next(layer, list(self.missed(layer)))
            layer = self.next(
                layer, [self.final(layer, one).label(one.label("z")) for one in self.programmes]
            )
            statement = union_all(statement, self.answers(layer)).subquery(f"{self.prefix}_told").select()
        return CompiledBook(
            statement, tuple(one.version.programme for one in self.programmes), tuple(parts), self.handed_in
        )

    def plainly(self, decided: CTE) -> Subquery:
        """Of whom nothing is missing that counts, and who is paid nothing on a day: it stays as it was decided."""
        columns: list[Any] = list(decided.c)
        for one in self.programmes:
            columns.append(decided.c[one.label("o")].label(one.label("z")))
            columns.append(_number(0).label(one.label("w")))
            days = {_then(due) for _, due in one.due}
            columns += [null().cast(Boolean()).label(one.label(day)) for day in sorted(days)]
            for n, (rule, _) in enumerate(one.due):
                if rule.when is not None:
                    columns.append(null().cast(Boolean()).label(one.label("d", n)))
                if not _of_anybody(rule.cents):
                    columns.append(null().cast(_BIG).label(one.label(f"d{n}m")))
        plain = decided.c[_OPEN] + decided.c[_PAID] == _number(0)
        return select(*columns).where(plain).subquery(f"{self.prefix}_plain")

    def of_some(
        self, rules: Mapping[str, Tree], rows: Rows, prefix: str, decided: CTE, flag: str
    ) -> Compiled:
        """The answers with what is missing, for some persons; their households must be among the rows too."""
        kinds, me = sorted(households_of(rules.values())), rows.source.alias()
        homes = [me.c[_name_of(rows.households[kind].household)].label(kind) for kind in kinds]
        some = (
            select(decided.c.key.label("near"), *homes)
            .select_from(decided.join(me, me.c[_name_of(rows.key)] == decided.c.key))
            .where(decided.c[flag] == _number(1))
            .cte(f"{prefix}_some")
            .prefix_with("MATERIALIZED")
        )
        near: list[Any] = [select(some.c.near)]
        for kind in kinds:
            other = rows.source.alias()
            home = other.c[_name_of(rows.households[kind].household)]
            near.append(
                select(other.c[_name_of(rows.key)]).select_from(some.join(other, home == some.c[kind]))
            )
        everybody = union(*near).subquery() if len(near) > 1 else near[0].subquery()
        days = [name for name, fact in CATALOGUE.items() if fact.latest]
        names = sorted([*CATALOGUE, *HOUSEHOLDS, *(name + PRECISE for name in days)])
        compiled = compile_rules(
            rules,
            replace(rows, where=rows.key.in_(select(everybody.c.near))),
            name_missing=True,
            prefix=prefix,
            names=names,
            says=False,
        )
        self.may_miss |= compiled.may_miss
        self.bits = compiled.bits
        return compiled

    def beside(self, source: Any, decided: CTE, compiled: Compiled) -> Any:
        part = compiled.select.offset(_number(0)).subquery(f"{self.prefix}_{len(self.parts) + 1}")
        self.parts.append(part)
        return source.outerjoin(part, part.c.key == decided.c.key)

    def next(self, layer: Subquery, more: Sequence[Any], without: Collection[str] = frozenset()) -> Subquery:
        """The same rows with more columns, and without those that nobody asks for any more. The offset keeps what has a name from being worked out again for
        whoever says the name.
        """
        kept = (column for column in layer.c if column.name not in without)
        return select(*kept, *more).offset(_number(0)).subquery(f"{layer.name}x")

    def settled(self, layer: Subquery) -> CTE:
        """What was decided, as a table: whoever asks for more begins with it."""
        kept = {label for one in self.programmes for label, _ in self.asked_of_granted(one)}
        columns = [layer.c.key, *(layer.c[label] for label in sorted(kept))]
        opens: list[Any] = []
        for one in self.programmes:
            decision = layer.c[one.label("o")]
            lacks = list(self.lacks(layer, one))
            whens: list[tuple[Any, Any]] = [(decision == _number(_MISSING), _number(1))]
            if lacks:
                whens.append((and_(decision > _number(0), or_(*lacks)), _number(1)))
            opens += [when for when, _ in whens]
            columns.append(decision)
        columns += [layer.c[head] for head in sorted(set(self.heads))]
        paid = [layer.c[one.label("o")] > _number(0) for one in self.programmes if one.due]
        # As numbers that are compared, because of those a planner expects few.
        columns.append(case((or_(*opens), _number(1)), else_=_number(0)).label(_OPEN))
        columns.append(
            (case((or_(*paid), _number(1)), else_=_number(0)) if paid else _number(0)).label(_PAID)
        )
        return select(*columns).cte(f"{self.prefix}_decided").prefix_with("MATERIALIZED")

    def lacks(self, layer: Subquery, one: _Programme) -> Iterator[Expression]:
        """Whether something is missing of what is asked once it is granted."""
        for label, _ in self.asked_of_granted(one):
            if label in self.may_miss:
                yield self.unknown(layer, label)

    def unknown(self, layer: Subquery, label: str) -> Expression:
        """Whether it is unknown, which is not the same as a fault."""
        if label in self.may_fail:
            return layer.c[label + MISSING] != _number(0)
        return layer.c[label].is_(None)

    def opens(self, label: str) -> bool:
        """Whether it may be neither yes nor no."""
        return label in self.may_miss or label in self.may_fail

    # --- the decision ----------------------------------------------------------------------------------------

    def first_look(self, layer: Subquery) -> list[Any]:
        """Which ground counts: 0 for none, below 0 for one that is unknown or a fault."""
        found: list[Any] = []
        for one in self.programmes:
            if self.asks(one):
                found.append(self.ground(layer, one).label(one.label("h")))
        return found

    def failing(self, layer: Subquery, one: _Programme) -> tuple[list[Expression], Expression]:
        """What says that a requirement fails, and which ones, as a number that is asked only then."""
        fails = [not_(layer.c[one.label("q", n)]) for n, _ in enumerate(one.version.requirements)]
        which = [case((failed, _number(1 << n)), else_=_number(0)) for n, failed in enumerate(fails)]
        return fails, sum(which[1:], which[0]) if which else _number(0)

    def ground(self, layer: Subquery, one: _Programme) -> Expression:
        labels = self.grounds(one)
        whens: list[tuple[Any, Any]] = []
        opens: list[tuple[Any, Any]] = []
        for n, label in enumerate(labels):
            whens.append((layer.c[label], _number(n + 1)))
            some: list[tuple[Any, Any]] = []
            if label in self.may_miss:
                some.append((self.unknown(layer, label), _number(_UNKNOWN)))
            if label in self.may_fail:
                some.append((layer.c[label].is_(None), _number(_FAILED)))
            # Where the first hit counts, one above that is open leaves open which one it is.
            (whens if one.version.hit == "first" else opens).extend(some)
        # Else what is missing anywhere counts before a fault, and either only where none holds.
        opens.sort(key=lambda when: str(when[1]) != str(_UNKNOWN))
        # For most none holds and none is open, which is asked first because it is one look at each.
        none = [(not_(Grouping(or_(*(layer.c[label] for label in labels)))), _number(0))] if labels else []
        return case(*none, *whens, *opens, else_=_number(0))

    def decided(self, layer: Subquery, one: _Programme) -> Expression:
        """The decision as a number, in the order of `rules._judge`."""
        version = one.version
        ground, (failed, which) = layer.c[self.heads[one.place]], self.failing(layer, one)
        required = [one.label("q", n) for n, _ in enumerate(version.requirements)]
        whens: list[tuple[Any, Any]] = [(layer.c.dead, _number(_DIED))]
        for k, needed in enumerate(version.depends_on):
            other = self.by_name.get(needed.programme)
            if other is None:
                whens.append((true(), _number(_OTHER_OPEN - k)))
                continue
            outcome = layer.c[other.label("o")]
            fits = or_(*(_is(outcome, wanted) for wanted in needed.outcomes))
            decided = or_(_is(outcome, Outcome.GRANTED), _is(outcome, Outcome.REFUSED))
            whens += [
                (and_(not_(Grouping(fits)), decided), _number(_OTHER_FIRST - k)),
                (not_(Grouping(fits)), _number(_OTHER_OPEN - k)),
            ]
        referrals = [
            (layer.c[one.label("r", n)], _number(_REFERRED - n), referral.even_if_granted)
            for n, referral in enumerate(version.referrals)
        ]
        whens += [(when, number) for when, number, always in referrals if always]
        fails = or_(ground == _number(0), *failed)
        known = [layer.c[label] for label in required]
        whens += [(and_(fails, *known, when), number) for when, number, _ in referrals]
        none = case((ground == _number(0), _number(1)), else_=_number(0))
        whens.append((fails, _number(_REFUSED) - (Grouping(which) * _number(2) + none)))
        unknown = [self.unknown(layer, label) for label in required if label in self.may_miss]
        whens.append((or_(*unknown, ground == _number(_UNKNOWN)), _number(_MISSING)))
        faults = [layer.c[label].is_(None) for label in required if self.opens(label)]
        whens.append((or_(*faults, ground == _number(_FAILED)), _number(_FAULT)))
        return case(*whens, else_=ground)

    # --- what is missing -------------------------------------------------------------------------------------

    def mask(self, layer: Subquery, label: str) -> Expression | None:
        return layer.c[label + MISSING] if label in self.may_miss else None

    def missed(self, layer: Subquery) -> Iterator[Any]:
        """What keeps it undetermined, or where it is granted a part of what it brings, as a number."""
        for one in self.programmes:
            decision, whens = layer.c[one.label("o")], list[tuple[Any, Any]]()
            open_ = self.masks_of_open(layer, one)
            if open_ is not None:
                whens.append((decision == _number(_MISSING), open_))
            brought = _any(
                func.coalesce(mask, _number(0))
                for mask in self.masks_of_brought(layer, one)
                if mask is not None
            )
            if brought is not None:
                whens.append((decision > _number(0), brought))
            yield (case(*whens, else_=_number(0)) if whens else _number(0)).label(one.label("w"))

    def final(self, layer: Subquery, one: _Programme) -> Expression:
        """No register can supply what nobody recorded: a birth date known in part is for a person to judge."""
        decision, missing = layer.c[one.label("o")], layer.c[one.label("w")]
        partly = and_(decision == _number(_MISSING), missing.bitwise_and(self.whole_bits()) == _number(0))
        return case((partly, _number(_PARTLY)), else_=decision)

    def masks_of_open(self, layer: Subquery, one: _Programme) -> Expression | None:
        required = [self.mask(layer, one.label("q", n)) for n, _ in enumerate(one.version.requirements)]
        masks = [self.mask(layer, label) for label in self.grounds(one)]
        missing = _any(masks)
        if missing is not None:
            if one.version.hit == "first":
                # What is missing for the first that is open is all that counts.
                firsts = [(mask != _number(0), mask) for mask in masks if mask is not None]
                missing = case(*firsts, else_=_number(0))
            missing = case((layer.c[self.heads[one.place]] == _number(_UNKNOWN), missing), else_=_number(0))
        return _any([*required, missing])

    def masks_of_brought(self, layer: Subquery, one: _Programme) -> Iterator[Expression | None]:
        version, decision = one.version, layer.c[one.label("o")]
        for n, tariff in enumerate(version.tariffs):
            if tariff.when is not None:
                yield self.mask(layer, one.label("t", n))
        for n, allowance in enumerate(version.allowances):
            costs = [
                one.label(f"a{n}m", m) for m, tree in enumerate(_costs(allowance)) if not _of_anybody(tree)
            ]
            yield from self.asked_in_turn(layer, [one.label("a", n)] if allowance.when else [], costs)
        for n, charge in enumerate(version.charges):
            cost = [] if _of_anybody(charge.monthly) else [one.label(f"c{n}m")]
            masks = self.asked_in_turn(layer, [one.label("c", n)] if charge.when else [], cost)
            belongs = self.belongs(one, charge)
            if belongs is None:
                yield from masks
            else:
                for mask in masks:
                    if mask is not None:
                        yield case((decision.in_(belongs), mask), else_=_number(0))
        for n, (rule, due) in enumerate(one.due):
            whens = [one.label(_then(due)), *([one.label("d", n)] if rule.when else [])]
            yield from self.asked_in_turn(
                layer, whens, [] if _of_anybody(rule.cents) else [one.label(f"d{n}m")]
            )

    def asked_in_turn(
        self, layer: Subquery, whens: Sequence[str], costs: Sequence[str]
    ) -> Iterator[Expression | None]:
        """What is missing of conditions of which each is asked only if all before it hold, and then of amounts."""
        held: list[Expression] = []
        for label in whens:
            mask = self.mask(layer, label)
            yield case((and_(*held), mask), else_=_number(0)) if held and mask is not None else mask
            held.append(layer.c[label])
        for label in costs:
            mask = self.mask(layer, label)
            yield case((and_(*held), mask), else_=_number(0)) if held and mask is not None else mask

    def belongs(self, one: _Programme, charge: ChargeRule) -> list[Expression] | None:
        if not charge.grounds:
            return None
        return [_number(n + 1) for n, g in enumerate(one.version.grounds) if g.name in charge.grounds]

    def whole_bits(self) -> Expression:
        """The bits of everything that a register could still supply."""
        return literal_column(str(sum(bit for name, bit in self.bits.items() if not name.endswith(PRECISE))))

    def cents(self, layer: Subquery, label: str, tree: Tree) -> Expression:
        """An amount; one that is the same for everybody is handed in."""
        if not _of_anybody(tree):
            return layer.c[label]
        name = f"{self.prefix}_cents_{label}"
        self.handed_in[name] = lambda parameters, on: _fixed(tree, parameters, on)
        return bindparam(name, type_=_BIG)

    # --- what comes out --------------------------------------------------------------------------------------

    def answers(self, layer: Subquery) -> Select[Any]:
        columns: list[Any] = [layer.c.key.label("key")]
        essences = []
        for one in self.programmes:
            name, decision = one.version.programme, layer.c[one.label("z")]
            grounds = {n + 1: g.name for n, g in enumerate(one.version.grounds)}
            essence = self.essence(layer, one)
            essences.append(essence)
            columns += [
                case(
                    *((_is(decision, outcome), _text(outcome.value)) for outcome in list(Outcome)[:-1]),
                    else_=_text(Outcome.REFER.value),
                ).label(name + OUTCOME),
                case(*((decision == _number(n), _text(word)) for n, word in grounds.items())).label(
                    name + GROUND
                ),
                essence.label(name + ESSENCE),
            ]
            if one.version.tariffs:
                columns.append(self.tariffs(layer, one).label(name + TARIFFS))
            columns += [cents.label(label) for label, cents in self.money(layer, one).items()]
        return select(*columns, _sum(essences).label("essence"))

    def tariffs(self, layer: Subquery, one: _Programme) -> Expression:
        """Which of the version's tariffs the person has, by their places as bits."""
        decision, brought = layer.c[one.label("z")], list[Expression]()
        for n, tariff in enumerate(one.version.tariffs):
            has = _number(1 << n)
            if tariff.when is not None:
                has = case((layer.c[one.label("t", n)], has), else_=_number(0))
            brought.append(has)
        return case((decision > _number(0), sum(brought[1:], brought[0])), else_=_number(0))

    def essence(self, layer: Subquery, one: _Programme) -> Expression:
        """Added up from a number for each thing that is said; whose sum is the same says the same."""
        name, decision, missing = one.version.programme, layer.c[one.label("z")], layer.c[one.label("w")]
        said = self.words(layer, one)
        misses = case(
            (missing != _number(0), self.weighed(missing, name, "missing", sorted(self.bits.items()))),
            else_=_whole(0),
        )
        pieces = list(self.pieces(layer, one))
        if not pieces:
            return said + misses
        return said + misses + case((decision > _number(0), _sum(pieces)), else_=_whole(0))

    def weighed(self, amount: Expression, *what: object) -> Expression:
        """`_weighed`, for an amount that stands in a row."""
        lower, middle, upper = (_whole(weight) for weight in _weights(*what))
        low = Grouping(amount.bitwise_and(_number(_LOWER)))
        mid = Grouping(Grouping(amount.bitwise_rshift(_number(20))).bitwise_and(_number(_LOWER)))
        high = Grouping(Grouping(amount.bitwise_rshift(_number(40))).bitwise_and(_number(_UPPER)))
        return Grouping(low * lower + mid * middle + high * upper)

    def words(self, layer: Subquery, one: _Programme) -> Expression:
        """What is said for each number that a decision can have; first it is asked of which sort it is."""
        version, decision = one.version, layer.c[one.label("z")]
        statute = version.origin.statute

        def mark(*said: object) -> Expression:
            return _whole(_mark(version.programme, *said))

        tariffs = tuple(tariff.name for tariff in version.tariffs if tariff.when is None)
        granted: list[tuple[Any, Any]] = [
            (
                decision == _number(n + 1),
                mark("granted", ground.name, ground.payer, ground.reason, ground.origin.statute, tariffs),
            )
            for n, ground in enumerate(version.grounds)
        ]
        others: list[tuple[Any, Any]] = []
        for k, needed in enumerate(version.depends_on):
            others.append((decision == _number(_OTHER_FIRST - k), mark("first", needed.programme, statute)))
            others.append((decision == _number(_OTHER_OPEN - k), mark("open", needed.programme, statute)))
        others += [
            (decision == _number(_MISSING), mark("undetermined")),
            (decision == _number(_PARTLY), mark("partly")),
            (decision == _number(_FAULT), mark("fault", statute)),
            (decision == _number(_DIED), mark("died")),
        ]
        for n, referral in enumerate(version.referrals):
            said = (referral.reason, referral.origin.statute)
            others.append((decision == _number(_REFERRED - n), mark("referred", *said)))
        nothing = _whole(_mark(version.programme, "nothing"))
        sorts = [(decision < _number(_REFUSED), self.refused(decision, version))]
        if granted:
            sorts.append((decision > _number(0), case(*granted, else_=nothing)))
        return case(*sorts, *others, else_=nothing)

    def refused(self, decision: Expression, version: RuleVersion) -> Expression:
        """What is said of the requirements that fail, and of grounds of which there is none."""

        def mark(*said: object) -> Expression:
            return _whole(_mark(version.programme, *said))

        required = [(r.reason, r.origin.statute) for r in version.requirements]
        otherwise = (version.otherwise, version.origin.statute)
        if 2 << len(required) <= _MANY:
            numbers = sorted(range(1, 2 << len(required)), key=lambda number: number.bit_count())
            whens: list[tuple[Any, Any]] = []
            for number in numbers:
                reasons = [required[n] for n in range(len(required)) if number >> (n + 1) & 1]
                reasons += [otherwise] if number & 1 else []
                whens.append((decision == _number(_REFUSED - number), mark("refused", *reasons)))
            return case(*whens, else_=mark("nothing"))
        mask = Grouping(_number(_REFUSED) - decision)

        def when(bit: int, said: Expression) -> Expression:
            return case((mask.bitwise_and(_number(1 << bit)) != _number(0), said), else_=_whole(0))

        reasons_said = [when(n + 1, mark("reason", n, reason)) for n, reason in enumerate(required)]
        return _sum([mark("refused"), when(0, mark("otherwise", otherwise)), *reasons_said])

    def pieces(self, layer: Subquery, one: _Programme) -> Iterator[Expression]:
        """What a granted programme brings under conditions, or in amounts, each as a number of its own."""
        version, name, of_kind = one.version, one.version.programme, Counter[tuple[str, str]]()

        def place(what: str, kind: str) -> int:
            # Two of one kind are told apart by their order.
            of_kind[what, kind] += 1
            return of_kind[what, kind]

        for n, tariff in enumerate(version.tariffs):
            if tariff.when is not None:
                yield self.piece(layer, [layer.c[one.label("t", n)]], [], name, "tariff", tariff.name)
        for n, allowance in enumerate(version.allowances):
            whens = [layer.c[one.label("a", n)]] if allowance.when is not None else []
            costs = [(one.label(f"a{n}m", m), tree) for m, tree in enumerate(_costs(allowance))]
            at = place("allowance", allowance.kind)
            yield self.piece(layer, whens, costs, name, "allowance", allowance.kind, allowance.terms, at)
        for n, charge in enumerate(version.charges):
            applies: list[Expression] = [layer.c[one.label("c", n)]] if charge.when is not None else []
            belongs = self.belongs(one, charge)
            if belongs is not None:
                applies.append(layer.c[one.label("z")].in_(belongs))
            costs = [(one.label(f"c{n}m"), charge.monthly)]
            at = place("charge", charge.kind)
            yield self.piece(layer, applies, costs, name, "charge", charge.kind, at)
        for n, (rule, due) in enumerate(one.due):
            whens = [layer.c[one.label(_then(due))]]
            whens += [layer.c[one.label("d", n)]] if rule.when is not None else []
            costs = [(one.label(f"d{n}m"), rule.cents)]
            at = place("amount", rule.kind)
            yield self.piece(layer, whens, costs, name, "amount", rule.kind, due, at)

    def piece(
        self,
        layer: Subquery,
        whens: Sequence[Expression],
        costs: Sequence[tuple[str, Tree]],
        *what: object,
    ) -> Expression:
        """Its number, where the conditions hold and the amounts are known; else 0."""
        terms = [_whole(_mark(*what))]
        terms += [self.amount(layer, label, tree, *what, m) for m, (label, tree) in enumerate(costs)]
        number = _sum(terms)
        if whens:
            number = case((and_(*whens), number))
        return func.coalesce(number, _whole(0)) if whens or costs else number

    def amount(self, layer: Subquery, label: str, tree: Tree, *what: object) -> Expression:
        """What an amount adds to an essence; NULL where it is not known."""
        if not _of_anybody(tree):
            return self.weighed(layer.c[label], *what)
        name, weights = f"{self.prefix}_weight_{label}", _weights(*what)

        def derive(parameters: Mapping[str, Value], on: date) -> int | None:
            cents = _fixed(tree, parameters, on)
            return None if cents is None else _weighed(cents, weights)

        self.handed_in[name] = derive
        return bindparam(name, type_=_BIG)

    def money(self, layer: Subquery, one: _Programme) -> dict[str, Expression]:
        """Cents by kind."""
        version, name, decision = one.version, one.version.programme, layer.c[one.label("z")]
        found: dict[str, list[Expression]] = {}

        def add(label: str, whens: Sequence[Expression], costs: Sequence[tuple[str, Tree]]) -> None:
            # All of its amounts must be known, and the first is what is paid.
            amounts = [self.cents(layer, *cost) for cost in costs]
            known = [amount.is_not(None) for amount in amounts]
            found.setdefault(label, []).append(case((and_(*whens, *known), amounts[0]), else_=_number(0)))

        for n, allowance in enumerate(version.allowances):
            whens = [decision > _number(0)]
            whens += [layer.c[one.label("a", n)]] if allowance.when is not None else []
            costs = [(one.label(f"a{n}m", m), tree) for m, tree in enumerate(_costs(allowance))]
            add(name + ALLOWANCE + allowance.kind, whens, costs)
        for n, charge in enumerate(version.charges):
            belongs = self.belongs(one, charge)
            whens = [decision > _number(0) if belongs is None else decision.in_(belongs)]
            whens += [layer.c[one.label("c", n)]] if charge.when is not None else []
            add(name + CHARGE + charge.kind, whens, [(one.label(f"c{n}m"), charge.monthly)])
        for n, (rule, due) in enumerate(one.due):
            whens = [decision > _number(0), layer.c[one.label(_then(due))]]
            whens += [layer.c[one.label("d", n)]] if rule.when is not None else []
            add(name + AMOUNT + rule.kind, whens, [(one.label(f"d{n}m"), rule.cents)])
        return {label: sum(some[1:], some[0]) for label, some in found.items()}
