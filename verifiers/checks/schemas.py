"""What a scanner sends and what it is told."""

from datetime import date, datetime
from uuid import UUID

from pydantic import Field

from core.schema import Schema
from verifiers.checks.rules import Outcome, Reason
from verifiers.offers.rules import OfferKind, Period

NAME_LENGTH = 23


class NewCheck(Schema):
    """What a scanner read."""

    code: str = Field(
        min_length=1,
        max_length=2048,
        description="The text of the code, as it was read; whatever it is, it gets an answer",
        examples=["HTTPS://KARTE.DORTMUND.DE/L#…"],
    )


class OfferShown(Schema):
    """An offer that applies."""

    id: UUID
    kind: OfferKind
    percentage: int | None = Field(description="Percent off, for `percentage`", examples=[None])
    price_cents: int | None = Field(description="The price, for `fixed_price`", examples=[200])
    text: str = Field(description="What it is, in the asked language", examples=["Eintritt 2 €"])
    needs_name: bool = Field(description="Whether the name is compared with an ID for it")
    limit_uses: int | None = Field(description="How often in each period; null: no limit", examples=[1])
    limit_period: Period | None = Field(examples=["day"])


class CheckView(Schema):
    """What came of a scan. Two guests with the same offers get the same bytes, but for name and receipt."""

    outcome: Outcome = Field(description="The outcome, a stable word", examples=["accepted"])
    reason: Reason | None = Field(
        description="Why it was not accepted, a stable word; null where it was", examples=[None]
    )
    headline: str = Field(description="The outcome in the asked language", examples=["Gültig"])
    explanation: str = Field(
        description="The reason in the asked language, and what helps; empty where it was accepted",
        examples=[""],
    )
    offers: list[OfferShown] = Field(description="What applies")
    offers_with_name: list[OfferShown] = Field(
        description="What would apply besides, if the guest showed the card with the name"
    )
    name: str = Field(
        min_length=NAME_LENGTH,
        max_length=NAME_LENGTH,
        description="The name if the card carries one, as in an ID's machine-readable line, filled with `<`",
        examples=["MUSTERMANN<<ERIKA<<<<<<"],
    )
    compare_name: bool = Field(description="Whether the name has to be compared with an ID first")
    clock_off_by: int | None = Field(
        description="For `check_the_clock`: by how many seconds the code's time is ahead of the server's",
        examples=[None],
    )
    time: datetime = Field(description="The server's time")
    receipt: str | None = Field(
        description="Opaque, always as long, good for five minutes and for this scanner: what a redemption needs. "
        "Null where it was not accepted",
        examples=[None],
    )


class FlagView(Schema):
    """A card that was accepted at two venues within minutes."""

    credential_id: UUID = Field(
        description="The credential, as the desk lists it; whose it is stays there",
        examples=["7d9f3c1e-5a43-4f0e-9d55-0d8f6a3a2b11"],
    )
    day: date = Field(description="The day; the hour is not kept", examples=["2026-09-16"])
    times: int = Field(description="How often on that day", examples=[1])


class FlagsView(Schema):
    """What is worth a look: cards that may have been copied or lent."""

    flags: list[FlagView] = Field(description="The newest first; kept for thirty days")
