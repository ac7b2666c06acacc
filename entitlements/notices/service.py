"""Owe a notice, say that it was sent, and render it in the language of whoever reads it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.bulk import among, chunks, insert_rows, table_of
from core.clock import day_of
from core.database import new_id
from core.jobs.service import Owed, enqueue, enqueue_all
from core.settings import Settings
from entitlements.allowances import rules as allowances
from entitlements.notices.models import Notice, NoticeChannel
from entitlements.notices.rules import TEXTS, Text, language_of, render
from entitlements.rulebook import service as rulebook

DELIVERY = "notice.deliver"
AT_ONCE = 500
"""Notices that one job delivers in one transaction."""

Params = Mapping[str, str | int | date]


@dataclass(frozen=True, slots=True)
class Written:
    """A notice to be owed with many others: its columns, without the row that a session keeps an eye on."""

    id: UUID
    person_id: UUID
    code: str
    params: Mapping[str, str | int]
    channel: NoticeChannel
    owed_at: datetime


def write(
    person_id: UUID,
    code: str,
    params: Params,
    *,
    now: datetime,
    channel: NoticeChannel = NoticeChannel.INBOX,
) -> Written:
    """A notice to a person, not owed yet; refused where its parameters are not those of its text."""
    TEXTS[code].require(params)
    kept = {name: value.isoformat() if isinstance(value, date) else value for name, value in params.items()}
    return Written(new_id(), person_id, code, kept, channel, now)


async def owe(
    session: AsyncSession,
    person_id: UUID,
    code: str,
    params: Params,
    *,
    now: datetime,
    channel: NoticeChannel = NoticeChannel.INBOX,
) -> Notice:
    """Owes a person a notice, in the caller's transaction; a job delivers it."""
    one = write(person_id, code, params, now=now, channel=channel)
    notice = Notice(
        id=one.id, person_id=person_id, code=code, params=dict(one.params), channel=channel, owed_at=now
    )
    session.add(notice)
    await session.flush()
    await enqueue(session, DELIVERY, {"notice_id": str(notice.id)}, run_at=now)
    return notice


async def owe_all(session: AsyncSession, written: Sequence[Written], *, now: datetime) -> None:
    """Owes many notices in few statements; a job delivers some hundreds of them."""
    if not written:
        return
    columns = ("id", "person_id", "code", "params", "channel", "owed_at")
    rows = [
        (one.id, one.person_id, one.code, json.dumps(one.params), one.channel.value, one.owed_at)
        for one in written
    ]
    # What others have changed in the session may refer to these notices, so it must not go first.
    with session.no_autoflush:
        await insert_rows(session, table_of(Notice), columns, rows, written={"params"})
        await enqueue_all(
            session,
            [
                Owed(DELIVERY, {"notice_ids": [str(one.id) for one in some]}, now)
                for some in chunks(written, AT_ONCE)
            ],
        )


async def sent(session: AsyncSession, notice: Notice, *, now: datetime, settings: Settings) -> None:
    """Says that a notice left the house; from here it counts as received on the fourth day (§ 37(2) SGB X)."""
    if notice.sent_at is None:
        notice.sent_at = now
        notice.deemed_received_on = deemed_received(day_of(now, settings.zone), settings)
        session.add(notice)
        await session.flush()


def deemed_received(dispatched_on: date, settings: Settings) -> date:
    """The day on which something dispatched on this day counts as received."""
    return dispatched_on + timedelta(days=settings.notice_deemed_days)


def grace_end(received_on: date, settings: Settings) -> date:
    """The last day of the grace that begins when a notice counts as received."""
    return received_on + timedelta(days=settings.notice_grace_days)


async def take_back(session: AsyncSession, notice_id: UUID) -> None:
    """Deletes a notice of which nothing may be kept; whoever keeps it in an inbox deletes that first."""
    await session.execute(delete(Notice).where(col(Notice.id) == notice_id))


async def all_sent(
    session: AsyncSession, notices: Sequence[Notice], *, now: datetime, settings: Settings
) -> None:
    """Says of many notices that they left the house."""
    today = deemed_received(day_of(now, settings.zone), settings)
    waiting = [notice.id for notice in notices if notice.sent_at is None]
    await session.execute(
        update(Notice)
        .where(among(col(Notice.id), waiting))
        .values(sent_at=now, deemed_received_on=today)
        .execution_options(synchronize_session=False)
    )


async def get(session: AsyncSession, notice_id: UUID) -> Notice | None:
    """The notice of this id."""
    return await session.get(Notice, notice_id)


async def last_told(
    session: AsyncSession, person_id: UUID, codes: Iterable[str], **params: str
) -> Notice | None:
    """The newest notice of these kinds and with these parameters that was owed to a person."""
    rows = await session.execute(
        select(Notice)
        .where(col(Notice.person_id) == person_id, col(Notice.code).in_(list(codes)))
        .order_by(col(Notice.owed_at).desc(), col(Notice.id).desc())
    )
    return next((one for one in rows.scalars() if params.items() <= one.params.items()), None)


async def of_ids(session: AsyncSession, notice_ids: Iterable[UUID]) -> dict[UUID, Notice]:
    """The notices of these ids, as they stand in the database now."""
    rows = await session.execute(
        select(Notice).where(col(Notice.id).in_(list(notice_ids))).execution_options(populate_existing=True)
    )
    return {notice.id: notice for notice in rows.scalars()}


async def texts_of(session: AsyncSession, notices: Iterable[Notice], language: str) -> dict[UUID, Text]:
    """What each notice says, in a language."""
    language = language_of(language)
    names = allowances.names(language) | await rulebook.programme_names(session, language)
    return {notice.id: render(notice.code, notice.params, language, names) for notice in notices}
