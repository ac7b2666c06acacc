"""Writes what registers state into the history: the newest statement of each day counts, and nothing is lost."""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import case, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.bulk import among, chunks, insert_new, insert_rows, table_of
from core.database import new_id
from entitlements.facts.models import Fact
from entitlements.facts.rules import UNREAD, Denial, Piece, Statement, Unread, last_day, settle
from entitlements.language import Value
from entitlements.people.models import Membership, Roster


class Outcome(StrEnum):
    """What became of a statement."""

    ACCEPTED = "accepted"
    """It counts, for some of its days at least."""
    UNCHANGED = "unchanged"
    """It was known."""
    SUPERSEDED = "superseded"
    """Something stated later was known for all of its days; it is kept, and counts for none."""


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


@dataclass(frozen=True, slots=True)
class Listing:
    """A statement of all members of a household, on its way into the history."""

    household_id: UUID
    kind: str
    members: frozenset[UUID]
    first: date
    following: date
    stated_at: datetime
    delivery_id: UUID | None = None


@dataclass(slots=True)
class _Changes:
    """What is to be written about one timeline."""

    closed: list[UUID] = field(default_factory=list)
    confirmed: dict[UUID, datetime] = field(default_factory=dict)
    opened: list[Piece] = field(default_factory=list)
    """Rows that count from now on."""
    noted: list[Statement] = field(default_factory=list)
    """Statements that count for no day, kept for the record."""
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def touched(self) -> bool:
        return bool(self.closed or self.opened)


Key = tuple[UUID, str]


@dataclass(slots=True)
class _Said:
    """One statement as the history knows it: on as many rows as later ones have cut it into."""

    statement: Statement
    rows: list[Any] = field(default_factory=list)


def _timeline(
    rows: Iterable[Any],
    value_of: Any,
    new: Sequence[Statement],
    denials: Sequence[Denial],
) -> _Changes:
    """Works out what one timeline looks like after the new statements, and what must be written for it."""
    changes = _Changes()
    said: dict[Hashable, _Said] = {}
    current = []
    for row in rows:
        value = value_of(row)
        identity: Any = (value, row.stated_from, row.stated_next, row.stated_at, row.delivery_id)
        known = said.get(identity)
        counted = max(row.confirmed_at, known.statement.stated_at if known else row.confirmed_at)
        said.setdefault(identity, _Said(_NOTHING)).statement = Statement(
            value, row.stated_from, row.stated_next, counted, (row.known_from, row.id.int), identity
        )
        said[identity].rows.append(row)
        if row.known_until is None:
            current.append((identity, row))

    for position, statement in enumerate(new):
        same = [
            one
            for one in said.values()
            if (one.statement.value, one.statement.first, one.statement.following)
            == (statement.value, statement.first, statement.following)
        ]
        if any(one.statement.stated_at >= statement.stated_at for one in same):
            changes.outcomes.append(Outcome.UNCHANGED)
            continue
        whole = [(one, row) for one in same for row in one.rows if _whole(row)]
        if whole:
            one, row = whole[0]
            changes.confirmed[row.id] = statement.stated_at
            one.statement = Statement(
                one.statement.value,
                one.statement.first,
                one.statement.following,
                statement.stated_at,
                one.statement.order,
                one.statement.key,
            )
            changes.outcomes.append(Outcome.UNCHANGED)
            continue
        identity = ("new", position)
        said[identity] = _Said(
            Statement(
                statement.value,
                statement.first,
                statement.following,
                statement.stated_at,
                (datetime.max.replace(tzinfo=statement.stated_at.tzinfo), position),
                identity,
            )
        )
        changes.outcomes.append(Outcome.SUPERSEDED)  # until a piece of it shows that it counts

    wanted = {
        (piece.statement.key, piece.first, piece.following): piece
        for piece in settle((one.statement for one in said.values()), denials)
    }
    for identity, row in current:
        if wanted.pop((identity, row.valid_from, row.valid_next), None) is None:
            changes.closed.append(row.id)
    changes.opened = list(wanted.values())
    counting = {piece.statement.key for piece in changes.opened}
    for position in range(len(new)):
        if ("new", position) in counting:
            changes.outcomes[position] = Outcome.ACCEPTED
        elif ("new", position) in said:
            changes.noted.append(said["new", position].statement)
    return changes


