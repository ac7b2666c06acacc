"""What a check has to know of its surroundings, in memory and never behind the database: places, keys, lists."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.languages import Language
from core.settings import Settings
from entitlements.rulebook.service import tariff_bits
from issuers.authorities.models import Authority
from issuers.status.service import StatusMemory
from issuers.trustlist.service import trusted
from verifiers.checks.rules import Offer, Place
from verifiers.checks.trust import Trust, trust_of
from verifiers.offers.models import Offer as OfferRow
from verifiers.offers.rules import bits_of, text_in
from verifiers.offers.service import in_force
from verifiers.partners.models import Partner
from verifiers.scanners.models import Scanner
from verifiers.venues.models import Revision, Venue

TRUST_RENEWED: Final = timedelta(hours=1)
"""Keys begin and end by the hour at most; a change of keys is seen at the next look, by the moment it was made."""

LOOKED: Final = timedelta(seconds=1)
"""How long a look at the database is good for: what changes there is known here within two seconds."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An offer as a till reads it, ready in each language."""

    offer: Offer
    said: Mapping[Language, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Post:
    """Where a scanner stands, and what is given there today."""

    venue_id: UUID
    place: Place
    offers: tuple[Offer, ...]
    shown: Mapping[str, Shown]


@dataclass(slots=True)
class Surroundings:
    """Asks once a second whether anything changed, and loads it only then."""

    settings: Settings
    statuses: StatusMemory
    posts: Mapping[UUID, Post] = field(default_factory=dict)
    """By the principal of the scanner."""
    trust: Trust | None = None
    _posts_of: tuple[int | None, date] | None = None
    _trust_of: datetime | None = None
    _looked_at: datetime | None = None

    async def look(self, session: AsyncSession, now: datetime, today: date) -> bool:
        """Follows the database if the last look is too long ago, or another day's; says whether it did."""
        recent = self._looked_at is not None and timedelta() <= now - self._looked_at < LOOKED
        if recent and self._posts_of is not None and self._posts_of[1] == today:
            return False
        await self.follow(session, now, today)
        return True

    async def follow(self, session: AsyncSession, now: datetime, today: date) -> None:
        """Brings everything up to what is committed."""
        versions = await session.execute(
            select(
                select(col(Revision.number)).scalar_subquery(),
                select(col(Authority.keys_changed_at)).limit(1).scalar_subquery(),
            )
        )
        revision, keys_changed_at = versions.one()
        if self._posts_of != (revision, today):
            self.posts = await _load_posts(session, today)
            self._posts_of = (revision, today)
        if (
            self.trust is None
            or self._trust_of != keys_changed_at
            or not timedelta() <= now - self.trust.issued_at < TRUST_RENEWED
        ):
            self.trust = trust_of(await trusted(session, self.settings, now), now)
            self._trust_of = keys_changed_at
        await self.statuses.follow(session, now)
        self._looked_at = now


def told(row: OfferRow, language: Language) -> dict[str, Any]:
    """An offer in one language, as answers carry it."""
    return {
        "id": str(row.id),
        "kind": row.kind.value,
        "percentage": row.percentage,
        "price_cents": row.price_cents,
        "text": text_in(row.texts, language),
        "needs_name": row.needs_name,
        "limit_uses": row.limit_uses,
        "limit_period": None if row.limit_period is None else row.limit_period.value,
    }


def judged(row: OfferRow, tariffs: Mapping[str, int]) -> Offer:
    """An offer as the judgement reads it."""
    return Offer(
        str(row.id),
        row.kind,
        bits_of(row.tariffs, tariffs),
        asks_name=row.needs_name,
        value=row.percentage if row.percentage is not None else row.price_cents,
    )


async def _load_posts(session: AsyncSession, today: date) -> Mapping[UUID, Post]:
    tariffs = await tariff_bits(session)
    offers: dict[UUID, list[Shown]] = {}
    rows = await session.execute(select(OfferRow).where(in_force(today)).order_by(col(OfferRow.id)))
    for row in rows.scalars():
        shown = Shown(judged(row, tariffs), {language: told(row, language) for language in Language})
        offers.setdefault(row.venue_id, []).append(shown)
    stands = await session.execute(
        select(col(Scanner.principal_id), col(Venue.id), col(Venue.number), col(Venue.has_sign))
        .join(Venue, col(Venue.id) == col(Scanner.venue_id))
        .join(Partner, col(Partner.id) == col(Venue.partner_id))
        .where(
            col(Scanner.removed_at).is_(None), col(Venue.closed_at).is_(None), col(Partner.left_at).is_(None)
        )
    )
    by_venue: dict[UUID, Post] = {}
    posts: dict[UUID, Post] = {}
    for principal_id, venue_id, number, has_sign in stands.all():
        if venue_id not in by_venue:
            given = offers.get(venue_id, [])
            by_venue[venue_id] = Post(
                venue_id,
                Place(number, has_sign),
                tuple(shown.offer for shown in given),
                {shown.offer.id: shown for shown in given},
            )
        posts[principal_id] = by_venue[venue_id]
    return posts
