"""Loads the city: through the deliveries service as a register would, and beside it as bare as a database can."""

import asyncio
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Column, MetaData, Table, func, insert, select
from sqlmodel import SQLModel
from uuid_utils.compat import uuid7

import app.tables  # noqa: F401
from app.serving import settle_in
from bench.eligibility import assessing, city
from core import jose
from core.access.rules import Caller, Method, PrincipalKind, Role
from core.access.service import enrol
from core.bulk import insert_rows, table_of
from core.database import Database, new_id
from core.settings import Mode as RunMode
from core.settings import Settings
from core.vault import MemoryVault, Vault
from entitlements.decisions import everybody
from entitlements.deliveries.applying import advance
from entitlements.deliveries.models import Delivery, Mode
from entitlements.deliveries.receiving import Announced, Media, receive
from entitlements.facts.catalogue import RULEBOOKS
from entitlements.facts.models import CURRENT, Fact
from entitlements.people.models import Person
from entitlements.registers.rules import Remit
from entitlements.registers.service import make_register, register_of
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.reading import load_rulebook

NOW = datetime(2026, 9, 16, 10, tzinfo=UTC)
BATCH = 50_000


@dataclass(frozen=True)
class Loaded:
    """How a load went."""

    persons: int
    facts: int
    rows: int
    receiving: float
    """Seconds until every row was read, taken apart and staged."""
    applying: float
    """Seconds for checking, history and wide rows."""
    deciding: float
    """Seconds until everybody was judged, with entitlements, notices and what is owed to others written."""
    megabytes: float
    """The largest memory of the process that did it."""

    @property
    def seconds(self) -> float:
        return self.receiving + self.applying


def settings_for(url: str, folder: Path) -> Settings:
    return Settings(
        mode=RunMode.TEST,
        database_url=url,
        vault_file=folder / "vault.json",
        _env_file=None,  # type: ignore[call-arg]
    )


async def prepare(url: str) -> None:
    """Every table, and no row."""
    database = Database(url)
    async with database.engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    await database.dispose()


async def register(database: Database) -> Caller:
    """A register that may state what it states: a city's own exchange for all departments."""
    async with database.writing() as session:
        machine = await enrol(
            session,
            PrincipalKind.REGISTER,
            "exchange",
            NOW,
            roles=[Role.INTEGRATION_CLIENT],
            public_jwk=jose.jwk(ec.generate_private_key(ec.SECP256R1()).public_key()),
        )
        remit = Remit(frozenset(city.FACTS), frozenset(city.HOUSEHOLDS), identities=True)
        await make_register(
            session,
            None,
            principal_id=machine.id,
            kind="melderegister",
            name="exchange",
            remit=remit,
            now=NOW,
        )
        return Caller(machine.id, PrincipalKind.REGISTER, frozenset({Role.INTEGRATION_CLIENT}), Method.TOKEN)


async def load(
    url: str, folder: Path, persons: int, *, seed: int = 1, vault: Vault | None = None, mode: Mode = Mode.FULL
) -> Loaded:
    """The whole city through the deliveries service: streamed in, checked, settled, derived, assessed."""
    database, settings, vault = Database(url), settings_for(url, folder), vault or MemoryVault()
    file = folder / "city.ndjson"
    rows, facts = city.write(file, persons, seed)
    caller = await register(database)
    async with database.writing() as session:
        office = await register_of(session, caller)
        await rulebook.load(session, load_rulebook(RULEBOOKS / "dortmund"), NOW)
    settle_in()
    begun = time.perf_counter()
    announced = Announced("city", mode, NOW, rows, Media.NDJSON)
    received = await receive(
        database,
        vault,
        settings,
        caller,
        office,
        announced=announced,
        body=city.body(file),
        now=NOW,
    )
    staged = time.perf_counter()
    while await database.in_transaction(
        lambda session: advance(session, received.delivery_id, NOW, settings=settings, vault=vault)
    ):
        pass
    applied = time.perf_counter()
    async with database.writing() as session:
        run = await everybody.open_run(session)
    if run is not None:  # a small delivery has judged everybody on its way
        await assessing.through(database, settings, run.id, NOW)
    done = time.perf_counter()
    await _prove(database, received.delivery_id, persons, facts, rows)
    await database.dispose()
    return Loaded(persons, facts, rows, staged - begun, applied - staged, done - applied, peak())


