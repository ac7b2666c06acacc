"""However large a list is and in however many parts it is applied, the city knows the same in the end."""

import random
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlmodel import col

from app.handlers import handlers
from core.access.rules import Caller, Method, PrincipalKind, Role
from core.clock import FixedClock, day_of
from core.database import Database
from core.jobs.service import Worker
from core.settings import Mode as Kind
from core.settings import Settings
from core.vault import MemoryVault
from entitlements.deliveries import applying, checking, receiving, rules, service
from entitlements.deliveries.models import Delivery, Mode, State
from entitlements.deliveries.receiving import Announced, Media
from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS
from entitlements.facts.deriving import sources_of
from entitlements.facts.models import CURRENT, Fact
from entitlements.facts.nearby import forget, presumably
from entitlements.facts.service import subjects, subjects_on
from entitlements.language import Subject
from entitlements.people.models import Household, Membership
from entitlements.registers.models import Link, Register
from entitlements.registers.service import NumberHash, make_register
from tests.databases import lent
from tests.entitlements.deliveries.making import JOBCENTER, MELDE, Row, fact, household, lines, person
from tests.makers import make_machine

WAYS: dict[str, list[tuple[Any, str, int]]] = {
    "small": [],
    "large": [(module, "SMALL", 1) for module in (applying, checking, receiving, service)],
    "in parts": [(rules, "CHUNK", 2)],
}
PEOPLE, HOMES, STEPS = 5, 3, 4
OFFICES = {"melderegister": MELDE, "jobcenter": JOBCENTER}
WRONG_FACT = ({"value": "perhaps"}, {"until": "2020-01-01"}, {"stated_at": "soon"}, {"fact": "sgb_2"})
WRONG_HOME = ({"until": "2020-01-01"}, {"kind": "home"}, {"from": "soon"})
BEGINS = (
    datetime(2026, 9, 16, 10, 0, tzinfo=UTC),
    datetime(2028, 2, 28, 22, 30, tzinfo=UTC),  # the night before 29 February
    datetime(2026, 10, 24, 21, 50, tzinfo=UTC),  # and those in which the clock is changed
    datetime(2027, 3, 27, 22, 58, tzinfo=UTC),
)


# ---- what the departments say ----


def days(chance: random.Random, today: date) -> Row:
    first = today + timedelta(days=chance.choice((-40, -2, 0, 1, 3)))
    last = first + timedelta(days=chance.choice((1, 4, 10, 60)))
    said = {"from": first.isoformat(), "until": last.isoformat()}
    return {name: said[name] for name in said if chance.random() < 0.5}


def a_delivery(chance: random.Random, office: str, today: date) -> list[Row]:
    """Some people, what is known of them and with whom they live, much of it wrong or about nobody."""
    told: list[Row] = []
    name, kind = ("main_residence", "registered_household")
    if office == "jobcenter":
        name, kind = ("sgb2", "bedarfsgemeinschaft")
    for number in chance.sample(range(PEOPLE), PEOPLE - 1):
        said: Row = {"row": "person", "number": f"P-{number}"}
        if office == "melderegister":
            said = person(f"P-{number}", f"Given{number}", f"Family{number}")
        if chance.random() < 0.7:
            told.append(said | {"identification_number": f"8609574271{number}"})
        for _ in range(chance.choice((0, 1, 1, 2))):
            row = fact(f"P-{number}", name, value=chance.random() < 0.7) | days(chance, today)
            told.append(row | chance.choice(WRONG_FACT) if chance.random() < 0.35 else row)
    for home in chance.sample(range(HOMES), 2):
        members = [f"P-{number}" for number in range(PEOPLE + 1) if chance.random() < 0.4]
        row = household(f"H-{home}", *members, kind=kind) | days(chance, today)
        told.append(row | chance.choice(WRONG_HOME) if chance.random() < 0.3 else row)
        if chance.random() < 0.2:
            told.append(household(f"H-{home}", *members[1:], kind=kind))
    chance.shuffle(told)
    return told


