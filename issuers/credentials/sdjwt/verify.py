"""Is this presentation what it claims to be? Every rule of RFC 9901 §7.1 and §7.3, answered with a value."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from core.jose import Algorithm, Claims, Key
from issuers.credentials.sdjwt import vc
from issuers.credentials.sdjwt.disclosing import disclose, hash_of
from issuers.credentials.sdjwt.jws import Token, is_typ, read_token
from issuers.credentials.sdjwt.keybinding import Binding, Proof, Window, holder_key, read_proof
from issuers.credentials.sdjwt.parts import Parts, read_parts
from issuers.credentials.sdjwt.reasons import Reason, Unacceptable
from issuers.credentials.sdjwt.times import moment
from issuers.credentials.x5c import Anchors, Break, leaf_key
from issuers.status.rules import Reference

NO_SKEW: Final = timedelta()
RECENT: Final = Window()


# ---- whose word counts ----


class Vouched(msgspec.Struct, frozen=True):
    """Keys that may have signed a token, and the authorities that stand behind them."""

    keys: tuple[ec.EllipticCurvePublicKey, ...]
    authority_key_ids: frozenset[str] = frozenset()


class Trust(Protocol):
    """Knows which keys may have signed a token with this header."""

    def vouch(self, header: Claims, now: datetime) -> Vouched:
        """The keys; Unacceptable where there is none."""
        ...


class KnownKeys:
    """Trusts keys by themselves. A kid in the header chooses among those that have one."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = tuple(
            (key.kid, key.public)
            for key in keys
            if key.fits(Algorithm.ES256) and isinstance(key.public, ec.EllipticCurvePublicKey)
        )

    def vouch(self, header: Claims, now: datetime) -> Vouched:
        """The keys that the header's kid leaves, and that its certificate, where there is one, is for."""
        kid = header.get("kid")
        if "kid" in header and not isinstance(kid, str):
            raise Unacceptable(Reason.HEADER)
        keys = tuple([key for name, key in self._keys if kid is None or name is None or name == kid])
        if "x5c" in header:
            # The first certificate is that of the signing key (RFC 7515 §4.1.6), also where nobody asks it.
            named = leaf_key(header["x5c"])
            keys = tuple([key for key in keys if key == named])
        if not keys:
            raise Unacceptable(Reason.UNKNOWN_KEY)
        return Vouched(keys)


class Anchored:
    """Trusts whoever one of these anchors certified, by the chain in the header."""

    def __init__(self, anchors: Anchors) -> None:
        self._anchors = anchors

    def vouch(self, header: Claims, now: datetime) -> Vouched:
        """The key of the leaf, once its whole path holds now."""
        path = self._anchors.trace(header.get("x5c"), now)
        if isinstance(path, Break):
            raise Unacceptable(Reason.CHAIN)
        return Vouched((path.key,), path.authority_key_ids)


class Memory:
    """Issuers' signatures that held: a credential shown again costs one signature check less, and nothing else.

    What is kept is a digest of token and signature, with the very key that it held under.
    """

    def __init__(self, most: int = 4096) -> None:
        self._most = most
        self._held: dict[bytes, ec.EllipticCurvePublicKey] = {}

    def holds(self, token: Token, key: ec.EllipticCurvePublicKey) -> bool:
        """Whether this key signed it, from memory or by asking the signature."""
        seen = hashlib.sha256(token.signed + b"." + token.signature).digest()
        if self._held.get(seen) is key:
            return True
        if not token.is_signed_by(key):
            return False
        while len(self._held) >= self._most:
            self._held.pop(next(iter(self._held)), None)
        self._held[seen] = key
        return True


# ---- what is expected, and the answer ----


@dataclass(frozen=True, slots=True)
class Expected:
    """What a verifier asks for. Without `binding` no proof is asked for; whether one is never depends on what came."""

    binding: Binding | None
    vcts: Collection[str] | None = None
    issuers: Collection[str] | None = None
    required: Collection[str] = ()
    typ: str = vc.TYP
    skew: timedelta = NO_SKEW
    window: Window = RECENT


class Accepted(msgspec.Struct, frozen=True):
    """The processed claims of a presentation that broke no rule. Its status is still to be asked for, and last."""

    claims: Mapping[str, object]
    header: Claims
    types: tuple[str, ...]
    status: Reference | None
    holder: ec.EllipticCurvePublicKey | None
    bound_at: datetime | None
    authority_key_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Refused:
    """The first rule that was broken."""

    reason: Reason


