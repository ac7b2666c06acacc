"""Whole numbers of 64 bits: what a calculation may come to, and how to know before it is done that it fits.

No database is asked to find that out: one stops the statement, and another goes on with a fraction.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import and_, case, literal_column, or_, true
from sqlalchemy.sql.elements import Grouping

from entitlements.language.tree import INT_MAX, INT_MIN

from .expressions import NUMBER, number
from .rows import Expression

ANYTHING = (INT_MIN, INT_MAX)
CALCULATE: Mapping[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}


DIVISIONS = frozenset({"/", "%"})
_BEYOND = (INT_MIN - 1, INT_MAX + 1)


def reach(sign: str, one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """The least and the greatest that a calculation can come to; beyond 64 bits where it may have no result."""
    if sign in DIVISIONS:
        if other[0] <= 0 <= other[1] or (one[0] == INT_MIN and other[0] <= -1 <= other[1]):
            return _BEYOND
        most = max(map(abs, one)) if sign == "/" else max(map(abs, other)) - 1
        return -most, most
    ends = [CALCULATE[sign](a, b) for a in one for b in other]
    return min(ends), max(ends)


def limits(sign: str, fixed: int, side: str) -> tuple[int, int]:
    """The least and the greatest number with which a fixed one stays within 64 bits.

    Of a division only the divisor can be the fixed one: for a dividend the others are no range.
    """
    if sign in DIVISIONS:
        if fixed == 0:
            return 1, 0
        return (INT_MIN + 1, INT_MAX) if fixed == -1 else ANYTHING
    if sign == "+":
        low, high = INT_MIN - fixed, INT_MAX - fixed
    elif sign == "-" and side == "right":
        low, high = INT_MIN + fixed, INT_MAX + fixed
    elif sign == "-":
        low, high = fixed - INT_MAX, fixed - INT_MIN
    elif fixed == 0:
        return ANYTHING
    else:
        least, most = (INT_MIN, INT_MAX) if fixed > 0 else (INT_MAX, INT_MIN)
        low, high = -(-least // fixed), most // fixed
    return max(low, INT_MIN), min(high, INT_MAX)


def calculated(sign: str, a: Expression, b: Expression) -> Expression:
    """Written as an operator that SQLAlchemy does not know to be associative: it would drop the brackets.

    `a * (b * 0)` is zero where `a * b * 0` has already left 64 bits.
    """
    return a.op(sign, return_type=NUMBER)(b)


def _sum_fits(a: Expression, b: Expression) -> Expression:
    return case((b >= number(0), a <= _MAX - b), else_=a >= _MIN - b)


def _difference_fits(a: Expression, b: Expression) -> Expression:
    return case((b >= number(0), a >= _MIN + b), else_=a <= _MAX + b)


def _product_fits(a: Expression, b: Expression) -> Expression:
    """By division, which leaves 64 bits only for -2^63 / -1; and that stands in none of these."""

    def over(limit: Expression, by: Expression) -> Expression:
        return calculated("/", limit, by)

    zero = number(0)
    return case(
        (or_(a == zero, b == zero), true()),
        (and_(a > zero, b > zero), a <= over(_MAX, b)),
        (and_(a < zero, b < zero), a >= over(_MAX, b)),
        (a > zero, b >= over(_MIN, a)),
        (b > zero, a >= over(_MIN, b)),
    )


def _has_quotient(a: Expression, b: Expression) -> Expression:
    return and_(b != number(0), or_(b != number(-1), a > _MIN))


_MAX = literal_column(str(INT_MAX), NUMBER)
_MIN = Grouping(literal_column(f"{-INT_MAX} - 1", NUMBER))
"""Written so because 2^63 with a sign before it is no 64-bit number to a parser."""
FITS: Mapping[str, Callable[[Expression, Expression], Any]] = {
    "+": _sum_fits,
    "-": _difference_fits,
    "*": _product_fits,
    "/": _has_quotient,
    "%": _has_quotient,
}
