"""What the commands that call a server from outside share: options, languages, and how an error is told."""

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click

from app.walk.keeping import Drawer, NotThere
from app.walk.phone import SignInAgain
from app.walk.signin import SignInFailed
from app.walk.wire import Refused, Unreachable, Wire

ACCEPTED, REFUSED, UNCLEAR, FAILED = 0, 1, 2, 3
"""Exit codes: accepted or done; refused; cannot tell or check the clock; an error."""

MISSING = {
    "login": ("Bitte zuerst anmelden: citycard phone login --as NAME", "Sign in first: citycard phone login --as NAME"),
    "device": ("Dieses Telefon ist noch nicht angemeldet: citycard phone enrol", "Enrol this phone first: citycard phone enrol"),
    "cards": ("Keine solche Karte auf dem Telefon: citycard phone top-up", "No such card on the phone: citycard phone top-up"),
    "ward": ("Für diese Person dürfen Sie nicht handeln.", "You may not act for this person."),
    "scanner": ("Dieses Prüfgerät ist noch nicht angemeldet: citycard scanner enrol CODE", "Enrol this scanner first: citycard scanner enrol CODE"),
    "receipt": ("Bitte zuerst einen Code prüfen; er muss gelten.", "Check a code first; it must be accepted."),
    "offer": ("Dieses Angebot gab es bei der letzten Prüfung nicht.", "The last check did not bring this offer."),
    "keys": ("Die Schlüssel dieses Geräts sind zu alt; bitte neu anmelden: citycard scanner enrol CODE", "The keys of this device are too old; enrol it again: citycard scanner enrol CODE"),
    "bundle": ("Es liegt noch kein Paket für das Prüfen ohne Netz vor: citycard scanner bundle", "There is nothing to check by offline yet: citycard scanner bundle"),
}  # fmt: skip

ANSWERS = {
    "nothing-held": ("Zurzeit gibt es nichts, was eine Karte bringen könnte.", "At present there is nothing that a card could bring."),
    "card-paused": ("Ihre Karte macht eine Pause; neue Karten gibt es, sobald sie wieder gilt. Wenn Sie sie jetzt brauchen: bitte anrufen oder an den Schalter kommen.", "Your card is paused; there are new ones as soon as it counts again. If you need it now, please call or come to the desk."),
    "name-missing": ("Diesen Namen kann eine Karte nicht buchstabieren; die Karte ohne Namen gilt.", "No card can spell this name; the card without the name is good."),
    "too-many-requests": ("Das war zu oft hintereinander; bitte später noch einmal.", "That was too often in a row; please try again later."),
    "code-refused": ("Dieser Code gilt nicht, nicht mehr, oder er wurde schon benutzt.", "This code is not good, not any more, or it has been used."),
    "device-replaced": ("Ihre Karte ist auf ein anderes Telefon umgezogen: citycard phone sync", "Your card has moved to another phone: citycard phone sync"),
    "device-removed": ("Dieses Telefon wurde abgemeldet: citycard phone enrol", "This phone was removed: citycard phone enrol"),
    "not-found": ("Das gibt es nicht, oder es ist nicht Ihres. Ein neues Konto wird erst verknüpft: citycard phone activate CODE", "There is no such thing, or it is not yours. A new account is linked first: citycard phone activate CODE"),
}  # fmt: skip
"""What the server's commonest refusals mean to whoever reads them; all others are told in its own words."""


@dataclass(frozen=True, slots=True)
class Voice:
    """Says things in the reader's language."""

    language: str

    def __call__(self, de: str, en: str) -> str:
        return en if self.language == "en" else de

    def say(self, de: str, en: str) -> None:
        click.echo(self(de, en))

    def fail(self, de: str, en: str, code: int = FAILED) -> NoReturn:
        click.echo(self(de, en), err=True)
        sys.exit(code)


@dataclass(frozen=True, slots=True)
class Outside:
    """What a command has at hand: a way to the server, a folder, a voice."""

    wire: Wire
    drawer: Drawer
    voice: Voice


def calling(*, folder: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds the common options to a command and hands it an `Outside`; `folder` is its own part of --home."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @click.option(
            "--url",
            envvar="CITYCARD_URL",
            default="http://localhost:8000",
            show_default=True,
            help="The server.  [env: CITYCARD_URL]",
        )
        @click.option(
            "--home",
            envvar="CITYCARD_HOME",
            type=click.Path(file_okay=False, path_type=Path),
            default=Path.home() / ".citycard",
            help="Where keys and cards are kept; default ~/.citycard.  [env: CITYCARD_HOME]",
        )
        @click.option(
            "-v", "--verbose", is_flag=True, help="Show every request and answer, on standard error."
        )
        @click.option(
            "--lang",
            envvar="CITYCARD_LANG",
            type=click.Choice(["de", "de-simple", "en"]),
            default="de",
            show_default=True,
            help="The language.  [env: CITYCARD_LANG]",
        )
        @functools.wraps(command)
        def wrapped(url: str, home: Path, *, verbose: bool, lang: str, **rest: Any) -> None:
            voice = Voice(lang)
            show = functools.partial(click.echo, err=True) if verbose else None
            wire = Wire(url, show=show, language=lang)
            try:
                command(Outside(wire, Drawer(home / folder), voice), **rest)
            except Refused as refused:
                own = f"Der Server lehnt ab: {refused}", f"The server refuses: {refused}"
                voice.fail(*ANSWERS.get(refused.slug, own))
            except Unreachable as error:
                voice.fail(
                    f"Der Server antwortet nicht ({error}). Läuft er? citycard demo",
                    f"The server does not answer ({error}). Is it running? citycard demo",
                )
            except SignInFailed:
                voice.fail("Konto und Passwort passen nicht zusammen.", "Account and password do not fit.")
            except SignInAgain as again:
                voice.fail(
                    f"Die Anmeldung ist abgelaufen: citycard phone login --as {again}",
                    f"The sign-in is over: citycard phone login --as {again}",
                )
            except NotThere as missing:
                voice.fail(*MISSING.get(str(missing), (str(missing), str(missing))))
            except OSError as error:
                if error.filename is None:
                    raise
                voice.fail(
                    f"{error.filename} lässt sich nicht lesen oder schreiben ({error.strerror}).",
                    f"{error.filename} can be neither read nor written ({error.strerror}).",
                )
            finally:
                wire.close()

        return wrapped

    return decorate


class Coded(click.Group):
    """A group whose exit codes mean something: a command that was typed wrongly is an error, not an answer."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            error.show()
            ctx.exit(FAILED)


def euros(cents: int, language: str) -> str:
    """An amount as people read it."""
    whole, rest = divmod(cents, 100)
    return f"€{whole}.{rest:02d}" if language == "en" else f"{whole},{rest:02d} €"
