"""What is done with deliveries, and what re-assesses people: release, reject, link, merge, forget, turn of the day."""

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import String, and_, cast, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.audit.service import note
from core.clock import Clock, day_of
from core.database import Database
from core.errors import Conflict, NotFound
from core.jobs.service import enqueue
from core.settings import Settings
from core.vault import Vault
from entitlements.deliveries.applying import advance, reassess, take_step, wait_for_turn
from entitlements.deliveries.models import OVER, RUNNING, Delivery, DeliveryRow, DeliverySubject, State
from entitlements.deliveries.receiving import Announced, Received, discard, receive
from entitlements.deliveries.rules import SMALL, Result
from entitlements.deliveries.staging import drop_applied, drop_rows, drop_rows_about
from entitlements.facts.service import turning
from entitlements.people import service as people
from entitlements.registers.models import Link, Register
from entitlements.registers.service import register_of

STEPS = 8
"""Transactions that a request spends on a small delivery before it leaves the rest to a job."""
TURNED = 500
"""Persons that one job of the nightly turn derives anew."""
KEPT = timedelta(days=30)
"""How long the rows of a finished delivery can be looked at."""
WAITING = timedelta(days=365)
"""How long rows wait for a link."""

log = structlog.get_logger("deliveries")


class NotHeld(Conflict):
    """There is nothing to decide about this delivery."""

    slug, title = "delivery-not-held", "This delivery is not held"


class NotRunning(Conflict):
    """There is nothing to stop: it is finished, held, or paused already."""

    slug, title = "delivery-not-running", "This delivery is not running"


class NotPaused(Conflict):
    """Nobody paused this delivery."""

    slug, title = "delivery-not-paused", "This delivery is not paused"


# ---- deliveries ----


async def deliver(
    database: Database,
    vault: Vault,
    settings: Settings,
    caller: Caller,
    *,
    announced: Announced,
    body: AsyncIterator[bytes],
    now: datetime,
    clock: Clock | None = None,
) -> Received:
    """Takes a delivery in, and applies it at once if it is small; a large one is left to the job.

    Works in transactions of its own: what comes in may take minutes, and nobody waits for it meanwhile. What it says
    is learned when it is applied, by the clock: decisions that were made while it came in did not know of it.
    """
    async with database.reading() as session:
        register = await register_of(session, caller)
    received = await receive(
        database, vault, settings, caller, register, announced=announced, body=body, now=now
    )
    log.info("delivery.received", delivery=str(received.delivery_id), known=received.known)
    if received.known or announced.rows > SMALL:
        return received

    async def step(session: AsyncSession) -> bool:
        found = await wait_for_turn(session, received.delivery_id)
        if found is None:
            return False
        moment = clock.now() if clock is not None else now
        return await take_step(session, *found, moment, settings=settings, vault=vault)

    for _ in range(STEPS):
        if not await database.in_transaction(step):
            return received
    await database.in_transaction(lambda session: go_on(session, received.delivery_id, now))
    return received


async def go_on(session: AsyncSession, delivery_id: UUID, now: datetime) -> None:
    """Owes the next step of a delivery."""
    await enqueue(
        session,
        "delivery.apply",
        {"delivery_id": str(delivery_id)},
        run_at=now,
        once=f"delivery {delivery_id} on",
    )


async def apply_job(
    session: AsyncSession, payload: dict[str, Any], now: datetime, *, settings: Settings, vault: Vault
) -> None:
    """The job "delivery.apply": one step, and owes the next."""
    delivery_id = UUID(payload["delivery_id"])
    if await advance(session, delivery_id, now, settings=settings, vault=vault):
        await go_on(session, delivery_id, now)


async def release(session: AsyncSession, caller: Caller, delivery_id: UUID, now: datetime) -> Delivery:
    """Lets a held delivery be applied after all."""
    row = await _decide(session, caller, delivery_id, State.APPLYING, now)
    note(session, caller, "delivery.released", ("delivery", delivery_id), now=now)
    await go_on(session, delivery_id, now)
    return row


async def reject(session: AsyncSession, caller: Caller, delivery_id: UUID, now: datetime) -> Delivery:
    """Lets nothing of a held delivery count."""
    row = await _decide(session, caller, delivery_id, State.REJECTED, now)
    note(session, caller, "delivery.rejected", ("delivery", delivery_id), now=now, reason=row.reason)
    await drop_rows(session, delivery_id)
    return row


async def _decide(
    session: AsyncSession, caller: Caller, delivery_id: UUID, state: State, now: datetime
) -> Delivery:
    decided = await session.execute(
        update(Delivery)
        .where(col(Delivery.id) == delivery_id, col(Delivery.state) == State.HELD)
        .values(
            state=state,
            decided_by=caller.principal_id,
            decided_at=now,
            finished_at=now if state in OVER else None,
        )
        .returning(col(Delivery.id))
        .execution_options(synchronize_session=False)
    )
    if decided.scalar_one_or_none() is None:
        await delivery(session, delivery_id, None)
        raise NotHeld
    return await delivery(session, delivery_id, None)


