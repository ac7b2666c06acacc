"""How persons are kept, and, apart from them and encrypted, what they are called."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from core.database import Bytes, Json, Moment, impersonal, new_id, personal, word


class Person(SQLModel, table=True):
    """Someone the city knows: a pseudonymous id, and nothing about them.

    When two turn out to be one, the one that goes names in `merged_into` the one that stays, always directly.
    """

    __tablename__ = "persons"
    __table_args__ = (
        CheckConstraint("merged_into IS NULL OR merged_into <> id", name="not_into_itself"),
        personal("id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    merged_into: UUID | None = Field(default=None, foreign_key="persons.id", index=True)
    created_at: datetime = Field(sa_type=Moment)
    forgotten_at: datetime | None = Field(default=None, sa_type=Moment)


_STANDING = text("undone_at IS NULL")


class Merge(SQLModel, table=True):
    """That two persons were found to be one: by whom, when, which one stays; and that it was undone, if it was."""

    __tablename__ = "merges"
    __table_args__ = (
        CheckConstraint("gone_id <> kept_id", name="two_persons"),
        CheckConstraint("undone_by IS NULL OR undone_at IS NOT NULL", name="undone_by_somebody_at_a_moment"),
        Index(
            "uq_merges_standing",
            "gone_id",
            unique=True,
            sqlite_where=_STANDING,
            postgresql_where=_STANDING,
        ),
        personal("kept_id", also="gone_id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    gone_id: UUID = Field(foreign_key="persons.id", index=True)
    kept_id: UUID = Field(foreign_key="persons.id", index=True)
    merged_at: datetime = Field(sa_type=Moment)
    merged_by: UUID | None = None
    undone_at: datetime | None = Field(default=None, sa_type=Moment)
    undone_by: UUID | None = None


class MergedRow(SQLModel, table=True):
    """A row that a merge changed, and what it was before, so that the merge can be undone."""

    __tablename__ = "merged_rows"
    __table_args__ = (personal("person_id"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    merge_id: UUID = Field(foreign_key="merges.id", index=True)
    person_id: UUID = Field(foreign_key="persons.id", index=True)
    """Whose the row was."""
    table: str = Field(max_length=64)
    row_id: UUID | None = None
    """None where the row went: then `was` is all of it."""
    was: dict[str, Any] = Field(default_factory=dict, sa_type=Json)


class IdentityKey(SQLModel, table=True):
    """The key of one person's own, wrapped; without this row nothing of the identity can be read again.

    A backup leaves this table out and keeps it apart for a short time, so that an old backup of everything
    else stays unreadable for whoever was forgotten since.
    """

    __tablename__ = "identity_keys"
    __table_args__ = (personal("person_id"),)

    person_id: UUID = Field(foreign_key="persons.id", primary_key=True)
    wrapped: bytes = Field(sa_type=Bytes)


class Identity(SQLModel, table=True):
    """Name, birth date as written, address and contact, sealed under the person's own key."""

    __tablename__ = "identities"
    __table_args__ = (personal("person_id"),)

    person_id: UUID = Field(foreign_key="persons.id", primary_key=True)
    sealed: bytes = Field(sa_type=Bytes)
    stated_at: datetime = Field(sa_type=Moment)
    """When the register wrote it down; an older statement that comes late changes nothing."""
    kept_at: datetime = Field(sa_type=Moment)


class NameMark(SQLModel, table=True):
    """A keyed hash of one word of a name, short enough to be ambiguous: it finds candidates, and says no name."""

    __tablename__ = "name_marks"
    __table_args__ = (personal("person_id"),)

    mark: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    person_id: UUID = Field(foreign_key="persons.id", primary_key=True, index=True)


class Likemark(SQLModel, table=True):
    """A keyed hash of something that the alike share, such as the birth date with the initial (see `matching`).

    It finds who may be meant by a register's number; how alike the two are is seen only once both are opened.
    """

    __tablename__ = "likemarks"
    __table_args__ = (personal("person_id"),)

    mark: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    person_id: UUID = Field(foreign_key="persons.id", primary_key=True, index=True)


class Identification(SQLModel, table=True):
    """The person behind a tax identification number, of which only a keyed hash is kept."""

    __tablename__ = "identifications"
    __table_args__ = (personal("person_id"),)

    number_hash: bytes = Field(sa_type=Bytes, primary_key=True)
    person_id: UUID = Field(foreign_key="persons.id", index=True)


class LinkedBy(StrEnum):
    """How it was made sure that a login is this person."""

    CODE = "code"
    """With a one-time code that was handed over or sent by letter."""
    DESK = "desk"
    """By a case worker who saw the papers."""
    PROVIDER = "provider"
    """By what the identity provider vouches for."""


