"""What a compiled statement says of a person, in which columns, and what it must be given on a day."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from sqlalchemy.engine import RowMapping
from sqlalchemy.sql.selectable import Select

from entitlements.language.values import NO_RESULT, Known, Result, Unknown, Value

Derive = Callable[[Mapping[str, Value], date], Value | None]
"""A parameter of the statement, made of the amounts and the day."""


class Says(StrEnum):
    """What a rule says about a person, as a word in a column."""

    GRANTED = "granted"
    REFUSED = "refused"
    VALUE = "value"
    """The rule is no condition, and it has a value."""
    UNDETERMINED = "undetermined"
    FAULT = "fault"


SAYS, MISSING = "__says", "__missing"
"""End the names of the columns that stand beside a rule's value."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement that answers some rules for every row, and what it must be given on a day.

    Its columns: `key`; for each rule, under its label, the value (NULL if there is none); with `__says` what that
    means; and, where it was asked for, with `__missing` the facts that could decide it, as a number to be read.
    """

    select: Select[Any]
    bits: Mapping[str, int]
    """What each bit of the numbers in `__missing` columns stands for."""
    may_miss: frozenset[str]
    """The labels of the rules that can be undetermined; of no other is there ever anything missing."""
    may_fail: frozenset[str]
    """The labels of the rules that can be a fault."""
    _given: Mapping[str, Derive]

    def bind(self, parameters: Mapping[str, Value], on: date) -> dict[str, Value | None]:
        """The statement's parameters for a day: today, ages as days of birth, amounts, and the limits of sums."""
        return {name: derive(parameters, on) for name, derive in self._given.items()}

    def missing(self, number: int) -> frozenset[str]:
        """The names of the facts for which a number in a `__missing` column stands."""
        return frozenset(name for name, bit in self.bits.items() if number & bit)

    def result(self, row: RowMapping, label: str) -> Result:
        """A row's answer as the interpreter would give it; without `__missing` an unknown names nothing."""
        match row[label + SAYS]:
            case Says.UNDETERMINED:
                return Unknown(self.missing(row.get(label + MISSING, 0)))
            case Says.FAULT:
                return NO_RESULT
        return Known(row[label])
