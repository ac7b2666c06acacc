"""Put a notice into the inbox, list what is there, mark it as read."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.bulk import insert_new
from core.clock import day_of
from core.database import new_id
from core.errors import NotFound
from core.settings import Settings
from entitlements.notices import service as notices
from entitlements.people import service as people
from wallet.inbox.models import Message
from wallet.inbox.schemas import InboxView, MessageView

NEWEST = 100

log = structlog.get_logger("inbox")


async def deliver(
    session: AsyncSession, payload: dict[str, Any], now: datetime, *, settings: Settings
) -> None:
    """The job that notices owe: each lies in the inbox once, and counts as sent from then on."""
    ids = [UUID(str(one)) for one in payload.get("notice_ids") or [payload["notice_id"]]]
    # Whose person was forgotten since has nobody to be told.
    found = await notices.of_ids(session, ids)
    rows = [
        {"id": new_id(), "person_id": one.person_id, "notice_id": one.id, "delivered_at": now}
        for one in found.values()
    ]
    await insert_new(session, Message, rows)
    await notices.all_sent(session, list(found.values()), now=now, settings=settings)
    if len(found) < len(ids):
        log.info("notice.gone", count=len(ids) - len(found))


async def withdraw(session: AsyncSession, payload: dict[str, Any], _now: datetime) -> None:
    """The job that takes back a message about something of which nothing may be kept: as if it had never come."""
    notice_id = UUID(str(payload["notice_id"]))
    await session.execute(delete(Message).where(col(Message.notice_id) == notice_id))
    await notices.take_back(session, notice_id)


async def read(
    session: AsyncSession, caller: Caller, language: str, *, settings: Settings, now: datetime
) -> InboxView:
    """The newest messages of whoever the request is about.

    Who asks for themselves also sees what the city has told those for whom they act.
    """
    ids = await _readable(session, caller, settings, now)
    found = await session.execute(
        select(Message)
        .where(col(Message.person_id).in_(ids))
        .order_by(col(Message.delivered_at).desc(), col(Message.id).desc())
        .limit(NEWEST)
    )
    messages = found.scalars().all()
    unread = await session.execute(
        select(func.count()).where(col(Message.person_id).in_(ids), col(Message.read_at).is_(None))
    )
    told = await notices.of_ids(session, [message.notice_id for message in messages])
    texts = await notices.texts_of(session, told.values(), language)
    return InboxView(
        messages=[
            MessageView(
                id=message.id,
                person_id=message.person_id,
                code=told[message.notice_id].code,
                title=texts[message.notice_id].title,
                body=texts[message.notice_id].body,
                delivered_at=message.delivered_at,
                read_at=message.read_at,
            )
            for message in messages
        ],
        unread=unread.scalar_one(),
        language=language,
    )


async def mark_read(
    session: AsyncSession, caller: Caller, message_id: UUID, *, settings: Settings, now: datetime
) -> None:
    """Keeps the moment at which a message was first read; NotFound for somebody else's."""
    ids = await _readable(session, caller, settings, now)
    marked = await session.execute(
        update(Message)
        .where(col(Message.id) == message_id, col(Message.person_id).in_(ids))
        .values(read_at=func.coalesce(col(Message.read_at), now))
        .returning(col(Message.id))
        .execution_options(synchronize_session=False)
    )
    if marked.scalar_one_or_none() is None:
        raise NotFound


async def _readable(
    session: AsyncSession, caller: Caller, settings: Settings, now: datetime
) -> Sequence[UUID]:
    today = day_of(now, settings.zone)
    subject = await people.subject_of(session, caller, today)
    about = [subject]
    if caller.acting_for is None:
        about += await people.wards_of(session, subject, today)
    return list(await people.aliases(session, about))