# ---- a city that is told ----


class Town:
    """Two departments that hand over deliveries."""

    def __init__(self, database: Database, url: str, begins: datetime) -> None:
        self.database, self.clock, self.vault = database, FixedClock(begins), MemoryVault()
        # Nothing is held: a person would let it go on in any case.
        self.settings = Settings(mode=Kind.TEST, database_url=url, hold_share=99.0, _env_file=None)
        self.offices: dict[str, Register] = {}

    async def found(self) -> None:
        for kind, remit in OFFICES.items():
            machine = await make_machine(self.database, self.clock.now())
            async with self.database.writing() as session:
                self.offices[kind] = await make_register(
                    session,
                    None,
                    principal_id=machine.principal_id,
                    kind=kind,
                    name=kind,
                    remit=remit,
                    now=self.clock.now(),
                )

    @property
    def today(self) -> date:
        return day_of(self.clock.now(), self.settings.zone)

    async def work(self) -> None:
        worker = Worker(self.database, handlers(self.settings, self.vault), self.clock)
        while await worker.run_due():
            pass

    async def deliver(self, name: str, office: str, rows: Sequence[Row], mode: Mode, as_of: datetime) -> Any:
        """What became of each row, once all of it is applied."""
        caller = Caller(
            self.offices[office].principal_id,
            PrincipalKind.REGISTER,
            frozenset({Role.INTEGRATION_CLIENT}),
            Method.TOKEN,
        )

        async def body() -> AsyncIterator[bytes]:
            yield lines(rows)

        received = await service.deliver(
            self.database,
            self.vault,
            self.settings,
            caller,
            announced=Announced(name, mode, as_of, len(rows), Media.NDJSON),
            body=body(),
            now=self.clock.now(),
        )
        await self.work()
        async with self.database.reading() as session:
            delivery = await session.get_one(Delivery, received.delivery_id)
            assert delivery.state is State.APPLIED
            found = await service.rows(session, delivery.id, result=None, after=0, limit=1_000)
            return [row.result for row in found], delivery.tally

    async def names(self) -> dict[UUID, str]:
        """How persons, homes, departments and deliveries are called in every town alike."""
        found: dict[UUID, str] = {one.id: kind for kind, one in self.offices.items()}
        hashes: dict[tuple[UUID, bytes], str] = {}
        for kind, office in self.offices.items():
            hashed = NumberHash(self.vault, office.id)
            hashes |= {(office.id, hashed(f"P-{n}")): f"{kind} P-{n}" for n in range(PEOPLE + 1)}
            hashes |= {
                (office.id, hashed(f"H-{n}", f"household {home}")): f"{home} {n}"
                for n in range(HOMES)
                for home in HOUSEHOLDS
            }
        async with self.database.reading() as session:
            for link in (await session.execute(select(Link).order_by(col(Link.made_at)))).scalars():
                called = hashes[link.register_id, link.number_hash]
                found[link.person_id] = " ".join(
                    sorted({*found.get(link.person_id, called).split("; "), called})
                )
            for home in (await session.execute(select(Household))).scalars():
                found[home.id] = hashes[home.register_id, home.number_hash]
            for delivery in (await session.execute(select(Delivery))).scalars():
                found[delivery.id] = str(delivery.name)
        return found

    async def everything(self, moments: Iterable[datetime]) -> dict[str, object]:
        """What is written, and what it says of which day, today and as it was known at these moments."""
        names = await self.names()

        def row(one: Any, *left_out: str) -> str:
            said = {name: value for name, value in one.items() if name not in {"id", *left_out}}
            return repr({name: names.get(value, value) for name, value in said.items()})

        told: dict[str, object] = {}
        async with self.database.reading() as session:
            for table in (Fact.__table__, Membership.__table__):  # type: ignore[attr-defined]
                rows = (await session.execute(select(table))).mappings()
                # What was written and closed in one moment was never known.
                told[table.name] = sorted(row(one) for one in rows if one["known_from"] != one["known_until"])
            rows = (await session.execute(select(CURRENT))).mappings()
            told["current"] = sorted(
                row(one, "sources")
                + repr(
                    {
                        name: (since, names[register], learned)
                        for name, (since, register, learned) in sorted(sources_of(one["sources"]).items())
                    }
                )
                for one in rows
            )
        for moment in (None, *moments):
            for ahead in (-1, 0, 20):
                on = self.today + timedelta(days=ahead)
                told[f"{on} as known {moment}"] = await self.said(on, moment)
        return told

    async def said(self, on: date, moment: datetime | None) -> list[str]:
        names = await self.names()
        persons = [
            one for one in names if names[one].split(" ")[0] in OFFICES and one not in self.register_ids
        ]
        async with self.database.reading() as session:
            found = await subjects_on(session, persons, on, moment)
        return sorted(plainly(one, names) for one in found.values())

    @property
    def register_ids(self) -> set[UUID]:
        return {one.id for one in self.offices.values()}

    async def agree(self) -> None:
        """Today the wide rows say what the history says, also of one person alone."""
        async with self.database.reading() as session:
            persons = list((await session.execute(select(CURRENT.c.person_id))).scalars())
            history = await subjects_on(session, persons, self.today)
            assert await subjects(session, persons, self.today) == history
            forget(session)
            for one in persons:
                found = await presumably(session, one, self.today, [*CATALOGUE, *HOUSEHOLDS])
                assert found == history[one]

    async def turn(self) -> None:
        async with self.database.writing() as session:
            await service.turn(session, {}, self.clock.now(), settings=self.settings)


