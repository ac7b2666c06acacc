"""Writes down what rows were before a merge changed them, and gives them back when it is undone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Table, Uuid, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel, col

from core.bulk import table_of
from core.database import Moment
from entitlements.people.models import Merge, MergedRow


@dataclass(slots=True)
class Joining:
    """One merge at work: what changes, and the record of what it was."""

    session: AsyncSession
    act: Merge
    now: datetime
    record: list[MergedRow] = field(default_factory=list)

    async def rows(self, model: type[SQLModel], person_id: UUID) -> Sequence[Any]:
        """A person's rows of a table, held to the end of the transaction, the oldest first."""
        columns: Any = model
        found = await self.session.execute(
            select(model)
            .where(columns.person_id == person_id)
            .order_by(columns.id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        return found.scalars().all()

    async def change(self, row: Any, **values: Any) -> None:
        """Changes a row, and writes down what it was."""
        was = {name: plain(getattr(row, name)) for name in values}
        self.note(row.person_id, table_of(type(row)).name, row.id, was)
        for name, value in values.items():
            setattr(row, name, value)
        # At once: what follows may need the place in an index that this one leaves.
        await self.session.flush()

    def note(self, person_id: UUID, table: str, row_id: UUID | None, was: dict[str, Any]) -> None:
        """Writes something down that is no changed row: a row that goes, or money that was moved."""
        self.record.append(
            MergedRow(merge_id=self.act.id, person_id=person_id, table=table, row_id=row_id, was=was)
        )

    async def write(self) -> None:
        """Keeps the record."""
        self.session.add_all(self.record)
        await self.session.flush()


async def recorded(session: AsyncSession, merge_id: UUID) -> list[MergedRow]:
    """What a merge changed, the last first."""
    rows = await session.execute(
        select(MergedRow).where(col(MergedRow.merge_id) == merge_id).order_by(col(MergedRow.id).desc())
    )
    return list(rows.scalars())


async def give_back(session: AsyncSession, row: Any, was: dict[str, Any]) -> None:
    """Makes a row what it was."""
    for name, value in was.items():
        setattr(row, name, value)
    await session.flush()


def plain(value: Any) -> Any:
    """A value of a column as JSON keeps it."""
    match value:
        case StrEnum():
            return value.value
        case UUID():
            return str(value)
        case date():
            return value.isoformat()
        case _:
            return value


def typed(table: Table, was: dict[str, Any]) -> dict[str, Any]:
    """The values of a record as the table's columns want them; columns that there are no more are left out."""
    return {name: _typed(table.c[name].type, value) for name, value in was.items() if name in table.c}


def _typed(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(kind, Uuid):
        return UUID(value)
    if isinstance(kind, Moment):
        return datetime.fromisoformat(value)
    if getattr(kind, "kind", None) is not None:
        return kind.kind(value)
    return date.fromisoformat(value) if kind.python_type is date else value
