"""Publish status lists and trust list as files."""

import asyncio
import sys
from pathlib import Path

import click
from pydantic import ValidationError

from app.cli.offering import Running
from app.cli.outside import FAILED
from core.database import Database
from core.errors import DomainError
from core.vault import VaultError, open_vault
from issuers.status.service import StatusMemory
from issuers.trustlist.files import EVERY, Publication, publish_files


@click.group()
def status() -> None:
    """The status lists."""


@status.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--watch", is_flag=True, help="Go on, and publish again every half minute.")
@click.option(
    "--demo",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A demo city, by its folder; default: the settings, or var/demo where nothing is set.",
)
@click.option("--port", default=8000, show_default=True, help="On which port that demo is served.")
def publish(folder: Path, *, watch: bool, demo: Path | None, port: int) -> None:
    """Write every status list (JWT and CWT, plain and gzip), the aggregation and the trust list into DIR.

    Any web server or CDN can serve DIR at our address: `status/7` as application/statuslist+jwt, `status/7.cwt` as
    application/statuslist+cwt, `trustlist`; `publication.json` says how. Nothing in it is secret.
    """
    try:
        running = Running.found(demo, port)
        asyncio.run(_publish(running, folder, watch=watch))
    except ValidationError as error:
        click.echo("\n".join(str(one["msg"]) for one in error.errors()), err=True)
        sys.exit(FAILED)
    except (VaultError, DomainError) as error:
        click.echo(str(error), err=True)
        sys.exit(FAILED)


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
