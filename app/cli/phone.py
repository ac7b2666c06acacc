"""`citycard phone`: what a holder's phone does."""

from pathlib import Path
from typing import Any

import click

from app.cli.outside import Coded, Outside, calling, euros
from app.walk.phone import Moved, Phone

OWNER = click.option("--for", "ward", metavar="WHO", help="A child of yours, by given name or id.")
NAMED = click.option("--named", is_flag=True, help="The card with the name, for offers that ask for an ID.")


@click.group(cls=Coded)
def phone() -> None:
    """What a holder's phone does: sign in, enrol, hold cards, show a code.

    Keys and cards stay in a folder (--home) that only its owner can read.
    """


def _phone(outside: Outside) -> Phone:
    return Phone(outside.wire, outside.drawer)


def _ward(phone: Phone, ward: str | None) -> str | None:
    return None if ward is None else phone.ward(ward)


@phone.command()
@click.option("--as", "account", required=True, metavar="NAME", help="The account, for example `familie`.")
@click.option("--password", default="demo", help="The same for every account of the demo: demo.")
@calling(folder="phone")
def login(outside: Outside, account: str, password: str) -> None:
    """Sign in, as an app does: authorization code with PKCE."""
    signed_in = _phone(outside).login(account, password)
    until = f"{signed_in.expires_at:%H:%M} UTC"
    outside.voice.say(f"Angemeldet als {account}, bis {until}.", f"Signed in as {account}, until {until}.")


@phone.command()
@click.argument("code")
@calling(folder="phone")
def activate(outside: Outside, code: str) -> None:
    """Enter the one-time code that the desk or a letter gave you: your account becomes yours."""
    known = _phone(outside).activate(code)
    for ward in known["wards"]:
        outside.voice.say(f"Sie handeln für: {ward['given_name']}", f"You act for: {ward['given_name']}")
    outside.voice.say("Ihr Konto ist jetzt mit Ihnen verknüpft.", "Your account is linked to you now.")


NAME = click.option("--name", default="Telefon", show_default=True, help="What you call this phone.")


@phone.command()
@NAME
@calling(folder="phone")
def enrol(outside: Outside, name: str) -> None:
    """Make this phone's key and prove it to the server."""
    _enrolled(outside, _phone(outside).enrol(name))


@phone.command()
@NAME
@click.option("--from", "old", metavar="ID", help="Which phone it takes the place of, if there are several.")
@click.option("--yes", is_flag=True, help="Do not ask whether this is really meant.")
@calling(folder="phone")
def move(outside: Outside, name: str, old: str | None, *, yes: bool) -> None:
    """Take the place of your other phone: its cards end first, and it is told."""
    phone, voice = _phone(outside), outside.voice
    others = [other for other in phone.others() if old in {None, other["id"]}]
    if len(others) != 1:
        for other in others:
            click.echo(f"{other['id']}  {other['name']}")
        voice.fail(
            "Welches Telefon? Bitte mit --from ID nennen.", "Which phone? Please name it with --from ID."
        )
    question = voice(
        f"Die Karten auf „{others[0]['name']}“ gelten dann nicht mehr. Weiter?",
        f"The cards on “{others[0]['name']}” will then be invalid. Go on?",
    )
    if not yes and not click.confirm(question):
        return
    _enrolled(outside, phone.enrol(name, replaces=others[0]["id"]))


def _enrolled(outside: Outside, device: dict[str, Any]) -> None:
    outside.voice.say(
        f"Das Telefon ist angemeldet ({device['id']}).", f"The phone is enrolled ({device['id']})."
    )
    if device["pays_from"] > device["enrolled_at"]:
        at = device["pays_from"][:16].replace("T", " ")
        outside.voice.say(
            f"Guthaben kann es ab {at} UTC ausgeben; am Schalter geht es eher.",
            f"It can spend money from {at} UTC; the desk can make it sooner.",
        )


@phone.command()
@calling(folder="phone")
def sync(outside: Outside) -> None:
    """Ask how things stand: drop cards that were taken back, get fresh ones, hear whether the card has moved."""
    try:
        said = _phone(outside).sync()
    except Moved as moved:
        whither = moved.successor or outside.voice("ein anderes Telefon", "another phone")
        if moved.state == "replaced":
            outside.voice.fail(f"Ihre Karte ist umgezogen: {whither}.", f"Your card has moved: {whither}.")
        outside.voice.fail("Dieses Telefon wurde abgemeldet.", "This phone was removed.")
    if any(held["paused"] for held in said["holds"]):
        outside.voice.say(
            "Eine Karte auf diesem Telefon macht eine Pause; mehr steht unter: citycard phone inbox",
            "A card on this phone is paused; more of it: citycard phone inbox",
        )
        return
    cards = said["cards"]
    outside.voice.say(f"Alles in Ordnung; {cards} Karten gelten.", f"All is well; {cards} cards hold.")


@phone.command("card")
@OWNER
@calling(folder="phone")
def show_card(outside: Outside, ward: str | None) -> None:
    """Show the one neutral card and what it brings you, with the reasons."""
    phone = _phone(outside)
    person = _ward(phone, ward)
    for line in card_lines(outside, phone.card(person), phone.entitlements(person), phone.allowances(person)):
        click.echo(line)


