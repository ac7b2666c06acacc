"""Ask a wallet on behalf of a venue from the command line, for counters without a screen and for those who test wallets."""

import asyncio
import json
import shlex
from uuid import UUID

import click
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.cli.inside import NotOne, Running, beside
from core.database import Database
from core.vault import open_vault
from issuers.openid.desk import Desk
from verifiers.presentations import service
from verifiers.presentations.asking import Method, Scheme
from verifiers.presentations.service import Opened, Wish
from verifiers.venues.models import Venue


@click.command("request")
@click.argument("venue", metavar="VENUE")
@click.option("--tariff", "tariffs", multiple=True, help="Ask for this tariff; default: those of its offers.")
@click.option("--with-name", is_flag=True, help="Ask for the name as well, to be compared with an ID.")
@click.option(
    "--scheme",
    type=click.Choice([scheme.value for scheme in Scheme]),
    default=Scheme.OPENID.value,
    show_default=True,
    help="What the wallet listens to.",
)
@click.option(
    "--request-uri-method",
    "method",
    type=click.Choice([method.value for method in Method]),
    default=Method.POST.value,
    show_default=True,
    help="How the wallet is told to fetch the request; both ways work.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@beside
def request_presentation(
    running: Running,
    *,
    venue: str,
    tariffs: tuple[str, ...],
    with_name: bool,
    scheme: str,
    method: str,
    as_json: bool,
) -> None:
    """Print a request that any wallet can answer, and the command that says what came of it.

    The venue is an id, the number on its sign, or (part of) a name. The status ends as `verified`, `refused` or
    `expired`.
    """
    wish = Wish(tariffs=tariffs, with_name=with_name, scheme=Scheme(scheme), method=Method(method))
    opened = asyncio.run(_request(running, venue, wish))
    status = "curl -s " + shlex.quote(service.status_url(running.settings, opened.watch))
    if as_json:
        click.echo(json.dumps({"authorization_request": opened.link, "status_cmd": status}))
        return
    click.echo(opened.link)
    click.echo(status)


async def _request(running: Running, venue: str, wish: Wish) -> Opened:
    settings, now = running.settings, running.clock.now()
    vault, database = open_vault(settings), Database(settings.database_url)
    try:
        async with database.writing() as session:
            asking = Wish(
                venue_id=await _meant(session, venue),
                tariffs=wish.tariffs,
                with_name=wish.with_name,
                scheme=wish.scheme,
                method=wish.method,
            )
            return await service.ask(Desk(session, vault, settings, now), None, asking)
    finally:
        await database.dispose()


async def _meant(session: AsyncSession, venue: str) -> UUID:
    """The one open venue that is meant; NotOne where none is, or several."""
    rows = await session.execute(
        select(Venue).where(col(Venue.closed_at).is_(None)).order_by(col(Venue.name))
    )
    named = list(rows.scalars())
    exactly = [one for one in named if venue in {str(one.id), str(one.number), one.name}]
    found = exactly or [one for one in named if venue.casefold() in one.name.casefold()]
    if len(found) != 1:
        listed = "".join(f"\n  {one.number}  {one.name}" for one in (found or named)[:20])
        raise NotOne(f"{len(found) or 'no venue'} found; name one by the number{listed}")
    return found[0].id


COMMANDS = (request_presentation,)
