"""Signed JSON: what this house signs, and what it takes from others only after every doubt is settled.

For our own tokens, `verify` settles who signed what, never when: the times in them are judged by rules, with `now`.
Access tokens and client assertions are settled here in full, times included.
"""

import base64
import hashlib
import itertools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import cast

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from core.errors import DomainError
from core.p256 import is_low_s
from core.texts import b64url, read_object, unb64url
from core.vault import Signer

Claims = Mapping[str, object]
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

LONGEST = 16 * 1024
"""Characters of a token that anybody may send us."""

LEEWAY = timedelta(seconds=30)
"""How far another server's clock may be off."""


class Algorithm(StrEnum):
    """Every algorithm that can be allowed. None shares a secret, so no public key can pass for one."""

    ES256 = "ES256"
    ES384 = "ES384"
    RS256 = "RS256"
    PS256 = "PS256"
    EDDSA = "EdDSA"


OURS = frozenset({Algorithm.ES256})
"""What this house and its devices sign with."""

ANY = frozenset(Algorithm)
"""What an OpenID provider or a department's machine may sign with."""


class Refusal(StrEnum):
    """Why a token was not taken."""

    MALFORMED = "malformed"
    HEADER = "header"
    ALGORITHM = "algorithm"
    TYPE = "type"
    KEY = "key"
    SIGNATURE = "signature"
    CLAIMS = "claims"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    NOT_YET_VALID = "not-yet-valid"
    EXPIRED = "expired"


class TokenRefused(DomainError):
    """The token was not taken; `why` says so in one word, and nothing of the token is repeated."""

    slug, title = "token-refused", "The token was not accepted"

    def __init__(self, why: Refusal, detail: str) -> None:
        super().__init__(detail, reason=why)
        self.why = why


class KeyRefused(DomainError):
    """The JSON Web Key is not a public key that this house verifies with."""

    slug, title = "key-refused", "The key was not accepted"


class ChainRefused(ValueError):
    """A certificate chain that must not stand in a token's header."""


# ---- keys ----


@dataclass(frozen=True, slots=True)
class Key:
    """A public key as others name it, perhaps bound to one algorithm."""

    public: PublicKey
    kid: str | None = None
    algorithm: Algorithm | None = None

    def fits(self, algorithm: Algorithm) -> bool:
        """Whether a signature of this algorithm can be this key's."""
        if self.algorithm is not None and algorithm is not self.algorithm:
            return False
        match self.public:
            case ec.EllipticCurvePublicKey():
                return algorithm == _BY_CURVE.get(self.public.curve.name)
            case rsa.RSAPublicKey():
                return algorithm in {Algorithm.RS256, Algorithm.PS256}
            case ed25519.Ed25519PublicKey():
                return algorithm is Algorithm.EDDSA


@dataclass(frozen=True, slots=True)
class KeySet:
    """Keys of one party; a kid names one of them or none."""

    keys: tuple[Key, ...] = field(default=())

    def __post_init__(self) -> None:
        named = [key.kid for key in self.keys if key.kid is not None]
        if len(named) != len(set(named)):
            raise KeyRefused("two keys of one set have the same kid")

    def named(self, kid: str) -> Key | None:
        """The key of this name."""
        return next((key for key in self.keys if key.kid == kid), None)


_CURVES: Mapping[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}
_WIDTHS = {name: (curve.key_size + 7) // 8 for name, curve in _CURVES.items()}
_BY_CURVE = {ec.SECP256R1.name: Algorithm.ES256, ec.SECP384R1.name: Algorithm.ES384}
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n"), "OKP": ("crv", "kty", "x")}


def jwk(public: PublicKey, *, kid: str | None = None, use: str | None = None) -> dict[str, str]:
    """The public key as JSON Web Key: what identifies it, and a name where it needs one."""
    match public:
        case ec.EllipticCurvePublicKey():
            full = jwt.algorithms.ECAlgorithm.to_jwk(public, as_dict=True)
        case rsa.RSAPublicKey():
            full = jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True)
        case ed25519.Ed25519PublicKey():
            full = jwt.algorithms.OKPAlgorithm.to_jwk(public, as_dict=True)
    members = {name: str(full[name]) for name in _MEMBERS[full["kty"]]}
    return members | ({"kid": kid} if kid is not None else {}) | ({"use": use} if use is not None else {})


