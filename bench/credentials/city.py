"""A whole city's credentials, signed and stored in PostgreSQL by two processes, beside the bare signatures on one core."""

import asyncio
import multiprocessing
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import asyncpg
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from bench.credentials.making import CLAIMS, ISS, House
from core import p256
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
        yield uuid4(), 1 + at // 98_304, at, sign_card(card, signer)


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
        yield uuid4(), 1 + at // 98_304, at, token.encode()


MAKERS = {"card tokens": _cards, "SD-JWT VCs, 8 hidden claims": _sd_jwts}


def _work(kind: str, url: str, table: str, count: int, first: int) -> None:
    asyncio.run(_fill(kind, url, table, count, first))


async def _fill(kind: str, url: str, table: str, count: int, first: int) -> None:
    connection = await asyncpg.connect(url)
    rows = MAKERS[kind](count, first)
    for begun in range(0, count, BATCH):
        some = [next(rows) for _ in range(min(BATCH, count - begun))]
        await connection.copy_records_to_table(table, records=some, columns=["id", "list", "index", "token"])
    await connection.close()


async def _prepare(url: str, table: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        f"CREATE TABLE {table} (id uuid PRIMARY KEY, list int NOT NULL, index int NOT NULL, token bytea NOT NULL)"
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
    share = count // PROCESSES
    context = multiprocessing.get_context("spawn")
    shares = [(share if at + 1 < PROCESSES else count - share * at, share * at) for at in range(PROCESSES)]
    workers = [context.Process(target=_work, args=(kind, url, table, *each)) for each in shares]
    begun = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - begun
    stored = asyncio.run(_count(url, table))
    if stored != count or any(worker.exitcode for worker in workers):
        raise RuntimeError(f"{stored} of {count} were stored")
    return Took(seconds, seconds / bare_seconds)


def cores() -> int:
    return os.cpu_count() or 1
