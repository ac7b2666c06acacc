"""What is said of offers."""

from datetime import date
from typing import Self
from uuid import UUID

from pydantic import Field, model_validator

from core.languages import Language
from core.schema import Line, Schema, Word
from verifiers.offers.rules import OfferKind, Period


class NewOffer(Schema):
    """What a venue gives from a day on."""

    venue_id: UUID
    kind: OfferKind
    percentage: int | None = Field(default=None, ge=1, le=100, description="Percent off, for `percentage`")
    price_cents: int | None = Field(
        default=None, ge=0, le=1_000_000, description="The price, for `fixed_price`", examples=[200]
    )
    tariffs: list[Word] = Field(
        min_length=1, max_length=16, description="Whoever has one of these gets it", examples=[["reduced"]]
    )
    texts: dict[Language, Line] = Field(
        description="What it is, in the languages of the venue; German always",
        examples=[{"de": "Eintritt 2 €", "de-simple": "Sie zahlen 2 Euro.", "en": "Entry €2"}],
    )
    needs_name: bool = Field(
        default=False, description="Whether the till compares the name on the card with an ID"
    )
    limit_uses: int | None = Field(default=None, ge=1, le=1000, description="How often in each period")
    limit_period: Period | None = Field(default=None, description="In which period", examples=["day"])
    since: date = Field(description="The first day")
    until: date | None = Field(default=None, description="The last day; null: open")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.kind is OfferKind.PERCENTAGE) is (self.percentage is None):
            raise ValueError("a percentage belongs to the kind `percentage`, and to no other")
        if (self.kind is OfferKind.FIXED_PRICE) is (self.price_cents is None):
            raise ValueError("a price belongs to the kind `fixed_price`, and to no other")
        if (self.limit_uses is None) is not (self.limit_period is None):
            raise ValueError("a limit has a number and a period")
        if self.until is not None and self.until < self.since:
            raise ValueError("the last day is before the first")
        if Language.DE not in self.texts:
            raise ValueError("the German text is missing")
        return self


class OfferView(Schema):
    """An offer, as everybody may read it."""

    id: UUID
    venue_id: UUID
    kind: OfferKind
    percentage: int | None = Field(examples=[None])
    price_cents: int | None = Field(examples=[200])
    tariffs: list[str] = Field(examples=[["reduced"]])
    texts: dict[Language, str] = Field(
        examples=[{"de": "Eintritt 2 €", "de-simple": "Sie zahlen 2 Euro.", "en": "Entry €2"}]
    )
    needs_name: bool
    limit_uses: int | None = Field(examples=[1])
    limit_period: Period | None = Field(examples=["day"])
    since: date
    until: date | None
