"""Whether a whole rulebook can stand: every day one rule, every amount known, no circle, no reason without words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from entitlements.facts.catalogue import LANGUAGES
from entitlements.language.days import ONE_DAY

from .changing import Changes
from .programmes import Origin, ProgrammeRules, ReasonTemplate, Rulebook, RuleVersion
from .rules import Reason
from .texts import render

NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
CARD_BITS = 16
"""How many tariffs a card has room for."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """What cannot stand, in words that say what to do about it."""

    code: str
    message: str
    programme: str = ""
    on: date | None = None
    """The first day on which it goes wrong."""


def flaws(book: Rulebook) -> tuple[Flaw, ...]:
    """Everything that is wrong with a rulebook; empty if it can stand."""
    return (
        *_tariffs(book),
        *(flaw for rules in book.programmes.values() for flaw in _timeline(rules)),
        *(flaw for rules in book.programmes.values() for flaw in _programme(book, rules)),
        *_circles(book),
    )


def flaws_of_change(book: Rulebook, changes: Changes, today: date) -> tuple[Flaw, ...]:
    """What is wrong with a change by itself: `book` is what is released already.

    Nothing may change today or in the past: decisions that were made must stay explicable by the rules of
    their day.
    """
    return (*_too_early(changes, today), *_unfounded(book, changes), *_misnamed(changes))


# --- the rulebook -------------------------------------------------------------------------------------------


def _tariffs(book: Rulebook) -> Iterator[Flaw]:
    bits: dict[int, str] = {}
    for tariff in book.tariffs.values():
        if not 0 <= tariff.bit < CARD_BITS:
            yield Flaw(
                "tariff-beyond-card",
                f"the tariff {tariff.name} has the bit {tariff.bit}, and a card holds {CARD_BITS}; "
                f"give it one from 0 to {CARD_BITS - 1}",
            )
        if tariff.bit in bits:
            yield Flaw(
                "tariff-bit-taken",
                f"{tariff.name} and {bits[tariff.bit]} share the bit {tariff.bit}; give each its own",
            )
        bits[tariff.bit] = tariff.name


def _timeline(rules: ProgrammeRules) -> Iterator[Flaw]:
    for before, after in pairwise(rules.versions):
        if before.until is None or before.until >= after.since:
            yield Flaw(
                "two-rules",
                f"{rules.name} has two rules on {after.since}; let the one from {before.since} end the day before",
                rules.name,
                after.since,
            )
        elif before.until + ONE_DAY < after.since:
            gap = before.until + ONE_DAY
            yield Flaw(
                "no-rule-on-day",
                f"{rules.name} has no rule from {gap} to {after.since - ONE_DAY}; let the next begin on {gap}",
                rules.name,
                gap,
            )


def _programme(book: Rulebook, rules: ProgrammeRules) -> Iterator[Flaw]:
    for version in rules.versions:
        yield from _amounts(book, version)
        yield from _dependencies(book, version)
        for tariff in version.tariffs:
            if tariff.name not in book.tariffs:
                yield Flaw(
                    "tariff-unknown",
                    f"{rules.name} brings the tariff {tariff.name}, which nobody defined; define it under tariffs",
                    rules.name,
                    version.since,
                )
        for reason, origin in version.reasons():
            if not _can_be_said(reason, origin, version.since):
                yield Flaw(
                    "reason-without-text",
                    f"{rules.name} gives the reason {reason.code}, which has no text in {', '.join(LANGUAGES)}, "
                    f"or one that says more than its parameters; use one of those in texts/reasons.yaml, or "
                    f"add it there",
                    rules.name,
                    version.since,
                )
        for ground in version.grounds:
            if ground.payer is None and (version.allowances or version.amounts):
                yield Flaw(
                    "no-payer",
                    f"on the ground {ground.name}, {rules.name} pays money, and nobody is named who bears it; "
                    f"name its payer",
                    rules.name,
                    version.since,
                )


def _can_be_said(template: ReasonTemplate, origin: Origin, on: date) -> bool:
    params = dict(template.params) | {"statute": origin.statute, "on": on.isoformat()}
    try:
        return all(render(Reason(template.code, params), language) for language in LANGUAGES)
    except (KeyError, ValueError, IndexError):
        return False


def _amounts(book: Rulebook, version: RuleVersion) -> Iterator[Flaw]:
    for used in sorted({name for tree in version.trees() for name in tree.parameters()}):
        parameter = book.parameters.get(used)
        if parameter is None or parameter.on(version.since) is None:
            first = f" before {parameter.values[0].since}" if parameter and parameter.values else ""
            yield Flaw(
                "amount-undefined",
                f"{version.programme} uses {used} from {version.since} on, and it has no value{first}; "
                f"add one from {version.since} or earlier",
                version.programme,
                version.since,
            )


def _dependencies(book: Rulebook, version: RuleVersion) -> Iterator[Flaw]:
    for needed in version.depends_on:
        other = book.programmes.get(needed.programme)
        gap = version.since if other is None else _first_day_without(other, version)
        if gap is not None:
            yield Flaw(
                "waits-for-nothing",
                f"{version.programme} waits for {needed.programme}, which has no rule on {gap}; "
                f"let it wait for a programme that is in force, or end with it",
                version.programme,
                gap,
            )


def _first_day_without(other: ProgrammeRules, version: RuleVersion) -> date | None:
    """The first day on which the version is in force and the other programme is not."""
    day = version.since
    while version.covers(day):
        covering = other.on(day)
        if covering is None:
            return day
        if covering.until is None:
            return None
        day = covering.until + ONE_DAY
    return None


def _circles(book: Rulebook) -> Iterator[Flaw]:
    try:
        book.order()
    except ValueError as error:
        inside = _inside_circle(book)
        if inside:
            yield Flaw(
                "circle",
                f"{error}; take out one `after`, so that one of them is decided first",
                inside[0],
            )


def _inside_circle(book: Rulebook) -> list[str]:
    """The programmes that wait for one another, or for what nobody defined (which is a flaw of its own)."""
    waits = {
        name: {d.programme for version in rules.versions for d in version.depends_on} & book.programmes.keys()
        for name, rules in book.programmes.items()
    }
    while True:
        free = [name for name, needed in waits.items() if not needed & waits.keys()]
        if not free:
            return sorted(waits)
        waits = {name: needed for name, needed in waits.items() if name not in free}


# --- the change ---------------------------------------------------------------------------------------------


def _too_early(changes: Changes, today: date) -> Iterator[Flaw]:
    early = sorted(day for day in changes.days() if day <= today)
    if early:
        yield Flaw(
            "not-in-future",
            f"something changes on {early[0]}, and the earliest day is {today + ONE_DAY}; "
            f"decisions that were made keep the rules of their day",
            on=early[0],
        )


def _unfounded(book: Rulebook, changes: Changes) -> Iterator[Flaw]:
    if not changes.days() and not changes.tariffs and not changes.cases and not changes.dropped:
        yield Flaw("changes-nothing", "the draft changes nothing; write a version, an amount or a case")
    for tariff in changes.tariffs.values():
        standing = book.tariffs.get(tariff.name)
        if standing is not None and standing.bit != tariff.bit:
            yield Flaw(
                "tariff-moved",
                f"the tariff {tariff.name} has the bit {standing.bit} on cards that are out; leave it there",
            )
    for programme, last in changes.ended.items():
        rules = book.programmes.get(programme)
        if rules is None or not any(v.until is None or v.until > last for v in rules.versions):
            yield Flaw("ends-nothing", f"{programme} is over by {last} already; end it earlier", programme)
    known = {(case.programme, case.name) for case in book.cases}
    for programme, name in changes.dropped:
        if (programme, name) not in known:
            yield Flaw(
                "drops-nothing", f"{programme} has no case named {name}; there is nothing to drop", programme
            )


def _misnamed(changes: Changes) -> Iterator[Flaw]:
    """Names that no column could be called by, and texts that are longer than what is kept."""
    for what, name in _names(changes):
        if NAME.fullmatch(name) is None:
            yield Flaw(
                "name-unfit",
                f"{what} {name[:80]!r}: a name has at most 64 small letters, digits, - and _, and begins with a letter",
            )
    for said, most in _lengths(changes):
        if len(said) > most:
            yield Flaw("too-long", f"{said[:60]!r}… has {len(said)} characters, and at most {most} are kept")


def _names(changes: Changes) -> Iterator[tuple[str, str]]:
    yield from (("programme", name) for name in changes.programmes)
    yield from (("tariff", name) for name in changes.tariffs)
    yield from (("amount", name) for name in changes.parameters)
    for rules in changes.programmes.values():
        for version in rules.versions:
            for money in (version.allowances, version.amounts, version.charges):
                yield from (("kind", one.kind) for one in money)
            yield from (("payer", g.payer) for g in version.grounds if g.payer is not None)


def _lengths(changes: Changes) -> Iterator[tuple[str, int]]:
    yield from ((case.name, 400) for case in changes.cases)
    for parameter in changes.parameters.values():
        for dated in parameter.values:
            yield from ((dated.origin.statute, 400), (dated.origin.source, 1000))
    for rules in changes.programmes.values():
        for version in rules.versions:
            yield version.origin.statute, 400
            yield from ((ground.name, 64) for ground in version.grounds)
