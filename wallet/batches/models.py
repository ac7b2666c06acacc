"""How a print batch is kept: how far it is, and whose card stands where in it."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from core.database import Moment, impersonal, new_id, personal, word


class BatchState(StrEnum):
    """How a batch stands."""

    MAKING = "making"
    READY = "ready"
    """Every card is made; files can be drawn."""
    CLOSED = "closed"
    """The print house has them, or it was given up; no file is drawn any more."""


class PrintBatch(SQLModel, table=True):
    """Cards that are printed together."""

    __tablename__ = "print_batches"
    __table_args__ = (
        CheckConstraint("done BETWEEN 0 AND total", name="not_more_than_all"),
        CheckConstraint("passed_over BETWEEN 0 AND done", name="passed_over_are_done"),
        CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="closed_at_some_time"),
        impersonal("counts; whose cards they are stands with each"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    state: BatchState = Field(default=BatchState.MAKING, sa_type=word(BatchState))
    language: str = Field(max_length=16)
    active_from: date | None = None
    """The day from which its cards count; until then they are suspended. None: at once."""
    activated_at: datetime | None = Field(default=None, sa_type=Moment)
    replacing: bool = False
    """Whether it takes the place of cards that are in force; otherwise who has one gets none."""
    asked_by: UUID | None = None
    """The principal; None: the command line."""
    total: int = 0
    done: int = 0
    """The place up to which it has come."""
    passed_over: int = 0
    """Who got none: nothing held any more, no name, a card of theirs already."""
    started_at: datetime = Field(sa_type=Moment)
    moved_at: datetime = Field(sa_type=Moment)
    finished_at: datetime | None = Field(default=None, sa_type=Moment)
    closed_at: datetime | None = Field(default=None, sa_type=Moment)


class BatchPlace(SQLModel, table=True):
    """A place in a batch: for whom, and the card once it is made."""

    __tablename__ = "print_batch_places"
    __table_args__ = (personal("person_id"),)

    batch_id: UUID = Field(primary_key=True, foreign_key="print_batches.id", ondelete="CASCADE")
    position: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    person_id: UUID = Field(foreign_key="persons.id", index=True)
    card_id: UUID | None = Field(
        default=None, foreign_key="printed_cards.id", ondelete="SET NULL", index=True
    )
