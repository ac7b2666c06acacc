"""Establish the authority, say which key signs now, rotate keys, withdraw one."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core import p256
from core.access.rules import Caller
from core.audit.service import note
from core.database import new_id
from core.errors import Conflict, NotFound, Unavailable
from core.jobs.service import enqueue
from core.settings import Settings
from core.vault import KeyInfo, KeyUse, Signer, UnknownKey, Vault
from issuers.authorities.certificates import ensure_certificates
from issuers.authorities.models import Authority, IssuingKey

USES = (
    KeyUse.CARD,
    KeyUse.PRINTED,
    KeyUse.CREDENTIAL,
    KeyUse.STATUS_LIST,
    KeyUse.TRUST_LIST,
    KeyUse.CHECKPOINT,
)
"""What the authority signs by itself, from its first start on."""

OVERLAP = timedelta(days=1)
"""How long a new key is announced before it signs: a scanner without a network hears of it in time."""

ANCHOR_OVERLAP = timedelta(days=14)
"""The same for the key of the trust list itself: as long as a list lasts, or who held the old one is lost."""

STRAGGLERS = timedelta(minutes=2)
"""Longer than any transaction that signs may take."""

_A_TICK = timedelta(microseconds=1)

log = structlog.get_logger("authorities")


class NoKey(Unavailable):
    """No key of this use can sign now; the operator must look."""

    slug, title = "no-signing-key", "Nothing can be signed at the moment"


class RotationPending(Conflict):
    """A next key of this use is announced already."""

    slug, title = "rotation-pending", "A next key of this use is already announced"


async def ensure_authority(
    session: AsyncSession, vault: Vault, settings: Settings, now: datetime
) -> Authority:
    """Makes the authority and its keys at the first start; later it changes nothing."""
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    await session.execute(
        insert(Authority)
        .values(id=new_id(), name=settings.city, keys_changed_at=now, created_at=now)
        .on_conflict_do_nothing()
    )
    authority = await _authority(session)
    served = set((await session.execute(select(col(IssuingKey.use)).distinct())).scalars())
    for use in USES:
        if use not in served:
            # The vault gives two processes that start at once the same key, and one row stands for it.
            key = vault.ensure(use, now)
            await session.execute(
                insert(IssuingKey).values(**_row(authority, key, not_before=now)).on_conflict_do_nothing()
            )
    await ensure_certificates(session, vault, settings, authority, now)
    return authority


async def authority_of(session: AsyncSession) -> Authority:
    """The authority that this deployment signs for; NoKey before its first start."""
    return await _authority(session)


async def current_key(session: AsyncSession, use: KeyUse, now: datetime) -> IssuingKey:
    """The key that signs now: the newest whose time has come and that was not withdrawn."""
    found = await session.execute(
        select(IssuingKey)
        .where(
            col(IssuingKey.use) == use,
            col(IssuingKey.not_before) <= now,
            col(IssuingKey.withdrawn_at).is_(None),
        )
        .order_by(
            col(IssuingKey.not_before).desc(), col(IssuingKey.created_at).desc(), col(IssuingKey.key_id)
        )
        .limit(1)
    )
    key = found.scalar_one_or_none()
    if key is None:
        raise NoKey
    return key


async def signer_for(session: AsyncSession, vault: Vault, use: KeyUse, now: datetime) -> Signer:
    """Who signs this now; VaultError where the key is out of reach, which stops issuing and nothing else."""
    key = await current_key(session, use, now)
    return vault.signer(key.key_id, use)


async def keys_of(session: AsyncSession) -> Sequence[IssuingKey]:
    """Every key the authority ever had, oldest first."""
    found = await session.execute(
        select(IssuingKey).order_by(
            col(IssuingKey.use),
            col(IssuingKey.not_before),
            col(IssuingKey.created_at),
            col(IssuingKey.key_id),
        )
    )
    return found.scalars().all()


@lru_cache(maxsize=256)
def public_key(point: bytes) -> EllipticCurvePublicKey:
    """The public key of a row's point."""
    return p256.from_point(point)


async def rotate(
    session: AsyncSession,
    vault: Vault,
    use: KeyUse,
    now: datetime,
    *,
    not_before: datetime | None = None,
    caller: Caller | None = None,
) -> IssuingKey:
    """Announces a next key; it signs from `not_before` on, and what the old one signed stays good."""
    authority = await authority_for_change(session, now)
    announced = await session.execute(
        select(col(IssuingKey.key_id)).where(
            col(IssuingKey.use) == use,
            col(IssuingKey.not_before) > now,
            col(IssuingKey.withdrawn_at).is_(None),
        )
    )
    if announced.first() is not None:
        raise RotationPending
    overlap = ANCHOR_OVERLAP if use is KeyUse.TRUST_LIST else OVERLAP
    # Never at the very moment at which the present one began: of two, one must be the later.
    begins = max(not_before or now + overlap, now, await _last_beginning(session, use) + _A_TICK)
    key = await _add(session, vault, authority, use, now, not_before=begins)
    await _keys_changed(session, now)
    note(session, caller, "key.announced", f"key:{key.key_id}", now=now, use=use.value)
    log.info("key.announced", key=key.key_id, use=use.value)
    return key