def thumbprint(public: PublicKey) -> str:
    """The name that follows from the key itself (RFC 7638, SHA-256)."""
    canonical = json.dumps(jwk(public), sort_keys=True, separators=(",", ":"))
    return b64url(hashlib.sha256(canonical.encode()).digest())


def read_jwk(members: object) -> Key:
    """The public key that a JSON Web Key holds; KeyRefused for private, symmetric, weak and misshapen ones."""
    if not isinstance(members, dict):
        raise KeyRefused("a JSON Web Key is an object")
    if not _PRIVATE_MEMBERS.isdisjoint(members):
        raise KeyRefused("a key with a private part must not be handed about")
    kind = members.get("kty")
    if not isinstance(kind, str) or kind not in _MEMBERS:
        raise KeyRefused("this kind of key is not taken")
    shape = {name: members.get(name) for name in _MEMBERS[kind]}
    for value in shape.values():
        if not isinstance(value, str):
            raise KeyRefused("a part of the key is missing")
    if members.get("use", "sig") != "sig" or (
        "key_ops" in members and "verify" not in _listed(members["key_ops"])
    ):
        raise KeyRefused("this key is not for signatures")
    kid, named = members.get("kid"), members.get("alg")
    if not (kid is None or (isinstance(kid, str) and 1 <= len(kid) <= 256)):
        raise KeyRefused("a kid is a short text")
    try:
        algorithm = None if named is None else Algorithm(named)
        built = _built(kind, cast("dict[str, str]", shape))
    except (ValueError, jwt.PyJWTError):
        raise KeyRefused("the key is not well formed, or not of a kind that is taken") from None
    match built:
        case ec.EllipticCurvePublicKey() if built.curve.name in _BY_CURVE:
            key = Key(built, kid, algorithm)
        case rsa.RSAPublicKey() if 2048 <= built.key_size <= 8192:
            key = Key(built, kid, algorithm)
        case ed25519.Ed25519PublicKey():
            key = Key(built, kid, algorithm)
        case _:
            raise KeyRefused("the key is too weak, or not of a kind that is taken")
    if algorithm is not None and not key.fits(algorithm):
        raise KeyRefused("the key cannot be used with the algorithm that it names")
    return key


def _built(kind: str, shape: Mapping[str, str]) -> object:
    """The key of these members, each in its one form; ValueError or PyJWTError where there is none."""
    if kind == "EC":
        return _on_curve(shape["crv"], unb64url(shape["x"]), unb64url(shape["y"]))
    for name in shape.keys() - {"kty", "crv"}:
        unb64url(shape[name])
    return jwt.PyJWK(dict(shape)).key


def _on_curve(name: str, x: bytes, y: bytes) -> ec.EllipticCurvePublicKey:
    """The point of these coordinates, each as long as the curve is wide (RFC 7518 §6.2.1.2); ValueError for any other."""
    curve = _CURVES.get(name)
    if curve is None:
        raise ValueError("this curve is not taken")
    if not len(x) == len(y) == _WIDTHS[name]:
        raise ValueError("a coordinate is as long as its curve is wide")
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + x + y)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def key_set_document(keys: KeySet) -> dict[str, list[dict[str, str]]]:
    """The set as it is published (RFC 7517)."""
    return {
        "keys": [
            jwk(key.public, kid=key.kid, use="sig") | ({"alg": key.algorithm} if key.algorithm else {})
            for key in keys.keys
        ]
    }


def read_key_set(document: object) -> KeySet:
    """The usable keys of a published set; what is there for other purposes or of other kinds is passed over."""
    published = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(published, list) or len(published) > 64:
        raise KeyRefused("a key set is an object with a list of keys")
    usable = []
    for members in published:
        try:
            usable.append(read_jwk(members))
        except KeyRefused:
            continue
    return KeySet(tuple(usable))


# ---- signing ----


