"""Shortens a person's name, spelt as in an ID's machine-readable line (ICAO Doc 9303 part 3), to fit a card."""

import re
import unicodedata
from typing import Final

from anyascii import anyascii

from core.spelling import spell
from issuers.credentials.card import MOST_LETTERS

_SPOKEN: Final = frozenset("LM")
"""Letters and the marks on them (the first letter of Unicode's categories); nothing else of a name is spoken."""
_BETWEEN: Final = re.compile(r"[\s/,\-‐‑‒–—]+")
_LETTERLESS: Final = re.compile(r"[^A-Z]")


def card_name(family: str, given: str, letters: int = MOST_LETTERS) -> str | None:
    """The name as a card carries it, `FAMILY<NAME<<GIVEN<NAMES`; None if nothing of it can be spoken.

    Who has but one name has it as family name. A name that does not fit keeps its family name as long as one letter of
    the given names remains, and is cut at the end.
    """
    if letters < 4:
        raise ValueError("a family name and an initial take at least four letters")
    first, second = _spelt(family), _spelt(given)
    if not (first or second):
        return None
    if not (first and second):
        return (first or second)[:letters].rstrip("<")
    first = first[: letters - 3].rstrip("<")
    return f"{first}<<{second}"[:letters].rstrip("<")


def _spelt(name: str) -> str:
    """A name by the tables of ICAO Doc 9303, and each part that they do not cover by common transliteration."""
    parts = (_part(part) for part in _BETWEEN.split(unicodedata.normalize("NFKC", name)))
    return "<".join(part for part in parts if part)


def _part(part: str) -> str:
    by_table = spell(part)
    if by_table is None:
        # Digits, signs and pictures have no place in the line of an ID; what stands beside them is still a name.
        spoken = "".join(sign for sign in part if unicodedata.category(sign)[0] in _SPOKEN)
        by_table = spell(spoken)
        if by_table is None:
            return _LETTERLESS.sub("", anyascii(spoken).upper())
    return by_table.replace("<", "")
