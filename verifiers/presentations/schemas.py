"""What is said about questions to wallets over the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from core.access.rules import local_path
from core.schema import Schema, Word
from verifiers.checks.schemas import OfferShown
from verifiers.presentations.asking import Method, Scheme
from verifiers.presentations.models import Flow

LocalPath = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class NewPresentation(Schema):
    """What somebody wants a wallet to show: a tariff of the city's card, or an attestation of somebody else's."""

    venue_id: UUID | None = Field(
        default=None,
        description="Which venue asks; a scanner asks for the one that it stands in",
        examples=["3f0c1d5e-8a53-4a0a-9b6a-0d6f5b1c2a11"],
    )
    offer_id: UUID | None = Field(
        default=None,
        description="Only for this offer; without it, for any that the venue has today",
        examples=["7a1d2c3b-1f2e-4d3c-9b8a-7c6d5e4f3a2b"],
    )
    tariffs: tuple[Word, ...] = Field(
        default=(),
        max_length=16,
        description="These tariffs instead, of which one is enough",
        examples=[["reduced"]],
    )
    with_name: bool = Field(
        default=False,
        description="Whether the name is shown too, to be compared with an ID",
        examples=[False],
    )
    attestation: Word | None = Field(
        default=None,
        description="An attestation of somebody else's instead, whose facts the city takes over for the person who "
        "asks, or who stands at the desk",
        examples=["jobcenter-sgb2"],
    )
    flow: Flow | None = Field(
        default=None,
        description="Whether the wallet is on this device or another; without it, at a counter another, from home "
        "this one",
        examples=["cross-device"],
    )
    return_to: LocalPath | None = Field(
        default=None, description="Where this browser goes on, a path of this site", examples=["/card"]
    )
    scheme: Scheme = Field(
        default=Scheme.OPENID, description="What the wallet listens to", examples=["openid4vp"]
    )
    request_uri_method: Method = Field(
        default=Method.POST,
        description="How the wallet is told to fetch the request; both ways work",
        examples=["post"],
    )

    @model_validator(mode="after")
    def _one_thing(self) -> "NewPresentation":
        at_venue = self.venue_id or self.offer_id or self.tariffs or self.with_name
        if self.attestation is not None and at_venue:
            raise ValueError("an attestation is a person's, and not asked for by a venue")
        if self.offer_id is not None and self.tariffs:
            raise ValueError("either an offer or tariffs")
        if self.return_to is not None and local_path(self.return_to) != self.return_to:
            raise ValueError("return_to is a path of this site")
        return self


class PresentationView(Schema):
    """A question, to be opened by a wallet."""

    authorization_request: str = Field(
        description="The link, also the text of the QR code",
        examples=[
            "openid4vp://?client_id=x509_hash%3AUvo3&request_uri=https%3A%2F%2Fkarte.example%2Fopenid%2Fp"
        ],
    )
    status_url: str = Field(
        description="Where the outcome is read, without signing in; it is told to nobody else",
        examples=["https://karte.example/v1/presentations/6esc_11ACC5bwc014ltc14eY22c"],
    )
    flow: Flow = Field(description="Where the wallet is", examples=["cross-device"])
    expires_at: datetime = Field(
        description="Until when a wallet can answer", examples=["2026-09-17T10:05:00Z"]
    )


class OutcomeView(Schema):
    """What came of a question; never which benefit is behind it."""

    status: Literal["waiting", "received", "verified", "refused", "expired"] = Field(
        description="How far it has come, a stable word", examples=["verified"]
    )
    reason: str | None = Field(
        description="Why it was refused, a stable word; a wallet's own refusal in its own", examples=[None]
    )
    headline: str = Field(description="The status in the asked language", examples=["Gültig"])
    tariffs: tuple[str, ...] = Field(
        description="Those of the tariffs asked for that were shown", examples=[["reduced"]]
    )
    offers: tuple[OfferShown, ...] = Field(description="The venue's offers that apply")
    name: str | None = Field(
        description="The name, where it was asked for: to be compared with an ID", examples=[None]
    )
    expires_at: datetime = Field(
        description="Until when a wallet can answer", examples=["2026-09-17T10:05:00Z"]
    )


class Redirection(Schema):
    """Where a wallet sends its browser (OpenID4VP 1.0 section 8.2)."""

    redirect_uri: str | None = Field(
        default=None,
        description="Back to where the question was asked; absent where that was another device",
        examples=["https://karte.example/openid/presented?response_code=091535f699ea575c7937fa5f0f454aee"],
    )
