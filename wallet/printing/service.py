"""Print a card, draw it again, take it back when it is lost and make another."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import anyio
import structlog
from sqlalchemy import Select, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.audit.service import note
from core.clock import day_of
from core.errors import NotFound
from core.settings import Settings
from core.vault import Vault, open_sealed, seal
from entitlements.notices import service as notices
from entitlements.people import service as people
from entitlements.people.rules import PersonIdentity
from issuers.credentials.models import Credential
from issuers.credentials.rules import Revocation, card_number
from issuers.credentials.service import NothingHeld, draw_digits, issue_printed, revoke
from wallet.cards.service import NameMissing, spelt, title
from wallet.codes.text import printed_text
from wallet.printing.layout import Face, Size, last_day_of
from wallet.printing.models import PrintedCard

log = structlog.get_logger("printing")


@dataclass(frozen=True, slots=True)
class Printed:
    """A printed card with the text of its code."""

    card: PrintedCard
    text: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A printed card, and whether it still counts."""

    card: PrintedCard
    revoked_at: datetime | None = None
    """When what it says was taken back, for whatever reason: the paper is worth nothing since."""

    @property
    def ended_at(self) -> datetime | None:
        """Since when it does not count."""
        return min((at for at in (self.card.ended_at, self.revoked_at) if at is not None), default=None)


async def print_card(
    session: AsyncSession, vault: Vault, caller: Caller, *, settings: Settings, now: datetime
) -> Printed:
    """Makes a card on paper for whoever the request is about; an earlier one ends with that."""
    person_id = await people.subject_of(session, caller, day_of(now, settings.zone))
    return await _print(session, vault, caller, person_id, settings=settings, now=now)


async def printed_for(
    session: AsyncSession, caller: Caller, *, settings: Settings, now: datetime
) -> Sequence[Standing]:
    """The printed cards of whoever the request is about, the latest first."""
    ids = await _ids(session, caller, settings, now)
    found = await session.execute(
        _standing()
        .where(col(PrintedCard.person_id).in_(ids))
        .order_by(col(PrintedCard.printed_at).desc(), col(PrintedCard.id))
    )
    return [Standing(card, revoked_at) for card, revoked_at in found]


async def draw(
    session: AsyncSession,
    vault: Vault,
    caller: Caller,
    card_id: UUID,
    render: Callable[[Face, str, Size], bytes],
    *,
    size: Size,
    language: str,
    settings: Settings,
    now: datetime,
) -> bytes:
    """The picture of a card that counts; NotFound for somebody else's, and for one that is over."""
    ids = await _ids(session, caller, settings, now)
    row = (await session.execute(_standing().where(col(PrintedCard.id) == card_id))).one_or_none()
    if row is None:
        raise NotFound
    card, standing = row[0], Standing(row[0], row[1])
    if card.person_id not in ids or standing.ended_at is not None or card.expires_at <= now:
        raise NotFound
    keys = await people.keys_of(session, vault, [card.person_id])
    if card.person_id not in keys:
        raise NotFound
    face = face_of(
        card, keys[card.person_id], title=await title(session), language=language, zone=settings.zone
    )
    return await anyio.to_thread.run_sync(partial(render, face, settings.code_host, size))


def face_of(card: PrintedCard, key: bytes, *, title: str, language: str, zone: ZoneInfo) -> Face:
    """What is printed on a card, opened with its holder's key."""
    text, given, family = json.loads(open_sealed(key, card.sealed, _aad(card.id)))
    return Face(
        title=title,
        given=given,
        family=family,
        number=card.number,
        last_day=last_day_of(day_of(card.expires_at, zone)),
        text=text,
        language=language,
    )


def seal_face(card_id: UUID, key: bytes, text: str, identity: PersonIdentity) -> bytes:
    """What a card keeps of what is printed on it, for `face_of`."""
    said = [text, identity.given_name, identity.family_name]
    return seal(key, json.dumps(said, ensure_ascii=False).encode(), _aad(card_id))


