"""Puts many requests into one transaction and answers each after its commit: the one exception to one each."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import Database
from core.errors import Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[AsyncSession, Sequence[Item]], Awaitable[Sequence[Result]]]
"""Does a whole batch in the open transaction: one result for each item, in their order.

It may run again for the same items (a lost race, a neighbour's fault), so it has no effect outside the database.
An exception for one item alone is a result too: it is raised to that caller, and the others' work stands.
"""

MOST: Final = 256
"""Items of one transaction."""

WAITING: Final = 4096
"""Items that may wait; beyond that, saying so at once is kinder than a long silence."""

RETRY_AFTER: Final = 1

log = structlog.get_logger("batch")


@dataclass(slots=True, eq=False)
class _Ticket(Generic[Item, Result]):
    item: Item
    answer: asyncio.Future[Result]


class Batch(Generic[Item, Result]):
    """Combines what callers submit at the same time; while one transaction commits, the next batch gathers.

    No task runs while nothing is to be done, so it needs no beginning and no end. It belongs to one event loop.
    """

    def __init__(
        self, database: Database, work: Work[Item, Result], *, most: int = MOST, waiting: int = WAITING
    ) -> None:
        self._database, self._work = database, work
        self._most, self._waiting = most, waiting
        self._queue: deque[_Ticket[Item, Result]] = deque()
        self._runner: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """The item's result, once it is committed; Unavailable where too many wait or the database is away.

        Who is cancelled while waiting has not asked; who is cancelled later may find it done.
        """
        if len(self._queue) >= self._waiting:
            raise Unavailable(headers={"Retry-After": str(RETRY_AFTER)})
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.append(_Ticket(item, answer))
        if self._runner is None:
            # Of its own, not the first caller's: a caller who hangs up must not take the others' work along.
            self._runner = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        try:
            while tickets := self._next():
                await self._settle(tickets)
        finally:
            self._runner = None
            for ticket in self._queue:
                ticket.answer.cancel()
            self._queue.clear()

    def _next(self) -> list[_Ticket[Item, Result]]:
        tickets: list[_Ticket[Item, Result]] = []
        while self._queue and len(tickets) < self._most:
            ticket = self._queue.popleft()
            if not ticket.answer.done():
                tickets.append(ticket)
        return tickets

    async def _settle(self, tickets: list[_Ticket[Item, Result]]) -> None:
        items = [ticket.item for ticket in tickets]
        try:
            results = await self._database.in_transaction(lambda session: self._work(session, items))
        except asyncio.CancelledError:
            for ticket in tickets:
                ticket.answer.cancel()
            raise
        except Exception as error:  # noqa: BLE001  (whatever it was, everybody who waits is answered)
            await self._isolate(tickets, error)
            return
        for ticket, result in zip(tickets, results, strict=True):
            if ticket.answer.done():
                continue
            if isinstance(result, Exception):
                ticket.answer.set_exception(result)
            else:
                ticket.answer.set_result(result)

    async def _isolate(self, tickets: list[_Ticket[Item, Result]], error: Exception) -> None:
        if _out_of_reach(error):
            log.warning("batch.out_of_reach", error=type(error).__name__, items=len(tickets))
            away = Unavailable(headers={"Retry-After": str(RETRY_AFTER)})
            for ticket in tickets:
                _fail(ticket, away)
        elif len(tickets) == 1:
            _fail(tickets[0], error)
        else:
            # Nothing of the batch stands. One item is at fault: in halves, the others are soon free of it.
            half = len(tickets) // 2
            await self._settle(tickets[:half])
            await self._settle(tickets[half:])


def _fail(ticket: _Ticket[Item, Result], error: Exception) -> None:
    if not ticket.answer.done():
        ticket.answer.set_exception(error)


def _out_of_reach(error: Exception) -> bool:
    """Is it the database itself? Then no single item is at fault, and trying each would only add to the trouble."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(error, StatementError) and not isinstance(error, OperationalError | InterfaceError):
        return False
    return isinstance(error, OperationalError | InterfaceError | PoolTimeout | OSError | TimeoutError)
