"""Make credentials (row, place in a status list, signature, in this order), take them back, know them again."""

import secrets
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core import p256
from core.access.rules import Caller
from core.audit.service import note
from core.bulk import among, table_of
from core.clock import day_of
from core.errors import Conflict, NotFound
from core.jobs.service import enqueue
from core.settings import Settings
from core.vault import KeyUse, Signer, Vault, apart
from entitlements.grants import service as grants
from entitlements.people import service as people
from issuers.authorities.certificates import Purpose, chain_for
from issuers.authorities.service import signer_for
from issuers.credentials.card import Card, CardId, PrintedCard, sign_card, sign_printed
from issuers.credentials.models import Credential, Holder
from issuers.credentials.rules import (
    CredentialKind,
    Revocation,
    card_ends,
    printed_ends,
    promises_more,
    wallet_ends,
)
from issuers.credentials.sdjwt.vc import issue, prepare
from issuers.credentials.statement import DECOYS, claims_of, type_of
from issuers.status.models import ListKind
from issuers.status.rules import Reference, Status
from issuers.status.service import allocate, set_status, uri_of

KEPT_AFTER_END = timedelta(days=30)
"""How long the row of a credential outlives it: an alarm or a complaint can still be followed."""

_CHUNK = 500
_AGAIN = 100  # cards on paper that one job makes anew, in one transaction

log = structlog.get_logger("credentials")


class NothingHeld(Conflict):
    """There is nothing that a card could bring this person now."""

    slug, title = "nothing-held", "There is nothing that a card could bring now"


@dataclass(frozen=True, slots=True)
class Issued:
    """A credential on its way out: it leaves once the transaction that holds its row is committed."""

    credential_id: UUID
    signed: bytes
    expires_at: datetime
    named: bool


@dataclass(frozen=True, slots=True)
class Known:
    """A card that was issued here; whose it is, a check never asks."""

    card_hash: bytes
    place: CardId
    kind: CredentialKind
    expires_at: datetime


async def issue_cards(
    session: AsyncSession,
    vault: Vault,
    settings: Settings,
    *,
    person_id: UUID,
    device_id: UUID,
    holders: Sequence[bytes],
    name: str | None,
    last_day: date | None = None,
    now: datetime,
) -> list[Issued]:
    """Makes a card of what the person holds for each of these keys of a phone; NothingHeld if that is nothing.

    With a `name` they are named cards. `last_day` ends them earlier: the guardianship under which a phone
    holds them.
    """
    held, until = await _held(session, person_id, settings, now)
    untils = [day for day in (until, last_day) if day is not None]
    ends = card_ends(
        now,
        days=settings.card_days,
        zone=settings.zone,
        until=min(untils, default=None),
        changes_on=held.changes_on,
    )

    def sign(place: CardId, point: bytes | None, signer: Signer) -> bytes:
        card = Card(signer.kid, int(ends.timestamp()), held.tariff_bits, place, point or b"", name)
        return sign_card(card, signer)

    return await _issue(
        session,
        _Draft(person_id, CredentialKind.CARD, held.tariff_bits, ends, device_id, name is not None),
        signer=await signer_for(session, vault, KeyUse.CARD, now),
        lists=ListKind.CARD,
        points=holders,
        sign=sign,
        settings=settings,
        now=now,
    )


async def issue_printed(
    session: AsyncSession,
    vault: Vault,
    settings: Settings,
    *,
    person_id: UUID,
    name: str,
    days: int | None = None,
    now: datetime,
) -> Issued:
    """Makes a card for paper, with the name, since nothing else binds it to its holder.

    With `days` it ends as a phone's card of so many days does: for a picture that somebody else keeps.
    """
    held, until = await _held(session, person_id, settings, now)
    ends = (
        printed_ends(now, zone=settings.zone, until=until, changes_on=held.changes_on)
        if days is None
        else card_ends(now, days=days, zone=settings.zone, until=until, changes_on=held.changes_on)
    )

    def sign(place: CardId, _point: bytes | None, signer: Signer) -> bytes:
        card = PrintedCard(signer.kid, int(ends.timestamp()), held.tariff_bits, place, name)
        return sign_printed(card, signer)

    draft = _Draft(person_id, CredentialKind.PRINTED, held.tariff_bits, ends, None, named=True)
    issued = await _issue(
        session,
        draft,
        signer=await signer_for(session, vault, KeyUse.PRINTED, now),
        lists=ListKind.PRINTED,
        points=[None],
        sign=sign,
        settings=settings,
        now=now,
    )
    return issued[0]


