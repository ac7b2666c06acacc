"""The bundle as it travels."""

from datetime import date, datetime
from uuid import UUID

from pydantic import Field

from core.languages import Language
from core.schema import Schema
from verifiers.offers.rules import OfferKind, Period


class BundleVenue(Schema):
    """Where the scanner stands."""

    id: UUID
    number: int = Field(examples=[2718281828])
    name: str = Field(examples=["Hallenbad Nord"])
    has_sign: bool = Field(description="Whether only codes made for the sign at the door count")


class BundleOffer(Schema):
    """An offer of the venue, in force now or soon."""

    id: UUID
    kind: OfferKind
    percentage: int | None
    price_cents: int | None
    tariff_bits: int = Field(
        description="The tariffs as a card carries them; any of them is enough", examples=[1]
    )
    texts: dict[Language, str]
    needs_name: bool
    limit_uses: int | None
    limit_period: Period | None
    since: date
    until: date | None


class BundleList(Schema):
    """A status list."""

    number: int = Field(description="How cards name the list", examples=[1])
    uri: str = Field(description="Where a newer one can be had, without a login")
    token: str = Field(description="The signed list, `statuslist+jwt`")


class BundleView(Schema):
    """All that the judgement needs but the code. Keys and lists are signed; believe them, not their way here."""

    time: datetime = Field(description="The server's time; a scanner's clock never runs back behind it")
    code_host: str = Field(description="The host that stands in codes", examples=["KARTE.DORTMUND.DE"])
    venue: BundleVenue
    offers: list[BundleOffer]
    trust_list: str = Field(description="The signed trust list")
    status_lists: list[BundleList]
