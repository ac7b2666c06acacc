"""What goes over the wire of the credential issuer, as far as it is ours to describe."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints

from core.schema import Schema, Word
from issuers.openid.offers import Scheme

FormText = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class NewCredentialOffer(Schema):
    """The wish for an offer to a wallet."""

    programme: Word | None = Field(
        default=None,
        description="The programme that the credential speaks of; without it, everything that is held",
        examples=["dortmund-karte"],
    )
    by_value: bool = Field(
        default=False,
        description="Whether the link carries the offer itself, not its address",
        examples=[False],
    )
    with_tx_code: bool = Field(
        default=True,
        description="Whether the wallet asks for a transaction code; without one, the offer lasts five minutes and "
        "is for the device in hand",
        examples=[True],
    )
    scheme: Scheme = Field(
        default=Scheme.OPENID, description="What the wallet listens to", examples=["openid-credential-offer"]
    )
    taken_by: UUID | None = Field(
        default=None,
        description="At the desk, whose wallet takes it: the person's own id, or that of a guardian, with whose "
        "guardianship it ends. Left out: the only guardian of a child; the person where there is none",
        examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f10"],
    )


class CredentialOfferView(Schema):
    """An offer, to be opened by a wallet."""

    offer: str = Field(
        description="The link, also for a QR code",
        examples=[
            "openid-credential-offer://?credential_offer_uri=https%3A%2F%2Fkarte.example%2Fopenid%2Foffers%2Fx"
        ],
    )
    tx_code: str | None = Field(
        description="What the person types in the wallet; told to that person alone", examples=["493536"]
    )
    expires_at: datetime = Field(description="Until when it can be used", examples=["2026-09-17T10:00:00Z"])


class OAuthProblem(Schema):
    """A refusal in the words of OAuth and OpenID4VCI."""

    error: str = Field(description="The kind of refusal", examples=["invalid_grant"])
    error_description: str = Field(
        description="What was wrong, in ASCII", examples=["the code is not good, or not any more"]
    )


class PushedView(Schema):
    """The name of a pushed request (RFC 9126 section 2.2)."""

    request_uri: str = Field(
        description="What the browser brings",
        examples=["urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c"],
    )
    expires_in: int = Field(description="For how many seconds", examples=[600])


class TokensView(Schema):
    """Tokens for a wallet (RFC 6749 section 5.1, OpenID4VCI 1.0 section 6.2)."""

    access_token: str = Field(
        description="Opens the credential endpoint", examples=["czZCaGRSa3F0MzpnWDFmQmF0M2JW"]
    )
    token_type: str = Field(description="Always DPoP", examples=["DPoP"])
    expires_in: int = Field(description="For how many seconds", examples=[1800])
    refresh_token: str = Field(description="For the next tokens", examples=["tGzv3JOkF0XG5Qx2TlKWIA"])
    scope: str | None = Field(default=None, description="What was granted", examples=["city-card"])
    authorization_details: list[dict[str, Any]] | None = Field(
        default=None,
        description="What was granted, where authorization_details asked for it",
        examples=[None],
    )


class NonceView(Schema):
    """A nonce for proofs of possession."""

    c_nonce: str = Field(description="To be signed as `nonce`, once", examples=["wKI4LT17ac15ES9bw8ac4"])


class ChallengeView(Schema):
    """A challenge for the proof that goes with a wallet attestation."""

    attestation_challenge: str = Field(
        description="To be signed as `challenge`", examples=["AYjcyMzY3ZDhiNmJkNTZ"]
    )
