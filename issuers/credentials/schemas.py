"""What the desk and the holder are told of credentials: that they exist, never what they say."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from core.schema import Schema
from issuers.credentials.rules import CredentialKind, Revocation


class RevocationReason(StrEnum):
    """Why a single credential is taken back by hand; everything else takes back by itself."""

    LOST = Revocation.LOST.value
    REPLACED = Revocation.REPLACED.value


class NewCredentialRevocation(Schema):
    """Why a credential is taken back."""

    reason: RevocationReason = Field(
        description="What happened to it; say more in the header `Reason`", examples=["lost"]
    )


class CredentialView(Schema):
    """A credential that was made for a person."""

    id: UUID = Field(description="The credential", examples=["7d9f3c1e-5a43-4f0e-9d55-0d8f6a3a2b11"])
    kind: CredentialKind = Field(description="What it is", examples=["card"])
    named: bool = Field(description="Whether it carries the name", examples=[False])
    issued_at: datetime = Field(description="When it was made", examples=["2026-09-16T10:00:00Z"])
    expires_at: datetime = Field(description="When it ends", examples=["2026-09-27T22:00:00Z"])
    device_id: UUID | None = Field(
        description="The phone that holds it", examples=["7d9f3c1e-5a43-4f0e-9d55-0d8f6a3a2b12"]
    )
    suspended: bool = Field(description="Whether it is suspended for now", examples=[False])
    revoked_at: datetime | None = Field(description="When it was taken back", examples=[None])
    revoked_for: Revocation | None = Field(description="Why it was taken back", examples=[None])


class CredentialsView(Schema):
    """The credentials of a person that still run."""

    credentials: list[CredentialView] = Field(description="Those that end last first")
