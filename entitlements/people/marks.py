"""Keeps, beside each identity, the keyed hashes by which the alike find each other among all whom the city knows."""

import hashlib
import hmac
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.bulk import chunks, insert_rows, table_of
from core.vault import Vault
from entitlements.people.matching import Traits, marks, traits
from entitlements.people.models import Likemark, Person
from entitlements.people.rules import PersonIdentity

LIKEMARKS = "likemarks/1"
"""Pepper of the marks by which the alike are found."""
MOST = 12
"""How many of those who share a mark are looked at: whoever is meant shares several, and comes first."""


def like_mark(secret: bytes, mark: str) -> int:
    """What is kept of a mark."""
    return int.from_bytes(hmac.digest(secret, mark.encode(), hashlib.sha256)[:8], signed=True)


async def keep_marks(
    session: AsyncSession, vault: Vault, named: Mapping[UUID, PersonIdentity], *, renamed: Iterable[UUID]
) -> None:
    """Marks these persons by what they are called now."""
    secret = vault.secret(LIKEMARKS)
    for some in chunks(list(renamed)):
        await session.execute(delete(Likemark).where(col(Likemark.person_id).in_(some)))
    rows = {
        (like_mark(secret, mark), person_id)
        for person_id, identity in named.items()
        for mark in marks(traits(identity))
    }
    await insert_rows(session, table_of(Likemark), ("mark", "person_id"), sorted(rows))


async def anybody(session: AsyncSession) -> bool:
    """Whether there is anybody to be found at all."""
    found = await session.execute(select(col(Likemark.person_id)).limit(1))
    return found.first() is not None


async def sharing(
    session: AsyncSession, vault: Vault, asked: Mapping[bytes, Traits]
) -> dict[bytes, list[tuple[UUID, bool]]]:
    """For each of these, the persons who share a mark with them, those with most in common first.

    Beside each person, whether they share every mark: only then can everything agree.
    """
    secret = vault.secret(LIKEMARKS)
    wanted: dict[int, list[bytes]] = defaultdict(list)
    total: dict[bytes, int] = {}
    for key, of in asked.items():
        hashes = {like_mark(secret, mark) for mark in marks(of)}
        total[key] = len(hashes)
        for mark in hashes:
            wanted[mark].append(key)
    common: dict[bytes, Counter[UUID]] = defaultdict(Counter)
    for some in chunks(sorted(wanted)):
        rows = await session.execute(
            select(col(Likemark.mark), func.coalesce(col(Person.merged_into), col(Person.id)))
            .join(Person, col(Person.id) == col(Likemark.person_id))
            .where(col(Likemark.mark).in_(some))
            .distinct()
        )
        for mark, person_id in rows:
            for key in wanted[mark]:
                common[key][person_id] += 1
    return {
        key: [
            (person_id, shared[person_id] == total[key])
            for person_id in sorted(shared, key=lambda person_id: (-shared[person_id], person_id))[:MOST]
        ]
        for key, shared in common.items()
    }
