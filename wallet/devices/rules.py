"""What a phone signs to prove that it has a key, whether it signed just that, and from when on it may pay."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from core.access.rules import Level
from core.jose import Key, verify

DEVICE_TYPE = "citycard-device+jwt"
"""By the phone's key, at enrolment: `aud`, `nonce`."""
CARDS_TYPE = "citycard-cards+jwt"
"""By the phone's key, for a batch: `aud`, `nonce`, `kind`, `holders` (thumbprints, in order)."""
HOLDER_TYPE = "citycard-holder+jwt"
"""By the key of each card that is asked for: `aud`, `nonce`, `device`."""

CHALLENGE_FOR = timedelta(minutes=5)
LONGEST_PROOF = 8 * 1024


class Fault(StrEnum):
    """What a proof says otherwise than it should."""

    SIGNATURE = "signature"
    AUDIENCE = "audience"
    NONCE = "nonce"
    CONTENT = "content"


def proof_fault(claims: Mapping[str, object], expected: Mapping[str, object]) -> Fault | None:
    """What a verified proof says otherwise; a claim that is not expected is as wrong as one that is missing."""
    if claims.get("aud") != expected["aud"]:
        return Fault.AUDIENCE
    if claims.get("nonce") != expected["nonce"]:
        return Fault.NONCE
    said = {name: value for name, value in claims.items() if name != "iat"}
    return None if said == dict(expected) else Fault.CONTENT


def read_proof(token: str, key: Key, typ: str) -> Mapping[str, object]:
    """What the holder of this key signed as this type; TokenRefused otherwise."""
    return verify(token, key, typ=typ, longest=LONGEST_PROOF).claims


def pays_from(enrolled_at: datetime, *, first: bool, level: str, wait: timedelta) -> datetime:
    """From when on a phone may pay that was enrolled now: at once if it is somebody's first, or an online ID vouched.

    Any other waits: whoever has got hold of a login gets no money before its owner has read of the new phone.
    """
    return enrolled_at if first or level == Level.HIGH else enrolled_at + wait


class DeviceState(StrEnum):
    """What has become of a phone, as it is told when it asks."""

    IN_USE = "in-use"
    REPLACED = "replaced"
    """Another phone has taken its place."""
    REMOVED = "removed"
