"""Proofs that a request comes from the holder of a key (RFC 9449), for the token endpoint and behind it."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from litestar import Request

from core.jose import Claims, TokenRefused, check_stated, thumbprint, verify_proof
from core.texts import b64url
from issuers.openid import nonces
from issuers.openid.answers import OAuthError
from issuers.openid.desk import Desk
from issuers.openid.nonces import NonceKind

TYPE: Final = "dpop+jwt"
LONGEST: Final = 4096

_PAST, _AHEAD = timedelta(minutes=5), timedelta(seconds=60)
_PORTS = {"https": 443, "http": 80}

Refuse = Callable[..., OAuthError]
"""How an endpoint words its refusal: 400 at the token endpoint, 401 behind it."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What a proof is held against: the endpoint, and whether its nonce must be one of ours."""

    method: str
    url: str
    refuse: Refuse = OAuthError
    nonce_required: bool = True
    access_token: str | None = None


def fresh(desk: Desk) -> dict[str, str]:
    """The header that brings the next nonce."""
    return {"DPoP-Nonce": nonces.give(desk.vault, NonceKind.DPOP, desk.now)}


async def prove(desk: Desk, request: Request[Any, Any, Any], gate: Gate) -> str:
    """The thumbprint of the key that made the request; OAuthError where there is no proof of that."""

    def refused(error: str, why: str) -> OAuthError:
        return gate.refuse(error, why, headers=fresh(desk))

    shown = request.headers.getall("dpop", [])
    if len(shown) != 1:
        raise refused("invalid_dpop_proof", "one DPoP proof is needed")
    try:
        proof = verify_proof(shown[0], typ=TYPE, longest=LONGEST)
        check_stated(proof.claims, now=desk.now)
    except TokenRefused as broken:
        raise refused("invalid_dpop_proof", broken.detail or broken.title) from None
    fault = _fault(proof.claims, gate, desk.now)
    if fault is not None:
        raise refused("invalid_dpop_proof", fault)
    # The nonce last: whoever gets one back has a proof that is otherwise right.
    stated = proof.claims.get("nonce")
    asked = gate.nonce_required or stated is not None
    if asked and not nonces.is_live(desk.vault, NonceKind.DPOP, stated, desk.now):
        raise refused("use_dpop_nonce", "the proof needs the nonce of the header DPoP-Nonce")
    jkt = thumbprint(proof.key.public)
    once = f"{jkt} {proof.claims['jti']}"
    if not await nonces.use(desk, "dpop", once, until=desk.now + _PAST + _AHEAD):
        raise refused("invalid_dpop_proof", "the proof was used before")
    return jkt


def _fault(claims: Claims, gate: Gate, now: datetime) -> str | None:
    jti, issued = claims.get("jti"), claims.get("iat")
    if not (isinstance(jti, str) and 1 <= len(jti) <= 256):
        return "jti is missing"
    if claims.get("htm") != gate.method:
        return "htm is not the method of this request"
    if not _is_same(claims.get("htu"), gate.url):
        return "htu is not the address of this endpoint"
    if isinstance(issued, bool) or not isinstance(issued, int | float) or not 0 <= issued < 2**35:
        return "iat is missing"
    if not now - _PAST <= datetime.fromtimestamp(issued, UTC) <= now + _AHEAD:
        return "iat is not of now"
    if gate.access_token is not None:
        digest = b64url(hashlib.sha256(gate.access_token.encode()).digest())
        stated = claims.get("ath")
        if not isinstance(stated, str) or not hmac.compare_digest(stated.encode(), digest.encode()):
            return "ath is not of this access token"
    return None


def _is_same(stated: object, url: str) -> bool:
    """Whether both are the same address; query and fragment do not count (RFC 9449 section 4.3)."""
    if not isinstance(stated, str) or len(stated) > 2048:
        return False
    try:
        return _normal(stated) == _normal(url)
    except ValueError:
        return False


def _normal(url: str) -> tuple[str, str, int | None, str]:
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address with a name in it")
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(scheme), parts.path or "/"
