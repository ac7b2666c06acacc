"""Revoke, suspend or resume the credential at a place of a status list, for operators and for those who test verifiers."""

import asyncio
import json
from dataclasses import asdict, dataclass
from enum import StrEnum

import click

from app.cli.inside import Running, beside
from core.database import Database
from core.errors import Unprocessable
from core.settings import Settings
from issuers.credentials import pausing
from issuers.credentials.rules import Revocation
from issuers.status.service import uri_of


class Act(StrEnum):
    """What is done to the credential."""

    REVOKE = "revoke"
    SUSPEND = "suspend"
    RESUME = "resume"


class NotOurs(Unprocessable):
    """The address is not that of one of our lists."""

    slug, title = "not-our-list", "This is not the address of one of our status lists"


class Nobody(Unprocessable):
    """No credential stands there."""

    slug, title = "no-credential", "No credential stands at this place of the list"


@dataclass(frozen=True, slots=True)
class Done:
    """What happened."""

    credential: str
    kind: str
    before: str
    after: str
    changed: bool


@click.command("revoke")
@click.option("--status-uri", required=True, help="The list's address, as it stands in the credential.")
@click.option(
    "--status-idx", required=True, type=click.IntRange(min=0), help="The index, as it stands there."
)
@click.option("--suspend", "act", flag_value=Act.SUSPEND.value, help="Suspend it instead; it can be resumed.")
@click.option("--resume", "act", flag_value=Act.RESUME.value, help="Let a suspended one count again.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@beside
def revoke_credential(
    running: Running, *, status_uri: str, status_idx: int, act: str | None, as_json: bool
) -> None:
    """Revoke the credential at a place of a status list, for good; the list that is served says so at once.

    Its holder is told in every case. A phone whose card is suspended gets no fresh cards until it is resumed.
    The database knows before this command ends; the next list that anybody fetches carries it, and no copy of an
    older one may be relied on for longer than its ttl (one minute).
    """
    done = asyncio.run(_do(running, status_uri, status_idx, Act(act or Act.REVOKE)))
    if as_json:
        click.echo(json.dumps(asdict(done)))
        return
    said = f"was {done.before}, is {done.after}" if done.changed else f"is {done.after} already"
    click.echo(f"{done.kind} credential {done.credential}: {said}")


async def _do(running: Running, uri: str, index: int, act: Act) -> Done:
    settings, now = running.settings, running.clock.now()
    place = (number_of(uri, settings), index)
    database = Database(settings.database_url)
    try:
        async with database.writing() as session:
            # No list has more places than a column can count.
            credential = await pausing.at_place(session, place) if index < 1 << 31 else None
            if credential is None:
                raise Nobody
            before = await pausing.status_at(session, place)
            match act:
                case Act.REVOKE:
                    why = Revocation.BY_OPERATOR
                    await pausing.end(session, None, credential, why, settings=settings, now=now)
                case Act.SUSPEND:
                    await pausing.pause(session, None, credential, settings=settings, now=now)
                case Act.RESUME:
                    await pausing.resume(session, None, credential, settings=settings, now=now)
            after = await pausing.status_at(session, place)
            return Done(
                credential=str(credential.id),
                kind=credential.kind.value,
                before=before.name.lower() if before is not None else "",
                after=after.name.lower() if after is not None else "",
                changed=before is not after,
            )
    finally:
        await database.dispose()


def number_of(uri: str, settings: Settings) -> int:
    """The number of one of our lists; NotOurs for any other address."""
    last = uri.rpartition("/")[2]
    if not (last.isascii() and last.isdecimal() and len(last) < 10 and uri == uri_of(int(last), settings)):
        raise NotOurs(f"ours begin with {uri_of(0, settings)[:-1]}")
    return int(last)


COMMANDS = (revoke_credential,)
