"""Publish which keys count, whenever they change and before the last list grows old."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.settings import Settings
from core.vault import KeyUse, Vault, apart
from issuers.authorities.models import IssuingKey
from issuers.authorities.service import (
    ANCHOR_OVERLAP,
    NoKey,
    authority_for_change,
    authority_of,
    ensure_authority,
    keys_of,
    public_key,
    signer_for,
)
from issuers.credentials.rules import PRINTED_DAYS, WALLET_DAYS
from issuers.trustlist.models import PublishedTrustList
from issuers.trustlist.rules import TrustedIssuer, TrustedKey, TrustList, sign

VALID_FOR = ANCHOR_OVERLAP
"""As long as a scanner may go without a network. The next key of the list itself is announced as long before."""

RENEWED_AFTER = timedelta(hours=20)

SKEW = timedelta(minutes=10)
"""A key is accepted from a little before it was made: scanners' clocks differ."""

CHECKPOINTS_FOR = timedelta(days=3650)

log = structlog.get_logger("trustlist")


async def publish(
    session: AsyncSession, vault: Vault, settings: Settings, now: datetime
) -> PublishedTrustList:
    """Signs the next version where the keys have changed or the last one is a day old; else gives that one."""
    await authority_for_change(session, now)  # one at a time: versions have no gaps and no twins
    last = await _last(session)
    keys = await keys_of(session)
    if last is not None and now < last.issued_at + RENEWED_AFTER:
        same = await _build(session, keys, settings, last.version, last.issued_at)
        if _digest(same) == last.digest:
            return last
    version = 1 if last is None else last.version + 1
    signer = await signer_for(session, vault, KeyUse.TRUST_LIST, now)
    # Lists never go back, in time either: where this clock is behind, the new list is a second younger.
    issued_at = now if last is None else max(now, last.issued_at + timedelta(seconds=1))
    trust_list = await _build(session, keys, settings, version, issued_at)
    row = PublishedTrustList(
        version=version,
        issued_at=trust_list.issued_at,
        expires_at=trust_list.expires_at,
        digest=_digest(trust_list),
        token=await apart(signer, partial(sign, trust_list, signer)),
    )
    session.add(row)
    await session.flush()
    log.info("trustlist.published", version=version)
    return row


async def publish_job(
    session: AsyncSession, _payload: dict[str, Any], now: datetime, *, vault: Vault, settings: Settings
) -> None:
    """The job after a change of keys, and once a night; it also makes good a first start that was missed."""
    await ensure_authority(session, vault, settings, now)
    await publish(session, vault, settings, now)


async def current(session: AsyncSession) -> PublishedTrustList:
    """The newest list; NoKey before the first start."""
    last = await _last(session)
    if last is None:
        raise NoKey
    return last


async def trusted(session: AsyncSession, settings: Settings, now: datetime) -> TrustList:
    """What the list would say if it were signed now: for checks made here, which wait for no publication."""
    last = await _last(session)
    version = 1 if last is None else last.version
    return await _build(session, await keys_of(session), settings, version, now)


async def _last(session: AsyncSession) -> PublishedTrustList | None:
    found = await session.execute(
        select(PublishedTrustList).order_by(col(PublishedTrustList.version).desc()).limit(1)
    )
    return found.scalar_one_or_none()


async def _build(
    session: AsyncSession, keys: Sequence[IssuingKey], settings: Settings, version: int, issued_at: datetime
) -> TrustList:
    authority = await authority_of(session)
    expires_at = issued_at + VALID_FOR
    listed = [
        trusted
        for key in keys
        if (trusted := _trusted(key, keys, settings, expires_at)).not_after > issued_at
    ]
    return TrustList(
        publisher=settings.public_url,
        version=version,
        issued_at=issued_at,
        expires_at=expires_at,
        anchors=tuple(key for key in listed if key.use is KeyUse.TRUST_LIST),
        issuers=(
            TrustedIssuer(
                settings.public_url,
                authority.name,
                tuple(key for key in listed if key.use is not KeyUse.TRUST_LIST),
            ),
        ),
    )


def _trusted(
    key: IssuingKey, keys: Sequence[IssuingKey], settings: Settings, expires_at: datetime
) -> TrustedKey:
    followers = [
        other.not_before
        for other in keys
        if other.use is key.use
        and (other.not_before, other.created_at, other.key_id) > (key.not_before, key.created_at, key.key_id)
        and (other.withdrawn_at is None or other.withdrawn_at >= other.not_before)
    ]
    signed_until = min(followers, default=expires_at)
    if key.withdrawn_at is not None:
        signed_until = min(signed_until, key.withdrawn_at)
    not_before = min(key.created_at, key.not_before) - SKEW
    return TrustedKey(
        kid=bytes.fromhex(key.key_id),
        use=key.use,
        public_key=public_key(key.point),
        not_before=not_before,
        not_after=max(signed_until, key.created_at) + _life(key.use, settings),
        withdrawn_at=key.withdrawn_at,
    )


def _life(use: KeyUse, settings: Settings) -> timedelta:
    # How long what the key signed last is still shown somewhere, and a day for the edges.
    match use:
        case KeyUse.CARD:
            life = timedelta(days=settings.card_days)
        case KeyUse.PRINTED:
            life = timedelta(days=PRINTED_DAYS)
        case KeyUse.CREDENTIAL:
            life = timedelta(days=WALLET_DAYS)
        case KeyUse.STATUS_LIST:
            life = timedelta(days=settings.status_days)
        case KeyUse.CHECKPOINT:
            life = CHECKPOINTS_FOR
        case _:
            life = VALID_FOR
    return life + timedelta(days=1)


def _digest(trust_list: TrustList) -> bytes:
    said = json.dumps(trust_list.claims(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).digest()
