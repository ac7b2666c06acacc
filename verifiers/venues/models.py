"""How venues are kept, and how the rest of the house learns that something about them changed."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint
from sqlmodel import Field, SQLModel

from core.database import Moment, impersonal


class Venue(SQLModel, table=True):
    """A place. Its number is public, random and never given twice: a live code may be made for it."""

    __tablename__ = "venues"
    __table_args__ = (
        CheckConstraint("number BETWEEN 1 AND 4294967295", name="number_is_uint32"),
        CheckConstraint("length(name) > 0", name="has_a_name"),
        impersonal("a public place"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    number: int = Field(sa_type=BigInteger, unique=True)
    partner_id: UUID = Field(foreign_key="partners.id", index=True)
    name: str = Field(max_length=200)
    kind: str = Field(max_length=64)
    street: str = Field(default="", max_length=200)
    postcode: str = Field(default="", max_length=16)
    town: str = Field(default="", max_length=200)
    has_sign: bool = False
    """With a sign at the door, only codes made for that sign count."""
    opened_at: datetime = Field(sa_type=Moment)
    closed_at: datetime | None = Field(default=None, sa_type=Moment)


class Revision(SQLModel, table=True):
    """One row that counts every change to venues, offers and scanners: what is held in memory asks it."""

    __tablename__ = "places_revision"
    __table_args__ = (
        CheckConstraint("id = 1", name="only_one"),
        impersonal("a counter of changes"),
    )

    id: int = Field(default=1, primary_key=True)
    number: int = Field(default=1, sa_type=BigInteger)
