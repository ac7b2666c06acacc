from datetime import date, timedelta

import pytest

from core.database import new_id
from core.settings import Mode, Settings
from entitlements.grants.rules import Terms, announced_end, keeps_on, must_announce, worth_saying

TODAY = date(2026, 9, 16)
SETTINGS = Settings(mode=Mode.TEST, _env_file=None)


def terms(days: int | None, *, renewable: bool = False) -> Terms:
    until = None if days is None else TODAY + timedelta(days=days)
    return Terms(new_id(), "sgb2", None, ("reduced",), until, None, renewable)


@pytest.mark.parametrize(
    ("fact_end", "days"), [(None, 18), (-40, 18), (0, 18), (17, 18), (18, 18), (19, 19), (90, 90)]
)
def test_an_end_is_the_later_of_the_facts_end_and_notice_with_grace(fact_end: int | None, days: int) -> None:
    end = None if fact_end is None else TODAY + timedelta(days=fact_end)
    assert announced_end(end, TODAY, SETTINGS) == TODAY + timedelta(days=days)


@pytest.mark.parametrize(
    ("days", "expected"), [(None, False), (19, False), (18, True), (5, True), (-3, True)]
)
def test_a_foreseen_end_is_announced_as_late_as_it_may_be(days: int | None, expected: bool) -> None:
    assert must_announce(terms(days), TODAY, SETTINGS) is expected


def test_what_will_be_granted_anew_is_no_end() -> None:
    assert must_announce(terms(3, renewable=True), TODAY, SETTINGS) is False


@pytest.mark.parametrize(
    ("days", "expected"), [(None, True), (200, True), (37, True), (36, False), (20, False), (5, False)]
)
def test_an_announced_end_is_taken_back_only_where_the_new_one_is_announced_again(
    days: int | None, expected: bool
) -> None:
    assert keeps_on(terms(days), TODAY + timedelta(days=18), SETTINGS) is expected


@pytest.mark.parametrize(
    ("days", "expected"), [(None, False), (30, True), (366, True), (367, False), (5000, False)]
)
def test_a_message_names_no_day_that_lies_years_ahead(days: int | None, expected: bool) -> None:
    assert worth_saying(terms(days), TODAY) is expected
