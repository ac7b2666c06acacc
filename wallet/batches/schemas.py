"""What is said of print batches."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from core.schema import Schema
from wallet.batches.models import BatchState

ID = "0199f6a2-6d3e-7c11-9a55-3c1f0a7b9d21"


class NewPrintBatch(Schema):
    """A wish for many cards on paper."""

    language: Literal["de", "de-simple", "en"] = Field(
        default="de", description="In which language the cards are labelled", examples=["de"]
    )
    active_from: date | None = Field(
        default=None,
        description="The day from which the cards count; until then a venue is told that they are suspended. "
        "Nothing: at once",
        examples=["2026-10-01"],
    )
    person_ids: list[UUID] | None = Field(
        default=None,
        min_length=1,
        max_length=10_000,
        description="For whom; their earlier cards end. Nothing: everybody who holds something and has no card in force",
        examples=[None],
    )


class PrintBatchView(Schema):
    """A print batch, and how far it has come."""

    id: UUID = Field(description="The batch", examples=[ID])
    state: BatchState = Field(description="Whether its files can be drawn", examples=["ready"])
    language: str = Field(description="The language of its cards", examples=["de"])
    active_from: date | None = Field(
        description="From which day its cards count; nothing: at once", examples=["2026-10-01"]
    )
    activated_at: datetime | None = Field(description="When they were activated by date", examples=[None])
    total: int = Field(description="For how many persons", examples=[150000])
    done: int = Field(description="At how many of them it was looked so far", examples=[150000])
    passed_over: int = Field(
        description="How many of these got no card: nothing held any more, no name, a card already",
        examples=[12],
    )
    files: int = Field(
        description="How many files: `/v1/print-batches/{id}/files/{n}.pdf` and `.csv`, from 1", examples=[30]
    )
    started_at: datetime = Field(description="When it was begun", examples=["2026-09-16T10:00:00Z"])
    finished_at: datetime | None = Field(
        description="When its last card was made", examples=["2026-09-16T10:04:00Z"]
    )
    closed_at: datetime | None = Field(description="Since when no file is drawn any more", examples=[None])


class PrintBatchesView(Schema):
    """The latest print batches."""

    batches: list[PrintBatchView] = Field(description="The latest first")