async def issue_for_wallet(
    session: AsyncSession,
    vault: Vault,
    settings: Settings,
    *,
    person_id: UUID,
    keys: Sequence[EllipticCurvePublicKey],
    programme: str | None,
    batch_id: UUID,
    last_day: date | None = None,
    now: datetime,
) -> list[Issued]:
    """Makes an SD-JWT VC for each of these keys of another's wallet; NothingHeld if there is nothing to say.

    With a `programme`, they say what that one brings and nothing else. `last_day` ends them earlier: the
    guardianship under which a wallet holds them. NoCertificate or VaultError where nobody can
    sign now.
    """
    await _touch(session, person_id, now)
    held = await grants.tariffs_of(session, person_id, day_of(now, settings.zone), programme=programme)
    if held.tariff_bits == 0:
        raise NothingHeld
    untils = [day for day in (held.until, last_day) if day is not None]
    ends = wallet_ends(now, zone=settings.zone, until=min(untils, default=None), changes_on=held.changes_on)
    identity = await people.identity_of(session, vault, person_id)
    chain = await chain_for(session, vault, settings, Purpose.CREDENTIAL, now)
    kind = prepare(settings.public_url, type_of(settings), list(chain.x5c), DECOYS)
    claims = claims_of(held.tariffs, identity)
    by_point = {p256.point(key): key for key in keys}

    def sign(place: CardId, point: bytes | None, signer: Signer) -> bytes:
        made = issue(
            kind,
            claims,
            holder=by_point[point or b""],
            status=Reference(uri_of(place.status_list, settings), place.index),
            now=now,
            ends=ends,
            sign=signer.sign,
        )
        return made.encode("ascii")

    named = identity is not None and bool(identity.name)
    return await _issue(
        session,
        _Draft(person_id, CredentialKind.SD_JWT, held.tariff_bits, ends, None, named, batch_id),
        signer=chain.signer,
        lists=ListKind.CREDENTIAL,
        points=list(by_point),
        sign=sign,
        settings=settings,
        now=now,
    )


async def revoke(
    session: AsyncSession, credential_ids: Collection[UUID], reason: Revocation, *, now: datetime
) -> list[UUID]:
    """Takes credentials back; gives those that were not taken back before. There is no way back."""
    places: list[tuple[int, int]] = []
    revoked: list[UUID] = []
    wanted = sorted(credential_ids)
    for start in range(0, len(wanted), _CHUNK):
        taken = await session.execute(
            update(Credential)
            .where(
                col(Credential.id).in_(wanted[start : start + _CHUNK]), col(Credential.revoked_at).is_(None)
            )
            .values(revoked_at=now, revoked_for=reason)
            .returning(col(Credential.id), col(Credential.status_list), col(Credential.status_index))
            .execution_options(synchronize_session=False)
        )
        for credential_id, number, index in taken.all():
            revoked.append(credential_id)
            places.append((number, index))
    await set_status(session, places, Status.INVALID, now=now)
    if revoked:
        log.info("credentials.revoked", count=len(revoked), why=reason.value)
    return revoked


async def held_by(
    session: AsyncSession, caller: Caller, *, today: date, now: datetime
) -> Sequence[Credential]:
    """The credentials that still run of whoever the request is about."""
    ids = await subject_ids(session, caller, today)
    return await _live(session, now, col(Credential.person_id).in_(ids))


async def take_back(
    session: AsyncSession,
    caller: Caller,
    credential_id: UUID,
    reason: Revocation,
    *,
    today: date,
    now: datetime,
) -> Credential:
    """Takes one credential of whoever the request is about back; NotFound for anybody else's."""
    ids = await subject_ids(session, caller, today)
    credential = await session.get(Credential, credential_id)
    if credential is None or credential.person_id not in ids:
        raise NotFound
    if await revoke(session, [credential_id], reason, now=now):
        note(session, caller, "credential.revoked", ("credential", credential_id), now=now, why=reason.value)
    await session.refresh(credential)
    return credential


async def subject_ids(session: AsyncSession, caller: Caller, today: date) -> list[UUID]:
    """Every id of whoever the request is about: two who turned out to be one have two."""
    return list(await people.aliases(session, [await people.subject_of(session, caller, today)]))


