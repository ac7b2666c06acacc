from datetime import date

import pytest

from entitlements.allowances.rules import day_before, last_day, months, name_of, names, period
from entitlements.facts.catalogue import LANGUAGES


@pytest.mark.parametrize(
    ("since", "until", "on", "expected"),
    [
        (date(2026, 3, 1), date(2026, 8, 31), date(2026, 5, 5), (date(2026, 3, 1), date(2026, 8, 31))),
        (date(2026, 3, 1), None, date(2026, 5, 5), (date(2026, 3, 1), date(2027, 2, 28))),
        (date(2026, 3, 1), date(2029, 1, 1), date(2027, 2, 28), (date(2026, 3, 1), date(2027, 2, 28))),
        (date(2026, 3, 1), date(2029, 1, 1), date(2027, 3, 1), (date(2027, 3, 1), date(2028, 2, 29))),
        (date(2019, 4, 10), None, date(2026, 9, 16), (date(2026, 4, 10), date(2027, 4, 9))),
        (date(2024, 2, 29), None, date(2025, 3, 1), (date(2025, 2, 28), date(2026, 2, 27))),
    ],
)
def test_an_approval_runs_for_a_year_at_most(
    since: date, until: date | None, on: date, expected: tuple[date, date]
) -> None:
    found = period(since, until, on)
    assert (found.since, found.until) == expected
    assert found.since <= on <= found.until


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (date(2026, 9, 1), date(2026, 11, 30), ["09", "10", "11"]),
        (date(2026, 9, 10), date(2026, 11, 30), ["09", "10", "11"]),
        (date(2026, 9, 10), date(2026, 9, 10), ["09"]),
        (date(2026, 9, 1), date(2026, 11, 1), ["09", "10", "11"]),
        (date(2026, 9, 1), date(2026, 10, 31), ["09", "10"]),
    ],
)
def test_a_month_counts_by_its_first_day_and_the_first_one_whole(
    since: date, until: date, expected: list[str]
) -> None:
    assert [f"{month:%m}" for month in months(since, until)] == expected


def test_a_year_has_twelve_months() -> None:
    first = date(2026, 9, 1)
    assert len(list(months(first, last_day(first, None)))) == 12


def test_the_day_before_the_first_is_the_last_of_the_month_before() -> None:
    assert day_before(date(2026, 3, 1)) == date(2026, 2, 28)


def test_every_kind_of_money_has_a_name_in_every_language() -> None:
    for language in LANGUAGES:
        assert {"participation", "school_supplies", "school_ticket"} <= set(names(language))
        assert name_of("participation", language)
    assert name_of("a-kind-without-text", "de") == "a-kind-without-text"
