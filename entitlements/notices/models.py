"""How a notice is kept: code and parameters, never prose."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from core.database import Json, Moment, new_id, personal, word


class NoticeChannel(StrEnum):
    """How a notice reaches a person."""

    INBOX = "inbox"
    MAIL = "mail"
    LETTER = "letter"


class Notice(SQLModel, table=True):
    """A message owed to a person since `owed_at`; sent by a job, deemed received some days after dispatch."""

    __tablename__ = "notices"
    __table_args__ = (
        CheckConstraint("(sent_at IS NULL) = (deemed_received_on IS NULL)", name="deemed_once_sent"),
        personal("person_id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    person_id: UUID = Field(foreign_key="persons.id", index=True)
    code: str = Field(max_length=64)
    params: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    channel: NoticeChannel = Field(default=NoticeChannel.INBOX, sa_type=word(NoticeChannel))
    owed_at: datetime = Field(sa_type=Moment)
    sent_at: datetime | None = Field(default=None, sa_type=Moment)
    deemed_received_on: date | None = None
