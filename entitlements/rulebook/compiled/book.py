"""Decides every programme for every row in one statement, step by step as `entitlements.rulebook.rules` does.

Death, other programmes first, referrals whatever else holds, requirements, grounds, referrals instead of a refusal,
what is missing, faults, and then what a ground brings. Days (until when, when it can change) are left to the
interpreter, for the few whose outcome is another.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import (
    Boolean,
    and_,
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
from entitlements.language import PRECISE, Tree, Value
from entitlements.language import tree as t
from entitlements.language.sql import MISSING, Compiled, Rows, compile_rules
from entitlements.language.sql.persons import households_of
from entitlements.rulebook.programmes import Outcome, RuleVersion

from .answers import Answers, Derive
from .asked import Asked, costs_of, due_on, of_anybody, of_day
from .numbers import (
    BIG,
    DIED,
    FAILED,
    FAULT,
    OTHER_FIRST,
    OTHER_OPEN,
    PARTLY,
    REFERRED,
    REFUSED,
    UNDETERMINED,
    UNKNOWN,
    Expression,
    any_of,
    is_of,
    number,
)

_DEAD = Tree(t.Fact("deceased", t.BOOL))
_OPEN, _PAID = "opens", "paid"
"""Flags of a person: something is missing that counts; something that is granted may have fallen due."""


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
    _handed_in: Mapping[str, Derive]

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


def _name_of(expression: Expression) -> str:
    """What a column is called in its table."""
    return str(getattr(expression, "name"))  # noqa: B009  (only columns have one)


class _Book:
    def __init__(
        self, versions: Sequence[RuleVersion], rows: Rows, prefix: str, on: date | None, dated: Rows
    ) -> None:
        self.rows, self.prefix, self.on, self.dated = rows, prefix, on, dated
        depths: dict[str, int] = {}
        # Programmes that rest on the same grounds ask once which of them counts.
        first: dict[tuple[Any, ...], int] = {}
        self.programmes: list[Asked] = []
        for place, version in enumerate(versions):
            below = [depths[d.programme] for d in version.depends_on if d.programme in depths]
            depths[version.programme] = 1 + max(below, default=-1)
            due = tuple(due_on(version, on)) if on is not None else ()
            shared = first.setdefault((version.hit, *(ground.when for ground in version.grounds)), place)
            self.programmes.append(Asked(version, place, depths[version.programme], shared, due))
        self.by_name = {one.version.programme: one for one in self.programmes}
        self.may_miss: frozenset[str] = frozenset()
        self.may_fail: frozenset[str] = frozenset()
        self.parts: list[Subquery] = []
        self.bits: Mapping[str, int] = {}

    def compile(self) -> CompiledBook:
        """First what is decided of everybody, without asking which facts are missing; that is asked only of those
        for whom it matters, and what fell due only of those who are granted something.
        """
        rules = {label: tree for one in self.programmes for label, tree in one.of_everybody()} | {
            "dead": _DEAD
        }
        values = compile_rules(rules, self.rows, prefix=self.prefix, says=False)
        self.may_miss, self.may_fail = values.may_miss, values.may_fail
        parts: list[tuple[Compiled, date | None]] = [(values, None)]
        layer = values.select.offset(number(0)).subquery(f"{self.prefix}_0")
        grounds = frozenset(label for one in self.programmes for label in one.grounds)
        layer = self.next(layer, self.first_look(layer), without=grounds | {g + MISSING for g in grounds})
        for depth in range(1 + max((one.depth for one in self.programmes), default=0)):
            some = [one for one in self.programmes if one.depth == depth]
            layer = self.next(layer, [self.decided(layer, one).label(one.label("o")) for one in some])
        decided = self.settled(layer)

        source: Any = decided
        for n, day in enumerate(sorted({due for one in self.programmes for _, due in one.due})):
            paid = [one for one in self.programmes if any(due == day for _, due in one.due)]
            asked = {label: tree for one in paid for label, tree in one.of_paid(day)}
            compiled = self.of_some(asked, self.dated, f"{self.prefix}d{n}", decided, _PAID)
            parts.append((compiled, day))
            source = self.beside(source, decided, compiled)
        # What a referral misses is never said.
        referred = {one.label("r", n) for one in self.programmes for n, _ in enumerate(one.version.referrals)}
        rules = {label: tree for label, tree in rules.items() if label in values.may_miss - referred}
        if rules:
            compiled = self.of_some(rules, self.rows, f"{self.prefix}m", decided, _OPEN)
            parts.append((compiled, None))
            source = self.beside(source, decided, compiled)
        answers = Answers(self.programmes, self.prefix, self.bits)
        statement = answers.of(self.plainly(decided))
        if self.parts:
            # For most there is nothing more to ask.
            rest = decided.c[_OPEN] + decided.c[_PAID] > number(0)
            columns = {column.name: column for part in self.parts for column in part.c}
            columns |= {column.name: column for column in decided.c}
            more = select(*columns.values()).select_from(source).where(rest)
            layer = more.offset(number(0)).subquery(f"{self.prefix}_more")
            layer = self.next(layer, list(self.missed(layer)))
            layer = self.next(
                layer, [self.final(layer, one).label(one.label("z")) for one in self.programmes]
            )
            statement = union_all(statement, answers.of(layer)).subquery(f"{self.prefix}_told").select()
        return CompiledBook(
            statement,
            tuple(one.version.programme for one in self.programmes),
            tuple(parts),
            answers.handed_in,
        )

    def plainly(self, decided: CTE) -> Subquery:
        """Of whom nothing is missing that counts, and who is paid nothing on a day: it stays as it was decided."""
        columns: list[Any] = list(decided.c)
        for one in self.programmes:
            columns.append(decided.c[one.label("o")].label(one.label("z")))
            columns.append(number(0).label(one.label("w")))
            days = {of_day(due) for _, due in one.due}
            columns += [null().cast(Boolean()).label(one.label(day)) for day in sorted(days)]
            for n, (rule, _) in enumerate(one.due):
                if rule.when is not None:
                    columns.append(null().cast(Boolean()).label(one.label("d", n)))
                if not of_anybody(rule.cents):
                    columns.append(null().cast(BIG).label(one.label(f"d{n}m")))
        plain = decided.c[_OPEN] + decided.c[_PAID] == number(0)
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
            .where(decided.c[flag] == number(1))
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
        part = compiled.select.offset(number(0)).subquery(f"{self.prefix}_{len(self.parts) + 1}")
        self.parts.append(part)
        return source.outerjoin(part, part.c.key == decided.c.key)

    def next(self, layer: Subquery, more: Sequence[Any], without: Collection[str] = frozenset()) -> Subquery:
        """The same rows with more columns, and without those that nobody asks for any more.

        The offset keeps what has a name from being worked out again for whoever says the name.
        """
        kept = (column for column in layer.c if column.name not in without)
        return select(*kept, *more).offset(number(0)).subquery(f"{layer.name}x")

    def settled(self, layer: Subquery) -> CTE:
        """What was decided, as a table: whoever asks for more begins with it."""
        kept = {label for one in self.programmes for label, _ in one.of_granted()}
        columns = [layer.c.key, *(layer.c[label] for label in sorted(kept))]
        opens: list[Any] = []
        for one in self.programmes:
            decision = layer.c[one.label("o")]
            lacks = list(self.lacks(layer, one))
            whens: list[tuple[Any, Any]] = [(decision == number(UNDETERMINED), number(1))]
            if lacks:
                whens.append((and_(decision > number(0), or_(*lacks)), number(1)))
            opens += [when for when, _ in whens]
            columns.append(decision)
        columns += [layer.c[head] for head in sorted({one.head for one in self.programmes})]
        paid = [layer.c[one.label("o")] > number(0) for one in self.programmes if one.due]
        # As numbers that are compared, because of those a planner expects few.
        columns.append(case((or_(*opens), number(1)), else_=number(0)).label(_OPEN))
        columns.append((case((or_(*paid), number(1)), else_=number(0)) if paid else number(0)).label(_PAID))
        return select(*columns).cte(f"{self.prefix}_decided").prefix_with("MATERIALIZED")

    def lacks(self, layer: Subquery, one: Asked) -> Iterator[Expression]:
        """Whether something is missing of what is asked once it is granted."""
        for label, _ in one.of_granted():
            if label in self.may_miss:
                yield self.unknown(layer, label)

    def unknown(self, layer: Subquery, label: str) -> Expression:
        """Whether it is unknown, which is not the same as a fault."""
        if label in self.may_fail:
            return layer.c[label + MISSING] != number(0)
        return layer.c[label].is_(None)

    def opens(self, label: str) -> bool:
        """Whether it may be neither yes nor no."""
        return label in self.may_miss or label in self.may_fail

    # --- the decision ----------------------------------------------------------------------------------------

    def first_look(self, layer: Subquery) -> list[Any]:
        """Which ground counts: 0 for none, below 0 for one that is unknown or a fault."""
        found: list[Any] = []
        for one in self.programmes:
            if one.asks:
                found.append(self.ground(layer, one).label(one.head))
        return found

    def failing(self, layer: Subquery, one: Asked) -> tuple[list[Expression], Expression]:
        """What says that a requirement fails, and which ones, as a number that is asked only then."""
        fails = [not_(layer.c[one.label("q", n)]) for n, _ in enumerate(one.version.requirements)]
        which = [case((failed, number(1 << n)), else_=number(0)) for n, failed in enumerate(fails)]
        return fails, sum(which[1:], which[0]) if which else number(0)

    def ground(self, layer: Subquery, one: Asked) -> Expression:
        labels = one.grounds
        whens: list[tuple[Any, Any]] = []
        opens: list[tuple[Any, Any]] = []
        for n, label in enumerate(labels):
            whens.append((layer.c[label], number(n + 1)))
            some: list[tuple[Any, Any]] = []
            if label in self.may_miss:
                some.append((self.unknown(layer, label), number(UNKNOWN)))
            if label in self.may_fail:
                some.append((layer.c[label].is_(None), number(FAILED)))
            # Where the first hit counts, one above that is open leaves open which one it is.
            (whens if one.version.hit == "first" else opens).extend(some)
        # Else what is missing anywhere counts before a fault, and either only where none holds.
        opens.sort(key=lambda when: str(when[1]) != str(UNKNOWN))
        # For most none holds and none is open, which is asked first because it is one look at each.
        none = [(not_(Grouping(or_(*(layer.c[label] for label in labels)))), number(0))] if labels else []
        return case(*none, *whens, *opens, else_=number(0))

    def decided(self, layer: Subquery, one: Asked) -> Expression:
        """The decision as a number, in the order of `rules._judge`."""
        version = one.version
        ground, (failed, which) = layer.c[one.head], self.failing(layer, one)
        required = [one.label("q", n) for n, _ in enumerate(version.requirements)]
        whens: list[tuple[Any, Any]] = [(layer.c.dead, number(DIED))]
        for k, needed in enumerate(version.depends_on):
            other = self.by_name.get(needed.programme)
            if other is None:
                whens.append((true(), number(OTHER_OPEN - k)))
                continue
            outcome = layer.c[other.label("o")]
            fits = or_(*(is_of(outcome, wanted) for wanted in needed.outcomes))
            decided = or_(is_of(outcome, Outcome.GRANTED), is_of(outcome, Outcome.REFUSED))
            whens += [
                (and_(not_(Grouping(fits)), decided), number(OTHER_FIRST - k)),
                (not_(Grouping(fits)), number(OTHER_OPEN - k)),
            ]
        referrals = [
            (layer.c[one.label("r", n)], number(REFERRED - n), referral.even_if_granted)
            for n, referral in enumerate(version.referrals)
        ]
        whens += [(when, referred) for when, referred, always in referrals if always]
        fails = or_(ground == number(0), *failed)
        known = [layer.c[label] for label in required]
        whens += [(and_(fails, *known, when), referred) for when, referred, _ in referrals]
        none = case((ground == number(0), number(1)), else_=number(0))
        whens.append((fails, number(REFUSED) - (Grouping(which) * number(2) + none)))
        unknown = [self.unknown(layer, label) for label in required if label in self.may_miss]
        whens.append((or_(*unknown, ground == number(UNKNOWN)), number(UNDETERMINED)))
        faults = [layer.c[label].is_(None) for label in required if self.opens(label)]
        whens.append((or_(*faults, ground == number(FAILED)), number(FAULT)))
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
                whens.append((decision == number(UNDETERMINED), open_))
            brought = any_of(
                func.coalesce(mask, number(0))
                for mask in self.masks_of_brought(layer, one)
                if mask is not None
            )
            if brought is not None:
                whens.append((decision > number(0), brought))
            yield (case(*whens, else_=number(0)) if whens else number(0)).label(one.label("w"))

    def final(self, layer: Subquery, one: Asked) -> Expression:
        """No register can supply what nobody recorded: a birth date known in part is for a person to judge."""
        decision, missing = layer.c[one.label("o")], layer.c[one.label("w")]
        partly = and_(decision == number(UNDETERMINED), missing.bitwise_and(self.whole_bits()) == number(0))
        return case((partly, number(PARTLY)), else_=decision)

    def masks_of_open(self, layer: Subquery, one: Asked) -> Expression | None:
        required = [self.mask(layer, one.label("q", n)) for n, _ in enumerate(one.version.requirements)]
        masks = [self.mask(layer, label) for label in one.grounds]
        missing = any_of(masks)
        if missing is not None:
            if one.version.hit == "first":
                # What is missing for the first that is open is all that counts.
                firsts = [(mask != number(0), mask) for mask in masks if mask is not None]
                missing = case(*firsts, else_=number(0))
            missing = case((layer.c[one.head] == number(UNKNOWN), missing), else_=number(0))
        return any_of([*required, missing])

    def masks_of_brought(self, layer: Subquery, one: Asked) -> Iterator[Expression | None]:
        version, decision = one.version, layer.c[one.label("o")]
        for n, tariff in enumerate(version.tariffs):
            if tariff.when is not None:
                yield self.mask(layer, one.label("t", n))
        for n, allowance in enumerate(version.allowances):
            costs = [
                one.label(f"a{n}m", m) for m, tree in enumerate(costs_of(allowance)) if not of_anybody(tree)
            ]
            yield from self.asked_in_turn(layer, [one.label("a", n)] if allowance.when else [], costs)
        for n, charge in enumerate(version.charges):
            cost = [] if of_anybody(charge.monthly) else [one.label(f"c{n}m")]
            masks = self.asked_in_turn(layer, [one.label("c", n)] if charge.when else [], cost)
            belongs = one.belongs(charge)
            if belongs is None:
                yield from masks
            else:
                for mask in masks:
                    if mask is not None:
                        yield case((decision.in_(belongs), mask), else_=number(0))
        for n, (rule, due) in enumerate(one.due):
            whens = [one.label(of_day(due)), *([one.label("d", n)] if rule.when else [])]
            yield from self.asked_in_turn(
                layer, whens, [] if of_anybody(rule.cents) else [one.label(f"d{n}m")]
            )

    def asked_in_turn(
        self, layer: Subquery, whens: Sequence[str], costs: Sequence[str]
    ) -> Iterator[Expression | None]:
        """What is missing of conditions of which each is asked only if all before it hold, and then of amounts."""
        held: list[Expression] = []
        for label in whens:
            mask = self.mask(layer, label)
            yield case((and_(*held), mask), else_=number(0)) if held and mask is not None else mask
            held.append(layer.c[label])
        for label in costs:
            mask = self.mask(layer, label)
            yield case((and_(*held), mask), else_=number(0)) if held and mask is not None else mask

    def whole_bits(self) -> Expression:
        """The bits of everything that a register could still supply."""
        return literal_column(str(sum(bit for name, bit in self.bits.items() if not name.endswith(PRECISE))))
