"""The signed list of issuers and keys that a scanner believes, and when it takes a new one for the old."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric import ec

from core import jose
from core.errors import DomainError
from core.jose import Claims, Key, KeySet
from core.vault import KeyUse, Signer

TYPE = "citycard-trustlist+jwt"
MEDIA_TYPE = "application/citycard-trustlist+jwt"

LONGEST = 1024 * 1024
"""Characters that a signed list may have."""

_USES = frozenset({KeyUse.CARD, KeyUse.PRINTED, KeyUse.CREDENTIAL, KeyUse.STATUS_LIST, KeyUse.CHECKPOINT})
_LAST_MOMENT = 2**35


class TrustListRefused(DomainError):
    """What was read, or should be signed, is not a trust list of the described form."""

    slug, title = "trust-list-refused", "The trust list was not accepted"


class Standing(StrEnum):
    """What a key of the list is worth for one use at one moment."""

    TRUSTED = "trusted"
    UNKNOWN = "unknown"
    OTHER_USE = "other-use"
    NOT_YET = "not-yet"
    OVER = "over"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key, what it signs, and from when to when a verifier accepts what it signed.

    `not_after` is later than the last signature by the longest life of what was signed, so that a rotation refuses
    nothing that is still good. `withdrawn_at` ends it at once, whatever was signed before: it was lost.
    """

    kid: bytes
    use: KeyUse
    public_key: ec.EllipticCurvePublicKey
    not_before: datetime
    not_after: datetime
    withdrawn_at: datetime | None = None

    def __post_init__(self) -> None:
        if len(self.kid) != 4:
            raise TrustListRefused("a kid has four bytes")
        if self.public_key.curve.name != ec.SECP256R1.name:
            raise TrustListRefused("keys are on P-256")
        if not self.not_before < self.not_after:
            raise TrustListRefused("a key ends after it begins")

    def standing(self, use: KeyUse, now: datetime) -> Standing:
        """What this key is worth for this use at `now`."""
        if self.use is not use:
            return Standing.OTHER_USE
        if self.withdrawn_at is not None and now >= self.withdrawn_at:
            return Standing.WITHDRAWN
        if now < self.not_before:
            return Standing.NOT_YET
        return Standing.TRUSTED if now < self.not_after else Standing.OVER


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An authority in whose name is signed, with its keys."""

    uri: str
    name: str
    keys: tuple[TrustedKey, ...]


@dataclass(frozen=True, slots=True)
class TrustList:
    """Issuers and their keys, and the anchors that may sign the next list; its version only rises."""

    publisher: str
    version: int
    issued_at: datetime
    expires_at: datetime
    anchors: tuple[TrustedKey, ...]
    issuers: tuple[TrustedIssuer, ...]
    _by_kid: Mapping[bytes, TrustedKey] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.version < 1:
            raise TrustListRefused("versions are counted from one")
        if not self.issued_at < self.expires_at:
            raise TrustListRefused("a list expires after it is issued")
        if not all(
            (self.publisher, *(text for issuer in self.issuers for text in (issuer.uri, issuer.name)))
        ):
            raise TrustListRefused("publisher and issuers have names")
        if len({issuer.uri for issuer in self.issuers}) != len(self.issuers):
            raise TrustListRefused("an issuer stands twice")
        if not self.anchors or any(key.use is not KeyUse.TRUST_LIST for key in self.anchors):
            raise TrustListRefused("anchors sign trust lists, and there is at least one")
        issued = [key for issuer in self.issuers for key in issuer.keys]
        if any(key.use not in _USES for key in issued):
            raise TrustListRefused("an issuer's key is for a use that scanners do not verify")
        by_kid = {key.kid: key for key in (*self.anchors, *issued)}
        if len(by_kid) != len(self.anchors) + len(issued):
            raise TrustListRefused("two keys have the same kid")
        object.__setattr__(self, "_by_kid", by_kid)

    def find(self, kid: bytes) -> TrustedKey | None:
        """The key of this name, whatever it is worth."""
        return self._by_kid.get(kid)

    def standing(self, kid: bytes, use: KeyUse, now: datetime) -> Standing:
        """What the key of this name is worth for this use at `now`."""
        key = self._by_kid.get(kid)
        return Standing.UNKNOWN if key is None else key.standing(use, now)

    def anchors_at(self, now: datetime) -> KeySet:
        """The keys whose signature on another list is believed at `now`."""
        standing = (key for key in self.anchors if key.standing(KeyUse.TRUST_LIST, now) is Standing.TRUSTED)
        return KeySet(tuple(Key(key.public_key, key.kid.hex()) for key in standing))

    def claims(self) -> dict[str, object]:
        """What is signed."""
        return {
            "iss": self.publisher,
            "iat": _seconds(self.issued_at),
            "exp": _seconds(self.expires_at),
            "version": self.version,
            "anchors": [_written(key) for key in self.anchors],
            "issuers": [
                {"uri": issuer.uri, "name": issuer.name, "keys": [_written(key) for key in issuer.keys]}
                for issuer in self.issuers
            ],
        }


def sign(trust_list: TrustList, signer: Signer) -> str:
    """The list as a token; ValueError where the signer is not among the list's anchors."""
    # A list signed by no anchor of its own would be taken once and could never be followed by another.
    if signer.kid not in {key.kid for key in trust_list.anchors}:
        raise ValueError("a trust list is signed by one of its own anchors")
    return jose.sign(signer, trust_list.claims(), typ=TYPE)


