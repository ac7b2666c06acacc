"""Rules, amounts and families at random, from a seed: what both back ends are asked about, and how to make it small."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from entitlements.language import (
    Kind,
    Mismatch,
    Node,
    Speakable,
    Stated,
    Subject,
    Tree,
    Type,
    Value,
    Vocabulary,
)
from entitlements.language import tree as t
from entitlements.language.days import years_before

STAGE = Type(Kind.ENUM, "stage")
FACTS = {
    "a": Speakable(t.BOOL),
    "b": Speakable(t.BOOL),
    "c": Speakable(t.BOOL),
    "sure": Speakable(t.BOOL),
    "n": Speakable(t.INT),
    "m": Speakable(t.INT),
    "number": Speakable(t.INT),
    "income": Speakable(t.CENTS),
    "need": Speakable(t.CENTS),
    "left_on": Speakable(t.DAY),
    "came_on": Speakable(t.DAY),
    "birth_date": Speakable(t.DAY, latest="birth_date_latest"),
    "birth_date_latest": Speakable(t.DAY),
    "stage": Speakable(STAGE, ("none", "primary", "sek1", "sek2")),
    "word": Speakable(t.STRING),
}
ALWAYS_KNOWN = frozenset({"sure", "number"})
KINDS = ("registered_household", "wohngeld_household")
PARAMETERS = {
    "limit": t.INT,
    "large": t.INT,
    "price": t.CENTS,
    "cutoff": t.DAY,
    "open": t.BOOL,
    "school": STAGE,
}
VOCABULARY = Vocabulary(FACTS, PARAMETERS, frozenset(KINDS))
WORDS = ("", "x", "X", "ä", "a\u0308", "'; --", "%", "\\", "1", "null", "\U0001f3ab")
EDGES = (-(2**63), -(2**63) + 1, -(2**62), -(2**31), -1, 0, 1, 2, 3, 100, 2**31, 2**62, 2**63 - 2, 2**63 - 1)
DAYS = (
    date(2026, 2, 28),
    date(2026, 3, 1),
    date(2028, 2, 29),
    date(2026, 3, 29),  # the clock is put forward
    date(2026, 10, 25),  # and back
    date(2026, 9, 1),
    date(2026, 9, 30),
    date(2026, 12, 31),
    date(2027, 1, 1),
    date(2026, 9, 16),
)
FAR = (date(1, 1, 1), date(1, 1, 2), date(9999, 12, 30), date(9999, 12, 31))
LEARNED = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """Some people on a day, and the amounts in force; `current` says that all their facts hold on that day."""

    people: tuple[Subject, ...]
    parameters: Mapping[str, Value]
    on: date
    current: bool


# --- rules --------------------------------------------------------------------------------------------------


class Writer:
    """Writes rules that are typed right and mean nothing; `plain` ones say only what CEL itself can say."""

    def __init__(self, random: Random, *, plain: bool = False) -> None:
        self.random, self.plain = random, plain

    def rule(self) -> Tree:
        """A rule; mostly a condition, now and then any other value."""
        pick = self.random.random()
        sums = [t.INT] if self.plain else [t.INT, t.CENTS]
        if pick < 0.25:
            return Tree(self.bill(self.random.choice(sums), self.random.choice([1, 2, 2, 3])))
        if pick < 0.3 and not self.plain:
            asked = self.make(t.BOOL, 1, of_member=True)
            return Tree(t.RankAmong(self.kind(), asked, "birth_date", "birth_date_latest"))
        type_ = t.BOOL if pick < 0.85 else self.random.choice(self.types()[1:])
        return Tree(self.make(type_, self.random.choice([1, 2, 2, 3, 3, 4])))

    def types(self) -> list[Type]:
        return [t.BOOL, t.INT, STAGE, t.STRING, *([] if self.plain else [t.CENTS, t.DAY])]

    def bill(self, type_: Type, depth: int) -> Node:
        """Nothing but calculations, at the edge of what 64 bits hold."""
        if depth == 0:
            edges = t.Literal(type_, self.random.choice([0, 0, 1, -1, 2**63 - 1, -(2**63)]))
            return edges if self.random.random() < 0.3 else self.leaf(type_)
        return self.calculation(type_, lambda kind=type_: self.bill(kind, depth - 1))

    def row(self, length: int) -> Tree:
        """A rule as wide as few are."""
        chain = self.random.choice([t.And, t.Or])
        return Tree(chain(tuple(self.make(t.BOOL, 1) for _ in range(length))))

    def tower(self, height: int) -> Tree:
        """A rule as deep as few are."""
        node = self.make(t.BOOL, 1)
        for _ in range(height):
            other = self.make(t.BOOL, 1)
            steps: list[Callable[[], Node]] = [
                lambda node=node: t.Not(node),  # type: ignore[misc]
                lambda node=node, other=other: t.And((node, other)),  # type: ignore[misc]
                lambda node=node, other=other: t.Or((other, node)),  # type: ignore[misc]
                lambda node=node, other=other: t.Compare("!=", other, node),  # type: ignore[misc]
                lambda node=node, other=other: t.Choose(((node, other),), t.Not(other)),  # type: ignore[misc]
                lambda node=node, other=other: t.Choose(((other, node),), node),  # type: ignore[misc]
            ]
            node = self.random.choice(steps)()
            if sum(1 for _ in t.walk(node)) > 1_000:
                break
        return Tree(node)

    def make(self, type_: Type, depth: int, *, of_member: bool = False) -> Node:
        """A part of this type, at most so deep."""
        if depth <= 0 or self.random.random() < 0.12:
            return self.leaf(type_)

        def down(kind: Type = type_) -> Node:
            return self.make(kind, depth - 1, of_member=of_member)

        options: list[Callable[[], Node]] = [lambda: self.choice(type_, down)]
        match type_.kind:
            case Kind.BOOL:
                options += [
                    lambda: t.Not(down()),
                    lambda: t.And(tuple(down() for _ in range(self.random.randint(2, 4)))),
                    lambda: t.Or(tuple(down() for _ in range(self.random.randint(2, 4)))),
                    lambda: self.comparison(down),
                    lambda: self.comparison(down),
                    lambda: self.one_of(down),
                    lambda: self.leaf(t.BOOL),
                ]
                if not (of_member or self.plain):
                    options += [lambda: t.AnyMember(self.kind(), self.asked(depth))] * 2
            case Kind.INT:
                options += [lambda: self.calculation(t.INT, down)] * 3
                options += [lambda: t.Negative(down()), *([] if self.plain else [lambda: self.extreme(down)])]
                if not (of_member or self.plain):
                    options += [
                        lambda: t.CountMembers(self.kind(), self.asked(depth)),
                        lambda: t.RankAmong(
                            self.kind(), self.asked(depth), "birth_date", "birth_date_latest"
                        ),
                    ] * 2
            case Kind.CENTS:
                options += [lambda: self.calculation(t.CENTS, down)] * 3
                options += [lambda: self.extreme(down), lambda: t.Negative(down())]
            case Kind.DAY:
                options += [lambda: self.extreme(down)] * 2
            case _:
                options += [lambda: self.leaf(type_)]
        return self.random.choice(options)()

    def kind(self) -> str:
        return self.random.choice(KINDS)

    def asked(self, depth: int) -> Node:
        return self.make(t.BOOL, min(depth - 1, 3), of_member=True)

    def choice(self, type_: Type, down: Callable[..., Node]) -> Node:
        cases = tuple((down(t.BOOL), down(type_)) for _ in range(self.random.choice([1, 1, 1, 2, 3])))
        return t.Choose(cases, down(type_))

    def comparison(self, down: Callable[..., Node]) -> Node:
        kind = self.random.choice([t.INT, *self.types()])
        signs = sorted(t.OPERATORS) if kind.kind in t.ORDERED else ["==", "!="]
        return t.Compare(self.random.choice(signs), down(kind), down(kind))

    def one_of(self, down: Callable[..., Node]) -> Node:
        kind = self.random.choice(self.types())
        options = tuple(self.literal(kind) for _ in range(self.random.choice([0, 1, 2, 3])))
        return t.OneOf(down(kind), options)

    def calculation(self, type_: Type, down: Callable[..., Node]) -> Node:
        sign = self.random.choice("+-*+-*+-*/%" if type_ == t.INT else "+-*")
        if sign == "*" and type_ == t.CENTS:
            pair = [down(t.CENTS), down(t.INT)]
            self.random.shuffle(pair)
            return t.Arithmetic("*", *pair)
        return t.Arithmetic(sign, down(), down())

    def extreme(self, down: Callable[..., Node]) -> Node:
        terms = tuple(down() for _ in range(self.random.choice([1, 2, 2, 3, 5])))
        return t.Extreme(self.random.choice(["least", "greatest"]), terms)

    def literal(self, type_: Type) -> t.Literal:
        match type_.kind:
            case Kind.BOOL:
                return t.Literal(type_, self.random.random() < 0.5)
            case Kind.INT | Kind.CENTS:
                return t.Literal(type_, self.random.choice([*EDGES, 0, 1, -1, 2**63 - 1]))
            case Kind.DAY:
                return t.Literal(type_, self.random.choice([*DAYS, *FAR]))
            case Kind.ENUM:
                return t.Literal(type_, self.random.choice(FACTS["stage"].members))
        return t.Literal(type_, self.random.choice(WORDS))

    def leaf(self, type_: Type) -> Node:
        pick = self.random.random()
        if pick < 0.2:
            return self.literal(type_)
        named = [name for name, kind in PARAMETERS.items() if kind == type_ and not self.plain]
        if pick < 0.3 and named:
            return t.Parameter(self.random.choice(named), type_)
        if type_ == t.DAY and pick < 0.65:
            return t.Today() if pick < 0.45 else t.Until(self.random.choice(["a", "b", "sure", "n", "stage"]))
        if type_ == t.BOOL and pick < 0.6 and not self.plain:
            return self.under()
        return t.Fact(
            self.random.choice(
                [name for name, fact in FACTS.items() if fact.type == type_ and not fact.latest]
            ),
            type_,
        )

    def under(self) -> Node:
        years = self.random.choice(
            [t.Literal(t.INT, years) for years in (0, 1, 18, 18, 25, 25, 150)] + [t.Parameter("limit", t.INT)]
        )
        born, latest = self.random.choice([("birth_date", "birth_date_latest")] * 3 + [("came_on", "")])
        return t.Under(born, latest, years, self.random.choice(["today", "month_start"]))


# --- people -------------------------------------------------------------------------------------------------


def a_world(random: Random, families: int = 8) -> World:
    """A few families on some day, with everything that can go wrong in a register."""
    on = random.choice(DAYS)
    current = random.random() < 0.5
    parameters: dict[str, Value] = {
        "limit": random.choice([0, 3, 18, 25]),
        "large": random.choice(EDGES),
        "price": random.choice([-1, 0, 1500, 2**62]),
        "cutoff": random.choice(DAYS),
        "open": random.random() < 0.5,
        "school": random.choice(FACTS["stage"].members),
    }
    people: list[Subject] = []
    for _ in range(families):
        size = random.choice([1, 1, 2, 3, 5])
        births = [_born(random, on) for _ in range(max(1, size - 1))]  # there are twins
        plain = [
            Subject(f"p{len(people) + n:03}", _facts(random, on, random.choice(births), current=current))
            for n in range(size)
        ]
        shares = {kind: _share(random, plain) for kind in KINDS}
        for one in plain:
            households: dict[str, tuple[Subject, ...]] = {}
            for kind, members in shares.items():
                if one in members:
                    households[kind] = members
                elif random.random() < 0.6:
                    households[kind] = ()
            people.append(Subject(one.key, one.facts, households))
    return World(tuple(people), parameters, on, current)


def _share(random: Random, plain: list[Subject]) -> tuple[Subject, ...]:
    if random.random() < 0.25:
        return ()
    return tuple(one for one in plain if random.random() < 0.8)


def _facts(
    random: Random, on: date, born: tuple[date, date | None], *, current: bool
) -> Mapping[str, Stated]:
    missing = random.choice([0.0, 0.15, 0.5])
    facts = {
        name: _stated(random, _value(random, fact.type, on), on, current=current)
        for name, fact in FACTS.items()
        if "birth" not in name and (name in ALWAYS_KNOWN or random.random() >= missing)
    }
    if random.random() >= missing:
        first, last = born
        facts["birth_date"] = Stated(first, date(1, 1, 1), None, "melderegister", LEARNED)
        if last is not None:
            facts["birth_date_latest"] = replace(facts["birth_date"], value=last)
    return facts


def _born(random: Random, on: date) -> tuple[date, date | None]:
    if random.random() < 0.1:
        return random.choice(FAR), None
    first = years_before(on, random.choice([0, 1, 3, 18, 18, 25, 25])) + timedelta(
        random.choice([-31, -1, 0, 0, 1, 31])
    )
    if random.random() < 0.15:
        first = date(first.year // 4 * 4, 2, 29)
    span = random.choice([None, None, 0, 0, 1, 30, 365, -1])
    return first, None if span is None else first + timedelta(span)


def _value(random: Random, type_: Type, on: date) -> Value:
    match type_.kind:
        case Kind.BOOL:
            return random.random() < 0.5
        case Kind.INT | Kind.CENTS:
            return random.choice([*EDGES, 0, 1, -1, random.randint(-5, 5)])
        case Kind.DAY:
            return random.choice([*FAR, on, on, on - timedelta(1), on + timedelta(1), years_before(on, 3)])
        case Kind.ENUM:
            return random.choice(FACTS["stage"].members)
    return random.choice(WORDS)


def _stated(random: Random, value: Value, on: date, *, current: bool) -> Stated:
    since = on - timedelta(random.choice([0, 1, 400]))
    until = random.choice([None, None, on, on + timedelta(1), on + timedelta(400), date.max])
    if not current and random.random() < 0.3:
        since, until = random.choice(
            [
                (on + timedelta(1), None),
                (on - timedelta(9), on - timedelta(1)),
                (date(1, 1, 1), date(1, 1, 1)),
            ]
        )
    return Stated(value, since, until, "melderegister", LEARNED)


# --- making a disagreement small ----------------------------------------------------------------------------

Differ = Callable[[Tree, World], Awaitable[bool]]


async def smallest(tree: Tree, world: World, differ: Differ, *, steps: int = 400) -> tuple[Tree, World]:
    """A smaller rule and fewer people, on whom the back ends still differ."""
    progress = True
    while progress and steps > 0:
        progress = False
        for smaller in (*_smaller_trees(tree), *_smaller_worlds(world)):
            steps -= 1
            candidate = (smaller, world) if isinstance(smaller, Tree) else (tree, smaller)
            if steps > 0 and await differ(*candidate):
                (tree, world), progress = candidate, True
                break
    return tree, world


def _smaller_trees(tree: Tree) -> Iterator[Tree]:
    for part in tree.root.parts:
        yield Tree(part)
    for node in t.walk(tree.root):
        for below in t.walk(node):
            if below is not node and below.type == node.type:
                try:
                    yield Tree(_replaced(tree.root, node, below))
                except Mismatch:
                    continue
        if isinstance(node, t.And | t.Or) and len(node.terms) > 2:
            yield Tree(_replaced(tree.root, node, type(node)(node.terms[1:])))
            yield Tree(_replaced(tree.root, node, type(node)(node.terms[:-1])))


def _replaced(where: Any, old: Node, new: Node) -> Any:
    if where is old:
        return new
    if isinstance(where, tuple):
        return tuple(_replaced(part, old, new) for part in where)
    if is_dataclass(where) and not isinstance(where, Type | type):
        changed = {f.name: _replaced(getattr(where, f.name), old, new) for f in fields(where)}
        return replace(where, **changed)
    return where


def _smaller_worlds(world: World) -> Iterator[World]:
    for one in world.people:
        yield replace(world, people=tuple(p for p in world.people if p is not one))
    for gone in world.people:
        yield replace(world, people=tuple(_without(p, gone.key) for p in world.people if p is not gone))
    for name in FACTS.keys() - ALWAYS_KNOWN:
        if any(name in p.facts for p in world.people):
            yield replace(world, people=tuple(_unsaid(p, name) for p in world.people))


def _without(person: Subject, gone: str) -> Subject:
    households = {
        kind: tuple(m for m in members if m.key != gone) for kind, members in person.households.items()
    }
    return replace(person, households=households)


def _unsaid(person: Subject, name: str) -> Subject:
    households = {
        kind: tuple(_unsaid(m, name) for m in members) for kind, members in person.households.items()
    }
    return replace(person, facts={k: v for k, v in person.facts.items() if k != name}, households=households)
