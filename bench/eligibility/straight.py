"""Puts the city straight into the wide rows, as a load would leave them, for whatever does not measure loading."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid4, uuid7

from bench.eligibility import city, loading
from core.access.rules import Caller
from core.bulk import insert_rows, table_of
from core.database import Database
from entitlements.decisions import everybody
from entitlements.decisions.models import Assessed
from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS, RULEBOOKS
from entitlements.facts.models import CURRENT, UNTIL
from entitlements.facts.service import Silence, silences
from entitlements.people.models import Person
from entitlements.registers.service import complete, register_of, vouching
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.reading import load_rulebook

COLUMNS = tuple(column.name for column in CURRENT.columns)
BATCH = 10_000
_BEGAN = date(2020, 1, 1)


async def found(database: Database, persons: int, seed: int = 1) -> None:
    """The rulebook, one register whose lists are complete, and everybody's wide row."""
    caller = await loading.register(database)
    async with database.writing() as session:
        await rulebook.load(session, load_rulebook(RULEBOOKS / "dortmund"), loading.NOW)
        register_id = await _complete(session, caller)
    async with database.writing() as session:
        said, _, cap = silences(await vouching(session), city.TODAY)
        rows = _rows(persons, seed, register_id, said, cap)
        while some := list(islice(rows, BATCH)):
            people = [(row[0], loading.NOW) for row in some]
            await insert_rows(session, table_of(Person), ("id", "created_at"), people)
            await insert_rows(session, CURRENT, COLUMNS, some, written=("sources",))
    if not database.is_sqlite:
        await tidy(database)


async def said_already(database: Database, on: date) -> None:
    """Keeps what the statement says of everybody, as a run does after it has judged them."""
    async with database.writing() as session:
        await everybody.prepare(session)
        compiled, given = await everybody.decided(session, on)
        said = compiled.select.subquery("said")
        rows = select(said.c.key, said.c.essence)
        await session.execute(insert(table_of(Assessed)).from_select(["person_id", "essence"], rows), given)
    if not database.is_sqlite:
        await tidy(database)


async def tidy(database: Database) -> None:
    """What PostgreSQL does by itself after a while: count what is where, so that it plans by that."""
    async with database.engine.connect() as connection:
        plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await plain.execute(text("VACUUM ANALYZE"))


async def _complete(session: AsyncSession, caller: Caller) -> UUID:
    office = await register_of(session, caller)
    await complete(session, office.id, uuid4(), as_of=loading.NOW, day=_BEGAN, now=loading.NOW)
    return office.id


def _rows(
    persons: int, seed: int, register_id: UUID, said: dict[str, Silence], cap: date
) -> Iterator[tuple[Any, ...]]:
    on = city.TODAY
    learned = f"|{register_id}|{loading.NOW.isoformat()}"
    silent = {name: said[name].value if name in said else None for name in CATALOGUE}
    for home in city.homes(persons, seed):
        shared = {kind: uuid7() if kind in home.kinds else None for kind in HOUSEHOLDS}
        for one in home.citizens:
            cells: dict[str, Any] = {
                "person_id": uuid7(),
                "on_day": on,
                "birth_date": one.born,
                "birth_date_latest": one.born,
                **shared,
            }
            turn, sources = cap, dict[str, list[str]]()
            sources["1900-01-01" + learned] = ["birth_date", "birth_date_latest"]
            for name, stated in (one.facts | home.facts).items():
                if stated.last is not None and stated.last < on:
                    continue
                cells[name], cells[name + UNTIL] = stated.value, stated.last
                sources.setdefault(stated.first.isoformat() + learned, []).append(name)
                if stated.last is not None:
                    turn = min(turn, stated.last + timedelta(1))
            kept = {since: " ".join(names) for since, names in sources.items()}
            cells |= {"refresh_on": turn, "sources": json.dumps(kept)}
            yield tuple(cells[name] if name in cells else silent.get(name) for name in COLUMNS)
