"""Who stands behind a received chain of certificates, and where it breaks: one named rule per link."""

import base64
import functools
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtensionOID

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

LONGEST_CHAIN: Final = 6
LONGEST_CERTIFICATE: Final = 16 * 1024


class Rule(StrEnum):
    """What a chain must keep to (HAIP 1.0 §6.1.1, RFC 5280 §6.1)."""

    SHAPE = "shape"
    """`x5c` is a list of one to six base64 texts."""
    CERTIFICATE = "certificate"
    """Each entry is an X.509 certificate in DER, in plain base64."""
    LEAF_SELF_SIGNED = "leaf-self-signed"
    """The first certificate must not have signed itself."""
    ANCHOR_INCLUDED = "anchor-included"
    """The trust anchor is the verifier's own and does not stand in the chain."""
    LEAF_KEY = "leaf-key"
    """The first certificate is for a P-256 key."""
    KEY_USAGE = "key-usage"
    """The first certificate's key may sign; the others' keys may sign certificates."""
    NOT_AN_AUTHORITY = "not-an-authority"
    """All but the first are marked as certification authorities."""
    PATH_LENGTH = "path-length"
    """No authority has more authorities beneath it than its certificate allows."""
    EXTENSION = "extension"
    """No certificate insists on an extension that is not understood here."""
    WEAK = "weak"
    """Signatures use SHA-2 and keys of today's strength."""
    NAMES = "names"
    """Each names the next as its issuer, by name and by key identifier."""
    SIGNATURE = "signature"
    """Each is signed by the next."""
    NO_ANCHOR = "no-anchor"
    """The last is signed by a configured anchor."""
    NOT_YET_VALID = "not-yet-valid"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Break:
    """A broken rule and where: 0 is the leaf, and one more than the last entry is the anchor."""

    rule: Rule
    at: int


@dataclass(frozen=True, slots=True)
class Path:
    """A chain whose every link holds, from the leaf to a configured anchor."""

    certificates: tuple[x509.Certificate, ...]
    anchor: x509.Certificate
    key: ec.EllipticCurvePublicKey
    authority_key_ids: frozenset[str]
    """What DCQL's `aki` is compared with: base64url of each authority key identifier in the chain."""
    begins: datetime
    ends: datetime


class Anchors:
    """The certificates that an operator trusts, and the chains that were traced to them."""

    def __init__(self, certificates: Iterable[x509.Certificate], most_remembered: int = 256) -> None:
        self._anchors = tuple(certificates)
        self._most = most_remembered
        self._traced: dict[tuple[str, ...], Path | Break] = {}

    def trace(self, x5c: object, now: datetime) -> Path | Break:
        """The path from this header's chain to an anchor, or the first rule that it breaks."""
        if not isinstance(x5c, list) or not all(isinstance(entry, str) for entry in x5c):
            return Break(Rule.SHAPE, 0)
        # An issuer's chain comes with every credential of its; only the time passes between two of them.
        chain = tuple(x5c)
        traced = self._traced.get(chain)
        if traced is None:
            traced = self._trace(chain)
            while len(self._traced) >= self._most:
                self._traced.pop(next(iter(self._traced)), None)
            self._traced[chain] = traced
        if isinstance(traced, Break) or traced.begins <= now <= traced.ends:
            return traced
        return next(_out_of_time((*traced.certificates, traced.anchor), now), traced)

    def diagnose(self, x5c: object, now: datetime) -> tuple[Break, ...]:
        """Every rule that the chain breaks, for whoever has to mend it; empty where it would be accepted."""
        chain = read_chain(x5c)
        if isinstance(chain, Break):
            return (chain,)
        anchor, missing = self._anchor_of(chain)
        whole = chain if anchor is None else (*chain, anchor)
        found = itertools.chain(_flaws(chain, self._anchors), _authority_flaws(whole), missing)
        return tuple(sorted({*found, *_out_of_time(whole, now)}, key=lambda one: (one.at, one.rule)))

    def _trace(self, x5c: tuple[str, ...]) -> Path | Break:
        chain = read_chain(list(x5c))
        if isinstance(chain, Break):
            return chain
        flaw = next(_flaws(chain, self._anchors), None)
        if flaw is not None:
            return flaw
        anchor, missing = self._anchor_of(chain)
        if anchor is None:
            return missing[0]
        flaw = next(_authority_flaws((*chain, anchor)), None)
        if flaw is not None:
            return flaw
        key = cast("ec.EllipticCurvePublicKey", chain[0].public_key())  # `_flaws` saw to it
        return Path(
            chain,
            anchor,
            key,
            _authority_key_ids(chain),
            begins=max(one.not_valid_before_utc for one in (*chain, anchor)),
            ends=min(one.not_valid_after_utc for one in (*chain, anchor)),
        )

    def _anchor_of(self, chain: tuple[x509.Certificate, ...]) -> tuple[x509.Certificate | None, list[Break]]:
        named = [anchor for anchor in self._anchors if _names(chain[-1], anchor)]
        for anchor in named:
            if _signed(chain[-1], anchor):
                return anchor, []
        # An anchor of the right name that did not sign is a forgery or a mix-up of keys, not a missing anchor.
        return None, [Break(Rule.SIGNATURE, len(chain) - 1) if named else Break(Rule.NO_ANCHOR, len(chain))]


