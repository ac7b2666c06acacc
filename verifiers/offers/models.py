"""How offers are kept. Their terms never change: what is different is another offer."""

from datetime import date, datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from core.database import Json, Moment, impersonal, word
from verifiers.offers.rules import OfferKind, Period


class Offer(SQLModel, table=True):
    """What a venue gives to holders of at least one of the named tariffs."""

    __tablename__ = "offers"
    __table_args__ = (
        CheckConstraint("(kind = 'percentage') = (percentage IS NOT NULL)", name="percentage_by_kind"),
        CheckConstraint("percentage BETWEEN 1 AND 100", name="percentage_in_bounds"),
        CheckConstraint("(kind = 'fixed_price') = (price_cents IS NOT NULL)", name="price_by_kind"),
        CheckConstraint("price_cents BETWEEN 0 AND 1000000", name="price_in_bounds"),
        CheckConstraint("(limit_uses IS NULL) = (limit_period IS NULL)", name="limit_is_whole"),
        CheckConstraint("limit_uses >= 1", name="limit_allows_one"),
        CheckConstraint("until IS NULL OR until >= since", name="until_after_since"),
        impersonal("public terms"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    venue_id: UUID = Field(foreign_key="venues.id", index=True)
    kind: OfferKind = Field(sa_type=word(OfferKind))
    percentage: int | None = None
    price_cents: int | None = None
    tariffs: list[str] = Field(sa_type=Json)
    texts: dict[str, str] = Field(sa_type=Json)
    needs_name: bool = False
    limit_uses: int | None = None
    limit_period: Period | None = Field(default=None, sa_type=word(Period))
    since: date
    until: date | None = None
    withdrawn_at: datetime | None = Field(default=None, sa_type=Moment)
