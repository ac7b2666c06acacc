"""`citycard scanner`: what a venue's device does."""

import sys
from pathlib import Path
from typing import Any

import click

from app.cli.outside import ACCEPTED, REFUSED, UNCLEAR, Coded, Outside, calling
from app.walk.keeping import NotThere
from app.walk.scanner import Scanner
from wallet.codes.picture import read_picture

EXITS = {"accepted": ACCEPTED, "redeemed": ACCEPTED, "refused": REFUSED}
SIGNS = {"accepted": "✓", "redeemed": "✓", "refused": "✗", "cannot_tell": "?", "check_the_clock": "◷"}


@click.group(cls=Coded)
def scanner() -> None:
    """What a venue's device does: check a code, redeem an offer.

    Exit codes: 0 accepted, 1 refused, 2 cannot tell or check the clock, 3 an error.
    """


@scanner.command()
@click.argument("code")
@click.option("--name", default="Kasse 1", show_default=True, help="What the venue calls this device.")
@calling(folder="scanner")
def enrol(outside: Outside, code: str, name: str) -> None:
    """Come in with the one-time code that the venue's manager got."""
    enrolled = Scanner(outside.wire, outside.drawer).enrol(code, name)
    number = enrolled["venue_number"]
    outside.voice.say(
        f"Das Prüfgerät „{name}“ ist angemeldet, Ort {number}.",
        f"The scanner “{name}” is enrolled, venue {number}.",
    )


@scanner.command()
@click.option(
    "--png", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A picture of the code."
)
@click.option("--text", help="The code's text; `-` reads it from standard input.")
@click.option("--offline", is_flag=True, help="Judge alone, by the bundle that was fetched before.")
@click.argument("stdin", required=False, metavar="[-]")
@calling(folder="scanner")
def check(outside: Outside, png: Path | None, text: str | None, stdin: str | None, *, offline: bool) -> None:
    """Check a code: accepted, refused, cannot tell, or check the clock; and what it brings here."""
    if png is not None:
        text = read_picture(png.read_bytes())
        if text is None:
            outside.voice.fail(
                "In diesem Bild ist kein Code zu lesen.", "There is no code to be read in this picture."
            )
    elif "-" in {text, stdin}:
        text = sys.stdin.read().strip()
    if not text:
        raise click.UsageError("--png FILE, --text TEXT or - is needed")
    device = Scanner(outside.wire, outside.drawer)
    answer = device.check_alone(text) if offline else device.check(text)
    for line in verdict_lines(outside, answer):
        click.echo(line)
    sys.exit(EXITS.get(answer["outcome"], UNCLEAR))


def verdict_lines(outside: Outside, answer: Any) -> list[str]:
    """What the person at the till reads."""
    voice = outside.voice
    lines = [f"{SIGNS[answer['outcome']]} {answer['headline']}"]
    if answer["explanation"]:
        lines.append(f"  {answer['explanation']} ({answer['reason']})")
    if answer["outcome"] == "accepted" and answer["compare_name"]:
        name = answer["name"].rstrip("<").replace("<<", ", ").replace("<", " ")
        lines.append(f"  {voice('Bitte mit dem Ausweis vergleichen', 'Please compare with an ID')}: {name}")
    lines += [f"  {place}. {offer['text']}" for place, offer in enumerate(answer["offers"], 1)]
    if answer["offers_with_name"]:
        lines.append(
            f"  {voice('Mit der Karte, die den Namen trägt', 'With the card that carries the name')}:"
        )
        lines += [f"  · {offer['text']}" for offer in answer["offers_with_name"]]
    return lines


@scanner.command()
@click.argument("offer")
@calling(folder="scanner")
def redeem(outside: Outside, offer: str) -> None:
    """Take a use of an offer for the code checked last; OFFER is its number in that answer, or its id."""
    device = Scanner(outside.wire, outside.drawer)
    offers = device.state.get("offers", [])
    ids = {str(place): each["id"] for place, each in enumerate(offers, 1)} | {
        o["id"]: o["id"] for o in offers
    }
    if offer not in ids:
        raise NotThere("offer")
    answer = device.redeem(ids[offer])
    click.echo(f"{SIGNS.get(answer['outcome'], '·')} {answer['headline']}")
    if answer["explanation"]:
        click.echo(f"  {answer['explanation']} ({answer['reason']})")
    sys.exit(EXITS.get(answer["outcome"], UNCLEAR))


@scanner.command()
@calling(folder="scanner")
def bundle(outside: Outside) -> None:
    """Fetch what is needed to check without a network: keys, status lists, the venue's offers."""
    fetched = Scanner(outside.wire, outside.drawer).fetch_bundle()
    outside.voice.say(
        f"Bereit für das Prüfen ohne Netz: {fetched.offers} Angebote, {fetched.lists} Statuslisten.",
        f"Ready to check offline: {fetched.offers} offers, {fetched.lists} status lists.",
    )


COMMANDS = (scanner,)
