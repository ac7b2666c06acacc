"""How a question to a wallet is kept: until it is answered or its time is over, and what came of it a little longer."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from core.database import Bytes, Moment, personal, word


class Flow(StrEnum):
    """Where the wallet is."""

    CROSS_DEVICE = "cross-device"
    """On another device than the question, which shows a QR code: at a counter, where both sides see each other."""
    SAME_DEVICE = "same-device"
    """On the device whose browser asks; the answer counts once that browser has come back."""


class State(StrEnum):
    """How far a question has come."""

    WAITING = "waiting"
    RECEIVED = "received"
    """A wallet has answered; it is being looked at, or the browser has not come back yet."""
    VERIFIED = "verified"
    REFUSED = "refused"


class Presentation(SQLModel, table=True):
    """One question to a wallet. Nothing of what was shown stands here but, sealed for the asker, what was asked for.

    Names of two kinds lead here, both kept as hashes: the wallet's (in the link), and the asker's, by which the
    outcome is read. Whoever sees the QR code knows the one and not the other.
    """

    __tablename__ = "presentations"
    __table_args__ = (
        CheckConstraint("(venue_id IS NULL) <> (person_id IS NULL)", name="for_a_venue_or_a_person"),
        CheckConstraint("(person_id IS NULL) = (attestation IS NULL)", name="a_person_shows_an_attestation"),
        CheckConstraint("(flow = 'same-device') = (browser_hash IS NOT NULL)", name="a_browser_comes_back"),
        CheckConstraint("(state = 'waiting') = (answered_at IS NULL)", name="answered_once"),
        CheckConstraint("(state = 'refused') = (reason IS NOT NULL)", name="refused_for_a_reason"),
        CheckConstraint("state = 'waiting' OR sealed IS NULL", name="the_key_dies_with_the_answer"),
        personal("person_id"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    reference_hash: bytes = Field(sa_type=Bytes, unique=True)
    watch_hash: bytes = Field(sa_type=Bytes, unique=True)
    flow: Flow = Field(sa_type=word(Flow))
    venue_id: UUID | None = Field(default=None, foreign_key="venues.id", index=True)
    person_id: UUID | None = Field(default=None, foreign_key="persons.id", index=True)
    """Whose attestation is asked for, as the desk or the person themselves said."""
    attestation: str | None = Field(default=None, max_length=64)
    with_name: bool = False
    sealed: bytes | None = Field(default=None, sa_type=Bytes)
    """The request with the private key of its answer, under the wallet's name; gone with the answer."""
    sealed_key: bytes = Field(sa_type=Bytes)
    """Under the asker's name: the key that the outcome is sealed with."""
    browser_hash: bytes | None = Field(default=None, sa_type=Bytes)
    code_hash: bytes | None = Field(default=None, sa_type=Bytes, unique=True)
    """Of the response_code with which the browser comes back."""
    return_to: str | None = Field(default=None, max_length=500)
    state: State = Field(default=State.WAITING, sa_type=word(State))
    reason: str | None = Field(default=None, max_length=64)
    sealed_pending: bytes | None = Field(default=None, sa_type=Bytes)
    """Facts that wait for the browser, under its response_code."""
    sealed_outcome: bytes | None = Field(default=None, sa_type=Bytes)
    made_at: datetime = Field(sa_type=Moment)
    expires_at: datetime = Field(sa_type=Moment)
    answered_at: datetime | None = Field(default=None, sa_type=Moment)
    kept_until: datetime = Field(sa_type=Moment, index=True)
