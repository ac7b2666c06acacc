"""`citycard request`: what testers of wallets and counters without a screen use."""

import json
import shlex
from typing import Any

import anyio
import pytest
from click.testing import CliRunner, Result
from litestar import Litestar
from litestar.testing import AsyncTestClient

from app.cli import inside, main, requesting
from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import Vault
from tests.verifiers.makers import City, make_city

PUBLIC = "https://testserver.local"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"public_url": PUBLIC})


@pytest.fixture
async def city(  # noqa: PLR0917  (what a test stands on)
    client: AsyncTestClient[Litestar],
    database: Database,
    vault: Vault,
    settings: Settings,
    clock: FixedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> City:
    running = inside.Running(settings, clock)
    monkeypatch.setattr(inside.Running, "found", staticmethod(lambda _demo, _port: running))
    monkeypatch.setattr(requesting, "open_vault", lambda _settings: vault)
    return await make_city(client, database, vault, settings, clock)


async def run(*arguments: str) -> Result:
    # The command has an event loop of its own, as at a terminal.
    return await anyio.to_thread.run_sync(lambda: CliRunner().invoke(main, ["request", *arguments]))


async def opened(city: City, *arguments: str) -> dict[str, Any]:
    result = await run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    printed: dict[str, Any] = json.loads(result.stdout)
    return printed


@pytest.mark.parametrize("named", ["name", "number", "id"])
async def test_a_venue_asks_by_name_number_or_id_and_the_status_is_read_with_curl(
    city: City, named: str
) -> None:
    venue = await city.venue()
    await city.offer(venue)
    printed = await opened(city, str(venue[named]))
    assert set(printed) == {"authorization_request", "status_cmd"}
    assert printed["authorization_request"].startswith("openid4vp://?client_id=x509_hash")
    command, silent, url = shlex.split(printed["status_cmd"])
    assert (command, silent) == ("curl", "-s")
    assert url.startswith(f"{PUBLIC}/v1/presentations/")
    status = await city.client.get(url)
    assert status.status_code == 200
    assert status.json()["status"] == "waiting"


async def test_a_part_of_the_name_is_enough_where_it_means_one(city: City) -> None:
    await city.offer(await city.venue())
    asked = await opened(city, "hallen", "--scheme", "haip-vp", "--request-uri-method", "get", "--with-name")
    assert asked["authorization_request"].startswith("haip-vp://?")
    assert "request_uri_method" not in asked["authorization_request"]
    await city.venue()
    result = await run("hallen")
    assert result.exit_code == 1
    assert "2 found" in result.stderr


async def test_what_cannot_be_asked_is_said(city: City) -> None:
    assert (await run("Nirgends")).exit_code == 1
    venue = await city.venue()
    bare = await run(str(venue["number"]))
    assert bare.exit_code == 1
    assert "no offer here" in bare.stderr
    unknown = await run(str(venue["number"]), "--tariff", "none")
    assert unknown.exit_code == 1
    plain = await run(str(venue["number"]), "--tariff", "reduced")
    assert plain.exit_code == 0
    assert plain.stdout.splitlines()[1].startswith("curl -s ")
