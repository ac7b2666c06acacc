"""Writes the facts that registers state into their history: the newest statement of each day counts, and nothing is lost."""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.bulk import among, chunks, insert_rows, table_of
from core.database import new_id
from entitlements.facts.belonging import deny_members
from entitlements.facts.models import Fact
from entitlements.facts.rules import UNREAD, Denial, Statement, Unread
from entitlements.facts.timelines import COLUMNS, Changes, Origin, Outcome, amend, close, confirm
from entitlements.language import Value


@dataclass(frozen=True, slots=True)
class Stating:
    """A statement of a fact about a person or a household, on its way into the history."""

    subject: UUID
    about_household: bool
    kind: str
    value: Value | Unread | None
    """None withdraws."""
    first: date
    following: date
    stated_at: datetime
    delivery_id: UUID | None = None


Key = tuple[UUID, str]


def typed(value: Value | Unread | None) -> tuple[int | None, str | None, date | None]:
    """A value as the three columns keep it."""
    match value:
        case None | Unread():
            return None, None, None
        case bool() | int():
            return int(value), None, None
        case str():
            return None, value, None
        case _:
            return None, None, value


def plain(row: Any) -> int | str | date | None:
    """A value as it stands in the three columns; None for what was withdrawn."""
    found: int | str | date | None = (
        row.value_int
        if row.value_int is not None
        else row.value_text
        if row.value_text is not None
        else row.value_day
    )
    return found


def _stated(row: Any) -> Hashable:
    return UNREAD if row.unread else plain(row)


_COLUMNS = (
    "id",
    "person_id",
    "household_id",
    "kind",
    "value_int",
    "value_text",
    "value_day",
    "withdrawn",
    "unread",
    *COLUMNS,
)


async def learn(
    session: AsyncSession,
    register_id: UUID,
    statements: Sequence[Stating],
    lists: Sequence[tuple[datetime, date]],
    now: datetime,
) -> tuple[list[Outcome], set[Key], set[Key]]:
    """Settles what a register states with what it stated before; `lists` are its complete lists (moment, first day).

    Gives what became of each statement, and the persons and households (with the kind) of whom something changed.
    """
    by_key: dict[tuple[bool, UUID, str], list[int]] = defaultdict(list)
    for position, one in enumerate(statements):
        by_key[one.about_household, one.subject, one.kind].append(position)
    kept = await _kept(session, register_id, by_key)
    denials = [Denial(as_of, day) for as_of, day in lists]
    outcomes: dict[int, Outcome] = {}
    closed: list[UUID] = []
    confirmed: dict[UUID, datetime] = {}
    rows: list[tuple[Any, ...]] = []
    persons: set[Key] = set()
    households: set[Key] = set()
    for (about_household, subject, kind), positions in by_key.items():
        new = [
            Statement(_comparable(s.value), s.first, s.following, s.stated_at)
            for s in (statements[position] for position in positions)
        ]
        key = about_household, subject, kind
        changes = amend(kept.get(key, []), _stated, new, denials)
        outcomes.update(zip(positions, changes.outcomes, strict=True))
        closed += changes.closed
        confirmed |= changes.confirmed
        if changes.touched:
            (households if about_household else persons).add((subject, kind))
        deliveries = [statements[position].delivery_id for position in positions]
        rows += _rows(key, changes, Origin(register_id, now, deliveries))
    await close(session, Fact, closed, now)
    await confirm(session, Fact, confirmed)
    await insert_rows(session, table_of(Fact), _COLUMNS, rows)
    return [outcomes[position] for position in range(len(statements))], persons, households


def _comparable(value: Value | Unread | None) -> int | str | date | Unread | None:
    return int(value) if isinstance(value, bool) else value


def _rows(key: tuple[bool, UUID, str], changes: Changes, origin: Origin) -> Iterator[tuple[Any, ...]]:
    """What is written of a timeline, as rows of facts."""
    about_household, subject, kind = key
    for piece, known_until in changes.written(origin.now):
        value: Any = piece.statement.value
        yield (
            new_id(),
            None if about_household else subject,
            subject if about_household else None,
            kind,
            *typed(value),
            value is None or value is UNREAD,
            value is UNREAD,
            *origin.columns(piece, known_until),
        )


async def _kept(
    session: AsyncSession, register_id: UUID, keys: Collection[tuple[bool, UUID, str]]
) -> dict[tuple[bool, UUID, str], list[Any]]:
    found: dict[tuple[bool, UUID, str], list[Any]] = defaultdict(list)
    for about_household in (False, True):
        column = col(Fact.household_id) if about_household else col(Fact.person_id)
        subjects = sorted({subject for household, subject, _ in keys if household is about_household})
        kinds = {kind for household, _, kind in keys if household is about_household}
        for some in chunks(subjects):
            # What counts and what does not any more stand in an index each.
            for counts in (col(Fact.known_until).is_(None), col(Fact.known_until).is_not(None)):
                rows = await session.execute(
                    select(*(table_of(Fact).c[name] for name in _COLUMNS)).where(
                        among(column, some),
                        col(Fact.kind).in_(kinds),
                        col(Fact.register_id) == register_id,
                        counts,
                    )
                )
                for row in rows:
                    subject = row.household_id if about_household else row.person_id
                    found[about_household, subject, row.kind].append(row)
    return found


async def deny(
    session: AsyncSession,
    register_id: UUID,
    *,
    person_ids: Collection[UUID],
    household_ids: Collection[UUID],
    lists: Sequence[tuple[datetime, date]],
    now: datetime,
) -> tuple[set[Key], set[Key], set[UUID]]:
    """Lets complete lists end what they leave out, for these persons and households.

    Gives the persons and households of whom a fact changed, and the persons whose household changed.
    """
    newest = max(as_of for as_of, _ in lists)
    denied = [
        (about_household, subject, kind)
        for about_household, subjects in ((False, person_ids), (True, household_ids))
        for subject, kind in await _stated_before(
            session, register_id, subjects, newest, about_household=about_household
        )
    ]
    kept = await _kept(session, register_id, denied)
    denials = [Denial(as_of, day) for as_of, day in lists]
    closed: list[UUID] = []
    rows: list[tuple[Any, ...]] = []
    persons: set[Key] = set()
    households: set[Key] = set()
    for (about_household, subject, kind), old in kept.items():
        changes = amend(old, _stated, [], denials)
        if not changes.touched:
            continue
        (households if about_household else persons).add((subject, kind))
        closed += changes.closed
        rows += _rows((about_household, subject, kind), changes, Origin(register_id, now))
    await close(session, Fact, closed, now)
    await insert_rows(session, table_of(Fact), _COLUMNS, rows)
    moved = await deny_members(session, register_id, person_ids, lists, now)
    return persons, households, moved


async def _stated_before(
    session: AsyncSession,
    register_id: UUID,
    subjects: Collection[UUID],
    newest: datetime,
    *,
    about_household: bool,
) -> set[Key]:
    """What stands of these subjects and was not said since the newest list: only that can be denied."""
    found: set[Key] = set()
    column = col(Fact.household_id) if about_household else col(Fact.person_id)
    for some in chunks(sorted(subjects)):
        rows = await session.execute(
            select(column, col(Fact.kind))
            .where(
                among(column, some),
                col(Fact.register_id) == register_id,
                col(Fact.known_until).is_(None),
                col(Fact.confirmed_at) < newest,
            )
            .distinct()
        )
        found |= {(subject, kind) for subject, kind in rows if subject is not None}
    return found