async def revoke_batch(
    session: AsyncSession, batch_id: UUID, reason: Revocation, *, now: datetime
) -> list[UUID]:
    """Takes back what a wallet was given together."""
    rows = await _live(session, now, col(Credential.batch_id) == batch_id)
    return await revoke(session, [row.id for row in rows], reason, now=now)


async def in_wallets(session: AsyncSession, person_id: UUID, now: datetime) -> int:
    """How many credentials of this person run in the wallets of others."""
    found = await session.execute(
        select(func.count())
        .select_from(Credential)
        .where(
            col(Credential.person_id) == person_id,
            col(Credential.kind) == CredentialKind.SD_JWT,
            col(Credential.revoked_at).is_(None),
            col(Credential.expires_at) > now,
        )
    )
    return found.scalar_one()


async def revoke_on_device(
    session: AsyncSession,
    device_id: UUID,
    reason: Revocation,
    *,
    person_id: UUID | None = None,
    now: datetime,
) -> list[UUID]:
    """Takes back every card that a phone holds, or those of one person on it."""
    where = [col(Credential.device_id) == device_id]
    if person_id is not None:
        where.append(col(Credential.person_id) == person_id)
    return await revoke(session, [row.id for row in await _live(session, now, *where)], reason, now=now)


async def outstanding(
    session: AsyncSession, person_id: UUID, now: datetime, *, device_id: UUID | None = None
) -> Sequence[Credential]:
    """The credentials of a person that still hold, on one phone or all, those that end last first."""
    where = [col(Credential.person_id) == person_id]
    if device_id is not None:
        where.append(col(Credential.device_id) == device_id)
    return await _live(session, now, *where)


async def recognise(session: AsyncSession, card_hash: bytes) -> Known | None:
    """The card that was issued with these bytes (their SHA-256), or None."""
    found = await session.execute(_known().where(col(Credential.card_hash) == card_hash))
    row = found.one_or_none()
    return None if row is None else Known(row[0], CardId(row[1], row[2]), row[3], row[4])


async def issued_since(
    session: AsyncSession, since: datetime | None, *, now: datetime, chunk: int = 5000
) -> AsyncIterator[list[Known]]:
    """Every card that still runs, in chunks, for a memory of them; `since` leaves out what is known already.

    A card is written a moment before its commit: ask from a minute before the last time.
    """
    running = (
        _known()
        .where(col(Credential.card_hash).is_not(None), col(Credential.expires_at) > now)
        .execution_options(yield_per=chunk)
    )
    if since is not None:
        running = running.where(col(Credential.issued_at) >= since)
    rows = await session.stream(running)
    try:
        async for part in rows.partitions(chunk):
            yield [Known(row[0], CardId(row[1], row[2]), row[3], row[4]) for row in part]
    finally:
        await rows.close()


async def on_holdings_changed(
    session: AsyncSession, payload: dict[str, Any], now: datetime, *, settings: Settings
) -> None:
    """The job when what people hold has changed: cards that promise more than that are taken back."""
    ids = [UUID(str(one)) for one in payload.get("person_ids") or [payload["person_id"]]]
    await touch_all(session, ids, now)
    # Whoever carries nothing has nothing to be taken back; of most people of a city that is so.
    carrying = select(col(Credential.person_id)).where(among(col(Credential.person_id), ids)).distinct()
    for person_id in sorted((await session.execute(carrying)).scalars()):
        held = await grants.tariffs_of(session, person_id, day_of(now, settings.zone))
        too_much = [
            card.id
            for card in await _live(session, now, col(Credential.person_id) == person_id)
            if promises_more(card.tariff_bits, held.tariff_bits)
        ]
        await revoke(session, too_much, Revocation.NOT_HELD, now=now)


async def on_key_withdrawn(session: AsyncSession, payload: dict[str, Any], now: datetime) -> None:
    """The job when a key was withdrawn: what it signed is taken back, so that lists say so too.

    Phones and wallets fetch the next by themselves; paper cannot, so it is made anew by the jobs that this owes.
    """
    signed = await _live(session, now, col(Credential.key_id) == str(payload["key_id"]))
    await revoke(session, [card.id for card in signed], Revocation.KEY_WITHDRAWN, now=now)
    paper = [str(card.id) for card in signed if card.kind is CredentialKind.PRINTED]
    for start in range(0, len(paper), _AGAIN):
        await enqueue(
            session, "printed-cards.again", {"credential_ids": paper[start : start + _AGAIN]}, run_at=now
        )


