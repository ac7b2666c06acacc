from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.access.rules import Role
from core.vault import Vault
from tests.entitlements.releases.making import CASE, NEXT_YEAR, RAISED, Office, karte
from tests.makers import sign_in

Client = AsyncTestClient[Litestar]
Headers = dict[str, str]
DRAFT = {"title": "A wider card", "form": "yaml", "source": karte(["sgb2", "wog", "kiz", "bafoeg"]) + CASE}
NARROW = DRAFT | {"source": karte(["sgb2"]) + CASE}


async def as_(office: Office, vault: Vault, *roles: Role) -> Headers:
    return await sign_in(office.database, vault, office.now, *roles)


async def through_the_gate(
    client: Client, office: Office, author: Headers, draft: dict[str, str]
) -> dict[str, Any]:
    answer = await client.post("/v1/releases/", json=draft, headers=author)
    assert answer.status_code == 201, answer.text
    path = f"/v1/releases/{answer.json()['id']}"
    answer = await client.post(f"{path}/checks", headers=author)
    assert answer.status_code == 202, answer.text
    assert answer.json()["status"] == "checking"
    assert {step["state"] for step in answer.json()["check"]["steps"]} == {"waiting"}
    done = 0
    while await office.owed("release.check"):
        await office.run_jobs()
        done += 1
        assert done < 10
    found: dict[str, Any] = (await client.get(path, headers=author)).json()
    assert found["status"] == "ready", found["check"]
    return found


async def test_a_rule_changes_from_draft_to_day_of_force(client: Client, town: Office, vault: Vault) -> None:
    author, approver = await as_(town, vault, Role.RULE_AUTHOR), await as_(town, vault, Role.RULE_APPROVER)
    ready = await through_the_gate(client, town, author, DRAFT)
    path = f"/v1/releases/{ready['id']}"
    assert [step["step"] for step in ready["check"]["steps"]] == [
        "types",
        "cases",
        "invariants",
        "differential",
        "simulation",
    ]

    told = (await client.get(f"{path}/diff?lang=de", headers=approver)).json()
    assert told["content_hash"] == ready["content_hash"]
    texts = [change["text"] for change in told["changes"]]
    assert any("Der Rechtsgrund „bafoeg“ kommt ab 1.1.2027 hinzu" in text for text in texts), texts
    english = (await client.get(f"{path}/diff?lang=en", headers=approver)).json()
    assert any(
        "The ground “bafoeg” is new from 2027-01-01" in change["text"] for change in english["changes"]
    )

    simulated = (await client.get(f"{path}/simulation", headers=approver)).json()
    assert simulated["id"] == ready["check"]["simulation_id"]
    (card,) = simulated["result"]["programmes"]
    assert card["programme"] == "dortmund-karte"
    assert card["total"]["held_after"] is None or card["total"]["held_after"] > 0
    assert simulated["result"]["persons"] == 300

    answer = await client.post(
        f"{path}/approval",
        json={"content_hash": ready["content_hash"], "acknowledge_endings": True},
        headers=approver,
    )
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["first_day"]) == ("released", NEXT_YEAR.isoformat())
    versions = (await client.get("/v1/programmes/dortmund-karte/versions")).json()
    assert [v["since"] for v in versions] == ["2024-01-01", "2027-01-01"]
    rules = (await client.get("/v1/rules?programme=dortmund-karte", headers=author)).json()
    assert rules[-1]["release_id"] == ready["id"]
    assert rules[-1]["author_id"] != rules[-1]["approver_id"]
    # What its approver read stays as it was read.
    assert (await client.get(f"{path}/diff?lang=de", headers=author)).json() == told


async def test_only_a_second_person_of_the_right_role_approves(
    client: Client, town: Office, vault: Vault
) -> None:
    both = await as_(town, vault, Role.RULE_AUTHOR, Role.RULE_APPROVER)
    ready = await through_the_gate(client, town, both, NARROW)
    path, word = f"/v1/releases/{ready['id']}", {"content_hash": ready["content_hash"]}
    for headers, status in (
        (await as_(town, vault, Role.RULE_AUTHOR), 403),
        (await as_(town, vault, Role.AUDITOR), 403),
        (await as_(town, vault, Role.CASE_WORKER), 403),
        ({}, 401),
    ):
        assert (await client.post(f"{path}/approval", json=word, headers=headers)).status_code == status
    own = await client.post(f"{path}/approval", json=word, headers=both)
    assert (own.status_code, own.json()["type"]) == (403, "urn:citycard:problem:author-decides")
    approver = await as_(town, vault, Role.RULE_APPROVER)
    many = await client.post(f"{path}/approval", json=word, headers=approver)
    assert (many.status_code, many.json()["type"]) == (409, "urn:citycard:problem:release-ends-many")
    other = await client.post(f"{path}/approval", json={"content_hash": "0" * 64}, headers=approver)
    assert (other.status_code, other.json()["type"]) == (409, "urn:citycard:problem:draft-moved")


async def test_who_saves_what_somebody_else_has_saved_is_told(
    client: Client, office: Office, vault: Vault
) -> None:
    author = await as_(office, vault, Role.RULE_AUTHOR)
    release = (await client.post("/v1/releases/", json=DRAFT, headers=author)).json()
    path = f"/v1/releases/{release['id']}"
    changed = NARROW | {"version": 1}
    assert (await client.put(path, json=changed, headers=author)).json()["version"] == 2
    answer = await client.put(path, json=changed, headers=author)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:citycard:problem:draft-moved")
    assert answer.json()["version"] == 2
    kept = (await client.get(f"{path}/revisions", headers=author)).json()
    assert [one["source"] for one in kept] == [DRAFT["source"], NARROW["source"]]


