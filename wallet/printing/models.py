"""How printed cards are kept: what is printed on them is sealed under their holder's own key."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from core.database import Bytes, Moment, personal

_IN_FORCE = text("ended_at IS NULL")


class PrintedCard(SQLModel, table=True):
    """A card on paper. A person has one at a time, because paper is bound to nothing."""

    __tablename__ = "printed_cards"
    __table_args__ = (
        Index(
            "uq_printed_cards_in_force",
            "person_id",
            unique=True,
            sqlite_where=_IN_FORCE,
            postgresql_where=_IN_FORCE,
        ),
        CheckConstraint("lost_at IS NULL OR ended_at IS NOT NULL", name="lost_is_over"),
        personal("person_id"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    person_id: UUID = Field(foreign_key="persons.id", index=True)
    credential_id: UUID = Field(foreign_key="credentials.id", ondelete="CASCADE", unique=True)
    number: str = Field(max_length=14, unique=True)
    """For people, to name the card by telephone; it means nothing, and no code carries it."""
    sealed: bytes = Field(sa_type=Bytes)
    """The code's text and the name as it is printed."""
    printed_at: datetime = Field(sa_type=Moment)
    expires_at: datetime = Field(sa_type=Moment)
    lost_at: datetime | None = Field(default=None, sa_type=Moment)
    ended_at: datetime | None = Field(default=None, sa_type=Moment)
    """Since when another has taken its place, or none."""
    replaced_by: UUID | None = Field(default=None, index=True)
