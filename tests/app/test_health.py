"""Whoever runs the city learns whether it can serve, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from app.health import service
from core.clock import FixedClock
from core.database import Database
from core.jobs.models import Job
from core.jobs.service import enqueue

Client = AsyncTestClient[Litestar]


async def test_a_process_that_answers_is_alive(client: Client) -> None:
    answer = await client.get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "pass"})
    assert answer.headers["cache-control"] == "no-store"


async def test_a_city_that_can_serve_is_ready(client: Client) -> None:
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "pass", "database": "pass", "jobs": "pass"},
    )
    assert answer.headers["cache-control"] == "no-store"
    assert (await client.head("/health/ready")).status_code == 200


@pytest.mark.parametrize("given_up", [True, False])
async def test_jobs_that_nobody_does_are_told(
    client: Client, database: Database, clock: FixedClock, given_up: bool
) -> None:
    now = clock.now()
    async with database.writing() as session:
        await enqueue(session, "some.job", run_at=now if given_up else now - timedelta(hours=1))
        if given_up:
            await session.execute(update(Job).values(dead_at=now))
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["status"], answer.json()["jobs"]) == (200, "warn", "warn")


async def test_a_job_that_somebody_is_at_is_not_late(
    client: Client, database: Database, clock: FixedClock
) -> None:
    now = clock.now()
    async with database.writing() as session:
        await enqueue(session, "some.job", run_at=now - timedelta(hours=1))
        await session.execute(update(Job).values(leased_until=now + timedelta(minutes=1)))
    assert (await client.get("/health/ready")).json()["jobs"] == "pass"


@pytest.mark.parametrize("fault", [OperationalError("select", {}, OSError()), ConnectionRefusedError(), None])
async def test_a_database_that_is_gone_or_slow_takes_it_out_of_service_and_kills_nobody(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch, fault: Exception | None
) -> None:
    @asynccontextmanager
    async def gone(_self: Any) -> AsyncIterator[Any]:
        if fault is None:
            await asyncio.sleep(60)
        else:
            raise fault
        yield

    monkeypatch.setattr(service, "PATIENCE", 0.05)
    monkeypatch.setattr(Database, "reading", gone)
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:citycard:problem:not-ready")
    assert (await client.get("/health/live")).status_code == 200
