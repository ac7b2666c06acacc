"""Two of the three stores that a visit leaves behind; the third, the use counter, stands with redemptions.

There is no fourth: nothing names card and venue together, and none of these three leads from one to the other. A flag is
no store of visits: it is raised where one card was seen at two venues, and says on which day and no more.
"""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint
from sqlmodel import Field, SQLModel

from core.database import Moment, impersonal, personal, word


class ReplayMark(SQLModel, table=True):
    """The second of a card's last accepted live code: kept for three minutes, without the venue."""

    __tablename__ = "replay_marks"
    __table_args__ = (impersonal("a keyed hash of a card, for three minutes"),)

    card: str = Field(max_length=32, primary_key=True)
    """HMAC of the card's place in its status list, cut to 128 bits."""
    code_time: int = Field(sa_type=BigInteger, index=True)
    retry: str = Field(max_length=32)
    """HMAC of scanner, Idempotency-Key and second: the same request again is no second use."""
    tries: int = 1
    """How often that very request came; only the first is counted as a visit."""


class Counted(StrEnum):
    """What is counted at a venue."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    CANNOT_TELL = "cannot_tell"
    CHECK_THE_CLOCK = "check_the_clock"
    REDEEMED = "redeemed"
    NOT_REDEEMED = "not_redeemed"


class VisitCount(SQLModel, table=True):
    """How often something happened at a venue in an hour."""

    __tablename__ = "visit_counts"
    __table_args__ = (
        CheckConstraint("number >= 1", name="counts_something"),
        impersonal("a number per venue and hour"),
    )

    venue: int = Field(sa_type=BigInteger, foreign_key="venues.number", primary_key=True)
    hour: datetime = Field(sa_type=Moment, primary_key=True)
    what: Counted = Field(sa_type=word(Counted), primary_key=True)
    number: int


class CardFlag(SQLModel, table=True):
    """That a card was accepted at two venues within minutes: how often on a day. Where and when, nobody knows any more."""

    __tablename__ = "card_flags"
    __table_args__ = (CheckConstraint("times >= 1", name="happened"), personal("person_id"))

    credential_id: UUID = Field(primary_key=True)
    day: date = Field(primary_key=True)
    person_id: UUID = Field(foreign_key="holders.person_id", index=True)
    times: int = 1
    told: bool = False
    """Whether the holder has been told."""
