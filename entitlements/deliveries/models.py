"""How a delivery is kept, and its rows until they have become facts."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from core.database import Bytes, Moment, impersonal, new_id, personal, word


class Mode(StrEnum):
    """What silence in a delivery means."""

    FULL = "full"
    """Everything that the register states: what is left out does not hold any more."""
    CHANGES = "changes"
    """What is new: what is left out stays as it is."""


class State(StrEnum):
    """How far a delivery has come."""

    RECEIVING = "receiving"
    """Its rows are coming in; nothing of it counts."""
    CHECKING = "checking"
    HELD = "held"
    """It would end much; a person must release or reject it."""
    APPLYING = "applying"
    APPLIED = "applied"
    REJECTED = "rejected"


OVER = frozenset({State.APPLIED, State.REJECTED})


class Phase(StrEnum):
    """What is being applied, in this order."""

    ROWS = "rows"
    """What the delivery states."""
    ENDS = "ends"
    """What a full delivery leaves out."""
    SILENCE = "silence"
    """The register's first full delivery: from now on its silence means no, for everybody."""


class Delivery(SQLModel, table=True):
    """One hand-over of facts by a register."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("register_id", "name"),
        CheckConstraint("(state = 'receiving') = (name IS NULL)", name="named_when_received"),
        Index("ix_deliveries_state", "state"),
        impersonal("a register, a moment and counts"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    register_id: UUID = Field(foreign_key="registers.id")
    name: str | None = Field(default=None, max_length=200)
    """The register's own name for it; None until all of it is here, so that a broken upload blocks no name."""
    mode: Mode = Field(sa_type=word(Mode))
    as_of: datetime = Field(sa_type=Moment)
    content_hash: bytes | None = Field(default=None, sa_type=Bytes)
    """SHA-256 over how it was announced and what it contained."""
    state: State = Field(sa_type=word(State))
    reason: str = Field(default="", max_length=64)
    """Why it was held or rejected, as a code."""
    declared: int = Field(sa_type=BigInteger)
    rows: int = Field(default=0, sa_type=BigInteger)
    done: int = Field(default=0, sa_type=BigInteger)
    """Rows with a result so far."""
    phase: Phase = Field(default=Phase.ROWS, sa_type=word(Phase))
    reached: UUID | None = None
    """Everything up to here is applied; work goes on behind it."""
    ends: int = Field(default=0, sa_type=BigInteger)
    """How many statements it ends."""
    standing: int = Field(default=0, sa_type=BigInteger)
    """How many statements of the register stood when it came."""
    received_at: datetime = Field(sa_type=Moment)
    finished_at: datetime | None = Field(default=None, sa_type=Moment)
    decided_by: UUID | None = None
    decided_at: datetime | None = Field(default=None, sa_type=Moment)


class DeliveryRow(SQLModel, table=True):
    """One row of a delivery, taken apart: what it says, whom it means, and what became of it.

    Part 0 carries the row's result; a household's members and a person's birth date are parts of their own.
    """

    __tablename__ = "delivery_rows"
    __table_args__ = (
        Index("ix_delivery_rows_anchor", "delivery_id", "anchor"),
        Index("ix_delivery_rows_number_hash", "delivery_id", "number_hash"),
        Index("ix_delivery_rows_household_hash", "delivery_id", "household_hash"),
        Index("ix_delivery_rows_identification_hash", "delivery_id", "identification_hash"),
        Index("ix_delivery_rows_person_id", "person_id", "delivery_id"),
        personal("person_id"),
    )

    delivery_id: UUID = Field(foreign_key="deliveries.id", primary_key=True)
    position: int = Field(primary_key=True, sa_type=BigInteger)
    part: int = Field(primary_key=True)
    form: str = Field(max_length=16)
    number_hash: bytes | None = Field(default=None, sa_type=Bytes)
    household_hash: bytes | None = Field(default=None, sa_type=Bytes)
    household_kind: str | None = Field(default=None, max_length=64)
    identification_hash: bytes | None = Field(default=None, sa_type=Bytes)
    sealed: bytes | None = Field(default=None, sa_type=Bytes)
    """The number, and for a person the identity, until it is applied; under a key of the vault."""
    kind: str | None = Field(default=None, max_length=64)
    value_int: int | None = Field(default=None, sa_type=BigInteger)
    value_text: str | None = Field(default=None, max_length=64)
    value_day: date | None = None
    withdrawn: bool = False
    valid_from: date | None = None
    valid_until: date | None = None
    valid_next: date | None = None
    stated_at: datetime | None = Field(default=None, sa_type=Moment)
    item_id: UUID
    """The id that the fact, person or household gets if it is new."""
    person_id: UUID | None = None
    household_id: UUID | None = None
    anchor: UUID | None = None
    """What is applied together: the household, or the person alone."""
    result: str | None = Field(default=None, max_length=24)
