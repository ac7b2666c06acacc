"""Hostile input is a clear problem, never a failure of ours."""

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.access.rules import Role
from core.clock import FixedClock
from core.database import Database
from core.settings import DEFAULT_SECRET, DEMO_SECRET, Mode, Settings
from core.vault import Vault
from tests.makers import sign_in


@pytest.mark.parametrize("depth", [100, 1000, 100_000])
async def test_json_that_is_nested_too_deep_is_refused(client: AsyncTestClient[Litestar], depth: int) -> None:
    answer = await client.post(
        "/v1/scanners", content="[" * depth + "]" * depth, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize(
    "path", ["/static/%00", "/static/" + "a" * 5000, "/static/" + "a/" * 3000, "/static/../x"]
)
async def test_a_file_that_cannot_be_is_not_found(client: AsyncTestClient[Litestar], path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize("after", ["9223372036854775808", "-1", "x"])
async def test_a_page_that_cannot_be_is_a_bad_request(
    client: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock, after: str
) -> None:
    headers = await sign_in(database, vault, clock.now(), Role.AUDITOR)
    answer = await client.get("/v1/audit/entries", params={"after": after}, headers=headers)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "path", ["/v1/programmes/%00/versions", "/v1/programmes/a%00b/versions", "/v1/rules?programme=%00"]
)
async def test_a_nul_in_an_address_is_nothing_that_we_know(
    client: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock, path: str
) -> None:
    """PostgreSQL looks for no text with a NUL in it; SQLite finds nothing."""
    headers = await sign_in(database, vault, clock.now(), Role.AUDITOR)
    answer = await client.get(path, headers=headers)
    assert answer.status_code in {400, 404} or answer.json() == []


@pytest.mark.parametrize("secret", [DEFAULT_SECRET, DEMO_SECRET, "short"])
def test_production_does_not_start_with_a_secret_that_everybody_knows(secret: str) -> None:
    with pytest.raises(ValueError, match="CITYCARD_VAULT_SECRET"):
        Settings(mode=Mode.PRODUCTION, vault_secret=secret, _env_file=None)
