"""What was to be done and was not: jobs that were given up or are late, for operators."""

import asyncio
import json
from typing import Any
from uuid import UUID

import click

from app.cli.inside import NotOne, Running, beside
from core.database import Database
from core.jobs import care
from core.jobs.models import Job


@click.group()
def jobs() -> None:
    """Jobs that were given up, or are late."""


@jobs.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each job.")
@beside
def list_jobs(running: Running, *, as_json: bool) -> None:
    """Say which jobs need care: the class of the last error, never what it was about."""
    found = asyncio.run(_list(running))
    for one in found:
        if as_json:
            click.echo(json.dumps(one))
            continue
        what = f"given up {one['given_up_at']}" if one["given_up_at"] else "late"
        error = f", {one['error']}" if one["error"] else ""
        click.echo(f"{one['id']}  {one['kind']}: {what}, due {one['due']}, {one['attempts']} attempts{error}")
    if not found and not as_json:
        click.echo("none")


async def _list(running: Running) -> list[dict[str, Any]]:
    database = Database(running.settings.database_url)
    try:
        async with database.reading() as session:
            return [_told(job) for job in await care.in_need(session, running.clock.now())]
    finally:
        await database.dispose()


def _told(job: Job) -> dict[str, Any]:
    return {
        "id": str(job.id),
        "kind": job.kind,
        "due": job.run_at.isoformat(timespec="seconds"),
        "attempts": job.attempts,
        "given_up_at": job.dead_at.isoformat(timespec="seconds") if job.dead_at else None,
        "error": job.error,
    }


@jobs.command("retry")
@click.argument("job_ids", metavar="[ID]...", nargs=-1, type=click.UUID)
@click.option("--all", "everything", is_flag=True, help="All that were given up.")
@beside
def retry(running: Running, *, job_ids: tuple[UUID, ...], everything: bool) -> None:
    """Let jobs that were given up be tried again; the servers that run take them up by themselves."""
    if everything is bool(job_ids):
        raise click.UsageError("name jobs, or --all")
    revived = asyncio.run(_retry(running, None if everything else job_ids))
    click.echo(f"{len(revived)} will be tried again")
    if missing := set(job_ids) - set(revived):
        raise NotOne(f"not given up, or not there: {', '.join(map(str, sorted(missing)))}")


async def _retry(running: Running, job_ids: tuple[UUID, ...] | None) -> list[UUID]:
    database = Database(running.settings.database_url)
    try:
        async with database.writing() as session:
            return await care.try_again(session, job_ids, running.clock.now())
    finally:
        await database.dispose()


COMMANDS = (jobs,)
