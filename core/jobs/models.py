"""How a job is kept until it is done."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import Field, SQLModel

from core.database import Json, Moment, impersonal, new_id


class Job(SQLModel, table=True):
    """Something to be done once after `run_at`; the row goes with the transaction that does it."""

    __tablename__ = "jobs"
    __table_args__ = (
        impersonal("a payload holds ids and codes only, and the row goes when the job is done"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    kind: str = Field(max_length=64)
    payload: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    once: str | None = Field(default=None, max_length=200, unique=True)
    """Two jobs with the same word here are one."""
    run_at: datetime = Field(sa_type=Moment, index=True)
    attempts: int = Field(default=0)
    leased_until: datetime | None = Field(default=None, sa_type=Moment)
    owner: str | None = Field(default=None, max_length=64)
    dead_at: datetime | None = Field(default=None, sa_type=Moment)
    """Given up after the last attempt; an operator looks at it. Nothing is dropped silently."""
    error: str | None = Field(default=None, max_length=200)
    """The class of the last error, never its text, which may hold personal data."""
