"""Small pieces of SQL from which the answers of a rule are put together."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import BigInteger, Boolean, Date, Integer, String, and_, case, literal_column, or_
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import BindParameter, ColumnClause, Grouping
from sqlalchemy.types import TypeEngine

from entitlements.language.tree import Kind

from .rows import Expression

_SMALL = Integer()
BOOLEAN, NUMBER, DAY, TEXT = Boolean(), BigInteger(), Date(), String()
TYPES: Mapping[Kind, TypeEngine[Any]] = {
    Kind.BOOL: BOOLEAN,
    Kind.INT: NUMBER,
    Kind.CENTS: NUMBER,
    Kind.DAY: DAY,
    Kind.STRING: TEXT,
    Kind.ENUM: TEXT,
}


def whole(expression: Expression) -> Expression:
    """The expression in brackets of its own: `NOT b IS NULL` would deny the wrong thing."""
    return expression if is_name(expression) else Grouping(expression)


def is_name(expression: Expression) -> bool:
    return isinstance(expression, ColumnClause | BindParameter)


def number(number: int) -> Expression:
    """A number of the statement's own making; whatever comes from a rule is a parameter."""
    return literal_column(str(number), _SMALL if number < 2**31 else NUMBER)


def any_bit(masks: Iterable[Expression | None]) -> Expression | None:
    """What is missing in one of these; `None` stands for nothing."""
    some = [whole(mask) for mask in masks if mask is not None]
    if not some:
        return None
    union = some[0]
    for mask in some[1:]:
        union = union.bitwise_or(mask)
    return union


def or_zero(mask: Expression | None) -> Expression:
    return number(0) if mask is None else mask


def not_false(value: Expression, *, may_be_null: bool) -> Expression:
    """Whether a condition holds, or is open."""
    return or_(whole(value), value.is_(None)) if may_be_null else value


def one_or_zero(condition: Any) -> Expression:
    return case((condition, number(1)), else_=number(0))


def is_before(day: Expression, key: Expression, other_day: Expression, other_key: Expression) -> Any:
    """Whether one is older than the other; of two of the same day the one with the lower key."""
    return or_(day < other_day, and_(day == other_day, key < other_key))


def names(expression: Expression) -> Iterator[str]:
    """The names in an expression, each as often as it is said."""
    for part in visitors.iterate(expression):
        if isinstance(part, ColumnClause) and not part.is_literal:
            yield part.name


def names_in(*expressions: Expression) -> frozenset[str]:
    return frozenset(name for expression in expressions for name in names(expression))


def size(expression: Expression) -> int:
    """How much is worked out for an expression."""
    return sum(1 for _ in visitors.iterate(expression))
