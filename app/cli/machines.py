"""What a department's system, and somebody at a desk, need to call the API by hand: tokens, and a delivery."""

import sys
from datetime import datetime
from pathlib import Path

import click

from app.cli.outside import REFUSED, Outside, calling
from app.walk.machine import CSV, NDJSON, ClientFile, Machine, deliver
from app.walk.signin import sign_in

CLIENT = click.option(
    "--client",
    "client",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Client id and private key, as `citycard demo` writes them: var/demo/clients/jobcenter.json",
)


def _client(outside: Outside, path: Path) -> ClientFile:
    try:
        return ClientFile.read(path)
    except (OSError, ValueError):
        outside.voice.fail(
            f"{path.name} enthält keine Client-ID mit privatem Schlüssel.",
            f"{path.name} holds no client id with a private key.",
        )


@click.command()
@CLIENT
@calling()
def token(outside: Outside, client: Path) -> None:
    """Print an access token for a department's system (client credentials with private_key_jwt).

    For curl: -H "Authorization: Bearer $(citycard token --client FILE)"
    """
    given, _ = Machine(outside.wire, _client(outside, client)).token()
    click.echo(given)


@click.command()
@click.option(
    "--as", "account", required=True, metavar="NAME", help="The account, for example `sachbearbeitung`."
)
@click.option("--password", default="demo", help="The same for every account of the demo: demo.")
@calling()
def login(outside: Outside, account: str, password: str) -> None:
    """Print an access token for somebody with a login (authorization code with PKCE), without a browser.

    For curl: -H "Authorization: Bearer $(citycard login --as NAME)"
    """
    click.echo(sign_in(outside.wire, account, password).access_token)


@click.command("deliver")
@CLIENT
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--mode",
    type=click.Choice(["changes", "full"]),
    default="changes",
    show_default=True,
    help="`full`: what is left out does not hold any more.",
)
@click.option("--name", help="The delivery's own name; the same name twice is the same delivery.")
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z"]), help="The moment it speaks of; default now."
)
@calling()
def hand_over(
    outside: Outside, *, client: Path, file: Path, mode: str, name: str | None, as_of: datetime | None
) -> None:
    """Hand over a file of facts (NDJSON or CSV), and print what became of each row; exit 1 where it is rejected whole."""
    body = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    machine = Machine(outside.wire, _client(outside, client))
    media = CSV if file.suffix == ".csv" else NDJSON
    # A full delivery must say of which moment it is; what is read from a file now is as of now.
    as_of = as_of or (outside.wire.now() if mode == "full" else None)
    delivery = deliver(machine, body, mode=mode, name=name, as_of=as_of, media=media)
    voice = outside.voice
    voice.say(
        f"Lieferung {delivery.name}: {delivery.state}, {delivery.rows} Zeilen",
        f"Delivery {delivery.name}: {delivery.state}, {delivery.rows} rows",
    )
    if delivery.reason:
        click.echo(f"  {delivery.reason}")
    for result, number in sorted(delivery.results.items()):
        click.echo(f"  {number:>6}  {result}")
    if delivery.state == "rejected":
        sys.exit(REFUSED)


COMMANDS = (token, login, hand_over)
