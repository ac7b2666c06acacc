"""The demo city's partners, venues and offers, as `places.yaml` lists them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml

from core.languages import Language
from verifiers.offers.rules import OfferKind, Period
from verifiers.offers.schemas import NewOffer
from verifiers.venues.schemas import NewVenue

TOWN = "Dortmund"


@dataclass(frozen=True, slots=True)
class Place:
    """One venue and what it gives."""

    partner: str
    name: str
    _said: dict[str, Any]

    def venue(self, partner_id: UUID) -> NewVenue:
        return NewVenue(
            partner_id=partner_id,
            name=self.name,
            kind=self._said["kind"],
            street=self._said["street"],
            town=TOWN,
        )

    def offers(self, venue_id: UUID, since: date) -> Iterator[NewOffer]:
        for offer in self._said["offers"]:
            once_a_day = offer.get("per_day")
            yield NewOffer(
                venue_id=venue_id,
                kind=OfferKind(offer["kind"]),
                percentage=offer.get("percent"),
                price_cents=offer.get("price"),
                tariffs=offer.get("tariffs", ["reduced"]),
                texts={
                    language: f"{offer['title'][language]}: {offer['text'][language]}"
                    for language in Language
                },
                needs_name=offer.get("compare", False),
                limit_uses=once_a_day,
                limit_period=Period.DAY if once_a_day else None,
                since=since,
            )


@lru_cache(maxsize=1)
def places() -> tuple[Place, ...]:
    """Every venue, partner by partner."""
    with Path(__file__).with_name("places.yaml").open(encoding="utf-8") as file:
        listed = yaml.safe_load(file)["partners"]
    return tuple(
        Place(partner["name"], venue["name"], venue) for partner in listed for venue in partner["venues"]
    )
