"""What every test stands on: a fixed noon, a database of each kind, an application with a client."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy.ext.asyncio import AsyncSession

from app.application import House, build, create_app, furnish
from core.clock import FixedClock
from core.database import Database
from core.settings import Mode, Settings
from core.vault import MemoryVault, Vault
from tests.databases import Postgres, Server, lent, make_tables, postgres_url, quick_folder, share_compiled

NOON = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)
"""A Wednesday noon in Dortmund."""

_server: Server | None = None

share_compiled()

# No test is wrong because the machine is slow.
hypothesis.settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any-machine")


def pytest_configure(config: pytest.Config) -> None:
    """Starts one PostgreSQL for all workers, unless TEST_DATABASE_URL names one."""
    global _server  # noqa: PLW0603
    if hasattr(config, "workerinput"):
        return
    if quick := quick_folder():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", quick)
    if os.environ.get("TEST_DATABASE_URL") or os.environ.get("CITYCARD_TEST_DATABASES") == "sqlite":
        return
    _server = Server()
    os.environ["TEST_DATABASE_URL"] = _server.url


def pytest_unconfigure(config: pytest.Config) -> None:
    if _server is not None:
        _server.stop()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Lets workers share the tests as `sharing` says, with `--dist loadgroup`."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from tests.sharing import Sharing

    return Sharing(config, log)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with every table and no row, copied for each test."""
    path = tmp_path_factory.mktemp("sqlite") / "empty.sqlite"
    asyncio.run(make_tables(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """PostgreSQL, which lends databases."""
    postgres = Postgres(postgres_url())
    yield postgres
    postgres.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database; every test that uses one runs on both kinds."""
    with lent(request, tmp_path) as url:
        yield url


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(
        mode=Mode.TEST,
        database_url=database_url,
        vault_file=tmp_path / "vault.json",
        status_size=4096,
        _env_file=None,
    )


@pytest.fixture
def vault() -> Vault:
    """Keys in memory: the file vault has tests of its own, and its key derivation is slow on purpose."""
    return MemoryVault()


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The database itself, for tests of services: `async with database.writing() as session`."""
    database = Database(settings.database_url)
    yield database
    await database.dispose()


@pytest.fixture
async def session(database: Database) -> AsyncIterator[AsyncSession]:
    """One open transaction, committed at the end of the test."""
    async with database.writing() as session:
        yield session


@pytest.fixture(scope="session")
def house() -> House:
    """The rooms and doors, built once for all tests of a process; what lives there is each test's own."""
    return build(Settings(mode=Mode.TEST, _env_file=None).max_body)


@pytest.fixture
def application(settings: Settings, clock: FixedClock, vault: Vault, house: House) -> Litestar:
    """The application as it is served; a test that adds doors of its own takes `own_application`."""
    return furnish(house, settings, clock, vault, work=False)


@pytest.fixture
def own_application(settings: Settings, clock: FixedClock, vault: Vault) -> Litestar:
    """An application of this test alone, which may be given doors of its own."""
    return create_app(settings, clock, vault=vault, work=False)


@pytest.fixture
async def client(application: Litestar) -> AsyncIterator[AsyncTestClient[Litestar]]:
    """A client of the application. It lives on a loop of its own: jobs are run by a Worker of the test's own."""
    async with AsyncTestClient(application, base_url="https://testserver.local") as client:
        yield client
