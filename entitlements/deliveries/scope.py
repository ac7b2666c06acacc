"""Which subjects and rows of a delivery are meant, by whom and when: what every step of applying them must know."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col

from core.bulk import among, chunks
from entitlements.deliveries.models import DeliveryStatement, DeliverySubject

Lists = Sequence[tuple[datetime, date]]


@dataclass(frozen=True, slots=True)
class Scope:
    """The subjects of one part, and what of them is read and marked in several places."""

    session: AsyncSession
    register_id: UUID
    delivery_id: UUID
    which: ColumnElement[bool]
    """The subjects, as a condition on `DeliverySubject`."""
    lists: Lists
    """The register's complete lists: their moments and first days."""
    now: datetime

    @property
    def newest(self) -> datetime | None:
        """When the newest of the complete lists was drawn up."""
        return max((as_of for as_of, _ in self.lists), default=None)

    async def mark(self, *where: ColumnElement[bool], **values: Any) -> None:
        """Writes something on the subjects of whom these conditions hold."""
        await self.session.execute(
            update(DeliverySubject)
            .where(self.which, *where)
            .values(values)
            .execution_options(synchronize_session=False)
        )

    async def statements(self, numbers: Iterable[int | None]) -> dict[int, Any]:
        """What a delivery states once for many rows, by its number."""
        found: dict[int, Any] = {}
        for some in chunks(sorted({number for number in numbers if number is not None})):
            rows = await self.session.execute(
                select(DeliveryStatement).where(
                    col(DeliveryStatement.delivery_id) == self.delivery_id,
                    among(col(DeliveryStatement.number), some),
                )
            )
            found.update((row.number, row) for row in rows.scalars())
        return found


def waiting(delivery_id: UUID) -> ColumnElement[bool]:
    """Of whom a delivery speaks, as far as it is not decided what becomes of it."""
    return and_(col(DeliverySubject.delivery_id) == delivery_id, col(DeliverySubject.result).is_(None))


def said_rows(delivery_id: UUID, row: Any, who: Any, said: Any) -> ColumnElement[bool]:
    """What a delivery says and nobody has decided yet: how row, subject and statement hang together."""
    return and_(
        col(row.delivery_id) == delivery_id,
        col(row.result).is_(None),
        col(who.delivery_id) == delivery_id,
        col(who.place) == col(row.subject),
        col(who.result).is_(None),
        col(said.delivery_id) == delivery_id,
        col(said.number) == col(row.statement),
    )
