"""Enqueue, lease, run, retry, give up."""

import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import structlog
from sqlalchemy import case, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.bulk import table_of
from core.clock import Clock, day_of
from core.database import Database, new_id
from core.jobs.models import Job

Handler = Callable[[AsyncSession, dict[str, Any], datetime], Awaitable[None]]
"""Does one job in a transaction of its own; raising rolls back and tries again later."""

LastWord = Callable[[AsyncSession, dict[str, Any], datetime, str], Awaitable[None]]
"""Is told that a job was given up for good, and by which class of error."""


@dataclass(frozen=True, slots=True)
class Minded:
    """A handler of jobs that somebody waits for: when one is given up, they are told."""

    work: Handler
    given_up: LastWord

    def __call__(self, session: AsyncSession, payload: dict[str, Any], now: datetime) -> Awaitable[None]:
        return self.work(session, payload, now)


LEASE = timedelta(minutes=5)
ATTEMPTS = 8

log = structlog.get_logger("jobs")


async def enqueue(
    session: AsyncSession,
    kind: str,
    payload: Mapping[str, Any] | None = None,
    *,
    run_at: datetime,
    once: str | None = None,
) -> None:
    """Owes a job, in the caller's transaction; with `once`, a job of that word that waits already is enough."""
    add = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    new = add(Job).values(
        id=new_id(), kind=kind, payload=dict(payload or {}), once=once, run_at=run_at, attempts=0
    )
    # Touching the waiting row locks it: the worker that takes it begins after we have committed, and so
    # sees what we wrote. A job that had been given up is alive again.
    dead = col(Job.dead_at).is_not(None)
    await session.execute(
        new.on_conflict_do_update(
            index_elements=["once"],
            set_={
                "run_at": case((dead, new.excluded.run_at), else_=col(Job.run_at)),
                "attempts": case((dead, 0), else_=col(Job.attempts)),
                "dead_at": None,
            },
        )
    )


@dataclass(frozen=True, slots=True)
class Owed:
    """A job to be owed among many; none of them has a word of its own, so each is done."""

    kind: str
    payload: Mapping[str, Any]
    run_at: datetime


async def enqueue_all(session: AsyncSession, owed: Iterable[Owed]) -> None:
    """Owes many jobs in one statement, in the caller's transaction."""
    rows = [
        {"id": new_id(), "kind": one.kind, "payload": dict(one.payload), "run_at": one.run_at, "attempts": 0}
        for one in owed
    ]
    if rows:
        await session.execute(insert(table_of(Job)), rows)


@dataclass(frozen=True, slots=True)
class Recurring:
    """A job that is owed once in each slot of time; `slot` names the slot that a moment falls into."""

    kind: str
    slot: Callable[[datetime], str]


