"""Looks whether what this process needs is there."""

import asyncio
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from app.health.schemas import Health, ReadyView
from core.database import Database
from core.errors import Unavailable
from core.jobs.models import Job

PATIENCE = 2.0
"""Seconds that the database has for its answer; who asks gives up soon after."""
LATE = timedelta(minutes=15)


class NotReady(Unavailable):
    """The database does not answer in time, so that nobody should be sent here."""

    slug, title = "not-ready", "This server cannot serve at the moment"


async def look(database: Database, now: datetime) -> ReadyView:
    """How database and jobs stand, after `PATIENCE` at the latest; NotReady where nothing can be served."""
    leased = col(Job.leased_until)
    late = and_(col(Job.run_at) < now - LATE, or_(leased.is_(None), leased < now))
    waiting = select(col(Job.id)).where(or_(late, col(Job.dead_at).is_not(None))).limit(1)
    try:
        async with asyncio.timeout(PATIENCE), database.reading() as session:
            found = (await session.execute(waiting)).first()
    except (SQLAlchemyError, OSError, TimeoutError):
        raise NotReady("the database does not answer") from None
    jobs = Health.FINE if found is None else Health.WARN
    return ReadyView(status=jobs, database=Health.FINE, jobs=jobs)
