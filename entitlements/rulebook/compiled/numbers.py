"""How a decision stands as a number inside the statement, and the few words of SQL of which it is made."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Integer, String, literal_column

from entitlements.rulebook.programmes import Outcome

Expression = ColumnElement[Any]
BIG = BigInteger()

# Which ground counts stands as its place, from 1; 0 is none.
UNKNOWN, FAILED = -1, -2
# So does a decision that grants; each of the others is one of these, or as much below it as says which one it is.
UNDETERMINED, OTHER_OPEN = 0, -1
PARTLY, FAULT, REFERRED = -1_000, -1_001, -1_002
DIED, OTHER_FIRST, REFUSED = -100_000, -100_001, -100_200


def text(written: str) -> Expression:
    """A word of the statement's own."""
    return literal_column(f"'{written}'", String())


def number(value: int) -> Expression:
    """A small number of the statement's own."""
    return literal_column(str(value), Integer())


def whole(value: int) -> Expression:
    """A number of 64 bits, in whose arithmetic nothing overflows."""
    return literal_column(f"CAST({value} AS BIGINT)", BIG)


def is_of(decision: Expression, outcome: Outcome) -> Expression:
    """Whether a numbered decision is of this outcome."""
    match outcome:
        case Outcome.GRANTED:
            return decision > number(0)
        case Outcome.UNDETERMINED:
            return decision.between(number(PARTLY + 1), number(UNDETERMINED))
        case Outcome.REFER:
            return decision.between(number(DIED + 1), number(PARTLY))
    return decision <= number(DIED)


def total(terms: Sequence[Expression]) -> Expression:
    """Their sum."""
    added = whole(0) if not terms else terms[0]
    for term in terms[1:]:
        added += term
    return added


def any_of(masks: Iterable[Expression | None]) -> Expression | None:
    """The bits of all of them; None where there are none."""
    some = [mask for mask in masks if mask is not None]
    if not some:
        return None
    union = some[0]
    for mask in some[1:]:
        union = union.bitwise_or(mask)
    return union
