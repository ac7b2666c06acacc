"""Suspend a credential and let it count again; find the one that stands at a place of a status list."""

from collections.abc import Collection
from datetime import date, datetime
from uuid import UUID

import structlog
from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.audit.service import note
from core.clock import day_of
from core.errors import Conflict, NotFound
from core.settings import Settings
from entitlements.notices import service as notices
from issuers.credentials.models import Credential
from issuers.credentials.rules import CredentialKind
from issuers.credentials.service import subject_ids
from issuers.status.models import Place
from issuers.status.rules import Status
from issuers.status.service import Numbered, set_status

log = structlog.get_logger("credentials")

CARRIERS = {CredentialKind.CARD: "phone", CredentialKind.PRINTED: "paper", CredentialKind.SD_JWT: "wallet"}
"""What a holder has the card on; a notice names no number that nobody knows."""
TOLD = {Status.SUSPENDED: "card.suspended", Status.VALID: "card.resumed"}


class TakenBack(Conflict):
    """The credential was revoked; that is for good."""

    slug, title = "credential-revoked", "This credential was taken back for good"


class NoSuspension(Conflict):
    """The lists of this deployment have one bit for a status."""

    slug, title = "no-suspension", "Here a credential is valid or revoked, and nothing in between"


async def at_place(session: AsyncSession, place: Numbered) -> Credential | None:
    """The credential whose status stands at this place; None where the place is nobody's."""
    found = await session.execute(
        select(Credential).where(
            col(Credential.status_list) == place[0], col(Credential.status_index) == place[1]
        )
    )
    return found.scalar_one_or_none()


async def status_at(session: AsyncSession, place: Numbered) -> Status | None:
    """What the database says of a place, ahead of every list; None where it was never given away."""
    found = await session.get(Place, place, populate_existing=True)
    return None if found is None else Status(found.status)


async def suspended(session: AsyncSession, credentials: Collection[Credential]) -> set[UUID]:
    """Which of these are suspended."""
    if not credentials:
        return set()
    places = {(one.status_list, one.status_index): one.id for one in credentials}
    found = await session.execute(
        select(col(Place.list_number), col(Place.position)).where(
            tuple_(col(Place.list_number), col(Place.position)).in_(list(places)),
            col(Place.status) == int(Status.SUSPENDED),
        )
    )
    return {places[row[0], row[1]] for row in found.all()}


async def pause(
    session: AsyncSession, caller: Caller | None, credential: Credential, *, settings: Settings, now: datetime
) -> bool:
    """Suspends a credential: verifiers refuse it until it is resumed, and its holder is told.

    Doing it twice changes nothing.
    """
    if settings.status_bits == 1:
        raise NoSuspension
    return await _turn(session, caller, credential, Status.SUSPENDED, settings=settings, now=now)


async def resume(
    session: AsyncSession, caller: Caller | None, credential: Credential, *, settings: Settings, now: datetime
) -> bool:
    """Lets a suspended credential count again, and tells its holder."""
    return await _turn(session, caller, credential, Status.VALID, settings=settings, now=now)


async def of_subject(
    session: AsyncSession, caller: Caller, credential_id: UUID, *, today: date
) -> Credential:
    """A credential of whoever the request is about; NotFound for anybody else's."""
    ids = await subject_ids(session, caller, today)
    credential = await session.get(Credential, credential_id)
    if credential is None or credential.person_id not in ids:
        raise NotFound
    return credential


async def _turn(
    session: AsyncSession,
    caller: Caller | None,
    credential: Credential,
    status: Status,
    *,
    settings: Settings,
    now: datetime,
) -> bool:
    if credential.revoked_at is not None:
        raise TakenBack
    place = (credential.status_list, credential.status_index)
    turned = bool(await set_status(session, [place], status, now=now))
    if turned:
        done = "credential.suspended" if status is Status.SUSPENDED else "credential.resumed"
        note(session, caller, done, ("credential", credential.id), now=now)
        await _tell(session, credential, status, day=day_of(now, settings.zone), now=now)
        log.info(done, credential=str(credential.id))
    return turned


async def _tell(
    session: AsyncSession, credential: Credential, status: Status, *, day: date, now: datetime
) -> None:
    """Owes the holder a notice, unless the last thing they were told of cards like this one was the same today.

    A phone holds eight cards; whoever suspends them all says so once.
    """
    said = {"carrier": CARRIERS[credential.kind], "day": day.isoformat()}
    before = await notices.last_told(session, credential.person_id, TOLD.values(), carrier=said["carrier"])
    if before is None or (before.code, before.params) != (TOLD[status], said):
        await notices.owe(session, credential.person_id, TOLD[status], said, now=now)
