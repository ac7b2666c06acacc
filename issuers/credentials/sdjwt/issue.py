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
Draw = Callable[[int, int], tuple[Iterator[str], Iterator[str]]]

compact: Final[Encode] = msgspec.json.Encoder().encode
"""JSON without spaces; RFC 9901 lets the issuer choose how the disclosed text is written."""


def draw(salts: int, decoys: int) -> tuple[Iterator[str], Iterator[str]]:
    """So many salts and so many digests of nothing, from one call for randomness."""
    octets = os.urandom(salts * _SALT_BYTES + decoys * _DECOY_BYTES)
    text = b64url(octets[: salts * _SALT_BYTES])
    drawn = [octets[at : at + _DECOY_BYTES] for at in range(salts * _SALT_BYTES, len(octets), _DECOY_BYTES)]
    return (
        (text[at : at + _SALT_CHARACTERS] for at in range(0, len(text), _SALT_CHARACTERS)),
        iter(_digests([_sha256(one).digest() for one in drawn])),
    )


@dataclass(frozen=True, slots=True)
class Concealed:
    """What the issuer signs, and what goes to the holder beside it."""

    payload: dict[str, object]
    disclosures: tuple[str, ...]


def conceal(
    claims: Claims, *, decoys: Decoys = NO_DECOYS, encode: Encode = compact, draw: Draw = draw
) -> Concealed:
    """Replaces everything disclosable by digests, at every level. ValueError for claims that JSON or RFC 9901 forbid."""
    needed = _Needed(decoys)
    needed.members(claims)
    hiding = _Hiding(decoys, encode, *draw(needed.salts, needed.decoys))
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


class _Needed:
    """One look at the claims before anything is made: are they sound, and how much randomness do they need?"""

    __slots__ = ("_fill", "decoys", "salts")

    def __init__(self, fill: Decoys) -> None:
        self._fill = fill
        self.salts = self.decoys = 0

    def members(self, members: Mapping[str, object]) -> None:
        hidden = 0
        for name, value in members.items():
            if name in _RESERVED or not isinstance(name, str):
                raise ValueError("this name cannot be a claim's")
            inner = value
            if type(value) is Disclosable:
                hidden += 1
                inner = value.value
            if type(inner) is not str:
                self.value(inner)
        self._count(hidden, self._fill.objects)

    def value(self, value: object) -> None:
        match value:
            case None | bool() | int() | str():
                pass
            case float():
                if not math.isfinite(value):
                    raise ValueError("this is no JSON number")
            case dict():
                self.members(value)
            case list() | tuple():
                for element in value:
                    self.value(element.value if type(element) is Disclosable else element)
                self._count(sum(type(element) is Disclosable for element in value), self._fill.arrays)
            case _:
                raise ValueError("this is no JSON value, or disclosable twice over")

    def _count(self, hidden: int, fill: int) -> None:
        self.salts += hidden
        if hidden:
            self.decoys += max(0, fill - hidden)


class _Hiding:
    """One credential being made."""

    __slots__ = ("_decoys", "_encode", "_fill", "_salts", "disclosures")

    def __init__(self, fill: Decoys, encode: Encode, salts: Iterator[str], decoys: Iterator[str]) -> None:
        self._fill = fill
        self._encode = encode
        self._salts = salts
        self._decoys = decoys
        self.disclosures: list[str] = []

    def members(self, members: Mapping[str, object]) -> dict[str, object]:
        plain: dict[str, object] = {}
        hidden: list[bytes] = []
        for name, value in members.items():
            if type(value) is Disclosable:
                inner = value.value
                if type(inner) is not str:
                    inner = self.value(inner)
                hidden.append(self.hide([next(self._salts), name, inner]))
            else:
                plain[name] = self.value(value)
        if hidden:
            digests = _digests(hidden)
            if self._fill.objects:
                digests += self.fill(len(digests), self._fill.objects)
            # Sorted, their order says nothing about the order of the claims, and not which are decoys.
            digests.sort()
            return {SD: digests, **plain}
        return plain

    def elements(self, elements: Sequence[object]) -> list[object]:
        shown: list[object] = []
        hidden = 0
        for element in elements:
            if type(element) is Disclosable:
                value = self.value(element.value)
                [digest] = _digests([self.hide([next(self._salts), value])])
                shown.append({DOTS: digest})
                hidden += 1
            else:
                shown.append(self.value(element))
        if hidden:
            shown += [{DOTS: decoy} for decoy in self.fill(hidden, self._fill.arrays)]
        return shown

    def value(self, value: object) -> object:
        if isinstance(value, dict):
            return self.members(value)
        if isinstance(value, list) or isinstance(value, tuple):  # noqa: SIM101  (a union is made anew each time)
            return self.elements(value)
        return value

    def hide(self, contents: list[object]) -> bytes:
        """The digest of these contents, whose disclosure goes to the holder."""
        # The characters are what is hashed, so they are written once, as bytes.
        disclosure = b64url_octets(self._encode(contents))
        self.disclosures.append(disclosure.decode("ascii"))
        return _sha256(disclosure).digest()

    def fill(self, hidden: int, fill: int) -> list[str]:
        return [next(self._decoys) for _ in range(fill - hidden)]