def read_chain(x5c: object) -> tuple[x509.Certificate, ...] | Break:
    """The certificates of a header's `x5c`, none of them believed."""
    if not isinstance(x5c, list) or not 1 <= len(x5c) <= LONGEST_CHAIN:
        return Break(Rule.SHAPE, 0)
    chain = []
    for at, entry in enumerate(x5c):
        if not isinstance(entry, str):
            return Break(Rule.SHAPE, at)
        certificate = _read(entry)
        if certificate is None:
            return Break(Rule.CERTIFICATE, at)
        chain.append(certificate)
    return tuple(chain)


def leaf_key(x5c: object) -> object:
    """The key that a header's first certificate is for; None where there is no such certificate."""
    match x5c:
        case [str(leaf), *_]:
            return _leaf_key(leaf)
        case _:
            return None


@functools.lru_cache(maxsize=256)
def _leaf_key(entry: str) -> object:
    certificate = _read(entry)
    return None if certificate is None else certificate.public_key()


_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def _read(entry: str) -> x509.Certificate | None:
    if len(entry) > LONGEST_CERTIFICATE:
        return None
    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode(entry, validate=True))
        # The library reads these late; what cannot be read is found out here and not half-way.
        _ = (certificate.extensions, certificate.subject, certificate.issuer, certificate.public_key())
        _ = (certificate.signature_hash_algorithm, certificate.not_valid_before_utc)
    except _UNREADABLE:
        return None
    return certificate


# ---- the rules ----

_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.CERTIFICATE_POLICIES,
    }
)
_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


def _flaws(chain: tuple[x509.Certificate, ...], anchors: tuple[x509.Certificate, ...]) -> Iterator[Break]:
    """What is wrong with the chain by itself."""
    leaf = chain[0]
    if leaf.issuer == leaf.subject:
        yield Break(Rule.LEAF_SELF_SIGNED, 0)
    for at, certificate in enumerate(chain):
        if certificate in anchors or (at and certificate.issuer == certificate.subject):
            yield Break(Rule.ANCHOR_INCLUDED, at)
    key = leaf.public_key()
    if not (isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == ec.SECP256R1.name):
        yield Break(Rule.LEAF_KEY, 0)
    usage = _extension(leaf, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        yield Break(Rule.KEY_USAGE, 0)
    for at, certificate in enumerate(chain):
        if not _is_strong(certificate):
            yield Break(Rule.WEAK, at)
        if not _is_understood(certificate):
            yield Break(Rule.EXTENSION, at)
    for at, (certificate, issuer) in enumerate(itertools.pairwise(chain)):
        if not _names(certificate, issuer):
            yield Break(Rule.NAMES, at)
        # A signature of a kind that is too weak is not looked at; nothing is said of it.
        elif _is_strong(certificate) and not _signed(certificate, issuer):
            yield Break(Rule.SIGNATURE, at)


def _authority_flaws(chain: tuple[x509.Certificate, ...]) -> Iterator[Break]:
    """What is wrong with those above the leaf, the anchor included where it was found."""
    for at, certificate in enumerate(chain[1:], start=1):
        constraints = _extension(certificate, x509.BasicConstraints)
        if constraints is None or not constraints.ca:
            yield Break(Rule.NOT_AN_AUTHORITY, at)
        elif constraints.path_length is not None and constraints.path_length < at - 1:
            yield Break(Rule.PATH_LENGTH, at)
        usage = _extension(certificate, x509.KeyUsage)
        if usage is not None and not usage.key_cert_sign:
            yield Break(Rule.KEY_USAGE, at)


def _out_of_time(chain: tuple[x509.Certificate, ...], now: datetime) -> Iterator[Break]:
    for at, certificate in enumerate(chain):
        if now < certificate.not_valid_before_utc:
            yield Break(Rule.NOT_YET_VALID, at)
        elif now > certificate.not_valid_after_utc:
            yield Break(Rule.EXPIRED, at)


def _names(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    if certificate.issuer != issuer.subject:
        return False
    wanted = _extension(certificate, x509.AuthorityKeyIdentifier)
    given = _extension(issuer, x509.SubjectKeyIdentifier)
    # Two authorities of one name, as after a change of keys, are told apart by the identifiers.
    return (
        wanted is None
        or wanted.key_identifier is None
        or given is None
        or wanted.key_identifier == given.digest
    )


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _is_strong(certificate: x509.Certificate) -> bool:
    key, hashed = certificate.public_key(), certificate.signature_hash_algorithm
    match key:
        case ec.EllipticCurvePublicKey():
            strong = key.key_size >= 256
        case rsa.RSAPublicKey():
            strong = key.key_size >= 2048
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            strong = True
        case _:
            strong = False
    # Edwards curves bring their hash along and name none.
    return strong and (hashed is None or isinstance(hashed, _STRONG))


def _is_understood(certificate: x509.Certificate) -> bool:
    return not any(
        # Constraints on names bind whether or not they are marked critical, and are not evaluated here.
        (extension.critical and extension.oid not in _UNDERSTOOD)
        or extension.oid == ExtensionOID.NAME_CONSTRAINTS
        for extension in certificate.extensions
    )


def _authority_key_ids(chain: tuple[x509.Certificate, ...]) -> frozenset[str]:
    found = (_extension(certificate, x509.AuthorityKeyIdentifier) for certificate in chain)
    return frozenset(
        base64.urlsafe_b64encode(one.key_identifier).rstrip(b"=").decode()
        for one in found
        if one is not None and one.key_identifier is not None
    )


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
