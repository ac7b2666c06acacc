"""What phones send and are told."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from core.schema import Line, Schema
from wallet.devices.rules import DeviceState

Coordinate = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
Proof = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$", max_length=8192)
]

X = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
Y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"


class PublicKeyView(Schema):
    """A P-256 public key (RFC 7517); a private part is refused like every other unknown member."""

    kty: Literal["EC"] = Field(description="Always EC", examples=["EC"])
    crv: Literal["P-256"] = Field(description="Always P-256", examples=["P-256"])
    x: Coordinate = Field(description="First coordinate, base64url", examples=[X])
    y: Coordinate = Field(description="Second coordinate, base64url", examples=[Y])


class ChallengeView(Schema):
    """A nonce to be signed soon, once."""

    nonce: str = Field(description="To be signed as `nonce`", examples=["pPt2bC2Yy1pTqO4v0V7c7g"])
    audience: str = Field(description="To be signed as `aud`", examples=["https://karte.example"])
    expires_at: datetime = Field(description="Until when it can be used", examples=["2026-09-16T10:05:00Z"])
    server_time: datetime = Field(description="What time it is here", examples=["2026-09-16T10:00:00Z"])


class NewDevice(Schema):
    """A phone that wants to hold cards."""

    key: PublicKeyView = Field(description="The phone's key")
    nonce: str = Field(
        description="The nonce of the challenge", examples=["pPt2bC2Yy1pTqO4v0V7c7g"], max_length=64
    )
    proof: Proof = Field(
        description="JWS of type `citycard-device+jwt` by that key over `{aud, nonce}`",
        examples=["eyJhbGciOiJFUzI1NiJ9.e30.c2ln"],
    )
    name: Line | None = Field(default=None, description="What its owner calls it", examples=["Mein Handy"])
    replaces: UUID | None = Field(
        default=None,
        description="The phone that it takes the place of; its cards end before the new one gets any",
        examples=[None],
    )


class DeviceView(Schema):
    """A phone that holds cards."""

    id: UUID = Field(description="The phone", examples=["7d9f3c1e-5a43-4f0e-9d55-0d8f6a3a2b11"])
    name: str = Field(description="What its owner calls it", examples=["Mein Handy"])
    enrolled_at: datetime = Field(description="Since when", examples=["2026-09-16T10:00:00Z"])
    topped_up_at: datetime | None = Field(
        description="When it last got cards", examples=["2026-09-16T10:01:00Z"]
    )
    pays_from: datetime = Field(
        description="From when on money may be spent with it: a day later where it took another's place and neither "
        "the desk nor an online ID vouched for it",
        examples=["2026-09-17T10:00:00Z"],
    )


class EnrolledView(DeviceView):
    """A phone that was just enrolled, with what it needs to draw codes."""

    code_host: str = Field(description="The host that stands in codes", examples=["KARTE.EXAMPLE"])
    server_time: datetime = Field(description="What time it is here", examples=["2026-09-16T10:00:00Z"])


class HeldView(Schema):
    """How many cards a phone holds for somebody."""

    person_id: UUID = Field(description="Whose cards", examples=["0199f6a2-6d3e-7c11-9a55-3c1f0a7b9d21"])
    named: bool = Field(description="Whether they carry the name", examples=[False])
    cards: int = Field(description="How many still hold", examples=[8])
    paused: bool = Field(
        description="Whether their card is suspended on phones: there are no fresh ones until it is resumed",
        examples=[False],
    )


class DeviceSyncView(DeviceView):
    """What a phone is told when it asks how things stand."""

    state: DeviceState = Field(
        description="Whether it is in use; if not, its cards have ended and it gets no more",
        examples=["in-use"],
    )
    ended_at: datetime | None = Field(description="Since when it is not in use", examples=[None])
    replaced_by: str | None = Field(
        description="What its owner calls the phone that took its place", examples=[None]
    )
    may_pay: bool = Field(description="Whether money may be spent with it now", examples=[True])
    holds: list[HeldView] = Field(description="What it holds")
    taken_back: list[str] = Field(
        description="SHA-256 of cards that were taken back and have not ended, base64url: not to be shown any more",
        examples=[["n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg"]],
    )
    batch: int = Field(description="How many cards it can get at once", examples=[8])
    code_host: str = Field(description="The host that stands in codes", examples=["KARTE.EXAMPLE"])
    server_time: datetime = Field(description="What time it is here", examples=["2026-09-16T10:00:00Z"])


class DevicesView(Schema):
    """The phones of a person."""

    devices: list[DeviceView] = Field(description="Those that hold cards, the oldest first")
    most: int = Field(description="How many there can be at a time", examples=[5])


class TimeView(Schema):
    """What time it is."""

    now: datetime = Field(description="The moment, in UTC", examples=["2026-09-16T10:00:00Z"])
    unix: int = Field(description="The same in seconds, as codes sign it", examples=[1789552800])
