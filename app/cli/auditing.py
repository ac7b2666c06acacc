"""What an auditor runs."""

import asyncio
import sys
from pathlib import Path

import click

from app.demo.running import Demo
from core.audit import service
from core.database import Database
from core.settings import Settings
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
@click.option(
    "--demo",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The trail of a demo city, by its folder (var/demo); else that of the settings.",
)
def verify(checkpoints: tuple[Path, ...], demo: Path | None) -> None:
    """Walk the whole trail; name the first entry that was changed, removed or reordered."""
    settings = Settings() if demo is None else Demo.at(demo, 8000).settings

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
