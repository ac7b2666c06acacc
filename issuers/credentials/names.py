"""Shortens a person's name, spelt as in an ID's machine-readable line (ICAO Doc 9303 part 3), to fit a card."""

from core.spelling import spell
from issuers.credentials.card import MOST_LETTERS


def card_name(family: str, given: str, letters: int = MOST_LETTERS) -> str | None:
    """The name as a card carries it, `FAMILY<NAME<<GIVEN<NAMES`; None if it has letters that no table spells.

    Who has but one name has it as family name. A name that does not fit keeps its family name as long as one letter of
    the given names remains, and is cut at the end.
    """
    if letters < 4:
        raise ValueError("a family name and an initial take at least four letters")
    first, second = spell(family), spell(given)
    if first is None or second is None or not (first or second):
        return None
    if not (first and second):
        return (first or second)[:letters].rstrip("<")
    first = first[: letters - 3].rstrip("<")
    return f"{first}<<{second}"[:letters].rstrip("<")
