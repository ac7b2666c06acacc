"""Compact ES256 tokens for this package's hot path: as strict as core/jose, and without parsing a header twice."""

import binascii
import functools
import json
import math
from typing import Final, NamedTuple, Never

from cryptography.hazmat.primitives.asymmetric import ec

from core import p256
from core.jose import Claims
from issuers.credentials.sdjwt.reasons import Reason, Unacceptable

ALGORITHM: Final = "ES256"
"""The one algorithm that is taken: HAIP asks every wallet and issuer for it, and a choice would be an attack."""

# Of the two alphabets only the URL-safe one is read: its two letters are exchanged, the others' made unreadable.
_READING = bytes.maketrans(b"-_+/=", b"+/!!!")
_WRITING = bytes.maketrans(b"+/", b"-_")
# The last character carries bits beyond the last byte; only the one that has them all zero is canonical.
_LAST = {2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}
_PADDING = (b"", b"", b"==", b"=")

# They bring a key along, point to one, or change what was signed (RFC 8725 §3.1); a token chooses none of that.
_NEVER = frozenset({"jku", "x5u", "jwk", "crit", "b64", "zip"})


def unb64url(text: str) -> bytes:
    """The bytes of a base64url text; ValueError for padding, foreign characters and stray bits at the end."""
    octets = text.encode("ascii")
    rest = len(octets) % 4
    if rest and (rest == 1 or octets[-1] not in _LAST[rest]):
        raise ValueError("this is not base64url in its one form")
    return binascii.a2b_base64(octets.translate(_READING) + _PADDING[rest], strict_mode=True)


def b64url(octets: bytes) -> str:
    """base64url without padding."""
    return b64url_octets(octets).decode("ascii")


def b64url_octets(octets: bytes) -> bytes:
    """The same, as the bytes that are hashed and signed."""
    return binascii.b2a_base64(octets, newline=False).translate(_WRITING, b"=")


def read_json(octets: bytes) -> object:
    """A JSON value; ValueError where a name stands twice, a number is none, or text has no encoding."""
    value: object
    try:
        text = octets.decode()
        value, end = _DECODER.raw_decode(text)
        if end != len(text):
            value = _DECODER.decode(text)  # space before or after it is JSON too; anything else is not
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate has no encoding
    except RecursionError:
        raise ValueError("this is nested too deeply") from None
    return value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a name stands twice")
    return read


def _no_constant(_name: str) -> Never:
    raise ValueError("this is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("this number is too large")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite)


class Token(NamedTuple):
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
