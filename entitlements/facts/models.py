"""How facts are kept: a history that is never overwritten, and the wide row per person that is derived from it."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    String,
    Table,
    Uuid,
    text,
)
from sqlalchemy.types import TypeEngine
from sqlmodel import Field, SQLModel

from core.database import Json, Moment, new_id, personal
from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS
from entitlements.language import Kind

OPEN = date.max
"""Stands for "no end" where a first day is given that is no longer covered."""


def _of_register(subject: str) -> Index:
    over = text(f"known_until IS NULL AND {subject} IS NOT NULL")
    return Index(
        f"ix_facts_register_id_{subject}", "register_id", subject, sqlite_where=over, postgresql_where=over
    )


def _past(subject: str) -> Index:
    there = f"{subject} IS NOT NULL"
    # SQLite does not put two indexes together for what counted at an earlier moment, so there this one has all.
    return Index(
        f"ix_facts_past_{subject}",
        subject,
        "kind",
        sqlite_where=text(there),
        postgresql_where=text(f"known_until IS NOT NULL AND {there}"),
    )


class Fact(SQLModel, table=True):
    """What a register states about a person or a household, on which days, and since when we know it.

    `stated_from` to `stated_next` are the days of the statement; `valid_from` to `valid_next` those that a later
    statement has left to this row. `…_next` is the first day that is no longer covered, `valid_until` the last
    that is; kept side by side because no database does arithmetic with days here. `OPEN` in both: no end.

    Without foreign keys: the database would look up the person and the register of each of millions of rows by
    itself (measured: 10 of 17 µs). Who writes here has the ids from those tables in the same transaction, and
    neither persons nor registers are ever deleted.
    """

    __tablename__ = "facts"
    __table_args__ = (
        CheckConstraint("(person_id IS NULL) <> (household_id IS NULL)", name="about_one"),
        CheckConstraint("valid_next > valid_from AND valid_until >= valid_from", name="days_in_order"),
        CheckConstraint("stated_next > stated_from", name="stated_days_in_order"),
        CheckConstraint("known_until IS NULL OR known_until >= known_from", name="known_in_order"),
        CheckConstraint(
            "withdrawn = (value_int IS NULL AND value_text IS NULL AND value_day IS NULL)", name="one_value"
        ),
        CheckConstraint("NOT unread OR (withdrawn AND person_id IS NOT NULL)", name="unread_of_a_person"),
        Index(
            "uq_facts_current_person",
            "person_id",
            "kind",
            "register_id",
            "valid_from",
            unique=True,
            sqlite_where=text("known_until IS NULL AND person_id IS NOT NULL"),
            postgresql_where=text("known_until IS NULL AND person_id IS NOT NULL"),
        ),
        Index(
            "uq_facts_current_household",
            "household_id",
            "kind",
            "register_id",
            "valid_from",
            unique=True,
            sqlite_where=text("known_until IS NULL AND household_id IS NOT NULL"),
            postgresql_where=text("known_until IS NULL AND household_id IS NOT NULL"),
        ),
        # What no longer counts is looked up apart: a whole city comes in once, and has no past yet.
        _past("person_id"),
        _past("household_id"),
        # With the subject behind it: alone, a register is never selective, and a planner without statistics
        # takes it all the same.
        _of_register("person_id"),
        _of_register("household_id"),
        Index(
            "ix_facts_unread",
            "person_id",
            sqlite_where=text("known_until IS NULL AND unread = 1"),
            postgresql_where=text("known_until IS NULL AND unread"),
        ),
        personal("person_id", also="household_id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    person_id: UUID | None = None
    household_id: UUID | None = None
    kind: str = Field(max_length=64)
    value_int: int | None = Field(default=None, sa_type=BigInteger)
    """The value of a bool (0, 1), a whole number or an amount in cents."""
    value_text: str | None = Field(default=None, max_length=64)
    value_day: date | None = None
    withdrawn: bool = False
    """The register takes back what it said of these days, and says nothing instead."""
    unread: bool = False
    """It did say something of these days, in a row that could not be taken: its silence does not mean no.

    Of a kind of household (`kind` is its name) that it did list one to which the person belongs.
    """
    valid_from: date
    valid_until: date
    valid_next: date
    stated_from: date
    stated_next: date
    stated_at: datetime = Field(sa_type=Moment)
    confirmed_at: datetime = Field(sa_type=Moment)
    """The last time the register said the same again; counts in place of `stated_at` against others."""
    known_from: datetime = Field(sa_type=Moment)
    known_until: datetime | None = Field(default=None, sa_type=Moment)
    register_id: UUID
    delivery_id: UUID | None = None


def column_type(kind: Kind) -> TypeEngine[bool] | TypeEngine[int] | TypeEngine[str] | TypeEngine[date]:
    """How a value of this type is kept in the wide row."""
    match kind:
        case Kind.BOOL:
            return Boolean(create_constraint=False)
        case Kind.INT | Kind.CENTS:
            return BigInteger()
        case Kind.DAY:
            return Date()
        case _:
            return String(64)


UNTIL = "__until"
"""Ends the name of the column that says until when a fact holds."""
UNSURE = "__unsure"
"""Ends the name of the column that is true where nobody knows whether the person is in a household of that kind."""

CURRENT: Table = Table(
    "current_facts",
    SQLModel.metadata,
    Column("person_id", Uuid(), ForeignKey("persons.id"), primary_key=True),
    Column("on_day", Date(), nullable=False),
    Column("refresh_on", Date(), nullable=False),
    *(Column(name, Uuid(), index=True) for name in HOUSEHOLDS),
    *(Column(name + UNSURE, Boolean(create_constraint=False)) for name in HOUSEHOLDS),
    *(
        column
        for name, kind in CATALOGUE.items()
        for column in (
            Column(name, column_type(kind.type), nullable=not kind.always_known),
            Column(name + UNTIL, Date()),
        )
    ),
    Column("sources", Json(), nullable=False),
    Index("ix_current_facts_refresh_on", "refresh_on"),
    **personal("person_id"),
)
"""One row per person: what holds on `on_day`, and on every day after it before `refresh_on`.

For each fact its value and its last day (NULL: open); for each kind of household the one that the person belongs
to, or that it is unsure whether there is one; in `sources` since when, from which register and when learned, and of which facts (`deriving.sources_of`).
Derived, and rebuilt at any time.
"""
