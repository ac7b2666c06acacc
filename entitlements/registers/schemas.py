"""What is said about registers, and about numbers that mean nobody yet, over the wire."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from core.access.schemas import PublicKey
from core.schema import Line, Schema, Word


class RemitView(Schema):
    """What a register may state; what is not named, it may not."""

    facts: tuple[Word, ...] = Field(default=(), description="Kinds of fact", examples=[["sgb2"]])
    households: tuple[Word, ...] = Field(
        default=(), description="Kinds of household", examples=[["bedarfsgemeinschaft"]]
    )
    identities: bool = Field(
        default=False, description="Names, birth dates and addresses, and so new persons"
    )
    identification_numbers: bool = Field(
        default=False, description="It may say by the tax identification number whom its own number means"
    )
    likeness: bool = Field(
        default=False,
        description="Names, birth dates and addresses only so that its numbers find their persons; none of it is kept",
    )


class NewRegister(Schema):
    """A department's system that is to hand over facts."""

    kind: Word = Field(description="Which kind of department, as in the catalogue", examples=["jobcenter"])
    name: Line = Field(description="What it is called", examples=["Jobcenter Dortmund"])
    remit: RemitView = Field(description="What it may state")
    jwk: PublicKey | None = Field(
        default=None, description="Its public key, if it is no machine client yet; the client is made with it"
    )
    principal_id: UUID | None = Field(
        default=None,
        description="The machine client that it is already; either this or `jwk`",
        examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f17"],
    )


class RegisterView(Schema):
    """A register."""

    id: UUID = Field(description="The register", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f16"])
    principal_id: UUID = Field(
        description="The machine client as which it signs in",
        examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f17"],
    )
    client_id: str = Field(
        description="Its OAuth client id", examples=["register-0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f17"]
    )
    kind: str = Field(description="Which kind of department", examples=["jobcenter"])
    name: str = Field(description="What it is called", examples=["Jobcenter Dortmund"])
    remit: RemitView = Field(description="What it may state")
    complete_since: datetime | None = Field(
        description="Since when its silence about somebody means something; null before its first full delivery",
        examples=["2026-09-16T10:00:00Z"],
    )


class ReviewView(Schema):
    """A register's number that means nobody yet."""

    id: UUID = Field(description="The review", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f18"])
    register_id: UUID = Field(
        description="Whose number it is", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f16"]
    )
    number: str = Field(
        description="The number as the register writes it; empty once decided", examples=["J-4711"]
    )
    state: str = Field(description="open, linked or dismissed", examples=["open"])
    opened_at: datetime = Field(description="Since when it waits", examples=["2026-09-16T10:00:00Z"])


class ReviewPage(Schema):
    """Numbers that wait, oldest first."""

    reviews: tuple[ReviewView, ...] = Field(description="The numbers")
    next: UUID | None = Field(description="`after` for the next page; null on the last", examples=[None])


class Meant(Schema):
    """Whom a number means."""

    person_id: UUID = Field(description="The person", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f10"])
