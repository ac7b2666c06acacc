"""What is said of redemptions."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from core.schema import Schema

Opaque = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,512}$")]


class RedemptionOutcome(StrEnum):
    """What became of it."""

    REDEEMED = "redeemed"
    REFUSED = "refused"
    UNDONE = "undone"


class RedemptionReason(StrEnum):
    """Why it was refused."""

    LIMIT_REACHED = "limit_reached"
    ALREADY_REDEEMED = "already_redeemed"
    NOT_OFFERED = "not_offered"
    RECEIPT_EXPIRED = "receipt_expired"
    RECEIPT_NOT_VALID = "receipt_not_valid"
    NAME_NEEDED = "name_needed"
    CARD_UNKNOWN = "card_unknown"
    CARD_NOT_VALID = "card_not_valid"
    UNDO_EXPIRED = "undo_expired"
    UNDO_NOT_VALID = "undo_not_valid"


class NewRedemption(Schema):
    """A use to be taken, with the receipt of the check before it."""

    receipt: Opaque = Field(description="As the check gave it")
    offer_id: UUID = Field(description="Which of the offers that applied")


class NewUndoing(Schema):
    """A use to be given back."""

    undo: Opaque = Field(description="As the redemption gave it")


class RedemptionView(Schema):
    """What became of it. A refusal is an answer, not an error: show it and go on."""

    outcome: RedemptionOutcome = Field(examples=["redeemed"])
    reason: RedemptionReason | None = Field(description="Why it was refused; null otherwise", examples=[None])
    headline: str = Field(description="The outcome in the asked language", examples=["Eingelöst"])
    explanation: str = Field(
        description="The reason in the asked language; empty where there is none", examples=[""]
    )
    id: UUID | None = Field(description="The redemption; null where none was taken")
    undo: str | None = Field(
        description="Opaque, good for five minutes and for this scanner: gives the use back", examples=[None]
    )
