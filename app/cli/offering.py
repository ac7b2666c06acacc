"""Offer somebody their credential from the command line, for desks without a screen and for those who test wallets."""

import asyncio
import json
from collections.abc import Sequence
from uuid import UUID

import click
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.inside import NotOne, Running, beside
from core.access.service import find_login
from core.database import Database
from core.settings import Settings
from core.vault import Vault, open_vault
from entitlements.people import service as people
from entitlements.people.models import Login
from entitlements.people.rules import PersonIdentity
from issuers.openid import offers, wards
from issuers.openid.desk import Desk


@click.command("offer")
@click.argument("person", metavar="PERSON_OR_QUERY")
@click.option("--programme", help="The programme that the credential speaks of; default: all that is held.")
@click.option("--by-value", is_flag=True, help="Put the offer itself into the link, not its address.")
@click.option(
    "--scheme",
    type=click.Choice([scheme.value for scheme in offers.Scheme]),
    default=offers.Scheme.OPENID.value,
    show_default=True,
    help="What the wallet listens to.",
)
@click.option("--no-tx-code", is_flag=True, help="For the device in hand: no code to type, five minutes.")
@click.option(
    "--taken-by",
    metavar="ID",
    type=click.UUID,
    help="Whose wallet takes what is a child's: the child's own id, or a guardian's; default: the only guardian's.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: offer and tx_code.")
@beside
def offer_credential(
    running: Running,
    *,
    person: str,
    programme: str | None,
    by_value: bool,
    scheme: str,
    no_tx_code: bool,
    taken_by: UUID | None,
    as_json: bool,
) -> None:
    """Print a credential offer for one person, with the transaction code that the wallet will ask for.

    The person is an id, the name of an account (in the demo: familie, rente, paar), or a name. Where several have the
    name, they are listed with an initial, the year of birth and the postcode; the id then names one.
    """
    made = asyncio.run(
        _offer(
            running,
            person,
            programme=programme,
            by_value=by_value,
            scheme=offers.Scheme(scheme),
            with_pin=not no_tx_code,
            taken_by=taken_by,
        )
    )
    if as_json:
        click.echo(json.dumps({"offer": made.link, "tx_code": made.tx_code}))
        return
    click.echo(made.link)
    if made.tx_code is not None:
        click.echo(f"tx_code: {made.tx_code}")


async def _offer(
    running: Running,
    person: str,
    *,
    programme: str | None,
    by_value: bool,
    scheme: offers.Scheme,
    with_pin: bool,
    taken_by: UUID | None,
) -> offers.Offered:
    settings, now = running.settings, running.clock.now()
    vault, database = open_vault(settings), Database(settings.database_url)
    try:
        async with database.writing() as session:
            desk = Desk(session, vault, settings, now)
            person_id = await _meant(session, vault, settings, person)
            return await offers.offer(
                desk,
                None,
                person_id,
                programme=programme,
                by_value=by_value,
                scheme=scheme,
                with_pin=with_pin,
                handed_to=await _handed_to(desk, person_id, taken_by),
            )
    finally:
        await database.dispose()


async def _handed_to(desk: Desk, person_id: UUID, taken_by: UUID | None) -> UUID | None:
    """Into whose wallet it goes; NotOne where several guardians could be meant."""
    try:
        return await wards.handed_to(desk, person_id, taken_by)
    except wards.WhoseWallet as several:
        guardians = [UUID(one) for one in several.extra["guardians"]]
        listed = await _listed(desk.session, desk.vault, [*guardians, person_id])
        raise NotOne(
            f"{len(guardians)} guardians; say by --taken-by whose wallet takes it (the last is the child){listed}"
        ) from None


async def _meant(session: AsyncSession, vault: Vault, settings: Settings, person: str) -> UUID:
    """The one person who is meant; NotOne where nobody is, or several."""
    try:
        meant: Sequence[UUID] = list((await people.roots(session, [UUID(person)])).values())
    except ValueError:
        meant = await _named(session, vault, settings, person)
    found = sorted(set(meant))
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotOne("nobody found; name one person by the id, an account or the whole name")
    raise NotOne(f"{len(found)} found; name one person by the id{await _listed(session, vault, found)}")


async def _listed(session: AsyncSession, vault: Vault, persons: Sequence[UUID]) -> str:
    known = await people.identities_of(session, vault, persons)
    return "".join(f"\n  {one}  {_told_apart(known.get(one))}" for one in persons)


def _told_apart(identity: PersonIdentity | None) -> str:
    """What tells people of one name apart, and no more: a terminal is copied and kept sooner than one thinks."""
    if identity is None:
        return "nothing is known"
    year = identity.birth_date[:4]
    born = f"born {year}" if year.strip("0") else "year of birth unknown"
    initial = f"{identity.given_name[0]}." if identity.given_name else ""
    return ", ".join(part for part in (initial, born, identity.postcode) if part)


async def _named(session: AsyncSession, vault: Vault, settings: Settings, person: str) -> Sequence[UUID]:
    principal = await find_login(session, vault, settings.oidc_issuer, person)
    login = None if principal is None else await session.get(Login, principal.id)
    if login is not None:
        return list((await people.roots(session, [login.person_id])).values())
    return [person_id for person_id, _ in await people.search_by_name(session, vault, person)]


COMMANDS = (offer_credential,)
