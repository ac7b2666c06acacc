"""Counts a knock, and refuses the one too many."""

import hashlib
import hmac
import math
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from sqlalchemy import case, delete, or_
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.database import Database
from core.errors import TooMany
from core.limits.models import Count
from core.limits.rules import Limit, caller_address
from core.vault import Vault

LABEL = "limits/1"
"""The vault's secret under which callers are counted."""


async def count(
    database: Database, vault: Vault, limit: Limit, now: datetime, *, purpose: str, who: str
) -> None:
    """Counts one knock, or raises TooMany.

    In a transaction of its own: what is refused afterwards was knocked all the same. So it stands before the
    request's own transaction (`limited` does), never inside it.
    """
    key = hmac.digest(vault.secret(LABEL), f"{len(purpose)}:{purpose}{who}".encode(), hashlib.sha256)

    async def knock(session: AsyncSession) -> bool:
        return await _take(session, key, limit, now)

    if not await database.in_transaction(knock):
        raise TooMany(max(1, math.ceil((limit.ends(now) - now).total_seconds())))


async def _take(session: AsyncSession, key: bytes, limit: Limit, now: datetime) -> bool:
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    new = insert(Count).values(key=key, window=limit.window(now), times=1, ends_at=limit.ends(now))
    same = col(Count.window) == new.excluded.window
    # One statement takes the place or finds none: whoever waits for the row counts on from what it sees then.
    taken = await session.execute(
        new.on_conflict_do_update(
            index_elements=["key"],
            set_={
                "times": case((same, col(Count.times) + 1), else_=1),
                "window": new.excluded.window,
                "ends_at": new.excluded.ends_at,
            },
            where=or_(~same, col(Count.times) < limit.times),
        ).returning(col(Count.times))
    )
    return taken.scalar_one_or_none() is not None


def limited(
    purpose: str, limit: Limit
) -> Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]:
    """A guard that lets everybody through so often: counted by caller where there is one, else by address."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        state = connection.app.state
        caller = connection.scope.get("user")
        if isinstance(caller, Caller):
            who = f"principal {caller.principal_id}"
        else:
            peer = connection.client.host if connection.client else None
            forwarded = ",".join(connection.headers.getall("x-forwarded-for", []))
            who = f"address {caller_address(peer, forwarded, state.settings.trusted_proxies)}"
        now = state.clock.now()
        await count(state.database, state.vault, limit, now, purpose=purpose, who=who)

    return guard


async def forget_ended(session: AsyncSession, _payload: dict[str, Any], now: datetime) -> None:
    """The job that drops what no longer counts."""
    await session.execute(delete(Count).where(col(Count.ends_at) <= now - timedelta(minutes=1)))
