"""How it is kept that somebody wants a pass: since when, and which credential stands behind it."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from core.database import Bytes, Moment, personal, word

_WANTED = text("withdrawn_at IS NULL")


class PassKind(StrEnum):
    """Whose wallet."""

    APPLE = "apple"
    GOOGLE = "google"


class WalletPass(SQLModel, table=True):
    """A person's wish for a pass, until it is withdrawn; each time the pass is renewed it has a new credential."""

    __tablename__ = "wallet_passes"
    __table_args__ = (
        Index(
            "uq_wallet_passes_wanted",
            "person_id",
            "kind",
            unique=True,
            sqlite_where=_WANTED,
            postgresql_where=_WANTED,
        ),
        personal("person_id"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    """The pass's serial number too: a renewed pass takes the place of the earlier one."""
    person_id: UUID = Field(foreign_key="persons.id", index=True)
    kind: PassKind = Field(sa_type=word(PassKind))
    named: bool = False
    """Whether the name stands on it for people to read."""
    credential_id: UUID = Field(foreign_key="credentials.id", ondelete="CASCADE", unique=True)
    sealed: bytes = Field(sa_type=Bytes)
    """The code's text and the name."""
    agreed_at: datetime = Field(sa_type=Moment)
    """When its holder said that they want it."""
    made_at: datetime = Field(sa_type=Moment)
    expires_at: datetime = Field(sa_type=Moment)
    withdrawn_at: datetime | None = Field(default=None, sa_type=Moment)