async def pause(
    session: AsyncSession, caller: Caller, delivery_id: UUID, register: Register | None, now: datetime
) -> Delivery:
    """Stops a running delivery after the step that is under way; what is applied stays applied.

    NotRunning if there is nothing to stop. A register may stop its own deliveries.
    """
    await delivery(session, delivery_id, register)
    # Waits for the step that holds the row; the next one finds what is written here.
    changed = await _turn_to(
        session,
        delivery_id,
        RUNNING,
        {"state": State.PAUSED, "reason": literal("while-") + cast(col(Delivery.state), String())},
    )
    if not changed:
        raise NotRunning
    note(session, caller, "delivery.paused", ("delivery", delivery_id), now=now)
    return await delivery(session, delivery_id, register)


async def resume(
    session: AsyncSession, caller: Caller, delivery_id: UUID, register: Register | None, now: datetime
) -> Delivery:
    """Lets a paused delivery go on where it stopped. NotPaused if nobody stopped it."""
    before = await delivery(session, delivery_id, register)
    state = next((one for one in RUNNING if before.reason == f"while-{one.value}"), State.APPLYING)
    if not await _turn_to(session, delivery_id, {State.PAUSED}, {"state": state, "reason": ""}):
        raise NotPaused
    note(session, caller, "delivery.resumed", ("delivery", delivery_id), now=now)
    await go_on(session, delivery_id, now)
    return await delivery(session, delivery_id, register)


async def _turn_to(
    session: AsyncSession, delivery_id: UUID, states: Collection[State], values: Mapping[str, Any]
) -> bool:
    turned = await session.execute(
        update(Delivery)
        .where(col(Delivery.id) == delivery_id, col(Delivery.state).in_(states))
        .values(values)
        .returning(col(Delivery.id))
        .execution_options(synchronize_session=False)
    )
    return turned.scalar_one_or_none() is not None


async def delivery(session: AsyncSession, delivery_id: UUID, register: Register | None) -> Delivery:
    """A delivery; for a register, only one of its own, and for nobody one that is still coming in."""
    row = await session.get(Delivery, delivery_id, populate_existing=True)
    if row is None or row.state is State.RECEIVING:
        raise NotFound
    if register is not None and row.register_id != register.id:
        raise NotFound
    return row


async def deliveries(
    session: AsyncSession,
    register: Register | None,
    *,
    state: State | None,
    before: UUID | None,
    limit: int,
) -> list[Delivery]:
    """Deliveries, newest first."""
    query = select(Delivery).where(col(Delivery.state) != State.RECEIVING)
    if register is not None:
        query = query.where(col(Delivery.register_id) == register.id)
    if state is not None:
        query = query.where(col(Delivery.state) == state)
    if before is not None:
        query = query.where(col(Delivery.id) < before)
    rows = await session.execute(query.order_by(col(Delivery.id).desc()).limit(limit))
    return list(rows.scalars())


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of one row; never what it said."""

    position: int
    result: Result | None


async def rows(
    session: AsyncSession, delivery_id: UUID, *, result: Result | None, after: int, limit: int
) -> list[RowResult]:
    """The rows of a delivery in their order, one page."""
    row, who = DeliveryRow, DeliverySubject
    became = func.coalesce(col(row.result), col(who.result))
    query = (
        select(col(row.position), became)
        .outerjoin(who, and_(col(who.delivery_id) == delivery_id, col(who.place) == col(row.subject)))
        .where(col(row.delivery_id) == delivery_id, col(row.part) == 0, col(row.position) > after)
    )
    if result is not None:
        query = query.where(became == result.value)
    found = await session.execute(query.order_by(col(row.position)).limit(limit))
    return [RowResult(position, Result(code) if code else None) for position, code in found]


async def sweep(session: AsyncSession, _payload: dict[str, Any], now: datetime) -> None:
    """The nightly job: drops uploads that broke off, and rows that nobody needs any more."""
    broken = await session.execute(
        select(col(Delivery.id)).where(
            col(Delivery.state) == State.RECEIVING, col(Delivery.received_at) < now - timedelta(days=1)
        )
    )
    for delivery_id in broken.scalars().all():
        await discard(session, delivery_id)
    for age, waits in ((KEPT, False), (WAITING, True)):
        old = await session.execute(select(col(Delivery.id)).where(col(Delivery.finished_at) < now - age))
        for delivery_id in old.scalars().all():
            if waits:
                await drop_rows(session, delivery_id)
            else:
                await drop_applied(session, delivery_id)


# ---- who is who ----


async def forget(session: AsyncSession, caller: Caller, person_id: UUID, now: datetime) -> None:
    """Destroys at once what names a person, here and in every backup that is made without the identity keys."""
    ids = list(await people.aliases(session, [person_id]))
    await people.forget(session, person_id, caller=caller, now=now)
    await session.execute(update(Link).where(col(Link.person_id).in_(ids)).values(sealed_number=None))
    await drop_rows_about(session, ids)


# ---- the turn of the day ----


async def turn(session: AsyncSession, _payload: dict[str, Any], now: datetime, *, settings: Settings) -> None:
    """The job "facts.turn": whoever has a fact that began or is over today is derived and judged anew."""
    turned = await turning(session, day_of(now, settings.zone), limit=TURNED)
    await reassess(session, turned, now=now, settings=settings, cause="turn")
    if len(turned) == TURNED:
        await enqueue(session, "facts.turn", {}, run_at=now, once="facts.turn on")
