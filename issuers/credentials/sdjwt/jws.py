"""Compact ES256 tokens for this package's hot path: as strict as core/jose, and without parsing a header twice."""

import functools
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from core import p256
from core.jose import Claims
from core.texts import read_json, unb64url
from issuers.credentials.sdjwt.reasons import Reason, Unacceptable

ALGORITHM: Final = "ES256"
"""The one algorithm that is taken: HAIP asks every wallet and issuer for it, and a choice would be an attack."""

# They bring a key along, point to one, or change what was signed (RFC 8725 §3.1); a token chooses none of that.
_NEVER = frozenset({"jku", "x5u", "jwk", "crit", "b64", "zip"})


class Token(msgspec.Struct, frozen=True):
    """A token taken apart; nothing in it is believed yet."""

    header: Claims
    claims: dict[str, object]
    signed: bytes
    signature: bytes

    def is_signed_by(self, key: ec.EllipticCurvePublicKey) -> bool:
        """Whether this key signed it."""
        return p256.verify(key, self.signed, self.signature)


def read_token(text: str) -> Token:
    """Takes a compact token apart. Unacceptable where it is not exactly one, or its header must not be followed."""
    try:
        first, second, third = text.split(".")
        header = _header(first) if len(first) <= _KEPT else _header.__wrapped__(first)
        claims = read_json(unb64url(second))
        signature = unb64url(third)
    except ValueError:
        raise Unacceptable(Reason.MALFORMED) from None
    if not isinstance(claims, dict):
        raise Unacceptable(Reason.MALFORMED)
    if header.get("alg") != ALGORITHM:
        raise Unacceptable(Reason.ALGORITHM)
    if not _NEVER.isdisjoint(header):
        raise Unacceptable(Reason.HEADER)
    return Token(header, claims, text[: -len(third) - 1].encode(), signature)


_KEPT = 8 * 1024


# An issuer's header is the same in all its credentials; with a chain in it, it is the longest part to read.
@functools.lru_cache(maxsize=256)
def _header(segment: str) -> Claims:
    header = read_json(unb64url(segment))
    if not isinstance(header, dict):
        raise ValueError("a header is an object")  # noqa: TRY004  (the text is wrong, not the argument's type)
    return header


def is_typ(header: Claims, typ: str) -> bool:
    """Whether the header names this type, with or without `application/`, in any case (RFC 7515 §4.1.9)."""
    named = header.get("typ")
    if named == typ:
        return True
    return isinstance(named, str) and named.lower().removeprefix("application/") == typ
