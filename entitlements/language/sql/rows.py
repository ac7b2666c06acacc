"""Where the persons stand whom a statement judges: any table or select with a row for each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import FromClause

from entitlements.language.messages import Mismatch

Expression = ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class Cell:
    """Where a fact stands in a person's row: its value, and the first and last day for which it is stated."""

    value: Expression
    since: Expression | None = None
    until: Expression | None = None
    """NULL, or no such column: no end is stated."""
    always_known: bool = False
    """The value is never NULL, so that nothing needs to guard against it."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Where a row says which household of one kind a person belongs to.

    `alone` tells whether NULL means that the person is known to be in none.
    """

    household: Expression
    alone: ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Rows:
    """One row per person: a table or a select, with everybody who shares a household with whom is judged.

    `current` says that each row tells what holds on the day that is asked, so that the days of its facts need
    no look.
    """

    source: FromClause
    key: Expression
    """Where it is a text, its order must be that of its bytes (a collation of its own, in some databases)."""
    facts: Mapping[str, Cell]
    households: Mapping[str, Shared] = field(default_factory=dict)
    current: bool = True
    where: ColumnElement[bool] | None = None
    """Which of the rows are looked at; whoever is asked about must be among them with all household members."""

    def cell(self, name: str) -> Cell:
        """Where a fact stands; Mismatch where the rows do not have it."""
        if name not in self.facts:
            raise Mismatch(f"the rows have no fact {name}")
        return self.facts[name]

    def shared(self, name: str) -> Shared:
        """Where a kind of household stands; Mismatch where the rows do not have it."""
        if name not in self.households:
            raise Mismatch(f"the rows have no kind of household {name}")
        return self.households[name]
