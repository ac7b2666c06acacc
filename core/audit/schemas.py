"""What an auditor sees."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from core.audit.service import Flaw
from core.schema import Schema


class VerificationView(Schema):
    """Whether the trail holds."""

    sealed: int = Field(description="Entries whose place in the chain was checked", examples=[4711])
    unsealed: int = Field(description="Entries that wait for the next sealing", examples=[3])
    checkpoints: int = Field(description="Signed checkpoints over the chain", examples=[12])
    flaw: Flaw | None = Field(description="What is wrong, or null", examples=[None])
    position: int | None = Field(
        description="The first place at which the chain does not hold", examples=[None]
    )
    entry: UUID | None = Field(description="The entry at that place", examples=[None])


class EntryView(Schema):
    """One thing that was done."""

    id: UUID
    at: datetime
    principal_id: UUID | None = Field(description="Who did it; null is the system itself")
    acting_for: UUID | None
    channel: str = Field(examples=["desk"])
    action: str = Field(examples=["device.enrolled"])
    subject: str = Field(description="Kind and id of what it was done to")
    details: dict[str, Any] = Field(description="Codes, ids and counts; never a personal value")
    position: int | None = Field(description="Place in the chain; null until sealed", examples=[4711])


class CheckpointView(Schema):
    """How far the chain reached, signed; kept elsewhere, it proves later that nothing was cut off."""

    position: int = Field(examples=[4711])
    at: datetime
    signed: str = Field(description="The checkpoint as a compact JWS")
