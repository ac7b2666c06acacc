"""What the desk and the holder are told of printed cards."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from core.schema import Schema

ID = "7d9f3c1e-5a43-4f0e-9d55-0d8f6a3a2b11"


class PrintedCardView(Schema):
    """A card on paper."""

    id: UUID = Field(description="The card; its pictures are `{id}.svg` and `{id}.png`", examples=[ID])
    number: str = Field(description="The number printed on it", examples=["4821 0937 5516"])
    printed_at: datetime = Field(description="When it was made", examples=["2026-09-16T10:00:00Z"])
    expires_at: datetime = Field(description="When it ends", examples=["2027-02-28T23:00:00Z"])
    lost_at: datetime | None = Field(description="When its loss was reported", examples=[None])
    ended_at: datetime | None = Field(description="Since when it does not count any more", examples=[None])


class NewPrintedCardView(PrintedCardView):
    """A card that was just made."""

    text: str = Field(description="The text of its code", examples=["HTTPS://KARTE.EXAMPLE/P#ABC"])


class PrintedCardsView(Schema):
    """The printed cards of a person."""

    cards: list[PrintedCardView] = Field(description="The latest first")


class LossView(Schema):
    """What became of a loss."""

    lost: PrintedCardView = Field(description="The card that was lost; it does not count any more")
    replacement: NewPrintedCardView | None = Field(
        description="The new card, with a new number; nothing where no card is due"
    )
