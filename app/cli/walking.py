"""`citycard walk`: the whole story against a running server."""

import sys
import tempfile
from pathlib import Path

import click

from app.cli.outside import Outside, calling
from app.walk.story import Walk
from app.walk.telling import StepFailed, Teller


@click.command()
@click.option(
    "--clients",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default="var/demo/clients",
    show_default=True,
    help="Where the departments' keys are, as `citycard demo` writes them.",
)
@calling()
def walk(outside: Outside, clients: Path) -> None:
    """Play the story against a running demo, through its public API only; say which step failed, if one does.

    A family moves in, the Jobcenter reports, a card is shown at the pool, and the fact ends. Each run makes a
    family of its own and moves the demo's clock on by some three weeks.
    """
    voice = outside.voice
    teller = Teller(voice.language, click.echo)
    with tempfile.TemporaryDirectory(prefix="citycard-walk-") as home:
        try:
            Walk(outside.wire, clients, Path(home), teller).tell()
        except StepFailed as failed:
            click.echo()
            voice.fail(f"✗ {failed}", f"✗ {failed}", code=1)
        except ValueError as wrong:
            voice.fail(f"✗ {wrong}", f"✗ {wrong}")
    steps = len(teller.done)
    click.echo()
    voice.say(f"Alle {steps} Schritte sind geschehen.", f"All {steps} steps happened.")
    sys.exit(0)


COMMANDS = (walk,)