def verify(token: str, anchors: KeySet) -> TrustList:
    """The list that one of these anchors signed; TokenRefused or TrustListRefused otherwise. Times: `accept`."""
    return read(jose.verify(token, anchors, typ=TYPE, low_s=True, longest=LONGEST).claims)


class Acceptance(StrEnum):
    """Whether a list takes the place of the one that is held, and if not, why."""

    TAKEN = "taken"
    SAME = "same"
    EXPIRED = "expired"
    ROLLED_BACK = "rolled-back"
    CONTRADICTS = "contradicts"
    REVIVES_KEY = "revives-key"


def accept(held: TrustList | None, offered: TrustList, now: datetime) -> Acceptance:
    """Whether a verified list is taken: never an older one, nor another under the same number, nor one that
    gives back a key that was withdrawn. A clock that is behind the list is no reason to refuse it.
    """
    if now >= offered.expires_at:
        return Acceptance.EXPIRED
    if held is None:
        return Acceptance.TAKEN
    if offered.version < held.version:
        return Acceptance.ROLLED_BACK
    if offered.version == held.version:
        return Acceptance.SAME if offered == held else Acceptance.CONTRADICTS
    if any(_revived(key, offered) for key in _all_keys(held)):
        return Acceptance.REVIVES_KEY
    return Acceptance.TAKEN


def _all_keys(trust_list: TrustList) -> Iterable[TrustedKey]:
    yield from trust_list.anchors
    for issuer in trust_list.issuers:
        yield from issuer.keys


def _revived(before: TrustedKey, offered: TrustList) -> bool:
    after = offered.find(before.kid)
    if before.withdrawn_at is None or after is None:
        return False
    return after.withdrawn_at is None or after.withdrawn_at > before.withdrawn_at


def _written(key: TrustedKey) -> dict[str, object]:
    written: dict[str, object] = {
        "kid": key.kid.hex(),
        "use": key.use,
        "jwk": jose.jwk(key.public_key),
        "not_before": _seconds(key.not_before),
        "not_after": _seconds(key.not_after),
    }
    return written if key.withdrawn_at is None else written | {"withdrawn_at": _seconds(key.withdrawn_at)}


# ---- reading ----


def read(claims: Claims) -> TrustList:
    """The list in the claims of a verified token; TrustListRefused for what is missing, unknown or misshapen."""
    names = {"iss", "iat", "exp", "version", "anchors", "issuers"}
    shape = _object(claims, names)
    version = shape["version"]
    if isinstance(version, bool) or not isinstance(version, int):
        raise TrustListRefused("a version is a whole number")
    return TrustList(
        publisher=_text(shape["iss"]),
        version=version,
        issued_at=_moment(shape["iat"]),
        expires_at=_moment(shape["exp"]),
        anchors=tuple(_key(key) for key in _list(shape["anchors"])),
        issuers=tuple(_issuer(issuer) for issuer in _list(shape["issuers"])),
    )


def _issuer(value: object) -> TrustedIssuer:
    shape = _object(value, {"uri", "name", "keys"})
    keys = tuple(_key(key) for key in _list(shape["keys"]))
    return TrustedIssuer(_text(shape["uri"]), _text(shape["name"]), keys)


def _key(value: object) -> TrustedKey:
    shape = _object(value, {"kid", "use", "jwk", "not_before", "not_after"}, optional={"withdrawn_at"})
    kid, members = _text(shape["kid"]), _object(shape["jwk"], {"kty", "crv", "x", "y"})
    if len(kid) != 8 or not set(kid) <= set("0123456789abcdef"):
        raise TrustListRefused("a kid is written as eight hexadecimal digits, in lower case")
    try:
        use, public_key = KeyUse(_text(shape["use"])), jose.read_jwk(members).public
    except (ValueError, jose.KeyRefused):
        raise TrustListRefused("a key of the list is not one that can be verified with") from None
    if not isinstance(public_key, ec.EllipticCurvePublicKey):
        raise TrustListRefused("keys are on P-256")
    withdrawn_at = _moment(shape["withdrawn_at"]) if "withdrawn_at" in shape else None
    begin, end = _moment(shape["not_before"]), _moment(shape["not_after"])
    return TrustedKey(bytes.fromhex(kid), use, public_key, begin, end, withdrawn_at)


def _object(
    value: object, names: AbstractSet[str], optional: AbstractSet[str] = frozenset()
) -> dict[str, object]:
    # An unknown name may be the one that takes something back: a reader that does not know it must not go on.
    if not isinstance(value, Mapping) or not names <= value.keys() <= names | optional:
        raise TrustListRefused("a part of the list has other members than the described ones")
    return {name: value[name] for name in names | optional if name in value}


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TrustListRefused("a list is missing")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 500:
        raise TrustListRefused("a text is missing")
    return value


def _moment(value: object) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _LAST_MOMENT:
        raise TrustListRefused("a moment is a whole number of seconds")
    return datetime.fromtimestamp(value, UTC)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
