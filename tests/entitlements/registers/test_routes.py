from typing import Any

from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.access.rules import Role
from core.database import Database
from core.jose import jwk
from core.vault import Vault
from entitlements.people.service import make_person
from entitlements.registers.models import LinkMade
from entitlements.registers.service import link, number_hash, numbers_of
from tests.entitlements.facts.making import NOON, a_register
from tests.makers import make_machine, make_signer, sign_in

Client = AsyncTestClient[Litestar]


def jobcenter(**more: Any) -> dict[str, Any]:
    return {
        "kind": "jobcenter",
        "name": "Jobcenter Dortmund",
        "remit": {"facts": ["sgb2"], "households": ["bedarfsgemeinschaft"]},
    } | more


async def test_an_operator_takes_in_a_register_with_its_key(
    client: Client, database: Database, vault: Vault
) -> None:
    operator = await sign_in(database, vault, NOON, Role.OPERATOR)
    key = jwk(make_signer().public_key)
    made = await client.post("/v1/registers", json=jobcenter(jwk=key), headers=operator)
    assert made.status_code == 201, made.text
    assert made.json()["remit"]["facts"] == ["sgb2"]
    assert made.json()["client_id"].startswith("register-")
    (listed,) = (await client.get("/v1/registers", headers=operator)).json()
    assert listed == made.json()
    assert listed["complete_since"] is None


async def test_a_machine_that_is_known_can_become_a_register_once(
    client: Client, database: Database, vault: Vault
) -> None:
    operator = await sign_in(database, vault, NOON, Role.OPERATOR)
    machine = await make_machine(database, NOON)
    body = jobcenter(principal_id=str(machine.principal_id))
    assert (await client.post("/v1/registers", json=body, headers=operator)).status_code == 201
    assert (await client.post("/v1/registers", json=body, headers=operator)).status_code == 409
    assert (await client.post("/v1/registers", json=jobcenter(), headers=operator)).status_code == 422


async def test_what_the_catalogue_does_not_know_is_no_remit(
    client: Client, database: Database, vault: Vault
) -> None:
    operator = await sign_in(database, vault, NOON, Role.OPERATOR)
    machine = await make_machine(database, NOON)
    for change in (
        {"kind": "post-office"},
        {"remit": {"facts": ["shoe_size"]}},
        {"remit": {"households": ["band"]}},
    ):
        body = jobcenter(principal_id=str(machine.principal_id)) | change
        answer = await client.post("/v1/registers", json=body, headers=operator)
        assert answer.status_code == 422
        assert answer.json()["type"].endswith("kind-unknown")


async def test_only_an_operator_takes_in_registers(client: Client, database: Database, vault: Vault) -> None:
    desk = await sign_in(database, vault, NOON, Role.CASE_WORKER)
    assert (await client.post("/v1/registers", json=jobcenter(), headers=desk)).status_code == 403
    assert (await client.get("/v1/registers", headers=desk)).json() == []


async def test_the_desk_finds_somebody_by_a_registers_number(
    client: Client, database: Database, vault: Vault
) -> None:
    async with database.writing() as session:
        register = await a_register(session)
        person = await make_person(session, NOON)
        numbers = {number_hash(vault, register.id, "J-4711"): (person.id, "J-4711", LinkMade.REVIEW)}
        await link(session, vault, register.id, numbers, NOON)
        assert await numbers_of(session, vault, person.id) == [(register.id, "J-4711")]
    desk = await sign_in(database, vault, NOON, Role.CASE_WORKER)

    async def look(number: str) -> Any:
        body = {"register_id": str(register.id), "number": number}
        return (await client.post("/v1/people/search", json=body, headers=desk)).json()

    assert [one["person_id"] for one in await look("J-4711")] == [str(person.id)]
    assert await look("J-4712") == []
