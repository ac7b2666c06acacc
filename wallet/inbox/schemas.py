"""What is read in the inbox."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from core.schema import Schema


class MessageView(Schema):
    """A message from the city."""

    id: UUID = Field(description="The message", examples=["0199f6a2-6d3e-7c11-9a55-3c1f0a7b9d21"])
    person_id: UUID = Field(
        description="Whom it is about: the reader, or somebody for whom they may act",
        examples=["0199f6a2-6d3e-7c11-9a55-3c1f0a7b9d22"],
    )
    code: str = Field(description="What kind of message it is", examples=["entitlement.granted"])
    title: str = Field(description="Its heading", examples=["Dortmund-Karte: Sie haben Anspruch"])
    body: str = Field(
        description="What it says", examples=["Sie haben ab sofort Anspruch auf: Dortmund-Karte."]
    )
    delivered_at: datetime = Field(description="Since when it is here", examples=["2026-09-16T10:00:00Z"])
    read_at: datetime | None = Field(description="When it was first read", examples=[None])


class InboxView(Schema):
    """The newest messages."""

    messages: list[MessageView] = Field(description="The newest first")
    unread: int = Field(description="How many have not been read", examples=[1])
    language: str = Field(description="The language that they are written in", examples=["de"])
