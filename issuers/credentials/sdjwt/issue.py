"""Makes SD-JWTs (RFC 9901): hides what may be disclosed one by one, and signs the rest with the digests."""

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from core.jose import Claims
from core.texts import b64url, b64url_octets
from issuers.credentials.sdjwt.disclosing import DOTS, SD, SD_ALG

HASH: Final = "sha-256"

_RESERVED = frozenset({SD, DOTS, SD_ALG})
# 18 bytes fill 24 characters without a rest, so that all salts of a credential are one text to cut.
_SALT_BYTES, _SALT_CHARACTERS = 18, 24
_DECOY_BYTES = 32


class Disclosable(msgspec.Struct, frozen=True):
    """A claim's value, or an array's element, that the holder shows or keeps; more of them may stand within."""

    value: object


@dataclass(frozen=True, slots=True)
class Decoys:
    """Up to how many digests an object, and an array, that hides something is filled with digests of nothing.

    A constant number for a type of credential says nothing about how many claims this one has.
    """

    objects: int = 0
    arrays: int = 0


NO_DECOYS = Decoys()

Encode = Callable[[object], bytes]

compact: Final[Encode] = msgspec.json.Encoder().encode
"""JSON without spaces; RFC 9901 lets the issuer choose how the disclosed text is written."""


def draw_salts() -> Iterator[str]:
    """Salts of 144 random bits, as many as are asked for; eight at a time, which is a credential's worth."""
    while True:
        text = b64url(os.urandom(8 * _SALT_BYTES))
        yield from [text[at : at + _SALT_CHARACTERS] for at in range(0, len(text), _SALT_CHARACTERS)]


@dataclass(frozen=True, slots=True)
class Concealed:
    """What the issuer signs, and what goes to the holder beside it."""

    payload: dict[str, object]
    disclosures: tuple[str, ...]


def conceal(
    claims: Claims,
    *,
    decoys: Decoys = NO_DECOYS,
    encode: Encode = compact,
    salts: Iterator[str] | None = None,
) -> Concealed:
    """Replaces everything disclosable by digests, at every level. ValueError for claims that JSON or RFC 9901 forbid."""
    hiding = _Hiding(decoys, encode, salts or draw_salts())
    payload = hiding.members(claims)
    if hiding.disclosures:
        payload[SD_ALG] = HASH
    return Concealed(payload, tuple(hiding.disclosures))


def sign_concealed(
    concealed: Concealed, header: str, sign: Callable[[bytes], bytes], encode: Encode = compact
) -> str:
    """The SD-JWT as the holder gets it; `header` is the base64url of the protected header, made once (`seal_header`)."""
    signed = f"{header}.{b64url(encode(concealed.payload))}"
    issued = f"{signed}.{b64url(sign(signed.encode('ascii')))}"
    return "~".join((issued, *concealed.disclosures, ""))


def seal_header(header: Mapping[str, object]) -> str:
    """The protected header as it stands in every token of one issuer."""
    return b64url(compact(header))


_sha256 = hashlib.sha256


def _digests(found: Sequence[bytes]) -> list[str]:
    """Digests of 32 bytes as base64url. With a byte behind each they are one text to cut: 44 characters, 43 of it."""
    text = b64url(b"\0".join((*found, b"")))
    return [text[at : at + 43] for at in range(0, len(text), 44)]


class _Hiding:
    """One credential being made."""

    __slots__ = ("_encode", "_fill", "_salts", "disclosures")

    def __init__(self, fill: Decoys, encode: Encode, salts: Iterator[str]) -> None:
        self._fill = fill
        self._encode = encode
        self._salts = salts
        self.disclosures: list[str] = []

    def members(self, members: Mapping[str, object]) -> dict[str, object]:
        plain: dict[str, object] = {}
        hidden: list[bytes] = []
        for name, value in members.items():
            if name in _RESERVED or not isinstance(name, str):
                raise ValueError("this name cannot be a claim's")
            if type(value) is Disclosable:
                # What stands within is hidden first, and has its salts before this one.
                inner = self.value(value.value)
                hidden.append(self.hide([next(self._salts), name, inner]))
            else:
                plain[name] = self.value(value)
        if hidden:
            # Sorted, their order says nothing about the order of the claims, and not which are decoys.
            digests = sorted(_digests(self.filled(hidden, self._fill.objects)))
            return {SD: digests, **plain}
        return plain

    def elements(self, elements: Sequence[object]) -> list[object]:
        shown: list[object] = []
        places: list[dict[str, object]] = []
        hidden: list[bytes] = []
        for element in elements:
            if type(element) is Disclosable:
                inner = self.value(element.value)
                hidden.append(self.hide([next(self._salts), inner]))
                places.append({})
                shown.append(places[-1])
            else:
                shown.append(self.value(element))
        if hidden:
            digests = _digests(self.filled(hidden, self._fill.arrays))
            decoys: list[dict[str, object]] = [{} for _ in digests[len(places) :]]
            for place, digest in zip(places + decoys, digests, strict=True):
                place[DOTS] = digest
            shown += decoys
        return shown

    def value(self, value: object) -> object:
        kind = type(value)
        if kind is str or kind is int or kind is bool or value is None:
            return value
        match value:
            case int() | str():
                return value
            case float() if math.isfinite(value):
                return value
            case float():
                raise ValueError("this is no JSON number")
            case dict():
                return self.members(value)
            case list() | tuple():
                return self.elements(value)
            case _:
                raise ValueError("this is no JSON value, or disclosable twice over")

    def hide(self, contents: list[object]) -> bytes:
        """The digest of these contents, whose disclosure goes to the holder."""
        # The characters are what is hashed, so they are written once, as bytes.
        disclosure = b64url_octets(self._encode(contents))
        self.disclosures.append(disclosure.decode("ascii"))
        return _sha256(disclosure).digest()

    def filled(self, hidden: list[bytes], fill: int) -> list[bytes]:
        """These digests, and digests of nothing up to that number."""
        return hidden + [_sha256(os.urandom(_DECOY_BYTES)).digest() for _ in range(fill - len(hidden))]
