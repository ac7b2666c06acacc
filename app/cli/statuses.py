"""Publish status lists and trust list as files."""

import asyncio
from pathlib import Path

import click

from app.cli.inside import Running, beside
from core.database import Database
from core.vault import open_vault
from issuers.status.service import StatusMemory
from issuers.trustlist.files import EVERY, Publication, publish_files


@click.group()
def status() -> None:
    """The status lists."""


@status.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--watch", is_flag=True, help="Go on, and publish again every half minute.")
@beside
def publish(running: Running, folder: Path, *, watch: bool) -> None:
    """Write every status list (JWT and CWT, plain and gzip), the aggregation and the trust list into DIR.

    Any web server or CDN can serve DIR at our address: `status/7` as application/statuslist+jwt, `status/7.cwt` as
    application/statuslist+cwt, `trustlist`; `publication.json` says how. Nothing in it is secret.
    """
    asyncio.run(_publish(running, folder, watch=watch))


async def _publish(running: Running, folder: Path, *, watch: bool) -> None:
    settings = running.settings
    vault, database, memory = (
        open_vault(settings),
        Database(settings.database_url),
        StatusMemory(settings.status_bits),
    )
    try:
        while True:
            async with database.reading() as session:
                done = await publish_files(
                    session, folder, memory=memory, vault=vault, settings=settings, now=running.clock.now()
                )
            _tell(done)
            if not watch:
                return
            await asyncio.sleep(EVERY.total_seconds())
    finally:
        await database.dispose()


def _tell(done: Publication) -> None:
    click.echo(
        f"{done.files} files, {done.written} written, {done.removed} removed; good until {done.until:%Y-%m-%d %H:%M} UTC"
    )


COMMANDS = (status,)
