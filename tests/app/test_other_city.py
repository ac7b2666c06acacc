"""Another city is data: with its rulebook instead of Dortmund's, everything runs that ran before."""

import ast
from datetime import date
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.clock import FixedClock
from core.database import Database
from core.settings import Mode, Settings
from core.vault import Vault
from entitlements.facts.catalogue import RULEBOOKS
from tests.entitlements.decisions.making import City
from tests.issuers.makers import run_jobs

PACKAGES = ("core", "entitlements", "issuers", "wallet", "verifiers")
OLD = date(1950, 3, 1)
ADULT = date(1985, 3, 1)


@pytest.fixture(params=["koeln", "erlangen"])
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(settings: Settings, place: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """As a deployment is told which city it serves: by its environment."""
    monkeypatch.setenv("CITYCARD_CITY", place)
    told = Settings(mode=Mode.TEST, _env_file=None)
    return settings.model_copy(update={"city": told.city})


@pytest.fixture
async def city(database: Database, settings: Settings, clock: FixedClock) -> City:
    city = City(database, settings, clock)
    await city.found()
    return city


@pytest.mark.parametrize("place", ["koeln"], indirect=True)
async def test_a_deployment_of_another_city_starts_and_grants(
    client: AsyncTestClient[Litestar], city: City, vault: Vault
) -> None:
    told = (await client.get("/v1/programmes")).json()
    assert [programme["slug"] for programme in told["programmes"]] == ["koeln-pass"]
    assert [tariff["name"] for tariff in told["tariffs"]] == ["reduced"]

    pensioner = await city.person(OLD, sgb12_gsi=True)
    await city.assess(pensioner)
    held = await city.holds(pensioner, "koeln-pass")
    assert held is not None
    assert (held.ground, held.tariffs) == ("sgb12_gsi", ["reduced"])
    assert (held.since, held.until) == (city.today, date(2027, 9, 15))
    assert [code for code, _ in await city.told(pensioner)] == ["entitlement.granted-until"]
    await run_jobs(city.database, city.settings, vault, city.clock)


@pytest.mark.parametrize("place", ["koeln"], indirect=True)
async def test_there_what_is_given_on_request_is_not_given_unasked(city: City) -> None:
    worker = await city.person(ADULT, sgb2=True)
    household = await city.household("registered_household", worker)
    assert household
    await city.assess(worker)
    assert await city.holds(worker, "koeln-pass") is None


@pytest.mark.parametrize("place", ["koeln"], indirect=True)
async def test_there_whose_income_is_not_known_is_asked_for_it(city: City) -> None:
    person = await city.person(ADULT)
    await city.assess(person)
    decision = await city.decision(person, "koeln-pass")
    assert decision.outcome == "undetermined"
    assert {missing["fact"] for missing in decision.missing} == {"household_net_income", "household_need"}


@pytest.mark.parametrize("place", ["erlangen"], indirect=True)
async def test_a_pass_can_be_offered_to_the_end_of_a_quarter(city: City) -> None:
    person = await city.person(ADULT, wog=True)
    await city.assess(person)
    assert await city.holds(person, "erlangenpass") is None, "it is given on request only"


def test_no_code_names_a_city_or_a_programme() -> None:
    """But for the default of the setting, examples in the API's description, and remarks."""
    cities = [front.parent for front in RULEBOOKS.glob("*/rulebook.yaml")]
    words = {city.name for city in cities} | {
        file.stem for city in cities for file in city.glob("*.yaml") if ".cases" not in file.name
    }
    root = RULEBOOKS.parent
    found = [
        f"{path.relative_to(root)}: {node.value}"
        for package in PACKAGES
        for path in sorted((root / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in words - {"rulebook"}
        if (path.name, node.value) != ("settings.py", "dortmund")
    ]
    examples = _examples(root)
    assert [line for line in found if line not in examples] == []


def _examples(root: Path) -> set[str]:
    """The words that stand in `examples=[…]` only."""
    return {
        f"{path.relative_to(root)}: {node.value}"
        for package in PACKAGES
        for path in (root / package).rglob("*.py")
        for keyword in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(keyword, ast.keyword) and keyword.arg == "examples"
        for node in ast.walk(keyword.value)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