def sign(signer: Signer, claims: Claims, *, typ: str, protected: Claims | None = None) -> str:
    """A compact ES256 token of this type; the signer's kid stands in it unless `protected` names x5c or kid."""
    header: dict[str, object] = {"alg": Algorithm.ES256, "typ": typ, **(protected or {})}
    if header["alg"] != Algorithm.ES256 or header["typ"] != typ or _NEVER & header.keys():
        raise ValueError("this protected header must not be signed")
    if "kid" not in header and "x5c" not in header:
        header["kid"] = signer.kid.hex()
    signing_input = f"{b64url(_compact(header))}.{b64url(_compact(claims))}"
    return f"{signing_input}.{b64url(signer.sign(signing_input.encode()))}"


def x5c(chain: Sequence[Certificate], signer: Signer, now: datetime) -> list[str]:
    """The x5c header for this signer's chain, leaf first, without the anchor that verifiers hold themselves.

    ChainRefused where a verifier would refuse it later: the leaf is not the signer's, a certificate is signed by
    itself or not by the next, or one is not valid now.
    """
    if not chain:
        raise ChainRefused("the chain is empty")
    if chain[0].public_key() != signer.public_key:
        raise ChainRefused("the first certificate is not that of the signing key")
    for certificate in chain:
        if certificate.issuer == certificate.subject:
            raise ChainRefused(
                "a certificate that signed itself, such as the anchor, does not belong into x5c"
            )
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise ChainRefused("a certificate of the chain is not valid now")
    for certificate, issuer in itertools.pairwise(chain):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            raise ChainRefused("a certificate of the chain is not signed by the next one") from None
    return [base64.b64encode(certificate.public_bytes(Encoding.DER)).decode() for certificate in chain]


def _compact(value: Claims) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


# ---- verifying ----

# Headers that bring a key along or point to one: a token does not get to choose who vouches for it. `crit`
# names extensions, of which none is known here; `b64` and `zip` change what was signed.
_NEVER = frozenset({"jku", "x5u", "jwk", "crit", "b64", "zip"})
_NAMING = frozenset({"jwk", "kid", "x5c", "trust_chain"})


@dataclass(frozen=True, slots=True)
class Verified:
    """A token whose signature, algorithm, type and key are settled."""

    header: Claims
    claims: Claims
    key: Key


@dataclass(frozen=True, slots=True)
class _Read:
    header: Claims
    claims: Claims
    signing_input: bytes
    signature: bytes


def verify(
    token: str,
    keys: Key | KeySet,
    *,
    typ: str | Collection[str | None],
    algorithms: Collection[Algorithm] = OURS,
    low_s: bool = False,
    longest: int = LONGEST,
) -> Verified:
    """What the token says, once one of these keys has signed it as this type; TokenRefused otherwise.

    From a set, the key is the one that the token's kid names; a token without kid is taken only where the set has a
    single key. None among the types allows a token without `typ`, for senders that never learned to set it. `low_s`
    asks for the canonical signature, as all our own have. Times are not looked at.
    """
    read = _read(token, longest)
    algorithm = _allowed(read.header, algorithms)
    _check_header(read.header, {typ} if isinstance(typ, str) else typ)
    key = _chosen(keys, read.header)
    if not key.fits(algorithm):
        raise TokenRefused(Refusal.KEY, "the key is not for this algorithm")
    settled = _PYJWT.get_algorithm_by_name(algorithm).verify(read.signing_input, key.public, read.signature)
    if not settled or (low_s and not is_low_s(read.signature)):
        raise TokenRefused(Refusal.SIGNATURE, "the signature does not hold")
    return Verified(read.header, read.claims, key)


def verify_proof(
    token: str,
    *,
    typ: str,
    lone: bool = False,
    named: Callable[[str], Key | None] | None = None,
    longest: int = LONGEST,
) -> Verified:
    """A proof of possession that brings its own key: the only kind of token that may (RFC 9449, OpenID4VCI appendix F).

    It proves that its sender holds that key, and nothing about who that is; so it has a door of its own and never
    comes through `verify`. ES256, a `typ` spelt like this, and a public P-256 `jwk` (or, where `named` knows the key,
    its `kid`). With `lone` nothing else may name a key (appendix F.1); without, the `jwk` counts and a name beside it
    is passed over, as is every parameter that nobody here knows (RFC 7515 section 4).
    """
    read = _read(token, longest)
    _allowed(read.header, OURS)
    _check_header({name: value for name, value in read.header.items() if name != "jwk"}, {typ})
    if lone and len(_NAMING & read.header.keys()) != 1:
        raise TokenRefused(Refusal.KEY, "a proof names its key once")
    key = _brought(read.header, named)
    if not key.fits(Algorithm.ES256):
        raise TokenRefused(Refusal.KEY, "the key is not on P-256")
    if not _PYJWT.get_algorithm_by_name(Algorithm.ES256).verify(
        read.signing_input, key.public, read.signature
    ):
        raise TokenRefused(Refusal.SIGNATURE, "the signature does not hold")
    return Verified(read.header, read.claims, key)


