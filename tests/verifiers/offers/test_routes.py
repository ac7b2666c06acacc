"""What venues give, as everybody may read it."""

from datetime import timedelta
from typing import Any

import pytest

from core.access.rules import Role
from tests.makers import sign_in
from tests.verifiers.makers import City


async def test_everybody_may_read_todays_offers(city: City) -> None:
    venue, other = await city.venue(), await city.venue()
    offer = await city.offer(venue)
    await city.offer(other, kind="percentage", percentage=50, price_cents=None)
    await city.offer(venue, since="2026-09-17")
    await city.offer(venue, until="2026-09-15")
    answer = await city.client.get(f"/v1/offers?venue={venue['id']}")
    assert [each["id"] for each in answer.json()] == [offer]
    assert answer.json()[0]["texts"]["de-simple"] == "Sie zahlen 2 Euro."
    held = {"If-None-Match": answer.headers["ETag"]}
    assert (await city.client.get(f"/v1/offers?venue={venue['id']}", headers=held)).status_code == 304
    assert len((await city.client.get("/v1/offers")).json()) == 2
    city.clock.forward(timedelta(days=1))
    assert len((await city.client.get(f"/v1/offers?venue={venue['id']}", headers=held)).json()) == 2


async def test_offers_are_read_page_by_page(city: City) -> None:
    venue = await city.venue()
    made = {await city.offer(venue) for _ in range(3)}
    first = (await city.client.get("/v1/offers?limit=2")).json()
    rest = (await city.client.get(f"/v1/offers?limit=2&after={first[-1]['id']}")).json()
    assert {each["id"] for each in first + rest} == made
    assert len(first + rest) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"percentage": 10},
        {"kind": "percentage", "price_cents": None},
        {"kind": "percentage", "price_cents": None, "percentage": 0},
        {"kind": "percentage", "price_cents": None, "percentage": 101},
        {"kind": "fixed_price", "price_cents": None},
        {"kind": "fixed_price", "price_cents": -1},
        {"kind": "free"},
        {"kind": "budget", "price_cents": None},
        {"limit_uses": 1},
        {"limit_period": "day"},
        {"limit_uses": 0, "limit_period": "day"},
        {"tariffs": []},
        {"texts": {"en": "Entry"}},
        {"texts": {"de": "a\u0000b"}},
        {"since": "2026-09-16", "until": "2026-09-15"},
        {"withdrawn_at": "2026-09-16T00:00:00Z"},
    ],
)
async def test_terms_that_contradict_themselves_are_refused(city: City, wrong: dict[str, Any]) -> None:
    venue = await city.venue()
    data = {
        "venue_id": venue["id"],
        "kind": "fixed_price",
        "price_cents": 200,
        "tariffs": ["reduced"],
        "texts": {"de": "Eintritt 2 €"},
        "since": "2026-01-01",
    } | wrong
    answer = await city.client.post("/v1/offers", json=data, headers=city.operator)
    assert answer.status_code == 400, answer.text


async def test_a_tariff_that_no_card_carries_is_refused(city: City) -> None:
    venue = await city.venue()
    data = {
        "venue_id": venue["id"],
        "kind": "free",
        "tariffs": ["reduced", "royal"],
        "texts": {"de": "Frei"},
        "since": "2026-01-01",
    }
    answer = await city.client.post("/v1/offers", json=data, headers=city.operator)
    assert answer.status_code == 422
    assert answer.json()["type"].endswith(":unknown-tariff")


async def test_a_strangers_offer_is_not_found(city: City) -> None:
    venue = await city.venue()
    offer = await city.offer(venue)
    stranger = await sign_in(city.database, city.vault, city.now, Role.PARTNER_MANAGER)
    assert (await city.client.delete(f"/v1/offers/{offer}", headers=stranger)).status_code == 404
    assert (await city.client.delete(f"/v1/offers/{offer}")).status_code == 401
    assert (await city.client.delete(f"/v1/offers/{offer}", headers=city.operator)).status_code == 204
    assert (await city.client.delete(f"/v1/offers/{offer}", headers=city.operator)).status_code == 404
