"""How programmes, their rule versions, dated parameters and tariffs are kept; the trees are the stored truth."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel

from core.database import Json, Moment, impersonal, new_id, word


class Programme(SQLModel, table=True):
    """Something that a city grants under rules: its name, and the state of its rules as one hash."""

    __tablename__ = "programmes"
    __table_args__ = (impersonal("a programme of the city"),)

    slug: str = Field(max_length=64, primary_key=True)
    city: str = Field(max_length=64)
    names: dict[str, str] = Field(sa_type=Json)
    """By language."""
    position: int
    """Its place in the order in which programmes are decided, those it depends on first."""
    timeline_hash: str = Field(max_length=64)
    """Over all versions with their days and every dated value that they use; when it changes, people whom
    an older state judged are judged again."""
    loaded_at: datetime = Field(sa_type=Moment)


class VersionStatus(StrEnum):
    """How far a rule version has come."""

    DRAFT = "draft"
    ACTIVE = "active"


class RuleVersionRow(SQLModel, table=True):
    """One version of a programme's rule, in force from a day and until another (None: open)."""

    __tablename__ = "rule_versions"
    __table_args__ = (
        UniqueConstraint("programme", "since"),
        CheckConstraint("until IS NULL OR until >= since", name="until_after_since"),
        CheckConstraint("approver_id IS NULL OR approver_id <> author_id", name="two_pairs_of_eyes"),
        impersonal("a rule"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    programme: str = Field(foreign_key="programmes.slug", max_length=64)
    since: date
    until: date | None = None
    rule_hash: str = Field(max_length=64, unique=True)
    """SHA-256 over the canonical JSON of `content` without its last day, which alone may still be set."""
    content: dict[str, Any] = Field(sa_type=Json)
    """The version as typed trees: what is decided by."""
    statute: str = Field(max_length=400)
    status: VersionStatus = Field(default=VersionStatus.ACTIVE, sa_type=word(VersionStatus))
    author_id: UUID | None = None
    """None for what came with the rulebook's files, whose authors and reviewers stand in its repository."""
    approver_id: UUID | None = None
    loaded_at: datetime = Field(sa_type=Moment)


class ParameterValue(SQLModel, table=True):
    """What a parameter is from a day on, until its next value."""

    __tablename__ = "parameters"
    __table_args__ = (
        CheckConstraint("approver_id IS NULL OR approver_id <> author_id", name="two_pairs_of_eyes"),
        impersonal("a dated amount"),
    )

    name: str = Field(max_length=64, primary_key=True)
    since: date = Field(primary_key=True)
    type: str = Field(max_length=64)
    value: str = Field(max_length=200)
    """As JSON; a day as its ISO form."""
    statute: str = Field(max_length=400)
    source: str = Field(default="", max_length=1000)
    assumption: bool = False
    author_id: UUID | None = None
    approver_id: UUID | None = None
    loaded_at: datetime = Field(sa_type=Moment)


class TariffRow(SQLModel, table=True):
    """What a card carries and an offer names; its bit on the card never changes."""

    __tablename__ = "tariffs"
    __table_args__ = (
        CheckConstraint("bit BETWEEN 0 AND 15", name="bit_on_the_card"),
        impersonal("a tariff"),
    )

    name: str = Field(max_length=64, primary_key=True)
    bit: int = Field(unique=True)
    names: dict[str, str] = Field(sa_type=Json)
    """By language."""
