"""What is said about who is who over the wire."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from core.schema import Schema
from entitlements.people.matching import Field as Compared
from entitlements.people.matching import Level, Verdict

PERSON = Field(description="The person", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f10"])


class SideView(Schema):
    """What one side calls somebody; empty where it says nothing."""

    given_name: str = Field(description="Given names", examples=["Nazlı"])
    family_name: str = Field(description="Family name", examples=["Öztürk"])
    birth_name: str = Field(description="Family name at birth, where it is another", examples=[""])
    birth_date: str = Field(description="Birth date, possibly in part", examples=["1990-05-00"])
    street: str = Field(description="Street and number", examples=["Münsterstraße 9"])
    postcode: str = Field(description="Postcode", examples=["44145"])
    town: str = Field(description="Town", examples=["Dortmund"])


class CandidateView(Schema):
    """Somebody who may be meant, and how alike the two sides are."""

    person_id: UUID = PERSON
    known_as: SideView = Field(description="What the city calls this person")
    score: float = Field(
        description="How alike, in bits: each more halves the chance that they are two", examples=[28.4]
    )
    agreement: dict[Compared, Level] = Field(
        description="Field by field, how far the two sides agree",
        examples=[
            {"family_name": "exact", "given_name": "close", "birth_date": "exact", "address": "unknown"}
        ],
    )
    swapped: bool = Field(description="Family and given name stand in each other's place", examples=[False])
    elsewhere: bool = Field(
        description="The same register knows this person by another number", examples=[False]
    )


class SidesView(Schema):
    """A number that waits, with both sides of the doubt."""

    id: UUID = Field(description="The review", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f18"])
    register_id: UUID = Field(
        description="Whose number it is", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f16"]
    )
    number: str = Field(description="The number as the register writes it; empty once decided")
    state: str = Field(description="open, linked or dismissed", examples=["open"])
    said: SideView | None = Field(description="What the register says; null where it says no name")
    verdict: Verdict = Field(description="What follows from the likeness by itself", examples=["doubt"])
    candidates: tuple[CandidateView, ...] = Field(description="Who may be meant, the most alike first")


class DifferenceView(Schema):
    """What would be another for somebody."""

    person_id: UUID = PERSON
    what: str = Field(description="A programme, or a kind of money", examples=["dortmund-karte"])
    before: str = Field(
        description="How it stands, or the cents; empty for nothing", examples=["active 2027-03-31"]
    )
    after: str = Field(description="How it would stand", examples=["active"])


class LookView(Schema):
    """What an act would change; nothing was done."""

    differences: tuple[DifferenceView, ...] = Field(description="Person by person, only what differs")


class MergeActView(Schema):
    """That two persons were made one, and perhaps two again."""

    id: UUID = Field(description="The act", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f15"])
    gone_id: UUID = Field(description="The one that went", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f14"])
    kept_id: UUID = Field(description="The one that stays", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f10"])
    merged_at: datetime = Field(description="When", examples=["2026-09-16T10:00:00Z"])
    undone_at: datetime | None = Field(description="When it was undone; null while it stands")


class LinkView(Schema):
    """A register's number for a person."""

    id: UUID = Field(description="The link", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f19"])
    register_id: UUID = Field(
        description="Whose number it is", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f16"]
    )
    number: str = Field(
        description="The number as the register writes it; empty for somebody forgotten", examples=["J-4711"]
    )
    made_by: str = Field(
        description="stated, identification, likeness, review or move", examples=["likeness"]
    )
    made_at: datetime = Field(description="Since when", examples=["2026-09-16T10:00:00Z"])


class NewMove(Schema):
    """Whom a number means, after all."""

    to_id: UUID | None = Field(
        default=None,
        description="The person whom it means; left out, somebody new",
        examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f10"],
    )


class MoveView(Schema):
    """That a number was given to another person."""

    id: UUID = Field(description="The act", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f1a"])
    link_id: UUID = Field(description="The link", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f19"])
    from_id: UUID = Field(description="Whom it meant", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f14"])
    to_id: UUID = Field(description="Whom it means now", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f10"])
    moved_at: datetime = Field(description="When", examples=["2026-09-16T10:00:00Z"])
    undone_at: datetime | None = Field(description="When it was undone; null while it stands")


class ConnectedView(Schema):
    """By which numbers the registers know somebody, and what was done about who they are."""

    links: tuple[LinkView, ...] = Field(description="The numbers, oldest first")
    moves: tuple[MoveView, ...] = Field(description="Numbers that changed their person, the latest first")
    merges: tuple[MergeActView, ...] = Field(description="Merges, undone ones too, the latest first")
