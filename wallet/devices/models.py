"""How phones and the challenges to them are kept."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel

from core.database import Bytes, Moment, impersonal, new_id, personal

MOST_DEVICES = 5
"""Phones of one person at a time."""


class Challenge(SQLModel, table=True):
    """A nonce that a phone has to sign soon; the row goes with its one use."""

    __tablename__ = "device_challenges"
    __table_args__ = (impersonal("keyed by principal, gone within minutes"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    principal_id: UUID = Field(foreign_key="principals.id", index=True)
    nonce_hash: bytes = Field(sa_type=Bytes, unique=True)
    expires_at: datetime = Field(sa_type=Moment, index=True)


class Device(SQLModel, table=True):
    """A phone of a person, known by its key; it may hold the cards of those for whom that person acts, too."""

    __tablename__ = "devices"
    __table_args__ = (
        # A slot is taken or free: of two phones that come at once for the last one, one gets it.
        UniqueConstraint("person_id", "slot"),
        CheckConstraint(f"slot BETWEEN 1 AND {MOST_DEVICES}", name="so_many_and_no_more"),
        CheckConstraint("(slot IS NULL) = (removed_at IS NOT NULL)", name="in_a_slot_until_removed"),
        personal("person_id"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    person_id: UUID = Field(foreign_key="persons.id", index=True)
    principal_id: UUID = Field(foreign_key="principals.id", index=True)
    """The login that enrolled it."""
    slot: int | None = None
    name: str = Field(default="", max_length=200)
    """What its owner calls it."""
    point: bytes = Field(sa_type=Bytes, unique=True)
    """Its key; a phone that was removed comes back with a new one."""
    enrolled_at: datetime = Field(sa_type=Moment)
    pays_from: datetime = Field(sa_type=Moment)
    """From when on money may be spent with it; later than its enrolment where nobody vouched for a change of phones."""
    topped_up_at: datetime | None = Field(default=None, sa_type=Moment)
    removed_at: datetime | None = Field(default=None, sa_type=Moment)
    replaced_by: UUID | None = Field(default=None, index=True)