async def forget_ended(session: AsyncSession, _payload: dict[str, Any], now: datetime) -> None:
    """The nightly job: drops the rows of credentials that ended a while ago; their places stay used up."""
    await session.execute(delete(Credential).where(col(Credential.expires_at) <= now - KEPT_AFTER_END))


def draw_digits() -> int:
    """Eleven random digits for a card number; the number means nothing."""
    return secrets.randbelow(10**11)


@dataclass(frozen=True, slots=True)
class _Draft:
    person_id: UUID
    kind: CredentialKind
    tariff_bits: int
    ends: datetime
    device_id: UUID | None
    named: bool
    batch_id: UUID | None = None


async def _held(
    session: AsyncSession, person_id: UUID, settings: Settings, now: datetime
) -> tuple[grants.Holding, date | None]:
    # First the lock, then the look: a job that takes cards back either waits for these and sees them, or has
    # gone before, and then its reason is seen here.
    await _touch(session, person_id, now)
    held = await grants.tariffs_of(session, person_id, day_of(now, settings.zone))
    if held.tariff_bits == 0:
        raise NothingHeld
    return held, held.until


async def _touch(session: AsyncSession, person_id: UUID, now: datetime) -> None:
    """Holds the person's row to the end of the transaction; made where there is none, or nobody could wait for it."""
    await touch_all(session, [person_id], now)


async def touch_all(session: AsyncSession, person_ids: Iterable[UUID], now: datetime) -> None:
    """The same for many, in one order for all, so that no two wait for each other."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    rows = [{"person_id": one, "touched_at": now} for one in sorted(set(person_ids))]
    await session.execute(
        insert(table_of(Holder)).on_conflict_do_update(
            index_elements=["person_id"], set_={"touched_at": now}
        ),
        rows,
    )


async def _issue(
    session: AsyncSession,
    draft: _Draft,
    *,
    signer: Signer,
    lists: ListKind,
    points: Sequence[bytes | None],
    sign: Callable[[CardId, bytes | None, Signer], bytes],
    settings: Settings,
    now: datetime,
) -> list[Issued]:
    if draft.ends <= now:
        raise NothingHeld
    places = await allocate(session, lists, len(points), until=draft.ends, settings=settings, now=now)
    rows = [
        Credential(
            person_id=draft.person_id,
            kind=draft.kind,
            key_id=signer.kid.hex(),
            status_list=number,
            status_index=index,
            tariff_bits=draft.tariff_bits,
            named=draft.named,
            issued_at=now,
            expires_at=draft.ends,
            device_id=draft.device_id,
            # A wallet may come back with a key of before; only our own cards are told apart by theirs.
            holder_point=None if draft.kind is CredentialKind.SD_JWT else point,
            batch_id=draft.batch_id,
        )
        for (number, index), point in zip(places, points, strict=True)
    ]
    session.add_all(rows)
    # Written down before it is signed: if we fall between the two, we know what we may have promised.
    await session.flush()
    issued = []
    wanted = [(CardId(*place), point) for place, point in zip(places, points, strict=True)]
    for row, signed in zip(
        rows,
        await apart(signer, lambda: [sign(place, point, signer) for place, point in wanted]),
        strict=True,
    ):
        if row.kind is not CredentialKind.SD_JWT:
            row.card_hash = sha256(signed).digest()
        issued.append(Issued(row.id, signed, row.expires_at, row.named))
    await session.flush()
    log.info("credentials.issued", kind=draft.kind.value, count=len(issued))
    return issued


async def _live(session: AsyncSession, now: datetime, *where: Any) -> Sequence[Credential]:
    found = await session.execute(
        select(Credential)
        .where(*where, col(Credential.revoked_at).is_(None), col(Credential.expires_at) > now)
        .order_by(col(Credential.expires_at).desc(), col(Credential.id))
        .execution_options(populate_existing=True)
    )
    return found.scalars().all()


def _known() -> Any:
    return select(
        col(Credential.card_hash),
        col(Credential.status_list),
        col(Credential.status_index),
        col(Credential.kind),
        col(Credential.expires_at),
    )
