"""A whole city's credentials, signed and stored in PostgreSQL by two processes, beside the bare signatures on one core."""

import asyncio
import multiprocessing
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.synchronize import Barrier

import asyncpg
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from app.serving import settle_in
from bench.credentials.making import CLAIMS, ISS, House
from core import p256
from core.database import new_id
from core.vault import SoftwareSigner
from issuers.credentials.card import Card, CardId, sign_card
from issuers.credentials.sdjwt import vc
from issuers.credentials.sdjwt.issue import Disclosable
from issuers.status.rules import Reference

BATCH = 5_000
PROCESSES = 2
HOLDERS = 500
"""Different keys of holders; making one is the phone's work, not ours."""


@dataclass(frozen=True)
class Took:
    """Seconds on the clock, and as many times the bare signatures on one core."""

    seconds: float
    times: float


def bare(count: int) -> float:
    """Seconds of this core for so many bare ES256 signatures over a message of a token's length."""
    key, scheme, message = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(SHA256()), b"x" * 650
    some = min(count, 20_000)
    begun = time.perf_counter()
    for _ in range(some):
        key.sign(message, scheme)
    return (time.perf_counter() - begun) * count / some


def _cards(count: int, first: int) -> Iterator[tuple[object, ...]]:
    signer = SoftwareSigner(ec.generate_private_key(ec.SECP256R1()))
    points = [p256.point(ec.generate_private_key(ec.SECP256R1()).public_key()) for _ in range(HOLDERS)]
    for at in range(first, first + count):
        card = Card(signer.kid, 1_800_000_000, 3, CardId(1 + at // 98_304, at), points[at % HOLDERS], None)
        yield new_id(), 1 + at // 98_304, at, sign_card(card, signer)


def _sd_jwts(count: int, first: int) -> Iterator[tuple[object, ...]]:
    house = House.found()
    holders = [ec.generate_private_key(ec.SECP256R1()).public_key() for _ in range(HOLDERS)]
    claims = {name: Disclosable(value) for name, value in CLAIMS.items()}
    ends = house.now + timedelta(days=10)
    for at in range(first, first + count):
        token = vc.issue(
            house.kind,
            claims,
            holder=holders[at % HOLDERS],
            status=Reference(f"{ISS}/status/{1 + at // 98_304}", at),
            now=house.now,
            ends=ends,
            sign=lambda data: p256.sign(house.issuer, data),
        )
        yield new_id(), 1 + at // 98_304, at, token.encode()


MAKERS = {"card tokens": _cards, "SD-JWT VCs, 8 hidden claims": _sd_jwts}


@dataclass(frozen=True)
class Share:
    """What one process issues, and into which table."""

    kind: str
    url: str
    table: str
    count: int
    first: int


def _work(share: Share, ready: Barrier) -> None:
    asyncio.run(_fill(share, ready))


async def _fill(share: Share, ready: Barrier) -> None:
    connection = await asyncpg.connect(share.url)
    rows = MAKERS[share.kind](share.count, share.first)
    settle_in()
    ready.wait()
    for begun in range(0, share.count, BATCH):
        some = [next(rows) for _ in range(min(BATCH, share.count - begun))]
        await connection.copy_records_to_table(
            share.table, records=some, columns=["id", "list", "index", "token"]
        )
    await connection.close()


async def _prepare(url: str, table: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        f"CREATE TABLE {table} (id uuid PRIMARY KEY, list int NOT NULL, index int NOT NULL, token bytea NOT NULL)"
    )
    # Signatures and digests cannot be pressed together, and to try costs as much as to sign; a page holds three.
    await connection.execute(
        f"ALTER TABLE {table} ALTER COLUMN token SET STORAGE EXTERNAL, SET (toast_tuple_target = 8160)"
    )
    await connection.close()


async def _count(url: str, table: str) -> int:
    connection = await asyncpg.connect(url)
    found = await connection.fetchval(f"SELECT count(*) FROM {table}")
    await connection.close()
    return int(found)


def measure(url: str, kind: str, count: int, bare_seconds: float) -> Took:
    """Signs and stores so many, each process its share; every row is there when the clock stops."""
    table = f"issued_{secrets.token_hex(4)}"
    asyncio.run(_prepare(url, table))
    each = count // PROCESSES
    context = multiprocessing.get_context("spawn")
    shares = [
        Share(kind, url, table, each if at + 1 < PROCESSES else count - each * at, each * at)
        for at in range(PROCESSES)
    ]
    ready = context.Barrier(PROCESSES + 1)
    workers = [context.Process(target=_work, args=(share, ready)) for share in shares]
    for worker in workers:
        worker.start()
    # Servers stand when a city is issued; an interpreter's start is no part of it.
    ready.wait(timeout=60)
    begun = time.perf_counter()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - begun
    stored = asyncio.run(_count(url, table))
    if stored != count or any(worker.exitcode for worker in workers):
        raise RuntimeError(f"{stored} of {count} were stored")
    return Took(seconds, seconds / bare_seconds)


def cores() -> int:
    return os.cpu_count() or 1
