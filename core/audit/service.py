"""Write an entry, seal the chain, verify it."""

import hmac
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core import jose
from core.access.rules import Caller
from core.audit.models import Checkpoint, Entry
from core.audit.rules import GENESIS, canonical, link
from core.bulk import insert_rows, table_of
from core.database import new_id
from core.errors import NotFound
from core.vault import KeyUse, Vault, apart

CHUNK = 1000
TYP = "citycard-checkpoint+jwt"


def note(
    session: AsyncSession,
    caller: Caller | None,
    action: str,
    subject: str | tuple[str, UUID] = "",
    *,
    now: datetime,
    **details: str | int | bool | None,
) -> None:
    """Writes down what is being done, in the caller's transaction: it stands if and only if the act does.

    `details` are codes, ids and counts; a personal value has no place in the trail.
    """
    session.add(
        Entry(
            at=now,
            principal_id=caller.principal_id if caller else None,
            acting_for=caller.acting_for if caller else None,
            channel=caller.channel.value if caller else "",
            action=action,
            subject=subject if isinstance(subject, str) else f"{subject[0]}:{subject[1]}",
            details=details,
        )
    )


@dataclass(frozen=True, slots=True)
class Noted:
    """One of many things that the system itself did."""

    action: str
    subject: tuple[str, UUID]
    details: Mapping[str, str | int | bool | None]


async def note_all(session: AsyncSession, noted: Sequence[Noted], *, now: datetime) -> None:
    """Writes down many things that were done by nobody but the system, in the caller's transaction."""
    columns = ("id", "at", "channel", "action", "subject", "details")
    rows = [
        (new_id(), now, "", one.action, f"{one.subject[0]}:{one.subject[1]}", json.dumps(dict(one.details)))
        for one in noted
    ]
    await insert_rows(session, table_of(Entry), columns, rows, written={"details"})


def _octets(entry: Entry) -> bytes:
    return canonical(
        id=entry.id,
        at=entry.at,
        principal_id=entry.principal_id,
        acting_for=entry.acting_for,
        channel=entry.channel,
        action=entry.action,
        subject=entry.subject,
        details=entry.details,
    )


async def seal(session: AsyncSession, _payload: dict[str, Any], now: datetime, *, vault: Vault) -> None:
    """The sealing job: gives every loose entry its place in the chain and signs how far the chain reached."""
    last = (
        await session.execute(select(Entry).order_by(col(Entry.position).desc().nulls_last()).limit(1))
    ).scalar_one_or_none()
    position, previous = (
        (last.position, last.chain_hash)
        if last is not None and last.position is not None and last.chain_hash is not None
        else (0, GENESIS)
    )
    start = position
    while True:
        loose = (
            (
                await session.execute(
                    select(Entry)
                    .where(col(Entry.position).is_(None))
                    .order_by(col(Entry.at), col(Entry.id))
                    .limit(CHUNK)
                )
            )
            .scalars()
            .all()
        )
        for entry in loose:
            position += 1
            previous = link(previous, position, _octets(entry))
            entry.position, entry.chain_hash = position, previous
            session.add(entry)
        await session.flush()
        if len(loose) < CHUNK:
            break
    if position == start:
        return
    signer = vault.signer(vault.ensure(KeyUse.CHECKPOINT, now).key_id, KeyUse.CHECKPOINT)
    reached = {"position": position, "hash": previous.hex(), "iat": int(now.timestamp())}
    signed = await apart(signer, lambda: jose.sign(signer, reached, typ=TYP))
    session.add(Checkpoint(position=position, chain_hash=previous, at=now, signed=signed))


class Flaw(StrEnum):
    """What is wrong with the trail."""

    CHANGED = "changed"
    """The entry's content, or its place, is not what was sealed."""
    MISSING = "missing"
    """An entry between two others, or at the end before a checkpoint, is gone."""
    CHECKPOINT = "checkpoint"
    """A signed checkpoint does not fit the chain, or its signature does not hold."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What an auditor learns of the trail."""

    sealed: int
    """How many entries the chain holds."""
    unsealed: int
    """How many entries wait for the next sealing; the chain says nothing of them yet."""
    checkpoints: int
    flaw: Flaw | None = None
    position: int | None = None
    """The first place at which the chain does not hold."""
    entry: UUID | None = None


