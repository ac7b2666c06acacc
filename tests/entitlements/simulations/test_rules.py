from collections.abc import Iterable
from datetime import date
from random import Random

import pytest

from entitlements.simulations.rules import (
    AGE,
    COUNTS,
    DISTRICT,
    GAINS,
    HELD_AFTER,
    HELD_BEFORE,
    LOSSES,
    MONEY,
    MOVES,
    TOTAL,
    UNCLEAR,
    Cell,
    Counted,
    Equation,
    Month,
    age_limits,
    hidden_months,
    months_after,
    suppressed,
)

FIVE = 5


def counted(*lines: tuple[str, str, dict[str, int]]) -> Counted:
    """One programme: how many of each district and age group are counted for what."""
    made = Counted()
    for district, age, said in lines:
        counts = dict.fromkeys(COUNTS, 0) | said
        made.add(district, age, counts, dict.fromkeys(MONEY, 100 * counts[HELD_AFTER]))
    return made


PRIME = 2**61 - 1


def rank(rows: list[list[int]]) -> int:
    """The rank of a matrix, modulo a prime that no sign of ours divides."""
    left, found = [[value % PRIME for value in row] for row in rows], 0
    for column in range(len(left[0]) if left else 0):
        pivot = next((n for n in range(found, len(left)) if left[n][column]), None)
        if pivot is None:
            continue
        left[found], left[pivot] = left[pivot], left[found]
        inverse = pow(left[found][column], -1, PRIME)
        for n in range(found + 1, len(left)):
            times = left[n][column] * inverse
            left[n] = [(a - times * b) % PRIME for a, b in zip(left[n], left[found], strict=True)]
        found += 1
    return found


def can_be_worked_out(equations: Iterable[Equation], hidden: frozenset[Cell], cell: Cell) -> bool:
    """Whether a reader who adds up all that is shown finds a hidden cell."""
    cells = sorted(hidden)
    rows = [[equation.terms.get(one, 0) for one in cells] for equation in equations]
    return rank([*rows, [int(one == cell) for one in cells]]) == rank(rows)


def test_a_small_count_is_left_out_and_a_zero_is_not() -> None:
    told = counted(
        ("north", "0-5", {HELD_BEFORE: 50, HELD_AFTER: 47, LOSSES: 3}),
        ("south", "6-14", {HELD_BEFORE: 60, HELD_AFTER: 60}),
        ("west", "6-14", {HELD_BEFORE: 80, HELD_AFTER: 72, LOSSES: 8}),
    )
    hidden = told.hidden(FIVE)
    assert (DISTRICT, "north", LOSSES) in hidden
    assert (DISTRICT, "south", LOSSES) not in hidden
    assert (TOTAL, "", LOSSES) not in hidden


def test_one_small_count_is_not_found_by_taking_the_others_from_the_whole() -> None:
    told = counted(
        ("north", "0-5", {HELD_BEFORE: 50, HELD_AFTER: 47, LOSSES: 3}),
        ("south", "0-5", {HELD_BEFORE: 60, HELD_AFTER: 50, LOSSES: 10}),
        ("west", "6-14", {HELD_BEFORE: 80, HELD_AFTER: 72, LOSSES: 8}),
    )
    hidden = told.hidden(FIVE)
    assert (DISTRICT, "north", LOSSES) in hidden
    assert (DISTRICT, "west", LOSSES) in hidden
    assert (DISTRICT, "south", LOSSES) not in hidden


def test_nor_by_what_is_held_before_and_after() -> None:
    told = counted(
        ("north", "0-5", {HELD_BEFORE: 50, HELD_AFTER: 48, LOSSES: 2}),
        ("west", "0-5", {HELD_BEFORE: 80, HELD_AFTER: 71, LOSSES: 9}),
        ("south", "6-14", {HELD_BEFORE: 80, HELD_AFTER: 80}),
    )
    hidden = told.hidden(FIVE)
    for place in ("north", "west"):
        assert (DISTRICT, place, LOSSES) in hidden
        assert (DISTRICT, place, HELD_AFTER) in hidden


def test_two_of_one_are_not_told_by_their_sum() -> None:
    counts = {("part", "", "a"): 1, ("part", "", "b"): 1, ("part", "", "c"): 40, ("whole", "", ""): 42}
    whole = ("whole", "", "")
    equation = Equation({cell: -1 if cell == whole else 1 for cell in counts}, whole)
    hidden = suppressed(counts, [equation], FIVE)
    assert sum(counts[cell] for cell in hidden if cell != whole) >= FIVE or whole in hidden


def test_five_that_make_up_five_are_not_told_to_be_one_each() -> None:
    told = counted(
        *((place, "0-5", {HELD_BEFORE: 50, HELD_AFTER: 49, LOSSES: 1}) for place in "abcde"),
        ("west", "6-14", {HELD_BEFORE: 80, HELD_AFTER: 72, LOSSES: 8}),
        ("south", "6-14", {HELD_BEFORE: 80, HELD_AFTER: 80}),
    )
    hidden = told.hidden(FIVE)
    parts = [place for place in (*"abcde", "west", "south") if (DISTRICT, place, LOSSES) in hidden]
    if (TOTAL, "", LOSSES) not in hidden:
        # Each of them is one at least; what is left over must leave room for one that is not small.
        most = sum(told.counts[DISTRICT, place, LOSSES] for place in parts) - (len(parts) - 1)
        assert most >= FIVE


