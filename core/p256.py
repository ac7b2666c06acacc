"""What is particular to P-256 as this house uses it: raw signatures with low s, compressed points, key ids."""

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The number of points of the curve: s and ORDER - s sign the same."""

SIGNATURE_LENGTH = 64
KID_LENGTH = 4

# RFC 6979: the nonce comes from key and message, so that a weak random source cannot give the key away.
_SIGNING = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
_VERIFYING = ec.ECDSA(hashes.SHA256())


def sign(private_key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """ES256 as raw r‖s, 64 bytes, with the smaller of the two values of s."""
    return raw_low_s(private_key.sign(data, _SIGNING))


def raw_low_s(der: bytes) -> bytes:
    """A DER signature, such as a library or a token hands out, in the one form that leaves this house."""
    r, s = decode_dss_signature(der)
    return r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")


def low_s(raw: bytes) -> bytes:
    """The one of the two equivalent raw signatures whose s lies in the lower half."""
    if len(raw) != SIGNATURE_LENGTH:
        raise ValueError("a signature has 64 bytes")
    if is_low_s(raw):
        return raw
    return raw[:32] + (ORDER - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")


def is_low_s(raw: bytes) -> bool:
    """Whether a raw signature is the canonical one of its two twins."""
    return len(raw) == SIGNATURE_LENGTH and int.from_bytes(raw[32:], "big") <= ORDER // 2


def verify(public_key: ec.EllipticCurvePublicKey, data: bytes, raw: bytes) -> bool:
    """Whether this raw signature is the key's over the data; low s is a separate question."""
    if len(raw) != SIGNATURE_LENGTH:
        return False
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    try:
        public_key.verify(der, data, _VERIFYING)
    except InvalidSignature:
        return False
    return True


def point(public_key: ec.EllipticCurvePublicKey) -> bytes:
    """The public key in 33 bytes; ValueError for a key on another curve."""
    if public_key.curve.name != ec.SECP256R1.name:
        raise ValueError("only P-256 keys are used")
    return public_key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)


def from_point(octets: bytes) -> ec.EllipticCurvePublicKey:
    """The public key of a compressed point; ValueError where the bytes are no point of the curve."""
    if len(octets) != 33 or octets[0] not in {2, 3}:
        raise ValueError("a compressed P-256 point has 33 bytes, the first 2 or 3")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), octets)


def kid_of(public_key: ec.EllipticCurvePublicKey) -> bytes:
    """The short name of a key: derived from the key, so that a restored copy keeps its name."""
    return hashlib.sha256(point(public_key)).digest()[:KID_LENGTH]
