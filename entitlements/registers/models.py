"""How registers are kept, what they may state, and which person each of their numbers means."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from core.database import Bytes, Json, Moment, impersonal, new_id, personal, word


class Register(SQLModel, table=True):
    """A department's system that vouches for facts."""

    __tablename__ = "registers"
    __table_args__ = (impersonal("a department"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    principal_id: UUID = Field(foreign_key="principals.id", unique=True)
    kind: str = Field(max_length=64, index=True)
    """Which kind of department, as the catalogue of facts calls it: `jobcenter`."""
    name: str = Field(max_length=200)
    remit: dict[str, Any] = Field(sa_type=Json)
    """What it may state; read it with `rules.Remit.of`."""
    created_at: datetime = Field(sa_type=Moment)


class Completion(SQLModel, table=True):
    """That a full delivery of a register was applied: since then, silence about somebody means something."""

    __tablename__ = "completions"
    __table_args__ = (
        UniqueConstraint("delivery_id"),
        impersonal("a register and a moment"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    register_id: UUID = Field(foreign_key="registers.id", index=True)
    delivery_id: UUID
    as_of: datetime = Field(sa_type=Moment)
    """The moment at which the list was complete."""
    day: date
    """The first day that the list speaks of."""
    known_from: datetime = Field(sa_type=Moment)


class LinkMade(StrEnum):
    """How a register's number found its person."""

    STATED = "stated"
    """The register itself states who the person is."""
    IDENTIFICATION = "identification"
    """By the tax identification number, where the register may use it."""
    LIKENESS = "likeness"
    """By name, birth date and address, where nobody else was near (see `people.matching`)."""
    REVIEW = "review"
    """By a case worker."""
    MOVE = "move"
    """By a case worker, who took the number from somebody whom it does not mean."""


class Link(SQLModel, table=True):
    """Which person a register's number means; the number itself is kept as a keyed hash, and sealed."""

    __tablename__ = "links"
    __table_args__ = (
        UniqueConstraint("register_id", "number_hash"),
        personal("person_id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    register_id: UUID = Field(foreign_key="registers.id")
    number_hash: bytes = Field(sa_type=Bytes)
    sealed_number: bytes | None = Field(default=None, sa_type=Bytes)
    """The number under the person's own identity key, for the case worker who has to name it to the register."""
    person_id: UUID = Field(foreign_key="persons.id", index=True)
    made_by: LinkMade = Field(sa_type=word(LinkMade))
    made_at: datetime = Field(sa_type=Moment)


class ReviewState(StrEnum):
    """How a number without a person stands."""

    OPEN = "open"
    LINKED = "linked"
    DISMISSED = "dismissed"
    """It means nobody here."""


class Review(SQLModel, table=True):
    """A register's number that means nobody yet; its rows wait until a case worker has looked."""

    __tablename__ = "reviews"
    __table_args__ = (
        UniqueConstraint("register_id", "number_hash"),
        CheckConstraint("(state = 'linked') = (person_id IS NOT NULL)", name="linked_to_somebody"),
        personal("person_id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    register_id: UUID = Field(foreign_key="registers.id")
    number_hash: bytes = Field(sa_type=Bytes)
    sealed_number: bytes = Field(sa_type=Bytes)
    """The number under a key of the vault, and gone once it is decided."""
    sealed_identity: bytes | None = Field(default=None, sa_type=Bytes)
    """What the register calls whoever is behind it, where it says so; sealed and gone like the number."""
    later_until: datetime | None = Field(default=None, sa_type=Moment)
    """Put off until then: somebody is being asked."""
    state: ReviewState = Field(default=ReviewState.OPEN, sa_type=word(ReviewState))
    person_id: UUID | None = Field(default=None, foreign_key="persons.id", index=True)
    opened_at: datetime = Field(sa_type=Moment)
    decided_at: datetime | None = Field(default=None, sa_type=Moment)
    decided_by: UUID | None = None


class LinkMove(SQLModel, table=True):
    """That a register's number meant somebody else than it was linked to: what the register says went with it."""

    __tablename__ = "link_moves"
    __table_args__ = (
        CheckConstraint("from_id <> to_id", name="two_persons"),
        Index("ix_link_moves_link_id", "link_id"),
        personal("to_id", also="from_id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    link_id: UUID = Field(foreign_key="links.id")
    register_id: UUID = Field(foreign_key="registers.id")
    from_id: UUID = Field(foreign_key="persons.id", index=True)
    to_id: UUID = Field(foreign_key="persons.id", index=True)
    moved_at: datetime = Field(sa_type=Moment)
    moved_by: UUID | None = None
    undone_at: datetime | None = Field(default=None, sa_type=Moment)
    undone_by: UUID | None = None
