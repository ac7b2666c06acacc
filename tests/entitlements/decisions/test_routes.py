from datetime import date, timedelta
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.access.rules import Role
from core.database import new_id
from core.vault import Vault
from entitlements.people.service import make_guardian
from tests.entitlements.decisions.making import TODAY, City
from tests.makers import sign_in

Client = AsyncTestClient[Litestar]
Headers = dict[str, str]
ADULT, CHILD = date(1990, 5, 4), date(2015, 3, 1)


async def citizen(city: City, vault: Vault, person: UUID) -> Headers:
    return await sign_in(city.database, vault, city.clock.now(), Role.CITIZEN, person_id=person)


async def case_worker(city: City, vault: Vault) -> Headers:
    return await sign_in(city.database, vault, city.clock.now(), Role.CASE_WORKER)


def by_programme(answer: list[dict[str, object]]) -> dict[str, dict[str, object]]:
    return {str(one["programme"]): one for one in answer}


@pytest.fixture
async def family(city: City) -> tuple[UUID, UUID]:
    """A mother and the child for whom she may act."""
    mother = await city.person(ADULT, sgb2=True)
    child = await city.person(CHILD, sgb2=True, school_stage="primary")
    await city.household("bedarfsgemeinschaft", mother, child)
    async with city.database.writing() as session:
        await make_guardian(
            session, None, mother, child, since=CHILD, until=date(2033, 2, 28), now=city.clock.now()
        )
    await city.assess(mother)
    return mother, child


async def test_a_holder_sees_what_they_hold_and_why(
    client: Client, city: City, vault: Vault, family: tuple[UUID, UUID]
) -> None:
    answer = await client.get("/v1/entitlements/", headers=await citizen(city, vault, family[0]))
    assert answer.status_code == 200
    found = by_programme(answer.json())
    card = found["sozialpass"]
    assert (card["held"], card["status"], card["name"]) == (True, "active", "Sozialpass")
    assert card["reasons"] == [
        {"code": "receives", "text": "Sie erhalten: Grundsicherungsgeld. (§§ 19 ff. SGB II)"}
    ]
    assert card["tariffs"] == [{"name": "social_ticket", "bit": 2, "label": "Sozialticket"}]
    school = found["bildungskarte"]
    assert (school["held"], school["id"], school["outcome"]) == (False, None, "refused")
    assert [reason["code"] for reason in school["reasons"]] == ["no_education_part"]  # type: ignore[union-attr, attr-defined]


async def test_texts_come_in_the_language_asked_for(
    client: Client, city: City, vault: Vault, family: tuple[UUID, UUID]
) -> None:
    headers = await citizen(city, vault, family[0])
    said = {}
    for language in ("de", "de-simple", "en"):
        answer = await client.get(f"/v1/entitlements/?lang={language}", headers=headers)
        said[language] = by_programme(answer.json())["sozialpass"]["reasons"]
    assert "You receive: basic income support" in str(said["en"])
    assert "Sie bekommen: Grund-Sicherungs-Geld" in str(said["de-simple"])
    browser = headers | {"Accept-Language": "fr, en-GB;q=0.9, de;q=0.8"}
    unasked = (await client.get("/v1/entitlements/", headers=browser)).json()
    assert by_programme(unasked)["sozialpass"]["reasons"] == said["en"]


async def test_a_guardian_sees_what_the_child_holds_and_its_money(
    client: Client, city: City, vault: Vault, family: tuple[UUID, UUID]
) -> None:
    mother, child = family
    headers = await citizen(city, vault, mother) | {"Acting-For": str(child)}
    found = by_programme((await client.get("/v1/entitlements/", headers=headers)).json())
    assert found["bildungskarte"]["held"] is True
    pots = {pot["kind"]: pot for pot in found["bildungskarte"]["allowances"]}  # type: ignore[attr-defined]
    assert {kind: pot["terms"] for kind, pot in pots.items()} == {
        "participation": "monthly",
        "day_trips": "per_event",
        "class_trips": "per_event",
    }
    assert [pots[kind]["balance_cents"] for kind in ("participation", "day_trips")] == [9 * 1500, 0]
    money = (await client.get("/v1/allowances/?lang=en", headers=headers)).json()
    by_name = {pot["name"]: pot for pot in money["pots"]}
    pot = by_name["Social and cultural participation"]
    assert pot["coming"][0] == {"month": "2026-10-01", "cents": 1500}
    assert (pot["until"], pot["usable_until"]) == ("2026-12-31", "2027-03-31")
    assert by_name["Day trips"]["coming"] == []
    assert money["lump_sums"] == []


async def test_a_stranger_sees_nothing_of_a_child(
    client: Client, city: City, vault: Vault, family: tuple[UUID, UUID]
) -> None:
    stranger = await city.person(ADULT)
    headers = await citizen(city, vault, stranger) | {"Acting-For": str(family[1])}
    for path in ("/v1/entitlements/", "/v1/allowances/", "/v1/decisions/"):
        assert (await client.get(path, headers=headers)).status_code == 404


async def test_a_case_worker_sees_it_at_the_desk_and_not_without_the_person(
    client: Client, city: City, vault: Vault, family: tuple[UUID, UUID]
) -> None:
    headers = await case_worker(city, vault)
    at_the_desk = headers | {"Acting-For": str(family[1]), "Channel": "desk"}
    assert (await client.get("/v1/entitlements/", headers=at_the_desk)).status_code == 200
    assert (await client.get("/v1/entitlements/", headers=headers)).status_code == 404


