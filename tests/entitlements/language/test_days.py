"""Ages and periods, counted as §§ 187 to 193 BGB count them."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entitlements.language.days import add_months, is_under, last_day_of, period_end, reaches, years_before

BIRTHS = st.dates(date(1930, 1, 1), date(2030, 12, 31))
AGES = st.integers(0, 100)


@pytest.mark.parametrize(
    ("born", "on", "under"),
    [
        (date(2008, 6, 15), date(2026, 6, 14), True),
        (date(2008, 6, 15), date(2026, 6, 15), False),
        (date(2008, 6, 15), date(2026, 6, 16), False),
        (date(2008, 2, 29), date(2026, 2, 28), True),
        (date(2008, 2, 29), date(2026, 3, 1), False),
        (date(2008, 3, 1), date(2026, 2, 28), True),
        (date(2008, 3, 1), date(2026, 3, 1), False),
        (date(2010, 2, 28), date(2028, 2, 27), True),
        (date(2010, 2, 28), date(2028, 2, 28), False),
        (date(2010, 3, 1), date(2028, 2, 29), True),
        (date(2008, 12, 31), date(2026, 12, 30), True),
        (date(2008, 12, 31), date(2026, 12, 31), False),
        (date(2009, 1, 1), date(2026, 12, 31), True),
    ],
)
def test_the_birthday_itself_completes_the_year(born: date, on: date, under: bool) -> None:
    assert is_under(born, 18, on) is under


@given(BIRTHS, AGES)
def test_an_age_is_reached_on_exactly_one_day(born: date, years: int) -> None:
    day = reaches(born, years)
    assert not is_under(born, years, day)
    assert is_under(born, years, day - timedelta(days=1))


@given(BIRTHS, AGES)
def test_a_birthday_falls_on_its_own_date_or_on_1_march(born: date, years: int) -> None:
    day = reaches(born, years)
    assert (day.month, day.day) == (born.month, born.day) or (
        (born.month, born.day, day.month, day.day) == (2, 29, 3, 1)
    )


def test_nobody_is_born_before_the_calendar() -> None:
    assert years_before(date(2026, 1, 1), 5000) == date.min
    assert reaches(date(2026, 1, 1), 9000) == date.max


@pytest.mark.parametrize(
    ("start", "months", "last"),
    [
        (date(2026, 3, 15), 12, date(2027, 3, 14)),
        (date(2026, 1, 1), 12, date(2026, 12, 31)),
        (date(2028, 2, 29), 12, date(2029, 2, 28)),
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2026, 9, 1), 3, date(2026, 11, 30)),
        (date(2026, 2, 1), 1, date(2026, 2, 28)),
    ],
)
def test_a_period_ends_the_day_before_its_number_or_with_the_month(
    start: date, months: int, last: date
) -> None:
    assert last_day_of(start, months) == last


def test_months_are_clamped_to_those_that_are_shorter() -> None:
    assert add_months(date(2026, 1, 31), 1) == date(2026, 2, 28)
    assert add_months(date(2026, 12, 31), 2) == date(2027, 2, 28)


@pytest.mark.parametrize(
    ("period", "end"),
    [("month", date(2026, 5, 31)), ("quarter", date(2026, 6, 30)), ("year", date(2026, 12, 31))],
)
def test_an_end_is_rounded_up_to_the_end_of_its_period(period: str, end: date) -> None:
    assert period_end(date(2026, 5, 4), period) == end