class Login(SQLModel, table=True):
    """Which person a signed-in principal is."""

    __tablename__ = "logins"
    __table_args__ = (personal("person_id"),)

    principal_id: UUID = Field(foreign_key="principals.id", primary_key=True)
    person_id: UUID = Field(foreign_key="persons.id", index=True)
    linked_by: LinkedBy = Field(default=LinkedBy.DESK, sa_type=word(LinkedBy))
    linked_at: datetime | None = Field(default=None, sa_type=Moment)


class Makes(StrEnum):
    """What a one-time code makes of whoever signs in and enters it."""

    SELF = "self"
    """The person themselves."""
    GUARDIAN = "guardian"
    """Somebody who may act for the person, until a day."""


class ActivationCode(SQLModel, table=True):
    """A code that makes whoever signs in and enters it this person, or their guardian, once; kept as a keyed hash."""

    __tablename__ = "activation_codes"
    __table_args__ = (
        CheckConstraint("(makes = 'guardian') = (until IS NOT NULL)", name="a_guardian_until_a_day"),
        personal("person_id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    person_id: UUID = Field(foreign_key="persons.id", index=True)
    makes: Makes = Field(default=Makes.SELF, sa_type=word(Makes))
    until: date | None = None
    """The last day of the guardianship."""
    code_hash: bytes = Field(sa_type=Bytes, unique=True)
    made_at: datetime = Field(sa_type=Moment)
    expires_at: datetime = Field(sa_type=Moment)
    used_at: datetime | None = Field(default=None, sa_type=Moment)


class Guardianship(SQLModel, table=True):
    """Who may act for whom, from a day and until a day; both days count."""

    __tablename__ = "guardianships"
    __table_args__ = (
        CheckConstraint("guardian_id <> child_id", name="two_persons"),
        CheckConstraint("until >= since", name="until_after_since"),
        personal("child_id", also="guardian_id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    guardian_id: UUID = Field(foreign_key="persons.id", index=True)
    child_id: UUID = Field(foreign_key="persons.id", index=True)
    since: date
    until: date
    recorded_at: datetime = Field(sa_type=Moment)
    recorded_by: UUID | None = None


class Household(SQLModel, table=True):
    """A grouping of persons that a register numbers; who belongs to it stands in the memberships.

    The kinds are data (see the catalogue of facts) and never merged: who lives together, who shares a
    Bedarfsgemeinschaft and who shares Wohngeld are three questions.
    """

    __tablename__ = "households"
    __table_args__ = (
        UniqueConstraint("register_id", "kind", "number_hash"),
        impersonal("a register's number, as a keyed hash; who belongs to it stands in `memberships`"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    kind: str = Field(max_length=64)
    register_id: UUID = Field(foreign_key="registers.id")
    number_hash: bytes = Field(sa_type=Bytes)


class Roster(SQLModel, table=True):
    """That a register listed all members of a household for some days: whoever it left out does not belong."""

    __tablename__ = "rosters"
    __table_args__ = (
        CheckConstraint("stated_next > stated_from", name="days_in_order"),
        UniqueConstraint("household_id", "stated_at", "stated_from"),
        impersonal("a household and its days; who was listed stands in `memberships`"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    household_id: UUID = Field(foreign_key="households.id")
    stated_from: date
    stated_next: date
    stated_at: datetime = Field(sa_type=Moment)
    known_from: datetime = Field(sa_type=Moment)
    delivery_id: UUID | None = None


_CURRENT = text("known_until IS NULL")


class Membership(SQLModel, table=True):
    """That a person belongs to a household on some days, as a register stated it; never overwritten.

    The household is the value of a fact, and the columns mean what they mean there (`entitlements.facts`).
    """

    __tablename__ = "memberships"
    __table_args__ = (
        CheckConstraint("valid_next > valid_from AND valid_until >= valid_from", name="days_in_order"),
        CheckConstraint("stated_next > stated_from", name="stated_days_in_order"),
        CheckConstraint("known_until IS NULL OR known_until >= known_from", name="known_in_order"),
        Index(
            "uq_memberships_current",
            "person_id",
            "kind",
            "register_id",
            "valid_from",
            unique=True,
            sqlite_where=_CURRENT,
            postgresql_where=_CURRENT,
        ),
        Index("ix_memberships_household_id", "household_id"),
        personal("person_id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    person_id: UUID = Field(foreign_key="persons.id", index=True)
    kind: str = Field(max_length=64)
    household_id: UUID = Field(foreign_key="households.id")
    valid_from: date
    valid_until: date
    valid_next: date
    stated_from: date
    stated_next: date
    stated_at: datetime = Field(sa_type=Moment)
    confirmed_at: datetime = Field(sa_type=Moment)
    known_from: datetime = Field(sa_type=Moment)
    known_until: datetime | None = Field(default=None, sa_type=Moment)
    register_id: UUID = Field(foreign_key="registers.id")
    delivery_id: UUID | None = None
