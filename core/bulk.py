"""Many at once: rows into a table by COPY (PostgreSQL) or one prepared statement (SQLite), ids as one parameter."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Self, TypeVar

from sqlalchemy import ARRAY, Boolean, Column, Dialect, String, Table, bindparam, column, func, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import SQLModel

T = TypeVar("T")

CHUNK = 5_000
"""Ids that are asked for at once: what comes back is held in memory."""


class _Many(TypeDecorator[Collection[Any]]):
    """Many values of one type as a single parameter: an array, or a JSON list where there are none."""

    impl = String
    cache_ok = True

    def __init__(self, kind: TypeEngine[Any]) -> None:
        super().__init__()
        self.kind = kind

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind = String() if dialect.name == "sqlite" else ARRAY(self.kind)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Collection[Any] | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if dialect.name != "sqlite":
            return list(value)
        process = self.kind.dialect_impl(dialect).bind_processor(dialect)
        return json.dumps([process(one) for one in value] if process else list(value))


class _Among(FunctionElement[bool]):
    inherit_cache = True
    type = Boolean()

    def self_group(self, against: OperatorType | None = None) -> Self:
        # It is a condition already: compared with 1, as SQLite's booleans are, it would find no index.
        return self


@compiles(_Among)
def _any(element: _Among, compiler: SQLCompiler, **how: Any) -> str:
    column, values = element.clauses
    return f"({compiler.process(column, **how)} = ANY ({compiler.process(values, **how)}))"


@compiles(_Among, "sqlite")
def _each(element: _Among, compiler: SQLCompiler, **how: Any) -> str:
    column, values = element.clauses
    within = f"SELECT value FROM json_each({compiler.process(values, **how)})"  # noqa: S608
    return f"({compiler.process(column, **how)} IN ({within}))"


def among(column: Any, values: Collection[Any] | str) -> ColumnElement[bool]:
    """Whether the column's value is one of these, however many: `IN`, but one parameter and one statement for all.

    A list of a thousand parameters is read, planned and kept by the database again for every length (measured:
    more than the work itself). A name in place of the values is a parameter that the caller gives later. For
    numbers, words and ids; bytes have no place in a JSON list.
    """
    kind = _Many(column.type)
    given: Any = (
        bindparam(values, type_=kind)
        if isinstance(values, str)
        else bindparam(None, list(values), type_=kind, unique=True)
    )
    return _Among(column, given)


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
    if not rows:
        return
    if session.get_bind().dialect.name == "sqlite":
        await session.execute(insert_for(session, model).on_conflict_do_nothing(), list(rows))
        return
    # A column at a time: one statement, whatever the number of rows.
    table = table_of(model)
    names = [one.name for one in table.columns if one.name in rows[0] or one.default is not None]
    given = {
        f"given_{name}": [row[name] if name in row else _default(table.c[name]) for row in rows]
        for name in names
    }
    unnested = (
        func.unnest(*(bindparam(f"given_{name}", type_=_Many(table.c[name].type)) for name in names))
        .table_valued(*(column(name, table.c[name].type) for name in names), name="given")
        .render_derived()
    )
    values = select(*(unnested.c[name] for name in names))
    statement = postgres_insert(table).from_select(names, values, include_defaults=False)
    await session.execute(statement.on_conflict_do_nothing(), given)


def _default(missing: Column[Any]) -> Any:
    made: Any = missing.default
    return made.arg(None) if made.is_callable else made.arg


async def insert_rows(
    session: AsyncSession,
    table: Table,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    written: Collection[str] = (),
) -> None:
    """Inserts the rows as they are; every column must be named that the table does not fill itself.

    `written` names the columns of JSON whose values are text already, as PostgreSQL's COPY wants all of them.
    """
    if not rows:
        return
    connection = await session.connection()
    if connection.dialect.name == "sqlite":
        processors = [table.c[name].type.dialect_impl(connection.dialect) for name in columns]
        bind = [
            None if name in written else kind.bind_processor(connection.dialect)
            for name, kind in zip(columns, processors, strict=True)
        ]
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


async def update_rows(
    session: AsyncSession,
    table: Table,
    key: Sequence[str],
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
) -> None:
    """Sets these columns of the rows that the key names; each row has the values of the key first."""
    if not rows:
        return
    names = [*key, *columns]
    if session.get_bind().dialect.name == "sqlite":
        chosen = [table.c[name] == bindparam(f"given_{name}", type_=table.c[name].type) for name in key]
        given = {name: bindparam(f"given_{name}", type_=table.c[name].type) for name in columns}
        statement: Any = table.update().where(*chosen).values(given)
        connection = await session.connection()
        await connection.execute(
            statement, [{f"given_{n}": v for n, v in zip(names, row, strict=True)} for row in rows]
        )
        return
    by_column = dict(zip(names, zip(*rows, strict=True), strict=True))
    unnested = (
        func.unnest(*(bindparam(f"given_{name}", type_=_Many(table.c[name].type)) for name in names))
        .table_valued(*(column(name, table.c[name].type) for name in names), name="given")
        .render_derived()
    )
    statement = (
        table.update()
        .where(*(table.c[name] == unnested.c[name] for name in key))
        .values({name: unnested.c[name] for name in columns})
    )
    connection = await session.connection()
    await connection.execute(statement, {f"given_{name}": list(values) for name, values in by_column.items()})
