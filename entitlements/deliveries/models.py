"""How a delivery is kept, and its rows until they have become facts."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from core.database import Bytes, Json, Moment, impersonal, new_id, personal, word


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
    PAUSED = "paused"
    """Somebody stopped it; what is applied stays, and the rest waits until it is resumed."""
    APPLIED = "applied"
    REJECTED = "rejected"


OVER = frozenset({State.APPLIED, State.REJECTED})
RUNNING = frozenset({State.CHECKING, State.APPLYING})


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
    """Why it was held or rejected, or during what it was paused, as a code."""
    declared: int = Field(sa_type=BigInteger)
    rows: int = Field(default=0, sa_type=BigInteger)
    done: int = Field(default=0, sa_type=BigInteger)
    """Rows with a result so far."""
    tally: dict[str, int] = Field(default_factory=dict, sa_type=Json)
    """How many rows have which result so far."""
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


def _only(first: str, *then: str) -> Index:
    """An index over the rows that have something there; the others cost it nothing."""
    there = text(f"{first} IS NOT NULL")
    return Index(f"ix_delivery_subjects_{first}", first, *then, sqlite_where=there, postgresql_where=there)


class About(StrEnum):
    """What a number of a register stands for."""

    PERSON = "person"
    HOUSEHOLD = "household"


class DeliverySubject(SQLModel, table=True):
    """Whom a delivery speaks of: a number that it names, with the person or household behind it.

    All facts about one number share a subject, most often that of the row which says who it is (`explained_at`);
    each list of a household's members has its own. What became of a row without a result of its own stands here.
    """

    __tablename__ = "delivery_subjects"
    __table_args__ = (
        Index("ix_delivery_subjects_anchor", "delivery_id", "anchor"),
        Index("ix_delivery_subjects_number_hash", "delivery_id", "number_hash"),
        _only("identification_hash", "delivery_id"),
        _only("person_id", "delivery_id"),
        _only("household_id", "delivery_id"),
        personal("person_id", also="household_id"),
    )

    delivery_id: UUID = Field(foreign_key="deliveries.id", primary_key=True)
    place: int = Field(primary_key=True, sa_type=BigInteger)
    about: About = Field(sa_type=word(About))
    number_hash: bytes = Field(sa_type=Bytes)
    household_kind: str | None = Field(default=None, max_length=64)
    identification_hash: bytes | None = Field(default=None, sa_type=Bytes)
    sealed: bytes | None = Field(default=None, sa_type=Bytes)
    """The number, and for an explained person the identity, until it is applied; under a key of the vault."""
    explained_at: int | None = Field(default=None, sa_type=BigInteger)
    """The row that says who this is, or who belongs to it."""
    statement: int | None = Field(default=None, sa_type=BigInteger)
    """Its days and its moment, where it is explained."""
    item_id: UUID | None = None
    """The id that the person or household gets if it is new."""
    person_id: UUID | None = None
    household_id: UUID | None = None
    anchor: UUID | None = None
    """What is applied together: the household, or the person alone."""
    settles: bool = False
    """There is something to settle with: earlier statements, or two about the same. Else its facts go straight in."""
    result: str | None = Field(default=None, max_length=24)


class DeliveryMember(SQLModel, table=True):
    """Who belongs to a household that a delivery lists; both are subjects of the delivery."""

    __tablename__ = "delivery_members"
    __table_args__ = (
        Index("ix_delivery_members_member", "delivery_id", "member"),
        impersonal("two places in a delivery; whom they mean stands in `delivery_subjects`"),
    )

    delivery_id: UUID = Field(foreign_key="deliveries.id", primary_key=True)
    listing: int = Field(primary_key=True, sa_type=BigInteger)
    member: int = Field(primary_key=True, sa_type=BigInteger)


class DeliveryStatement(SQLModel, table=True):
    """What a delivery says of somebody: a city has millions of facts, and says only so many different things."""

    __tablename__ = "delivery_statements"
    __table_args__ = (impersonal("a fact, its value and its days, about nobody"),)

    delivery_id: UUID = Field(foreign_key="deliveries.id", primary_key=True)
    number: int = Field(primary_key=True, sa_type=BigInteger)
    kind: str | None = Field(default=None, max_length=64)
    value_int: int | None = Field(default=None, sa_type=BigInteger)
    value_text: str | None = Field(default=None, max_length=64)
    value_day: date | None = None
    withdrawn: bool = False
    valid_from: date | None = None
    valid_until: date | None = None
    valid_next: date | None = None
    stated_at: datetime = Field(sa_type=Moment)


class DeliveryRow(SQLModel, table=True):
    """One row of a delivery: of whom it says what, and what became of it.

    Part 0 carries the row's result; a birth date, or the latest day of one known in part, is a part of its own.
    Without a foreign key: the database would look up each of millions of rows (measured: more than half of the time).
    """

    __tablename__ = "delivery_rows"
    __table_args__ = (
        Index("ix_delivery_rows_subject", "delivery_id", "subject"),
        Index(
            "ix_delivery_rows_result",
            "delivery_id",
            "result",
            sqlite_where=text("result IS NOT NULL"),
            postgresql_where=text("result IS NOT NULL"),
        ),
        impersonal("places in a delivery; whom they mean stands in `delivery_subjects`"),
    )

    delivery_id: UUID = Field(primary_key=True)
    position: int = Field(primary_key=True, sa_type=BigInteger)
    part: int = Field(primary_key=True)
    subject: int | None = Field(default=None, sa_type=BigInteger)
    statement: int | None = Field(default=None, sa_type=BigInteger)
    result: str | None = Field(default=None, max_length=24)
    """What became of it, where that is not what became of all that was said of its subject."""


STAGING = (DeliveryRow, DeliveryStatement, DeliveryMember, DeliverySubject)
"""Where a delivery waits until it is applied."""
