from collections import Counter
from datetime import date
from fractions import Fraction
from itertools import pairwise

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
    Counted,
    Month,
    Rounding,
    age_limits,
    months_after,
    shown,
    shown_month,
)

FIVE = 5
MANY = [Rounding(n.to_bytes(4, "big"), FIVE) for n in range(400)]
"""Cities, each with a secret of its own."""
HOW = MANY[0]


def counted(
    *lines: tuple[str, str, dict[str, int]], asked: tuple[str, str] = ("b", "a"), each: int = 1500
) -> Counted:
    """One programme: how many of each district and age group are counted for what."""
    made = Counted(asked=asked, pays=frozenset({"allowances_before", "allowances_after"}))
    for district, age, said in lines:
        counts = dict.fromkeys(COUNTS, 0) | said
        money = {
            "allowances_before": each * counts[HELD_BEFORE],
            "allowances_after": each * counts[HELD_AFTER],
        }
        made.add(district, age, counts, money, dict.fromkeys(money, each))
    return made


TOWN = (
    ("north", "0-5", {HELD_BEFORE: 52, HELD_AFTER: 49, LOSSES: 3}),
    ("south", "6-14", {HELD_BEFORE: 60, HELD_AFTER: 60}),
    ("west", "6-14", {HELD_BEFORE: 81, HELD_AFTER: 120, LOSSES: 8, GAINS: 47, MOVES: 21}),
)


# --- one number ---------------------------------------------------------------------------------------------


def test_every_number_is_a_multiple_close_to_what_was_counted() -> None:
    for number in range(200):
        for how in MANY[:40]:
            told = how.persons(number, "question")
            assert told is None or (told % FIVE == 0 and abs(told - number) < FIVE)
            assert told is not None or number < 2 * FIVE


def test_none_and_a_few_look_the_same() -> None:
    for number in range(FIVE + 1):
        assert {how.persons(number, "question") for how in MANY} == {None}
    # There is no number from which on it is sure to be told: that would be a line to count up to.
    assert {how.persons(FIVE + 2, "question") for how in MANY} == {None, 2 * FIVE}


def test_on_average_nothing_is_added_or_taken_away() -> None:
    for number in (41, 42, 43, 44):
        told = [how.persons(number, "question") or 0 for how in MANY]
        assert abs(sum(told) / len(told) - number) < 0.5, number


def test_the_same_question_is_always_answered_alike_and_another_one_anew() -> None:
    assert {HOW.persons(42, "question") for _ in range(9)} == {HOW.persons(42, "question")}
    others = Counter(HOW.persons(42, f"question {n}") for n in range(400))
    assert set(others) == {40, 45}
    assert 0.3 < others[45] / 400 < 0.5


@pytest.mark.parametrize("number", [17, 19, 20, 42])
def test_one_person_more_or_less_proves_nothing(number: int) -> None:
    """Two questions that differ by one person at most: each pair of answers is given for both, and about as often."""
    same = Counter(
        (how.persons(number, "draft"), how.persons(number, "nearly the same draft")) for how in MANY
    )
    one_more = Counter(
        (how.persons(number, "draft"), how.persons(number + 1, "nearly the same draft")) for how in MANY
    )
    overlap = sum(min(same[pair], one_more[pair]) for pair in same | one_more) / len(MANY)
    assert overlap > 0.7


def test_equal_sums_of_money_do_not_count_the_persons() -> None:
    for persons in (23, 24):
        told = {how.money(1500 * persons, 1500, "question") for how in MANY}
        # The step is 2,000 cents for each of five.
        assert told == {30_000, 40_000}
    assert {how.money(1500 * 6, 1500, "question") for how in MANY} == {None}


def test_a_step_of_money_gives_no_single_amount_away() -> None:
    steps = set()
    for largest in (1100, 1499, 1999):
        told = sorted({HOW.money(1000 * n, largest, str(n)) or 0 for n in range(20, 200)})
        steps |= {later - before for before, later in pairwise(told)}
    assert steps == {10_000}


# --- a table ------------------------------------------------------------------------------------------------


def test_a_district_where_nobody_loses_it_looks_like_one_where_three_do() -> None:
    told = shown(counted(*TOWN), HOW)
    districts = told.groups[DISTRICT]
    assert districts["north"][LOSSES] is None
    assert districts["south"][LOSSES] is None


def test_totals_stay_useful() -> None:
    told = shown(counted(*((f"{n}", "0-5", {HELD_BEFORE: 5101, LOSSES: 9}) for n in range(12))), HOW)
    assert abs((told.total[HELD_BEFORE] or 0) - 12 * 5101) < FIVE
    assert abs((told.total[LOSSES] or 0) - 12 * 9) < FIVE
    assert abs((told.total["allowances_before"] or 0) - 12 * 5101 * 1500) < FIVE * 2000


