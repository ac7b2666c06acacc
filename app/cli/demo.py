"""`citycard demo`: a whole city on one machine, with one command."""

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import structlog
from alembic.util import CommandError

from app.cli.inside import PORTS, Misset, known_database, telling, well_set
from app.cli.running import migrate_to_head
from app.demo.accounts import logins
from app.demo.city import PERSONS, City
from app.demo.running import FOLDER, PASSWORD, PORT, Demo
from app.serving import NobodyListens, listening, serve_forever


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=PORTS, help=f"On which port; default: {PORT}, or that of the city that stands.")
@click.option(
    "--fresh/--keep", default=False, help="Begin with a new city, or go on with the one that stands.  [keep]"
)
@click.option(
    "--persons",
    default=PERSONS,
    show_default=True,
    type=click.IntRange(10, 20_000),
    help="How many people live there.",
)
@click.option(
    "--folder",
    default=FOLDER,
    show_default=True,
    type=click.Path(file_okay=False, writable=True, path_type=Path),
    help="Where everything is kept.",
)
@click.option(
    "--database-url", help="Another database than the SQLite file in that folder; it must be empty."
)
@click.option("--fill-only", is_flag=True, help="Make the city and stop.")
def demo(
    host: str,
    port: int | None,
    *,
    fresh: bool,
    persons: int,
    folder: Path,
    database_url: str | None,
    fill_only: bool,
) -> None:
    """Migrate, fill the demo city, serve it, and say where to look and how to sign in.

    Everything is kept under var/demo; the clock can be moved with POST /demo/clock.
    """
    quieten()
    with well_set():
        demo = Demo.at(folder, port, database_url=database_url)
        city = None if fresh else demo.city()
        if city is None:
            demo = Demo.anew(folder, port, database_url=database_url)
    if city is not None and demo.port != demo.home_port:
        raise click.ClickException(
            f"Diese Stadt wurde für Port {demo.home_port} gemacht / this city was made for port {demo.home_port}: "
            "--fresh"
        )
    known_database(demo.settings.database_url)
    if not fill_only:
        _free(host, demo.port)
    with _alone(demo.folder, making=city is None) as made, telling():
        if city is None:
            demo.clear()
        try:
            migrate_to_head(demo.settings.database_url)
        except CommandError:
            raise click.ClickException(
                "Diese Stadt stammt von einer anderen Fassung / this city is of another version: --fresh"
            ) from None
        if city is None:
            click.echo(f"Die Stadt entsteht … / Making the city … ({persons} Menschen / people)")
            begun = time.perf_counter()
            city = asyncio.run(demo.fill(persons=persons, tell=_tell))
            click.echo(f"  {time.perf_counter() - begun:6.1f} s")
            made()
        if fill_only:
            sys.exit(0)
        try:
            application = demo.application(city)
        except ValueError as error:  # a file that a setting names does not fit
            raise Misset(str(error)) from None
        click.echo(greeting(demo, city))
        with contextlib.suppress(KeyboardInterrupt):
            serve_forever(application, host, demo.port)


def _free(host: str, port: int) -> None:
    """Refuses a port where somebody answers or nobody may listen, before a city is made for it."""
    try:
        listening(host, port).close()
    except NobodyListens as error:
        raise click.ClickException(
            f"Hier darf niemand lauschen / nobody may listen here ({error}); --port"
        ) from None
    with socket.socket() as knock:
        # The socket that serves is shared among processes: a second demo would not fail, but mix with the first.
        if knock.connect_ex((host, port)) == 0:
            raise click.ClickException(
                f"Auf Port {port} antwortet schon jemand / somebody answers on port {port} already; "
                "citycard demo --port …"
            )


@contextlib.contextmanager
def _alone(folder: Path, *, making: bool) -> Iterator[Callable[[], None]]:
    """Keeps whoever makes a city apart from everybody else in its folder; hands out what says that it is made."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise click.ClickException(
            f"{folder} lässt sich nicht anlegen / cannot be made ({error.strerror}); --folder"
        ) from None
    try:
        # Let go of by the system with the process, however that ends.
        fcntl.flock(kept, fcntl.LOCK_NB | (fcntl.LOCK_EX if making else fcntl.LOCK_SH))
    except OSError:
        os.close(kept)
        raise click.ClickException(
            f"In {folder} arbeitet schon eine Vorführung / a demo is at work there already; "
            "--folder und / and --port"
        ) from None
    try:
        yield lambda: fcntl.flock(kept, fcntl.LOCK_SH)
    finally:
        os.close(kept)


def quieten() -> None:
    """Leaves the terminal to the greeting: what goes well is not logged in the demo, what goes wrong is."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _tell(what: str, seconds: float) -> None:
    click.echo(f"  {seconds:6.1f} s  {what}")


def _as_typed(path: Path) -> Path:
    """A path as somebody would type it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def greeting(demo: Demo, city: City) -> str:
    """Where to look, how to sign in, and what to try next, in German and English."""
    url, clients = demo.settings.public_url, _as_typed(demo.folder / "clients")
    # As it was called: after `make demo` the command is in .venv/bin, which is seldom on the path.
    citycard = "citycard" if shutil.which("citycard") else _as_typed(Path(sys.argv[0]).resolve())
    accounts = "\n".join(
        f"    {login.account.sub:<16} {login.account.name} – {login.account.about}" for login in logins(city)
    )
    # The commands look on the usual port; a demo elsewhere says where.
    elsewhere = "" if demo.port == PORT else f"    export CITYCARD_URL={url}\n"
    return f"""
citycard läuft / is running: {url}

  Startseite / start page        {url}/
  Schnittstelle / API reference  {url}/api  ·  {url}/schema/openapi.yaml

  Anmelden / sign in             {url}/login   Passwort / password: {PASSWORD}
{accounts}

  Weiter in einem zweiten Terminal / next, in a second terminal:
{elsewhere}    {citycard} walk                          die ganze Geschichte / the whole story  (--lang en)
    {citycard} phone login --as familie      dann / then: enrol, top-up, card, show
    {citycard} scanner --help                ein Prüfgerät / a scanner
    {citycard} token --client {clients}/jobcenter.json
    curl -X POST {url}/demo/clock -H 'Content-Type: application/json' -d '{{"forward": "P1D"}}'

  Ende / stop: Strg-C / Ctrl-C
"""


COMMANDS = (demo,)
