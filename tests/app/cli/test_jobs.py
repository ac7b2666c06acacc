"""An operator sees what was not done, and has it tried again."""

import json
from collections.abc import Iterator

import anyio
import pytest
import structlog
from click.testing import CliRunner, Result
from sqlalchemy import select, update

from app.cli import inside
from app.cli.jobs import jobs
from core.audit.models import Entry
from core.clock import FixedClock
from core.database import Database
from core.jobs.models import Job
from core.jobs.service import enqueue
from core.settings import Settings


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


async def run(*arguments: str) -> Result:
    return await anyio.to_thread.run_sync(lambda: CliRunner().invoke(jobs, list(arguments)))


@pytest.fixture
async def given_up(
    database: Database, settings: Settings, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> str:
    monkeypatch.setattr(inside, "SystemClock", lambda: clock)
    monkeypatch.setenv("CITYCARD_MODE", settings.mode.value)
    monkeypatch.setenv("CITYCARD_DATABASE_URL", settings.database_url)
    async with database.writing() as session:
        await enqueue(session, "some.job", {"person_id": "private"}, run_at=clock.now())
        await session.execute(update(Job).values(dead_at=clock.now(), attempts=8, error="KeyError"))
        return str((await session.execute(select(Job.id))).scalar_one())


async def test_a_job_that_was_given_up_is_listed_without_what_it_was_about(given_up: str) -> None:
    told, as_json = await run("list"), await run("list", "--json")
    assert f"{given_up}  some.job: given up 2026-09-16T10:00:00+00:00" in told.output
    assert "private" not in told.output + as_json.output
    assert json.loads(as_json.output) == {
        "id": given_up,
        "kind": "some.job",
        "due": "2026-09-16T10:00:00+00:00",
        "attempts": 8,
        "given_up_at": "2026-09-16T10:00:00+00:00",
        "error": "KeyError",
    }


async def test_it_is_tried_again_once_and_the_trail_says_so(given_up: str, database: Database) -> None:
    assert (await run("retry")).exit_code == 2
    assert (await run("retry", given_up)).output == "1 will be tried again\n"
    assert (await run("list")).output == "none\n"
    again = await run("retry", given_up)
    assert (again.exit_code, "not given up" in again.output) == (1, True)
    assert (await run("retry", "--all")).output == "0 will be tried again\n"
    async with database.reading() as session:
        entries = (await session.execute(select(Entry.action))).scalars().all()
    assert list(entries).count("job.tried-again") == 1
