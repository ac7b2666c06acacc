"""What an auditor runs."""

import asyncio
import sys
from pathlib import Path

import click

from app.cli.inside import Running, beside
from core.audit import service
from core.database import Database
from core.vault import open_vault


@click.group()
def audit() -> None:
    """The trail."""


@audit.command()
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint that was kept elsewhere: finds a trail that was cut short.",
)
@beside
def verify(running: Running, checkpoints: tuple[Path, ...]) -> None:
    """Walk the whole trail; name the first entry that was changed, removed or reordered."""
    settings = running.settings

    async def walk() -> service.Verification:
        database = Database(settings.database_url)
        try:
            async with database.reading() as session:
                return await service.verify(
                    session,
                    open_vault(settings),
                    outside=[path.read_text(encoding="ascii").strip() for path in checkpoints],
                )
        finally:
            await database.dispose()

    result = asyncio.run(walk())
    click.echo(
        f"{result.sealed} entries sealed, {result.checkpoints} checkpoints, {result.unsealed} not sealed yet"
    )
    if result.flaw is not None:
        click.echo(
            f"the trail does not hold: {result.flaw} at position {result.position}, entry {result.entry}"
        )
        sys.exit(1)
    click.echo("the trail holds")


COMMANDS = (audit,)
