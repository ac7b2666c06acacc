"""What a flipped status costs until a freshly signed list says so: python -m bench.status [--sizes 200000 1000000]"""

import argparse
import random
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from math import log2
from statistics import median
from typing import TypeVar

from core import jose
from core.jose import Key, KeySet
from core.settings import Mode, Settings
from core.vault import KeyUse, MemoryVault
from issuers.status.models import ListKind
from issuers.status.rules import TYPE, Status, StatusList, read
from issuers.status.service import Held, _publish, uri_of

T = TypeVar("T")

NOW = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)
LARGEST = 2**25


@dataclass(frozen=True, slots=True)
class Row:
    """One size, one width, one share of revoked entries."""

    size: int
    bits: int
    share: float
    fresh: float
    """ms of CPU from the flip to the list signed as JWT and as CWT, both also gzipped."""
    octets: int
    entropy: float
    look: float
    """ns for one look-up."""
    opened: float
    """ms of CPU for a verifier to check the signature and to unpack."""
    zlib9: float
    zlib9_octets: int


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--sizes", type=int, nargs="+", default=[200_000, 1_000_000, 10_000_000])
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--no-npm", action="store_true")
    given = asked.parse_args()
    print("entries     bits  revoked  fresh ms  bytes      x entropy  look-up ns  read ms  zlib 9: ms  bytes")
    for size in given.sizes:
        for bits, share in ((1, 0.005), (2, 0.005), (2, 0.03)):
            row = measure(size, bits, share, given.rounds)
            print(
                f"{size:<11,} {bits:<5} {share:<8.1%} {row.fresh:<9.1f} {row.octets:<10,} "
                f"{row.octets / row.entropy:<10.2f} {row.look:<11.0f} {row.opened:<8.1f} "
                f"{row.zlib9:<11.1f} {row.zlib9_octets:,}",
                flush=True,
            )
    if not given.no_npm:
        npm(given.sizes)


def measure(size: int, bits: int, share: float, rounds: int) -> Row:
    drawn = random.Random(size)
    statuses = StatusList.blank(size, bits)
    for index in drawn.sample(range(size), int(size * share)):
        statuses.set(index, Status.INVALID)
    settings = Settings(mode=Mode.TEST, status_size=size, _env_file=None)
    vault = MemoryVault()
    key = vault.create(KeyUse.STATUS_LIST, NOW)
    signer = vault.signer(key.key_id)
    held = Held(1, ListKind.CARD, 1, NOW, statuses)
    seconds = iter(range(1, 10_000))

    def flip() -> bytes:
        statuses.set(drawn.randrange(size), Status.INVALID)
        issued = int((NOW + timedelta(seconds=next(seconds))).timestamp())
        return _publish(held, signer, (), settings=settings, issued=issued).jwt.token

    fresh, token = cpu(flip, rounds)
    anchors, uri = KeySet((Key(key.public_key, key.key_id),)), uri_of(1, settings)

    def opened() -> StatusList:
        claims = jose.verify(token.decode(), anchors, typ=TYPE, longest=LARGEST).claims
        return read(claims, uri, largest=LARGEST).statuses

    reading, again = cpu(opened, rounds)
    assert again == statuses
    packing, by_zlib = cpu(partial(zlib.compress, statuses.octets(), 9), 1 if size > 2_000_000 else rounds)
    # What it says: where the revoked are. The widths differ in how it is written, not in what is said.
    entropy = -size * (share * log2(share) + (1 - share) * log2(1 - share)) / 8
    return Row(
        size,
        bits,
        share,
        fresh * 1e3,
        len(statuses.packed()),
        entropy,
        look(statuses, drawn),
        reading * 1e3,
        packing * 1e3,
        len(by_zlib),
    )


def look(statuses: StatusList, drawn: random.Random) -> float:
    """ns of one look-up at a random place, the loop included."""
    places = [drawn.randrange(statuses.size) for _ in range(200_000)]
    get = statuses.get
    begun = time.process_time()
    for place in places:
        get(place)
    return (time.process_time() - begun) / len(places) * 1e9


def cpu(work: Callable[[], T], rounds: int) -> tuple[float, T]:
    """The median of the CPU seconds that the work takes, and what it gave last."""
    spent = []
    for _ in range(rounds):
        begun = time.process_time()
        made = work()
        spent.append(time.process_time() - begun)
    return median(spent), made


def npm(sizes: list[int]) -> None:
    """The same by @sd-jwt/jwt-status-list: compress without signing, and unpack with one look-up."""
    from tests.peers.node import ask

    print("\nnpm @sd-jwt/jwt-status-list   compress ms  bytes      unpack and look up ms")
    for size in sizes:
        told = ask("statuslist.mjs", {"size": size, "bits": 1, "share": 0.005})
        print(f"{size:<29,} {told['compress']:<12.0f} {told['octets']:<10,} {told['read']:.0f}", flush=True)


if __name__ == "__main__":
    main()
