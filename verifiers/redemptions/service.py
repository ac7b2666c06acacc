"""Take a use, or say why not; give it back within minutes."""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.clock import day_of
from core.settings import Settings
from core.vault import SealBroken, Vault, open_sealed, seal
from entitlements.people.models import Person
from entitlements.rulebook.service import tariff_bits
from issuers.credentials.models import Credential
from issuers.status.models import Place
from issuers.status.rules import Status
from verifiers.checks.models import Counted
from verifiers.checks.receipts import Receipt, Receipts
from verifiers.checks.service import count, hour_of
from verifiers.offers import service as offers
from verifiers.offers.models import Offer
from verifiers.offers.rules import Period
from verifiers.redemptions.counters import counter_for, give_back, take
from verifiers.redemptions.models import Redemption
from verifiers.redemptions.schemas import RedemptionOutcome, RedemptionReason
from verifiers.scanners import service as scanners

UNDO_LIFE: Final = timedelta(minutes=5)
UNDO_LABEL: Final = "undo-redemptions/1"

_AAD: Final = b"citycard/undo/1"
_UNDO: Final = struct.Struct(">16s16sI32s32s")
_NO_LIMIT: Final = bytes(32)

log = structlog.get_logger("redemptions")


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What became of it: a value, because a refusal is counted and its record must stand."""

    outcome: RedemptionOutcome
    reason: RedemptionReason | None = None
    id: UUID | None = None
    undo: str | None = None


async def redeem(
    session: AsyncSession,
    vault: Vault,
    settings: Settings,
    caller: Caller,
    *,
    receipt: str,
    offer_id: UUID,
    now: datetime,
) -> Redeemed:
    """Takes a use of an offer for the guest whose card was checked a moment ago."""
    _, venue = await scanners.of(session, caller)
    written = Receipts(vault).read(receipt)
    refused = (
        RedemptionReason.RECEIPT_NOT_VALID
        if written is None or written.scanner != caller.principal_id or written.venue != venue.number
        else RedemptionReason.RECEIPT_EXPIRED
        if now >= written.expires_at
        else None
    )
    offer = await offers.current(session, offer_id, day_of(now, settings.zone))
    if refused is None and (offer is None or offer.venue_id != venue.id):
        refused = RedemptionReason.NOT_OFFERED
    taken: Redeemed | RedemptionReason
    if refused is not None or written is None or offer is None:
        taken = refused or RedemptionReason.RECEIPT_NOT_VALID
    else:
        taken = await _take(session, vault, settings, written, offer, now=now)
    if isinstance(taken, RedemptionReason):
        taken = Redeemed(RedemptionOutcome.REFUSED, taken)
    what = Counted.REDEEMED if taken.outcome is RedemptionOutcome.REDEEMED else Counted.NOT_REDEEMED
    await count(session, {(venue.number, hour_of(now), what): 1})
    log.info(
        "redemption.answered",
        venue=str(venue.id),
        offer=str(offer_id),
        outcome=taken.outcome.value,
        reason=None if taken.reason is None else taken.reason.value,
    )
    return taken


async def undo(session: AsyncSession, vault: Vault, caller: Caller, *, undo: str, now: datetime) -> Redeemed:
    """Gives a use back that the same scanner took a moment ago."""
    try:
        octets = urlsafe_b64decode(undo + "=" * (-len(undo) % 4))
        redemption, scanner, expires, limit_key, receipt_key = _UNDO.unpack(
            open_sealed(vault.secret(UNDO_LABEL), octets, _AAD)
        )
    except (SealBroken, NotBase64, ValueError):
        return Redeemed(RedemptionOutcome.REFUSED, RedemptionReason.UNDO_NOT_VALID)
    if scanner != caller.principal_id.bytes:
        return Redeemed(RedemptionOutcome.REFUSED, RedemptionReason.UNDO_NOT_VALID)
    if now.timestamp() >= expires:
        return Redeemed(RedemptionOutcome.REFUSED, RedemptionReason.UNDO_EXPIRED)
    redemption_id = UUID(bytes=redemption)
    undone = await session.execute(
        update(Redemption)
        .where(col(Redemption.id) == redemption_id, col(Redemption.undone).is_(False))
        .values(undone=True)
        .returning(col(Redemption.id))
        .execution_options(synchronize_session=False)
    )
    if undone.scalar_one_or_none() is None:
        return Redeemed(RedemptionOutcome.REFUSED, RedemptionReason.UNDO_NOT_VALID)
    for key in (limit_key, receipt_key):
        await give_back(session, key)
    log.info("redemption.undone", redemption=str(redemption_id))
    return Redeemed(RedemptionOutcome.UNDONE, id=redemption_id)


async def _take(
    session: AsyncSession,
    vault: Vault,
    settings: Settings,
    receipt: Receipt,
    offer: Offer,
    *,
    now: datetime,
) -> Redeemed | RedemptionReason:
    masks = await tariff_bits(session)
    carried = [name for name in offer.tariffs if receipt.tariff_bits & masks.get(name, 0)]
    if not carried:
        return RedemptionReason.NOT_OFFERED
    if offer.needs_name and not receipt.named:
        return RedemptionReason.NAME_NEEDED
    found = await _holder_of(session, receipt)
    if found is None:
        return RedemptionReason.CARD_UNKNOWN
    person, status = found
    if status != Status.VALID:
        return RedemptionReason.CARD_NOT_VALID
    # Daily counters also see to it that one showing is one use, whichever key a retry comes under.
    today = await counter_for(session, vault, Period.DAY, now, settings.zone)
    receipt_key = today.of(b"receipt", receipt.number, offer.id.bytes)
    if not await take(session, today.period_id, receipt_key, 1):
        return RedemptionReason.ALREADY_REDEEMED
    limit_key = _NO_LIMIT
    if offer.limit_uses is not None and offer.limit_period is not None:
        span = (
            today
            if offer.limit_period is Period.DAY
            else await counter_for(session, vault, offer.limit_period, now, settings.zone)
        )
        limit_key = span.of(b"person", person.bytes, offer.id.bytes)
        if not await take(session, span.period_id, limit_key, offer.limit_uses):
            await give_back(session, receipt_key)
            return RedemptionReason.LIMIT_REACHED
    redemption = Redemption(offer_id=offer.id, tariff=carried[0], hour=hour_of(now))
    session.add(redemption)
    await session.flush()
    plain = _UNDO.pack(
        redemption.id.bytes,
        receipt.scanner.bytes,
        int((now + UNDO_LIFE).timestamp()),
        limit_key,
        receipt_key,
    )
    sealed = urlsafe_b64encode(seal(vault.secret(UNDO_LABEL), plain, _AAD)).rstrip(b"=").decode()
    return Redeemed(RedemptionOutcome.REDEEMED, id=redemption.id, undo=sealed)


async def _holder_of(session: AsyncSession, receipt: Receipt) -> tuple[UUID, int] | None:
    # Two cards of one person, phone and paper, share their uses; so do two persons who turned out to be one.
    found = await session.execute(
        select(func.coalesce(col(Person.merged_into), col(Credential.person_id)), col(Place.status))
        .select_from(Credential)
        .outerjoin(Person, col(Person.id) == col(Credential.person_id))
        .join(
            Place,
            and_(
                col(Place.list_number) == col(Credential.status_list),
                col(Place.position) == col(Credential.status_index),
            ),
        )
        .where(
            col(Credential.status_list) == receipt.card.status_list,
            col(Credential.status_index) == receipt.card.index,
        )
    )
    row = found.one_or_none()
    return None if row is None else (row[0], row[1])