def test_money_that_would_tell_a_count_is_left_out_with_it() -> None:
    told = counted(
        ("north", "0-5", {HELD_BEFORE: 50, HELD_AFTER: 47, LOSSES: 3}),
        ("south", "0-5", {HELD_BEFORE: 60, HELD_AFTER: 50, LOSSES: 10}),
        ("west", "6-14", {HELD_BEFORE: 80, HELD_AFTER: 72, LOSSES: 8}),
    )
    hidden = told.hidden(FIVE)
    without = {g for b, g, name in hidden if b == DISTRICT and name in MONEY}
    assert "north" in without
    assert len(without) >= 2
    assert (DISTRICT, "south", MONEY[0]) not in hidden


def test_who_changes_the_ground_is_told_by_pairs_only_where_many_do() -> None:
    told = counted(("north", "0-5", {HELD_BEFORE: 60, HELD_AFTER: 60, MOVES: 32}))
    told.pairs = {("kiz", "wog"): 30, ("kiz", "sgb2"): 2}
    hidden = told.hidden(FIVE)
    assert ("pair", "kiz", "sgb2") in hidden
    assert ("pair", "kiz", "wog") in hidden or (TOTAL, "", MOVES) in hidden


@pytest.mark.parametrize("seed", range(25))
def test_no_left_out_count_can_be_worked_out(seed: int) -> None:
    random = Random(seed)
    lines = []
    for district in ("north", "south", "west")[: random.choice([2, 3])]:
        for age in ("0-5", "6-14"):
            held, lost = random.choice([0, 7, 40, 90]), random.choice([0, 0, 1, 3, 6, 9])
            gained = random.choice([0, 0, 0, 2, 7])
            lost = min(lost, held)
            lines.append(
                (
                    district,
                    age,
                    {HELD_BEFORE: held, HELD_AFTER: held + gained - lost, GAINS: gained, LOSSES: lost},
                )
            )
    told = counted(*lines)
    hidden = frozenset(cell for cell in told.hidden(FIVE) if cell in told.counts)
    equations = told.equations()
    assert any(0 < number < FIVE for number in told.counts.values()) <= bool(hidden)
    for cell in hidden:
        assert not can_be_worked_out(equations, hidden, cell), cell


def test_the_oracle_finds_what_was_left_out_alone() -> None:
    told = counted(("north", "0-5", {LOSSES: 3}), ("south", "0-5", {LOSSES: 7}))
    alone = (DISTRICT, "north", LOSSES)
    assert can_be_worked_out(told.equations(), frozenset({alone}), alone)


def test_everything_small_is_left_out_altogether() -> None:
    told = counted(("north", "0-5", {HELD_BEFORE: 2, HELD_AFTER: 1, LOSSES: 1}))
    hidden = told.hidden(FIVE)
    assert {(TOTAL, "", name) for name in (HELD_BEFORE, HELD_AFTER, LOSSES)} <= hidden
    assert {cell for cell in told.money if cell[0] == TOTAL} <= hidden


def test_a_birthday_parts_two_age_groups() -> None:
    limits = age_limits(date(2026, 9, 16))
    assert limits["15-17"] == date(2008, 9, 16)  # who was born on this day is 18, and in the next group
    assert age_limits(date(2027, 2, 28))["0-5"] == date(2021, 2, 28)


def test_months_follow_one_another_over_the_year() -> None:
    assert months_after(date(2026, 11, 30), 3) == [date(2026, 12, 1), date(2027, 1, 1), date(2027, 2, 1)]


def test_a_small_month_cannot_be_worked_out_from_its_neighbours() -> None:
    months = [
        Month(date(2027, 1, 1), 100, 0, 3, 0, 0),
        Month(date(2027, 2, 1), 90, 0, 10, 0, 0),
        Month(date(2027, 3, 1), 90, 0, 0, 0, 0),
    ]
    hidden = hidden_months(months, FIVE)
    first = {name for _, day, name in hidden if day == "2027-01-01"}
    assert "ending" in first
    assert len(first) >= 2
    assert not {name for _, day, name in hidden if day == "2027-03-01" and name != "held"}


def test_a_table_without_small_counts_is_shown_whole() -> None:
    told = counted(
        ("north", "0-5", {HELD_BEFORE: 50, HELD_AFTER: 40, LOSSES: 10}),
        ("south", "6-14", {HELD_BEFORE: 60, HELD_AFTER: 66, GAINS: 6}),
    )
    assert told.hidden(FIVE) == frozenset()
    assert {name for _, _, name in told.counts} == set(COUNTS)
    assert told.counts[AGE, "0-5", LOSSES] == 10
    assert told.counts[TOTAL, "", UNCLEAR] == 0