def _brought(header: Claims, named: Callable[[str], Key | None] | None) -> Key:
    kid = header.get("kid")
    if "jwk" in header:
        try:
            return read_jwk(header["jwk"])
        except KeyRefused as refused:
            raise TokenRefused(Refusal.KEY, refused.detail or refused.title) from None
    key = named(kid) if named is not None and isinstance(kid, str) else None
    if key is None:
        raise TokenRefused(Refusal.KEY, "no key of this name is known")
    return key


def verify_access_token(
    token: str,
    keys: KeySet,
    *,
    issuer: str,
    audience: str,
    now: datetime,
    typ: str | Collection[str | None] = "at+jwt",
    algorithms: Collection[Algorithm] = ANY,
    leeway: timedelta = LEEWAY,
) -> Verified:
    """An access token for this audience from this issuer, valid at `now`; TokenRefused otherwise."""
    verified = verify(token, keys, typ=typ, algorithms=algorithms)
    check_claims(verified.claims, issuer=issuer, audience=audience, now=now, leeway=leeway)
    return verified


def check_claims(
    claims: Claims, *, issuer: str, audience: str, now: datetime, leeway: timedelta = LEEWAY
) -> datetime:
    """Settles iss, aud, exp, nbf and iat of a verified token at `now`; returns when it expires.

    PyJWT asks the machine what time it is, so its comparisons are made here, with the same strictness at the edges.
    """
    if claims.get("iss") != issuer:
        raise TokenRefused(Refusal.ISSUER, "the token is from another issuer")
    meant_for = claims.get("aud")
    if meant_for != audience and audience not in _listed(meant_for):
        raise TokenRefused(Refusal.AUDIENCE, "the token is for somebody else")
    return _check_times(claims, now, leeway)


def _check_times(claims: Claims, now: datetime, leeway: timedelta) -> datetime:
    expires = _moment(claims, "exp")
    if expires is None:
        raise TokenRefused(Refusal.CLAIMS, "the token does not say until when it holds")
    if now >= expires + leeway:
        raise TokenRefused(Refusal.EXPIRED, "the token has expired")
    for name in ("nbf", "iat"):
        moment = _moment(claims, name)
        if moment is not None and moment > now + leeway:
            raise TokenRefused(Refusal.NOT_YET_VALID, "the token is not valid yet")
    return expires


def check_stated(claims: Claims, *, now: datetime, leeway: timedelta = LEEWAY) -> None:
    """Settles exp and nbf of a token that need state neither; what it states counts (RFC 7519 section 4.1)."""
    expires, begins = _moment(claims, "exp"), _moment(claims, "nbf")
    if expires is not None and now >= expires + leeway:
        raise TokenRefused(Refusal.EXPIRED, "the token has expired")
    if begins is not None and begins > now + leeway:
        raise TokenRefused(Refusal.NOT_YET_VALID, "the token is not valid yet")


def _moment(claims: Claims, name: str) -> datetime | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    # True is an int in Python, and no date.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**35:
        raise TokenRefused(Refusal.CLAIMS, f"{name} is not a moment")
    return datetime.fromtimestamp(value, UTC)


def _allowed(header: Claims, algorithms: Collection[Algorithm]) -> Algorithm:
    named = header.get("alg")
    algorithm = next((known for known in algorithms if known == named), None)
    if algorithm is None:
        raise TokenRefused(Refusal.ALGORITHM, "the algorithm is not allowed")
    return algorithm


