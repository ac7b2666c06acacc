"""No job is lost: what was given up is seen by an operator, and done once it can be."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from core.clock import FixedClock
from core.database import Database
from core.jobs.care import LATE, in_need, try_again
from core.jobs.service import ATTEMPTS, Worker, enqueue
from tests.core.jobs.test_service import waiting


async def test_what_was_given_up_is_shown_and_done_when_it_is_tried_again(
    database: Database, clock: FixedClock
) -> None:
    broken, done = True, list[str]()

    async def greet(_session: AsyncSession, payload: dict[str, Any], _now: object) -> None:
        if broken:
            raise ZeroDivisionError
        done.append(payload["to"])

    worker = Worker(database, {"greet": greet}, clock)
    async with database.writing() as session:
        await enqueue(session, "greet", {"to": "a"}, run_at=clock.now())
    for _ in range(ATTEMPTS):
        await worker.run_due()
        clock.forward(timedelta(hours=2))
    async with database.reading() as session:
        (job,) = await in_need(session, clock.now())
    assert (job.kind, job.error) == ("greet", "ZeroDivisionError")
    async with database.writing() as session:
        assert await try_again(session, [uuid4()], clock.now()) == []
        assert await try_again(session, None, clock.now()) == [job.id]
        assert await try_again(session, [job.id], clock.now()) == [], "it was revived already"
    broken = False
    assert await worker.run_due() == 1
    assert (done, await waiting(database)) == (["a"], [])


async def test_a_job_needs_care_once_it_is_late_and_nobody_is_at_it(
    database: Database, clock: FixedClock
) -> None:
    async with database.writing() as session:
        await enqueue(session, "greet", run_at=clock.now() + timedelta(hours=1))
    for forward, found in ((timedelta(hours=1) + LATE, 0), (timedelta(seconds=1), 1)):
        clock.forward(forward)
        async with database.reading() as session:
            assert len(await in_need(session, clock.now())) == found
