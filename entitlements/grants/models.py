"""How the entitlements that people hold are kept."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from core.database import Json, Moment, new_id, personal, word


class Standing(StrEnum):
    """How an entitlement stands."""

    ACTIVE = "active"
    ENDING = "ending"
    """Still held in full; its end has been announced."""
    ENDED = "ended"
    REVOKED = "revoked"


class EndReason(StrEnum):
    """Why an entitlement ends or was revoked; the last four work at once, and no other does."""

    GROUND_ENDED = "ground-ended"
    """The fact behind it ended, or no longer meets the rule."""
    FORESEEN = "foreseen"
    """The end was known when it was granted, and it was announced before."""
    MERGED = "merged"
    """Two persons turned out to be one and held it twice; it goes on as the other one."""
    LOSS = "loss"
    FRAUD = "fraud"
    DEATH = "death"
    ERROR = "error"


AT_ONCE = frozenset({EndReason.LOSS, EndReason.FRAUD, EndReason.DEATH, EndReason.ERROR})

_STANDING = text("status IN ('active', 'ending')")
_ENDING = text("status = 'ending'")
_ACTIVE = text("status = 'active'")
_OPEN = text("closed_at IS NULL AND notice_id IS NOT NULL")


class Entitlement(SQLModel, table=True):
    """What a person holds of a programme, from a day and until another.

    `until` is the last day that the facts carry (None: open); `ends_on` the last day on which it is held,
    known once the end was announced.
    """

    __tablename__ = "entitlements"
    __table_args__ = (
        Index(
            "uq_entitlements_standing",
            "person_id",
            "programme",
            unique=True,
            sqlite_where=_STANDING,
            postgresql_where=_STANDING,
        ),
        Index("ix_entitlements_ends_on_ending", "ends_on", sqlite_where=_ENDING, postgresql_where=_ENDING),
        Index("ix_entitlements_until_active", "until", sqlite_where=_ACTIVE, postgresql_where=_ACTIVE),
        CheckConstraint("until IS NULL OR until >= since", name="until_after_since"),
        CheckConstraint(
            "status <> 'active' OR (ends_on IS NULL AND end_reason IS NULL)", name="active_is_open"
        ),
        CheckConstraint(
            "status <> 'ending' OR (ends_on IS NOT NULL AND end_reason IS NOT NULL AND notice_id IS NOT NULL)",
            name="ending_was_announced",
        ),
        CheckConstraint(
            "status NOT IN ('ended', 'revoked') OR (ended_at IS NOT NULL AND end_reason IS NOT NULL)",
            name="over_says_why",
        ),
        CheckConstraint(
            "(status = 'revoked') = (coalesce(end_reason, '') IN ('loss', 'fraud', 'death', 'error'))",
            name="revoked_for_four_reasons",
        ),
        personal("person_id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    person_id: UUID = Field(foreign_key="persons.id", index=True)
    programme: str = Field(max_length=64, foreign_key="programmes.slug")
    ground: str | None = Field(default=None, max_length=64)
    payer: str | None = Field(default=None, max_length=64)
    tariffs: list[str] = Field(default_factory=list, sa_type=Json)
    since: date
    counted_from: date
    """From which day a fixed length of validity counts; moves on when it is renewed."""
    until: date | None = None
    status: Standing = Field(default=Standing.ACTIVE, sa_type=word(Standing))
    renewable: bool = False
    """Whether `until` is near and, as the facts stand, the day after it grants anew: then it is no end."""
    changes_on: date | None = None
    """The next day on which the decision behind it can change."""
    ends_on: date | None = None
    end_reason: EndReason | None = Field(default=None, sa_type=word(EndReason))
    ended_at: datetime | None = Field(default=None, sa_type=Moment)
    notice_id: UUID | None = Field(default=None, foreign_key="notices.id", index=True)
    """The notice that announced the end."""
    revoked_by: UUID | None = None
    """The principal who took it away; None where a stated death did."""
    remark: str | None = Field(default=None, max_length=200)
    """Why, in the words of whoever took it away."""
    decision_id: UUID = Field(index=True)
    """The decision on which it rests now."""
    granted_at: datetime = Field(sa_type=Moment)
    changed_at: datetime = Field(sa_type=Moment)


class EndWarning(SQLModel, table=True):
    """That a person was told, so many days ahead, that something can end on a day; or that it was looked at."""

    __tablename__ = "end_warnings"
    __table_args__ = (
        UniqueConstraint("entitlement_id", "until", "stage"),
        CheckConstraint("stage > 0", name="days_ahead"),
        Index("ix_end_warnings_open", "entitlement_id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        personal("person_id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    person_id: UUID = Field(foreign_key="persons.id", index=True)
    entitlement_id: UUID = Field(foreign_key="entitlements.id")
    until: date
    """The last day of which the warning speaks."""
    stage: int
    """How many days ahead it is given."""
    announced: bool = False
    """Whether the end was announced already, and this only reminds of it."""
    notice_id: UUID | None = Field(default=None, foreign_key="notices.id", index=True)
    """None: it was looked at, and goes on by itself."""
    warned_at: datetime = Field(sa_type=Moment)
    closed_at: datetime | None = Field(default=None, sa_type=Moment)
    """When it no longer counted: the end has come, was announced, or moved."""
