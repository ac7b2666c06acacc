"""Flags a card that was shown at two venues within minutes; tells operators how often, and its holder kindly, a day later."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.bulk import insert_for
from core.clock import day_of
from core.settings import Settings
from entitlements.notices import service as notices
from issuers.credentials.card import CardId
from issuers.credentials.models import Credential
from verifiers.checks.models import CardFlag

KEPT: Final = timedelta(days=30)

log = structlog.get_logger("checks")


async def raise_flag(session: AsyncSession, card: CardId, today: date) -> None:
    """Notes that it happened to this card today; neither where nor at what time."""
    found = await session.execute(
        select(col(Credential.id), col(Credential.person_id)).where(
            col(Credential.status_list) == card.status_list, col(Credential.status_index) == card.index
        )
    )
    row = found.one_or_none()
    if row is None:
        return
    new = insert_for(session, CardFlag).values(
        credential_id=row[0], person_id=row[1], day=today, times=1, told=False
    )
    await session.execute(
        new.on_conflict_do_update(
            index_elements=["credential_id", "day"], set_={"times": col(CardFlag.times) + 1}
        )
    )
    # No id here: beside this line stand those of the requests, and they name the scanner.
    log.warning("check.card_at_two_venues")


async def flagged(session: AsyncSession) -> Sequence[CardFlag]:
    """The flags that are kept, the newest first."""
    rows = await session.execute(
        select(CardFlag).order_by(col(CardFlag.day).desc(), col(CardFlag.credential_id))
    )
    return rows.scalars().all()


async def tell(session: AsyncSession, _payload: dict[str, Any], now: datetime, *, settings: Settings) -> None:
    """The nightly job: tells holders of the days that are over, so that the hour of the message says nothing either."""
    today = day_of(now, settings.zone)
    waiting = await session.execute(
        update(CardFlag)
        .where(col(CardFlag.told).is_(False), col(CardFlag.day) < today)
        .values(told=True)
        .returning(col(CardFlag.person_id), col(CardFlag.day))
        .execution_options(synchronize_session=False)
    )
    # Whose two cards were both seen twice is told once.
    for person_id, day in sorted({(row[0], row[1]) for row in waiting}):
        await notices.owe(session, person_id, "card.two-places", {"day": day}, now=now)
    await session.execute(delete(CardFlag).where(col(CardFlag.day) < today - KEPT))
