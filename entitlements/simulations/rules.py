"""What is counted when two sets of rules are compared, and how it is rounded before anybody sees it."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from entitlements.language.days import add_months, month_start, years_before

HELD_BEFORE, HELD_AFTER = "held_before", "held_after"
GAINS, LOSSES, UNCLEAR, MOVES = "gains", "losses", "unclear", "moves"
COUNTS = (HELD_BEFORE, HELD_AFTER, GAINS, LOSSES, UNCLEAR, MOVES)
_ROUNDED = (HELD_BEFORE, GAINS, LOSSES, UNCLEAR, MOVES)
"""The counts that are rounded by themselves; who holds it after follows from them."""
MONEY = (
    "allowances_before",
    "allowances_after",
    "lump_sums_before",
    "lump_sums_after",
    "charges_before",
    "charges_after",
)
"""Cents a month; of what is paid once a year, a twelfth."""

TOTAL, DISTRICT, AGE = "total", "district", "age"
NOT_KNOWN = "unknown"
AGE_GROUPS: Mapping[str, int] = {"0-5": 6, "6-14": 15, "15-17": 18, "18-24": 25, "25-44": 45, "45-64": 65}
"""Each with the age that is no longer in it."""
OLDEST = "65+"


class Change(StrEnum):
    """What becomes of somebody under other rules."""

    GAINS = GAINS
    """Holds nothing, and would."""
    LOSES = LOSSES
    """Holds it, and it would be refused."""
    UNCLEAR = UNCLEAR
    """Holds it, and nobody could tell any more: it would go on, and a person has to look."""
    MOVES = MOVES
    """Holds it before and after, on another ground."""


def age_limits(on: date) -> dict[str, date]:
    """For each age group but the oldest, the last day of birth of whoever is too old for it."""
    return {group: years_before(on, limit) for group, limit in AGE_GROUPS.items()}


Cell = tuple[str, str, str]
"""A count: by what it is broken down, for which group, and what is counted."""
Number = int | None
"""A number that may be shown, or None where it may not."""


@dataclass(slots=True)
class Counted:
    """What was counted of one programme, before anything is rounded or left out."""

    asked: tuple[str, str] = ("", "")
    """What the rules say before and after, as hashes: the same question is answered with the same numbers."""
    pays: frozenset[str] = frozenset()
    """The sums of money that its rules can come to at all, whoever the people are."""
    counts: dict[Cell, int] = field(default_factory=dict)
    money: dict[Cell, int] = field(default_factory=dict)
    largest: dict[str, int] = field(default_factory=dict)
    """Of each sum of money, the most that one person has of it."""
    pairs: dict[tuple[str, str], int] = field(default_factory=dict)
    """Of those who hold it on another ground: how many from which to which."""

    def add(
        self,
        district: str,
        age: str,
        counts: Mapping[str, int],
        money: Mapping[str, int],
        largest: Mapping[str, int],
    ) -> None:
        """Adds persons of one district and age group."""
        for breakdown, group in ((TOTAL, ""), (DISTRICT, district), (AGE, age)):
            for into, given in ((self.counts, counts), (self.money, money)):
                for name, number in given.items():
                    cell = (breakdown, group, name)
                    into[cell] = into.get(cell, 0) + number
        for name, cents in largest.items():
            self.largest[name] = max(self.largest.get(name, 0), cents)

    def groups(self, breakdown: str) -> list[str]:
        """The groups that occur."""
        return sorted({group for kind, group, _ in self.counts if kind == breakdown})


# --- what may be shown --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rounding:
    """Rounds numbers of persons and sums of money to multiples, up or down by a chance that a secret fixes.

    On average nothing is added or taken away. The same question about the same number is always answered with the same
    number, so that asking again teaches nothing; a question put otherwise draws anew, so that two numbers that are
    equal, or are not, prove nothing of the persons between them.
    """

    secret: bytes
    base: int

    def persons(self, number: int, *asked: str) -> Number:
        """A multiple of the base, or None for one base and less: whether it is none or a few is not told."""
        return self._round(number, self.base, asked)

    def money(self, cents: int, largest: int, *asked: str) -> Number:
        """Rounded so coarsely that as many persons as the base, each with the largest amount, make one step."""
        return self._round(cents, self.base * _round_amount(largest), asked)

    def _round(self, number: int, step: int, asked: tuple[str, ...]) -> Number:
        words = "\n".join((*asked, str(step), str(number)))
        drawn = int.from_bytes(hmac.digest(self.secret, words.encode(), "sha256")[:8], "big")
        rounded = step * ((number + drawn % step) // step)
        return rounded if rounded > step else None


def _round_amount(cents: int) -> int:
    """The next of 1, 2, 5, 10, 20 … cents, so that the step gives no single amount away."""
    tens = 1
    while True:
        for found in (tens, 2 * tens, 5 * tens):
            if found >= cents:
                return found
        tens *= 10


Line = dict[str, Number]


@dataclass(frozen=True, slots=True)
class Shown:
    """What may be shown of one programme."""

    total: Line
    groups: Mapping[str, Mapping[str, Line]]
    """By breakdown and group."""
    pairs: Mapping[tuple[str, str], int]
    """Those of whom so few are that none is told are not even named."""


def shown(counted: Counted, rounding: Rounding) -> Shown:
    """What may be shown: each number rounded by itself, and what makes up another worked out from what is shown."""
    lines = {
        (kind, group): _line(counted, kind, group, rounding)
        for kind, group in dict.fromkeys((kind, group) for kind, group, _ in counted.counts)
    }
    total = lines[TOTAL, ""]
    groups = {kind: {group: lines[kind, group] for group in counted.groups(kind)} for kind in (DISTRICT, AGE)}
    for parts in groups.values():
        for name in (*_ROUNDED, *MONEY):
            _not_one_alone(total, parts, name)
    for line in lines.values():
        line[HELD_AFTER] = _held_after(line, rounding.base)
    pairs = {
        pair: told
        for pair, number in sorted(counted.pairs.items())
        if (told := rounding.persons(number, *counted.asked, "pair", *pair)) is not None
    }
    return Shown(total, groups, pairs)


def _line(counted: Counted, kind: str, group: str, rounding: Rounding) -> Line:
    before, after = counted.asked
    said: Line = {}
    for name in _ROUNDED:
        # Who holds it today has nothing to do with the draft, and is not counted out by many of them.
        asked = (before, "") if name == HELD_BEFORE else counted.asked
        said[name] = rounding.persons(counted.counts[kind, group, name], *asked, kind, group, name)
    for name in MONEY:
        if name not in counted.pays:
            said[name] = 0
            continue
        asked = (before, "") if name.endswith("before") else ("", after)
        cents = counted.money.get((kind, group, name), 0)
        said[name] = rounding.money(cents, counted.largest.get(name, 0), *asked, kind, group, name)
    return said


def _not_one_alone(total: Line, parts: Mapping[str, Line], name: str) -> None:
    """Where one part alone is left out of a whole that is shown, the smallest of the others goes with it."""
    if total[name] is None or len(parts) == 1:
        return
    told = {group: number for group, line in parts.items() if (number := line[name]) is not None}
    if len(told) == len(parts) - 1 and told:
        parts[min(told, key=lambda group: (told[group], group))][name] = None


def _held_after(line: Line, base: int) -> Number:
    """What follows from what else is shown, and so tells nothing besides."""
    after = sum(sign * (line[name] or 0) for name, sign in _FOLLOWS.items())
    return after if after > base else None


_FOLLOWS = {HELD_BEFORE: 1, GAINS: 1, LOSSES: -1, UNCLEAR: -1}


# --- months -------------------------------------------------------------------------------------------------


def months_after(day: date, months: int) -> list[date]:
    """The first days of the months that follow a day."""
    return [add_months(month_start(day), n) for n in range(1, months + 1)]


@dataclass(frozen=True, slots=True)
class Month:
    """One programme on the first day of a month, against the month before."""

    day: date
    held: int
    granted: int
    ending: int
    unclear: int
    cost_cents: int
    largest_cents: int
    """The most that it costs for one person."""
    unseen: int = 0
    """Of how many persons something begins since the month before that is not reckoned with."""


MONTH_COUNTS = ("held", "granted", "ending", "unclear")


def shown_month(month: Month, asked: str, rounding: Rounding) -> Line:
    """What may be shown of a month; a month with the same number as another is shown with the same."""
    said: Line = {name: rounding.persons(getattr(month, name), asked, "month", name) for name in MONTH_COUNTS}
    # What registers state has nothing to do with the rules that are asked about.
    said["unseen"] = rounding.persons(month.unseen, month.day.isoformat(), "unseen")
    said["cost_cents"] = rounding.money(month.cost_cents, month.largest_cents, asked, "month", "cost")
    return said
