"""Jobs are done once, tried again, and never lost."""

from datetime import datetime, timedelta
from typing import Any

import anyio
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.clock import FixedClock
from core.database import Database
from core.jobs.models import Job
from core.jobs.service import ATTEMPTS, Minded, Worker, enqueue, every, nightly
from core.settings import Settings


async def owe(database: Database, clock: FixedClock, kind: str = "greet", **more: Any) -> None:
    async with database.writing() as session:
        await enqueue(session, kind, run_at=more.pop("run_at", clock.now()), **more)


async def waiting(database: Database) -> list[Job]:
    async with database.reading() as session:
        return list((await session.execute(select(Job))).scalars())


async def test_a_job_is_done_once_by_one_of_many_workers(database: Database, clock: FixedClock) -> None:
    done: list[int] = []

    async def greet(_session: AsyncSession, payload: dict[str, Any], _now: datetime) -> None:
        done.append(payload["n"])

    for n in range(30):
        await owe(database, clock, payload={"n": n})
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(Worker(database, {"greet": greet}, clock).run_due)
    assert sorted(done) == list(range(30))
    assert await waiting(database) == []


async def test_a_job_of_a_rolled_back_request_is_not_owed(database: Database, clock: FixedClock) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.writing() as session:
            await enqueue(session, "greet", run_at=clock.now())
            raise ZeroDivisionError
    assert await waiting(database) == []


async def test_work_that_fails_leaves_nothing_behind_and_is_tried_again_later(
    database: Database, clock: FixedClock
) -> None:
    async def fail(session: AsyncSession, _payload: dict[str, Any], now: datetime) -> None:
        await enqueue(session, "trace", run_at=now)
        raise ZeroDivisionError("secret detail")

    worker = Worker(database, {"greet": fail, "trace": fail}, clock)
    await owe(database, clock)
    assert await worker.run_due() == 1
    (job,) = await waiting(database)
    assert (job.kind, job.error, job.attempts) == ("greet", "ZeroDivisionError", 1)
    assert job.run_at > clock.now()
    clock.forward(timedelta(hours=1))
    assert await worker.run_due() == 1


async def test_after_the_last_attempt_a_job_is_kept_for_a_person_to_see_and_revived_when_owed_anew(
    database: Database, clock: FixedClock
) -> None:
    async def fail(_session: AsyncSession, _payload: dict[str, Any], _now: datetime) -> None:
        raise ZeroDivisionError

    worker = Worker(database, {"greet": fail}, clock)
    await owe(database, clock, once="greet")
    for _ in range(ATTEMPTS + 2):
        await worker.run_due()
        clock.forward(timedelta(hours=1))
    (job,) = await waiting(database)
    assert job.dead_at is not None
    assert job.attempts == ATTEMPTS
    await owe(database, clock, once="greet")
    (job,) = await waiting(database)
    assert (job.dead_at, job.attempts) == (None, 0)


async def fail(_session: AsyncSession, _payload: dict[str, Any], _now: datetime) -> None:
    raise ZeroDivisionError


async def test_who_waits_for_a_job_is_told_once_that_it_was_given_up(
    database: Database, clock: FixedClock
) -> None:
    told: list[str] = []

    async def given_up(session: AsyncSession, _payload: dict[str, Any], now: datetime, error: str) -> None:
        told.append(error)
        await enqueue(session, "trace", run_at=now + timedelta(days=9))

    worker = Worker(database, {"greet": Minded(fail, given_up)}, clock)
    await owe(database, clock)
    for _ in range(ATTEMPTS + 2):
        assert (len(await waiting(database)), told) == ((1, []) if not told else (2, ["ZeroDivisionError"]))
        await worker.run_due()
        clock.forward(timedelta(hours=1))
    assert {(job.kind, job.dead_at is None) for job in await waiting(database)} == {
        ("greet", False),
        ("trace", True),
    }


async def test_a_job_is_given_up_even_where_nobody_can_be_told(database: Database, clock: FixedClock) -> None:
    async def given_up(session: AsyncSession, _payload: dict[str, Any], now: datetime, _error: str) -> None:
        await enqueue(session, "trace", run_at=now)
        raise LookupError

    worker = Worker(database, {"greet": Minded(fail, given_up)}, clock)
    await owe(database, clock)
    for _ in range(ATTEMPTS):
        await worker.run_due()
        clock.forward(timedelta(hours=1))
    (job,) = await waiting(database)
    assert (job.kind, job.dead_at is None) == ("greet", False)


async def test_what_is_owed_twice_under_one_word_is_done_once(database: Database, clock: FixedClock) -> None:
    for _ in range(3):
        await owe(database, clock, once="publish:1")
    assert len(await waiting(database)) == 1


