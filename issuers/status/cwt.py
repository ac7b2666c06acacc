"""A status list as a CWT: COSE_Sign1 over deterministic CBOR (Token Status List, sections 5.2 and 8.2)."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

from core import p256
from core.vault import Signer
from issuers.status.rules import (
    CWT_TYPE,
    LARGEST,
    LONGEST,
    StatusList,
    StatusListRefused,
    StatusListToken,
)

_ALG, _KID, _TYP, _X5CHAIN = 1, 4, 16, 33
_ES256 = -7
_SIGN1 = 18
_SUB, _EXP, _IAT, _STATUS_LIST, _TTL = 2, 4, 6, 65533, 65534
_LAST_MOMENT = 2**35


def sign_cwt(signer: Signer, token: StatusListToken, x5c: Sequence[str] = ()) -> bytes:
    """The signed list; `x5c` is the chain in base64, leaf first, for lists that verifiers read without our trust list."""
    header: dict[int, Any] = {_ALG: _ES256, _KID: signer.kid, _TYP: CWT_TYPE}
    chain = [base64.b64decode(each) for each in x5c]
    if chain:
        # One certificate stands alone, several in an array (RFC 9360, section 2).
        header[_X5CHAIN] = chain[0] if len(chain) == 1 else chain
    protected, payload = cbor2.dumps(header, canonical=True), token.cwt_claims()
    signature = signer.sign(_to_be_signed(protected, payload))
    return cbor2.dumps(cbor2.CBORTag(_SIGN1, [protected, {}, payload, signature]), canonical=True)


def read_cwt(
    signed: bytes, key: ec.EllipticCurvePublicKey, uri: str, *, largest: int = LARGEST
) -> StatusListToken:
    """The list that was fetched from `uri` as a CWT and signed by this key; StatusListRefused for anything else."""
    if len(signed) > LONGEST:
        raise StatusListRefused("the list is larger than is taken")
    try:
        opened = cbor2.loads(signed)
        message = opened.value if isinstance(opened, cbor2.CBORTag) and opened.tag == _SIGN1 else opened
        protected, _unprotected, payload, signature = message
        header, claims = cbor2.loads(protected), cbor2.loads(payload)
    except (cbor2.CBORDecodeError, TypeError, ValueError, RecursionError):
        raise StatusListRefused("the token is no COSE_Sign1 over claims") from None
    if not isinstance(header, dict) or header.get(_ALG) != _ES256 or header.get(_TYP) != CWT_TYPE:
        raise StatusListRefused("the token is of another kind, or signed by another algorithm")
    if not isinstance(signature, bytes) or not p256.verify(key, _to_be_signed(protected, payload), signature):
        raise StatusListRefused("the signature does not hold")
    if not isinstance(claims, dict) or claims.get(_SUB) != uri:
        raise StatusListRefused("this is another list than the one that was asked for")
    listed = claims.get(_STATUS_LIST)
    bits, packed = (listed.get("bits"), listed.get("lst")) if isinstance(listed, dict) else (None, None)
    if not isinstance(bits, int) or not isinstance(packed, bytes):
        raise StatusListRefused("the list is not of the described form")
    issued, expires, ttl = (_number(claims.get(name)) for name in (_IAT, _EXP, _TTL))
    if issued is None or ttl == 0:
        raise StatusListRefused("the token does not say when it was issued, or for how long it may be kept")
    return StatusListToken(
        uri,
        StatusList.unpack(bits, packed, largest=largest),
        issued_at=datetime.fromtimestamp(issued, UTC),
        expires_at=None if expires is None else datetime.fromtimestamp(expires, UTC),
        ttl=None if ttl is None else timedelta(seconds=ttl),
    )


def _number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LAST_MOMENT:
        raise StatusListRefused("a moment or a duration is not a number of seconds")
    return value


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    return cbor2.dumps(["Signature1", protected, b"", payload], canonical=True)
