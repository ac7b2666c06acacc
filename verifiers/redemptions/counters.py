"""Counts uses under keys that die with their period: afterwards a count is of nobody."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.clock import day_of
from core.vault import Label, Vault, new_key, unwrap_key, wrap_key
from verifiers.offers.rules import Period, ends_at, span_of
from verifiers.redemptions.models import PeriodKey, UseCounter

log = structlog.get_logger("redemptions")


@dataclass(frozen=True, slots=True)
class PeriodCounter:
    """Counters of one period, as long as its key lives."""

    period_id: UUID
    key: bytes

    def of(self, *whose: bytes) -> bytes:
        """The name of a counter: nobody without the key can say whose it is, or what for."""
        return hmac.digest(
            self.key, b"".join(len(part).to_bytes(2, "big") + part for part in whose), hashlib.sha256
        )


async def counter_for(
    session: AsyncSession, vault: Vault, period: Period, now: datetime, zone: ZoneInfo
) -> PeriodCounter:
    """The counters of the period that `now` lies in; its key is made at the first use."""
    begins_on = span_of(period, day_of(now, zone)).first
    wrapping = vault.secret(Label.PERIOD_KEYS)
    here = select(col(PeriodKey.id), col(PeriodKey.wrapped)).where(
        col(PeriodKey.period) == period, col(PeriodKey.begins_on) == begins_on
    )
    found = (await session.execute(here)).one_or_none()
    if found is None:
        insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
        await session.execute(
            insert(PeriodKey)
            .values(
                id=uuid4(),
                period=period,
                begins_on=begins_on,
                ends_at=ends_at(period, now, zone),
                wrapped=wrap_key(wrapping, new_key()),
            )
            .on_conflict_do_nothing(index_elements=["period", "begins_on"])
        )
        found = (await session.execute(here)).one()
    return PeriodCounter(found[0], unwrap_key(wrapping, found[1]))


async def take(session: AsyncSession, period_id: UUID, key: bytes, limit: int) -> bool:
    """Takes one use, if one is left: one statement, so that the last one goes to one of two."""
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    taken = await session.execute(
        insert(UseCounter)
        .values(key=key, period_id=period_id, used=1)
        .on_conflict_do_update(
            index_elements=["key"],
            set_={"used": col(UseCounter.used) + 1},
            where=col(UseCounter.used) < limit,
        )
        .returning(col(UseCounter.used))
    )
    return taken.scalar_one_or_none() is not None


async def give_back(session: AsyncSession, key: bytes) -> None:
    """Gives one use back; nothing happens where the period is over."""
    await session.execute(
        update(UseCounter)
        .where(col(UseCounter.key) == key, col(UseCounter.used) > 0)
        .values(used=UseCounter.used - 1)
        .execution_options(synchronize_session=False)
    )


async def forget_periods(session: AsyncSession, _payload: dict[str, Any], now: datetime) -> None:
    """The job after each midnight: destroys the keys of periods that are over, and what was counted under them."""
    over = select(col(PeriodKey.id)).where(col(PeriodKey.ends_at) <= now)
    await session.execute(delete(UseCounter).where(col(UseCounter.period_id).in_(over)))
    gone = await session.execute(
        delete(PeriodKey).where(col(PeriodKey.ends_at) <= now).returning(col(PeriodKey.period))
    )
    for period in gone.scalars():
        log.info("uses.forgotten", period=str(period))