def plainly(subject: Subject, names: dict[UUID, str]) -> str:
    homes = {
        kind: [names[UUID(one.key)] for one in together] for kind, together in subject.households.items()
    }
    return repr((names[UUID(subject.key)], sorted(subject.facts.items()), sorted(homes.items())))


async def told(seed: int, database: Database, url: str, way: str) -> dict[str, object]:
    """A city that hears the same as every other of this seed, in its own way."""
    chance = random.Random(seed)
    town = Town(database, url, BEGINS[seed % len(BEGINS)])
    await town.found()
    moments: list[datetime] = []
    results: list[Any] = []
    with ExitStack() as stack:
        for module, name, number in WAYS[way]:
            stack.enter_context(patch.object(module, name, number))
        for at in range(STEPS):
            town.clock.forward(timedelta(hours=chance.choice((0, 1, 5, 24, 72)), minutes=7))
            await town.turn()
            office = chance.choice(["melderegister", "melderegister", "jobcenter"])
            mode = chance.choice([Mode.FULL, Mode.FULL, Mode.CHANGES])
            as_of = town.clock.now() - timedelta(hours=chance.choice((0, 0, 1, 26)))
            rows = a_delivery(chance, office, day_of(as_of, town.settings.zone))
            results.append(await town.deliver(str(at), office, rows, mode, as_of))
            moments.append(town.clock.now())
            await town.agree()
    everything = await town.everything(moments) | {"results": results}
    for hours in (24, 24, 72):
        town.clock.forward(timedelta(hours=hours))
        await town.turn()
        await town.agree()
    return everything


@pytest.fixture(params=["sqlite", "postgres"])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """An empty database for each way."""
    with ExitStack() as stack:
        folders = {way: tmp_path / way for way in WAYS}
        for folder in folders.values():
            folder.mkdir()
        yield {way: stack.enter_context(lent(request, folder)) for way, folder in folders.items()}


@pytest.mark.parametrize("seed", [3, 12])
async def test_in_whichever_way_a_list_is_applied_the_same_is_known(urls: dict[str, str], seed: int) -> None:
    found = {}
    for way, url in urls.items():
        database = Database(url)
        found[way] = await told(seed, database, url, way)
        await database.dispose()
    small = found.pop("small")
    for way, other in found.items():
        for what, said in small.items():
            assert other[what] == said, (way, what)
