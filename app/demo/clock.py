"""The demo's clock can be moved ahead: night by night, so that whatever a night brings has happened."""

import json
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import anyio
from litestar import Router, get, post
from litestar.datastructures import State
from litestar.params import JSONBody
from pydantic import BeforeValidator, Field
from sqlalchemy import func, select
from sqlmodel import col

from core.access.rules import anyone
from core.clock import MovableClock, day_of, first_moment
from core.database import Database
from core.errors import Unprocessable, problems
from core.jobs.models import Job
from core.jobs.service import Worker
from core.schema import Schema
from core.settings import Mode, Settings

FURTHEST = timedelta(days=400)
PAUSE = timedelta(seconds=1)
"""Behind midnight, so that a night's work does not begin in the second of midnight itself."""

_DURATION = re.compile(
    r"P(?=.)(?:(?P<weeks>[0-9]{1,3})W)?(?:(?P<days>[0-9]{1,4})D)?"
    r"(?:T(?=.)(?:(?P<hours>[0-9]{1,4})H)?(?:(?P<minutes>[0-9]{1,5})M)?(?:(?P<seconds>[0-9]{1,6})S)?)?"
)


class TooFar(Unprocessable):
    """The demo's clock does not go that far at once."""

    slug, title = "too-far", "The clock goes ahead by at most 400 days at once"


def duration(written: str) -> timedelta:
    """The duration that this stands for; ValueError for anything but weeks, days, hours, minutes and seconds."""
    found = _DURATION.fullmatch(written)
    if found is None:
        raise ValueError("a duration reads like P30D, P2W or PT1H30M")
    return timedelta(**{unit: int(number) for unit, number in found.groupdict().items() if number})


class DemoClock(MovableClock):
    """The clock, and how far it was moved."""

    @property
    def ahead(self) -> timedelta:
        return self._offset


class Forward(Schema):
    """By how much the clock is to be moved."""

    forward: Annotated[timedelta, BeforeValidator(duration)] = Field(
        description="An ISO 8601 duration in weeks, days, hours, minutes and seconds",
        examples=["P30D", "PT2M"],
    )


class ClockView(Schema):
    """What time it is in the demo."""

    now: datetime = Field(description="The moment", examples=["2026-10-16T10:00:00Z"])
    ahead_seconds: int = Field(description="By how much the demo is ahead of the machine", examples=[2592000])
    jobs: int = Field(default=0, description="Jobs that were done on the way", examples=[61])


async def let_pass(
    clock: DemoClock,
    by: timedelta,
    settings: Settings,
    work: Callable[[], Awaitable[int]],
) -> int:
    """Moves the clock, and stops behind each midnight on the way for the night's work; gives the jobs done."""
    target = clock.now() + by
    done = 0
    while True:
        now = clock.now()
        midnight = first_moment(day_of(now, settings.zone) + timedelta(days=1), settings.zone) + PAUSE
        if midnight >= target:
            break
        clock.forward(midnight - now)
        done += await work()
    clock.forward(max(timedelta(), target - clock.now()))
    return done + await work()


async def all_done(worker: Worker, database: Database, clock: DemoClock) -> int:
    """Does every job that is due, and waits for those that another hand has taken already."""
    done = 0
    while True:
        done += await worker.run_due()
        async with database.reading() as session:
            due = await session.execute(
                select(func.count()).where(col(Job.run_at) <= clock.now(), col(Job.dead_at).is_(None))
            )
        if due.scalar_one() == 0:
            return done
        await anyio.sleep(0.02)


def create_clock(settings: Settings, keep: Path | None = None) -> Router:
    """The doors to the clock, where it is remembered across starts in `keep`; ValueError outside demo mode."""
    if settings.mode is not Mode.DEMO:
        raise ValueError("time is moved in the demo only")
    alone = anyio.Lock()

    def view(clock: DemoClock, jobs: int = 0) -> ClockView:
        return ClockView(now=clock.now(), ahead_seconds=int(clock.ahead.total_seconds()), jobs=jobs)

    @get("/demo/clock", operation_id="readDemoClock")
    async def read(state: State) -> ClockView:
        """See what time it is in the demo."""
        return view(state.clock)

    # No session here: it would hold the write lock that the jobs wait for.
    @post("/demo/clock", operation_id="moveDemoClock", status_code=200, responses=problems(400, 422))
    async def move(data: JSONBody[Forward], state: State) -> ClockView:
        """Move the demo's clock ahead; answers when every job that became due on the way is done."""
        if data.forward > FURTHEST:
            raise TooFar
        async with alone:
            done = await let_pass(
                state.clock,
                data.forward,
                settings,
                lambda: all_done(state.worker, state.database, state.clock),
            )
            if keep is not None:
                remember(state.clock, keep)
        return view(state.clock, done)

    return Router("/", route_handlers=[read, move], guards=[anyone], tags=["demo"], include_in_schema=False)


def remember(clock: DemoClock, keep: Path) -> None:
    """Writes down how far the clock was moved: a city that has lived through a month must not go back."""
    keep.write_text(json.dumps({"ahead_seconds": clock.ahead.total_seconds()}), encoding="ascii")


def remembered(keep: Path) -> DemoClock:
    """The clock as it was left."""
    clock = DemoClock()
    if keep.exists():
        clock.forward(timedelta(seconds=json.loads(keep.read_text(encoding="ascii"))["ahead_seconds"]))
    return clock
