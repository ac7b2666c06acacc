"""The holder's proof: that whoever presents holds the key in the credential, here, now and for this verifier."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from core.texts import unb64url
from issuers.credentials.sdjwt.disclosing import Hash, digest
from issuers.credentials.sdjwt.jws import ALGORITHM, Token, is_typ, read_token
from issuers.credentials.sdjwt.reasons import Reason, Unacceptable
from issuers.credentials.sdjwt.times import aware, moment

TYP: Final = "kb+jwt"


@dataclass(frozen=True, slots=True)
class Binding:
    """What the verifier put into its request; a proof for anybody or anything else is none."""

    audience: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Window:
    """How old a proof may be when it arrives, and how far a holder's clock may be ahead."""

    age: timedelta = timedelta(minutes=5)
    ahead: timedelta = timedelta(seconds=60)


_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


def holder_key(claims: Mapping[str, object]) -> ec.EllipticCurvePublicKey:
    """The key that the issuer bound the credential to (`cnf.jwk`); Unacceptable where none can be used."""
    cnf = claims.get("cnf")
    members = cnf.get("jwk") if isinstance(cnf, dict) else None
    if not isinstance(members, dict) or not _PRIVATE.isdisjoint(members):
        raise Unacceptable(Reason.HOLDER_KEY)
    x, y = members.get("x"), members.get("y")
    if (
        members.get("kty") != "EC"
        or members.get("crv") != "P-256"
        or members.get("alg", ALGORITHM) != ALGORITHM
        or members.get("use", "sig") != "sig"
        or not isinstance(x, str)
        or not isinstance(y, str)
        or len(x) != 43
        or len(y) != 43
    ):
        raise Unacceptable(Reason.HOLDER_KEY)
    try:
        point = b"\x04" + unb64url(x) + unb64url(y)
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        raise Unacceptable(Reason.HOLDER_KEY) from None


class Proof(msgspec.Struct, frozen=True):
    """A holder's proof of which everything is judged but its signature, and that comes first in the answer."""

    token: Token
    key: ec.EllipticCurvePublicKey
    signed_at: float
    broken: Reason | None

    def settle(self) -> datetime:
        """When the holder signed; Unacceptable where they did not, or where what they signed broke a rule."""
        if not self.token.is_signed_by(self.key):
            raise Unacceptable(Reason.BINDING_SIGNATURE)
        if self.broken is not None:
            raise Unacceptable(self.broken)
        return aware(self.signed_at)


def read_proof(
    text: str,
    bound: str,
    hashed: Hash,
    key: ec.EllipticCurvePublicKey,
    *,
    asked: Binding | None,
    now: datetime,
    window: Window,
) -> Proof:
    """The holder's proof for this presentation and this request; Unacceptable where it is none at all.

    Where no proof was asked for, its audience, nonce and times belong to somebody else's request and are not judged.
    """
    try:
        token = read_token(text)
    except Unacceptable as broken:
        raise Unacceptable(_AS_BINDING[broken.reason]) from None
    if not is_typ(token.header, TYP):
        raise Unacceptable(Reason.BINDING_TYPE)
    try:
        return Proof(token, key, _judge(token, bound, hashed, asked=asked, now=now, window=window), None)
    except Unacceptable as broken:
        return Proof(token, key, 0, broken.reason)


def _judge(
    token: Token, bound: str, hashed: Hash, *, asked: Binding | None, now: datetime, window: Window
) -> float:
    if asked is not None:
        # One text each, exactly: a list of audiences would be a proof for several verifiers (RFC 9901 §4.3).
        if token.claims.get("aud") != asked.audience:
            raise Unacceptable(Reason.BINDING_AUDIENCE)
        if token.claims.get("nonce") != asked.nonce:
            raise Unacceptable(Reason.BINDING_NONCE)
    signed_at = _signed_at(token.claims, None if asked is None else now, window)
    if token.claims.get("sd_hash") != digest(hashed, bound):
        raise Unacceptable(Reason.BINDING_HASH)
    return signed_at


def _signed_at(claims: Mapping[str, object], now: datetime | None, window: Window) -> float:
    try:
        signed_at, begins, ends = moment(claims, "iat"), moment(claims, "nbf"), moment(claims, "exp")
    except ValueError:
        raise Unacceptable(Reason.BINDING_TIME) from None
    if signed_at is None:
        raise Unacceptable(Reason.BINDING_TIME)
    if now is not None:
        earliest, latest = (now - window.age).timestamp(), (now + window.ahead).timestamp()
        if not earliest <= signed_at <= latest or (begins or 0) > latest or (ends or inf) <= now.timestamp():
            raise Unacceptable(Reason.BINDING_TIME)
    return signed_at


_AS_BINDING = {
    Reason.MALFORMED: Reason.BINDING_MALFORMED,
    Reason.HEADER: Reason.BINDING_MALFORMED,
    Reason.ALGORITHM: Reason.BINDING_ALGORITHM,
}
