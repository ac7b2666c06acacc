"""The bytes we sign: deterministic CBOR and COSE_Sign1 with ES256, in one spelling only, all others refused."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from core import p256

# No tags, floats, booleans or nulls: what no code needs, no decoder has to understand.
Value: TypeAlias = int | bytes | str | list["Value"] | dict[int, "Value"]

ALGORITHM: Final = -7
KID_BYTES: Final = 4
POINT_BYTES: Final = 33
MOST_BYTES: Final = 4096
MOST_DEPTH: Final = 4

# Labels of the protected header: algorithm and key id (RFC 9052), type (RFC 9596).
_ALG, _KID, _TYP = 1, 4, 16

_ORDER_BYTES: Final = p256.ORDER.to_bytes(32, "big")
_HALF_ORDER_BYTES: Final = (p256.ORDER // 2).to_bytes(32, "big")
_ZERO: Final = bytes(32)
_ES256: Final = ec.ECDSA(SHA256())
_CONTEXT: Final = b"\x84\x6aSignature1"


class Malformed(ValueError):
    """The bytes are not spelt in the one way that is allowed; never leaves the rules that read them."""


class Signs(Protocol):
    """Whoever can sign with ES256, wherever the key lies."""

    def sign(self, data: bytes, /) -> bytes:
        """The signature over these bytes as raw r‖s, 64 bytes."""
        ...


class Signer(Signs, Protocol):
    """A signing key of an authority, known to others by its four-byte id."""

    @property
    def kid(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class KeyInHand:
    """A signer whose private key lies in memory: a phone's, a test's."""

    key: ec.EllipticCurvePrivateKey
    kid: bytes = b""

    def sign(self, data: bytes, /) -> bytes:
        """Signs without chance (RFC 6979): no weak random number can give the key away."""
        return p256.sign(self.key, data)


@dataclass(frozen=True, slots=True)
class Header:
    """What the protected header says: the type of the thing, and whose key (a proof names none)."""

    typ: int
    kid: bytes | None


@dataclass(frozen=True, slots=True)
class Sign1:
    """A COSE_Sign1 as it was read; nothing in it is believed before `verify` has said so."""

    protected: bytes
    payload: bytes
    signature: bytes


# ---- CBOR ----------------------------------------------------------------------------------------------------


def encode(value: Value) -> bytes:
    """The deterministic encoding (RFC 8949 §4.2.1): shortest heads, keys in order of their bytes."""
    # A type is compared before it is searched for: a city's cards are hundreds of thousands of small numbers.
    if type(value) is int:
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if type(value) is bytes:
        return _head(2, len(value)) + value
    match value:
        case bool():
            raise TypeError("a code carries no booleans")
        case int():
            return _head(0, value) if value >= 0 else _head(1, -1 - value)
        case bytes():
            return _head(2, len(value)) + value
        case str():
            text = value.encode()
            return _head(3, len(text)) + text
        case list():
            return _head(4, len(value)) + b"".join([encode(item) for item in value])
        case dict():
            pairs = sorted([(encode(key), encode(item)) for key, item in value.items()])
            return _head(5, len(pairs)) + b"".join([key + item for key, item in pairs])
        case _:
            raise TypeError("a code carries integers, bytes, text, lists and maps")


def decode(data: bytes) -> Value:
    """Reads one item that fills `data` to the last byte; refuses whatever `encode` would have spelt otherwise."""
    if len(data) > MOST_BYTES:
        raise Malformed("more bytes than any code has")
    value, end = _item(data, 0, MOST_DEPTH)
    if end != len(data):
        raise Malformed("bytes left over")
    return value


_OCTETS = tuple(bytes((n,)) for n in range(256))


def _head(major: int, n: int) -> bytes:
    top = major << 5
    if n < 24:
        return _OCTETS[top | n]
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 1 << (8 * size):
            return bytes((top | info,)) + n.to_bytes(size, "big")
    raise ValueError("integers have at most 64 bits here")


def _read_head(data: bytes, at: int) -> tuple[int, int, int]:
    if at >= len(data):
        raise Malformed("bytes are missing")
    first = data[at]
    info = first & 31
    at += 1
    if info < 24:
        return first >> 5, info, at
    if info > 27:
        raise Malformed("indefinite lengths and reserved heads are not allowed")
    size = 1 << (info - 24)
    end = at + size
    if end > len(data):
        raise Malformed("bytes are missing")
    n = int.from_bytes(data[at:end], "big")
    if n < (24 if size == 1 else 1 << (4 * size)):
        raise Malformed("a shorter head would have done")
    return first >> 5, n, end


def _item(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    major, n, at = _read_head(data, at)
    if major == 0:
        return n, at
    if major == 1:
        return -1 - n, at
    if major < 4:
        end = at + n
        if end > len(data):
            raise Malformed("bytes are missing")
        if major == 2:
            return data[at:end], end
        try:
            return data[at:end].decode(), end
        except UnicodeDecodeError:
            raise Malformed("text is not UTF-8") from None
    if major > 5:
        raise Malformed("tags, floats and simple values are not allowed")
    if depth == 0:
        raise Malformed("nested too deeply")
    if n > len(data) - at:
        raise Malformed("bytes are missing")
    if major == 4:
        items: list[Value] = []
        for _ in range(n):
            item, at = _item(data, at, depth - 1)
            items.append(item)
        return items, at
    pairs: dict[int, Value] = {}
    before = b""
    for _ in range(n):
        start = at
        key, at = _item(data, at, 0)
        spelt = data[start:at]
        # Ascending order also rules out a key that comes twice.
        if not isinstance(key, int) or spelt <= before:
            raise Malformed("keys are integers in ascending order")
        before = spelt
        pairs[key], at = _item(data, at, depth - 1)
    return pairs, at


# ---- COSE_Sign1 ----------------------------------------------------------------------------------------------


def sign(signer: Signs, typ: int, kid: bytes | None, payload: bytes, external_aad: bytes) -> bytes:
    """Signs a payload and returns the untagged COSE_Sign1, its signature brought to the lower half."""
    protected = _protected(typ, kid)
    signature = p256.low_s(signer.sign(_to_be_signed(protected, external_aad, payload)))
    return b"\x84" + encode(protected) + b"\xa0" + encode(payload) + b"\x58\x40" + signature


@lru_cache(maxsize=256)
def _protected(typ: int, kid: bytes | None) -> bytes:
    """The protected header as it stands in everything of one type that one key signs."""
    header: dict[int, Value] = {_ALG: ALGORITHM, _TYP: typ}
    if kid is not None:
        if len(kid) != KID_BYTES:
            raise ValueError("a key id has four bytes")
        header[_KID] = kid
    return encode(header)


def read_sign1(data: bytes, at: int = 0) -> tuple[Sign1, int]:
    """Reads the COSE_Sign1 that begins at `at`, and says where it ends."""
    if data[at : at + 1] != b"\x84":
        raise Malformed("a signed thing is a list of four")
    protected, at = _read_bytes(data, at + 1)
    if data[at : at + 1] != b"\xa0":
        raise Malformed("the unprotected map is empty")
    payload, at = _read_bytes(data, at + 1)
    signature, at = _read_bytes(data, at)
    if len(signature) != 64:
        raise Malformed("a signature has 64 bytes")
    return Sign1(protected, payload, signature), at


@lru_cache(maxsize=256)
def read_header(protected: bytes) -> Header:
    """Reads the protected header. Few keys sign, so the same few headers come again and again."""
    header = decode(protected)
    if (
        not isinstance(header, dict)
        or header.get(_ALG) != ALGORITHM
        or not header.keys() <= {_ALG, _KID, _TYP}
    ):
        raise Malformed("the header names ES256, a type and perhaps a key, and nothing else")
    typ, kid = header.get(_TYP), header.get(_KID)
    if not isinstance(typ, int):
        raise Malformed("the type is missing")
    if kid is None and _KID not in header:
        return Header(typ, None)
    if not isinstance(kid, bytes) or len(kid) != KID_BYTES:
        raise Malformed("a key id has four bytes")
    return Header(typ, kid)


def verify(key: ec.EllipticCurvePublicKey, signed: Sign1, external_aad: bytes) -> bool:
    """Did the holder of this key sign this, for this purpose? Of the two valid signatures only low s counts."""
    r, s = signed.signature[:32], signed.signature[32:]
    if not (_ZERO < r < _ORDER_BYTES and _ZERO < s <= _HALF_ORDER_BYTES):
        return False
    try:
        key.verify(_der(r, s), _to_be_signed(signed.protected, external_aad, signed.payload), _ES256)
    except InvalidSignature:
        return False
    return True


def _read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    major, n, at = _read_head(data, at)
    end = at + n
    if major != 2 or end > len(data):
        raise Malformed("bytes were expected")
    return data[at:end], end


def _to_be_signed(protected: bytes, external_aad: bytes, payload: bytes) -> bytes:
    return b"".join(
        (
            _CONTEXT,
            _head(2, len(protected)),
            protected,
            _head(2, len(external_aad)),
            external_aad,
            _head(2, len(payload)),
            payload,
        )
    )


# ---- Keys and signatures -------------------------------------------------------------------------------------


def point(compressed: bytes) -> ec.EllipticCurvePublicKey:
    """The public key of a compressed point; Malformed if it does not lie on the curve."""
    try:
        return p256.from_point(compressed)
    except ValueError:
        raise Malformed("the point is not on the curve") from None


def _der(r: bytes, s: bytes) -> bytes:
    body = _der_integer(r) + _der_integer(s)
    return bytes((0x30, len(body))) + body


def _der_integer(n: bytes) -> bytes:
    n = n.lstrip(b"\0")
    if n[0] & 0x80:
        n = b"\0" + n
    return bytes((2, len(n))) + n