def _check_header(header: Claims, types: Collection[str | None]) -> None:
    if _NEVER & header.keys():
        raise TokenRefused(Refusal.HEADER, "the header has a parameter that is not taken")
    typ = header.get("typ")
    if isinstance(typ, str):
        # A media type may stand with or without its "application/", and in any case (RFC 7515 §4.1.9).
        taken = typ.lower().removeprefix("application/") in {
            known.lower() for known in types if known is not None
        }
    else:
        taken = "typ" not in header and None in types
    if not taken:
        raise TokenRefused(Refusal.TYPE, "the token is of another type")


def _chosen(keys: Key | KeySet, header: Claims) -> Key:
    kid = header.get("kid")
    if "kid" in header and not isinstance(kid, str):
        raise TokenRefused(Refusal.HEADER, "kid is not a text")
    if isinstance(keys, Key):
        key = keys if kid is None or keys.kid is None or keys.kid == kid else None
    elif isinstance(kid, str):
        key = keys.named(kid)
    else:
        key = keys.keys[0] if len(keys.keys) == 1 else None
    if key is None:
        raise TokenRefused(Refusal.KEY, "no key of this name is known")
    return key


_PYJWT = jwt.PyJWS(algorithms=list(ANY))


def _read(token: str, longest: int) -> _Read:
    """Takes a compact token apart. Each text has one way to be read and each token one way to be written."""
    if len(token) > longest:
        raise TokenRefused(Refusal.MALFORMED, "the token is too long")
    segments = token.split(".")
    if len(segments) != 3:
        raise TokenRefused(Refusal.MALFORMED, "a token has three parts")
    try:
        header, claims, signature = (unb64url(segment) for segment in segments)
        return _Read(read_object(header), read_object(claims), token[: token.rindex(".")].encode(), signature)
    except ValueError:
        raise TokenRefused(Refusal.MALFORMED, "the token is not well formed") from None


# ---- machines ----


@dataclass(frozen=True, slots=True)
class ClientAssertion:
    """A machine's proof that it is the client it claims to be; good for one use of its `jti`."""

    client_id: str
    jti: str
    expires_at: datetime


_ASSERTION_TYPES = frozenset({"client-authentication+jwt", "jwt", None})
_LONGEST_ASSERTION = timedelta(minutes=5)


def claimed_client(assertion: str) -> str:
    """Who the assertion says it is from, so that this client's keys can be fetched; nothing is settled yet."""
    claimed = _read(assertion, LONGEST).claims.get("iss")
    if not isinstance(claimed, str):
        raise TokenRefused(Refusal.CLAIMS, "the assertion does not say whose it is")
    return claimed


def verify_client_assertion(
    assertion: str,
    keys: KeySet,
    *,
    client_id: str,
    audiences: Collection[str],
    now: datetime,
    algorithms: Collection[Algorithm] = ANY,
    leeway: timedelta = LEEWAY,
) -> ClientAssertion:
    """`private_key_jwt` (RFC 7523): this client's assertion for one of our audiences; TokenRefused otherwise.

    The caller keeps `jti` until `expires_at` plus the leeway and refuses it a second time; an assertion that would
    have to be kept for longer than five minutes is refused.
    """
    claims = verify(assertion, keys, typ=_ASSERTION_TYPES, algorithms=algorithms).claims
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise TokenRefused(Refusal.ISSUER, "the assertion is not this client's")
    # One audience and no more: an assertion that is also good elsewhere could be carried here from there.
    aud = claims.get("aud")
    if isinstance(aud, list) and len(aud) == 1:
        aud = aud[0]
    if not isinstance(aud, str) or aud not in audiences:
        raise TokenRefused(Refusal.AUDIENCE, "the assertion is for somebody else")
    expires_at = _check_times(claims, now, leeway)
    if expires_at > now + _LONGEST_ASSERTION + leeway:
        raise TokenRefused(Refusal.CLAIMS, "the assertion holds for longer than five minutes")
    jti = claims.get("jti")
    if not (isinstance(jti, str) and 8 <= len(jti) <= 128 and jti.isascii() and jti.isprintable()):
        raise TokenRefused(Refusal.CLAIMS, "the assertion has no usable jti")
    return ClientAssertion(client_id, jti, expires_at)
