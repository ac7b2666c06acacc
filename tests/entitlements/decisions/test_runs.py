"""An assessment of everybody by the API: seen, begun, stopped, taken up again, released, and by whom."""

from datetime import timedelta

from core.access.rules import Role
from core.vault import Vault
from entitlements.decisions import everybody
from entitlements.decisions.models import RunState
from tests.entitlements.decisions.making import City
from tests.entitlements.decisions.test_routes import Client
from tests.makers import sign_in

RUNS = "/v1/assessment-runs"


async def test_an_operator_begins_stops_and_takes_up_again(client: Client, city: City, vault: Vault) -> None:
    operator = await sign_in(city.database, vault, city.clock.now(), Role.OPERATOR)
    begun = await client.post(RUNS, headers=operator)
    assert (begun.status_code, begun.json()["state"], begun.json()["done"]) == (201, "running", 0)
    one = f"{RUNS}/{begun.json()['id']}"
    assert (await client.post(RUNS, headers=operator)).status_code == 409
    assert (await client.post(f"{one}/release", headers=operator)).status_code == 409
    assert (await client.post(f"{one}/stop", headers=operator)).json()["state"] == "stopped"
    assert (await client.post(f"{one}/resumption", headers=operator)).json()["state"] == "running"
    assert [run["id"] for run in (await client.get(RUNS, headers=operator)).json()] == [begun.json()["id"]]


async def test_a_case_worker_releases_what_is_held_and_is_named(
    client: Client, city: City, vault: Vault
) -> None:
    worker = await sign_in(city.database, vault, city.clock.now(), Role.CASE_WORKER)
    async with city.database.writing() as session:
        run = await everybody.begin(session, cause="rules", now=city.clock.now(), settings=city.settings)
        run.state, run.ends, run.standing = RunState.HELD, 60, 100
    city.clock.forward(timedelta(minutes=1))
    seen = (await client.get(f"{RUNS}/{run.id}", headers=worker)).json()
    assert (seen["state"], seen["ends"], seen["standing"], seen["released_by"]) == ("held", 60, 100, None)
    released = (await client.post(f"{RUNS}/{run.id}/release", headers=worker)).json()
    assert released["state"] == "running"
    assert released["released_by"] is not None


async def test_nobody_else_sees_or_moves_one(client: Client, city: City, vault: Vault) -> None:
    assert (await client.get(RUNS)).status_code == 401
    for role in (Role.CITIZEN, Role.RULE_APPROVER, Role.INTEGRATION_CLIENT):
        headers = await sign_in(city.database, vault, city.clock.now(), role)
        assert (await client.get(RUNS, headers=headers)).status_code == 403
        assert (await client.post(RUNS, headers=headers)).status_code == 403
    auditor = await sign_in(city.database, vault, city.clock.now(), Role.AUDITOR)
    assert (await client.get(RUNS, headers=auditor)).status_code == 200
    assert (await client.post(RUNS, headers=auditor)).status_code == 403
