"""Takes rows apart and puts them where they wait: whom they mean and what they say, each written down once."""

import asyncio
import json
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, delete, exists, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.bulk import insert_rows, table_of
from core.database import Database, new_id
from core.vault import Vault, seal
from entitlements.deliveries.models import (
    STAGING,
    About,
    DeliveryMember,
    DeliveryRow,
    DeliveryStatement,
    DeliverySubject,
)
from entitlements.deliveries.rules import (
    SINCE_EVER,
    FactSaid,
    HouseholdSaid,
    PersonSaid,
    Refused,
    Result,
    Said,
)
from entitlements.facts.history import typed
from entitlements.facts.rules import OPEN, last_day
from entitlements.language import Value
from entitlements.people.rules import IDENTITY_FIELDS
from entitlements.people.service import identification_hash
from entitlements.registers.service import NumberHash

ROWS: Final = "delivery-rows/1"
"""Seals numbers and identities in rows that wait."""
NUMBERS: Final = 200_000
"""Numbers and statements that are remembered while rows come in: forgetting one costs a second row, no more."""
PATTERNS: Final = 20_000
"""Rows that are remembered, because others say the same of somebody else."""

_SUBJECT = (
    "delivery_id",
    "place",
    "about",
    "number_hash",
    "household_kind",
    "identification_hash",
    "sealed",
    "explained_at",
    "statement",
    "item_id",
    "settles",
)
_STATEMENT = (
    "delivery_id",
    "number",
    "kind",
    "value_int",
    "value_text",
    "value_day",
    "withdrawn",
    "valid_from",
    "valid_until",
    "valid_next",
    "stated_at",
)
_MEMBER = ("delivery_id", "listing", "member")
_ROW = ("delivery_id", "position", "part", "subject", "statement", "result")

Rows = list[tuple[Any, ...]]