async def _prove(database: Database, delivery_id: UUID, persons: int, facts: int, rows: int) -> None:
    async with database.reading() as session:
        delivery = await session.get_one(Delivery, delivery_id)
        counted = [
            (await session.execute(select(func.count()).select_from(table))).scalar_one()
            for table in (Person, Fact, CURRENT)
        ]
    found = (delivery.state.value, dict(delivery.tally), *counted)
    if found != ("applied", {"accepted": rows}, persons, facts, persons):
        raise RuntimeError(f"the load is not what was delivered: {found}, {persons=} {facts=} {rows=}")


COLUMNS = tuple(column.name for column in table_of(Fact).columns)


def fact_rows(persons: int, seed: int = 1) -> Iterator[tuple]:
    """The same facts as finished rows of the history, for whoever only has to write them down."""
    office, delivery, far = uuid7(), uuid7(), date.max

    def row(person, household, name, value, first, last):  # noqa: PLR0917
        following = far if last is None else date.fromordinal(last.toordinal() + 1)
        is_text, is_day = isinstance(value, str), isinstance(value, date)
        cells = {
            "id": new_id(),
            "person_id": person,
            "household_id": household,
            "kind": name,
            "value_int": None if is_text or is_day else int(value),
            "value_text": value if is_text else None,
            "value_day": value if is_day else None,
            "withdrawn": False,
            "unread": False,
            "valid_from": first,
            "valid_until": last or far,
            "valid_next": following,
            "stated_from": first,
            "stated_next": following,
            "stated_at": NOW,
            "confirmed_at": NOW,
            "known_from": NOW,
            "known_until": None,
            "register_id": office,
            "delivery_id": delivery,
        }
        return tuple(cells[column] for column in COLUMNS)

    for home in city.homes(persons, seed):
        for one in home.citizens:
            who = uuid7()
            for name in ("birth_date", "birth_date_latest"):
                yield row(who, None, name, one.born, date(1900, 1, 1), None)
            for name, stated in one.facts.items():
                yield row(who, None, name, stated.value, stated.first, stated.last)
        house = uuid7()
        for name, stated in home.facts.items():
            yield row(None, house, name, stated.value, stated.first, stated.last)


def _plain() -> Table:
    """The history's columns as a plain table: no key, no index, nothing to check."""
    columns = [Column(column.name, column.type) for column in table_of(Fact).columns]
    return Table("plain_facts", MetaData(), *columns)


async def bare(url: str, persons: int, seed: int = 1) -> float:
    """Facts per second of a bare COPY (SQLite: executemany) into a plain table, the making of rows not counted."""
    plain, database = _plain(), Database(url)
    async with database.engine.begin() as connection:
        await connection.run_sync(plain.create)
    rows, seconds, count = fact_rows(persons, seed), 0.0, 0
    async with database.writing() as session:
        while some := list(islice(rows, BATCH)):
            begun = time.perf_counter()
            await insert_rows(session, plain, COLUMNS, some)
            seconds += time.perf_counter() - begun
            count += len(some)
        begun = time.perf_counter()
        await session.commit()
        seconds += time.perf_counter() - begun
    async with database.engine.begin() as connection:
        await connection.run_sync(plain.drop)
    await database.dispose()
    return count / seconds


async def insertmanyvalues(url: str, persons: int, seed: int = 1) -> float:
    """Facts per second of SQLAlchemy's own way for many rows, into the history as it is, indexes and all."""
    database = Database(url)
    rows, seconds, count = fact_rows(persons, seed), 0.0, 0
    async with database.writing() as session:
        while some := [dict(zip(COLUMNS, row, strict=True)) for row in islice(rows, 10_000)]:
            begun = time.perf_counter()
            await session.execute(insert(Fact).returning(Fact.id), some)
            seconds += time.perf_counter() - begun
            count += len(some)
        await session.rollback()
    await database.dispose()
    return count / seconds


def peak() -> float:
    """The largest memory of this process so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(url: str, folder: Path, persons: int) -> Loaded:
    """An empty database becomes the city."""
    asyncio.run(prepare(url))
    return asyncio.run(load(url, folder, persons))
