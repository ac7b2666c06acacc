"""Suspend a credential and let it count again; find the one that stands at a place of a status list.

A card on a phone is one of a batch, and the phone would fetch the next a moment later. So with the first card that is
suspended, the card on phones as a whole is: no phone gets a fresh one for this person until it is resumed. It is not
enough to hold back the one phone, since another can be enrolled within a minute; and a fresh card that begins as
suspended would be taken by every scanner whose lists are older than it. What was not suspended goes on counting, paper
and wallets are left alone, and the desk can print a card meanwhile.
"""

from collections.abc import Collection
from datetime import date, datetime
from uuid import UUID

import structlog
from sqlalchemy import exists, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.audit.service import note
from core.clock import day_of
from core.errors import Conflict, NotFound
from core.settings import Settings
from entitlements.notices import service as notices
from entitlements.people import service as people
from issuers.credentials.models import Credential, Holder
from issuers.credentials.rules import CredentialKind, Revocation
from issuers.credentials.service import revoke, subject_ids, touch_all
from issuers.status.models import Place
from issuers.status.rules import Status
from issuers.status.service import Numbered, set_status

log = structlog.get_logger("credentials")

CARRIERS = {CredentialKind.CARD: "phone", CredentialKind.PRINTED: "paper", CredentialKind.SD_JWT: "wallet"}
"""What a holder has the card on; a notice names no number that nobody knows."""
TOLD = {
    Status.SUSPENDED: "card.suspended",
    Status.VALID: "card.resumed",
    Status.INVALID: "card.revoked",
}


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


class CardPaused(Conflict):
    """The person's card on phones is suspended, and so there is no fresh one."""

    slug, title = "card-paused", "The card is paused; there are fresh ones as soon as it counts again"


async def pause(
    session: AsyncSession, caller: Caller | None, credential: Credential, *, settings: Settings, now: datetime
) -> bool:
    """Suspends a credential: verifiers refuse it until it is resumed, and its holder is told.

    With a card on a phone, phones get no fresh ones either. Doing it twice changes nothing.
    """
    _can(settings)
    return await _turn(session, caller, credential, Status.SUSPENDED, settings=settings, now=now)


async def resume(
    session: AsyncSession, caller: Caller | None, credential: Credential, *, settings: Settings, now: datetime
) -> bool:
    """Lets a suspended credential count again, and tells its holder."""
    return await _turn(session, caller, credential, Status.VALID, settings=settings, now=now)


async def pause_phones(
    session: AsyncSession, caller: Caller | None, person_id: UUID, *, settings: Settings, now: datetime
) -> None:
    """Suspends every card that phones hold for a person, and lets them fetch no other; the person is told once."""
    _can(settings)
    for card in await _on_phones(session, person_id, now):
        await _turn(session, caller, card, Status.SUSPENDED, settings=settings, now=now)
    if await _hold_back(session, person_id, now):
        note(session, caller, "card.suspended", ("person", person_id), now=now)
        await _tell(
            session,
            person_id,
            CredentialKind.CARD,
            Status.SUSPENDED,
            day=day_of(now, settings.zone),
            now=now,
        )


async def resume_phones(
    session: AsyncSession, caller: Caller | None, person_id: UUID, *, settings: Settings, now: datetime
) -> None:
    """Lets every suspended card on phones count again and phones fetch fresh ones, whatever became of the old."""
    cards = await _on_phones(session, person_id, now)
    paused = await suspended(session, cards)
    for card in cards:
        if card.id in paused:
            await _turn(session, caller, card, Status.VALID, settings=settings, now=now)
    if await _let_go(session, caller, person_id, now=now):
        day = day_of(now, settings.zone)
        await _tell(session, person_id, CredentialKind.CARD, Status.VALID, day=day, now=now)


async def are_phones_paused(session: AsyncSession, person_id: UUID) -> bool:
    """Whether phones get no fresh cards for this person now.

    Whoever is about to make some holds the person's row first (`touch_all`), and then asks.
    """
    ids = list(await people.aliases(session, [person_id]))
    found = await session.execute(
        select(exists().where(col(Holder.person_id).in_(ids), col(Holder.paused_at).is_not(None)))
    )
    return bool(found.scalar_one())