async def withdraw(
    session: AsyncSession,
    vault: Vault,
    key_id: str,
    now: datetime,
    *,
    reason: str,
    caller: Caller | None = None,
) -> IssuingKey:
    """Takes a key out at once: nothing it signed counts any more, and another signs from now on.

    Withdrawing twice changes nothing. Its private half is destroyed and what it signed is revoked by jobs,
    after this is committed: a rollback must not leave a key that the rows still trust and nobody has.
    """
    authority = await authority_for_change(session, now)
    key = await session.get(IssuingKey, key_id)
    if key is None:
        raise NotFound
    if key.withdrawn_at is not None:
        return key
    signed_until_now = key.not_before <= now and (await current_key(session, key.use, now)).key_id == key_id
    key.withdrawn_at, key.withdrawn_for = now, reason
    session.add(key)
    await session.flush()
    if signed_until_now:
        await _succeed(session, vault, authority, key.use, now)
    note(session, caller, "key.withdrawn", f"key:{key_id}", now=now, use=key.use.value, why=reason)
    log.warning("key.withdrawn", key=key_id, use=key.use.value, why=reason)
    await _keys_changed(session, now)
    for kind in ("key.destroy", "key.withdrawn"):
        await enqueue(session, kind, {"key_id": key_id}, run_at=now, once=f"{kind}:{key_id}")
    # Whoever was signing at this moment may commit after that job has looked: it looks once more.
    again = now + STRAGGLERS
    await enqueue(session, "key.withdrawn", {"key_id": key_id}, run_at=again, once=f"key.stragglers:{key_id}")
    return key


async def destroy_key(
    _session: AsyncSession, payload: dict[str, Any], _now: datetime, *, vault: Vault
) -> None:
    """The job after a withdrawal: the private half goes for good; gone already is as well."""
    try:
        vault.destroy(str(payload["key_id"]))
    except UnknownKey:
        log.info("key.destroyed_before", key=str(payload["key_id"]))


async def _authority(session: AsyncSession) -> Authority:
    found = await session.execute(select(Authority).order_by(col(Authority.created_at)).limit(1))
    authority = found.scalar_one_or_none()
    if authority is None:
        raise NoKey
    return authority


async def authority_for_change(session: AsyncSession, now: datetime) -> Authority:
    """The authority, held to the end of the transaction: its keys and lists change one at a time."""
    authority = await _authority(session)
    await session.execute(
        update(Authority)
        .where(col(Authority.id) == authority.id)
        .values(keys_changed_at=now)
        .execution_options(synchronize_session=False)
    )
    return authority


async def _keys_changed(session: AsyncSession, now: datetime) -> None:
    # What follows lies to the right of here, so it hears of it by the outbox.
    await enqueue(session, "trustlist.publish", run_at=now, once="trustlist.publish")


async def _last_beginning(session: AsyncSession, use: KeyUse) -> datetime:
    found = await session.execute(
        select(col(IssuingKey.not_before))
        .where(col(IssuingKey.use) == use)
        .order_by(col(IssuingKey.not_before).desc())
        .limit(1)
    )
    last: datetime | None = found.scalar_one_or_none()
    if last is None:
        raise NoKey
    return last


async def _succeed(
    session: AsyncSession, vault: Vault, authority: Authority, use: KeyUse, now: datetime
) -> None:
    # An older key was retired for a reason; only an announced one or a new one takes over.
    waiting = await session.execute(
        select(IssuingKey)
        .where(
            col(IssuingKey.use) == use,
            col(IssuingKey.not_before) > now,
            col(IssuingKey.withdrawn_at).is_(None),
        )
        .order_by(col(IssuingKey.not_before))
        .limit(1)
    )
    successor = waiting.scalar_one_or_none()
    if successor is None:
        await _add(session, vault, authority, use, now, not_before=now)
        return
    successor.not_before = now
    session.add(successor)
    await session.flush()


async def _add(
    session: AsyncSession,
    vault: Vault,
    authority: Authority,
    use: KeyUse,
    now: datetime,
    *,
    not_before: datetime,
) -> IssuingKey:
    key = IssuingKey(**_row(authority, vault.create(use, now), not_before=not_before))
    session.add(key)
    await session.flush()
    return key


def _row(authority: Authority, key: KeyInfo, *, not_before: datetime) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "authority_id": authority.id,
        "use": key.use,
        "point": p256.point(key.public_key),
        "created_at": key.created_at,
        "not_before": not_before,
        "withdrawn_at": None,
        "withdrawn_for": None,
    }
