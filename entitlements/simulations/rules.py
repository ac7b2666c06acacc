"""What is counted when two sets of rules are compared, and which counts are too small to be shown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from fractions import Fraction

from entitlements.language.days import add_months, month_start, years_before

HELD_BEFORE, HELD_AFTER = "held_before", "held_after"
GAINS, LOSSES, UNCLEAR, MOVES = "gains", "losses", "unclear", "moves"
COUNTS = (HELD_BEFORE, HELD_AFTER, GAINS, LOSSES, UNCLEAR, MOVES)
MONEY = (
    "allowances_before",
    "allowances_after",
    "lump_sums_before",
    "lump_sums_after",
    "charges_before",
    "charges_after",
)
"""Cents a month; of what is paid once a year, a twelfth."""
FLOWS = (GAINS, LOSSES, UNCLEAR, MOVES)

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


@dataclass(frozen=True, slots=True)
class Equation:
    """Counts of which a reader knows that they add up to nothing, each with its sign."""

    terms: Mapping[Cell, int]
    total: Cell | None = None
    """Where it says that parts make a whole: the whole."""


@dataclass(slots=True)
class Counted:
    """What was counted of one programme, before anything is left out."""

    counts: dict[Cell, int] = field(default_factory=dict)
    money: dict[Cell, int] = field(default_factory=dict)
    pairs: dict[tuple[str, str], int] = field(default_factory=dict)
    """Of those who hold it on another ground: how many from which to which."""

    def add(self, district: str, age: str, counts: Mapping[str, int], money: Mapping[str, int]) -> None:
        """Adds persons of one district and age group."""
        for breakdown, group in ((TOTAL, ""), (DISTRICT, district), (AGE, age)):
            for into, given in ((self.counts, counts), (self.money, money)):
                for name, number in given.items():
                    cell = (breakdown, group, name)
                    into[cell] = into.get(cell, 0) + number

    def groups(self, breakdown: str) -> list[str]:
        """The groups that occur."""
        return sorted({group for kind, group, _ in self.counts if kind == breakdown})

    def equations(self) -> list[Equation]:
        """Everything that a reader can add up."""
        found: list[Equation] = []
        for breakdown in (DISTRICT, AGE):
            groups = self.groups(breakdown)
            for name in COUNTS:
                whole = (TOTAL, "", name)
                found.append(Equation({whole: -1} | {(breakdown, g, name): 1 for g in groups}, whole))
        for kind, group in sorted({(kind, group) for kind, group, _ in self.counts}):
            signs = {HELD_AFTER: 1, HELD_BEFORE: -1, GAINS: -1, LOSSES: 1, UNCLEAR: 1}
            found.append(Equation({(kind, group, name): sign for name, sign in signs.items()}))
        if self.pairs:
            whole = (TOTAL, "", MOVES)
            found.append(Equation({whole: -1} | {_pair(*pair): 1 for pair in self.pairs}, whole))
        return found

    def hidden(self, threshold: int) -> frozenset[Cell]:
        """The counts and sums of money that are left out."""
        counts = self.counts | {_pair(*pair): number for pair, number in self.pairs.items()}
        # Who sees how many held it before and after sees the difference of what is hidden in between.
        tied = [
            ((kind, group, name), (kind, group, HELD_AFTER)) for kind, group, name in counts if name in FLOWS
        ]
        hidden = suppressed(counts, self.equations(), threshold, tied)
        return hidden | self._hidden_money(hidden)

    def _hidden_money(self, hidden: frozenset[Cell]) -> frozenset[Cell]:
        """Money says how many there are wherever each gets the same: it is shown only where all counts are."""
        unclear = {(kind, group) for kind, group, _ in hidden}
        if (TOTAL, "") not in unclear:
            for breakdown in (DISTRICT, AGE):
                groups = self.groups(breakdown)
                alone = [group for group in groups if (breakdown, group) in unclear]
                others = [group for group in groups if (breakdown, group) not in unclear]
                if len(alone) == 1:
                    held = {self.counts[breakdown, group, HELD_AFTER]: group for group in others}
                    unclear.add((breakdown, held[min(held)]) if held else (TOTAL, ""))
        return frozenset(cell for cell in self.money if cell[:2] in unclear)


def _pair(before: str, after: str) -> Cell:
    return "pair", before, after


def suppressed(
    counts: Mapping[Cell, int],
    equations: Sequence[Equation],
    threshold: int,
    tied: Sequence[tuple[Cell, Cell]] = (),
) -> frozenset[Cell]:
    """The cells to leave out: small ones, and as many others as it takes that no small one can be worked out.

    A count below `threshold` that is not zero is small. Left out are also others until (1) no equation, nor any
    combination of them, determines a cell that is left out, and (2) what is left out of a known whole makes up
    no small number itself, nor so little that each of its parts has to be small. `tied` names cells that go with another.
    """
    hidden = {cell for cell, number in counts.items() if 0 < number < threshold}
    while True:
        hidden |= {other for cell, other in tied if cell in hidden and other in counts}
        weak = _weak(counts, equations, hidden, threshold) or _determined(equations, hidden)
        if weak is None:
            return frozenset(hidden)
        shown = [cell for cell in weak.terms if cell not in hidden]
        if not shown:
            return frozenset(counts)
        # The smallest that says something; a zero is left out only where there is nothing else.
        hidden.add(min(shown, key=lambda cell: (counts[cell] == 0, cell == weak.total, counts[cell], cell)))


def _weak(
    counts: Mapping[Cell, int], equations: Sequence[Equation], hidden: set[Cell], threshold: int
) -> Equation | None:
    for equation in equations:
        if equation.total is None or equation.total in hidden:
            continue
        parts = [counts[cell] for cell in equation.terms if cell in hidden]
        # Zeros are shown, so each part is one at least: five that make up five are each known to be one.
        others = max(0, sum(part > 0 for part in parts) - 1)
        if parts and sum(parts) < threshold + others and any(cell not in hidden for cell in equation.terms):
            return equation
    return None


def _determined(equations: Sequence[Equation], hidden: set[Cell]) -> Equation | None:
    """An equation with a hidden cell that the equations together give away."""
    cells = sorted(hidden)
    place = {cell: n for n, cell in enumerate(cells)}
    rows = [
        {place[cell]: Fraction(sign) for cell, sign in equation.terms.items() if cell in place}
        for equation in equations
    ]
    for given in _alone(rows):
        for equation in equations:
            if cells[given] in equation.terms and any(cell not in hidden for cell in equation.terms):
                return equation
    return None


def _alone(rows: Sequence[Mapping[int, Fraction]]) -> Iterator[int]:
    """The unknowns that a system of linear equations determines: in its reduced form they stand alone."""
    reduced: dict[int, dict[int, Fraction]] = {}
    for row in rows:
        left = dict(row)
        for pivot in sorted(left.keys() & reduced.keys()):
            _take(left, reduced[pivot], left.get(pivot, Fraction(0)))
        left = {n: value for n, value in left.items() if value}
        if not left:
            continue
        pivot = min(left)
        factor = left[pivot]
        left = {n: value / factor for n, value in left.items()}
        for other in reduced.values():
            if pivot in other:
                _take(other, left, other[pivot])
        reduced[pivot] = left
    for pivot, row in sorted(reduced.items()):
        if len([value for value in row.values() if value]) == 1:
            yield pivot


def _take(row: dict[int, Fraction], other: Mapping[int, Fraction], times: Fraction) -> None:
    """Takes a multiple of another row away."""
    if not times:
        return
    for n, value in other.items():
        row[n] = row.get(n, Fraction(0)) - times * value
        if not row[n]:
            del row[n]


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


MONTH_COUNTS = ("held", "granted", "ending", "unclear")


def hidden_months(months: Sequence[Month], threshold: int) -> frozenset[Cell]:
    """The counts of a projection that are left out; the months hang together by what is held.

    What is held at the beginning stands elsewhere, and so counts as known.
    """
    counts = {("month", m.day.isoformat(), name): getattr(m, name) for m in months for name in MONTH_COUNTS}
    equations: list[Equation] = []
    last: dict[Cell, int] = {}
    for month in months:
        held, granted, ending, unclear = (("month", month.day.isoformat(), name) for name in MONTH_COUNTS)
        equations.append(Equation({held: 1, granted: -1, ending: 1, unclear: 1} | last))
        last = {held: -1}
    return suppressed(counts, equations, threshold)
