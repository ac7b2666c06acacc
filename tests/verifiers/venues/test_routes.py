"""The public list of places."""

from datetime import timedelta

from core.access.rules import Role
from tests.makers import sign_in
from tests.verifiers.makers import City


async def test_everybody_may_read_the_list_and_keep_it_for_a_while(city: City) -> None:
    venue = await city.venue()
    answer = await city.client.get("/v1/venues")
    assert answer.status_code == 200
    assert answer.json() == [venue]
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    again = await city.client.get("/v1/venues", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_a_kept_list_is_renewed_when_something_changes_and_at_midnight(city: City) -> None:
    venue = await city.venue()
    held = {"If-None-Match": (await city.client.get("/v1/venues")).headers["ETag"]}
    await city.client.patch(f"/v1/venues/{venue['id']}", json={"has_sign": True}, headers=city.operator)
    answer = await city.client.get("/v1/venues", headers=held)
    assert answer.json()[0]["has_sign"] is True
    held = {"If-None-Match": answer.headers["ETag"]}
    assert (await city.client.get("/v1/venues", headers=held)).status_code == 304
    city.clock.forward(timedelta(hours=12))
    assert (await city.client.get("/v1/venues", headers=held)).status_code == 200


async def test_the_list_is_read_page_by_page_and_by_kind(city: City) -> None:
    partner = await city.partner()
    venues = [await city.venue(partner=partner) for _ in range(3)]
    numbers = sorted(venue["number"] for venue in venues)
    first = (await city.client.get("/v1/venues?limit=2")).json()
    rest = (await city.client.get(f"/v1/venues?limit=2&after={first[-1]['number']}")).json()
    assert [venue["number"] for venue in first + rest] == numbers
    assert (await city.client.get("/v1/venues?kind=zoo")).json() == []
    for wrong in ("limit=0", "limit=501", "after=-1", "kind=%00", "kind=A"):
        assert (await city.client.get(f"/v1/venues?{wrong}")).status_code == 400, wrong


async def test_a_closed_venue_is_gone(city: City) -> None:
    venue = await city.venue()
    path = f"/v1/venues/{venue['id']}"
    assert (await city.client.get(path)).json() == venue
    assert (await city.client.delete(path, headers=city.operator)).status_code == 204
    assert (await city.client.get(path)).status_code == 404
    assert (await city.client.get("/v1/venues")).json() == []
    assert (await city.client.delete(path, headers=city.operator)).status_code == 404


async def test_a_strangers_venue_is_not_found(city: City) -> None:
    venue = await city.venue()
    stranger = await sign_in(city.database, city.vault, city.now, Role.PARTNER_MANAGER)
    path = f"/v1/venues/{venue['id']}"
    assert (await city.client.patch(path, json={"name": "Meins"}, headers=stranger)).status_code == 404
    assert (await city.client.delete(path, headers=stranger)).status_code == 404
    assert (await city.client.delete(path)).status_code == 401


async def test_nobody_chooses_a_number_or_an_id(city: City) -> None:
    partner = await city.partner()
    for extra in ({"number": 1}, {"id": partner}):
        data = {"partner_id": partner, "name": "Halle", "kind": "pool"} | extra
        assert (await city.client.post("/v1/venues", json=data, headers=city.operator)).status_code == 400
