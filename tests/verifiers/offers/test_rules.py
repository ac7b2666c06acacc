"""Periods, tariffs and words of offers."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from core.languages import Language
from verifiers.offers.rules import Period, bits_of, ends_at, span_of, text_in

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("period", "day", "first", "after"),
    [
        (Period.DAY, date(2026, 2, 28), date(2026, 2, 28), date(2026, 3, 1)),
        (Period.WEEK, date(2026, 9, 16), date(2026, 9, 14), date(2026, 9, 21)),
        (Period.WEEK, date(2026, 9, 20), date(2026, 9, 14), date(2026, 9, 21)),
        (Period.MONTH, date(2026, 12, 31), date(2026, 12, 1), date(2027, 1, 1)),
        (Period.MONTH, date(2028, 2, 29), date(2028, 2, 1), date(2028, 3, 1)),
    ],
)
def test_a_period_is_a_stretch_of_the_calendar(period: Period, day: date, first: date, after: date) -> None:
    assert span_of(period, day) == (first, after)


def test_a_day_ends_at_the_citys_midnight_also_when_the_clocks_change() -> None:
    before = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert ends_at(Period.DAY, before, BERLIN) == datetime(2026, 10, 25, 23, 0, tzinfo=UTC)


def test_a_tariff_that_is_gone_adds_nothing() -> None:
    assert bits_of(["reduced", "school", "gone"], {"reduced": 0b1, "school": 0b10000}) == 0b10001


def test_german_stands_in_for_a_missing_text() -> None:
    assert text_in({"de": "Frei", "en": "Free"}, Language.DE_SIMPLE) == "Frei"
    assert text_in({"de": "Frei", "en": "Free"}, Language.EN) == "Free"
