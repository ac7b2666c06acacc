"""Takes a delivery in: a stream of any length into rows that wait, under the register's own name for it."""

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
from core.bulk import insert_rows, table_of
from core.clock import day_of
from core.database import Database, new_id
from core.errors import Conflict, Unprocessable
from core.jobs.service import enqueue
from core.settings import Settings
from core.vault import Vault, seal
from entitlements.deliveries.framing import Lines, Records, TooLong
from entitlements.deliveries.models import Delivery, DeliveryRow, Mode, State
from entitlements.deliveries.rules import (
    AHEAD,
    COLUMNS,
    SINCE_EVER,
    SMALL,
    FactSaid,
    Frame,
    HouseholdSaid,
    PersonSaid,
    Refused,
    Result,
    Said,
    read_cells,
    read_json,
)
from entitlements.facts.history import typed
from entitlements.facts.rules import OPEN, last_day
from entitlements.people.rules import IDENTITY_FIELDS
from entitlements.people.service import identification_hash
from entitlements.registers.models import Register
from entitlements.registers.rules import Remit
from entitlements.registers.service import NumberHash

ROWS = "delivery-rows/1"
"""Seals numbers and identities in rows that wait."""
BATCH = 5_000
"""Rows that go to the database in one transaction while a delivery comes in."""


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
    staging = _Staging(database, vault, delivery.id, register.id)
    reader = _Cells(frame) if announced.media is Media.CSV else _Json(frame)
    try:
        async for piece in body:
            digest.update(piece)
            for said in reader.feed(piece):
                staging.add(said)
            if len(staging.rows) >= BATCH:
                await staging.write()
        for said in reader.close():
            staging.add(said)
        await staging.write()
        return await _claim(
            database, caller, delivery.id, announced, rows=staging.position, content=digest.digest(), now=now
        )
    except BaseException:
        # Whatever broke it off, the half of it is of no use to anybody.
        await database.in_transaction(lambda session: discard(session, delivery.id))
        raise


async def discard(session: AsyncSession, delivery_id: UUID) -> None:
    """Drops an upload that never became a delivery."""
    await session.execute(delete(DeliveryRow).where(col(DeliveryRow.delivery_id) == delivery_id))
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
            await session.execute(delete(DeliveryRow).where(col(DeliveryRow.delivery_id) == delivery_id))
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
        self._frame, self._lines = frame, Lines()

    def feed(self, piece: bytes) -> Iterator[Said]:
        return (self._read(line) for line in self._lines.feed(piece))

    def close(self) -> Iterator[Said]:
        return (self._read(line) for line in self._lines.close())

    def _read(self, line: bytes | TooLong) -> Said:
        return Refused(Result.TOO_LONG) if isinstance(line, TooLong) else read_json(line, self._frame)


class _Cells:
    """Rows out of CSV, whose first line names the columns."""

    def __init__(self, frame: Frame) -> None:
        self._frame, self._records = frame, Records()
        self._header: Sequence[str] | None = None

    def feed(self, piece: bytes) -> Iterator[Said]:
        return self._rows(self._records.feed(piece))

    def close(self) -> Iterator[Said]:
        return self._rows(self._records.close())

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


_COLUMNS = (
    "delivery_id",
    "position",
    "part",
    "form",
    "number_hash",
    "household_hash",
    "household_kind",
    "identification_hash",
    "sealed",
    "kind",
    "value_int",
    "value_text",
    "value_day",
    "withdrawn",
    "valid_from",
    "valid_until",
    "valid_next",
    "stated_at",
    "item_id",
    "result",
)


class _Staging:
    """Takes rows apart and writes them in batches; no number and no name is written in the clear."""

    def __init__(self, database: Database, vault: Vault, delivery_id: UUID, register_id: UUID) -> None:
        self._database, self._vault, self._delivery_id = database, vault, delivery_id
        self._hash, self._secret = NumberHash(vault, register_id), vault.secret(ROWS)
        self._numbers: dict[str, tuple[bytes, bytes]] = {}
        self.rows: list[tuple[Any, ...]] = []
        self.position = 0

    async def write(self) -> None:
        """Writes what has gathered, in a transaction of its own: others write in between."""
        rows, self.rows, self._numbers = self.rows, [], {}
        if rows:
            await self._database.in_transaction(
                lambda session: insert_rows(session, table_of(DeliveryRow), _COLUMNS, rows)
            )

    def add(self, said: Said) -> None:
        """One row, as the parts that it consists of."""
        self.position += 1
        match said:
            case FactSaid():
                self._fact(said)
            case PersonSaid():
                self._person(said)
            case HouseholdSaid():
                self._household(said)
            case Refused():
                hashed = self._hash(said.number) if said.number is not None else None
                self._part(0, "none", number_hash=hashed, result=said.result.value)

    def _fact(self, said: FactSaid) -> None:
        hashed, sealed = self._number(said.number) if said.number is not None else (None, None)
        for part, (name, value) in enumerate(said.values.items()):
            value_int, value_text, value_day = typed(value)
            self._part(
                part,
                "fact",
                number_hash=hashed,
                sealed=sealed,
                household_hash=self._house(said.household, said.household_kind),
                household_kind=said.household_kind,
                kind=name,
                value_int=value_int,
                value_text=value_text,
                value_day=value_day,
                withdrawn=value is None,
                valid_from=said.first,
                valid_until=last_day(said.following) or OPEN,
                valid_next=said.following,
                stated_at=said.stated_at,
            )

    def _person(self, said: PersonSaid) -> None:
        hashed, _ = self._number(said.number)
        identity = said.identity
        content = {
            "number": said.number,
            "identity": {name: getattr(identity, name) for name in IDENTITY_FIELDS} if identity else None,
        }
        number = identification_hash(self._vault, said.identification) if said.identification else None
        self._part(
            0,
            "person",
            number_hash=hashed,
            sealed=seal(self._secret, json.dumps(content).encode(), hashed),
            identification_hash=number,
            stated_at=said.stated_at,
        )
        for part, (name, value) in enumerate(said.birth.items(), 1):
            value_int, value_text, value_day = typed(value)
            self._part(
                part,
                "fact",
                number_hash=hashed,
                kind=name,
                value_int=value_int,
                value_text=value_text,
                value_day=value_day,
                valid_from=SINCE_EVER,
                valid_until=OPEN,
                valid_next=OPEN,
                stated_at=said.stated_at,
            )

    def _household(self, said: HouseholdSaid) -> None:
        days = {"valid_from": said.first, "valid_next": said.following, "stated_at": said.stated_at}
        house = {
            "household_hash": self._house(said.household, said.kind),
            "household_kind": said.kind,
        }
        self._part(0, "household", **house, **days)
        for part, member in enumerate(said.members, 1):
            hashed, sealed = self._number(member)
            self._part(part, "member", number_hash=hashed, sealed=sealed, **house, **days)

    def _number(self, number: str) -> tuple[bytes, bytes]:
        known = self._numbers.get(number)
        if known is None:
            hashed = self._hash(number)
            content = json.dumps({"number": number}).encode()
            known = self._numbers[number] = (hashed, seal(self._secret, content, hashed))
        return known

    def _house(self, number: str | None, kind: str | None) -> bytes | None:
        return self._hash(number, f"household {kind}") if number is not None else None

    def _part(self, part: int, form: str, **cells: Any) -> None:
        cells |= {
            "delivery_id": self._delivery_id,
            "position": self.position,
            "part": part,
            "form": form,
            "item_id": new_id(),
        }
        cells.setdefault("withdrawn", False)
        self.rows.append(tuple(cells.get(name) for name in _COLUMNS))
