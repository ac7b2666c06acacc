"""A house that many tests share: its address, its authority and its rules stand; noon and people are each test's own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography import x509
from litestar import Litestar
from litestar.testing import AsyncTestClient

from app import create_app
from core.clock import FixedClock
from core.database import Database
from core.settings import Mode, Settings
from core.vault import MemoryVault, Vault
from issuers.authorities.certificates import development_anchor
from issuers.authorities.service import ensure_authority
from tests import rulebooks
from tests.conftest import NOON
from tests.databases import lent

PUBLIC = "https://karte.example"


@dataclass
class House:
    """The application, its database and its vault."""

    application: Litestar
    client: AsyncTestClient[Litestar]
    database: Database
    settings: Settings
    vault: Vault
    anchor: x509.Certificate


H = TypeVar("H", bound=House)


@asynccontextmanager
async def opened(kind: type[H], url: str, folder: Path, **more: Any) -> AsyncIterator[H]:
    """A house on an empty database, whose files are in a folder; `more` are settings of its own."""
    settings = Settings(
        mode=Mode.TEST,
        database_url=url,
        vault_file=folder / "vault.json",
        status_size=4096,
        public_url=PUBLIC,
        _env_file=None,
        **more,
    )
    vault = MemoryVault()
    application = create_app(settings, FixedClock(NOON), vault=vault, work=False)
    database = Database(url)
    async with database.writing() as session:
        await ensure_authority(session, vault, settings, NOON)
        await rulebooks.load(session, NOON)
        anchor = await development_anchor(session, vault, NOON)
    assert anchor is not None
    async with AsyncTestClient(application, base_url=PUBLIC) as client:
        yield kind(application, client, database, settings, vault, anchor)
    await database.dispose()


# ---- fixtures, for a conftest that says what its `house` is ----


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def house_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An empty database of each kind, for all of these tests."""
    with lent(request, tmp_path_factory.mktemp("house")) as url:
        yield url


@pytest.fixture
def clock(house: House) -> FixedClock:
    clock = FixedClock(NOON)
    house.application.state.clock = clock
    return clock


@pytest.fixture
def settings(house: House) -> Settings:
    return house.settings


@pytest.fixture
def client(house: House, clock: FixedClock) -> AsyncTestClient[Litestar]:
    house.client.cookies.clear()
    return house.client
