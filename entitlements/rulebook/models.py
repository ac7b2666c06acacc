"""How programmes, their rule versions, dated parameters, worked cases and tariffs are kept; trees are the truth."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Text, text
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
    """Whether something that was released counts."""

    ACTIVE = "active"
    REPLACED = "replaced"
    """A later release took its place before its first day had come."""


_ACTIVE = text("status = 'active'")


class RuleVersionRow(SQLModel, table=True):
    """One version of a programme's rule, in force from a day and until another (None: open)."""

    __tablename__ = "rule_versions"
    __table_args__ = (
        Index(
            "uq_rule_versions_active",
            "programme",
            "since",
            unique=True,
            sqlite_where=_ACTIVE,
            postgresql_where=_ACTIVE,
        ),
        CheckConstraint("until IS NULL OR until >= since", name="until_after_since"),
        CheckConstraint("approver_id IS NULL OR approver_id <> author_id", name="two_pairs_of_eyes"),
        CheckConstraint(
            "release_id IS NULL OR (author_id IS NOT NULL AND approver_id IS NOT NULL)",
            name="released_by_two",
        ),
        impersonal("a rule"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    programme: str = Field(foreign_key="programmes.slug", max_length=64, index=True)
    since: date
    until: date | None = None
    rule_hash: str = Field(max_length=64, unique=True)
    """SHA-256 over the canonical JSON of `content` without its last day, which alone may still be set."""
    content: dict[str, Any] = Field(sa_type=Json)
    """The version as typed trees: what is decided by."""
    written: str = Field(default="", sa_type=Text)
    """As its author wrote it; it decides nothing."""
    form: str = Field(default="", max_length=16)
    """In which form: `yaml`, `json`, `restored`, or empty where nobody kept it."""
    statute: str = Field(max_length=400)
    status: VersionStatus = Field(default=VersionStatus.ACTIVE, sa_type=word(VersionStatus))
    release_id: UUID | None = Field(default=None, index=True)
    """None for what came with the rulebook's files, whose authors and reviewers stand in its repository."""
    author_id: UUID | None = None
    approver_id: UUID | None = None
    loaded_at: datetime = Field(sa_type=Moment)


class ParameterValue(SQLModel, table=True):
    """What a parameter is from a day on, until its next value."""

    __tablename__ = "parameters"
    __table_args__ = (
        Index(
            "uq_parameters_active",
            "name",
            "since",
            unique=True,
            sqlite_where=_ACTIVE,
            postgresql_where=_ACTIVE,
        ),
        CheckConstraint("approver_id IS NULL OR approver_id <> author_id", name="two_pairs_of_eyes"),
        CheckConstraint(
            "release_id IS NULL OR (author_id IS NOT NULL AND approver_id IS NOT NULL)",
            name="released_by_two",
        ),
        impersonal("a dated amount"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    name: str = Field(max_length=64)
    since: date
    type: str = Field(max_length=64)
    value: str = Field(max_length=200)
    """As JSON; a day as its ISO form."""
    statute: str = Field(max_length=400)
    source: str = Field(default="", max_length=1000)
    assumption: bool = False
    status: VersionStatus = Field(default=VersionStatus.ACTIVE, sa_type=word(VersionStatus))
    release_id: UUID | None = Field(default=None, index=True)
    author_id: UUID | None = None
    approver_id: UUID | None = None
    loaded_at: datetime = Field(sa_type=Moment)


class CaseRow(SQLModel, table=True):
    """A worked case beside a programme's rules: facts on a day, and what the rule must say."""

    __tablename__ = "worked_cases"
    __table_args__ = (
        Index(
            "uq_worked_cases_active",
            "programme",
            "name",
            unique=True,
            sqlite_where=_ACTIVE,
            postgresql_where=_ACTIVE,
        ),
        impersonal("a made-up person"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    programme: str = Field(foreign_key="programmes.slug", max_length=64)
    name: str = Field(max_length=400)
    day: date
    content: dict[str, Any] = Field(sa_type=Json)
    """Facts, households and expectations; days in their ISO form."""
    position: int
    """Its place in its file or draft."""
    status: VersionStatus = Field(default=VersionStatus.ACTIVE, sa_type=word(VersionStatus))
    release_id: UUID | None = Field(default=None, index=True)
    loaded_at: datetime = Field(sa_type=Moment)


class RulebookState(SQLModel, table=True):
    """The whole of what is released, as one hash: whoever changes it says from which state, and one of two wins."""

    __tablename__ = "rulebook_state"
    __table_args__ = (CheckConstraint("one = 1", name="one_row"), impersonal("a hash over rules"))

    one: int = Field(default=1, primary_key=True)
    state_hash: str = Field(max_length=64)
    changed_at: datetime = Field(sa_type=Moment)


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
