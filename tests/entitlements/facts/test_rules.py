from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from entitlements.facts.rules import (
    OPEN,
    Denial,
    Holding,
    Statement,
    complete,
    day_after,
    gaps,
    held_on,
    last_day,
    next_turn,
    settle,
)

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def day(number: int) -> date:
    return date(2026, 1, 1) + timedelta(days=number)


def said(value: object, first: int, following: int | None, at: int, order: int = 0) -> Statement:
    end = OPEN if following is None else day(following)
    return Statement(value, day(first), end, T0 + timedelta(hours=at), (T0, order))


def on_days(statements: list[Statement], denials: list[Denial] | None = None, days: int = 30) -> list[object]:
    pieces = settle(statements, denials or [])
    found: list[object] = []
    for number in range(days):
        values = [p.statement.value for p in pieces if p.first <= day(number) < p.following]
        assert len(values) <= 1, "one thing has one value on one day"
        found.append(values[0] if values else None)
    return found


def test_a_later_statement_takes_the_days_that_it_names_and_leaves_the_others() -> None:
    held = on_days([said("old", 0, 20, 1), said("new", 5, 10, 2)])
    assert held[:21] == ["old"] * 5 + ["new"] * 5 + ["old"] * 10 + [None]


def test_a_statement_from_the_same_day_on_replaces_the_earlier_one_whole() -> None:
    assert on_days([said("on", 0, None, 1), said("on", 0, 7, 2)])[6:9] == ["on", None, None]


def test_an_older_statement_that_comes_late_changes_nothing() -> None:
    assert on_days([said("new", 0, None, 2, 0), said("old", 0, None, 1, 1)])[:3] == ["new"] * 3


def test_of_two_statements_of_one_moment_the_one_that_arrived_last_counts() -> None:
    assert on_days([said("a", 0, 5, 1, 1), said("b", 0, 5, 1, 2)])[0] == "b"
    assert on_days([said("b", 0, 5, 1, 2), said("a", 0, 5, 1, 1)])[0] == "b"


def test_a_withdrawn_period_says_nothing_even_against_older_statements_that_come_late() -> None:
    held = on_days([said(None, 5, 10, 3), said("old", 0, 20, 1)])
    assert held[:12] == ["old"] * 5 + [None] * 5 + ["old"] * 2


def test_a_complete_list_ends_what_it_leaves_out_but_not_its_own_rows() -> None:
    denial = Denial(T0 + timedelta(hours=5), day(10))
    assert on_days([said("a", 0, None, 1)], [denial])[9:11] == ["a", None]
    assert on_days([said("a", 0, None, 5)], [denial])[9:11] == ["a", "a"]


def test_what_a_household_list_denies_leaves_other_households_alone() -> None:
    denial = Denial(T0 + timedelta(hours=5), day(0), OPEN, "first")
    assert on_days([said("first", 0, None, 1)], [denial])[0] is None
    assert on_days([said("second", 0, None, 1)], [denial])[0] == "second"


statements = st.lists(
    st.builds(
        lambda value, first, length, at: said(value, first, None if length is None else first + length, at),
        st.sampled_from(["a", "b", None]),
        st.integers(0, 20),
        st.none() | st.integers(1, 10),
        st.integers(0, 1_000),
    ),
    max_size=8,
    unique_by=lambda one: one.stated_at,
)


@given(statements, st.randoms())
def test_the_order_of_arrival_does_not_matter(some: list[Statement], chance: object) -> None:
    shuffled = list(some)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    denials = [Denial(T0 + timedelta(hours=500), day(15))]
    assert on_days(some, denials) == on_days(shuffled, denials)


def test_a_period_without_end_has_no_last_day() -> None:
    assert last_day(OPEN) is None
    assert day_after(None) == OPEN
    assert last_day(day_after(day(3))) == day(3)


def holding(value: object, first: int, following: int | None, register: object = None) -> Holding:
    end = OPEN if following is None else day(following)
    return Holding(value, day(first), end, register or REGISTER, T0)  # type: ignore[arg-type]


REGISTER = uuid4()


def test_the_next_approval_prolongs_the_present_one() -> None:
    held = held_on([holding(True, 0, 10), holding(True, 10, 20), holding(True, 21, 30)], day(4))
    assert held is not None
    assert (held.since, held.until) == (day(0), day(19))


def test_registers_that_contradict_each_other_leave_it_unknown() -> None:
    rows = [holding("a", 0, None), holding("b", 0, None, uuid4())]
    assert held_on(rows, day(1)) is None


def test_a_death_that_one_register_knows_of_is_certain() -> None:
    rows = [holding(False, 0, None), holding(True, 0, None, uuid4())]
    held = held_on(rows, day(1), certain=True)
    assert held is not None
    assert held.value is True


def test_the_next_turn_is_the_next_begin_or_end() -> None:
    rows = [holding("a", 0, 10), holding("b", 7, None)]
    assert [next_turn(rows, day(n)) for n in (0, 7, 10)] == [day(7), day(10), OPEN]


def test_silence_means_no_only_when_every_register_has_handed_over_its_list() -> None:
    a, b = uuid4(), uuid4()
    assert complete({a, b}, {a, b})
    assert not complete({a, b}, {a})
    assert not complete(set(), {a})


_periods = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 8)).map(lambda p: (p[0], p[0] + p[1])), max_size=5
)


@given(st.integers(0, 12), st.integers(1, 15), _periods)
def test_gaps_are_the_days_that_no_period_covers(
    first: int, length: int, periods: list[tuple[int, int]]
) -> None:
    found = list(gaps(day(first), day(first + length), [(day(a), day(b)) for a, b in periods]))
    days = [day(n) for n in range(first, first + length) if not any(a <= n < b for a, b in periods)]
    assert [
        d for begin, end in found for d in (begin + timedelta(n) for n in range((end - begin).days))
    ] == days
    assert all(one[1] < other[0] for one, other in pairwise(found)), "each gap is one"


def test_a_gap_without_end_is_one() -> None:
    assert list(gaps(day(0), OPEN, [])) == [(day(0), OPEN)]
    assert list(gaps(day(0), OPEN, [(day(-5), OPEN)])) == []
    assert list(gaps(day(0), OPEN, [(day(3), day(5))])) == [(day(0), day(3)), (day(5), OPEN)]
