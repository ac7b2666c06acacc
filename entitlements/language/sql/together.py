"""Asks many small cases in one statement, each rule of the person it is about: most of a statement's cost is its own."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from types import TracebackType
from typing import Self

from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from entitlements.language.messages import Mismatch
from entitlements.language.tree import Kind, Tree, Type
from entitlements.language.values import Fault, Result, Subject, Value

from .compiler import compile_rules
from .persons import Persons, answer, facts_of, households_of
from .said import MAX_NAMED

_NONE = Type(Kind.ENUM, "")
"""The type of nothing: no case shares a table with one that asks of a household."""
REFUSED = Fault("refused", "The database cannot take a rule of this size.")
MOST = 40
"""So many cases in one statement; each is asked of everybody in it, so that more would cost more."""


@dataclass(frozen=True, slots=True)
class Case:
    """A rule, and the person it is asked about."""

    tree: Tree
    subject: Subject


class Together:
    """A database in memory that stays open from case to case."""

    def __enter__(self) -> Self:
        self._engine = create_engine("sqlite://")
        # No statement comes twice; keeping them would only cost.
        self._connection = self._engine.connect().execution_options(compiled_cache=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._engine.dispose()

    def answers(self, cases: Sequence[Case], parameters: Mapping[str, Value], on: date) -> list[Result]:
        """What each rule says about its person, in the order of the cases."""
        said: dict[int, Result] = {}
        for places in _bundles(cases):
            bundle = [cases[place] for place in places]
            results = None
            # Whoever shares a household is asked with it, and alone.
            if not households_of(case.tree for case in bundle):
                with suppress(SQLAlchemyError, OverflowError, Mismatch):
                    results = self._ask(bundle, parameters, on)
            if results is None:
                results = [_alone(case, parameters, on) for case in bundle]
            said.update(zip(places, results, strict=True))
        return [said[place] for place in range(len(cases))]

    def _ask(self, cases: Sequence[Case], parameters: Mapping[str, Value], on: date) -> list[Result]:
        trees = {f"r{n}": case.tree for n, case in enumerate(cases)}
        persons = Persons(facts_of(trees.values()))
        compiled = compile_rules(trees, persons.rows, name_missing=True)
        people = [Subject(f"r{n}", case.subject.facts) for n, case in enumerate(cases)]
        try:
            persons.table.create(self._connection)
            self._connection.execute(persons.table.insert(), persons.rows_of(people))
            rows = self._connection.execute(compiled.select, compiled.bind(parameters, on)).mappings()
            said = {row["key"]: compiled.result(row, row["key"]) for row in rows}
        finally:
            self._connection.rollback()
            persons.table.drop(self._connection, checkfirst=True)
            self._connection.commit()
        return [said[label] for label in trees]


def _alone(case: Case, parameters: Mapping[str, Value], on: date) -> Result:
    try:
        return answer(case.tree, case.subject, parameters, on)
    except (SQLAlchemyError, OverflowError, Mismatch):
        return REFUSED


def _bundles(cases: Sequence[Case]) -> list[list[int]]:
    """Which cases can stand in one table: a fact of one name has one type there, and no more can be named than may be."""
    bundles: list[tuple[dict[str, Type], list[int]]] = []
    for place, case in enumerate(cases):
        own = dict(facts_of([case.tree]))
        if households_of([case.tree]):
            bundles.append((dict.fromkeys(own, _NONE), [place]))
            continue
        for facts, places in bundles:
            alike = all(facts.get(name, type_) == type_ for name, type_ in own.items())
            if alike and len(places) < MOST and 2 * len(facts | own) <= MAX_NAMED:
                facts.update(own)
                places.append(place)
                break
        else:
            bundles.append((dict(own), [place]))
    return [places for _, places in bundles]
