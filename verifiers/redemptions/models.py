"""The third store of a visit, the use counter, and what is kept of a redemption: never a card, never a person."""

from datetime import date, datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel

from core.database import Bytes, Moment, impersonal, word
from verifiers.offers.rules import Period


class PeriodKey(SQLModel, table=True):
    """The key under which uses of one day, week or month are counted, wrapped; it dies with its period.

    Without this row nobody can tell any more whose uses the counters counted. A backup leaves it out.
    """

    __tablename__ = "period_keys"
    __table_args__ = (
        UniqueConstraint("period", "begins_on"),
        impersonal("a wrapped key, destroyed when its period ends"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    period: Period = Field(sa_type=word(Period))
    begins_on: date
    ends_at: datetime = Field(sa_type=Moment, index=True)
    wrapped: bytes = Field(sa_type=Bytes)


class UseCounter(SQLModel, table=True):
    """How often somebody used something in a period. Who and what: an HMAC under the period's key."""

    __tablename__ = "use_counters"
    __table_args__ = (
        CheckConstraint("used >= 0", name="never_below_zero"),
        impersonal("an HMAC under a key that dies with its period"),
    )

    key: bytes = Field(sa_type=Bytes, primary_key=True)
    period_id: UUID = Field(foreign_key="period_keys.id", index=True)
    used: int


class Redemption(SQLModel, table=True):
    """A use that was taken: offer, tariff and hour."""

    __tablename__ = "redemptions"
    __table_args__ = (impersonal("offer, tariff and hour; never a card or person"),)

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    offer_id: UUID = Field(foreign_key="offers.id", index=True)
    tariff: str = Field(max_length=64)
    hour: datetime = Field(sa_type=Moment, index=True)
    undone: bool = False
