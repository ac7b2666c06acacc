"""What an offer is, apart from where it is kept: its kinds, its periods, the languages it is told in."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from core.clock import day_of, first_moment
from core.languages import Language


class OfferKind(StrEnum):
    """What a venue gives: percent off, a fixed price, or free entry."""

    PERCENTAGE = "percentage"
    FIXED_PRICE = "fixed_price"
    FREE = "free"


class Period(StrEnum):
    """In which stretch of the calendar uses are counted."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Span(NamedTuple):
    """One such stretch, in the city's days: the 16th, the week from Monday the 14th, September."""

    first: date
    after: date
    """The first day that no longer belongs to it."""


def span_of(period: Period, day: date) -> Span:
    """The day, week or month that this day lies in; a week begins on Monday."""
    match period:
        case Period.DAY:
            return Span(day, day + timedelta(days=1))
        case Period.WEEK:
            monday = day - timedelta(days=day.weekday())
            return Span(monday, monday + timedelta(days=7))
        case Period.MONTH:
            first = day.replace(day=1)
            return Span(first, (first + timedelta(days=31)).replace(day=1))


def ends_at(period: Period, now: datetime, zone: ZoneInfo) -> datetime:
    """The moment from which uses are counted anew."""
    return first_moment(span_of(period, day_of(now, zone)).after, zone)


def bits_of(tariffs: Iterable[str], masks: Mapping[str, int]) -> int:
    """The tariffs as a card carries them; a name that no card carries any more adds nothing."""
    bits = 0
    for name in tariffs:
        bits |= masks.get(name, 0)
    return bits


def text_in(texts: Mapping[str, str], language: Language) -> str:
    """The words in this language; German, which is always there, where they are missing."""
    return texts.get(language) or texts[Language.DE]
