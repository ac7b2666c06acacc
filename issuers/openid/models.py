"""How offers, authorizations and tokens are kept: hashes of what was handed out, until it ends."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from core.database import Bytes, Json, Moment, impersonal, new_id, personal, word

MOST_WRONG_PINS = 5
"""Wrong transaction codes after which an offer's code is dead."""


class CredentialOffer(SQLModel, table=True):
    """That a person was offered a credential; its pre-authorized code is worth one grant, with the transaction code."""

    __tablename__ = "credential_offers"
    __table_args__ = (
        CheckConstraint(f"wrong_pins BETWEEN 0 AND {MOST_WRONG_PINS}", name="so_many_tries"),
        personal("person_id", also="guardian_id"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    person_id: UUID = Field(foreign_key="persons.id", index=True)
    principal_id: UUID | None = Field(default=None, foreign_key="principals.id", index=True)
    """The login that took it, for itself or for a ward; None where the city made it."""
    guardian_id: UUID | None = Field(default=None, foreign_key="persons.id", index=True)
    """The guardian to whom the city handed it for a ward; None where the person takes it into a wallet of their own."""
    programme: str | None = Field(default=None, max_length=64)
    """The programme that the credential speaks of; None: everything that is held."""
    reference_hash: bytes = Field(sa_type=Bytes, unique=True)
    sealed: bytes = Field(sa_type=Bytes)
    """The offer as wallets read it, sealed under its reference: the table alone gives no code away."""
    code_hash: bytes = Field(sa_type=Bytes, unique=True)
    state_hash: bytes = Field(sa_type=Bytes, unique=True)
    """Of the issuer_state, by which the code flow finds the offer again."""
    pin_hash: bytes | None = Field(default=None, sa_type=Bytes)
    """None for an offer that its own person took on the same device a moment ago."""
    wrong_pins: int = 0
    made_at: datetime = Field(sa_type=Moment)
    expires_at: datetime = Field(sa_type=Moment, index=True)
    used_at: datetime | None = Field(default=None, sa_type=Moment)
    grant_id: UUID | None = Field(default=None, foreign_key="wallet_grants.id", index=True)


class PushedRequest(SQLModel, table=True):
    """An authorization request that a wallet pushed, and that a browser may bring once (RFC 9126)."""

    __tablename__ = "pushed_requests"
    __table_args__ = (impersonal("a wallet's wish; whose it becomes stands with the grant"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    uri_hash: bytes = Field(sa_type=Bytes, unique=True)
    client_id: str = Field(max_length=256)
    client_name: str | None = Field(default=None, max_length=100)
    instance: str | None = Field(default=None, max_length=43)
    """Thumbprint of the wallet instance's key, where an attestation named one."""
    redirect_uri: str = Field(max_length=2048)
    state: str | None = Field(default=None, max_length=2048)
    code_challenge: str = Field(max_length=43)
    scope: str | None = Field(default=None, max_length=64)
    """As it was granted; None where authorization_details asked instead."""
    dpop_jkt: str | None = Field(default=None, max_length=43)
    offer_id: UUID | None = Field(default=None, foreign_key="credential_offers.id", index=True)
    expires_at: datetime = Field(sa_type=Moment, index=True)
    decided_at: datetime | None = Field(default=None, sa_type=Moment)


class WalletGrant(SQLModel, table=True):
    """That a wallet may fetch a person's credential, as that person or the city agreed."""

    __tablename__ = "wallet_grants"
    __table_args__ = (
        CheckConstraint("instance IS NULL OR client_id IS NOT NULL", name="an_instance_is_of_a_client"),
        personal("person_id", also="guardian_id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    person_id: UUID = Field(foreign_key="persons.id", index=True)
    principal_id: UUID | None = Field(default=None, foreign_key="principals.id", index=True)
    """The login that agreed, for itself or for a ward; None where the city made the offer."""
    guardian_id: UUID | None = Field(default=None, foreign_key="persons.id", index=True)
    """The guardian to whom the city handed the offer for a ward."""
    programme: str | None = Field(default=None, max_length=64)
    client_id: str | None = Field(default=None, max_length=256)
    is_authenticated: bool = False
    """Whether the client proved who it is; one that only claims a name is bound to its DPoP key."""
    instance: str | None = Field(default=None, max_length=43)
    scope: str | None = Field(default=None, max_length=64)
    by_details: bool = False
    """Whether authorization_details asked, so that the wallet asks by credential_identifier."""
    granted_at: datetime = Field(sa_type=Moment)
    expires_at: datetime = Field(sa_type=Moment, index=True)
    revoked_at: datetime | None = Field(default=None, sa_type=Moment)


class AuthorizationCode(SQLModel, table=True):
    """A code that a browser carried to a wallet; kept after its use, so that a second one is noticed."""

    __tablename__ = "authorization_codes"
    __table_args__ = (impersonal("whose it is stands with the grant"),)

    code_hash: bytes = Field(sa_type=Bytes, primary_key=True)
    grant_id: UUID = Field(foreign_key="wallet_grants.id", index=True)
    redirect_uri: str = Field(max_length=2048)
    code_challenge: str = Field(max_length=43)
    dpop_jkt: str | None = Field(default=None, max_length=43)
    expires_at: datetime = Field(sa_type=Moment)
    kept_until: datetime = Field(sa_type=Moment, index=True)
    used_at: datetime | None = Field(default=None, sa_type=Moment)


class TokenKind(StrEnum):
    """What a token opens."""

    ACCESS = "access"
    REFRESH = "refresh"


class WalletToken(SQLModel, table=True):
    """An access or refresh token that a wallet holds."""

    __tablename__ = "wallet_tokens"
    __table_args__ = (impersonal("whose it is stands with the grant"),)

    token_hash: bytes = Field(sa_type=Bytes, primary_key=True)
    kind: TokenKind = Field(sa_type=word(TokenKind))
    grant_id: UUID = Field(foreign_key="wallet_grants.id", index=True)
    jkt: str = Field(max_length=43)
    """Thumbprint of the DPoP key that it is bound to."""
    expires_at: datetime = Field(sa_type=Moment, index=True)
    used_at: datetime | None = Field(default=None, sa_type=Moment)
    """When a refresh token was exchanged for the next."""


class UsedOnce(SQLModel, table=True):
    """Something that is good once and was used: a nonce, or the `jti` of a proof; it goes when it would be too old."""

    __tablename__ = "openid_used"
    __table_args__ = (impersonal("a keyed hash of a random text"),)

    used_hash: bytes = Field(sa_type=Bytes, primary_key=True)
    expires_at: datetime = Field(sa_type=Moment, index=True)


class Deferral(SQLModel, table=True):
    """Credentials that could not be made at once, for the keys that the wallet proved."""

    __tablename__ = "credential_deferrals"
    __table_args__ = (impersonal("whose they are stands with the grant"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    transaction_hash: bytes = Field(sa_type=Bytes, unique=True)
    grant_id: UUID = Field(foreign_key="wallet_grants.id", index=True)
    keys: list[dict[str, Any]] = Field(sa_type=Json)
    """The public keys (JWK) that the credentials will be bound to."""
    expires_at: datetime = Field(sa_type=Moment, index=True)
    done_at: datetime | None = Field(default=None, sa_type=Moment)


class HandedOver(SQLModel, table=True):
    """A batch of credentials that a wallet was given, under the name by which it speaks of them afterwards."""

    __tablename__ = "credentials_handed_over"
    __table_args__ = (impersonal("whose they are stands with the grant"),)

    batch_id: UUID = Field(default_factory=new_id, primary_key=True)
    notification_hash: bytes = Field(sa_type=Bytes, unique=True)
    grant_id: UUID = Field(foreign_key="wallet_grants.id", index=True)
    handed_at: datetime = Field(sa_type=Moment)
    last_event: str | None = Field(default=None, max_length=32)
    """What the wallet last said became of them."""
    kept_until: datetime = Field(sa_type=Moment, index=True)
