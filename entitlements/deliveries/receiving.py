"""Takes a delivery in: a stream of any length into rows that wait, under the register's own name for it."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.audit.service import note
from core.clock import day_of
from core.database import Database
from core.errors import Conflict, Unprocessable
from core.jobs.service import enqueue
from core.settings import Settings
from core.vault import Vault
from entitlements.deliveries.framing import Lines, Records, TooLong
from entitlements.deliveries.models import Delivery, Mode, State
from entitlements.deliveries.rules import (
    AHEAD,
    COLUMNS,
    SMALL,
    Again,
    Frame,
    Refused,
    Result,
    Row,
    Said,
    read_cells,
)
from entitlements.deliveries.staging import Staging, drop_rows
from entitlements.registers.models import Register
from entitlements.registers.rules import Remit

BATCH = 20_000
"""Rows that go to the database in one transaction while a delivery comes in."""
BREATH = 500
"""Rows that are read before others get their turn: the batch that is on its way, and whoever else asks."""


class Media(StrEnum):
    """In which form the rows are written."""

    NDJSON = "application/x-ndjson"
    CSV = "text/csv"


class NameTaken(Conflict):
    """The register used this name for another delivery."""

    slug, title = "delivery-name-taken", "This name was used for another delivery"


class AheadOfTime(Unprocessable):
    """The delivery claims to be of the future."""

    slug, title = "ahead-of-time", "The moment of the delivery lies in the future"


class HeaderUnknown(Unprocessable):
    """The first line of the CSV does not name columns that we know."""

    slug, title = "unknown-columns", "The first line must name known columns, each once"


@dataclass(frozen=True, slots=True)
class Announced:
    """What a register says of a delivery beside its rows."""

    name: str
    mode: Mode
    as_of: datetime | None
    rows: int
    media: Media

    def digest(self) -> Any:
        """The running hash of the delivery's content, begun with how it was announced."""
        said = [self.mode, self.as_of.isoformat() if self.as_of else None, self.rows, self.media]
        return hashlib.sha256(json.dumps(said).encode() + b"\n")


@dataclass(frozen=True, slots=True)
class Received:
    """A delivery that is here, and whether it was before."""

    delivery_id: UUID
    known: bool


async def receive(
    database: Database,
    vault: Vault,
    settings: Settings,
    caller: Caller,
    register: Register,
    *,
    announced: Announced,
    body: AsyncIterator[bytes],
    now: datetime,
) -> Received:
    """Takes the rows in, piece by piece; the delivery exists once all of them are here.

    The same delivery again is recognised by its name and content. NameTaken for other content under that name.
    """
    if announced.as_of is not None and announced.as_of > now + AHEAD:
        raise AheadOfTime
    digest = announced.digest()
    if await _named(database, register.id, announced.name) is not None:
        async for piece in body:
            digest.update(piece)
        return await _recognise(database, register.id, announced.name, digest.digest())
    as_of = announced.as_of or now
    remit = Remit.of(register.remit)
    frame = Frame(remit, as_of, day_of(as_of, settings.zone), announced.mode is Mode.FULL, now + AHEAD)
    delivery = Delivery(
        register_id=register.id,
        mode=announced.mode,
        as_of=as_of,
        state=State.RECEIVING,
        declared=announced.rows,
        received_at=now,
    )

    async def begin(session: AsyncSession) -> None:
        session.add(delivery)

    await database.in_transaction(begin)
    staging = Staging(database, vault, delivery.id, register.id)
    reader = _Cells(frame) if announced.media is Media.CSV else _Json(frame)
    try:
        async for piece in body:
            digest.update(piece)
            for said, number in reader.feed(piece):
                staging.add(said, number)
                if len(staging.rows) >= BATCH:
                    await staging.write()
                elif staging.position % BREATH == 0:
                    await asyncio.sleep(0)
        for said, number in reader.close():
            staging.add(said, number)
        await staging.write()
        await staging.written()
        return await _claim(
            database, caller, delivery.id, announced, rows=staging.position, content=digest.digest(), now=now
        )
    except BaseException:
        # Whatever broke it off, the half of it is of no use to anybody.
        await staging.break_off()
        await database.in_transaction(lambda session: discard(session, delivery.id))
        raise


