"""How statuses are kept: numbered lists, and the places in them that were given away."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, SmallInteger, text
from sqlmodel import Field, SQLModel

from core.database import Moment, impersonal, word
from issuers.status.rules import Status


class ListKind(StrEnum):
    """What the places of a list are given to; lists of short-lived cards can be let go soon."""

    CARD = "card"
    PRINTED = "printed"
    CREDENTIAL = "credential"
    """For wallets of others: read by verifiers who know our certificates, and not our trust list."""


class KeptList(SQLModel, table=True):
    """A status list; its version rises with every change, and its number never means anything."""

    __tablename__ = "status_lists"
    __table_args__ = (
        CheckConstraint("number BETWEEN 1 AND 65535", name="number_fits_a_card"),
        CheckConstraint("allocated BETWEEN 0 AND capacity", name="not_overfull"),
        CheckConstraint("capacity <= size", name="room_is_left"),
        Index("ix_status_lists_kind_number", "kind", "number"),
        impersonal("a list of numbers"),
    )

    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    kind: ListKind = Field(sa_type=word(ListKind))
    size: int
    capacity: int
    """How many places are given away at most: drawing at random needs free ones."""
    allocated: int = Field(default=0)
    version: int = Field(default=0)
    changed_at: datetime = Field(sa_type=Moment)
    opened_at: datetime = Field(sa_type=Moment)
    holds_until: datetime = Field(sa_type=Moment, index=True)
    """When the last credential in it ends; afterwards nobody needs the list."""


class Place(SQLModel, table=True):
    """A place in a list that was given away, to a credential or to nobody (a decoy); which, it does not say."""

    __tablename__ = "status_places"
    __table_args__ = (
        CheckConstraint("status IN (0, 1, 2)", name="known_status"),
        Index(
            "ix_status_places_changed",
            "list_number",
            "version",
            sqlite_where=text("version > 0"),
            postgresql_where=text("version > 0"),
        ),
        impersonal("a number and its status; whose it is stands with the credential"),
    )

    list_number: int = Field(primary_key=True, foreign_key="status_lists.number")
    position: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    status: int = Field(default=Status.VALID, sa_type=SmallInteger)
    version: int = Field(default=0)
    """The list's version that last changed it; 0 while it is as it was given."""
