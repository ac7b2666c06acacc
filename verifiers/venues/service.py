"""Open and close venues, list them for everybody, and tell the caches that something changed."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.audit.service import note
from core.errors import NotFound
from verifiers.partners import service as partners
from verifiers.venues.models import Revision, Venue
from verifiers.venues.schemas import NewVenue, VenueChange


async def open_venue(session: AsyncSession, caller: Caller, new: NewVenue, now: datetime) -> Venue:
    """Adds a place to a partner that the caller manages, under a number of its own."""
    await partners.managed(session, caller, new.partner_id, now)
    venue = Venue(
        number=await _free_number(session),
        partner_id=new.partner_id,
        name=new.name,
        kind=new.kind,
        street=new.street or "",
        postcode=new.postcode or "",
        town=new.town or "",
        has_sign=new.has_sign,
        opened_at=now,
    )
    session.add(venue)
    await session.flush()
    note(session, caller, "venue.opened", ("venue", venue.id), now=now)
    await changed(session)
    return venue


async def change(
    session: AsyncSession, caller: Caller, venue_id: UUID, new: VenueChange, now: datetime
) -> Venue:
    """Changes what is known of a place that the caller manages."""
    venue = await managed(session, caller, venue_id, now)
    if new.name is not None:
        venue.name = new.name
    if new.has_sign is not None:
        venue.has_sign = new.has_sign
    session.add(venue)
    note(session, caller, "venue.changed", ("venue", venue.id), now=now, has_sign=venue.has_sign)
    await changed(session)
    return venue


async def close(session: AsyncSession, caller: Caller, venue_id: UUID, now: datetime) -> None:
    """Closes a place that the caller manages: nothing is checked there any more."""
    venue = await managed(session, caller, venue_id, now)
    venue.closed_at = now
    session.add(venue)
    note(session, caller, "venue.closed", ("venue", venue.id), now=now)
    await changed(session)


async def managed(session: AsyncSession, caller: Caller, venue_id: UUID, now: datetime) -> Venue:
    """The open venue, if the caller may manage it; a stranger's is not found."""
    venue = await get(session, venue_id)
    await partners.managed(session, caller, venue.partner_id, now)
    return venue


async def get(session: AsyncSession, venue_id: UUID) -> Venue:
    """The open venue."""
    venue = await session.get(Venue, venue_id)
    if venue is None or venue.closed_at is not None:
        raise NotFound
    return venue


async def listed(
    session: AsyncSession, *, kind: str | None = None, after: int = 0, limit: int = 200
) -> Sequence[Venue]:
    """The open venues by number, page by page."""
    query = select(Venue).where(col(Venue.closed_at).is_(None), col(Venue.number) > after)
    if kind is not None:
        query = query.where(col(Venue.kind) == kind)
    return (await session.execute(query.order_by(col(Venue.number)).limit(limit))).scalars().all()


async def changed(session: AsyncSession) -> None:
    """Says, in the caller's transaction, that venues, offers or scanners are not as they were."""
    await session.flush()
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    await session.execute(
        insert(Revision)
        .values(id=1, number=1)
        .on_conflict_do_update(index_elements=["id"], set_={"number": col(Revision.number) + 1})
    )


async def revision(session: AsyncSession) -> int:
    """How often venues, offers and scanners have changed."""
    return (await session.execute(select(col(Revision.number)))).scalar_one_or_none() or 0


async def _free_number(session: AsyncSession) -> int:
    # Random, so that it tells neither order nor how many there are; the unique constraint has the last word.
    while True:
        number = secrets.randbelow(0xFFFFFFFF) + 1
        taken = await session.execute(select(col(Venue.id)).where(col(Venue.number) == number))
        if taken.scalar_one_or_none() is None:
            return number