async def test_nobody_sees_anything_without_signing_in(client: Client) -> None:
    for path in ("/v1/entitlements/", "/v1/allowances/", "/v1/decisions/", "/v1/referrals/"):
        assert (await client.get(path)).status_code == 401


async def test_an_announced_end_shows_its_day(
    client: Client, city: City, vault: Vault, family: tuple[UUID, UUID]
) -> None:
    mother = family[0]
    city.clock.forward(timedelta(hours=1))
    await city.state(mother, sgb2=False)
    await city.state(family[1], sgb2=False)
    await city.assess(mother)
    found = by_programme(
        (await client.get("/v1/entitlements/", headers=await citizen(city, vault, mother))).json()
    )
    card = found["sozialpass"]
    assert (card["held"], card["status"], card["outcome"]) == (True, "ending", "refused")
    assert (card["until"], card["end_reason"]) == ("2026-10-04", "ground-ended")


async def test_decisions_are_read_one_by_one_and_strangers_find_none(
    client: Client, city: City, vault: Vault, family: tuple[UUID, UUID]
) -> None:
    headers = await citizen(city, vault, family[0])
    listed = (await client.get("/v1/decisions/?programme=sozialpass&limit=5", headers=headers)).json()
    assert [(d["outcome"], d["day"]) for d in listed] == [("granted", TODAY.isoformat())]
    one = await client.get(f"/v1/decisions/{listed[0]['id']}", headers=headers)
    assert one.status_code == 200
    assert one.json() == listed[0]
    stranger = await citizen(city, vault, await city.person(ADULT))
    assert (await client.get(f"/v1/decisions/{listed[0]['id']}", headers=stranger)).status_code == 404
    assert (await client.get("/v1/decisions/?limit=0", headers=headers)).status_code == 400


async def test_what_is_missing_names_the_department(client: Client, silent_city: City, vault: Vault) -> None:
    person = await silent_city.person(ADULT)
    await silent_city.assess(person)
    headers = await citizen(silent_city, vault, person)
    for language, label, known_by in (
        ("de", "Wohngeld", "die Wohngeldstelle"),
        ("en", "housing benefit (Wohngeld)", "the housing benefit office"),
    ):
        answer = await client.get("/v1/entitlements/", headers=headers | {"Accept-Language": language})
        found = by_programme(answer.json())
        assert found["sozialpass"]["outcome"] == "undetermined"
        assert {
            "fact": "wog",
            "label": label,
            "register_kind": "wohngeldstelle",
            "known_by": known_by,
            "department": "Amt für Wohnen, Wohngeldstelle",
        } in found["sozialpass"]["missing"]  # type: ignore[operator]


async def test_a_case_worker_has_a_person_judged_anew(client: Client, city: City, vault: Vault) -> None:
    person = await city.person(ADULT, sgb2=True)
    headers = await case_worker(city, vault)
    answer = await client.post("/v1/assessments/", json={"person_id": str(person)}, headers=headers)
    assert answer.status_code == 201
    assert answer.json() == {"persons": 1, "decisions": 6, "granted": 2, "ending": 0, "revoked": 0}
    again = await client.post("/v1/assessments/", json={"person_id": str(person)}, headers=headers)
    assert again.json() == {"persons": 1, "decisions": 0, "granted": 0, "ending": 0, "revoked": 0}
    nobody = await client.post("/v1/assessments/", json={"person_id": str(new_id())}, headers=headers)
    assert nobody.status_code == 404
    own = await client.post(
        "/v1/assessments/", json={"person_id": str(person)}, headers=await citizen(city, vault, person)
    )
    assert own.status_code == 403


async def test_a_case_worker_sees_what_waits_for_a_human(client: Client, city: City, vault: Vault) -> None:
    waiting = []
    for _ in range(2):
        person = await city.person(date(2008, 1, 1), sgb2=True)
        city.clock.forward(timedelta(minutes=1))
        await city.state(person, since=date(2008, 1, 1), birth_date_latest=date(2008, 12, 31))
        await city.assess(person)
        waiting.append(str(person))
    headers = await case_worker(city, vault)
    seen, after = list[str](), ""
    while True:
        page = (await client.get(f"/v1/referrals/?limit=1{after}", headers=headers)).json()
        seen += [one["person_id"] for one in page["referrals"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert seen == waiting
    person_headers = await citizen(city, vault, UUID(waiting[0]))
    assert (await client.get("/v1/referrals/", headers=person_headers)).status_code == 403


async def test_a_case_worker_takes_away_at_once_and_only_with_a_reason(
    client: Client, city: City, vault: Vault, family: tuple[UUID, UUID]
) -> None:
    held = await city.holds(family[0], "sozialpass")
    assert held is not None
    path, headers = f"/v1/entitlements/{held.id}/revocation", await case_worker(city, vault)
    because = headers | {"Reason": "Doppelt erfasst"}
    assert (await client.post(path, json={"reason": "error"}, headers=headers)).status_code == 400
    assert (await client.post(path, json={"reason": "ground-ended"}, headers=because)).status_code == 400
    citizen_headers = await citizen(city, vault, family[0])
    assert (await client.post(path, json={"reason": "error"}, headers=citizen_headers)).status_code == 403
    gone = await client.post(path, json={"reason": "error"}, headers=because)
    assert gone.status_code == 201
    assert (gone.json()["status"], gone.json()["end_reason"]) == ("revoked", "error")
    assert (await client.post(path, json={"reason": "error"}, headers=because)).status_code == 409
    unknown = f"/v1/entitlements/{new_id()}/revocation"
    assert (await client.post(unknown, json={"reason": "error"}, headers=because)).status_code == 404
