"""Many requests, one transaction, each answered after its commit."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from core.batch import Batch
from core.database import Database
from core.errors import Unavailable


@pytest.fixture
async def kept(database: Database) -> Database:
    async with database.writing() as session:
        await session.execute(text("CREATE TABLE kept (n INTEGER PRIMARY KEY CHECK (n >= 0))"))
    return database


async def keep(session: AsyncSession, items: Sequence[int]) -> list[int]:
    await session.execute(text("INSERT INTO kept VALUES (:n)"), [{"n": n} for n in items])
    return [n * 10 for n in items]


async def rows(database: Database) -> list[int]:
    async with database.reading() as session:
        return [row[0] for row in await session.execute(text("SELECT n FROM kept ORDER BY n"))]


async def test_everybody_gets_the_own_answer_and_it_is_committed_by_then(kept: Database) -> None:
    batch = Batch(kept, keep)

    async def one(n: int) -> None:
        assert await batch.submit(n) == n * 10
        assert n in await rows(kept)

    await asyncio.gather(*(one(n) for n in range(20)))


async def test_who_comes_at_the_same_time_shares_a_transaction(kept: Database) -> None:
    sizes: list[int] = []

    async def work(session: AsyncSession, items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        return await keep(session, items)

    batch = Batch(kept, work, most=64)
    await asyncio.gather(*(batch.submit(n) for n in range(100)))
    assert sum(sizes) == 100
    assert len(sizes) <= 3
    assert max(sizes) == 64


async def test_a_fault_is_its_owners_alone(kept: Database) -> None:
    batch = Batch(kept, keep)
    answers = await asyncio.gather(*(batch.submit(n) for n in [1, 2, -3, 4, 5]), return_exceptions=True)
    assert [answers[at] for at in (0, 1, 3, 4)] == [10, 20, 40, 50]
    assert isinstance(answers[2], IntegrityError)
    assert await rows(kept) == [1, 2, 4, 5]


async def test_an_exception_given_as_a_result_reaches_one_caller_and_undoes_nothing(kept: Database) -> None:
    class Odd(Exception):
        pass

    async def work(session: AsyncSession, items: Sequence[int]) -> list[int | Odd]:
        await keep(session, items)
        return [Odd() if n % 2 else n for n in items]

    batch = Batch(kept, work)
    answers = await asyncio.gather(*(batch.submit(n) for n in [1, 2]), return_exceptions=True)
    assert isinstance(answers[0], Odd)
    assert answers[1] == 2
    assert await rows(kept) == [1, 2]


async def test_too_many_are_told_to_come_back(kept: Database) -> None:
    batch = Batch(kept, keep, most=1, waiting=3)
    answers = await asyncio.gather(*(batch.submit(n) for n in range(6)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Unavailable)]
    assert refused
    assert all(error.headers["Retry-After"] for error in refused)
    assert len(await rows(kept)) == 6 - len(refused)
    assert await batch.submit(99) == 990, "and it goes on afterwards"


async def test_who_hangs_up_takes_nobody_along(kept: Database) -> None:
    batch = Batch(kept, keep)
    tasks = [asyncio.create_task(batch.submit(n)) for n in range(5)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[3].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [answers[at] for at in (1, 2, 4)] == [10, 20, 40]
    assert await rows(kept) == [1, 2, 4], "who had not been taken yet has not asked"


async def test_a_database_that_is_away_is_said_to_be_away_once(kept: Database) -> None:
    tries = 0

    async def work(_session: AsyncSession, _items: Sequence[int]) -> list[int]:
        nonlocal tries
        tries += 1
        raise OperationalError("SELECT 1", {}, Exception("gone"))

    batch = Batch(kept, work)
    answers = await asyncio.gather(*(batch.submit(n) for n in range(8)), return_exceptions=True)
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert tries == 1, "no item is tried alone when the database is at fault"


async def test_two_batches_on_one_database_lose_nothing(database_url: str, kept: Database) -> None:
    other = Database(database_url)
    try:
        here, there = Batch(kept, keep, most=4), Batch(other, keep, most=4)
        await asyncio.gather(*((here if n % 2 else there).submit(n) for n in range(40)))
        assert await rows(kept) == list(range(40))
    finally:
        await other.dispose()