def _whole(row: Any) -> bool:
    return row.known_until is None and row.valid_from == row.stated_from and row.valid_next == row.stated_next


_NOTHING = Statement(None, date.min, date.max, datetime.min)  # noqa: DTZ901  (replaced before it is read)


# ---- facts ----


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


def _said(row: Any) -> Hashable:
    return UNREAD if row.unread else plain(row)


_FACT_COLUMNS = (
    "id",
    "person_id",
    "household_id",
    "kind",
    "value_int",
    "value_text",
    "value_day",
    "withdrawn",
    "unread",
    "valid_from",
    "valid_until",
    "valid_next",
    "stated_from",
    "stated_next",
    "stated_at",
    "confirmed_at",
    "known_from",
    "known_until",
    "register_id",
    "delivery_id",
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
    kept = await _fact_rows(session, register_id, by_key)
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
        old = kept.get((about_household, subject, kind), [])
        deliveries = {("new", at): statements[position].delivery_id for at, position in enumerate(positions)}
        changes = _timeline(old, _said, new, denials)
        outcomes.update(zip(positions, changes.outcomes, strict=True))
        closed += changes.closed
        confirmed |= changes.confirmed
        if changes.touched:
            (households if about_household else persons).add((subject, kind))
        about = _About(about_household, subject, kind, register_id, now, deliveries)
        rows += [about.row(piece, None) for piece in changes.opened]
        rows += [about.row(_whole_statement(said), now) for said in changes.noted]
    await _close(session, Fact, closed, now)
    await _confirm(session, Fact, confirmed)
    await insert_rows(session, table_of(Fact), _FACT_COLUMNS, rows)
    return [outcomes[position] for position in range(len(statements))], persons, households


def _comparable(value: Value | Unread | None) -> int | str | date | Unread | None:
    return int(value) if isinstance(value, bool) else value


@dataclass(frozen=True, slots=True)
class _About:
    """Whose timeline is written, by which register, and which delivery brought each new statement."""

    about_household: bool
    subject: UUID
    kind: str
    register_id: UUID
    now: datetime
    deliveries: Mapping[Any, UUID | None] = field(default_factory=dict)

    def origin(self, said: Statement) -> tuple[datetime, UUID | None]:
        """When it was first stated and in which delivery."""
        if said.key in self.deliveries:
            return said.stated_at, self.deliveries[said.key]
        key: Any = said.key
        return key[3], key[4]

    def row(self, piece: Piece, known_until: datetime | None) -> tuple[Any, ...]:
        """The piece as a row of facts."""
        said = piece.statement
        stated_at, delivery_id = self.origin(said)
        value_int, value_text, value_day = typed(said.value)  # type: ignore[arg-type]
        return (
            new_id(),
            None if self.about_household else self.subject,
            self.subject if self.about_household else None,
            self.kind,
            value_int,
            value_text,
            value_day,
            said.value is None or said.value is UNREAD,
            said.value is UNREAD,
            piece.first,
            last_day(piece.following) or date.max,
            piece.following,
            said.first,
            said.following,
            stated_at,
            said.stated_at,
            self.now,
            known_until,
            self.register_id,
            delivery_id,
        )

    def member_row(self, piece: Piece, known_until: datetime | None) -> tuple[Any, ...]:
        """The piece as a row of memberships."""
        said = piece.statement
        stated_at, delivery_id = self.origin(said)
        return (
            new_id(),
            self.subject,
            self.kind,
            said.value,
            piece.first,
            last_day(piece.following) or date.max,
            piece.following,
            said.first,
            said.following,
            stated_at,
            said.stated_at,
            self.now,
            known_until,
            self.register_id,
            delivery_id,
        )


def _whole_statement(said: Statement) -> Piece:
    return Piece(said, said.first, said.following)


async def _fact_rows(
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
                    select(*(table_of(Fact).c[name] for name in _FACT_COLUMNS)).where(
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


async def _close(
    session: AsyncSession, model: type[Fact | Membership], ids: Sequence[UUID], now: datetime
) -> None:
    for some in chunks(ids):
        await session.execute(
            update(model)
            .where(among(col(model.id), some))
            # Whoever came before us and was applied later may have written it after our moment.
            .values(known_until=case((col(model.known_from) > now, col(model.known_from)), else_=now))
            .execution_options(synchronize_session=False)
        )


async def _confirm(
    session: AsyncSession, model: type[Fact | Membership], confirmed: Mapping[UUID, datetime]
) -> None:
    moments: dict[datetime, list[UUID]] = defaultdict(list)
    for row_id, moment in confirmed.items():
        moments[moment].append(row_id)
    for moment, ids in moments.items():
        for some in chunks(ids):
            await session.execute(
                update(model)
                .where(among(col(model.id), some))
                .values(confirmed_at=moment)
                .execution_options(synchronize_session=False)
            )


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
    keys: set[tuple[bool, UUID, str]] = set()
    for about_household, subjects in ((False, person_ids), (True, household_ids)):
        column = col(Fact.household_id) if about_household else col(Fact.person_id)
        for some in chunks(sorted(subjects)):
            rows = await session.execute(
                select(column, col(Fact.kind))
                .where(
                    among(column, some),
                    col(Fact.register_id) == register_id,
                    col(Fact.known_until).is_(None),
                    # What was said since the newest list, none of them denies.
                    col(Fact.confirmed_at) < newest,
                )
                .distinct()
            )
            keys |= {(about_household, subject, kind) for subject, kind in rows if subject is not None}
    kept = await _fact_rows(session, register_id, keys)
    denials = [Denial(as_of, day) for as_of, day in lists]
    closed: list[UUID] = []
    rows_new: list[tuple[Any, ...]] = []
    persons: set[Key] = set()
    households: set[Key] = set()
    for (about_household, subject, kind), old in kept.items():
        changes = _timeline(old, _said, [], denials)
        if not changes.touched:
            continue
        (households if about_household else persons).add((subject, kind))
        closed += changes.closed
        about = _About(about_household, subject, kind, register_id, now)
        rows_new += [about.row(piece, None) for piece in changes.opened]
    await _close(session, Fact, closed, now)
    await insert_rows(session, table_of(Fact), _FACT_COLUMNS, rows_new)
    belonging: set[UUID] = set()
    for some in chunks(sorted(person_ids)):
        places = await session.execute(
            select(col(Membership.person_id)).where(
                among(col(Membership.person_id), some),
                col(Membership.register_id) == register_id,
                col(Membership.known_until).is_(None),
                col(Membership.confirmed_at) < newest,
            )
        )
        belonging.update(places.scalars())
    moved = await _settle_members(session, register_id, belonging, new={}, lists=lists, now=now)
    return persons, households, moved


# ---- households ----

_MEMBER_COLUMNS = (
    "id",
    "person_id",
    "kind",
    "household_id",
    "valid_from",
    "valid_until",
    "valid_next",
    "stated_from",
    "stated_next",
    "stated_at",
    "confirmed_at",
    "known_from",
    "known_until",
    "register_id",
    "delivery_id",
)


async def learn_members(
    session: AsyncSession,
    register_id: UUID,
    listings: Sequence[Listing],
    lists: Sequence[tuple[datetime, date]],
    now: datetime,
) -> tuple[list[Outcome], set[UUID]]:
    """Settles who belongs to which household with what the register stated before.

    A household is always stated whole: whoever it leaves out does not belong to it on those days. Gives what
    became of each listing, and the persons whose household changed.
    """
    households = sorted({one.household_id for one in listings})
    rosters = await _rosters(session, households)
    members: dict[UUID, dict[tuple[datetime, date], set[UUID]]] = defaultdict(lambda: defaultdict(set))
    belonged: set[UUID] = set()
    for some in chunks(households):
        rows = await session.execute(
            select(
                col(Membership.household_id),
                col(Membership.person_id),
                col(Membership.confirmed_at),
                col(Membership.stated_from),
                col(Membership.stated_at),
            ).where(among(col(Membership.household_id), some))
        )
        for household_id, person_id, confirmed_at, stated_from, stated_at in rows:
            members[household_id][confirmed_at, stated_from].add(person_id)
            members[household_id][stated_at, stated_from].add(person_id)
            belonged.add(person_id)
    new: dict[tuple[UUID, str], list[tuple[Statement, UUID | None]]] = defaultdict(list)
    outcomes: list[Outcome] = []
    fresh: list[dict[str, Any]] = []
    repeated_at: dict[datetime, list[UUID]] = defaultdict(list)
    for one in listings:
        known = rosters.get(one.household_id, [])
        said = members[one.household_id]
        repeated = [
            roster
            for roster in known
            if (roster.stated_from, roster.stated_next) == (one.first, one.following)
            and said.get((roster.stated_at, one.first), set()) == one.members
        ]
        newest = max((roster.stated_at for roster in known), default=None)
        if any(roster.stated_at >= one.stated_at for roster in repeated):
            outcomes.append(Outcome.UNCHANGED)
            continue
        confirming = next((roster for roster in repeated if roster.stated_at == newest), None)
        if confirming is not None:
            repeated_at[one.stated_at].append(confirming.id)
            confirming.stated_at = one.stated_at
            outcomes.append(Outcome.UNCHANGED)
        else:
            row = _Roster(new_id(), one.first, one.following, one.stated_at)
            fresh.append(
                {
                    "id": row.id,
                    "household_id": one.household_id,
                    "stated_from": one.first,
                    "stated_next": one.following,
                    "stated_at": one.stated_at,
                    "known_from": now,
                    "delivery_id": one.delivery_id,
                }
            )
            rosters.setdefault(one.household_id, []).append(row)
            outcomes.append(
                Outcome.SUPERSEDED
                if any(
                    roster.stated_at > one.stated_at
                    and roster.stated_from <= one.first
                    and one.following <= roster.stated_next
                    for roster in known
                    if roster is not row
                )
                else Outcome.ACCEPTED
            )
        said[one.stated_at, one.first] = set(one.members)
        for person_id in one.members:
            statement = Statement(one.household_id, one.first, one.following, one.stated_at)
            new[person_id, one.kind].append((statement, one.delivery_id))
    for moment, ids in repeated_at.items():
        for some_ids in chunks(ids):
            await session.execute(
                update(Roster)
                .where(among(col(Roster.id), some_ids))
                .values(stated_at=moment)
                .execution_options(synchronize_session=False)
            )
    await insert_new(session, Roster, fresh)
    touched = belonged | {person_id for person_id, _ in new}
    moved = await _settle_members(session, register_id, touched, new=new, lists=lists, now=now)
    return outcomes, moved


async def _settle_members(
    session: AsyncSession,
    register_id: UUID,
    person_ids: Collection[UUID],
    *,
    new: Mapping[tuple[UUID, str], Sequence[tuple[Statement, UUID | None]]],
    lists: Sequence[tuple[datetime, date]],
    now: datetime,
) -> set[UUID]:
    kept: dict[tuple[UUID, str], list[Any]] = defaultdict(list)
    for some in chunks(sorted(person_ids)):
        rows = await session.execute(
            select(*(table_of(Membership).c[name] for name in _MEMBER_COLUMNS)).where(
                among(col(Membership.person_id), some), col(Membership.register_id) == register_id
            )
        )
        for row in rows:
            kept[row.person_id, row.kind].append(row)
    mentioned = {row.household_id for rows_of in kept.values() for row in rows_of}
    mentioned |= {statement.value for said in new.values() for statement, _ in said}
    rosters = await _rosters(session, sorted(mentioned))
    latest = max((as_of for as_of, _ in lists), default=_NOTHING.stated_at.replace(tzinfo=now.tzinfo))

    def alone(said: Statement) -> bool:
        """Whether nothing else was ever said of this household: the statement counts as it stands."""
        return all(
            (roster.stated_at, roster.stated_from) == (said.stated_at, said.first)
            for roster in rosters.get(said.value, ())  # type: ignore[call-overload]
        )

    closed: list[UUID] = []
    confirmed: dict[UUID, datetime] = {}
    written: list[tuple[Any, ...]] = []
    moved: set[UUID] = set()
    for person_id, kind in kept.keys() | new.keys():
        old = kept.get((person_id, kind), [])
        coming = new.get((person_id, kind), [])
        if not old and len(coming) == 1 and latest <= coming[0][0].stated_at and alone(coming[0][0]):
            written.append(_first_home(register_id, person_id, kind, *coming[0], now))
            moved.add(person_id)
            continue
        said = {(row.household_id, row.confirmed_at, row.stated_from) for row in old}
        said |= {(row.household_id, row.stated_at, row.stated_from) for row in old}
        said |= {(one.value, one.stated_at, one.first) for one, _ in coming}
        denials = [Denial(as_of, day) for as_of, day in lists]
        denials += [
            Denial(roster.stated_at, roster.stated_from, roster.stated_next, household_id)
            for household_id in {household for household, _, _ in said}
            for roster in rosters.get(household_id, ())
            if (household_id, roster.stated_at, roster.stated_from) not in said
        ]
        changes = _timeline(old, lambda row: row.household_id, [one for one, _ in coming], denials)
        deliveries = {("new", at): delivery_id for at, (_, delivery_id) in enumerate(coming)}
        closed += changes.closed
        confirmed |= changes.confirmed
        if changes.touched:
            moved.add(person_id)
        about = _About(False, person_id, kind, register_id, now, deliveries)
        written += [about.member_row(piece, None) for piece in changes.opened]
        written += [about.member_row(_whole_statement(one), now) for one in changes.noted]
    await _close(session, Membership, closed, now)
    await _confirm(session, Membership, confirmed)
    await insert_rows(session, table_of(Membership), _MEMBER_COLUMNS, written)
    return moved


def _first_home(  # noqa: PLR0917
    register_id: UUID, person_id: UUID, kind: str, said: Statement, delivery_id: UUID | None, now: datetime
) -> tuple[Any, ...]:
    """The row of somebody of whose household nothing was said before (compare `_About.member_row`)."""
    days = said.first, last_day(said.following) or date.max, said.following, said.first, said.following
    moments = said.stated_at, said.stated_at, now, None
    return new_id(), person_id, kind, said.value, *days, *moments, register_id, delivery_id


async def _rosters(session: AsyncSession, household_ids: Sequence[Any]) -> dict[UUID, list[Any]]:
    await session.flush()
    found: dict[UUID, list[Any]] = defaultdict(list)
    for some in chunks(household_ids):
        rows = await session.execute(
            select(
                col(Roster.household_id),
                col(Roster.id),
                col(Roster.stated_from),
                col(Roster.stated_next),
                col(Roster.stated_at),
            ).where(among(col(Roster.household_id), some))
        )
        for household_id, roster_id, first, following, stated_at in rows:
            found[household_id].append(_Roster(roster_id, first, following, stated_at))
    return found


@dataclass(slots=True)
class _Roster:
    id: UUID
    stated_from: date
    stated_next: date
    stated_at: datetime
