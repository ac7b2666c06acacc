"""Nonces that cost nothing to give away, and the memory of what was used once."""

import hashlib
import hmac
import os
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from core.texts import b64url, unb64url
from core.vault import Vault
from issuers.openid.desk import Desk
from issuers.openid.models import UsedOnce

GOOD_FOR: Final = timedelta(minutes=5)

_LABEL = "openid-nonces/1"
_RANDOM, _TIME, _MAC = 16, 5, 16


class NonceKind(StrEnum):
    """What a nonce is for; one kind never passes for another."""

    PROOF = "c_nonce"
    DPOP = "dpop"
    CHALLENGE = "challenge"


def give(vault: Vault, kind: NonceKind, now: datetime) -> str:
    """A fresh nonce: random, with its time, under our own seal. Nothing is stored until it is used."""
    body = int(now.timestamp()).to_bytes(_TIME) + os.urandom(_RANDOM)
    return b64url(body + _seal(vault, kind, body))


def is_live(vault: Vault, kind: NonceKind, nonce: object, now: datetime) -> bool:
    """Whether we gave this nonce out for this purpose, less than five minutes ago."""
    if not isinstance(nonce, str) or len(nonce) > 64:
        return False
    try:
        octets = unb64url(nonce)
    except ValueError:
        return False
    body, seal = octets[:-_MAC], octets[-_MAC:]
    if len(body) != _TIME + _RANDOM or not hmac.compare_digest(seal, _seal(vault, kind, body)):
        return False
    given = datetime.fromtimestamp(int.from_bytes(body[:_TIME]), UTC)
    return given - timedelta(seconds=60) <= now < given + GOOD_FOR


async def use(desk: Desk, purpose: str, text: str, *, until: datetime) -> bool:
    """Takes the one use of a text; False where it was taken before."""
    hashed = hmac.digest(desk.vault.secret(_LABEL), f"used {purpose} {text}".encode(), hashlib.sha256)
    insert = sqlite.insert if desk.session.get_bind().dialect.name == "sqlite" else postgresql.insert
    taken = await desk.session.execute(
        insert(UsedOnce)
        .values(used_hash=hashed, expires_at=until)
        .on_conflict_do_nothing()
        .returning(col(UsedOnce.used_hash))
    )
    return taken.scalar_one_or_none() is not None


def _seal(vault: Vault, kind: NonceKind, body: bytes) -> bytes:
    return hmac.digest(vault.secret(_LABEL), kind.value.encode() + b" " + body, hashlib.sha256)[:_MAC]
