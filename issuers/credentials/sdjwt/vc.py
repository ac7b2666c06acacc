"""SD-JWT VC: what a verifiable credential adds to an SD-JWT, for those who issue and for those who verify."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.jose import Claims
from core.texts import b64url
from issuers.credentials.sdjwt.disclosing import without_digests
from issuers.credentials.sdjwt.issue import (
    NO_DECOYS,
    Decoys,
    Disclosable,
    conceal,
    seal_header,
    sign_concealed,
)
from issuers.credentials.sdjwt.jws import ALGORITHM
from issuers.credentials.sdjwt.reasons import Reason, Unacceptable
from issuers.status.rules import Reference, StatusListRefused, read_reference

TYP: Final = "dc+sd-jwt"

PLAIN: Final = frozenset({"iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "aka_vcts", "status"})
"""Claims that are never disclosable, nor is anything within them."""

# What `issue` writes itself; the rest of PLAIN may be handed to it.
_WRITTEN = frozenset({"iss", "nbf", "exp", "iat", "cnf", "vct", "status"})
_DAY = 86_400
_ALMOST_A_DAY = timedelta(seconds=_DAY - 1)


# ---- issuing ----


@dataclass(frozen=True, slots=True)
class Kind:
    """What all credentials of one issuer and type have in common, made once."""

    issuer: str
    vct: str
    header: str
    decoys: Decoys


def prepare(issuer: str, vct: str, x5c: list[str], decoys: Decoys = NO_DECOYS) -> Kind:
    """A kind of credential; `x5c` is the chain as core.jose.x5c checked and wrote it: leaf first, without the anchor."""
    if not (issuer and vct and x5c):
        raise ValueError("a credential names its issuer, its type and its chain")
    return Kind(issuer, vct, seal_header({"alg": ALGORITHM, "typ": TYP, "x5c": x5c}), decoys)


def issue(
    kind: Kind,
    claims: Claims,
    *,
    holder: ec.EllipticCurvePublicKey,
    status: Reference,
    now: datetime,
    ends: datetime,
    sign: Callable[[bytes], bytes],
    begins: datetime | None = None,
) -> str:
    """A credential for this key and this place in a status list, in compact form with all its disclosures.

    Write its row first: what is signed must be revocable. Moments are rounded to the day, so that credentials made
    in one batch, or on one day, cannot be told apart by them.
    """
    if not _WRITTEN.isdisjoint(claims):
        raise ValueError("these claims follow from the credential itself")
    for name in PLAIN & claims.keys():
        if _hides(claims[name]):
            raise ValueError(f"{name} is never disclosable")
    concealed = conceal(claims, decoys=kind.decoys)
    concealed.payload.update(
        {
            "iss": kind.issuer,
            "vct": kind.vct,
            "iat": _floor(now),
            # Rounded up: nobody loses the last day, and the status list ends a credential to the minute.
            "exp": _floor(ends + _ALMOST_A_DAY),
            "cnf": {"jwk": holder_jwk(holder)},
            "status": status.claim(),
        }
    )
    if begins is not None:
        concealed.payload["nbf"] = _floor(begins)
    return sign_concealed(concealed, kind.header, sign)


def holder_jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """The holder's key as `cnf` carries it."""
    if key.curve.name != ec.SECP256R1.name:
        raise ValueError("a holder's key is on P-256")
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return {"kty": "EC", "crv": "P-256", "x": b64url(point[1:33]), "y": b64url(point[33:])}


def _floor(moment: datetime) -> int:
    return int(moment.timestamp()) // _DAY * _DAY


def _hides(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_hides, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_hides, value))
    return isinstance(value, Disclosable)


# ---- verifying ----


def check_plain(signed: Mapping[str, object], opened: Mapping[str, object]) -> None:
    """Unacceptable where a claim that must stand in the open was disclosed, or something within it was.

    Digests of nothing are passed over: some issuers scatter decoys everywhere.
    """
    for name in PLAIN & opened.keys():
        if name not in signed:
            raise Unacceptable(Reason.NEVER_DISCLOSABLE)
        if signed[name] != opened[name] and without_digests(signed[name]) != opened[name]:
            raise Unacceptable(Reason.NEVER_DISCLOSABLE)


def types(claims: Mapping[str, object]) -> tuple[str, ...]:
    """What the credential is: its `vct` first, then what else the issuer says that it is."""
    vct, others = claims.get("vct"), claims.get("aka_vcts", [])
    if not isinstance(vct, str) or not vct:
        raise Unacceptable(Reason.CREDENTIAL_TYPE)
    if not isinstance(others, list) or not all(isinstance(other, str) for other in others):
        raise Unacceptable(Reason.CREDENTIAL_TYPE)
    return (vct, *others)


def status_reference(claims: Mapping[str, object]) -> Reference | None:
    """Where the credential's status stands; Unacceptable where it has one that nobody here can look up."""
    if "status" not in claims:
        return None
    try:
        return read_reference(claims["status"])
    except StatusListRefused:
        raise Unacceptable(Reason.STATUS) from None