class Staging:
    """Takes rows apart and writes them in batches; no number and no name is written in the clear."""

    def __init__(self, database: Database, vault: Vault, delivery_id: UUID, register_id: UUID) -> None:
        self._database, self._vault, self._delivery_id = database, vault, delivery_id
        self._hash, self._secret = NumberHash(vault, register_id), vault.secret(ROWS)
        self._subjects: dict[str, int] = {}
        self._mentioned: dict[str, int] = {}
        """Numbers that stand in refused rows only: they are not kept, so that no other row can wait for them here."""
        self._households: dict[tuple[str, str], int] = {}
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._parts: dict[int, tuple[FactSaid, tuple[int, ...]]] = {}
        self._places = self._statements_made = 0
        self._new_subjects: Rows = []
        self._new_statements: Rows = []
        self._new_members: Rows = []
        self._writing: asyncio.Task[None] | None = None
        self.rows: Rows = []
        self.position = 0

    async def write(self) -> None:
        """Begins to write what has gathered, in a transaction of its own: others write in between.

        While the database works, the next rows are read; one batch is on its way at most.
        """
        await self.written()
        gathered = (
            (DeliverySubject, _SUBJECT, self._new_subjects),
            (DeliveryStatement, _STATEMENT, self._new_statements),
            (DeliveryMember, _MEMBER, self._new_members),
            (DeliveryRow, _ROW, self.rows),
        )
        self._new_subjects, self._new_statements, self._new_members, self.rows = [], [], [], []

        async def put(session: AsyncSession) -> None:
            for table, columns, rows in gathered:
                await insert_rows(session, table_of(table), columns, rows)

        self._writing = asyncio.create_task(self._database.in_transaction(put))

    async def written(self) -> None:
        """Waits until everything is written that was begun; what went wrong with it goes wrong here."""
        if self._writing is not None:
            await self._writing

    async def break_off(self) -> None:
        """Waits until nothing is being written any more, whatever became of it."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)

    def add(self, said: Said, number: str | None = None) -> None:
        """One row; `number` stands in place of the one that a fact names."""
        self.position += 1
        match said:
            case FactSaid():
                self._fact(said, number)
            case PersonSaid():
                self._person(said)
            case HouseholdSaid():
                self._household(said)
            case Refused():
                self._refused(said)

    def _fact(self, said: FactSaid, number: str | None) -> None:
        known = self._parts.get(id(said))
        if known is None:
            parts = tuple(
                self._statement(
                    name, value, first=said.first, following=said.following, stated_at=said.stated_at
                )
                for name, value in said.values.items()
            )
            known = said, parts
            if number is not None:
                if len(self._parts) >= PATTERNS:
                    self._parts.clear()
                # The row is kept beside its statements, so that no other can be taken for it.
                self._parts[id(said)] = known
        if said.household is None:
            named = number or said.number or ""
            place = self._subjects.get(named)
            subject = place if place is not None else self._named(named)
        else:
            subject = self._housed(number or said.household, said.household_kind or "")
        for part, statement in enumerate(known[1]):
            self.rows.append((self._delivery_id, self.position, part, subject, statement, None))

    def _person(self, said: PersonSaid) -> None:
        hashed, identity = self._hash(said.number), said.identity
        content = {
            "number": said.number,
            "identity": {name: getattr(identity, name) for name in IDENTITY_FIELDS} if identity else None,
        }
        subject = self._subject(
            About.PERSON,
            hashed,
            identification=identification_hash(self._vault, said.identification)
            if said.identification
            else None,
            sealed=seal(self._secret, json.dumps(content).encode(), hashed),
            statement=self._statement(None, None, stated_at=said.stated_at),
        )
        # Most often the facts follow: one subject for who it is and what is known of them.
        self._remember(said.number, subject)
        self.rows.append((self._delivery_id, self.position, 0, subject, None, None))
        for part, (name, value) in enumerate(said.birth.items(), 1):
            statement = self._statement(
                name, value, first=SINCE_EVER, following=OPEN, stated_at=said.stated_at
            )
            self.rows.append((self._delivery_id, self.position, part, subject, statement, None))

    def _household(self, said: HouseholdSaid) -> None:
        days = self._statement(
            None, None, first=said.first, following=said.following, stated_at=said.stated_at
        )
        hashed = self._hash(said.household, f"household {said.kind}")
        listing = self._subject(About.HOUSEHOLD, hashed, kind=said.kind, statement=days)
        self.rows.append((self._delivery_id, self.position, 0, listing, None, None))
        for number in said.members:
            place = self._subjects.get(number)
            member = place if place is not None else self._named(number)
            self._new_members.append((self._delivery_id, listing, member))

    def _refused(self, said: Refused) -> None:
        """Notes whom the row was about, and what; nothing waits for them, and nobody is asked who they are.

        Who belongs to a household by a row that is refused stands in the parts behind the first.
        """
        about: list[int | None] = [] if said.number is None else [self._mention(said.number)]
        about += [self._housed(number, kind) for number, kind in said.households]
        if said.members:
            about = [*(about or [None]), *(self._mention(number) for number in said.members)]
        of: list[int | None] = [None]
        if said.unread is not None:
            first, at = said.unread.first, said.unread.stated_at
            of = [
                self._statement(kind, None, first=first, following=OPEN, stated_at=at)
                for kind in said.unread.kinds
            ]
        parts = [(subject, statement) for statement in of for subject in about or [None]]
        for part, (subject, statement) in enumerate(parts):
            self.rows.append((self._delivery_id, self.position, part, subject, statement, said.result.value))

    def _mention(self, number: str) -> int:
        """A subject for a number of which nothing is taken, so far."""
        place = self._subjects.get(number, self._mentioned.get(number))
        if place is None:
            if len(self._mentioned) >= NUMBERS:
                self._mentioned.clear()
            place = self._mentioned[number] = self._subject(About.PERSON, self._hash(number))
        return place

    def _named(self, number: str) -> int:
        """The subject of all facts about a number."""
        hashed = self._hash(number)
        sealed = seal(self._secret, json.dumps({"number": number}).encode(), hashed)
        return self._remember(number, self._subject(About.PERSON, hashed, sealed=sealed))

    def _remember(self, number: str, place: int) -> int:
        if len(self._subjects) >= NUMBERS:
            self._subjects.clear()
        return self._subjects.setdefault(number, place)

    def _housed(self, number: str, kind: str) -> int:
        place = self._households.get((number, kind))
        if place is None:
            if len(self._households) >= NUMBERS:
                self._households.clear()
            hashed = self._hash(number, f"household {kind}")
            place = self._households[number, kind] = self._subject(About.HOUSEHOLD, hashed, kind=kind)
        return place

    def _subject(
        self,
        about: About,
        hashed: bytes,
        *,
        kind: str | None = None,
        identification: bytes | None = None,
        sealed: bytes | None = None,
        statement: int | None = None,
    ) -> int:
        self._places += 1
        explained = (self.position, statement, new_id()) if statement is not None else (None, None, None)
        self._new_subjects.append(
            (
                self._delivery_id,
                self._places,
                about.value,
                hashed,
                kind,
                identification,
                sealed,
                *explained,
                False,
            )
        )
        return self._places

    def _statement(
        self,
        kind: str | None,
        value: Value | None,
        *,
        stated_at: datetime,
        first: date | None = None,
        following: date | None = None,
    ) -> int:
        said = (kind, *typed(value), kind is not None and value is None, first, following, stated_at)
        number = self._numbers.get(said)
        if number is None:
            if len(self._numbers) >= NUMBERS:
                self._numbers.clear()
            self._statements_made += 1
            number = self._numbers[said] = self._statements_made
            last = (last_day(following) or OPEN) if following else None
            self._new_statements.append(
                (self._delivery_id, number, *said[:5], first, last, following, stated_at)
            )
        return number


async def drop_rows(session: AsyncSession, delivery_id: UUID) -> None:
    """Drops all that a delivery says."""
    for table in STAGING:
        await session.execute(delete(table).where(col(table.delivery_id) == delivery_id))


async def drop_applied(session: AsyncSession, delivery_id: UUID) -> None:
    """Drops what a delivery says, except what waits for somebody to say whom it means."""
    one = DeliverySubject
    waits = and_(col(one.delivery_id) == delivery_id, col(one.result) == Result.NO_LINK.value)
    if (await session.execute(select(col(one.place)).where(waits).limit(1))).first() is None:
        await drop_rows(session, delivery_id)
        return
    row, member, statement = DeliveryRow, DeliveryMember, DeliveryStatement
    awaited = select(col(one.place)).where(waits)
    belonging = select(col(member.member)).where(
        col(member.delivery_id) == delivery_id, col(member.listing).in_(awaited)
    )
    kept = col(row.subject).in_(awaited)
    await session.execute(
        delete(row).where(col(row.delivery_id) == delivery_id, col(row.subject).is_(None) | ~kept)
    )
    await session.execute(
        delete(member).where(col(member.delivery_id) == delivery_id, col(member.listing).not_in(awaited))
    )
    # Of a household that waits, every member is needed.
    await session.execute(
        delete(one).where(
            col(one.delivery_id) == delivery_id,
            col(one.result) != Result.NO_LINK.value,
            col(one.place).not_in(belonging),
        )
    )
    used = exists().where(
        col(row.delivery_id) == delivery_id, col(row.statement) == col(statement.number)
    ) | exists().where(col(one.delivery_id) == delivery_id, col(one.statement) == col(statement.number))
    await session.execute(delete(statement).where(col(statement.delivery_id) == delivery_id, ~used))


async def drop_rows_about(session: AsyncSession, person_ids: list[UUID]) -> None:
    """Drops what deliveries say of these persons, their numbers included."""
    one, row = DeliverySubject, DeliveryRow
    mine = col(one.person_id).in_(person_ids)
    theirs = exists().where(
        mine, col(one.delivery_id) == col(row.delivery_id), col(one.place) == col(row.subject)
    )
    deliveries = (await session.execute(select(col(one.delivery_id)).where(mine).distinct())).scalars().all()
    await session.execute(delete(row).where(col(row.delivery_id).in_(deliveries), theirs))
    await session.execute(delete(one).where(mine))
