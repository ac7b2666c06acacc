"""Puts what a decision rests on, and what would change it, into the reader's language; the texts are data."""

from collections.abc import Iterable
from datetime import date
from zoneinfo import ZoneInfo

from entitlements.decisions.changing import Change, Way
from entitlements.facts.catalogue import label_of
from entitlements.language import Stated, Value
from entitlements.notices.rules import day_in_words, language_of
from entitlements.notices.values import texts, value_in_words

EVER = date(1900, 1, 1)
"""What registers write as the first day of what never began, such as having been born; nobody is told that day."""


def stated_in_words(fact: str, stated: Stated, language: str, on: date, zone: ZoneInfo) -> str:
    """What a register stated of the person, since and until when, and since when we know it."""
    language = language_of(language)
    period = "open" if stated.until is None else "until" if stated.until >= on else "over"
    if stated.since <= EVER and period == "open":
        period = "ever"
    since = texts()["since"][period][language].format(
        since=day_in_words(stated.since, language),
        until=day_in_words(stated.until, language) if stated.until else "",
    )
    return _sentence(
        texts()["stated"]["own"][language].format(
            fact=label_of(fact, language, on),
            value=value_in_words(fact, stated.value, language),
            register=label_of(stated.register, language, on),
            since=since,
            learned=day_in_words(stated.learned_at.astimezone(zone).date(), language),
        )
    )


def member_in_words(
    fact: str, value: Value | None, household: str, language: str, on: date, *, partly: bool = False
) -> str:
    """What is stated of somebody else in a household, or (without a value) of nobody there: never of whom.

    `partly`: it is one of several things asked of a member, and nobody there meets them all. Of a fact that is named
    like the household only this is said: that something is known about it.
    """
    language = language_of(language)
    if fact == household:
        return _sentence(
            texts()["stated"]["kept-back"][language].format(household=label_of(household, language, on))
        )
    which = ("nobody-wholly" if partly else "nobody") if value is None else "member"
    return _sentence(
        texts()["stated"][which][language].format(
            fact=label_of(fact, language, on),
            value="" if value is None else value_in_words(fact, value, language),
            household=label_of(household, language, on),
        )
    )


def change_in_words(change: Change, language: str, on: date) -> str:
    """One thing that a register would have to state."""
    language = language_of(language)
    if change.fact == change.household:
        text = texts()["change"]["kept-back"][language].format(
            household=label_of(change.household, language, on)
        )
        return _sentence(text) if language == "de-simple" else str(text)
    text = texts()["change"]["member" if change.household else "own"][language].format(
        fact=label_of(change.fact, language, on),
        value=value_in_words(change.fact, change.value, language),
        register=label_of(change.register, language, on),
        household=label_of(change.household, language, on) if change.household else "",
    )
    return _sentence(text) if language == "de-simple" else text


def way_in_words(way: Way, language: str, on: date, *, grants: bool) -> str:
    """What together would change the decision."""
    language = language_of(language)
    parts = list(dict.fromkeys(change_in_words(change, language, on) for change in in_order(way)))
    joined = texts()["and"][language].join(parts)
    return str(texts()["ways"]["grants" if grants else "ends"][language].format(changes=joined))


def in_order(way: Iterable[Change]) -> list[Change]:
    """Always the same order: the person's own facts first."""
    return sorted(way, key=lambda change: (change.household, change.fact, change.member))


def next_in_words(day: date | None, language: str) -> str:
    """When the decision can change if nothing new is learned."""
    language = language_of(language)
    if day is None:
        return str(texts()["next"]["never"][language])
    return str(texts()["next"]["day"][language].format(day=day_in_words(day, language)))


def contradiction_in_words(fact: str, language: str, on: date) -> str:
    """That two registers contradict each other, as the person is told: neither is said to be wrong."""
    language = language_of(language)
    return str(texts()["contradiction"]["person"][language].format(fact=label_of(fact, language, on)))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
