"""Which period an approval covers and which months it credits: pure days, no database."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

import yaml

from entitlements.language.days import ONE_DAY, add_months, last_day_of, month_start

APPROVAL_MONTHS = 12
"""The longest approval period; what runs longer is approved anew, year by year."""

FILE = Path(__file__).parents[2] / "rulebooks" / "texts" / "allowances.yaml"


@dataclass(frozen=True, slots=True)
class Period:
    """The days of one approval, both inclusive."""

    since: date
    until: date


def period(claim_since: date, claim_until: date | None, on: date) -> Period:
    """The approval period in which a day lies: the years of a claim are counted from its first day."""
    months = 0
    while add_months(claim_since, months + APPROVAL_MONTHS) <= on:
        months += APPROVAL_MONTHS
    since = add_months(claim_since, months)
    return Period(since, last_day(since, claim_until))


def last_day(since: date, claim_until: date | None) -> date:
    """The last day of an approval that begins on this day: the claim's end, after a year at the latest."""
    longest = last_day_of(since, APPROVAL_MONTHS)
    return longest if claim_until is None else min(longest, claim_until)


def months(since: date, until: date) -> Iterator[date]:
    """The months that an approval credits, by their first day.

    The month in which it begins counts as a whole (an application reaches back to the first of the month,
    § 37(2) SGB II; the month of birth counts); each later one if the approval still runs on its first day.
    """
    first = month_start(since)
    while first <= until:
        yield first
        first = add_months(first, 1)


def day_before(day: date) -> date:
    """The day before."""
    return day - ONE_DAY


@cache
def _names() -> Mapping[str, Mapping[str, str]]:
    with FILE.open(encoding="utf-8") as file:
        return dict(yaml.safe_load(file))


def names(language: str) -> dict[str, str]:
    """What each kind of money is called in a language."""
    return {kind: texts.get(language, texts["de"]) for kind, texts in _names().items()}


def name_of(kind: str, language: str) -> str:
    """What a kind of money is called; a kind without a text goes by its code."""
    return names(language).get(kind, kind)
