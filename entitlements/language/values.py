"""What a rule is asked about and what it can answer: stated facts and their bearers, and known, unknown or faulty."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

Value = bool | int | str | date
"""A fact or result: bool, int (whole numbers and cents), str (words and enum members) or a day."""


@dataclass(frozen=True, slots=True)
class Stated:
    """One fact as a register vouches for it: the value, the days it holds (both inclusive), and who said so."""

    value: Value
    since: date
    until: date | None
    register: str
    learned_at: datetime

    def holds(self, on: date) -> bool:
        """Whether the statement speaks of this day."""
        return self.since <= on and (self.until is None or on <= self.until)


@dataclass(frozen=True, slots=True)
class Subject:
    """A person to judge: what is stated of them, and who shares each kind of household (the person included).

    A fact that has no key is unknown, and so is a kind of household that has no key; a kind of household
    with an empty tuple says that the person is known to be in none.
    """

    key: str
    facts: Mapping[str, Stated]
    households: Mapping[str, tuple["Subject", ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """The facts suffice; this is the value."""

    value: Value


@dataclass(frozen=True, slots=True)
class Unknown:
    """The facts do not suffice; any of these could decide it."""

    facts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Fault:
    """The facts suffice and the calculation failed, for example because a number left 64 bits.

    One fault is as good as another, as in CEL: of two in one rule, no back end promises which it meets first.
    """

    code: str = field(compare=False)
    message: str = field(compare=False)


Result = Known | Unknown | Fault

OVERFLOW = Fault(
    "overflow", "A number became larger than 64 bits hold; check the amounts that the rule combines."
)
BY_ZERO = Fault("divide_by_zero", "Something was divided by zero; ask first whether it is zero.")
NO_RESULT = Fault(
    "no_result",
    "A number became larger than 64 bits hold, or something was divided by zero; check the amounts.",
)
"""Where it is not told which of the two it was."""

PRECISE = "_precise"
"""Ends the name of what is missing when a day is known in part only and the limit lies inside its range."""