def test_who_holds_it_after_tells_nothing_besides_the_other_numbers() -> None:
    for how in MANY[:50]:
        told = shown(counted(*TOWN), how)
        for line in (told.total, *told.groups[DISTRICT].values(), *told.groups[AGE].values()):
            follows = (
                (line[HELD_BEFORE] or 0) + (line[GAINS] or 0) - (line[LOSSES] or 0) - (line[UNCLEAR] or 0)
            )
            assert line[HELD_AFTER] == (follows if follows > FIVE else None)


def test_no_part_is_left_out_alone_of_a_whole_that_is_shown() -> None:
    for how in MANY[:50]:
        told = shown(counted(*TOWN), how)
        for name in (HELD_BEFORE, GAINS, LOSSES, UNCLEAR, MOVES, *MONEY[:2]):
            for parts in told.groups.values():
                hidden = [group for group, line in parts.items() if line[name] is None]
                assert told.total[name] is None or len(hidden) != 1, (name, hidden)


def test_the_smallest_of_the_others_goes_with_it() -> None:
    town = counted(
        ("north", "0-5", {LOSSES: 3}), ("south", "0-5", {LOSSES: 31}), ("west", "6-14", {LOSSES: 60})
    )
    told = shown(town, HOW)
    assert {group for group, line in told.groups[DISTRICT].items() if line[LOSSES] is None} == {
        "north",
        "south",
    }


def test_who_holds_it_today_is_the_same_number_in_every_draft() -> None:
    drafts = [shown(counted(*TOWN, asked=("today", f"draft {n}")), HOW) for n in range(60)]
    assert len({told.total[HELD_BEFORE] for told in drafts}) == 1
    assert len({told.total["allowances_before"] for told in drafts}) == 1
    assert len({told.total[GAINS] for told in drafts}) == 2


def test_moves_of_a_few_are_not_even_named() -> None:
    town = counted(("north", "0-5", {HELD_BEFORE: 60, HELD_AFTER: 60, MOVES: 35}))
    town.pairs = {("kiz", "wog"): 30, ("kiz", "sgb2"): 5}
    assert set(shown(town, HOW).pairs) == {("kiz", "wog")}


def test_money_that_no_rule_pays_is_nothing_whoever_the_people_are() -> None:
    told = shown(counted(*TOWN), HOW)
    assert told.total["charges_after"] == 0
    assert shown(counted(("north", "0-5", {})), HOW).total["allowances_after"] is None


def test_two_small_parts_are_not_told_by_their_sum() -> None:
    town = counted(("north", "0-5", {LOSSES: 1}), ("south", "6-14", {LOSSES: 1}))
    told = shown(town, HOW)
    assert told.total[LOSSES] is None


# --- days and months ----------------------------------------------------------------------------------------


def test_a_birthday_parts_two_age_groups() -> None:
    limits = age_limits(date(2026, 9, 16))
    assert limits["15-17"] == date(2008, 9, 16)  # who was born on this day is 18, and in the next group
    assert age_limits(date(2027, 2, 28))["0-5"] == date(2021, 2, 28)


def test_months_follow_one_another_over_the_year() -> None:
    assert months_after(date(2026, 11, 30), 3) == [date(2026, 12, 1), date(2027, 1, 1), date(2027, 2, 1)]


def test_months_in_which_nothing_happens_are_no_new_draws() -> None:
    months = [Month(date(2027, n, 1), 103, 0, 3, 0, 154_500, 1500) for n in range(1, 13)]
    told = [shown_month(month, "rule", HOW) for month in months]
    assert all(one == told[0] for one in told)
    assert (told[0]["granted"], told[0]["ending"]) == (None, None)
    assert told[0]["held"] in {100, 105}
    assert told[0]["cost_cents"] in {150_000, 160_000}


def test_the_average_of_many_draws_is_what_was_counted_so_draws_are_what_a_day_limits() -> None:
    """What rounding alone cannot do: who may ask as often as they like finds the number out."""
    told = [HOW.persons(43, f"the same, said in way {n}") or 0 for n in range(2000)]
    assert abs(Fraction(sum(told), len(told)) - 43) < Fraction(1, 4)


def test_all_that_is_counted_is_shown() -> None:
    told = shown(counted(*TOWN), HOW)
    assert set(told.total) == {*COUNTS, *MONEY}
    assert set(told.groups[AGE]) == {"0-5", "6-14"}
    assert TOTAL not in told.groups
