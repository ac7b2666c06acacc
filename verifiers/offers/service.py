"""Make and withdraw offers, and list them for everybody."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.audit.service import note
from core.errors import NotFound, Unprocessable
from verifiers.offers.models import Offer
from verifiers.offers.schemas import NewOffer
from verifiers.venues import service as venues
from verifiers.venues.models import Venue


class UnknownTariff(Unprocessable):
    """The offer names a tariff that no card carries."""

    slug, title = "unknown-tariff", "There is no such tariff"


async def make(
    session: AsyncSession, caller: Caller, new: NewOffer, tariffs: Mapping[str, int], now: datetime
) -> Offer:
    """Makes an offer at a venue that the caller manages."""
    await venues.managed(session, caller, new.venue_id, now)
    if unknown := sorted(set(new.tariffs) - tariffs.keys()):
        raise UnknownTariff(f"no card carries {', '.join(unknown)}")
    offer = Offer(
        venue_id=new.venue_id,
        kind=new.kind,
        percentage=new.percentage,
        price_cents=new.price_cents,
        tariffs=sorted(set(new.tariffs)),
        texts={language.value: text for language, text in new.texts.items()},
        needs_name=new.needs_name,
        limit_uses=new.limit_uses,
        limit_period=new.limit_period,
        since=new.since,
        until=new.until,
    )
    session.add(offer)
    await session.flush()
    note(session, caller, "offer.made", ("offer", offer.id), now=now, venue=str(new.venue_id), kind=new.kind)
    await venues.changed(session)
    return offer


async def withdraw(session: AsyncSession, caller: Caller, offer_id: UUID, now: datetime) -> None:
    """Withdraws an offer of a venue that the caller manages, at once."""
    offer = await session.get(Offer, offer_id)
    if offer is None or offer.withdrawn_at is not None:
        raise NotFound
    await venues.managed(session, caller, offer.venue_id, now)
    offer.withdrawn_at = now
    session.add(offer)
    note(session, caller, "offer.withdrawn", ("offer", offer.id), now=now)
    await venues.changed(session)


async def listed(
    session: AsyncSession,
    on: date,
    *,
    venue_id: UUID | None = None,
    after: UUID | None = None,
    limit: int = 200,
) -> Sequence[Offer]:
    """The offers in force on a day at open venues, page by page."""
    query = (
        select(Offer)
        .join(Venue, col(Venue.id) == col(Offer.venue_id))
        .where(in_force(on), col(Venue.closed_at).is_(None))
    )
    if venue_id is not None:
        query = query.where(col(Offer.venue_id) == venue_id)
    if after is not None:
        query = query.where(col(Offer.id) > after)
    return (await session.execute(query.order_by(col(Offer.id)).limit(limit))).scalars().all()


async def current(session: AsyncSession, offer_id: UUID, on: date) -> Offer | None:
    """The offer, if it is in force on this day."""
    found = await session.execute(select(Offer).where(col(Offer.id) == offer_id, in_force(on)))
    offer: Offer | None = found.scalar_one_or_none()
    return offer


def in_force(on: date) -> ColumnElement[bool]:
    """Whether an offer holds on a day."""
    return and_(
        col(Offer.withdrawn_at).is_(None),
        col(Offer.since) <= on,
        or_(col(Offer.until).is_(None), col(Offer.until) >= on),
    )
