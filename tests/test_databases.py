"""Tests stand apart: whatever one leaves behind in its database, the next one finds none of it."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.models import Principal, PrincipalKey
from core.audit.models import Checkpoint
from core.database import Database
from tests.conftest import NOON
from tests.databases import USES, Postgres, postgres_url
from tests.makers import make_machine

T = TypeVar("T")


@pytest.fixture(scope="module")
def lender() -> Iterator[Postgres]:
    """One that lends to these tests alone."""
    lender = Postgres(postgres_url())
    yield lender
    lender.close()


def do(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    async def alone() -> T:
        database = Database(url)
        done = await work(database)
        await database.dispose()
        return done

    return asyncio.run(alone())


async def fill(database: Database) -> int:
    """Writes rows that rest on each other, and one with a number that counts on; the number."""
    await make_machine(database, NOON)
    async with database.writing() as session:
        number = insert(Checkpoint).values(chain_hash=b"", at=NOON, signed="").returning(Checkpoint.position)
        position: int = (await session.execute(number)).scalar_one()
        return position


async def rows(database: Database) -> int:
    tables = (Principal, PrincipalKey, Checkpoint)
    async with database.reading() as session:
        counts = [await session.execute(select(func.count()).select_from(table)) for table in tables]
        return sum(count.scalar_one() for count in counts)


def test_a_database_is_lent_again_without_its_rows_and_counts_anew(lender: Postgres) -> None:
    with lender.lend() as first:
        number = do(first, fill)
        assert do(first, rows) == 3
    with lender.lend() as second:
        assert second == first
        assert do(second, rows) == 0
        assert do(second, fill) == number


def test_two_borrow_two(lender: Postgres) -> None:
    with lender.lend() as one, lender.lend() as other:
        do(one, fill)
        assert do(other, rows) == 0


def test_a_transaction_that_was_left_open_ends_with_its_test(lender: Postgres) -> None:
    loop = asyncio.new_event_loop()
    with lender.lend() as first:
        database = Database(first)

        async def leave_open() -> AsyncSession:
            await fill(database)
            session = AsyncSession(database.engine)
            await session.execute(text("LOCK TABLE principals"))
            return session

        session = loop.run_until_complete(leave_open())
    with lender.lend() as second:
        assert second == first
        assert do(second, rows) == 0
    loop.run_until_complete(session.invalidate())
    loop.run_until_complete(database.dispose())
    loop.close()
    gc.collect()


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE another (n int)",
        "ALTER TABLE jobs ADD COLUMN another int",
        "ALTER TABLE jobs ALTER COLUMN kind TYPE text",
        "DROP INDEX ix_jobs_run_at",
        "ALTER TABLE jobs DROP CONSTRAINT uq_jobs_once",
        "ALTER TABLE facts DROP CONSTRAINT ck_facts_one_value",
        "ANALYZE principals",
    ],
)
def test_a_database_whose_tables_were_changed_is_lent_to_nobody(lender: Postgres, change: str) -> None:
    async def alter(database: Database) -> None:
        await fill(database)
        async with database.writing() as session:
            await session.execute(text(change))

    with lender.lend() as first:
        do(first, alter)
    with lender.lend() as second:
        assert second != first
        assert do(second, rows) == 0


def test_a_database_does_not_grow_old(lender: Postgres) -> None:
    lent = set()
    for _ in range(USES + 1):
        with lender.lend() as url:
            lent.add(url)
    assert len(lent) == 2
