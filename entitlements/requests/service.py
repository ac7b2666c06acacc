"""Prepare requests, offer them, take an answer, and forget what was declined or ran out."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller, Role
from core.audit.service import note
from core.bulk import chunks, insert_new
from core.clock import day_of
from core.database import new_id
from core.errors import Conflict, NotAllowed, NotFound, Unprocessable
from core.jobs.service import enqueue
from core.settings import Settings
from core.vault import Vault
from entitlements.notices import service as notices
from entitlements.requests.models import BenefitRequest, GoneRequest, RequestState
from entitlements.requests.rules import LATE_LETTERS, OFFERED_FOR, SECRET, Proposal, mark_of

Key = tuple[UUID, str]
OFFERING = "requests.offer"
WITHDRAWAL = "notice.withdraw"
_WAITING = (RequestState.PREPARED, RequestState.OPEN)


class RequestOver(Conflict):
    """The offer has run out, or is no longer what the facts give."""

    slug, title = "request-over", "This request can no longer be accepted"


class ReceivedWhen(Unprocessable):
    """The day of receipt cannot be."""

    slug, title = "received-when", "The day of receipt lies in the future, or too far back"


# ---- what follows from an assessment ----


async def accepted(session: AsyncSession, person_ids: Iterable[UUID]) -> dict[tuple[UUID, str, str], date]:
    """The requests that these persons have made, by person, programme and ground, each with the day it counts from."""
    found: dict[tuple[UUID, str, str], date] = {}
    for some in chunks(sorted(set(person_ids))):
        rows = await session.execute(
            select(
                col(BenefitRequest.person_id),
                col(BenefitRequest.programme),
                col(BenefitRequest.ground),
                col(BenefitRequest.received_on),
            ).where(
                col(BenefitRequest.person_id).in_(some), col(BenefitRequest.state) == RequestState.ACCEPTED
            )
        )
        found.update(((person, programme, ground), day) for person, programme, ground, day in rows if day)
    return found


async def propose(
    session: AsyncSession,
    person_ids: Collection[UUID],
    proposals: Sequence[Proposal],
    *,
    lost: Collection[Key] = (),
    again: UUID | None = None,
    now: datetime,
    settings: Settings,
) -> None:
    """Makes the offers of these persons what an assessment says: new ones are prepared, others go without a word.

    `lost` names by person and programme what is refused and no longer held: a request made for it is used up.
    `again` names who is to be offered also what was declined or ran out: they have changed their mind.
    """
    wanted = {proposal.key: proposal for proposal in proposals}
    stale: list[BenefitRequest] = []
    for some in chunks(sorted(set(person_ids))):
        rows = await session.execute(
            select(BenefitRequest).where(
                col(BenefitRequest.person_id).in_(some), col(BenefitRequest.state) != RequestState.CLOSED
            )
        )
        for row in rows.scalars():
            key = (row.person_id, row.programme)
            proposal = wanted.get(key)
            if row.state is RequestState.ACCEPTED:
                if key in lost or (proposal is not None and proposal.ground != row.ground):
                    row.state = RequestState.CLOSED
                    session.add(row)
                else:
                    wanted.pop(key, None)
            elif proposal is not None and proposal.essence == row.essence:
                del wanted[key]
            else:
                stale.append(row)
    await session.flush()
    await drop_offers(session, [(row.id, row.notice_id) for row in stale], now)
    if not wanted:
        return
    expires_on = day_of(now, settings.zone) + OFFERED_FOR
    fresh = [
        {
            "id": new_id(),
            "person_id": one.person_id,
            "programme": one.programme,
            "ground": one.ground,
            "essence": one.essence,
            "state": RequestState.PREPARED,
            "content": dict(one.content),
            "prepared_at": now,
            "expires_on": expires_on,
        }
        for _, one in sorted(wanted.items())
    ]
    await session.execute(insert(BenefitRequest), fresh)
    for few in chunks([str(row["id"]) for row in fresh if row["person_id"] != again]):
        await enqueue(session, OFFERING, {"request_ids": list(few)}, run_at=now)
    asked = [str(row["id"]) for row in fresh if row["person_id"] == again]
    if asked:
        await enqueue(session, OFFERING, {"request_ids": asked, "again": True}, run_at=now)


async def drop_offers(session: AsyncSession, gone: Sequence[tuple[UUID, UUID | None]], now: datetime) -> None:
    """Deletes offers with all that was filled in, and takes back the message about them."""
    for some in chunks([request_id for request_id, _ in gone]):
        await session.execute(delete(BenefitRequest).where(col(BenefitRequest.id).in_(some)))
    for _, notice_id in gone:
        if notice_id is not None:
            await enqueue(session, WITHDRAWAL, {"notice_id": str(notice_id)}, run_at=now)


async def offer(session: AsyncSession, payload: Mapping[str, Any], now: datetime, *, vault: Vault) -> None:
    """The job that shows prepared requests: one that was declined before in the same words is dropped unseen.

    Unless somebody asked for it `again`: then that it was declined is forgotten.
    """
    ids = [UUID(str(one)) for one in payload["request_ids"]]
    rows = await session.execute(
        select(BenefitRequest)
        .where(col(BenefitRequest.id).in_(ids), col(BenefitRequest.state) == RequestState.PREPARED)
        .order_by(col(BenefitRequest.id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    secret = vault.secret(SECRET)
    prepared = {mark_of(secret, r.person_id, r.programme, r.essence): r for r in rows.scalars()}
    gone = await _gone(session, prepared)
    if payload.get("again"):
        await session.execute(delete(GoneRequest).where(col(GoneRequest.mark).in_(gone)))
        gone = set()
    await drop_offers(session, [(prepared[mark].id, None) for mark in gone], now)
    shown = [row for mark, row in prepared.items() if mark not in gone]
    messages: list[notices.Written] = []
    for row in shown:
        said: dict[str, str | int | date] = {"programme": row.programme, "expires_on": row.expires_on}
        messages.append(notices.write(row.person_id, "request.offered", said, now=now))
    await notices.owe_all(session, messages, now=now)
    for row, message in zip(shown, messages, strict=True):
        row.state, row.notice_id = RequestState.OPEN, message.id
        session.add(row)
    await session.flush()


async def _gone(session: AsyncSession, marks: Collection[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    for some in chunks(sorted(marks)):
        rows = await session.execute(select(col(GoneRequest.mark)).where(col(GoneRequest.mark).in_(some)))
        found.update(bytes(mark) for mark in rows.scalars())
    return found


# ---- the person's answer ----


async def of_person(session: AsyncSession, person_id: UUID, today: date) -> list[BenefitRequest]:
    """What a person can accept today, and what they accepted; the newest first."""
    rows = await session.execute(
        select(BenefitRequest)
        .where(
            col(BenefitRequest.person_id) == person_id,
            col(BenefitRequest.state).in_((RequestState.OPEN, RequestState.ACCEPTED)),
        )
        .order_by(col(BenefitRequest.prepared_at).desc(), col(BenefitRequest.id).desc())
    )
    return [row for row in rows.scalars() if row.state is RequestState.ACCEPTED or row.expires_on >= today]


async def get(session: AsyncSession, person_id: UUID, request_id: UUID) -> BenefitRequest:
    """One of a person's requests; somebody else's, and one that is not shown yet, is not found."""
    row = await session.get(BenefitRequest, request_id, populate_existing=True)
    if row is None or row.person_id != person_id or row.state is RequestState.PREPARED:
        raise NotFound
    return row


async def accept(
    session: AsyncSession,
    caller: Caller,
    person_id: UUID,
    request_id: UUID,
    *,
    received_on: date | None,
    now: datetime,
    settings: Settings,
) -> BenefitRequest:
    """The person asks for it: with a tap from today, by letter from the day it arrived, as a case worker records.

    Accepting twice changes nothing. Whoever calls this assesses the person afterwards.
    """
    today = day_of(now, settings.zone)
    if received_on is not None and received_on != today:
        if not caller.has(Role.CASE_WORKER):
            raise NotAllowed
        if not today - LATE_LETTERS <= received_on <= today:
            raise ReceivedWhen
    row = await get(session, person_id, request_id)
    if row.state is RequestState.ACCEPTED:
        return row
    counts_from = received_on or today
    taken = await session.execute(
        update(BenefitRequest)
        .where(
            col(BenefitRequest.id) == request_id,
            col(BenefitRequest.state) == RequestState.OPEN,
            # A letter counts from when it arrived, also if it lay for some days.
            col(BenefitRequest.expires_on) >= counts_from,
        )
        .values(
            state=RequestState.ACCEPTED,
            accepted_at=now,
            received_on=counts_from,
            channel=caller.channel,
            accepted_by=caller.principal_id,
        )
        .returning(col(BenefitRequest.id))
        .execution_options(synchronize_session=False)
    )
    if taken.scalar_one_or_none() is None:
        raise RequestOver
    note(session, caller, "request.accepted", ("request", request_id), now=now)
    await session.refresh(row)
    return row


async def decline(
    session: AsyncSession, vault: Vault, person_id: UUID, request_id: UUID, *, now: datetime
) -> None:
    """The person does not want it: everything that was filled in is deleted, and nothing says that they were asked.

    What is left is a keyed hash, and for this reason not even an entry in the trail.
    """
    row = await get(session, person_id, request_id)
    if row.state is not RequestState.OPEN:
        raise RequestOver
    await _forget(session, vault, [row], now)


async def expire(
    session: AsyncSession, _payload: Mapping[str, Any], now: datetime, *, settings: Settings, vault: Vault
) -> None:
    """The nightly job: an offer that nobody answered goes like one that was declined."""
    today = day_of(now, settings.zone)
    rows = await session.execute(
        select(BenefitRequest)
        .where(col(BenefitRequest.state).in_(_WAITING), col(BenefitRequest.expires_on) < today)
        .order_by(col(BenefitRequest.id))
        .limit(_AT_ONCE)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    over = list(rows.scalars())
    await _forget(session, vault, over, now)
    if len(over) == _AT_ONCE:
        await enqueue(session, "requests.expire", run_at=now)


_AT_ONCE = 500


async def _forget(session: AsyncSession, vault: Vault, rows: Sequence[BenefitRequest], now: datetime) -> None:
    secret = vault.secret(SECRET)
    marks = [{"mark": mark_of(secret, r.person_id, r.programme, r.essence)} for r in rows]
    removed: list[tuple[UUID, UUID | None]] = []
    for row in rows:
        # Only what is still waiting: somebody may have accepted it a moment ago.
        taken = await session.execute(
            delete(BenefitRequest)
            .where(col(BenefitRequest.id) == row.id, col(BenefitRequest.state).in_(_WAITING))
            .returning(col(BenefitRequest.id))
            .execution_options(synchronize_session=False)
        )
        if taken.scalar_one_or_none() is None:
            raise RequestOver
        session.expunge(row)
        removed.append((row.id, row.notice_id))
    if marks:
        await insert_new(session, GoneRequest, marks)
    for _, notice_id in removed:
        if notice_id is not None:
            await enqueue(session, WITHDRAWAL, {"notice_id": str(notice_id)}, run_at=now)
