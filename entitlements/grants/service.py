"""Say what people hold; grant it, announce its end, end it, revoke it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, SQLColumnExpression, and_, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.audit.service import note
from core.bulk import among
from core.clock import day_of
from core.errors import BadRequest, Conflict, NotFound, Unprocessable
from core.settings import Settings
from entitlements.allowances import service as allowances
from entitlements.grants.changes import Changes, moments_of_change, tell
from entitlements.grants.models import AT_ONCE, EndReason, Entitlement, Standing
from entitlements.grants.rules import Terms, announced_end, must_announce, notice_time
from entitlements.ledger.service import in_chunks
from entitlements.notices import service as notices
from entitlements.notices.models import Notice
from entitlements.rulebook import service as rulebook

STANDING = (Standing.ACTIVE, Standing.ENDING)

log = structlog.get_logger("grants")


class NotStanding(Conflict):
    """What is over cannot be revoked."""

    slug, title = "entitlement-not-standing", "This entitlement is over already"


class NotAtOnce(Unprocessable):
    """Only loss, fraud, death and error end something at once; everything else ends with notice."""

    slug, title = (
        "not-revocable-for-this",
        "An entitlement is revoked at once only for loss, fraud, death or error",
    )


class ReasonMissing(BadRequest):
    """Whoever takes something away says why, in the header `Reason`."""

    slug, title = "reason-missing", "Say why in the header Reason"


@dataclass(frozen=True, slots=True)
class Holding:
    """What a person's card may say on a day."""

    tariff_bits: int
    tariffs: tuple[str, ...]
    until: date | None
    """The last day on which all of this is held, as far as it is known; None: open."""
    changes_on: date | None
    """The next day on which it can be another, if nothing new is learned."""


async def held(session: AsyncSession, person_id: UUID, on: date) -> list[Entitlement]:
    """What a person holds on a day, in the order of the programmes' names."""
    rows = await session.execute(
        select(Entitlement)
        .where(col(Entitlement.person_id) == person_id, is_held(on))
        .order_by(col(Entitlement.programme))
    )
    return list(rows.scalars())


async def tariffs_of(
    session: AsyncSession, person_id: UUID, on: date, *, programme: str | None = None
) -> Holding:
    """The tariffs that a person's card carries on a day, and until when; of one programme alone where it is named."""
    holding = [e for e in await held(session, person_id, on) if programme in {None, e.programme}]
    return _holding(holding, await rulebook.tariff_bits(session), on)


async def tariffs_of_all(session: AsyncSession, person_ids: Iterable[UUID], on: date) -> dict[UUID, Holding]:
    """The same for many; who holds nothing is left out."""
    bits = await rulebook.tariff_bits(session)
    found: dict[UUID, list[Entitlement]] = {}
    for some in in_chunks(sorted(set(person_ids))):
        rows = await session.execute(
            select(Entitlement)
            .where(among(col(Entitlement.person_id), some), is_held(on))
            .order_by(col(Entitlement.person_id), col(Entitlement.programme))
        )
        for entitlement in rows.scalars():
            found.setdefault(entitlement.person_id, []).append(entitlement)
    return {person_id: _holding(holding, bits, on) for person_id, holding in found.items()}


def is_held(on: date) -> ColumnElement[bool]:
    """For a query: whether an entitlement is held on a day."""
    return and_(
        col(Entitlement.status).in_(STANDING),
        col(Entitlement.since) <= on,
        or_(col(Entitlement.ends_on).is_(None), col(Entitlement.ends_on) >= on),
    )


def _holding(holding: Sequence[Entitlement], bits: Mapping[str, int], on: date) -> Holding:
    tariffs = sorted(
        {tariff for entitlement in holding for tariff in entitlement.tariffs}, key=bits.__getitem__
    )
    # An end that was not announced is none yet: a last day that has passed will be renewed or announced.
    ends = [
        max(day, on) for e in holding if (day := e.ends_on or (None if e.renewable else e.until)) is not None
    ]
    changes = [e.changes_on for e in holding if e.changes_on is not None and e.changes_on > on]
    until = min(ends, default=None)
    return Holding(
        tariff_bits=sum(bits[tariff] for tariff in tariffs),
        tariffs=tuple(tariffs),
        until=until,
        changes_on=min([*changes, *([until + timedelta(days=1)] if until else [])], default=None),
    )


async def of_person(session: AsyncSession, person_id: UUID) -> list[Entitlement]:
    """Everything that a person holds or held, the latest first."""
    rows = await session.execute(
        select(Entitlement)
        .where(col(Entitlement.person_id) == person_id)
        .order_by(col(Entitlement.granted_at).desc(), col(Entitlement.id).desc())
    )
    return list(rows.scalars())


async def standing_of(
    session: AsyncSession, person_ids: Iterable[UUID], *, lock: bool = False
) -> dict[tuple[UUID, str], Entitlement]:
    """What these persons hold, by person and programme; locked, so that nobody else ends it meanwhile."""
    found: dict[tuple[UUID, str], Entitlement] = {}
    for some in in_chunks(sorted(set(person_ids))):
        wanted = (
            select(Entitlement)
            .where(col(Entitlement.person_id).in_(some), col(Entitlement.status).in_(STANDING))
            .order_by(col(Entitlement.person_id), col(Entitlement.programme))
        )
        if lock:
            wanted = wanted.with_for_update(key_share=True).execution_options(populate_existing=True)
        found |= {(e.person_id, e.programme): e for e in (await session.execute(wanted)).scalars()}
    return found


