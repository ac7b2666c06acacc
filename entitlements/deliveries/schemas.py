"""What is said about deliveries over the wire; never what their rows say."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from pydantic import Field

from core.schema import Schema
from entitlements.deliveries.models import Mode, Phase, State
from entitlements.deliveries.rules import Result


class DeliveryView(Schema):
    """A delivery and how far it has come."""

    id: UUID = Field(description="The delivery", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f19"])
    register_id: UUID = Field(
        description="Who delivered it", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f16"]
    )
    name: str = Field(description="The register's own name for it", examples=["2026-09-16-night"])
    mode: Mode = Field(description="What silence in it means", examples=["changes"])
    as_of: datetime = Field(description="The moment that it speaks of", examples=["2026-09-16T02:00:00Z"])
    state: State = Field(
        description="checking, held (a person must look), applying, paused (somebody stopped it), applied or rejected",
        examples=["applied"],
    )
    reason: str = Field(
        description=(
            "Why it was held or rejected: row-count, ends-too-much, unreadable-rows; during what it was paused: "
            "while-checking, while-applying; else empty"
        ),
        examples=[""],
    )
    rows: int = Field(description="How many rows came in", examples=[1204])
    declared: int = Field(description="How many were announced", examples=[1204])
    done: int = Field(description="How many have a result", examples=[1204])
    phase: Phase = Field(
        description="What is being applied: its rows, what it leaves out, or what its silence says",
        examples=["rows"],
    )
    ends: int = Field(description="How many standing statements it ends", examples=[3])
    standing: int = Field(description="How many statements of the register stood", examples=[5120])
    received_at: datetime = Field(description="When it came", examples=["2026-09-16T02:00:07Z"])
    finished_at: datetime | None = Field(
        description="When it was applied or rejected", examples=["2026-09-16T02:00:09Z"]
    )
    results: Mapping[str, int] = Field(
        description="How many rows have which result so far",
        examples=[{"accepted": 1201, "no-link": 3}],
    )


class DeliveryPage(Schema):
    """Deliveries, newest first."""

    deliveries: tuple[DeliveryView, ...] = Field(description="The deliveries, without results per row")
    next: UUID | None = Field(description="`before` for the next page; null on the last", examples=[None])


class RowView(Schema):
    """What became of a row."""

    position: int = Field(
        description="Which row, counted from 1; the header of a CSV and empty lines do not count",
        examples=[17],
    )
    result: Result | None = Field(
        description="What became of it; null until it was applied", examples=["no-link"]
    )


class RowPage(Schema):
    """Rows in their order."""

    rows: tuple[RowView, ...] = Field(description="The rows")
    next: int | None = Field(description="`after` for the next page; null on the last", examples=[None])
