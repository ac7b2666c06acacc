"""Writes who belongs to which household into the history: a household is stated whole, a person is in one of a kind."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.bulk import among, chunks, insert_new, insert_rows, table_of
from core.database import new_id
from entitlements.facts.rules import Denial, Statement, last_day
from entitlements.facts.timelines import COLUMNS, Changes, Origin, Outcome, amend, close, confirm
from entitlements.people.models import Membership, Roster


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


_COLUMNS = ("id", "person_id", "kind", "household_id", *COLUMNS)

Coming = Mapping[tuple[UUID, str], Sequence[tuple[Statement, UUID | None]]]
"""What is newly stated of each person's households of a kind, and which delivery brought it."""


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
    known = _Known(await _rosters(session, households), await _members(session, households))
    touched = known.persons()
    coming: dict[tuple[UUID, str], list[tuple[Statement, UUID | None]]] = defaultdict(list)
    outcomes: list[Outcome] = []
    for one in listings:
        same = known.same(one)
        if any(roster.stated_at >= one.stated_at for roster in same):
            outcomes.append(Outcome.UNCHANGED)
            continue
        outcomes.append(known.note(one, same, now))
        for person_id in one.members:
            order = (_rank(one.household_id, one.delivery_id), now, 0)
            statement = Statement(one.household_id, one.first, one.following, one.stated_at, order)
            coming[person_id, one.kind].append((statement, one.delivery_id))
    await known.keep(session)
    touched |= {person_id for person_id, _ in coming}
    moved = await _settle(session, register_id, touched, coming=coming, lists=lists, now=now)
    return outcomes, moved


async def deny_members(
    session: AsyncSession,
    register_id: UUID,
    person_ids: Collection[UUID],
    lists: Sequence[tuple[datetime, date]],
    now: datetime,
) -> set[UUID]:
    """Lets complete lists end the memberships that they leave out, for these persons; gives whose household changed."""
    newest = max(as_of for as_of, _ in lists)
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
    return await _settle(session, register_id, belonging, coming={}, lists=lists, now=now)


# ---- what is listed of a household ----


@dataclass(slots=True)
class _Roster:
    """That a household was listed: for which days, and when this was last said."""

    id: UUID
    stated_from: date
    stated_next: date
    stated_at: datetime


@dataclass(slots=True)
class _Known:
    """What was listed of some households, and what is to be written of it."""

    rosters: dict[UUID, list[_Roster]]
    members: dict[UUID, dict[tuple[datetime, date], set[UUID]]]
    """By household, by the moment and the first day of its rosters."""
    said_again: dict[datetime, list[UUID]] = field(default_factory=lambda: defaultdict(list))
    """Rosters by the moment at which they were repeated."""
    fresh: list[dict[str, Any]] = field(default_factory=list)

    def persons(self) -> set[UUID]:
        """Whoever was ever listed in one of the households."""
        return {one for lists in self.members.values() for members in lists.values() for one in members}

    def same(self, one: Listing) -> list[_Roster]:
        """The rosters of the household that say the same: the same members for the same days."""
        said = self.members[one.household_id]
        return [
            roster
            for roster in self.rosters.get(one.household_id, ())
            if (roster.stated_from, roster.stated_next) == (one.first, one.following)
            and said.get((roster.stated_at, one.first), set()) == one.members
        ]

    def note(self, one: Listing, same: Sequence[_Roster], now: datetime) -> Outcome:
        """Takes a listing in; what was said last, and is said again, stays one roster."""
        known = self.rosters.setdefault(one.household_id, [])
        self.members[one.household_id][one.stated_at, one.first] = set(one.members)
        newest = max((roster.stated_at for roster in known), default=None)
        repeated = next((roster for roster in same if roster.stated_at == newest), None)
        if repeated is not None:
            self.said_again[one.stated_at].append(repeated.id)
            repeated.stated_at = one.stated_at
            return Outcome.UNCHANGED
        superseded = any(
            roster.stated_at > one.stated_at
            and roster.stated_from <= one.first
            and one.following <= roster.stated_next
            for roster in known
        )
        roster = _Roster(new_id(), one.first, one.following, one.stated_at)
        known.append(roster)
        self.fresh.append(
            {
                "id": roster.id,
                "household_id": one.household_id,
                "stated_from": one.first,
                "stated_next": one.following,
                "stated_at": one.stated_at,
                "known_from": now,
                "delivery_id": one.delivery_id,
            }
        )
        return Outcome.SUPERSEDED if superseded else Outcome.ACCEPTED

    async def keep(self, session: AsyncSession) -> None:
        """Writes down what was said again and what is new."""
        for moment, ids in self.said_again.items():
            for some in chunks(ids):
                await session.execute(
                    update(Roster)
                    .where(among(col(Roster.id), some))
                    .values(stated_at=moment)
                    .execution_options(synchronize_session=False)
                )
        await insert_new(session, Roster, self.fresh)


async def _rosters(session: AsyncSession, household_ids: Sequence[Any]) -> dict[UUID, list[_Roster]]:
    await session.flush()
    found: dict[UUID, list[_Roster]] = defaultdict(list)
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


