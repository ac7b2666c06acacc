"""What the commands that work beside the database share: whose configuration it is, and how an error is told."""

import functools
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import structlog
from pydantic import ValidationError
from pydantic_settings import SettingsError
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, ProgrammingError

from app.cli.outside import FAILED, REFUSED
from app.demo.clock import remembered
from app.demo.running import FOLDER, MARK, Demo
from core.clock import Clock, SystemClock
from core.errors import DomainError, Unavailable
from core.settings import Settings
from core.vault import VaultError

PREFIX = "CITYCARD_"
OWN = ("MODE", "DATABASE_URL", "VAULT_FILE", "VAULT_SECRET", "PUBLIC_URL")
"""Whoever sets one of these means an instance of their own, and never the demo's."""


class NotOne(click.ClickException):
    """Nobody, or more than one, is meant."""

    exit_code = REFUSED


class Misset(click.ClickException):
    """The settings, or the folder of a demo, are not such that anything could be done."""

    exit_code = FAILED


@dataclass(frozen=True, slots=True)
class Running:
    """The configuration that runs: of the environment, or of the demo."""

    settings: Settings
    clock: Clock

    @staticmethod
    def found(demo: Path | None = None, port: int | None = None) -> "Running":
        """The demo in this folder where one is named, or where nothing is set and one stands; else the settings."""
        if demo is None and not _own_set() and (FOLDER / MARK).exists():
            demo = FOLDER
        if demo is None:
            return Running(settings(), SystemClock())
        with well_set():
            city = Demo.at(demo, port)
        if city.city() is None:
            raise Misset(f"in {demo} stands no demo city; `citycard demo` makes one")
        return Running(city.settings, remembered(city.clock_file))


def _own_set() -> bool:
    # A typing error in a setting must not end in the demo's database.
    file = Path(".env")
    written = file.read_text(encoding="utf-8").upper() if file.exists() else ""
    return any(f"{PREFIX}{name}" in os.environ or f"{PREFIX}{name}" in written for name in OWN)


def settings() -> Settings:
    """The settings of the environment and `.env`; Misset, setting by setting, where they cannot be."""
    with well_set():
        found = Settings()
    known_database(found.database_url)
    return found


def known_database(url: str) -> None:
    """Misset where no driver that is here speaks to such an address; it is not shown: it may hold a password."""
    try:
        dialect = make_url(url).get_dialect()
        dialect.import_dbapi()
        known = dialect.is_async
    except (ArgumentError, ImportError):
        known = False
    if not known:
        raise Misset(
            f"{PREFIX}DATABASE_URL: no database that can be used here; "
            "sqlite+aiosqlite:///FILE or postgresql+asyncpg://USER:PASSWORD@HOST/NAME"
        )


@contextmanager
def well_set() -> Iterator[None]:
    """Tells which setting is wrong. Its value is left out: it may be a secret."""
    try:
        yield
    except ValidationError as error:
        raise Misset("\n".join(_complaint(one["loc"], one["msg"]) for one in error.errors())) from None
    except SettingsError as error:
        raise Misset(f"{error} ({error.__cause__})" if error.__cause__ else str(error)) from None


def _complaint(place: tuple[int | str, ...], said: str) -> str:
    said = said.removeprefix("Value error, ")
    return f"{PREFIX}{'__'.join(str(part) for part in place).upper()}: {said}" if place else said


@contextmanager
def telling() -> Iterator[None]:
    """Tells what went wrong in a sentence, and ends the command: 1 where it was refused, 3 where it could not be done."""
    try:
        yield
    except VaultError as error:
        _end(str(error), FAILED)
    except Unavailable as error:
        _end(f"{error.title}: {error.detail}" if error.detail else error.title, FAILED)
    except DomainError as error:
        _end(f"{error.title}: {error.detail}" if error.detail else error.title, REFUSED)
    except (OperationalError, ProgrammingError) as error:
        _end(_of_database(error), FAILED)
    except (ConnectionError, TimeoutError, socket.gaierror) as error:
        said = error.strerror or type(error).__name__
        _end(
            f"the database cannot be used ({said}); is CITYCARD_DATABASE_URL right, and does it run?", FAILED
        )
    except OSError as error:
        if error.filename is None:
            raise
        _end(f"{error.filename} cannot be used ({error.strerror})", FAILED)


def _of_database(error: DBAPIError) -> str:
    # Of what the driver says, the first line: the rest would show the statement and what was asked for.
    said = str(error.orig).strip().partition("\n")[0]
    return f"the database cannot be used ({said}); is CITYCARD_DATABASE_URL right, and was `citycard migrate` run?"


def _end(said: str, code: int) -> None:
    click.echo(said, err=True)
    sys.exit(code)


DEMO = click.option(
    "--demo",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A demo city, by its folder; default: the settings, or var/demo where nothing is set.",
)
PORTS = click.IntRange(1, 65535)
PORT = click.option(
    "--port", type=PORTS, help="On which port that demo is served; default: that of its last start."
)


def beside(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --demo and --port to a command, hands it what is `Running`, and tells its errors."""

    @DEMO
    @PORT
    @functools.wraps(command)
    def wrapped(demo: Path | None, port: int | None, **rest: Any) -> None:
        running, before = Running.found(demo, port), structlog.get_config()
        # What is told goes to standard output alone; the log beside it.
        structlog.configure(logger_factory=lambda *_args: structlog.PrintLogger(sys.stderr))
        try:
            with telling():
                command(running, **rest)
        finally:
            structlog.configure(**before)

    return wrapped
