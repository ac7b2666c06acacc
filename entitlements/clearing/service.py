"""Decides numbers that wait, makes two persons one and two again, and gives a number to whom it means.

Each is one transaction, and everybody whom it concerns is assessed in it. Each can be looked at before it is done:
it is done and rolled back, so that the look cannot be another than the deed.
"""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.bulk import table_of
from core.jobs.service import enqueue
from core.settings import Settings
from core.vault import Vault
from entitlements.allowances.service import pots_of
from entitlements.clearing.rules import Difference, Held, differences
from entitlements.decisions.models import Verdict
from entitlements.deliveries.applying import reassess, take_up
from entitlements.facts.service import closure
from entitlements.grants import merging as holdings
from entitlements.grants.service import standing_of
from entitlements.notices import service as notices
from entitlements.people import merging as people
from entitlements.people.models import Merge, MergedRow
from entitlements.people.record import Joining, plain, recorded, typed
from entitlements.registers import reviews as numbers
from entitlements.registers.models import LinkMade, Register, Review
from entitlements.requests import merging as requests

AT_ONCE = 500
"""Numbers that the night looks at in one transaction."""

log = structlog.get_logger("clearing")


# ---- numbers that wait ----


async def decide(
    session: AsyncSession,
    vault: Vault,
    settings: Settings,
    caller: Caller | None,
    review_id: UUID,
    *,
    person_id: UUID | None = None,
    new: bool = False,
    made_by: LinkMade = LinkMade.REVIEW,
    now: datetime,
) -> Review:
    """Says whom a waiting number means, and applies the rows that waited for it; nobody and not new dismisses it."""
    review = await numbers.decide_review(
        session, vault, caller, review_id, person_id=person_id, new=new, made_by=made_by, now=now
    )
    if review.person_id is not None:
        locked = await session.execute(
            select(Register).where(col(Register.id) == review.register_id).with_for_update()
        )
        await take_up(session, vault, locked.scalar_one(), now=now, settings=settings)
    return review


async def look_again(
    session: AsyncSession, payload: dict[str, Any], now: datetime, *, settings: Settings, vault: Vault
) -> None:
    """The nightly job: links numbers that waited because whoever they mean was not known yet, and now surely is."""
    await numbers.forget_old(session, now)
    after = UUID(payload["after"]) if "after" in payload else None
    waiting = await numbers.reviews(session, after=after, limit=AT_ONCE, now=now, put_off=True)
    for review, person_id in await numbers.settled_since(session, vault, waiting):
        await decide(
            session,
            vault,
            settings,
            None,
            review.id,
            person_id=person_id,
            made_by=LinkMade.LIKENESS,
            now=now,
        )
    if len(waiting) == AT_ONCE:
        await enqueue(session, "reviews.look_again", {"after": str(waiting[-1].id)}, run_at=now)


# ---- two persons who are one ----


async def merge(
    session: AsyncSession,
    settings: Settings,
    caller: Caller | None,
    gone_id: UUID,
    kept_id: UUID,
    *,
    now: datetime,
) -> Merge:
    """Two persons turn out to be one: what either holds is joined, and everybody concerned is assessed anew."""
    concerned = await closure(session, [gone_id, kept_id])
    act = await people.merge(session, caller, gone_id, kept_id, now)
    work = Joining(session, act, now)
    await holdings.join(work)
    await requests.join(work)
    await _take_verdicts(work)
    await work.write()
    await reassess(
        session,
        await closure(session, concerned),
        now=now,
        settings=settings,
        cause=f"merge:{act.id}",
    )
    await notices.owe(session, kept_id, "person.merged", {}, now=now)
    await _tell_the_right_hand(session, "person.merged", act, now)
    log.info("person.merged", merge=str(act.id))
    return act


async def part(
    session: AsyncSession, settings: Settings, caller: Caller | None, merge_id: UUID, *, now: datetime
) -> Merge:
    """Undoes a merge: each of the two holds their own again, and everybody concerned is assessed anew."""
    act = await people.part(session, caller, merge_id, now)
    record = await recorded(session, act.id)
    await holdings.part(session, act, record, now)
    await requests.part(session, record)
    await _give_verdicts(session, act, record)
    concerned = await closure(session, [act.gone_id, act.kept_id])
    await reassess(session, concerned, now=now, settings=settings, cause=f"parted:{act.id}")
    await _tell_the_right_hand(session, "person.parted", act, now)
    log.info("person.parted", merge=str(act.id))
    return act


async def _tell_the_right_hand(session: AsyncSession, what: str, act: Merge, now: datetime) -> None:
    both = {"gone_id": str(act.gone_id), "kept_id": str(act.kept_id)}
    await enqueue(session, what, both, run_at=now, once=f"{what}:{act.id}")


async def _take_verdicts(work: Joining) -> None:
    """Nobody asks any more what stands for the one that went; kept for the day on which it is undone."""
    table, gone = table_of(Verdict), work.act.gone_id
    rows = await work.session.execute(select(table).where(table.c.person_id == gone))
    for row in rows.mappings().all():
        work.note(gone, table.name, None, {name: plain(value) for name, value in row.items()})
    await work.session.execute(delete(Verdict).where(col(Verdict.person_id) == gone))


async def _give_verdicts(session: AsyncSession, act: Merge, record: Iterable[MergedRow]) -> None:
    table = table_of(Verdict)
    await session.execute(delete(Verdict).where(col(Verdict.person_id) == act.gone_id))
    for row in record:
        if row.table == table.name:
            await session.execute(insert(table).values(typed(table, row.was)))


# ---- to be seen before it is done ----


async def look(
    session: AsyncSession, person_ids: Iterable[UUID], deed: Callable[[], Awaitable[object]]
) -> list[Difference]:
    """What these persons, and those around them, would hold after a deed, as far as it differs; nothing is done."""
    concerned = await closure(session, person_ids)
    before = await _held(session, concerned)
    nothing = await session.begin_nested()
    try:
        await deed()
        after = await _held(session, concerned | await closure(session, person_ids))
    finally:
        await nothing.rollback()
        session.expunge_all()
    return differences(before, after)


async def _held(session: AsyncSession, person_ids: Iterable[UUID]) -> list[Held]:
    found: list[Held] = []
    for (person_id, programme), row in (await standing_of(session, person_ids)).items():
        last = row.ends_on or row.until
        found.append(Held(person_id, programme, f"{row.status.value} {last or ''}".strip()))
    for person_id in person_ids:
        cents: dict[str, int] = {}
        for pot in await pots_of(session, person_id):
            cents[pot.approval.kind] = cents.get(pot.approval.kind, 0) + pot.balance_cents
        found += [Held(person_id, kind, str(amount)) for kind, amount in cents.items()]
    return found