async def _members(
    session: AsyncSession, household_ids: Sequence[UUID]
) -> dict[UUID, dict[tuple[datetime, date], set[UUID]]]:
    found: dict[UUID, dict[tuple[datetime, date], set[UUID]]] = defaultdict(lambda: defaultdict(set))
    for some in chunks(household_ids):
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
            found[household_id][confirmed_at, stated_from].add(person_id)
            found[household_id][stated_at, stated_from].add(person_id)
    return found


# ---- where a person belongs ----


async def _settle(
    session: AsyncSession,
    register_id: UUID,
    person_ids: Collection[UUID],
    *,
    coming: Coming,
    lists: Sequence[tuple[datetime, date]],
    now: datetime,
) -> set[UUID]:
    """Writes these persons' timelines anew; gives whose household changed."""
    kept = await _kept(session, register_id, person_ids)
    mentioned: set[Any] = {row.household_id for rows in kept.values() for row in rows}
    mentioned |= {statement.value for said in coming.values() for statement, _ in said}
    rosters = await _rosters(session, sorted(mentioned))
    latest = max((as_of for as_of, _ in lists), default=datetime.min.replace(tzinfo=now.tzinfo))
    closed: list[UUID] = []
    confirmed: dict[UUID, datetime] = {}
    rows: list[tuple[Any, ...]] = []
    moved: set[UUID] = set()
    for key in kept.keys() | coming.keys():
        old, said = kept.get(key, []), coming.get(key, [])
        new = [statement for statement, _ in said]
        origin = Origin(register_id, now, [delivery_id for _, delivery_id in said])
        if not old and len(new) == 1 and latest <= new[0].stated_at and _alone(new[0], rosters):
            rows.append(_first_home(key, new[0], origin))
            moved.add(key[0])
            continue
        denials = [Denial(as_of, day) for as_of, day in lists]
        denials += _left_out(old, new, rosters)
        changes = amend(
            old,
            lambda row: row.household_id,
            new,
            denials,
            lambda row: _rank(row.household_id, row.delivery_id),
        )
        closed += changes.closed
        confirmed |= changes.confirmed
        if changes.touched:
            moved.add(key[0])
        rows += _rows(key, changes, origin)
    await close(session, Membership, closed, now)
    await confirm(session, Membership, confirmed)
    await insert_rows(session, table_of(Membership), _COLUMNS, rows)
    return moved


def _rank(household_id: UUID, delivery_id: UUID | None) -> int:
    """Of two homes on the same days the one of the later delivery counts, and within one the one made known later.

    Not the one written later: a delivery is applied in parts, and how many there are must not matter.
    """
    return ((delivery_id.int if delivery_id is not None else 0) << 128) + household_id.int


async def _kept(
    session: AsyncSession, register_id: UUID, person_ids: Collection[UUID]
) -> dict[tuple[UUID, str], list[Any]]:
    found: dict[tuple[UUID, str], list[Any]] = defaultdict(list)
    for some in chunks(sorted(person_ids)):
        rows = await session.execute(
            select(*(table_of(Membership).c[name] for name in _COLUMNS)).where(
                among(col(Membership.person_id), some), col(Membership.register_id) == register_id
            )
        )
        for row in rows:
            found[row.person_id, row.kind].append(row)
    return found


def _alone(said: Statement, rosters: Mapping[Any, Sequence[_Roster]]) -> bool:
    """Whether nothing else was ever said of this household: the statement counts as it stands."""
    return all(
        (roster.stated_at, roster.stated_from) == (said.stated_at, said.first)
        for roster in rosters.get(said.value, ())
    )


def _left_out(
    old: Sequence[Any], new: Sequence[Statement], rosters: Mapping[Any, Sequence[_Roster]]
) -> Iterator[Denial]:
    """The rosters of a person's households in which the person is not named."""
    said = {(row.household_id, row.confirmed_at, row.stated_from) for row in old}
    said |= {(row.household_id, row.stated_at, row.stated_from) for row in old}
    said |= {(one.value, one.stated_at, one.first) for one in new}
    for household_id in {household for household, _, _ in said}:
        for roster in rosters.get(household_id, ()):
            if (household_id, roster.stated_at, roster.stated_from) not in said:
                yield Denial(roster.stated_at, roster.stated_from, roster.stated_next, household_id)


def _rows(key: tuple[UUID, str], changes: Changes, origin: Origin) -> Iterator[tuple[Any, ...]]:
    """What is written of a timeline, as rows of memberships."""
    for piece, known_until in changes.written(origin.now):
        yield new_id(), *key, piece.statement.value, *origin.columns(piece, known_until)


def _first_home(key: tuple[UUID, str], said: Statement, origin: Origin) -> tuple[Any, ...]:
    """The row of somebody of whose household nothing was said before (compare `Origin.columns`)."""
    days = said.first, last_day(said.following) or date.max, said.following, said.first, said.following
    moments = said.stated_at, said.stated_at, origin.now, None
    return new_id(), *key, said.value, *days, *moments, origin.register_id, *origin.deliveries
