"""When an end must be announced, and on which day it may take effect: pure days, no database."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from uuid import UUID

from core.settings import Settings


@dataclass(frozen=True, slots=True)
class Terms:
    """On what an entitlement rests: the decision, who pays, what it brings, and until when."""

    decision_id: UUID
    ground: str | None
    payer: str | None
    tariffs: tuple[str, ...]
    until: date | None
    """The last day that facts and rule carry; None: open."""
    changes_on: date | None
    renewable: bool = False
    """Whether, as the facts stand, the day after `until` would grant it again: then it is no end."""
    since: date | None = field(default=None, compare=False)
    """From which day it is given, where that is not today: the day of the request that the law wants."""


def notice_time(settings: Settings) -> timedelta:
    """The days that an announcement takes: until it counts as received, and the grace after that."""
    return timedelta(days=settings.notice_deemed_days + settings.notice_grace_days)


def announced_end(fact_end: date | None, announced_on: date, settings: Settings) -> date:
    """The last day on which something is held whose end is announced on this day."""
    earliest = announced_on + notice_time(settings)
    return max(fact_end, earliest) if fact_end is not None else earliest


def announce_on(until: date, settings: Settings) -> date:
    """The latest day on which an end can be announced and still take effect on this last day."""
    return until - notice_time(settings)


def must_announce(terms: Terms, today: date, settings: Settings) -> bool:
    """Whether the end that the terms foresee has to be announced today."""
    return terms.until is not None and not terms.renewable and announce_on(terms.until, settings) <= today


def worth_saying(terms: Terms, today: date) -> bool:
    """Whether the message of a grant names the last day: not one that lies years ahead, such as a birthday."""
    return terms.until is not None and not terms.renewable and terms.until <= today + timedelta(days=366)


def keeps_on(terms: Terms, ends_on: date, settings: Settings) -> bool:
    """Whether new terms take an announced end back: they have none, or one so late that it is announced anew."""
    if terms.until is None or terms.renewable:
        return True
    return announce_on(terms.until, settings) > ends_on
