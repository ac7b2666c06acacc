"""Check a rulebook's folder as the gate of a release does, and load it into a city that has no rules yet."""

import asyncio
import sys
from pathlib import Path

import click

from app.cli import inside
from core.clock import SystemClock
from core.database import Database
from core.settings import Settings
from entitlements.facts.catalogue import RULEBOOKS
from entitlements.rulebook import service
from entitlements.rulebook.cases import disagreements
from entitlements.rulebook.drafting import written_in
from entitlements.rulebook.programmes import Rulebook
from entitlements.rulebook.rules import RulebookError, load_rulebook
from entitlements.rulebook.soundness import flaws


@click.command()
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
def check(path: Path) -> None:
    """Check a rulebook's folder: types, days, amounts, circles, and every worked case; fail if anything is wrong."""
    rulebook = _read(path)
    wrong = [flaw.message for flaw in flaws(rulebook)]
    for case in () if wrong else rulebook.cases:
        wrong += [
            f"{case.file}, line {case.line}: “{case.name}”: {said}" for said in disagreements(rulebook, case)
        ]
    for message in wrong:
        click.echo(message, err=True)
    if wrong:
        sys.exit(1)
    versions = sum(len(rules.versions) for rules in rulebook.programmes.values())
    click.echo(
        f"{rulebook.city}: {len(rulebook.programmes)} programmes, {versions} rule versions, "
        f"{len(rulebook.parameters)} amounts, {len(rulebook.cases)} worked cases: all hold"
    )


@click.command()
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
def load(path: Path | None) -> None:
    """Load a rulebook's folder into the database; by default the city's own. After the first release, no file is read."""
    settings = inside.settings()
    folder = path or RULEBOOKS / settings.city
    rulebook = _read(folder)
    with inside.telling():
        loaded = asyncio.run(_load(settings, folder, rulebook))
    if loaded.led_by_releases:
        raise click.ClickException("the rules of this city change by releases now; write a draft")
    click.echo(
        f"added {loaded.programmes} programmes, {loaded.versions} rule versions, {loaded.parameters} dated amounts, "
        f"{loaded.tariffs} tariffs"
    )


def _read(folder: Path) -> Rulebook:
    try:
        return load_rulebook(folder)
    except (RulebookError, OSError) as error:
        raise click.ClickException(str(error)) from None


async def _load(settings: Settings, folder: Path, rulebook: Rulebook) -> service.Loaded:
    database = Database(settings.database_url)
    try:
        async with database.writing() as session:
            return await service.load(session, rulebook, SystemClock().now(), written_in(folder))
    finally:
        await database.dispose()
