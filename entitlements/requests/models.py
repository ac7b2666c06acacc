"""How pre-filled requests are kept, and the marks of those that are gone."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from core.access.rules import Channel
from core.database import Bytes, Json, Moment, impersonal, new_id, personal, word


class RequestState(StrEnum):
    """How a request stands. A no, and a day that has passed, leave no row at all."""

    PREPARED = "prepared"
    """Worked out, and not shown before it is certain that the same was not declined."""
    OPEN = "open"
    """Shown to the person, who has not answered."""
    ACCEPTED = "accepted"
    """Made: what it asks for is granted as long as its ground holds."""
    CLOSED = "closed"
    """Was made once; its ground is gone, and another time needs another request."""


_LIVE = text("state <> 'closed'")
_WAITING = text("state IN ('prepared', 'open')")


class BenefitRequest(SQLModel, table=True):
    """A request that the city has filled in for a person, until they accept it; then, that it was made."""

    __tablename__ = "benefit_requests"
    __table_args__ = (
        Index(
            "uq_benefit_requests_live",
            "person_id",
            "programme",
            unique=True,
            sqlite_where=_LIVE,
            postgresql_where=_LIVE,
        ),
        Index(
            "ix_benefit_requests_expires_on", "expires_on", sqlite_where=_WAITING, postgresql_where=_WAITING
        ),
        CheckConstraint(
            "(state IN ('accepted', 'closed')) = (accepted_at IS NOT NULL AND received_on IS NOT NULL)",
            name="accepted_says_when",
        ),
        personal("person_id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    person_id: UUID = Field(foreign_key="persons.id", index=True)
    programme: str = Field(max_length=64, foreign_key="programmes.slug")
    ground: str = Field(max_length=64)
    essence: str = Field(max_length=64)
    """SHA-256 over what it asks for; when that is another, it is another offer."""
    state: RequestState = Field(default=RequestState.PREPARED, sa_type=word(RequestState))
    content: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    """What is filled in: reasons, what it brings, and the facts that it rests on."""
    prepared_at: datetime = Field(sa_type=Moment)
    expires_on: date
    """The last day on which it can be accepted."""
    notice_id: UUID | None = Field(default=None, foreign_key="notices.id", index=True)
    accepted_at: datetime | None = Field(default=None, sa_type=Moment)
    received_on: date | None = None
    """The day from which it counts: of the tap, or of the letter's arrival."""
    channel: Channel | None = Field(default=None, sa_type=word(Channel))
    accepted_by: UUID | None = None
    """The principal who accepted it, or who recorded the letter."""


class GoneRequest(SQLModel, table=True):
    """That an offer was declined or ran out: so that the very same is not made again, and for nothing else."""

    __tablename__ = "gone_requests"
    __table_args__ = (
        impersonal("a hash of person, programme and essence, under a secret of the vault; it names nobody"),
    )

    mark: bytes = Field(sa_type=Bytes, primary_key=True)