def verify(
    presentation: str, trust: Trust, expected: Expected, now: datetime, memory: Memory | None = None
) -> Accepted | Refused:
    """Settles everything but the status, which is looked up only for a presentation that is accepted here."""
    try:
        return _verify(presentation, trust, expected, now, memory)
    except Unacceptable as broken:
        return Refused(broken.reason)


def _verify(
    presentation: str, trust: Trust, expected: Expected, now: datetime, memory: Memory | None
) -> Accepted:
    parts = read_parts(presentation)
    if parts.binding is None and expected.binding is not None:
        raise Unacceptable(Reason.BINDING_MISSING)
    token = read_token(parts.issued)
    if not is_typ(token.header, expected.typ):
        raise Unacceptable(Reason.TYPE)
    vouched = trust.vouch(token.header, now)
    held_by = token.is_signed_by if memory is None else partial(memory.holds, token)
    try:
        opened = _open(token.claims, parts, expected, now)
    except Unacceptable:
        # Whatever else is wrong with it: of what nobody signed, only that is said.
        if not any(map(held_by, vouched.keys)):
            raise Unacceptable(Reason.SIGNATURE) from None
        raise
    # Both signatures one after the other: each leaves nothing of the interpreter in the processor's caches.
    if not any(map(held_by, vouched.keys)):
        raise Unacceptable(Reason.SIGNATURE)
    proof = opened.proof
    return Accepted(
        opened.claims,
        token.header,
        opened.types,
        opened.status,
        None if proof is None else proof.key,
        None if proof is None else proof.settle(),
        vouched.authority_key_ids,
    )


class _Opened(msgspec.Struct, frozen=True):
    """A presentation of which everything is settled but the signatures."""

    claims: dict[str, object]
    types: tuple[str, ...]
    status: Reference | None
    proof: Proof | None


def _open(signed: Mapping[str, object], parts: Parts, expected: Expected, now: datetime) -> _Opened:
    hashed = hash_of(signed)
    claims = disclose(signed, parts.disclosures, hashed)
    _check_claims(claims, expected, now)
    kinds, status = _check_credential(signed, claims, expected)
    if parts.binding is None:
        return _Opened(claims, kinds, status, None)
    key, asked = holder_key(claims), expected.binding
    proof = read_proof(parts.binding, parts.bound, hashed, key, asked=asked, now=now, window=expected.window)
    return _Opened(claims, kinds, status, proof)


def _check_claims(claims: Mapping[str, object], expected: Expected, now: datetime) -> None:
    """The claims that say from whom and when, in the processed payload (RFC 9901 §7.1, step 6)."""
    if expected.required and any(claims.get(name) is None for name in expected.required):
        raise Unacceptable(Reason.CLAIMS)
    if not (isinstance(claims.get("iss", ""), str) and isinstance(claims.get("sub", ""), str)):
        raise Unacceptable(Reason.CLAIMS)
    if expected.issuers is not None and claims.get("iss") not in expected.issuers:
        raise Unacceptable(Reason.ISSUER)
    try:
        issued, begins, ends = moment(claims, "iat"), moment(claims, "nbf"), moment(claims, "exp")
    except ValueError:
        raise Unacceptable(Reason.CLAIMS) from None
    latest = (now + expected.skew).timestamp()
    if (issued or 0) > latest or (begins or 0) > latest:
        raise Unacceptable(Reason.NOT_YET_VALID)
    if ends is not None and ends <= (now - expected.skew).timestamp():
        raise Unacceptable(Reason.EXPIRED)


def _check_credential(
    signed: Mapping[str, object], claims: Mapping[str, object], expected: Expected
) -> tuple[tuple[str, ...], Reference | None]:
    """What the profile for credentials adds; a plain SD-JWT has no type and no status to be judged."""
    if expected.typ != vc.TYP:
        if expected.vcts is not None and claims.get("vct") not in expected.vcts:
            raise Unacceptable(Reason.CREDENTIAL_TYPE)
        return (), None
    vc.check_plain(signed, claims)
    kinds = vc.types(claims)
    if expected.vcts is not None and not any(kind in expected.vcts for kind in kinds):
        raise Unacceptable(Reason.CREDENTIAL_TYPE)
    return kinds, vc.status_reference(claims)