async def test_a_draft_that_cannot_be_understood_says_in_which_line(
    client: Client, office: Office, vault: Vault
) -> None:
    author = await as_(office, vault, Role.RULE_AUTHOR)
    release = (
        await client.post("/v1/releases/", json=DRAFT | {"source": karte(["sgb3"])}, headers=author)
    ).json()
    answer = await client.get(f"/v1/releases/{release['id']}/diff", headers=author)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:citycard:problem:rulebook-not-sound")
    assert answer.json()["line"] > 1
    simulated = await client.post("/v1/simulations/", json={"release_id": release["id"]}, headers=author)
    assert simulated.status_code == 422


async def test_a_draft_is_rejected_withdrawn_and_read(client: Client, office: Office, vault: Vault) -> None:
    author, approver = (
        await as_(office, vault, Role.RULE_AUTHOR),
        await as_(office, vault, Role.RULE_APPROVER),
    )
    made = [(await client.post("/v1/releases/", json=DRAFT, headers=author)).json()["id"] for _ in range(2)]
    why = {"remark": "Not decided yet"}
    assert (
        await client.post(f"/v1/releases/{made[0]}/withdrawal", json=why, headers=author)
    ).status_code == 200
    assert (
        await client.post(f"/v1/releases/{made[1]}/rejection", json=why, headers=approver)
    ).status_code == 200
    listed = (await client.get("/v1/releases/", headers=await as_(office, vault, Role.AUDITOR))).json()
    assert {r["status"] for r in listed["releases"]} == {"withdrawn", "rejected"}
    only = (await client.get("/v1/releases/?status=rejected&limit=1", headers=author)).json()
    assert [r["id"] for r in only["releases"]] == [made[1]]


async def test_a_way_back_begins_as_a_draft(client: Client, town: Office, vault: Vault) -> None:
    author, approver = await as_(town, vault, Role.RULE_AUTHOR), await as_(town, vault, Role.RULE_APPROVER)
    ready = await through_the_gate(client, town, author, {"title": "More", "source": RAISED})
    path = f"/v1/releases/{ready['id']}"
    back = {"day": "2027-03-01", "title": "Back"}
    assert (await client.post(f"{path}/rollback", json=back, headers=author)).status_code == 409
    await client.post(f"{path}/approval", json={"content_hash": ready["content_hash"]}, headers=approver)
    answer = await client.post(f"{path}/rollback", json=back, headers=author)
    assert answer.status_code == 201
    assert answer.json()["undoes_id"] == ready["id"]
    assert "1500" in answer.json()["source"]


# --- simulations --------------------------------------------------------------------------------------------


async def test_names_are_for_case_workers_only_and_each_look_is_written_down(
    client: Client, town: Office, vault: Vault
) -> None:
    author = await as_(town, vault, Role.RULE_AUTHOR)
    release = (await client.post("/v1/releases/", json=NARROW, headers=author)).json()
    answer = await client.post("/v1/simulations/", json={"release_id": release["id"]}, headers=author)
    assert answer.status_code == 202
    path = f"/v1/simulations/{answer.json()['id']}"
    whom = f"{path}/persons?programme=dortmund-karte&change=losses"
    worker = await as_(town, vault, Role.CASE_WORKER)
    assert (await client.get(whom, headers=worker)).status_code == 409
    await town.run_jobs()
    told = (await client.get(path, headers=worker)).json()
    assert told["state"] == "done"
    for roles in ([Role.RULE_AUTHOR], [Role.RULE_APPROVER], [Role.AUDITOR]):
        assert (await client.get(whom, headers=await as_(town, vault, *roles))).status_code == 403
    found = (await client.get(whom + "&limit=5", headers=worker)).json()
    assert len(found["persons"]) == 5
    more = (await client.get(f"{whom}&after={found['next']}", headers=worker)).json()
    assert not set(found["persons"]) & set(more["persons"])
    assert await town.noted("simulation.persons") == 2


async def test_two_days_are_compared_without_a_draft(client: Client, town: Office, vault: Vault) -> None:
    author = await as_(town, vault, Role.RULE_AUTHOR)
    asked = {"before_on": "2026-09-16", "after_on": "2026-12-31", "months": 1}
    answer = await client.post("/v1/simulations/", json=asked, headers=author)
    while await town.owed("simulation.step"):
        await town.run_jobs()
    told = (await client.get(f"/v1/simulations/{answer.json()['id']}", headers=author)).json()
    assert told["result"]["programmes"] == []
    assert {one["programme"] for one in told["result"]["months"]} == {
        "dortmund-karte",
        "bildungskarte",
        "sozialpass",
    }
    assert told["on"] == "2026-09-16"


@pytest.mark.parametrize("asked", [{"months": 13}, {"release_id": "x"}, {"rules": "all"}])
async def test_what_is_asked_in_another_form_is_refused(
    client: Client, office: Office, vault: Vault, asked: dict[str, object]
) -> None:
    author = await as_(office, vault, Role.RULE_AUTHOR)
    assert (await client.post("/v1/simulations/", json=asked, headers=author)).status_code == 400
