"""The same statement, carried over to another engine, says the same of an export of the wide rows."""

import json
from datetime import date
from typing import Any

import duckdb
import pytest
import sqlglot
from sqlalchemy import Boolean, Date, String, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import BigInteger, Uuid

from entitlements.facts.models import CURRENT
from entitlements.rulebook.compiled import CompiledBook, compile_book
from tests.entitlements.facts.making import a_register
from tests.entitlements.language.citizens import settle_in, wide_rows
from tests.entitlements.rulebook.test_compiled import dortmund, versions_on

TYPES: tuple[tuple[type[Any], str], ...] = (
    (Uuid, "UUID"),
    (Date, "DATE"),
    (Boolean, "BOOLEAN"),
    (BigInteger, "BIGINT"),
    (String, "VARCHAR"),
)


def type_of(column: Any) -> str:
    return next((name for kind, name in TYPES if isinstance(column.type, kind)), "VARCHAR")


def carried_over(compiled: CompiledBook, given: dict[str, Any]) -> str:
    """The statement as PostgreSQL has it, with its parameters written in, in the words of DuckDB."""
    written = compiled.select.params(given).compile(
        dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}
    )
    return sqlglot.transpile(str(written), read="postgres", write="duckdb")[0]


@pytest.mark.parametrize("on", [date(2026, 9, 16), date(2026, 4, 1)], ids=str)
async def test_duckdb_tells_everybody_the_same(session: AsyncSession, on: date) -> None:
    register = await a_register(session)
    await settle_in(await session.connection(), list(wide_rows(500, on, register.id, seed=9)))
    book = dortmund()
    compiled = compile_book(versions_on(book, on), on=on)
    given = compiled.bind(book.parameters_on(on), on)
    here = {row["key"]: dict(row) for row in (await session.execute(compiled.select, given)).mappings()}

    elsewhere = duckdb.connect()
    columns = list(CURRENT.columns)
    made = ", ".join(f'"{column.name}" {type_of(column)}' for column in columns)
    elsewhere.execute(f"CREATE TABLE current_facts ({made})")
    rows = (await session.execute(select(CURRENT))).all()
    exported = [[json.dumps(cell) if isinstance(cell, dict) else cell for cell in row] for row in rows]
    elsewhere.executemany(f"INSERT INTO current_facts VALUES ({', '.join('?' * len(columns))})", exported)
    told = elsewhere.execute(carried_over(compiled, given))
    names = [column[0] for column in told.description]
    there = {row[0]: dict(zip(names, row, strict=True)) for row in told.fetchall()}

    assert len(there) == 500
    assert there == here
    assert len({row["essence"] for row in there.values()}) > 30