async def test_what_is_owed_while_the_same_job_runs_is_done_again_afterwards(
    database: Database, clock: FixedClock
) -> None:
    runs: list[str] = []

    async def publish(_session: AsyncSession, _payload: dict[str, Any], _now: datetime) -> None:
        runs.append("run")
        if len(runs) == 1 and not database.is_sqlite:
            # Another request owes the same job meanwhile: it has to wait for us, so it cannot be awaited here.
            tasks.start_soon(owe, database, clock)
            await anyio.sleep(0.1)

    async def owe(database: Database, clock: FixedClock) -> None:
        async with database.writing() as session:
            await enqueue(session, "publish", run_at=clock.now(), once="publish:1")

    await owe(database, clock)
    async with anyio.create_task_group() as tasks:
        await Worker(database, {"publish": publish}, clock).run_due()
    await Worker(database, {"publish": publish}, clock).run_due()
    assert len(runs) == (1 if database.is_sqlite else 2)


async def test_a_lease_that_ran_out_is_taken_over(database: Database, clock: FixedClock) -> None:
    done: list[str] = []

    async def slow(_session: AsyncSession, _payload: dict[str, Any], _now: datetime) -> None:
        done.append("slow")

    await owe(database, clock)
    crashed = Worker(database, {}, clock)
    await database.in_transaction(lambda session: crashed._take(session, clock.now()))
    other = Worker(database, {"greet": slow}, clock)
    assert await other.run_due() == 0
    clock.forward(timedelta(minutes=6))
    assert await other.run_due() == 1
    assert done == ["slow"]


async def test_nightly_work_is_owed_once_a_day_of_the_city(
    database: Database, clock: FixedClock, settings: Settings
) -> None:
    nights: list[datetime] = []

    async def turn(_session: AsyncSession, _payload: dict[str, Any], now: datetime) -> None:
        nights.append(now)

    worker = Worker(database, {"turn": turn}, clock, [nightly("turn", settings.zone)])
    await worker.run_due()
    await worker.run_due()
    assert len(nights) == 1
    clock.forward(timedelta(hours=12))  # 22:00 UTC is midnight in Dortmund in summer
    await worker.run_due()
    assert len(nights) == 2


async def test_recurring_work_is_owed_each_period(database: Database, clock: FixedClock) -> None:
    runs: list[int] = []

    async def seal(_session: AsyncSession, _payload: dict[str, Any], _now: datetime) -> None:
        runs.append(1)

    worker = Worker(database, {"seal": seal}, clock, [every("seal", timedelta(minutes=1))])
    for _ in range(3):
        await worker.run_due()
        await worker.run_due()
        clock.forward(timedelta(minutes=1))
    assert len(runs) == 3


async def test_six_workers_share_sixty_jobs(database: Database, clock: FixedClock) -> None:
    async def nothing(_session: AsyncSession, _payload: dict[str, Any], _now: datetime) -> None:
        pass

    async with database.writing() as session:
        for n in range(60):
            await enqueue(session, "greet", {"n": n}, run_at=clock.now())
    done = 0

    async def work() -> None:
        nonlocal done
        mine = await Worker(database, {"greet": nothing}, clock).run_due()
        done += mine

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(work)
    async with database.reading() as session:
        left = (await session.execute(select(func.count(col(Job.id))))).scalar_one()
    assert (done, left) == (60, 0)


async def test_a_worker_that_is_stopped_ends_the_job_at_hand_and_takes_no_other(
    database: Database, clock: FixedClock
) -> None:
    done: list[int] = []

    async def greet(_session: AsyncSession, payload: dict[str, Any], _now: datetime) -> None:
        worker.stop()
        await anyio.sleep(0.05)
        done.append(payload["n"])

    worker = Worker(database, {"greet": greet}, clock)
    for n in range(3):
        await owe(database, clock, payload={"n": n})
    with anyio.fail_after(10):
        await worker.forever()
    assert len(done) == 1
    assert len(await waiting(database)) == 2


async def test_one_job_is_taken_at_a_time_however_the_database_looks_for_it(
    database: Database, clock: FixedClock
) -> None:
    """PostgreSQL joined the look for one job with the table, looked again for each row, and took several."""

    async def greet(_session: AsyncSession, _payload: dict[str, Any], _now: datetime) -> None:
        return

    for n in range(50):
        await owe(database, clock, payload={"n": n})
    worker = Worker(database, {"greet": greet}, clock)
    async with database.writing() as session:
        if not database.is_sqlite:
            for way in ("hashjoin", "mergejoin", "hashagg", "sort", "material", "memoize", "indexscan"):
                await session.execute(text(f"SET LOCAL enable_{way} = off"))
            await session.execute(text("SET LOCAL enable_bitmapscan = off"))
        taken = await worker._take(session, clock.now())
    assert taken is not None
    assert len([job for job in await waiting(database) if job.owner is not None]) == 1