async def barred_of(session: AsyncSession, person_ids: Iterable[UUID]) -> set[tuple[UUID, str]]:
    """By person and programme, what was last revoked for loss, fraud or error: only a case worker gives it again."""
    found: dict[tuple[UUID, str], EndReason | None] = {}
    for some in in_chunks(sorted(set(person_ids))):
        rows = await session.execute(
            select(col(Entitlement.person_id), col(Entitlement.programme), col(Entitlement.end_reason))
            .where(col(Entitlement.person_id).in_(some))
            .order_by(col(Entitlement.granted_at), col(Entitlement.id))
        )
        found |= {(person_id, programme): reason for person_id, programme, reason in rows}
    return {key for key, reason in found.items() if reason in AT_ONCE and reason is not EndReason.DEATH}


def standing_exists(
    person_id: SQLColumnExpression[UUID], programme: SQLColumnExpression[str]
) -> ColumnElement[bool]:
    """For a query: whether this person holds this programme."""
    return exists(
        select(col(Entitlement.id)).where(
            col(Entitlement.person_id) == person_id,
            col(Entitlement.programme) == programme,
            col(Entitlement.status).in_(STANDING),
        )
    )


async def revoke(
    session: AsyncSession,
    entitlement_id: UUID,
    reason: EndReason,
    *,
    caller: Caller | None,
    now: datetime,
    settings: Settings,
) -> Entitlement:
    """Takes something away at once; for four reasons only, and always on the record."""
    if reason not in AT_ONCE:
        raise NotAtOnce
    if caller is not None and not caller.reason:
        raise ReasonMissing
    entitlement = (
        await session.execute(
            select(Entitlement)
            .where(col(Entitlement.id) == entitlement_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
    ).scalar_one_or_none()
    if entitlement is None:
        raise NotFound
    if entitlement.status not in STANDING:
        raise NotStanding
    entitlement.status, entitlement.end_reason, entitlement.ended_at = Standing.REVOKED, reason, now
    entitlement.changed_at = now
    if caller is not None:
        entitlement.revoked_by, entitlement.remark = caller.principal_id, caller.reason
    session.add(entitlement)
    await session.flush()
    if reason is not EndReason.DEATH:
        said = {"programme": entitlement.programme}
        await notices.owe(session, entitlement.person_id, f"entitlement.revoked-{reason}", said, now=now)
    note(
        session, caller, "entitlement.revoked", ("entitlement", entitlement.id), now=now, reason=reason.value
    )
    await allowances.stop(
        session, entitlement.person_id, entitlement.programme, on=day_of(now, settings.zone)
    )
    await tell(session, {(entitlement.person_id, now)})
    return entitlement


async def turn_allowances(
    session: AsyncSession, _payload: dict[str, Any], now: datetime, *, settings: Settings
) -> None:
    """The nightly job: credits the month that has begun, announces what will lapse, and lets lapse what was
    announced in time.
    """
    today = day_of(now, settings.zone)
    await allowances.turn_months(session, on=today, now=now)
    for pot in await allowances.ended_by(session, today + notice_time(settings)):
        approval = pot.approval
        if pot.balance_cents == 0:
            if approval.usable_until < today:
                await allowances.lapse(session, pot, now=now)
            continue
        if approval.notice_id is None:
            approval.usable_until = announced_end(approval.usable_until, today, settings)
            said: dict[str, str | int | date] = {
                "allowance": approval.kind,
                "cents": pot.balance_cents,
                "usable_until": approval.usable_until,
            }
            message = await notices.owe(session, approval.person_id, "allowance.lapsing", said, now=now)
            approval.notice_id = message.id
        elif approval.usable_until < today:
            sent = await notices.get(session, approval.notice_id)
            earliest = _earliest_end(sent, today, settings)
            if earliest > approval.usable_until:
                approval.usable_until = earliest
            else:
                await allowances.lapse(session, pot, now=now)
    await session.flush()


async def turn(session: AsyncSession, _payload: dict[str, Any], now: datetime, *, settings: Settings) -> None:
    """The nightly job: ends what was announced and is over, and puts off what was not announced in time.

    The night before the last day it looks whether the notice left the house early enough; a notice that is
    late, or still here, puts the end off, so that no end comes without its notice and grace.
    """
    today = day_of(now, settings.zone)
    rows = await session.execute(
        select(Entitlement)
        .where(col(Entitlement.status) == Standing.ENDING, col(Entitlement.ends_on) <= today)
        .order_by(col(Entitlement.person_id), col(Entitlement.programme))
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    due = list(rows.scalars())
    messages = await notices.of_ids(session, [e.notice_id for e in due if e.notice_id])
    told: set[tuple[UUID, datetime]] = set()
    for entitlement in due:
        message = messages[entitlement.notice_id] if entitlement.notice_id else None
        earliest = _earliest_end(message, today, settings)
        if entitlement.ends_on is not None and earliest > entitlement.ends_on:
            entitlement.ends_on = earliest
            log.warning("entitlement.end_put_off", entitlement=str(entitlement.id))
        elif entitlement.ends_on is not None and entitlement.ends_on < today:
            entitlement.status, entitlement.ended_at = Standing.ENDED, now
            note(session, None, "entitlement.ended", ("entitlement", entitlement.id), now=now)
        else:
            continue
        entitlement.changed_at = now
        told |= moments_of_change(entitlement, now, settings)
    await session.flush()
    await tell(session, told)


def _earliest_end(message: Notice | None, today: date, settings: Settings) -> date:
    if message is None or message.deemed_received_on is None:
        return announced_end(None, today, settings)
    return notices.grace_end(message.deemed_received_on, settings)


__all__ = [
    "Changes",
    "Holding",
    "NotAtOnce",
    "NotStanding",
    "ReasonMissing",
    "Standing",
    "Terms",
    "barred_of",
    "held",
    "must_announce",
    "of_person",
    "revoke",
    "standing_exists",
    "standing_of",
    "tariffs_of",
    "turn",
    "turn_allowances",
]
