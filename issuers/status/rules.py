"""Token Status List (draft-ietf-oauth-status-list-20): how statuses are packed, published, read and numbered."""

import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Self

import cbor2
import deflate

from core.errors import Conflict, DomainError
from core.jose import Claims
from core.texts import b64url, unb64url

TYPE = "statuslist+jwt"
CWT_TYPE = "application/statuslist+cwt"
"""Both the `typ` of the CWT and its media type."""
MEDIA_TYPE = "application/statuslist+jwt"

LARGEST = 4 * 1024 * 1024
"""Bytes that a list may have once it is unpacked: 32 million single bits, and no room for a bomb."""

LONGEST = 8 * 1024 * 1024
"""Characters that a signed list may have: it is longer than other tokens."""

_LAST_MOMENT = 2**35
_STEPS = {1: 3, 2: 2, 4: 1, 8: 0}


class Status(IntEnum):
    """What a list says of one credential. A list may know other numbers; only VALID is valid."""

    VALID = 0
    INVALID = 1
    SUSPENDED = 2


class StatusListRefused(DomainError):
    """What was read is not a status list of the described form."""

    slug, title = "status-list-refused", "The status list was not accepted"


class ListFull(Conflict):
    """The list has fewer free numbers than are asked for."""

    slug, title = "status-list-full", "The status list has no free numbers left"


class StatusList:
    """Statuses of 1, 2, 4 or 8 bits, the first in the lowest bits of the first byte.

    `get` is what every check asks, so it does no more than one comparison before it looks.
    """

    __slots__ = ("_mask", "_octets", "_packed", "_step", "_within", "bits", "size")

    def __init__(self, bits: int, octets: bytes) -> None:
        """A list over these bytes; StatusListRefused for a width that the format does not have."""
        if isinstance(bits, bool) or bits not in _STEPS:
            raise StatusListRefused("a status has 1, 2, 4 or 8 bits")
        self.bits = bits
        self._octets = bytearray(octets)
        self._packed: bytes | None = None
        self._step = _STEPS[bits]
        self._within = (1 << self._step) - 1
        self._mask = (1 << bits) - 1
        self.size = len(octets) << self._step

    @classmethod
    def blank(cls, size: int, bits: int = 1) -> Self:
        """A list of so many valid entries; the size fills whole bytes."""
        octets, rest = divmod(size * bits, 8)
        if rest or size <= 0:
            raise ValueError("the size of a status list fills whole bytes")
        return cls(bits, bytes(octets))

    def get(self, index: int) -> int:
        """The status under this number; IndexError outside the list, which must never pass as valid."""
        if not 0 <= index < self.size:
            raise IndexError("the status list has no such number")
        return self._octets[index >> self._step] >> (index & self._within) * self.bits & self._mask

    def set(self, index: int, status: int) -> None:
        """Writes a status under this number; IndexError outside the list, ValueError for a status too wide."""
        if not 0 <= index < self.size:
            raise IndexError("the status list has no such number")
        if not 0 <= status <= self._mask:
            raise ValueError("this status does not fit into the bits of this list")
        at, shift = index >> self._step, (index & self._within) * self.bits
        self._packed = None
        self._octets[at] = self._octets[at] & ~(self._mask << shift) | status << shift

    def octets(self) -> bytes:
        """The bytes, not compressed."""
        return bytes(self._octets)

    def packed(self) -> bytes:
        """The bytes compressed in zlib's format by libdeflate, once for every form in which the list is signed.

        Sparse lists are pressed harder: from a hundredth of the entries on, level 9 takes four times as long as level 7
        for a twentieth less.
        """
        if self._packed is None:
            octets = bytes(self._octets)
            sparse = len(octets) - octets.count(0) < self.size // 100
            self._packed = bytes(deflate.zlib_compress(octets, 9 if sparse else 7))
        return self._packed

    @classmethod
    def unpack(cls, bits: int, packed: bytes, *, largest: int = LARGEST) -> Self:
        """The list that was packed; StatusListRefused for anything else, and for more than `largest` bytes."""
        inflate = zlib.decompressobj()
        try:
            # One byte more than allowed is enough to know; a bomb is never unpacked further.
            octets = inflate.decompress(packed, largest + 1)
        except zlib.error:
            raise StatusListRefused("the list is not compressed with zlib") from None
        if len(octets) > largest:
            raise StatusListRefused("the list is larger than is taken")
        if not inflate.eof or inflate.unused_data:
            raise StatusListRefused("the compressed list breaks off or goes on after its end")
        return cls(bits, octets)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StatusList) and (self.bits, self._octets) == (other.bits, other._octets)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"<StatusList of {self.size} at {self.bits} bits>"


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a credential's status stands."""

    uri: str
    index: int

    def claim(self) -> dict[str, dict[str, object]]:
        """The value of a credential's `status` claim."""
        return {"status_list": {"idx": self.index, "uri": self.uri}}


