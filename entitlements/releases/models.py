"""How releases are kept: every draft as it was ever written, what the gate found, and who decided."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from core.database import Json, Moment, impersonal, new_id, word
from entitlements.rulebook.drafting import Form


class Status(StrEnum):
    """How far a release has come."""

    DRAFT = "draft"
    """Being written; what the gate found last time stands beside it."""
    CHECKING = "checking"
    READY = "ready"
    """Through the gate: a second person may approve exactly this."""
    RELEASED = "released"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


OPEN = frozenset({Status.DRAFT, Status.CHECKING, Status.READY})
"""Still a draft, and so to be changed."""


class Release(SQLModel, table=True):
    """A set of changes to the rulebook, from its first line to its days of force."""

    __tablename__ = "releases"
    __table_args__ = (
        CheckConstraint("approver_id IS NULL OR approver_id <> author_id", name="two_pairs_of_eyes"),
        CheckConstraint(
            "(status = 'released') = (approver_id IS NOT NULL AND first_day IS NOT NULL)",
            name="released_by_somebody",
        ),
        CheckConstraint(
            "(status IN ('released', 'rejected', 'withdrawn')) = (decided_at IS NOT NULL)",
            name="decided_once",
        ),
        CheckConstraint("version >= 1", name="version_counts"),
        impersonal("rules, and the members of staff who wrote and approved them"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    title: str = Field(max_length=200)
    status: Status = Field(default=Status.DRAFT, sa_type=word(Status), index=True)
    version: int = 1
    """Which revision counts; whoever changes the draft says which one they have read."""
    content_hash: str = Field(max_length=64)
    """Over what that revision says: approval is for this and nothing else."""
    author_id: UUID
    """Who wrote that revision; all who wrote one are its authors."""
    created_at: datetime = Field(sa_type=Moment)
    changed_at: datetime = Field(sa_type=Moment)
    undoes_id: UUID | None = Field(default=None, foreign_key="releases.id", index=True)
    """The release that this one rolls back."""
    approver_id: UUID | None = None
    acknowledged: bool = False
    """Whether the approver said that so many entitlements may end."""
    decided_by: UUID | None = None
    """Who approved, rejected or withdrew it."""
    decided_at: datetime | None = Field(default=None, sa_type=Moment)
    remark: str | None = Field(default=None, max_length=200)
    first_day: date | None = None
    """The first day on which something of it is in force."""
    difference: list[dict[str, Any]] = Field(default_factory=list, sa_type=Json)
    """Of what was released: what it changed, part by part, as its approver read it."""


class Revision(SQLModel, table=True):
    """A draft as somebody saved it; never changed."""

    __tablename__ = "release_revisions"
    __table_args__ = (
        UniqueConstraint("release_id", "version"),
        Index("ix_release_revisions_release_id_author_id", "release_id", "author_id"),
        impersonal("rules as their authors wrote them"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    release_id: UUID = Field(foreign_key="releases.id")
    version: int
    author_id: UUID
    at: datetime = Field(sa_type=Moment)
    form: Form = Field(sa_type=word(Form))
    source: str = Field(sa_type=Text)
    content_hash: str = Field(max_length=64)


class Step(StrEnum):
    """The steps of the gate, in their order."""

    TYPES = "types"
    """It can be read, every part has its type, and the rulebook that comes of it can stand."""
    CASES = "cases"
    """The worked cases of all programmes that it concerns hold."""
    INVARIANTS = "invariants"
    """What must never be, whatever the rules say, is not."""
    DIFFERENTIAL = "differential"
    """The interpreter and the database say the same of real persons."""
    SIMULATION = "simulation"
    """It is known who gains and who loses."""


class State(StrEnum):
    """How a run through the gate, or a step of it, stands."""

    WAITING = "waiting"
    PASSED = "passed"
    FAILED = "failed"
    NOT_REACHED = "not-reached"
    """A step before it failed."""
    OVERTAKEN = "overtaken"
    """The draft was changed, or something else released, while it ran: it says nothing any more."""


class Check(SQLModel, table=True):
    """One run of one content through the gate."""

    __tablename__ = "release_checks"
    __table_args__ = (
        Index(
            "uq_release_checks_running",
            "release_id",
            unique=True,
            sqlite_where=text("state = 'waiting'"),
            postgresql_where=text("state = 'waiting'"),
        ),
        CheckConstraint("(state = 'waiting') = (finished_at IS NULL)", name="finished_or_waiting"),
        impersonal("what the gate found about rules"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    release_id: UUID = Field(foreign_key="releases.id", index=True)
    content_hash: str = Field(max_length=64)
    base_hash: str = Field(max_length=64)
    """The state of the rulebook from which the release was worked out."""
    day: date
    """The day on which persons were judged: the first on which something is in force."""
    state: State = Field(default=State.WAITING, sa_type=word(State))
    asked_by: UUID
    asked_at: datetime = Field(sa_type=Moment)
    finished_at: datetime | None = Field(default=None, sa_type=Moment)
    simulation_id: UUID | None = None
    ends_many: bool = False
    """Whether it would end more entitlements than may end without somebody's word."""
    endings: dict[str, dict[str, Any]] = Field(default_factory=dict, sa_type=Json)
    """If so, by programme how many persons, and a hash of what decides it then: for the night that carries it out, and
    never shown.
    """


class CheckStep(SQLModel, table=True):
    """What one step of the gate found."""

    __tablename__ = "release_check_steps"
    __table_args__ = (
        UniqueConstraint("check_id", "step"),
        impersonal("findings name rules, cases and counts"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    check_id: UUID = Field(foreign_key="release_checks.id")
    step: Step = Field(sa_type=word(Step))
    position: int
    state: State = Field(default=State.WAITING, sa_type=word(State))
    findings: list[dict[str, Any]] = Field(default_factory=list, sa_type=Json)
    """Each with a code and words that say what to do."""
    counts: dict[str, int] = Field(default_factory=dict, sa_type=Json)
    """How much was looked at."""
    finished_at: datetime | None = Field(default=None, sa_type=Moment)
