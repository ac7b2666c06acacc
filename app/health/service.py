"""Looks whether what this process needs is there."""

import asyncio
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from app.health.schemas import Health, ReadyView
from core.database import Database
from core.errors import Unavailable
from core.jobs import care

PATIENCE = 2.0
"""Seconds that the database has for its answer; who asks gives up soon after."""


class NotReady(Unavailable):
    """The database does not answer in time, so that nobody should be sent here."""

    slug, title = "not-ready", "This server cannot serve at the moment"


async def look(database: Database, now: datetime) -> ReadyView:
    """How database and jobs stand, after `PATIENCE` at the latest; NotReady where nothing can be served."""
    try:
        async with asyncio.timeout(PATIENCE), database.reading() as session:
            in_need = await care.in_need(session, now, limit=1)
    except (SQLAlchemyError, OSError, TimeoutError):
        raise NotReady("the database does not answer") from None
    jobs = Health.WARN if in_need else Health.FINE
    return ReadyView(status=jobs, database=Health.FINE, jobs=jobs)