async def end(
    session: AsyncSession,
    caller: Caller | None,
    credential: Credential,
    why: Revocation,
    *,
    settings: Settings,
    now: datetime,
) -> bool:
    """Takes a credential back for good in the city's name, and tells its holder; twice is once."""
    if not await revoke(session, [credential.id], why, now=now):
        return False
    note(session, caller, "credential.revoked", ("credential", credential.id), now=now, why=why.value)
    if credential.expires_at > now:
        day = day_of(now, settings.zone)
        await _tell(session, credential.person_id, credential.kind, Status.INVALID, day=day, now=now)
    await settle(session, caller, credential, now=now)
    return True


async def settle(
    session: AsyncSession, caller: Caller | None, credential: Credential, *, now: datetime
) -> None:
    """After the city itself has revoked a card: where it was the last that was suspended, the matter is decided.

    What the holder takes back, as lost, decides nothing: it must not end a suspension.
    """
    if credential.kind is CredentialKind.CARD:
        await _let_go(session, caller, credential.person_id, now=now)


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
    on_phone = credential.kind is CredentialKind.CARD
    if on_phone:
        # First the row: whoever makes cards for this person has made them before, and sees it afterwards.
        await touch_all(session, [credential.person_id], now)
    place = (credential.status_list, credential.status_index)
    turned = bool(await set_status(session, [place], status, now=now))
    if turned:
        done = "credential.suspended" if status is Status.SUSPENDED else "credential.resumed"
        note(session, caller, done, ("credential", credential.id), now=now)
        day = day_of(now, settings.zone)
        await _tell(session, credential.person_id, credential.kind, status, day=day, now=now)
        log.info(done, credential=str(credential.id))
    if on_phone and status is Status.SUSPENDED:
        await _hold_back(session, credential.person_id, now)
    elif on_phone and await _let_go(session, caller, credential.person_id, now=now):
        day = day_of(now, settings.zone)
        await _tell(session, credential.person_id, credential.kind, status, day=day, now=now)
    return turned


def _can(settings: Settings) -> None:
    if settings.status_bits == 1:
        raise NoSuspension


async def _on_phones(session: AsyncSession, person_id: UUID, now: datetime) -> list[Credential]:
    """The cards that phones hold for a person and that still run, with the person's row held."""
    ids = list(await people.aliases(session, [person_id]))
    await touch_all(session, ids, now)
    found = await session.execute(
        select(Credential)
        .where(
            col(Credential.person_id).in_(ids),
            col(Credential.kind) == CredentialKind.CARD,
            col(Credential.revoked_at).is_(None),
            col(Credential.expires_at) > now,
        )
        .order_by(col(Credential.id))
        .execution_options(populate_existing=True)
    )
    return list(found.scalars())


async def _hold_back(session: AsyncSession, person_id: UUID, now: datetime) -> bool:
    """From now on no fresh cards; False where it was so before."""
    held = await session.execute(
        update(Holder)
        .where(col(Holder.person_id) == person_id, col(Holder.paused_at).is_(None))
        .values(paused_at=now)
        .returning(col(Holder.person_id))
        .execution_options(synchronize_session=False)
    )
    return held.scalar_one_or_none() is not None


async def _let_go(session: AsyncSession, caller: Caller | None, person_id: UUID, *, now: datetime) -> bool:
    """Fresh cards again, unless one that still runs is suspended; False where nothing changed."""
    if await suspended(session, await _on_phones(session, person_id, now)):
        return False
    ids = list(await people.aliases(session, [person_id]))
    freed = await session.execute(
        update(Holder)
        .where(col(Holder.person_id).in_(ids), col(Holder.paused_at).is_not(None))
        .values(paused_at=None)
        .returning(col(Holder.person_id))
        .execution_options(synchronize_session=False)
    )
    if not freed.scalars().all():
        return False
    note(session, caller, "card.resumed", ("person", person_id), now=now)
    return True


async def _tell(
    session: AsyncSession,
    person_id: UUID,
    kind: CredentialKind,
    status: Status,
    *,
    day: date,
    now: datetime,
) -> None:
    """Owes the holder a notice, unless the last thing they were told of cards like this one was the same today.

    A phone holds eight cards; whoever suspends them all says so once.
    """
    said = {"carrier": CARRIERS[kind], "day": day.isoformat()}
    before = await notices.last_told(session, person_id, TOLD.values(), carrier=said["carrier"])
    if before is None or (before.code, before.params) != (TOLD[status], said):
        await notices.owe(session, person_id, TOLD[status], said, now=now)