def card_lines(outside: Outside, card: Any, entitlements: Any, allowances: Any) -> list[str]:
    """The card and what lies behind it, for its holder's eyes."""
    voice, width = outside.voice, 46
    lines = ["┌" + "─" * width + "┐", f"│  {card['title']:<{width - 2}}│"]
    for tariff in card["tariffs"]:
        lines.append(f"│    · {tariff['name']:<{width - 6}}│")
    if not card["holds"]:
        nothing = voice("bringt zurzeit nichts", "brings nothing at present")
        lines.append(f"│    {nothing:<{width - 4}}│")
    lines.append("└" + "─" * width + "┘")
    for held in entitlements:
        mark = "✓" if held["held"] else "·"
        until = f" {voice('bis', 'until')} {held['until']}" if held["held"] and held["until"] else ""
        ending = voice(" – endet", " – ending") if held["status"] == "ending" else ""
        lines.append(f"{mark} {held['name']}{until}{ending}")
        lines += [f"    {reason['text']}" for reason in held["reasons"]]
        lines += [
            f"    {voice('es fehlt', 'missing')}: {missing['label']} ({missing['department']})"
            for missing in held["missing"]
        ]
    for pot in allowances["pots"]:
        if pot["terms"] != "monthly":
            lines.append(
                f"€ {pot['name']}: {voice('die tatsächlichen Kosten', 'the actual cost')}"
                f" ({voice('nutzbar bis', 'usable until')} {pot['usable_until']})"
            )
            continue
        balance, monthly = (euros(pot[name], voice.language) for name in ("balance_cents", "monthly_cents"))
        each = voice("im Monat", "a month")
        lines.append(
            f"€ {pot['name']}: {balance} ({monthly} {each}, {voice('nutzbar bis', 'usable until')} {pot['usable_until']})"
        )
    return lines


@phone.command()
@calling(folder="phone")
def persons(outside: Outside) -> None:
    """Show who you are here, and for whom you may act."""
    known = _phone(outside).persons()
    own = known["person_id"] or outside.voice("noch niemand", "nobody yet")
    outside.voice.say(f"Sie sind: {own}", f"You are: {own}")
    for ward in known["wards"]:
        name, who, until = ward["given_name"], ward["person_id"], ward["until"]
        outside.voice.say(
            f"Sie handeln für: {name} ({who}) bis {until}", f"You act for: {name} ({who}) until {until}"
        )


@phone.command()
@calling(folder="phone")
def inbox(outside: Outside) -> None:
    """Read what the city wrote to you."""
    phone = _phone(outside)
    box = phone.inbox()
    if not box["messages"]:
        outside.voice.say("Keine Nachrichten.", "No messages.")
    wards = {ward["person_id"]: ward["given_name"] for ward in phone.persons()["wards"]}
    for message in box["messages"]:
        new = " " if message["read_at"] else "●"
        whose = f"{wards[message['person_id']]} – " if message["person_id"] in wards else ""
        click.echo(f"{new} {message['delivered_at'][:10]}  {whose}{message['title']}\n    {message['body']}")


@phone.command("top-up")
@OWNER
@NAMED
@click.option("--count", default=8, show_default=True, type=click.IntRange(1, 32), help="How many cards.")
@calling(folder="phone")
def top_up(outside: Outside, ward: str | None, *, named: bool, count: int) -> None:
    """Get fresh cards, each for a key of its own."""
    phone = _phone(outside)
    batch = phone.top_up(named=named, person=_ward(phone, ward), count=count)
    number, until = len(batch["cards"]), batch["cards"][0]["expires_at"][:16].replace("T", " ")
    outside.voice.say(
        f"{number} neue Karten, gültig bis {until} UTC.", f"{number} new cards, good until {until} UTC."
    )


@phone.command()
@click.option(
    "--venue", type=int, metavar="N", help="The number on the sign at the door, where there is one."
)
@click.option(
    "--png", type=click.Path(dir_okay=False, path_type=Path), help="Also write the code as a picture."
)
@click.option("--text", "as_text", is_flag=True, help="Print the code's text instead of drawing it.")
@click.option("--new-visit", is_flag=True, help="Take a fresh card, even if one was shown a moment ago.")
@OWNER
@NAMED
@calling(folder="phone")
def show(
    outside: Outside,
    ward: str | None,
    *,
    venue: int | None,
    png: Path | None,
    as_text: bool,
    named: bool,
    new_visit: bool,
) -> None:
    """Show a live code: this visit's card, signed for this second. It is good for a minute, once."""
    phone = _phone(outside)
    shown = phone.show(venue=venue, named=named, person=_ward(phone, ward), new_visit=new_visit)
    click.echo(shown.text if as_text else shown.drawing.terminal())
    if png is not None:
        png.write_bytes(shown.drawing.png())
    at = f"{shown.at:%H:%M:%S} UTC"
    said = outside.voice(
        f"Gezeigt um {at}, gültig eine Minute; noch {shown.left} frische Karten.",
        f"Shown at {at}, good for a minute; {shown.left} fresh cards left.",
    )
    click.echo(said, err=as_text)
    if shown.clock_in_doubt:
        click.echo(
            outside.voice(
                "Die Uhr hier geht nach. Bitte Datum und Uhrzeit automatisch einstellen, oder kurz ins Netz gehen.",
                "The clock here is behind. Please set date and time automatically, or go online for a moment.",
            ),
            err=True,
        )
    if not shown.fresh:
        click.echo(
            outside.voice(
                "Diese Karte wurde schon einmal gezeigt. Neue Karten: citycard phone top-up",
                "This card has been shown before. New cards: citycard phone top-up",
            ),
            err=True,
        )


@phone.command("time")
@calling(folder="phone")
def tell_time(outside: Outside) -> None:
    """Ask the server what time it is, and by how much this machine's clock is off."""
    behind = outside.wire.ask_time().total_seconds()
    now = f"{outside.wire.now():%Y-%m-%d %H:%M:%S} UTC"
    outside.voice.say(
        f"{now}; die Uhr hier geht {behind:+.1f} s nach.", f"{now}; the clock here is {behind:+.1f} s behind."
    )


COMMANDS = (phone,)
