"""Jobs that an operator should look at: found, and tried again once what stood in their way is gone."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col

from core.audit.service import note
from core.jobs.models import Job

LATE = timedelta(minutes=15)
"""A job that is due for so long and that nobody is at says that too few are working, or nobody."""


def needs_care(now: datetime) -> ColumnElement[bool]:
    """Whether a job was given up, or waits for longer than it should."""
    leased = col(Job.leased_until)
    late = and_(col(Job.run_at) < now - LATE, or_(leased.is_(None), leased < now))
    # What was given up was due: of all that is owed for later days, which may be much, nothing is looked at.
    return and_(col(Job.run_at) <= now, or_(col(Job.dead_at).is_not(None), late))


async def in_need(session: AsyncSession, now: datetime, *, limit: int = 100) -> list[Job]:
    """The jobs that need care, those that wait longest first."""
    found = await session.execute(
        select(Job).where(needs_care(now)).order_by(col(Job.run_at), col(Job.id)).limit(limit)
    )
    return list(found.scalars())


async def try_again(session: AsyncSession, job_ids: Collection[UUID] | None, now: datetime) -> list[UUID]:
    """Lets these jobs that were given up, or all, be tried anew from now on; gives those that are."""
    chosen: ColumnElement[bool] = col(Job.dead_at).is_not(None)
    if job_ids is not None:
        chosen = and_(chosen, col(Job.id).in_(job_ids))
    revived = await session.execute(
        update(Job)
        .where(chosen)
        .values(dead_at=None, attempts=0, run_at=now, leased_until=None)
        .returning(col(Job.id))
        .execution_options(synchronize_session=False)
    )
    ids = sorted(revived.scalars())
    for job_id in ids:
        note(session, None, "job.tried-again", ("job", job_id), now=now)
    return ids
