"""Persons in a table of their own, on whom a rule can be tried without a city: what subjects are to the interpreter."""

from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Any

from sqlalchemy import Boolean, Column, Date, MetaData, String, Table, create_engine

from entitlements.language import tree as t
from entitlements.language.tree import Kind, Tree, Type
from entitlements.language.values import Result, Subject, Value

from .compiler import compile_rules
from .expressions import TYPES
from .rows import Cell, Rows, Shared

KEY = String().with_variant(String(collation="C"), "postgresql")
"""A key whose order is that of its characters, wherever it is kept."""


def facts_of(trees: Iterable[Tree]) -> Mapping[str, Type]:
    """The facts that these rules look at, with their types."""
    found: dict[str, Type] = {}
    for tree in trees:
        for node in t.walk(tree.root):
            match node:
                case t.Fact():
                    found[node.name] = node.type
                case t.Until():
                    # Of a fact whose end alone is asked, it only matters whether it is stated.
                    found.setdefault(node.fact, t.BOOL)
                case t.Under() | t.RankAmong():
                    found |= dict.fromkeys((name for name in (node.born, node.latest) if name), t.DAY)
    return found


def households_of(trees: Iterable[Tree]) -> frozenset[str]:
    """The kinds of household that these rules look at."""
    nodes = (node for tree in trees for node in t.walk(tree.root))
    return frozenset(n.household for n in nodes if isinstance(n, t.AnyMember | t.CountMembers | t.RankAmong))


class Persons:
    """A table with a column for each fact, its first and its last day, and for each kind of household."""

    def __init__(
        self,
        facts: Mapping[str, Type],
        households: Iterable[str] = (),
        *,
        always_known: Collection[str] = (),
        current: bool = False,
        name: str = "tried",
    ) -> None:
        self.facts, self.households = dict(facts), sorted(households)
        columns: list[Column[Any]] = [Column("key", KEY, primary_key=True)]
        for number, (fact, type_) in enumerate(self.facts.items()):
            kept = TYPES[type_.kind]
            columns += [
                Column(f"f{number}", kept, nullable=fact not in always_known),
                Column(f"f{number}_since", Date()),
                Column(f"f{number}_until", Date()),
            ]
        for number in range(len(self.households)):
            columns += [Column(f"h{number}", KEY, index=True), Column(f"h{number}_alone", Boolean())]
        self.table = Table(name, MetaData(), *columns)
        c = self.table.c
        self.rows = Rows(
            source=self.table,
            key=c.key,
            facts={
                fact: Cell(c[f"f{n}"], c[f"f{n}_since"], c[f"f{n}_until"], fact in always_known)
                for n, fact in enumerate(self.facts)
            },
            households={kind: Shared(c[f"h{n}"], c[f"h{n}_alone"]) for n, kind in enumerate(self.households)},
            current=current,
        )

    def rows_of(self, subjects: Iterable[Subject]) -> list[dict[str, Any]]:
        """A row for each of these persons and for everybody who shares a household with one of them."""
        everybody: dict[str, Subject] = {}
        shared: dict[tuple[str, str], str] = {}
        alone: set[tuple[str, str]] = set()
        for subject in subjects:
            everybody[subject.key] = subject
            for kind, members in subject.households.items():
                if not members:
                    alone.add((subject.key, kind))
                for member in members:
                    everybody.setdefault(member.key, member)
                    shared[member.key, kind] = min(other.key for other in members)
        found = []
        for key, subject in everybody.items():
            row: dict[str, Any] = {"key": key}
            for number, (fact, type_) in enumerate(self.facts.items()):
                stated = subject.facts.get(fact)
                row |= {
                    f"f{number}": None if stated is None else _kept(stated.value, type_),
                    f"f{number}_since": stated and stated.since,
                    f"f{number}_until": stated and stated.until,
                }
            for number, kind in enumerate(self.households):
                row |= {f"h{number}": shared.get((key, kind)), f"h{number}_alone": (key, kind) in alone}
            found.append(row)
        return found


def _kept(value: Value, type_: Type) -> Value:
    return value if type_.kind is not Kind.BOOL else value is not False


def answer(tree: Tree, subject: Subject, parameters: Mapping[str, Value], on: date) -> Result:
    """What the rule says about this person by SQL, on a database in memory."""
    persons = Persons(facts_of([tree]), households_of([tree]))
    compiled = compile_rules({"rule": tree}, persons.rows, name_missing=True)
    engine = create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            persons.table.create(connection)
            connection.execute(persons.table.insert(), persons.rows_of([subject]))
            for row in connection.execute(compiled.select, compiled.bind(parameters, on)).mappings():
                if row["key"] == subject.key:
                    return compiled.result(row, "rule")
    finally:
        engine.dispose()
    raise AssertionError(subject.key)
