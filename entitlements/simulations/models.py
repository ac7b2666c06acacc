"""How simulations are kept: what was asked, and what may be shown of the answer."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index
from sqlmodel import Field, SQLModel

from core.database import Json, Moment, impersonal, new_id, word


class Progress(StrEnum):
    """How far a simulation has come."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


class Failure(StrEnum):
    """Why a simulation has failed; it can be asked for anew."""

    RULES_MOVED = "rules-moved"
    """Something was released, or the draft's rules can no longer be read, since it was asked."""
    GIVEN_UP = "given-up"
    """A part of it broke off at every attempt; whoever operates the system finds the job."""


class Simulation(SQLModel, table=True):
    """Two sets of rules over everybody, on one day: who gains, who loses, what it costs.

    Only what may be shown is kept. Whom it concerns is worked out anew for whoever may see it.
    """

    __tablename__ = "simulations"
    __table_args__ = (
        CheckConstraint("(state = 'waiting') = (finished_at IS NULL)", name="finished_or_waiting"),
        CheckConstraint("(state = 'failed') = (problem IS NOT NULL)", name="failed_for_a_reason"),
        CheckConstraint("threshold >= 1 AND months BETWEEN 0 AND 12", name="within_limits"),
        Index("ix_simulations_asked", "asked_by", "asked_at"),
        impersonal("counts of at least so many persons that none can be told"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    asked_by: UUID
    asked_at: datetime = Field(sa_type=Moment)
    release_id: UUID | None = Field(default=None, index=True)
    """The draft whose rules are compared with those that are released; None compares two days of these."""
    content_hash: str = Field(default="", max_length=64)
    """What the draft said then."""
    base_hash: str = Field(max_length=64)
    """The state of the rulebook then."""
    before_on: date
    """By the rules of this day what is held before is decided."""
    after_on: date
    on: date
    """The day of the facts and ages, the same for both sides."""
    months: int = 0
    """How many months ahead are looked at."""
    threshold: int
    """What numbers of persons are rounded to multiples of."""
    tables: int = 0
    """How many tables of it were shown, one for each programme that can be decided differently."""
    state: Progress = Field(default=Progress.WAITING, sa_type=word(Progress))
    problem: Failure | None = Field(default=None, sa_type=word(Failure))
    result: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    """What may be shown, once it is done."""
    months_done: int = 0
    so_far: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    """What is counted already of one that is not done yet; emptied at its end."""
    seconds: float | None = None
    finished_at: datetime | None = Field(default=None, sa_type=Moment)
