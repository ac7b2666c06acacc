"""Rows are kept as they were given, and no update is lost."""

from datetime import UTC, datetime, timedelta, timezone

import anyio
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlmodel import SQLModel, col

import app.tables  # noqa: F401
from core.access.models import Principal, PrincipalKey
from core.access.rules import PrincipalKind
from core.clock import FixedClock
from core.database import Database, new_id
from core.jobs.models import Job


async def test_no_increment_is_lost_when_six_read_and_write(database: Database, clock: FixedClock) -> None:
    async with database.writing() as session:
        session.add(Job(kind="count", run_at=clock.now()))

    async def increment() -> None:
        for _ in range(10):
            async with database.writing() as session:
                job = (await session.execute(select(Job).with_for_update())).scalar_one()
                job.attempts += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(increment)
    async with database.reading() as session:
        assert (await session.execute(select(col(Job.attempts)))).scalar_one() == 60


async def test_a_moment_comes_back_in_utc_whatever_zone_it_came_in(database: Database) -> None:
    berlin = timezone(timedelta(hours=2))
    async with database.writing() as session:
        session.add(Job(kind="x", run_at=datetime(2026, 7, 1, 12, tzinfo=berlin)))
    async with database.reading() as session:
        kept = (await session.execute(select(col(Job.run_at)))).scalar_one()
    assert kept == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert kept.utcoffset() == timedelta()


async def test_a_moment_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError):
        async with database.writing() as session:
            session.add(Job(kind="x", run_at=datetime(2026, 7, 1, 12)))  # noqa: DTZ001


async def test_an_enum_is_kept_as_its_word(database: Database, clock: FixedClock) -> None:
    async with database.writing() as session:
        session.add(Principal(kind=PrincipalKind.TILL, created_at=clock.now()))
    async with database.reading() as session:
        assert (await session.execute(text("SELECT kind FROM principals"))).scalar_one() == "till"
        assert (await session.execute(select(col(Principal.kind)))).scalar_one() is PrincipalKind.TILL


async def test_a_row_cannot_point_to_nothing(database: Database, clock: FixedClock) -> None:
    with pytest.raises(IntegrityError):
        async with database.writing() as session:
            session.add(PrincipalKey(principal_id=new_id(), thumbprint="x", jwk={}, added_at=clock.now()))


async def test_who_only_reads_cannot_write_on_sqlite(database: Database) -> None:
    if not database.is_sqlite:
        return
    with pytest.raises(DBAPIError):
        async with database.reading() as session:
            await session.execute(update(Job).values(attempts=1))


async def test_sqlite_is_opened_durably(database: Database) -> None:
    if not database.is_sqlite:
        return
    async with database.reading() as session:
        found = {
            name: (await session.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_every_table_says_which_person_it_is_about_or_why_none() -> None:
    for table in SQLModel.metadata.sorted_tables:
        assert "person" in table.info, f"{table.name} declares no person column"
        column = table.info["person"]
        if column is None:
            assert table.info["why"], f"{table.name} gives no reason"
        else:
            assert column in table.columns, f"{table.name} has no column {column}"
