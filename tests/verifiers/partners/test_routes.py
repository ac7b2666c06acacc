"""Organisations and who manages them."""

from uuid import UUID

from sqlalchemy import select

from core.access.models import Session
from core.access.rules import Role
from core.access.service import token_hash
from tests.makers import sign_in
from tests.verifiers.makers import City


async def manager(city: City) -> tuple[dict[str, str], UUID]:
    headers = await sign_in(city.database, city.vault, city.now, Role.PARTNER_MANAGER)
    token = headers["Cookie"].partition("=")[2]
    async with city.database.reading() as session:
        row = (
            await session.execute(select(Session).where(Session.token_hash == token_hash(token)))
        ).scalar_one()  # type: ignore[arg-type]
    return headers, row.principal_id


async def test_a_manager_sees_and_manages_the_own_organisation_only(city: City) -> None:
    own, foreign = await city.partner("Bäder"), await city.partner("Zoo")
    headers, principal = await manager(city)
    assert (await city.client.get("/v1/partners", headers=headers)).json() == []
    appointed = await city.client.post(
        f"/v1/partners/{own}/members", json={"principal_id": str(principal)}, headers=city.operator
    )
    assert appointed.status_code == 201
    seen = (await city.client.get("/v1/partners", headers=headers)).json()
    assert [each["id"] for each in seen] == [own]
    assert (await city.client.get(f"/v1/partners/{foreign}", headers=headers)).status_code == 404
    place = {"name": "Halle", "kind": "pool"}
    there = await city.client.post("/v1/venues", json=place | {"partner_id": foreign}, headers=headers)
    here = await city.client.post("/v1/venues", json=place | {"partner_id": own}, headers=headers)
    assert (there.status_code, here.status_code) == (404, 201)


async def test_whoever_is_dismissed_manages_nothing_from_the_next_request_on(city: City) -> None:
    partner = await city.partner()
    headers, principal = await manager(city)
    members = f"/v1/partners/{partner}/members"
    await city.client.post(members, json={"principal_id": str(principal)}, headers=city.operator)
    await city.client.post(members, json={"principal_id": str(principal)}, headers=city.operator)
    assert len((await city.client.get(members, headers=city.operator)).json()) == 1
    dismissed = await city.client.delete(f"{members}/{principal}", headers=city.operator)
    assert dismissed.status_code == 204
    assert (await city.client.get(f"/v1/partners/{partner}", headers=headers)).status_code == 404
    assert (await city.client.delete(f"{members}/{principal}", headers=city.operator)).status_code == 404
    await city.client.post(members, json={"principal_id": str(principal)}, headers=city.operator)
    assert (await city.client.get(f"/v1/partners/{partner}", headers=headers)).status_code == 200


async def test_only_the_operator_lets_organisations_in_and_appoints(city: City) -> None:
    partner = await city.partner()
    headers, principal = await manager(city)
    new = await city.client.post("/v1/partners", json={"name": "Ich"}, headers=headers)
    appointed = await city.client.post(
        f"/v1/partners/{partner}/members", json={"principal_id": str(principal)}, headers=headers
    )
    assert (new.status_code, appointed.status_code) == (403, 403)
    assert (await city.client.get("/v1/partners")).status_code == 401


async def test_only_somebody_who_signs_in_can_be_appointed(city: City) -> None:
    partner, venue = await city.partner(), await city.venue()
    till = await city.till(venue)
    async with city.database.reading() as session:
        from verifiers.scanners.models import Scanner

        scanner = await session.get_one(Scanner, UUID(till.id))
    answer = await city.client.post(
        f"/v1/partners/{partner}/members",
        json={"principal_id": str(scanner.principal_id)},
        headers=city.operator,
    )
    assert answer.status_code == 404


async def test_a_name_cannot_be_empty_or_carry_control_characters(city: City) -> None:
    for name in ("", "   ", "a\u0000b", "x" * 201):
        answer = await city.client.post("/v1/partners", json={"name": name}, headers=city.operator)
        assert answer.status_code == 400
