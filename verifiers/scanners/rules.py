"""The code that lets a device in once, and the proof that the device holds the key it brings."""

import secrets
from datetime import timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from core import jose, p256

CODE_LIFE: Final = timedelta(minutes=15)
PROOF: Final = "citycard/scanner/1"

# Crockford's letters: nobody has to tell 0 from O or 1 from I when reading from one screen to another.
_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MEANT: Final = str.maketrans("OILU", "011V", "- ")
CODE_LENGTH: Final = 26


def new_code() -> str:
    """128 random bits and two more, as 26 letters."""
    return "".join(secrets.choice(_LETTERS) for _ in range(CODE_LENGTH))


def written(code: str) -> str:
    """The code as people read it: in groups."""
    return "-".join(code[at : at + 5] for at in range(0, CODE_LENGTH, 5))


def understood(typed: str) -> str | None:
    """The code that was meant, or None where no code looks like this."""
    code = typed.upper().translate(_MEANT)
    return code if len(code) == CODE_LENGTH and set(code) <= set(_LETTERS) else None


def to_be_signed(code: str, thumbprint: str) -> bytes:
    """What a device signs to show that it holds the key, for this code and no other."""
    return f"{PROOF}:{code}:{thumbprint}".encode()


def device_key(members: dict[str, str]) -> ec.EllipticCurvePublicKey:
    """The device's key; KeyRefused for anything but a P-256 public key."""
    key = jose.read_jwk(members).public
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise jose.KeyRefused("a scanner's key is on P-256")
    return key


def proves(key: ec.EllipticCurvePublicKey, code: str, proof: bytes) -> bool:
    """Did the holder of this key sign this code?"""
    return p256.verify(key, to_be_signed(code, jose.thumbprint(key)), proof)
