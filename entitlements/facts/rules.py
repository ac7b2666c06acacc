"""Which statement counts on which day, and what holds of a person on one: pure, and the same for every table."""

from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Final
from uuid import UUID

OPEN = date.max
ONE_DAY = timedelta(days=1)


def day_after(last: date | None) -> date:
    """The first day no longer covered by a period that ends with `last`; None is a period without end."""
    return OPEN if last is None or last == OPEN else last + ONE_DAY


def last_day(following: date) -> date | None:
    """The last day of a period, given the first that is no longer covered; None for one without end."""
    return None if following == OPEN else following - ONE_DAY


class Unread(Enum):
    """In place of a value: the register said something of these days, and nobody could read what."""

    UNREAD = "unread"


UNREAD: Final = Unread.UNREAD


@dataclass(frozen=True, slots=True)
class Statement:
    """What a register said about one thing, for some days, at a moment."""

    value: Hashable | None
    """None takes back what was said of these days."""
    first: date
    following: date
    stated_at: datetime
    order: tuple[int, datetime, int] = (0, datetime.min, 0)  # noqa: DTZ901  (only compared among statements)
    """Of two that were stated at the same moment the later one counts: by rank, then by when it arrived."""
    key: Hashable = None
    """Whatever the caller recognises it by."""


@dataclass(frozen=True, slots=True)
class Denial:
    """That a list which was complete at a moment leaves something out, from a day on or for some days."""

    at: datetime
    first: date
    following: date = OPEN
    value: Hashable | None = None
    """Only this value is denied; None denies whatever was said."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The days that are left to a statement."""

    statement: Statement
    first: date
    following: date


def settle(statements: Iterable[Statement], denials: Iterable[Denial] = ()) -> list[Piece]:
    """Which statement counts on which days: the one stated last, in whatever order they arrived.

    A statement that begins on the same day as an earlier one replaces it whole, because that is how a
    register shortens or lengthens a period; any other takes only the days that it names. What is denied
    by a complete list stays denied for whatever was stated before that list.
    """
    events: list[tuple[datetime, int, tuple[int, datetime, int] | None, Statement | Denial]] = [
        *((s.stated_at, 1, s.order, s) for s in statements),
        *((d.at, 0, None, d) for d in denials),
    ]
    # A list goes before what was stated at its moment: its own rows are not denied by it.
    events.sort(key=lambda event: (event[0], event[1], event[2] or (0, event[0], 0)))
    pieces: list[Piece] = []
    for _, _, _, event in events:
        if isinstance(event, Denial):
            pieces = [
                rest
                for piece in pieces
                for rest in (
                    _without(piece, event.first, event.following)
                    if event.value is None or event.value == piece.statement.value
                    else (piece,)
                )
            ]
        else:
            pieces = [
                rest
                for piece in pieces
                if piece.statement.first != event.first
                for rest in _without(piece, event.first, event.following)
            ]
            pieces.append(Piece(event, event.first, event.following))
    return sorted(pieces, key=lambda piece: piece.first)


def _without(piece: Piece, first: date, following: date) -> Iterator[Piece]:
    if following <= piece.first or piece.following <= first:
        yield piece
        return
    if piece.first < first:
        yield replace(piece, following=first)
    if following < piece.following:
        yield replace(piece, first=following)


def gaps(first: date, following: date, periods: Iterable[tuple[date, date]]) -> Iterator[tuple[date, date]]:
    """What no period covers between a first day and the first that is not asked about any more."""
    for begins, ends in sorted(periods):
        if first < min(begins, following):
            yield first, min(begins, following)
        first = max(first, ends)
    if first < following:
        yield first, following


@dataclass(frozen=True, slots=True)
class Holding:
    """One row of the history, as seen by a person: their own, or their household's while they belong to it."""

    value: Hashable
    first: date
    following: date
    register_id: UUID
    known_from: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """What holds on a day, since and until when, from which register, and since when we know it."""

    value: Hashable
    since: date
    until: date | None
    register_id: UUID
    known_from: datetime


def held_on(rows: Sequence[Holding], on: date, *, certain: bool = False) -> Held | None:
    """What the rows about one thing say of this day; None where they say nothing or contradict each other.

    Periods of the same value that follow each other without a gap count as one: whoever has the next
    approval already is not told that the present one ends. For what must be known (`certain`), the
    greatest of contradicting values counts: rather deceased, rather blocked.
    """
    today = [row for row in rows if row.first <= on < row.following]
    values = {row.value for row in today}
    if not values or (len(values) > 1 and not certain):
        return None
    value = max(values, key=lambda v: (str(type(v)), v))
    end = max(row.following for row in today)
    for row in sorted((row for row in rows if row.value == value), key=lambda row: row.first):
        if row.first <= end < row.following:
            end = row.following
    return Held(
        value=value,
        since=min(row.first for row in today),
        until=last_day(end),
        register_id=max((row.register_id for row in today), key=lambda r: r.hex),
        known_from=max(row.known_from for row in today),
    )


def next_turn(rows: Iterable[Holding], on: date) -> date:
    """The first day after this one on which any of the rows begins or is over."""
    turns = (day for row in rows for day in (row.first, row.following) if day > on)
    return min(turns, default=OPEN)


def complete(registers: Collection[UUID], listed: Collection[UUID]) -> bool:
    """Whether silence means no: there are registers that may state it, and each has handed over a full list."""
    return bool(registers) and set(registers) <= set(listed)
