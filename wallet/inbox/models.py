"""How messages in the inbox are kept."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from core.database import Moment, new_id, personal


class Message(SQLModel, table=True):
    """A notice that has reached a person's inbox; what it says stands with the notice."""

    __tablename__ = "inbox_messages"
    __table_args__ = (
        Index("ix_inbox_messages_person_id_delivered_at", "person_id", "delivered_at"),
        personal("person_id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    person_id: UUID = Field(foreign_key="persons.id")
    notice_id: UUID = Field(foreign_key="notices.id", unique=True)
    delivered_at: datetime = Field(sa_type=Moment)
    read_at: datetime | None = Field(default=None, sa_type=Moment)
