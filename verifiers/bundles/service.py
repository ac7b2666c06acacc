"""Put together what a scanner takes along."""

from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.languages import Language
from core.settings import Settings
from core.vault import Vault
from entitlements.rulebook.service import tariff_bits
from issuers.status.service import StatusMemory, uri_of
from issuers.trustlist import service as trustlist
from verifiers.bundles.schemas import BundleList, BundleOffer, BundleVenue, BundleView
from verifiers.offers.models import Offer
from verifiers.offers.rules import bits_of
from verifiers.scanners import service as scanners

AHEAD: Final = timedelta(days=30)
"""Offers that begin within this time are taken along: as long as a trust list lasts without a network."""


async def bundle(
    session: AsyncSession,
    vault: Vault,
    settings: Settings,
    statuses: StatusMemory,
    caller: Caller,
    *,
    now: datetime,
    today: date,
) -> BundleView:
    """The bundle of the calling scanner."""
    _, venue = await scanners.of(session, caller)
    tariffs = await tariff_bits(session)
    rows = await session.execute(
        select(Offer)
        .where(
            col(Offer.venue_id) == venue.id,
            col(Offer.withdrawn_at).is_(None),
            col(Offer.since) <= today + AHEAD,
            or_(col(Offer.until).is_(None), col(Offer.until) >= today),
        )
        .order_by(col(Offer.id))
    )
    await statuses.follow(session, now)
    lists = []
    for number in statuses.numbers():
        published = await statuses.published(session, number, vault=vault, settings=settings, now=now)
        lists.append(
            BundleList(number=number, uri=uri_of(number, settings), token=published.jwt.token.decode())
        )
    return BundleView(
        time=now,
        code_host=settings.code_host,
        venue=BundleVenue.model_validate(venue),
        offers=[
            BundleOffer(
                id=offer.id,
                kind=offer.kind,
                percentage=offer.percentage,
                price_cents=offer.price_cents,
                tariff_bits=bits_of(offer.tariffs, tariffs),
                texts={Language(language): text for language, text in offer.texts.items()},
                needs_name=offer.needs_name,
                limit_uses=offer.limit_uses,
                limit_period=offer.limit_period,
                since=offer.since,
                until=offer.until,
            )
            for offer in rows.scalars()
        ],
        trust_list=(await trustlist.current(session)).token,
        status_lists=lists,
    )
