"""How rows are kept: engines for SQLite and PostgreSQL, one transaction a request, and the column types."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

import anyio
import uuid_utils.compat
from sqlalchemy import JSON, DateTime, Dialect, MetaData, String, TypeDecorator, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.types import LargeBinary
from sqlmodel import SQLModel

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

__all__ = ["Bytes", "Database", "Json", "Moment", "impersonal", "new_id", "personal", "tables", "word"]

T = TypeVar("T")

Bytes = LargeBinary
Json = JSON


class Moment(TypeDecorator[datetime]):
    """A moment in UTC; refuses naive ones, and gives SQLite its zone back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        value = value.astimezone(UTC)
        return value if dialect.name != "sqlite" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class _Word(TypeDecorator[StrEnum]):
    """A StrEnum kept as its word, so that a new member needs no migration of a type."""

    impl = String
    cache_ok = True

    def __init__(self, kind: type[StrEnum], length: int = 32) -> None:
        super().__init__(length)
        self.kind = kind

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:
        return None if value is None else self.kind(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.kind(value)


def word(kind: type[StrEnum]) -> Any:
    """The column type of an enum: `Field(sa_type=word(Standing))`."""
    return _Word(kind)


def new_id() -> UUID:
    """A UUIDv7 for rows inside; what a venue or the public sees takes `uuid4`, which tells no time."""
    return uuid_utils.compat.uuid7()


def personal(column: str, **keep: Any) -> dict[str, Any]:
    """Declares, as `__table_args__` (or its last entry), which column names the person a row is about."""
    return {"info": {"person": column, **keep}}


def impersonal(why: str) -> dict[str, Any]:
    """Declares that a table says nothing of any person, and why."""
    return {"info": {"person": None, "why": why}}


def tables() -> MetaData:
    """Every table of the system, as far as its modules are imported (see `app.tables`)."""
    return SQLModel.metadata


RETRY = {"40001", "40P01"}
"""SQLSTATE of serialization failure and deadlock: the transaction did nothing and may run again."""


class Database:
    """The engines behind one database URL; writes on SQLite wait in one queue and take the lock at once."""

    def __init__(self, url: str, *, pool: int = 10) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        if self.is_sqlite:
            # One writer connection with a queue: SQLite's own busy handler polls, and starves somebody.
            self.engine = create_async_engine(url, pool_size=1, max_overflow=0, pool_timeout=60)
            self._readers = create_async_engine(url, pool_size=4, max_overflow=4, pool_timeout=60)
            _prepare_sqlite(self.engine, "BEGIN IMMEDIATE", read_only=False)
            _prepare_sqlite(self._readers, "BEGIN", read_only=True)
        else:
            self.engine = create_async_engine(url, pool_size=pool, max_overflow=pool, pool_pre_ping=True)
            self._readers = self.engine
        self._write = async_sessionmaker(self.engine, class_=AsyncSession, expire_on_commit=False)
        self._read = async_sessionmaker(self._readers, class_=AsyncSession, expire_on_commit=False)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed at the end, rolled back on any error."""
        async with self._write.begin() as session:
            yield session

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """One consistent look without a write lock."""
        async with self._read.begin() as session:
            yield session

    async def in_transaction(self, work: Callable[[AsyncSession], Awaitable[T]], *, attempts: int = 5) -> T:
        """Runs `work` in a transaction and again when the database could not serialise it.

        `work` must have no effect outside the database; mail and HTTP go to the outbox.
        """
        for attempt in range(1, attempts + 1):
            try:
                async with self.writing() as session:
                    return await work(session)
            except DBAPIError as error:
                if attempt == attempts or not _retryable(error):
                    raise
                await anyio.sleep(0.02 * attempt)
        raise AssertionError

    async def dispose(self) -> None:
        await self.engine.dispose()
        await self._readers.dispose()


class Look:
    """One consistent look that a request shares: begun by whoever asks first, and over once it is closed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open: AbstractAsyncContextManager[AsyncSession] | None = None
        self._session: AsyncSession | None = None

    async def session(self) -> AsyncSession:
        """The session; after `close` it is another one."""
        if self._session is None:
            self._open = self._database.reading()
            self._session = await self._open.__aenter__()
        return self._session

    async def close(self) -> None:
        """Gives the connection back; nothing is lost, since nothing was written."""
        opened, self._open, self._session = self._open, None, None
        if opened is not None:
            await opened.__aexit__(None, None, None)


def state_of(error: DBAPIError) -> str | None:
    """The five characters by which PostgreSQL says what is wrong (SQLSTATE); None where the database says no such thing."""
    state: str | None = getattr(error.orig, "sqlstate", None) or getattr(
        getattr(error.orig, "__cause__", None), "sqlstate", None
    )
    return state


def _retryable(error: DBAPIError) -> bool:
    return state_of(error) in RETRY or "database is locked" in str(error.orig)


def _prepare_sqlite(engine: AsyncEngine, begin: str, *, read_only: bool) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        # The driver must not begin on its own: its deferred BEGIN loses updates without an error.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "busy_timeout=30000",
            "temp_store=MEMORY",
            *(["query_only=ON"] if read_only else []),
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)
