from datetime import date
from uuid import UUID, uuid4

from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import select

from core.access.models import Principal
from core.access.rules import Role
from core.database import Database
from core.vault import Vault
from entitlements.people.rules import PersonIdentity
from entitlements.people.service import keep_identity, make_person
from tests.entitlements.facts.making import NOON
from tests.makers import sign_in

Client = AsyncTestClient[Litestar]


async def a_person(database: Database, vault: Vault, given: str = "Mila", family: str = "Sommer") -> UUID:
    async with database.writing() as session:
        person = await make_person(session, NOON)
        identity = PersonIdentity(given, family, birth_date="2015-05-00", town="Dortmund")
        await keep_identity(session, vault, person.id, identity, stated_at=NOON, now=NOON)
        return person.id


async def test_a_parent_sees_for_whom_they_may_act(client: Client, database: Database, vault: Vault) -> None:
    mother, child = await a_person(database, vault, "Nazlı"), await a_person(database, vault)
    desk = await sign_in(database, vault, NOON, Role.CASE_WORKER)
    given = {"guardian_id": str(mother), "child_id": str(child), "until": "2031-05-03"}
    made = await client.post("/v1/guardianships", json=given, headers=desk)
    assert made.status_code == 201
    assert made.json()["since"] == "2026-09-16"
    login = await sign_in(database, vault, NOON, Role.CITIZEN, person_id=mother)
    mine = await client.get("/v1/me/persons", headers=login)
    ward = {"person_id": str(child), "given_name": "Mila", "until": "2031-05-03"}
    assert mine.json() == {"person_id": str(mother), "wards": [ward]}
    # Whoever sits at the desk the next day knows no number of it.
    (known,) = (await client.get(f"/v1/people/{child}/guardianships", headers=desk)).json()["guardianships"]
    assert known == made.json()
    told = (await client.get(f"/v1/people/{mother}/guardianships", headers=desk)).json()["guardianships"]
    assert told == [known]
    assert (await client.get(f"/v1/people/{uuid4()}/guardianships", headers=desk)).status_code == 404
    assert (await client.get(f"/v1/people/{child}/guardianships", headers=login)).status_code == 403
    ended = await client.post(f"/v1/guardianships/{known['id']}/end", json={}, headers=desk)
    assert ended.status_code == 200
    over = await client.get(f"/v1/people/{child}/guardianships", headers=desk)
    assert over.json()["guardianships"] == []
    assert date.fromisoformat(ended.json()["until"]) < NOON.date()
    assert (await client.get("/v1/me/persons", headers=login)).json()["wards"] == []


async def test_the_desk_links_a_login_with_the_papers_on_the_table(
    client: Client, database: Database, vault: Vault
) -> None:
    person, other = await a_person(database, vault), await a_person(database, vault)
    login = await sign_in(database, vault, NOON, Role.CITIZEN)
    async with database.reading() as session:
        principal = (await session.execute(select(Principal))).scalar_one()
    desk = await sign_in(database, vault, NOON, Role.CASE_WORKER)
    named = {"principal_id": str(principal.id)}
    assert (await client.post(f"/v1/people/{person}/logins", json=named, headers=desk)).status_code == 204
    assert (await client.get("/v1/me/persons", headers=login)).json()["person_id"] == str(person)
    assert (await client.post(f"/v1/people/{other}/logins", json=named, headers=desk)).status_code == 409
    assert (await client.post(f"/v1/people/{uuid4()}/logins", json=named, headers=desk)).status_code == 404


async def test_only_the_desk_makes_codes_and_guardians(
    client: Client, database: Database, vault: Vault
) -> None:
    person = await a_person(database, vault)
    citizen = await sign_in(database, vault, NOON, Role.CITIZEN, person_id=person)
    given = {"guardian_id": str(person), "child_id": str(person), "until": "2031-05-03"}
    for url, body in (
        ("/v1/guardianships", given),
        ("/v1/people/search", {"name": "Sommer"}),
    ):
        assert (await client.post(url, json=body, headers=citizen)).status_code == 403
        assert (await client.post(url, json=body)).status_code == 401
    desk = await sign_in(database, vault, NOON, Role.CASE_WORKER)
    assert (await client.post("/v1/guardianships", json=given, headers=desk)).status_code == 422


async def test_the_desk_finds_somebody_by_name(client: Client, database: Database, vault: Vault) -> None:
    person = await a_person(database, vault, "Łucja", "Öztürk-Núñez")
    desk = await sign_in(database, vault, NOON, Role.CASE_WORKER)
    found = await client.post("/v1/people/search", json={"name": "ozturk NUNEZ"}, headers=desk)
    (one,) = found.json()
    assert (one["person_id"], one["given_name"], one["birth_date"]) == (str(person), "Łucja", "2015-05-00")
    assert (await client.post("/v1/people/search", json={"name": "niemand"}, headers=desk)).json() == []
    assert (await client.post("/v1/people/search", json={}, headers=desk)).json() == []
    assert (
        await client.post("/v1/people/search", json={"name": "a\u0000b"}, headers=desk)
    ).status_code == 400
