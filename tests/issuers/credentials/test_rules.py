from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import day_of
from issuers.credentials.rules import card_ends, card_number, printed_ends, promises_more

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)


def ends(now: datetime = NOON, *, until: date | None = None, changes_on: date | None = None) -> datetime:
    return card_ends(now, days=14, zone=BERLIN, until=until, changes_on=changes_on)


def test_cards_end_on_a_monday_at_midnight_in_the_citys_zone() -> None:
    assert ends() == datetime(2026, 9, 28, 0, 0, tzinfo=BERLIN)


def test_whoever_gets_a_card_in_the_same_week_gets_the_same_end() -> None:
    monday = datetime(2026, 9, 14, 0, 0, tzinfo=BERLIN)
    assert {ends(monday + timedelta(hours=hours)) for hours in range(7 * 24)} == {
        datetime(2026, 9, 28, 0, 0, tzinfo=BERLIN)
    }


@given(st.integers(0, 4 * 365 * 24), st.integers(1, 14))
def test_a_card_lives_for_at_most_its_days_and_for_half_of_them_at_least(hours: int, days: int) -> None:
    now = NOON + timedelta(hours=hours)
    end = day_of(card_ends(now, days=days, zone=BERLIN, until=None, changes_on=None), BERLIN)
    assert timedelta(days=days / 2) <= end - day_of(now, BERLIN) <= timedelta(days=days)


def test_a_card_ends_with_the_last_day_of_the_entitlement() -> None:
    assert ends(until=date(2026, 9, 20)) == datetime(2026, 9, 21, 0, 0, tzinfo=BERLIN)


def test_a_birthday_that_changes_the_tariff_ends_the_card_on_its_eve() -> None:
    assert ends(changes_on=date(2026, 9, 18)) == datetime(2026, 9, 18, 0, 0, tzinfo=BERLIN)


def test_an_end_beyond_the_boundary_does_not_show() -> None:
    assert ends(until=date(2026, 9, 28), changes_on=date(2026, 10, 3)) == ends()


def test_the_night_of_the_clock_change_moves_no_end() -> None:
    end = ends(datetime(2026, 10, 20, 12, 0, tzinfo=UTC))
    assert end == datetime(2026, 11, 2, 0, 0, tzinfo=BERLIN)
    assert end.astimezone(UTC).hour == 23


def test_paper_ends_on_the_first_of_a_month_within_half_a_year() -> None:
    assert printed_ends(NOON, zone=BERLIN, until=None, changes_on=None) == datetime(
        2027, 3, 1, 0, 0, tzinfo=BERLIN
    )
    assert printed_ends(NOON, zone=BERLIN, until=date(2026, 12, 31), changes_on=None) == datetime(
        2027, 1, 1, 0, 0, tzinfo=BERLIN
    )


@pytest.mark.parametrize(
    ("card", "held", "more"), [(1, 1, False), (1, 3, False), (3, 1, True), (2, 1, True), (1, 0, True)]
)
def test_a_card_promises_more_where_it_names_a_tariff_that_is_not_held(
    card: int, held: int, more: bool
) -> None:
    assert promises_more(card, held) is more


@given(st.integers(0, 10**11 - 1), st.integers(0, 11), st.integers(1, 9))
def test_one_wrong_digit_shows_in_the_number(drawn: int, place: int, by: int) -> None:
    number = card_number(drawn).replace(" ", "")
    wrong = number[:place] + str((int(number[place]) + by) % 10) + number[place + 1 :]
    assert luhn(number)
    assert not luhn(wrong)


def luhn(number: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value // 10 + value % 10
    return total % 10 == 0
