"""The demo's clock goes ahead, night by night, and exists in no other mode."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from litestar.testing import AsyncTestClient

from app import create_app
from app.demo.clock import DemoClock, create_clock, duration, remembered
from core.clock import FixedClock
from core.database import Database
from core.jobs.service import enqueue
from core.settings import Mode, Settings
from core.vault import Vault
from tests.conftest import NOON

DAYS = timedelta(days=2)


@pytest.fixture
def demo(settings: Settings) -> Settings:
    return settings.model_copy(update={"mode": Mode.DEMO})


@pytest.fixture
async def visitor(demo: Settings, vault: Vault, tmp_path: Path) -> AsyncIterator[AsyncTestClient]:
    doors = [create_clock(demo, tmp_path / "clock.json")]
    application = create_app(demo, DemoClock(FixedClock(NOON)), vault=vault, work=False, more_doors=doors)
    async with AsyncTestClient(application) as client:
        yield client


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("P30D", timedelta(days=30)),
        ("P2W", timedelta(weeks=2)),
        ("PT90S", timedelta(seconds=90)),
        ("P1DT2H3M4S", timedelta(days=1, hours=2, minutes=3, seconds=4)),
    ],
)
def test_durations_are_read_as_iso_8601_writes_them(written: str, meant: timedelta) -> None:
    assert duration(written) == meant


@pytest.mark.parametrize("written", ["", "P", "PT", "-P1D", "P-1D", "30", "P1.5D", "P1Y"])
def test_everything_else_is_no_duration(written: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration(written)


async def test_moving_the_clock_moves_what_time_it_is(visitor: AsyncTestClient) -> None:
    moved = (await visitor.post("/demo/clock", json={"forward": "P2D"})).json()
    assert moved["now"] == "2026-09-18T10:00:00Z"
    assert (await visitor.get("/v1/time")).json()["now"] == "2026-09-18T10:00:00Z"
    assert (await visitor.get("/demo/clock")).json()["ahead_seconds"] == DAYS.total_seconds()


async def test_every_night_on_the_way_has_its_jobs_done(visitor: AsyncTestClient) -> None:
    one_night = (await visitor.post("/demo/clock", json={"forward": "P1D"})).json()["jobs"]
    three = (await visitor.post("/demo/clock", json={"forward": "P3D"})).json()["jobs"]
    assert one_night > 5
    assert three > 2 * one_night


async def test_what_becomes_due_on_the_way_is_done_before_the_answer(
    visitor: AsyncTestClient, database: Database
) -> None:
    async with database.writing() as session:
        await enqueue(session, "answers.forget", run_at=NOON + timedelta(days=2))
    before = (await visitor.post("/demo/clock", json={"forward": "PT1H"})).json()["jobs"]
    after = (await visitor.post("/demo/clock", json={"forward": "P3D"})).json()["jobs"]
    assert after > before


@pytest.mark.parametrize("forward", ["P-1D", "yesterday", "P401D"])
async def test_the_clock_never_runs_back_nor_too_far(visitor: AsyncTestClient, forward: str) -> None:
    assert (await visitor.post("/demo/clock", json={"forward": forward})).status_code in {400, 422}
    assert (await visitor.get("/demo/clock")).json()["ahead_seconds"] == 0


async def test_a_restart_finds_the_clock_as_it_was_left(visitor: AsyncTestClient, tmp_path: Path) -> None:
    await visitor.post("/demo/clock", json={"forward": "P2D"})
    assert remembered(tmp_path / "clock.json").ahead == DAYS


async def test_outside_demo_mode_there_is_no_such_door(client: AsyncTestClient, settings: Settings) -> None:
    assert (await client.post("/demo/clock", json={"forward": "P1D"})).status_code == 404
    assert (await client.get("/demo/clock")).status_code == 404
    with pytest.raises(ValueError, match="demo"):
        create_clock(settings)
