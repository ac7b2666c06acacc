"""Puts many rows into a table in one go: COPY on PostgreSQL, one prepared statement on SQLite."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Table, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import Insert
from sqlmodel import SQLModel

T = TypeVar("T")

CHUNK = 1_000
"""Ids in one IN list: well below what either database takes."""


def table_of(model: type[SQLModel]) -> Table:
    """The table behind a model."""
    table: Table = model.__table__  # type: ignore[attr-defined]
    return table


def insert_for(session: AsyncSession, model: type[SQLModel]) -> Any:
    """The dialect's own insert, which knows ON CONFLICT."""
    make: Callable[[Any], Insert] = (
        sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    )
    return make(table_of(model))


def chunks(items: Sequence[T], size: int = CHUNK) -> Iterable[Sequence[T]]:
    """The items in pieces of at most this size."""
    return (items[at : at + size] for at in range(0, len(items), size))


async def insert_new(session: AsyncSession, model: type[SQLModel], rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts the rows that break no constraint, and passes over those that are there already."""
    if rows:
        await session.execute(insert_for(session, model).on_conflict_do_nothing(), list(rows))


async def insert_rows(
    session: AsyncSession, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Inserts the rows as they are; every column must be named that the table does not fill itself."""
    if not rows:
        return
    connection = await session.connection()
    if connection.dialect.name == "sqlite":
        processors = [table.c[name].type.dialect_impl(connection.dialect) for name in columns]
        bind = [kind.bind_processor(connection.dialect) for kind in processors]
        marks = ", ".join("?" * len(columns))
        names = ", ".join(f'"{name}"' for name in columns)
        bound = [
            tuple(
                process(value) if process is not None and value is not None else value
                for process, value in zip(bind, row, strict=True)
            )
            for row in rows
        ]
        await connection.exec_driver_sql(f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})', bound)  # noqa: S608
        return
    # The driver begins the transaction with the first statement that passes through SQLAlchemy; COPY does not.
    await connection.execute(select(1))
    raw = await connection.get_raw_connection()
    driver: Any = raw.driver_connection
    await driver.copy_records_to_table(table.name, records=rows, columns=list(columns))