async def lose(
    session: AsyncSession, vault: Vault, caller: Caller, card_id: UUID, *, settings: Settings, now: datetime
) -> tuple[PrintedCard, Printed | None]:
    """Takes a lost card back at once and makes another with a new number, where one is due.

    Said twice, it is one loss: the second time there is nothing more to make.
    """
    ids = await _ids(session, caller, settings, now)
    ended = await session.execute(
        update(PrintedCard)
        .where(
            col(PrintedCard.id) == card_id,
            col(PrintedCard.person_id).in_(ids),
            col(PrintedCard.lost_at).is_(None),
        )
        .values(lost_at=now, ended_at=now)
        .returning(PrintedCard)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    card = ended.scalar_one_or_none()
    if card is None:
        known = await session.get(PrintedCard, card_id)
        if known is None or known.person_id not in ids:
            raise NotFound
        return known, None
    await revoke(session, [card.credential_id], Revocation.LOST, now=now)
    note(session, caller, "printed-card.lost", ("printed-card", card.id), now=now)
    log.info("printed_card.lost", card=str(card.id))
    if card.replaced_by is not None:
        return card, None
    person_id = (await people.roots(session, [card.person_id]))[card.person_id]
    try:
        replacement = await _print(session, vault, caller, person_id, settings=settings, now=now)
    except (NothingHeld, NameMissing):
        return card, None
    card.replaced_by = replacement.card.id
    session.add(card)
    await session.flush()
    return card, replacement


async def print_again(
    session: AsyncSession, payload: dict[str, Any], now: datetime, *, vault: Vault, settings: Settings
) -> None:
    """The job for cards on paper whose key was withdrawn: each is made anew, and its holder told."""
    ids = [UUID(str(one)) for one in payload["credential_ids"]]
    found = await session.execute(
        select(PrintedCard)
        .where(col(PrintedCard.credential_id).in_(ids), col(PrintedCard.ended_at).is_(None))
        .order_by(col(PrintedCard.person_id))
    )
    for card in found.scalars().all():
        person_id = (await people.roots(session, [card.person_id]))[card.person_id]
        try:
            await _print(session, vault, None, person_id, settings=settings, now=now)
        except (NothingHeld, NameMissing):
            continue  # the list says already that this one does not count any more
        await notices.owe(session, person_id, "card.printed-again", {}, now=now)


async def _print(
    session: AsyncSession,
    vault: Vault,
    caller: Caller | None,
    person_id: UUID,
    *,
    settings: Settings,
    now: datetime,
) -> Printed:
    identity = await people.identity_of(session, vault, person_id)
    name = spelt(identity)
    issued = await issue_printed(session, vault, settings, person_id=person_id, name=name, now=now)
    before = await _end_earlier(session, person_id, now)
    card = PrintedCard(
        person_id=person_id,
        credential_id=issued.credential_id,
        number=card_number(draw_digits()),
        sealed=b"",
        printed_at=now,
        expires_at=issued.expires_at,
    )
    text = printed_text(settings.code_host, issued.signed)
    key = (await people.keys_of(session, vault, [person_id], make=True)).get(person_id)
    if key is None:
        raise NameMissing
    card.sealed = seal_face(card.id, key, text, identity or PersonIdentity())
    session.add(card)
    await session.flush()
    for earlier in before:
        earlier.replaced_by = card.id
        session.add(earlier)
    await session.flush()
    note(session, caller, "printed-card.made", ("printed-card", card.id), now=now)
    log.info("printed_card.made", card=str(card.id))
    return Printed(card, text)


async def on_person_merged(session: AsyncSession, payload: dict[str, Any], now: datetime) -> None:
    """The job when two persons were made one: one of them has one card on paper, the one that stays keeps theirs."""
    ended = await session.execute(
        update(PrintedCard)
        .where(
            col(PrintedCard.person_id) == UUID(str(payload["gone_id"])), col(PrintedCard.ended_at).is_(None)
        )
        .values(ended_at=now)
        .returning(col(PrintedCard.credential_id))
        .execution_options(synchronize_session=False)
    )
    await revoke(session, ended.scalars().all(), Revocation.REPLACED, now=now)


async def _end_earlier(session: AsyncSession, person_id: UUID, now: datetime) -> Sequence[PrintedCard]:
    ids = list(await people.aliases(session, [person_id]))
    ended = await session.execute(
        update(PrintedCard)
        .where(col(PrintedCard.person_id).in_(ids), col(PrintedCard.ended_at).is_(None))
        .values(ended_at=now)
        .returning(PrintedCard)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    cards = ended.scalars().all()
    await revoke(session, [card.credential_id for card in cards], Revocation.REPLACED, now=now)
    return cards


def _standing() -> Select[PrintedCard, datetime | None]:
    return select(PrintedCard, col(Credential.revoked_at)).join(
        Credential, col(Credential.id) == col(PrintedCard.credential_id)
    )


async def _ids(session: AsyncSession, caller: Caller, settings: Settings, now: datetime) -> list[UUID]:
    subject = await people.subject_of(session, caller, day_of(now, settings.zone))
    return list(await people.aliases(session, [subject]))


def _aad(card_id: UUID) -> bytes:
    return b"printed-card:" + card_id.bytes