def read_reference(status: object) -> Reference:
    """The reference in a credential's `status` claim, of JSON or CBOR; StatusListRefused for another form."""
    entry = status.get("status_list") if isinstance(status, Mapping) else None
    index, uri = (entry.get("idx"), entry.get("uri")) if isinstance(entry, Mapping) else (None, None)
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        raise StatusListRefused("a status has a number that is not negative")
    if not isinstance(uri, str) or not uri:
        raise StatusListRefused("a status names the list that it is in")
    return Reference(uri, index)


@dataclass(frozen=True, slots=True)
class StatusListToken:
    """A status list as it is signed and published."""

    uri: str
    statuses: StatusList
    issued_at: datetime
    expires_at: datetime | None
    ttl: timedelta | None

    def claims(self) -> dict[str, object]:
        """What is signed as `statuslist+jwt`."""
        lst = {"bits": self.statuses.bits, "lst": b64url(self.statuses.packed())}
        named = {
            "sub": self.uri,
            "iat": _seconds(self.issued_at),
            "exp": None if self.expires_at is None else _seconds(self.expires_at),
            "ttl": None if self.ttl is None else int(self.ttl.total_seconds()),
            "status_list": lst,
        }
        return {name: value for name, value in named.items() if value is not None}

    def cwt_claims(self) -> bytes:
        """What is signed as `statuslist+cwt`: the same in deterministic CBOR, without base64's third more."""
        numbered = {
            2: self.uri,
            4: None if self.expires_at is None else _seconds(self.expires_at),
            6: _seconds(self.issued_at),
            65533: {"bits": self.statuses.bits, "lst": self.statuses.packed()},
            65534: None if self.ttl is None else int(self.ttl.total_seconds()),
        }
        return cbor2.dumps(
            {key: value for key, value in numbered.items() if value is not None}, canonical=True
        )


def read(claims: Claims, uri: str, *, largest: int = LARGEST) -> StatusListToken:
    """The list in the claims of a verified token that was fetched from `uri`; StatusListRefused otherwise."""
    if claims.get("sub") != uri:
        raise StatusListRefused("this is another list than the one that was asked for")
    listed = claims.get("status_list")
    if not isinstance(listed, Mapping):
        raise StatusListRefused("the token holds no list")
    bits, text = listed.get("bits"), listed.get("lst")
    if not isinstance(bits, int) or not isinstance(text, str):
        raise StatusListRefused("the list is not of the described form")
    try:
        packed = unb64url(text)
    except ValueError:
        raise StatusListRefused("the list is not base64url in its one form") from None
    issued, expires, ttl = _number(claims, "iat"), _number(claims, "exp"), _number(claims, "ttl")
    if issued is None or ttl == 0:
        raise StatusListRefused("the token does not say when it was issued, or for how long it may be kept")
    return StatusListToken(
        uri,
        StatusList.unpack(bits, packed, largest=largest),
        datetime.fromtimestamp(issued, UTC),
        None if expires is None else datetime.fromtimestamp(expires, UTC),
        None if ttl is None else timedelta(seconds=ttl),
    )


class Freshness(StrEnum):
    """What a copy of a list is worth."""

    FRESH = "fresh"
    DUE = "due"
    """Good, and it is time to fetch the next one."""
    TOO_OLD = "too-old"
    """It says nothing any more: not valid, not invalid."""


def freshness(token: StatusListToken, now: datetime) -> Freshness:
    """What this copy is worth at `now`; a clock that is behind the list makes it fresh, not wrong."""
    if token.expires_at is not None and now >= token.expires_at:
        return Freshness.TOO_OLD
    if token.ttl is not None and now >= token.issued_at + token.ttl:
        return Freshness.DUE
    return Freshness.FRESH


def goes_back(held: StatusListToken, offered: StatusListToken) -> bool:
    """Whether the offered copy is from before the held one; lists never go back, or revoked would be valid again."""
    return offered.issued_at < held.issued_at


def draw(size: int, taken: Collection[int], count: int, below: Callable[[int], int]) -> list[int]:
    """So many different free numbers of a list, each as likely as any other; ListFull where there are too few.

    `taken` is a set or a view of keys. `below(n)` gives a random number under n (`secrets.randbelow`): whoever knows one card's number learns nothing of
    the next card's. That two transactions never keep the same number is the database's promise, not this one's.
    """
    if count > size - len(taken):
        raise ListFull
    drawn: dict[int, None] = {}  # in the order of drawing: sorted numbers would tell of each other
    if 4 * (len(taken) + count) <= 3 * size:
        # At least every fourth number is free: trying again is quicker than listing them.
        while len(drawn) < count:
            index = below(size)
            if index not in taken:
                drawn[index] = None
        return [*drawn]
    free = [index for index in range(size) if index not in taken]
    for _ in range(count):
        at = below(len(free))
        free[at], free[-1] = free[-1], free[at]
        drawn[free.pop()] = None
    return [*drawn]


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _number(claims: Claims, name: str) -> float | None:
    # Parts of seconds are as good as whole ones (NumericDate, RFC 7519 section 2).
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LAST_MOMENT:
        raise StatusListRefused(f"{name} is not a number of seconds")
    return value