async def discard(session: AsyncSession, delivery_id: UUID) -> None:
    """Drops an upload that never became a delivery."""
    await drop_rows(session, delivery_id)
    await session.execute(
        delete(Delivery).where(col(Delivery.id) == delivery_id, col(Delivery.state) == State.RECEIVING)
    )


async def _named(database: Database, register_id: UUID, name: str) -> Delivery | None:
    async with database.reading() as session:
        found = await session.execute(
            select(Delivery).where(col(Delivery.register_id) == register_id, col(Delivery.name) == name)
        )
        delivery: Delivery | None = found.scalar_one_or_none()
        return delivery


async def _recognise(database: Database, register_id: UUID, name: str, content: bytes) -> Received:
    known = await _named(database, register_id, name)
    if known is None or known.content_hash != content:
        raise NameTaken
    return Received(known.id, known=True)


async def _claim(
    database: Database,
    caller: Caller,
    delivery_id: UUID,
    announced: Announced,
    *,
    rows: int,
    content: bytes,
    now: datetime,
) -> Received:
    whole = rows == announced.rows
    values: dict[str, Any] = {"name": announced.name, "content_hash": content, "rows": rows}
    if whole:
        values["state"] = State.CHECKING
    else:
        values |= {"state": State.REJECTED, "reason": "row-count", "finished_at": now}

    async def claim(session: AsyncSession) -> UUID:
        claimed = await session.execute(
            update(Delivery)
            .where(col(Delivery.id) == delivery_id)
            .values(values)
            .returning(col(Delivery.register_id))
            .execution_options(synchronize_session=False)
        )
        register_id: UUID = claimed.scalar_one()
        action = "delivery.received" if whole else "delivery.rejected"
        note(
            session, caller, action, ("delivery", delivery_id), now=now, rows=rows, mode=announced.mode.value
        )
        if whole:
            # A small one is applied before the answer; if we fall in between, the job finds it.
            await enqueue(
                session,
                "delivery.apply",
                {"delivery_id": str(delivery_id)},
                run_at=now if rows > SMALL else now + AHEAD,
                once=f"delivery {delivery_id}",
            )
        else:
            await drop_rows(session, delivery_id)
        return register_id

    try:
        await database.in_transaction(claim)
    except IntegrityError:
        # The same delivery came in twice at once, and the other one was first.
        async with database.reading() as session:
            mine = await session.get_one(Delivery, delivery_id)
        known = await _recognise(database, mine.register_id, announced.name, content)
        await database.in_transaction(lambda session: discard(session, delivery_id))
        return known
    return Received(delivery_id, known=False)


class _Json:
    """Rows out of NDJSON."""

    def __init__(self, frame: Frame) -> None:
        self._lines, self._again = Lines(), Again(frame)

    def feed(self, piece: bytes) -> Iterator[Row]:
        return map(self._read, self._lines.feed(piece))

    def close(self) -> Iterator[Row]:
        return map(self._read, self._lines.close())

    def _read(self, line: bytes | TooLong) -> Row:
        return (Refused(Result.TOO_LONG), None) if isinstance(line, TooLong) else self._again.read(line)


class _Cells:
    """Rows out of CSV, whose first line names the columns."""

    def __init__(self, frame: Frame) -> None:
        self._frame, self._records = frame, Records()
        self._header: Sequence[str] | None = None

    def feed(self, piece: bytes) -> Iterator[Row]:
        return ((said, None) for said in self._rows(self._records.feed(piece)))

    def close(self) -> Iterator[Row]:
        return ((said, None) for said in self._rows(self._records.close()))

    def _rows(self, records: Iterator[list[str] | TooLong | None]) -> Iterator[Said]:
        for record in records:
            if self._header is None:
                names = [name.strip() for name in record] if isinstance(record, list) else []
                if "row" not in names or len(set(names)) < len(names) or not set(names) <= COLUMNS:
                    raise HeaderUnknown
                self._header = names
            elif record is None:
                yield Refused(Result.MALFORMED)
            elif isinstance(record, TooLong):
                yield Refused(Result.TOO_LONG)
            else:
                yield read_cells(self._header, record, self._frame)
