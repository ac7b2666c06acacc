"""What is said of venues."""

from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from core.schema import Line, Schema, Word

Postcode = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z -]{0,15}$")]


class NewVenue(Schema):
    """A place that opens its door to the card."""

    partner_id: UUID = Field(description="The organisation it belongs to")
    name: Line = Field(examples=["Hallenbad Nord"])
    kind: Word = Field(description="What kind of place it is", examples=["pool"])
    street: Line | None = Field(default=None, examples=["Badstraße 1"])
    postcode: Postcode | None = Field(default=None, examples=["44145"])
    town: Line | None = Field(default=None, examples=["Dortmund"])
    has_sign: bool = Field(
        default=False,
        description="Whether a sign with the venue's number hangs at the door; then only codes made for it count",
    )


class VenueChange(Schema):
    """What is different from now on; what is left out stays."""

    name: Line | None = Field(default=None, examples=["Hallenbad Nordstadt"])
    has_sign: bool | None = Field(default=None)


class VenueView(Schema):
    """A place."""

    id: UUID
    number: int = Field(description="The number that the sign at the door carries", examples=[2718281828])
    name: str = Field(examples=["Hallenbad Nord"])
    kind: str = Field(examples=["pool"])
    street: str = Field(examples=["Badstraße 1"])
    postcode: str = Field(examples=["44145"])
    town: str = Field(examples=["Dortmund"])
    has_sign: bool = Field(description="Whether only codes made for the sign at the door count")
