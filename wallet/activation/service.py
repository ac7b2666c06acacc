"""Give a code for a person or for a guardian of theirs, and take one in."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller
from core.cose import Malformed
from core.settings import Settings
from core.vault import Vault
from entitlements.clearing import guardians
from entitlements.people import service as people
from entitlements.people.activation import CodeRefused, make_code, use_code
from entitlements.people.models import LinkedBy, Makes
from entitlements.people.rules import code_as_printed, code_as_read
from wallet.codes.picture import draw, smallest_version
from wallet.codes.text import NotOurs, activation_text, read_activation


@dataclass(frozen=True, slots=True)
class Given:
    """A code as it is handed over: to type, to scan, and as a picture."""

    code: str
    text: str
    picture: str
    expires_at: datetime


async def give(
    session: AsyncSession,
    vault: Vault,
    settings: Settings,
    caller: Caller,
    person_id: UUID,
    *,
    until: date | None = None,
    today: date,
    now: datetime,
) -> Given:
    """A one-time code that makes its user this person, or with `until` somebody who may act for them to that day."""
    if until is not None:
        await guardians.check(session, person_id, since=today, until=until, today=today)
    secret, expires_at = await make_code(session, vault, caller, person_id, until=until, now=now)
    text = activation_text(settings.code_host, secret)
    picture = draw(text, smallest_version(text)).svg("Code")
    return Given(code_as_printed(secret), text, picture, expires_at)


async def take(
    session: AsyncSession,
    vault: Vault,
    settings: Settings,
    caller: Caller,
    written: str,
    *,
    today: date,
    now: datetime,
) -> UUID:
    """Uses a code up for whoever has signed in, and says who they are now. CodeRefused if it does not fit.

    A guardian who is nobody here yet becomes somebody of whom the city knows no more than that. How often somebody may
    try is the door's business; what is refused for another reason (the login is somebody else) leaves the code unused.
    """
    code = await use_code(session, vault, caller, _secret(written, settings.code_host), now)
    if code.makes is Makes.SELF:
        await _link(session, caller, code.person_id, now)
        return await people.person_of(session, caller)
    own = await people.whoami(session, caller)
    if own is None:
        own = (await people.make_person(session, now)).id
        await _link(session, caller, own, now)
    assert code.until is not None
    await guardians.make(
        session, caller, own, code.person_id, since=today, until=code.until, today=today, now=now
    )
    return own


async def _link(session: AsyncSession, caller: Caller, person_id: UUID, now: datetime) -> None:
    await people.link_login(session, caller.principal_id, person_id, by=LinkedBy.CODE, caller=caller, now=now)


def _secret(written: str, host: str) -> bytes:
    """What was typed or scanned; CodeRefused where it is neither."""
    typed = code_as_read(written)
    if typed is not None:
        return typed
    try:
        return read_activation(written.strip(), host)
    except (NotOurs, Malformed):
        raise CodeRefused from None
