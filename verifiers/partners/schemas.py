"""What is said of partners."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from core.schema import Line, Schema


class NewPartner(Schema):
    """An organisation that joins."""

    name: Line = Field(
        description="What the organisation is called", examples=["Sport- und Freizeitbetriebe"]
    )


class PartnerView(Schema):
    """An organisation."""

    id: UUID
    name: str = Field(examples=["Sport- und Freizeitbetriebe"])
    joined_at: datetime
    left_at: datetime | None = Field(description="When it left; null while it takes part")


class NewMember(Schema):
    """Somebody who manages a partner's venues from now on."""

    principal_id: UUID = Field(description="The principal of their sign-in")


class MemberView(Schema):
    """Somebody who manages a partner's venues."""

    principal_id: UUID
    since: datetime
