"""What is said of scanners."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from core.schema import Line, Schema

Coordinate = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]


class CodeView(Schema):
    """A code that lets one device in, once. It is shown here and never again."""

    code: str = Field(examples=["7Q2M9-4KD0R-XW31B-T8ZJC-5NVYH-E"])
    expires_at: datetime


class DeviceKey(Schema):
    """The public key of a device (RFC 7517); the private one never leaves it."""

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: Coordinate = Field(examples=["f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"])
    y: Coordinate = Field(examples=["x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"])


class NewScanner(Schema):
    """A device that wants in, with the code that somebody at the venue was given."""

    code: str = Field(
        min_length=26, max_length=64, description="The code", examples=["7Q2M9-4KD0R-XW31B-T8ZJC-5NVYH-E"]
    )
    name: Line = Field(description="What the venue calls the device", examples=["Kasse 1"])
    key: DeviceKey
    proof: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{86}$")] = Field(
        description="ES256 by this key, r‖s in base64url, over `citycard/scanner/1:CODE:THUMBPRINT`: the code's "
        "26 letters without dashes, and the key's RFC 7638 thumbprint"
    )


class ScannerView(Schema):
    """A device of a venue."""

    id: UUID
    venue_id: UUID
    name: str = Field(examples=["Kasse 1"])
    enrolled_at: datetime
    removed_at: datetime | None = Field(description="When it was removed; null while it checks")


class EnrolledScanner(Schema):
    """What a device is told when it is let in."""

    id: UUID
    key_id: str = Field(
        description="How the device names its key when it signs requests: the key's RFC 7638 thumbprint",
        examples=["NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"],
    )
    venue_id: UUID
    venue_number: int = Field(examples=[2718281828])
    name: str = Field(examples=["Kasse 1"])


class ScannerChange(Schema):
    """What is different from now on."""

    name: Line = Field(examples=["Kasse 2"])
