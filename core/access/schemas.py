"""What an operator says and hears of machine clients."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from core.access.rules import PrincipalKind, Role
from core.schema import Line, Schema

Coordinate = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,1400}$")]


class MachineKind(StrEnum):
    """What kind of machine a client is."""

    REGISTER = "register"
    TILL = "till"


class PublicKey(Schema):
    """A public key as JSON Web Key: EC (P-256, P-384), OKP (Ed25519) or RSA (2048 bits or more)."""

    kty: str = Field(description="The kind of key: EC, OKP or RSA", examples=["EC"], max_length=8)
    crv: str | None = Field(default=None, description="The curve", examples=["P-256"], max_length=16)
    x: Coordinate | None = Field(
        default=None,
        description="First coordinate, base64url",
        examples=["f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"],
    )
    y: Coordinate | None = Field(
        default=None,
        description="Second coordinate, base64url",
        examples=["x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"],
    )
    n: Coordinate | None = Field(default=None, description="RSA modulus, base64url")
    e: Coordinate | None = Field(default=None, description="RSA exponent, base64url", examples=["AQAB"])
    alg: str | None = Field(
        default=None, description="The algorithm it is for", examples=["ES256"], max_length=8
    )
    use: str | None = Field(default=None, description="Always `sig`", examples=["sig"], max_length=8)
    kid: str | None = Field(
        default=None, description="Taken and ignored: a key's name here is its thumbprint", max_length=256
    )

    def members(self) -> dict[str, str]:
        """The key as it is read everywhere else."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class NewClient(Schema):
    """A machine that is to have access."""

    label: Line = Field(description="What the operators call it", examples=["Jobcenter, Fachverfahren"])
    kind: MachineKind = Field(description="A department's system, or a till", examples=["register"])
    roles: frozenset[Role] = Field(
        default=frozenset({Role.INTEGRATION_CLIENT}),
        description="What it may be; a till may also be `venue-staff`",
        examples=[["integration-client"]],
    )
    jwk: PublicKey = Field(description="Its first public key; the private one stays where it was made")


class NewKey(Schema):
    """One more key of a client."""

    jwk: PublicKey = Field(description="The public key")


class KeyView(Schema):
    """A key that a client can use."""

    thumbprint: str = Field(
        description="RFC 7638, SHA-256; the `kid` of the client's assertions",
        examples=["oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"],
    )
    added_at: datetime = Field(description="Since when", examples=["2026-09-16T10:00:00Z"])


class ClientView(Schema):
    """A machine client."""

    id: UUID = Field(description="Its principal's id")
    client_id: str = Field(
        description="What it calls itself at the token endpoint",
        examples=["register-6f1c3f0a-2b1e-4b52-9d0c-3a6a6e0b7c11"],
    )
    label: str = Field(description="What the operators call it", examples=["Jobcenter, Fachverfahren"])
    kind: PrincipalKind = Field(description="A department's system, or a till", examples=["register"])
    roles: tuple[Role, ...] = Field(description="What it may be", examples=[["integration-client"]])
    keys: tuple[KeyView, ...] = Field(description="The keys that it can use, oldest first")
    created_at: datetime = Field(description="Since when it is known", examples=["2026-09-16T10:00:00Z"])
    disabled_at: datetime | None = Field(description="Since when it has no access any more")


class MachineToken(Schema):
    """An access token (RFC 6749)."""

    access_token: str = Field(description="To be sent as `Authorization: Bearer`")
    token_type: str = Field(default="Bearer", description="Always `Bearer`", examples=["Bearer"])
    expires_in: int = Field(description="Seconds for which it is good", examples=[300])


class TokenError(Schema):
    """Why there is no token (RFC 6749 §5.2)."""

    error: str = Field(description="The kind of error", examples=["invalid_client"])
    error_description: str = Field(description="In words", examples=["the assertion was used before"])


class Me(Schema):
    """Who the system takes the caller for."""

    principal_id: UUID = Field(description="The caller's pseudonymous id")
    kind: PrincipalKind = Field(description="What kind of caller", examples=["login"])
    roles: tuple[Role, ...] = Field(description="What the caller may be", examples=[["citizen"]])
    level: str = Field(
        description="Level of assurance of the sign-in; empty for machines", examples=["substantial"]
    )
