"""What a holder is told of the card, and what a phone gets and sends for a batch."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from core.schema import Schema
from wallet.devices.schemas import Proof, PublicKeyView


class CardKind(StrEnum):
    """The two kinds of card that a phone holds."""

    NAMELESS = "nameless"
    """Shown by default: it says nothing of who shows it."""
    NAMED = "named"
    """Shown where an offer asks for the comparison with an ID."""


class BroughtView(Schema):
    """Something that the card brings its holder; a venue never sees this."""

    programme: str = Field(description="The programme's word", examples=["dortmund-karte"])
    name: str = Field(description="What it is called", examples=["Dortmund-Karte"])
    since: date = Field(description="Held since this day", examples=["2026-09-01"])
    until: date | None = Field(
        description="The last day, as far as it is known; nothing: open", examples=["2027-02-28"]
    )
    ending: bool = Field(description="Whether its end was announced", examples=[False])
    reasons: list[str] = Field(
        description="Why, in the language that was asked for",
        examples=[["Sie erhalten Bürgergeld (§ 19 SGB II)."]],
    )


class TariffView(Schema):
    """What the card says at a venue."""

    tariff: str = Field(description="The tariff's word", examples=["reduced"])
    name: str = Field(description="What it is called", examples=["ermäßigt"])


class CardView(Schema):
    """The card as its holder sees it: the same for everybody, whatever it brings."""

    person_id: UUID = Field(description="Whose card it is", examples=["0199f6a2-6d3e-7c11-9a55-3c1f0a7b9d21"])
    title: str = Field(description="What stands on the card", examples=["Dortmund-Karte"])
    holds: bool = Field(description="Whether it brings anything now", examples=[True])
    until: date | None = Field(
        description="The last day on which all of it is held, as far as it is known", examples=["2027-02-28"]
    )
    changes_on: date | None = Field(
        description="The next day on which something can change", examples=["2027-03-01"]
    )
    tariffs: list[TariffView] = Field(description="What a venue can learn of it")
    brings: list[BroughtView] = Field(description="What it brings, for the holder alone")
    on_phones: int = Field(description="How many signed cards phones hold for it now", examples=[8])
    paused: bool = Field(
        description="Whether the card is suspended on phones: they get no fresh ones until it is resumed",
        examples=[False],
    )
    code_host: str = Field(description="The host that stands in codes", examples=["KARTE.EXAMPLE"])
    server_time: datetime = Field(description="What time it is here", examples=["2026-09-16T10:00:00Z"])


class HolderKey(Schema):
    """A fresh key for one card."""

    key: PublicKeyView = Field(description="The key that the card will be bound to")
    proof: Proof = Field(
        description="JWS of type `citycard-holder+jwt` by this key over `{aud, nonce, device}`",
        examples=["eyJhbGciOiJFUzI1NiJ9.e30.c2ln"],
    )


class TopUp(Schema):
    """A phone's wish for cards."""

    kind: CardKind = Field(default=CardKind.NAMELESS, description="Which kind of card", examples=["nameless"])
    nonce: str = Field(
        description="The nonce of the challenge", examples=["pPt2bC2Yy1pTqO4v0V7c7g"], max_length=64
    )
    holders: list[HolderKey] = Field(
        min_length=1, max_length=32, description="A fresh key for each card, with its proof"
    )
    proof: Proof = Field(
        description="JWS of type `citycard-cards+jwt` by the phone's key over `{aud, nonce, kind, holders}`, "
        "where `holders` are the thumbprints (RFC 7638) of the keys, in order",
        examples=["eyJhbGciOiJFUzI1NiJ9.e30.c2ln"],
    )


class SignedCardView(Schema):
    """One signed card, for the key at the same place in the wish."""

    card: str = Field(description="The signed card, base64url", examples=["hEqiASYEQQ"])
    kind: CardKind = Field(description="Which kind of card", examples=["nameless"])
    expires_at: datetime = Field(description="When it ends", examples=["2026-09-27T22:00:00Z"])


class CardsView(Schema):
    """A batch of cards, in the order of their keys."""

    cards: list[SignedCardView] = Field(description="The cards")
    outstanding: int = Field(description="How many this phone now holds for this person", examples=[8])
    code_host: str = Field(description="The host that stands in codes", examples=["KARTE.EXAMPLE"])
    server_time: datetime = Field(description="What time it is here", examples=["2026-09-16T10:00:00Z"])
