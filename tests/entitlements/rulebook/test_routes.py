from datetime import timedelta

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.database import Database
from entitlements.facts.catalogue import vocabulary
from entitlements.language import Tree, parse
from entitlements.rulebook import service
from tests.conftest import NOON
from tests.rulebooks import dortmund

Client = AsyncTestClient[Litestar]


@pytest.fixture(autouse=True)
async def rules(database: Database) -> None:
    async with database.writing() as session:
        await service.load(session, dortmund(), NOON - timedelta(days=1))


async def test_anybody_sees_what_the_city_grants(client: Client) -> None:
    answer = await client.get("/v1/programmes/?lang=en")
    assert answer.status_code == 200
    named = {one["slug"]: one["name"] for one in answer.json()["programmes"]}
    assert named["dortmund-karte"] == "Dortmund Card"
    assert named["bildungskarte"] == "Education Card"
    assert answer.json()["tariffs"][0] == {"name": "reduced", "bit": 0, "label": "reduced"}


async def test_plain_german_is_a_language(client: Client) -> None:
    answer = await client.get("/v1/programmes/?lang=de-simple")
    assert "Bildungs-Karte" in [one["name"] for one in answer.json()["programmes"]]


async def test_rules_are_no_secret_and_read_as_they_decide(client: Client) -> None:
    answer = await client.get("/v1/programmes/bildungskarte/versions")
    assert answer.status_code == 200
    (version,) = answer.json()
    grounds = {ground["name"]: ground for ground in version["grounds"]}
    assert (grounds["G2"]["rule"], grounds["G2"]["payer"]) == ("sgb2", "jobcenter")
    assert version["until"] is None
    known = vocabulary({name: p.type for name, p in dortmund().parameters.items()})
    for ground, stored in zip(version["grounds"], version["content"]["grounds"], strict=True):
        assert parse(ground["rule"], known) == Tree.from_json(stored["when"])


async def test_an_unknown_programme_is_not_found(client: Client) -> None:
    assert (await client.get("/v1/programmes/no-such/versions")).status_code == 404


async def test_an_unknown_language_is_refused(client: Client) -> None:
    assert (await client.get("/v1/programmes/?lang=tlh")).status_code == 400