def every(kind: str, period: timedelta) -> Recurring:
    """Owed once in each period."""
    return Recurring(kind, lambda now: str(int(now.timestamp() // period.total_seconds())))


def nightly(kind: str, zone: ZoneInfo) -> Recurring:
    """Owed once in each calendar day of the city, at the first look after midnight."""
    return Recurring(kind, lambda now: day_of(now, zone).isoformat())


class Worker:
    """Takes due jobs one by one and does them; several workers may run side by side."""

    def __init__(
        self,
        database: Database,
        handlers: Mapping[str, Handler],
        clock: Clock,
        recurring: Sequence["Recurring"] = (),
    ) -> None:
        self._database, self._handlers, self._clock = database, handlers, clock
        self._recurring, self._owed = recurring, dict[str, str]()
        self._name = secrets.token_hex(8)
        self._stopping = anyio.Event()

    async def run_due(self, limit: int = 100_000) -> int:
        """Does what is due now, including what that work owes in turn; gives the number of jobs taken."""
        await self._owe_recurring()
        done = 0
        while done < limit and not self._stopping.is_set() and await self.run_one():
            done += 1
        return done

    async def run_one(self) -> bool:
        """Takes the next due job and does it; False when nothing is due."""
        now = self._clock.now()
        job = await self._database.in_transaction(lambda session: self._take(session, now))
        if job is None:
            return False
        try:
            handler = self._handlers[job.kind]

            async def work(session: AsyncSession) -> None:
                # The row goes first: who owes the same job while we work waits for us, and owes it anew.
                await self._finish(session, job)
                await handler(session, job.payload, now)

            await self._database.in_transaction(work)
        except Exception as failure:  # noqa: BLE001  (whatever it was, the job stays and says so)
            error = failure
            await self._database.in_transaction(lambda session: self._fail(session, job, error, now))
        return True

    def stop(self) -> None:
        """Lets the job at hand come to its end and takes no other: a transaction is not torn in its middle."""
        self._stopping.set()

    async def forever(self, every: float = 1.0) -> None:
        """Polls until stopped."""
        while not self._stopping.is_set():
            try:
                await self.run_due()
            except Exception as error:  # noqa: BLE001  (a database that is away comes back)
                log.warning("jobs.poll_failed", error=type(error).__name__)
            with anyio.move_on_after(every):
                await self._stopping.wait()

    async def _owe_recurring(self) -> None:
        now = self._clock.now()
        owed = {each.kind: each.slot(now) for each in self._recurring}
        new = [kind for kind, slot in owed.items() if self._owed.get(kind) != slot]
        if not new:
            return

        async def owe(session: AsyncSession) -> None:
            for kind in new:
                # Another process may owe the same slot: while it waits, the two are one; once done, the
                # second finds nothing left to do, because every recurring job may run twice.
                await enqueue(session, kind, run_at=now, once=f"recurring:{kind}")

        await self._database.in_transaction(owe)
        self._owed = owed

    async def _take(self, session: AsyncSession, now: datetime) -> Job | None:
        due = (
            select(col(Job.id))
            .where(
                col(Job.dead_at).is_(None),
                col(Job.run_at) <= now,
                or_(col(Job.leased_until).is_(None), col(Job.leased_until) <= now),
            )
            .order_by(col(Job.run_at), col(Job.id))
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        taken = await session.execute(
            update(Job)
            # With `=` the look is made once; `IN` lets PostgreSQL join, look again for each row, and take several.
            .where(col(Job.id) == due.scalar_subquery())
            .values(leased_until=now + LEASE, owner=self._name, attempts=Job.attempts + 1)
            .returning(Job)
            .execution_options(synchronize_session=False)
        )
        return taken.scalar_one_or_none()

    async def _finish(self, session: AsyncSession, job: Job) -> None:
        row = await session.get(Job, job.id)
        # Somebody else holds it when the lease ran out in between: then our work must not count.
        if row is None or row.owner != self._name or row.attempts != job.attempts:
            raise LeaseLost
        await session.delete(row)
        await session.flush()

    async def _fail(self, session: AsyncSession, job: Job, error: Exception, now: datetime) -> None:
        row = await session.get(Job, job.id)
        if row is None or row.owner != self._name:
            return
        row.error = type(error).__name__
        row.leased_until, row.owner = None, None
        if row.attempts >= ATTEMPTS:
            row.dead_at = now
            await self._tell(session, job, row.error, now)
        else:
            row.run_at = now + timedelta(seconds=2**row.attempts)
        session.add(row)
        log.warning("jobs.failed", kind=job.kind, job=str(job.id), error=row.error, attempts=row.attempts)

    async def _tell(self, session: AsyncSession, job: Job, error: str, now: datetime) -> None:
        """Tells whoever waits for the job; that it is given up stands even where telling fails."""
        handler = self._handlers.get(job.kind)
        if not isinstance(handler, Minded):
            return
        try:
            async with session.begin_nested():
                await handler.given_up(session, job.payload, now, error)
        except Exception as failure:  # noqa: BLE001  (whatever it was, the job is given up)
            log.warning("jobs.last_word_failed", kind=job.kind, job=str(job.id), error=type(failure).__name__)


class LeaseLost(Exception):
    """The job was taken over by another worker while this one worked on it."""
