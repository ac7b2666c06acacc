"""What is said of entitlements when one is taken away."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from core.schema import Schema
from entitlements.grants.models import EndReason, Standing


class RevocationReason(StrEnum):
    """What alone ends an entitlement at once; everything else ends with notice and grace."""

    LOSS = EndReason.LOSS.value
    FRAUD = EndReason.FRAUD.value
    DEATH = EndReason.DEATH.value
    ERROR = EndReason.ERROR.value


class NewRevocation(Schema):
    """Why an entitlement is taken away at once."""

    reason: RevocationReason = Field(
        description="Only loss, fraud, death and error end something at once; say more in the header `Reason`",
        examples=["error"],
    )


class RevokedView(Schema):
    """An entitlement that was taken away."""

    id: UUID
    programme: str = Field(examples=["dortmund-karte"])
    status: Standing
    end_reason: EndReason | None
    since: date
    ended_at: datetime | None
