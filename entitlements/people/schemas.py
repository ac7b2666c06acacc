"""What is said about persons over the wire."""

from datetime import date
from uuid import UUID

from pydantic import Field

from core.schema import Line, Schema

PERSON = Field(description="The person's pseudonymous id", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f10"])


class WardView(Schema):
    """Somebody for whom the caller may act."""

    person_id: UUID = PERSON
    given_name: str = Field(
        description="The given name, to tell several children apart; empty if unknown", examples=["Mila"]
    )
    until: date = Field(description="The last day on which the caller may act", examples=["2031-05-03"])


class PersonsView(Schema):
    """Who the caller is, and for whom the caller may act."""

    person_id: UUID | None = Field(
        description="The caller's own pseudonymous id; null until the login is linked to a person",
        examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f10"],
    )
    wards: tuple[WardView, ...] = Field(description="Children and others for whom the caller may act today")


class PersonView(Schema):
    """A person as the desk sees them."""

    person_id: UUID = PERSON
    given_name: str = Field(description="Given names", examples=["Nazlı"])
    family_name: str = Field(description="Family name", examples=["Öztürk"])
    birth_date: str = Field(
        description="The birth date as the register wrote it, possibly in part", examples=["1990-05-00"]
    )
    street: str = Field(description="Street and number", examples=["Münsterstraße 9"])
    postcode: str = Field(description="Postcode", examples=["44145"])
    town: str = Field(description="Town", examples=["Dortmund"])


class NewLink(Schema):
    """Which person a login turned out to be, at the desk."""

    principal_id: UUID = Field(
        description="The login, as its holder reads it off", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f11"]
    )


class NewGuardianship(Schema):
    """Somebody who may act for somebody else."""

    guardian_id: UUID = Field(description="Who may act", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f10"])
    child_id: UUID = Field(description="For whom", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f12"])
    since: date | None = Field(
        default=None, description="First day; today if left out", examples=["2026-09-16"]
    )
    until: date = Field(
        description="Last day; for a child at most the day before the 18th birthday", examples=["2031-05-03"]
    )


class EndOfGuardianship(Schema):
    """When a guardianship ends."""

    last_day: date | None = Field(
        default=None,
        description="Its last day; yesterday if left out, so that it ends now",
        examples=["2026-09-15"],
    )


class GuardianshipView(Schema):
    """Who may act for whom, and until when."""

    id: UUID = Field(description="The guardianship", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f13"])
    guardian_id: UUID = Field(description="Who may act", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f10"])
    child_id: UUID = Field(description="For whom", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f12"])
    since: date = Field(description="First day", examples=["2026-09-16"])
    until: date = Field(description="Last day", examples=["2031-05-03"])


class GuardianshipsView(Schema):
    """Every guardianship that a person is part of and that is not over."""

    guardianships: list[GuardianshipView]


class NewMerge(Schema):
    """Two persons that turned out to be one."""

    gone_id: UUID = Field(description="The one that goes", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f14"])
    kept_id: UUID = Field(description="The one that stays", examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f10"])


class Query(Schema):
    """Whom the desk looks for; it travels in the body because it names somebody."""

    name: Line | None = Field(
        default=None,
        description="Words of the name; case, accents and hyphens do not matter",
        examples=["ozturk nazli"],
    )
    register_id: UUID | None = Field(
        default=None,
        description="The register whose number is given",
        examples=["0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f16"],
    )
    number: Line | None = Field(
        default=None, description="The number by which that register knows the person", examples=["J-4711"]
    )