def _checkpoint_keys(vault: Vault) -> jose.KeySet:
    return jose.KeySet(tuple(jose.Key(key.public_key, key.key_id) for key in vault.keys(KeyUse.CHECKPOINT)))


async def verify(session: AsyncSession, vault: Vault, *, outside: Sequence[str] = ()) -> Verification:
    """Walks the whole chain and names the first entry that was changed, removed or reordered.

    `outside` are checkpoints that were published elsewhere: with one of them, even a chain that was cut
    short together with its own checkpoints is found out.
    """
    unsealed = (await session.execute(select(func.count()).where(col(Entry.position).is_(None)))).scalar_one()
    checkpoints = (
        (await session.execute(select(Checkpoint).order_by(col(Checkpoint.position)))).scalars().all()
    )
    keys = _checkpoint_keys(vault)
    due: dict[int, list[str]] = {}
    for point in checkpoints:
        due.setdefault(point.position, []).append(point.signed)
    for signed in outside:
        due.setdefault(_claimed(signed, keys), []).append(signed)
    position, previous = 0, GENESIS

    def broken(flaw: Flaw, at: int, entry: UUID | None = None) -> Verification:
        return Verification(position, unsealed, len(checkpoints), flaw, at, entry)

    async for entry in _sealed(session):
        if entry.position != position + 1:
            return broken(Flaw.MISSING, position + 1)
        expected = link(previous, entry.position, _octets(entry))
        if entry.chain_hash is None or not hmac.compare_digest(expected, entry.chain_hash):
            return broken(Flaw.CHANGED, entry.position, entry.id)
        position, previous = entry.position, expected
        if not all(_holds(signed, position, previous, keys) for signed in due.pop(position, ())):
            return broken(Flaw.CHECKPOINT, position, entry.id)
    if due:
        return broken(Flaw.MISSING, position + 1)
    return Verification(position, unsealed, len(checkpoints))


async def _sealed(session: AsyncSession) -> AsyncIterator[Entry]:
    after = 0
    while True:
        rows = (
            (
                await session.execute(
                    select(Entry)
                    .where(col(Entry.position) > after)
                    .order_by(col(Entry.position))
                    .limit(CHUNK)
                    .execution_options(populate_existing=True)
                )
            )
            .scalars()
            .all()
        )
        for row in rows:
            yield row
        if len(rows) < CHUNK:
            return
        after = rows[-1].position or after
        session.expunge_all()


def _claimed(signed: str, keys: jose.KeySet) -> int:
    """The position that an outside checkpoint speaks of; TokenRefused where it is not one of ours."""
    position = jose.verify(signed, keys, typ=TYP).claims.get("position")
    return position if isinstance(position, int) else 0


def _holds(signed: str, position: int, chain_hash: bytes, keys: jose.KeySet) -> bool:
    try:
        claims = jose.verify(signed, keys, typ=TYP).claims
    except jose.TokenRefused:
        return False
    return claims.get("position") == position and claims.get("hash") == chain_hash.hex()


async def entries(session: AsyncSession, *, after: int, limit: int) -> Sequence[Entry]:
    """Sealed entries in their order, from behind the position `after`; at most 1,000 at once."""
    query = select(Entry).where(col(Entry.position) > after).order_by(col(Entry.position))
    return (await session.execute(query.limit(max(1, min(limit, CHUNK))))).scalars().all()


async def latest(session: AsyncSession) -> Checkpoint:
    """The newest checkpoint; NotFound before the first sealing."""
    query = select(Checkpoint).order_by(col(Checkpoint.position).desc()).limit(1)
    point: Checkpoint | None = (await session.execute(query)).scalar_one_or_none()
    if point is None:
        raise NotFound("nothing has been sealed yet")
    return point
