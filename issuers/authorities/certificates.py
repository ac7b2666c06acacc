"""Which certificate speaks for a signature: chains that the settings name, or those of a development authority."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID
from sqlalchemy import and_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel, col

from core import jose, p256
from core.errors import Unavailable
from core.settings import Mode, Settings
from core.vault import KeyInfo, KeyUse, Signer, UnknownKey, Vault
from issuers.authorities.models import Authority, Certificate, IssuingKey

ANCHOR_LASTS: Final = timedelta(days=3652)
LEAF_LASTS: Final = timedelta(days=825)
RENEWED_BEFORE: Final = timedelta(days=120)
"""A development certificate is renewed while everything that it may still sign ends before it does."""

_EARLIER: Final = timedelta(days=1)  # a verifier's clock may be behind ours

log = structlog.get_logger("certificates")


class Purpose(StrEnum):
    """What a certificate stands behind; the settings may name one certificate for all of them."""

    CREDENTIAL = "credential"
    STATUS_LIST = "status"
    REQUEST = "request"
    METADATA = "metadata"


class NoCertificate(Unavailable):
    """Nothing can be signed in a way that others could check; the operator must look."""

    slug, title = "no-certificate", "No certificate stands behind our signature at the moment"


class UnusableCertificate(ValueError):
    """A certificate or key of the settings cannot be used; the operator reads why."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A signer and the certificates that go with its signatures: leaf first, without the anchor."""

    signer: Signer
    x5c: tuple[str, ...]

    @property
    def key_id(self) -> str:
        return self.signer.kid.hex()

    @property
    def header(self) -> dict[str, object]:
        """What a protected header carries of it."""
        return {"x5c": list(self.x5c)}


async def chain_for(
    session: AsyncSession, vault: Vault, settings: Settings, purpose: Purpose, now: datetime
) -> Chain:
    """Who signs for this purpose now, with the chain for x5c; NoCertificate or VaultError where nobody can."""
    configured = _files(settings, purpose)
    if configured is None:
        if settings.mode is Mode.PRODUCTION:
            raise NoCertificate
        certificates = await _development_leaf(session, now)
    else:
        certificates = _read_chain(configured[0])
    key_id = p256.kid_of(_p256(certificates[0])).hex()
    if configured is not None and await _is_withdrawn(session, key_id):
        raise NoCertificate
    signer = vault.signer(key_id, KeyUse.CREDENTIAL)
    try:
        # The same signer is the same object while the vault is as it was; that is all the cache wants of it.
        handle: Any = signer
        return Chain(signer, _checked(certificates, handle, int(now.timestamp()) // 60))
    except jose.ChainRefused as refused:
        log.warning("certificate.refused", purpose=purpose.value, why=str(refused))
        raise NoCertificate from None


async def ensure_certificates(
    session: AsyncSession, vault: Vault, settings: Settings, authority: Authority, now: datetime
) -> None:
    """Takes in the keys that the settings name, and lets the development authority certify ours; again and again.

    What cannot be used is told to the operator and left out: scanners get their trust list all the same.
    """
    known: dict[str, KeyInfo] = {}
    for purpose in Purpose:
        files = _files(settings, purpose)
        if files is None:
            continue
        try:
            key = _take_in(vault, *files, now)
        except UnusableCertificate as error:
            log.warning("certificate.unusable", purpose=purpose.value, why=str(error))
        else:
            known[key.key_id] = key
    for key in known.values():
        row = {
            "key_id": key.key_id,
            "authority_id": authority.id,
            "use": KeyUse.CREDENTIAL,
            "point": p256.point(key.public_key),
            "created_at": key.created_at,
            "not_before": now,
        }
        await session.execute(_insert(session, IssuingKey).values(**row).on_conflict_do_nothing())
    if settings.credential_chain is None and settings.mode is not Mode.PRODUCTION:
        await _certify(session, vault, settings, authority, now)


def check_files(settings: Settings) -> None:
    """Reads what the settings name, before anything starts; UnusableCertificate says what does not fit."""
    for purpose in Purpose:
        files = _files(settings, purpose)
        if files is not None:
            _read_files(*files)


async def development_anchor(session: AsyncSession, vault: Vault, now: datetime) -> x509.Certificate | None:
    """The development authority's own certificate, for those who test against it; None where there is none."""
    keys = vault.keys(KeyUse.DEVELOPMENT_CA)
    row = await _newest(session, keys[-1].key_id, now) if keys else None
    return None if row is None else x509.load_der_x509_certificate(row.der)


# ---- what the settings name ----


def _files(settings: Settings, purpose: Purpose) -> tuple[Path, Path | None] | None:
    own: dict[Purpose, tuple[Path | None, Path | None]] = {
        Purpose.CREDENTIAL: (settings.credential_chain, settings.credential_key),
        Purpose.STATUS_LIST: (settings.status_chain, settings.status_key),
        Purpose.REQUEST: (settings.request_chain, settings.request_key),
        Purpose.METADATA: (settings.metadata_chain, settings.metadata_key),
    }
    for chain, key in (own[purpose], own[Purpose.CREDENTIAL]):
        if chain is not None:
            return chain, key
    return None


def _read_chain(path: Path) -> tuple[x509.Certificate, ...]:
    try:
        status = path.stat()
        return _parsed_chain(path, status.st_mtime_ns, status.st_size)
    except (OSError, ValueError) as error:
        log.warning("certificate.unreadable", file=path.name)
        raise NoCertificate from error


@lru_cache(maxsize=32)
def _parsed_chain(path: Path, _changed: int, _size: int) -> tuple[x509.Certificate, ...]:
    certificates = x509.load_pem_x509_certificates(path.read_bytes())
    # Files from an authority often end with its anchor, which verifiers hold themselves (HAIP 1.0 section 6.1.1).
    kept = [certificates[0], *(one for one in certificates[1:] if one.issuer != one.subject)]
    return tuple(kept)


def _take_in(vault: Vault, chain: Path, key: Path | None, now: datetime) -> KeyInfo:
    public, private = _read_files(chain, key)
    if private is not None:
        return vault.adopt(KeyUse.CREDENTIAL, private, now)
    held = next((info for info in vault.keys(KeyUse.CREDENTIAL) if info.public_key == public), None)
    if held is None:
        raise UnusableCertificate(f"the vault does not hold the key of {chain}, and no key file is set")
    return held


def _read_files(
    chain: Path, key: Path | None
) -> tuple[ec.EllipticCurvePublicKey, ec.EllipticCurvePrivateKey | None]:
    try:
        public = _p256(_read_chain(chain)[0])
    except NoCertificate as error:
        raise UnusableCertificate(
            f"{chain} is not a PEM file that begins with a P-256 certificate"
        ) from error
    if key is None:
        return public, None
    try:
        private = load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise UnusableCertificate(f"{key} is not a PEM file with a private key") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != public:
        raise UnusableCertificate(f"{key} is not the key of the first certificate in {chain}")
    return public, private


def _p256(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    public = certificate.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != ec.SECP256R1.name:
        raise NoCertificate
    return public


@lru_cache(maxsize=32)
def _checked(chain: tuple[x509.Certificate, ...], signer: Signer, minute: int) -> tuple[str, ...]:
    """The chain as x5c carries it; whoever issues thousands a minute need not have it looked at each time."""
    return tuple(jose.x5c(chain, signer, datetime.fromtimestamp(minute * 60, UTC)))


async def _is_withdrawn(session: AsyncSession, key_id: str) -> bool:
    found = await session.execute(
        select(col(IssuingKey.withdrawn_at)).where(col(IssuingKey.key_id) == key_id)
    )
    row = found.one_or_none()
    return row is not None and row[0] is not None


# ---- the development authority ----


async def _development_leaf(session: AsyncSession, now: datetime) -> tuple[x509.Certificate, ...]:
    """The newest certificate of the key that signs now; a key that waits for one stops signing, not its predecessor."""
    found = await session.execute(
        select(col(Certificate.der))
        .select_from(IssuingKey)
        .outerjoin(
            Certificate,
            and_(
                col(Certificate.key_id) == col(IssuingKey.key_id),
                col(Certificate.not_before) <= now,
                col(Certificate.not_after) > now,
            ),
        )
        .where(
            col(IssuingKey.use) == KeyUse.CREDENTIAL,
            col(IssuingKey.not_before) <= now,
            col(IssuingKey.withdrawn_at).is_(None),
        )
        .order_by(
            col(IssuingKey.not_before).desc(),
            col(IssuingKey.created_at).desc(),
            col(IssuingKey.key_id),
            col(Certificate.not_after).desc(),
        )
        .limit(1)
    )
    der = found.scalar_one_or_none()
    if der is None:
        raise NoCertificate
    return (_parsed(der),)


@lru_cache(maxsize=32)
def _parsed(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


async def _newest(session: AsyncSession, key_id: str, now: datetime) -> Certificate | None:
    found = await session.execute(
        select(Certificate)
        .where(
            col(Certificate.key_id) == key_id,
            col(Certificate.not_before) <= now,
            col(Certificate.not_after) > now,
        )
        .order_by(col(Certificate.not_after).desc(), col(Certificate.id))
        .limit(1)
    )
    return found.scalar_one_or_none()


async def _certify(
    session: AsyncSession, vault: Vault, settings: Settings, authority: Authority, now: datetime
) -> None:
    anchor_key = vault.ensure(KeyUse.DEVELOPMENT_CA, now)
    anchor_name = _name(f"{authority.name} development authority {anchor_key.key_id}")
    kept = await _newest(session, anchor_key.key_id, now)
    if kept is None or kept.not_after < now + LEAF_LASTS:
        anchor = _anchor(vault.signer(anchor_key.key_id), anchor_name, now)
        await _keep(session, anchor_key.key_id, anchor, now)
    rows = await session.execute(
        select(IssuingKey).where(
            col(IssuingKey.use) == KeyUse.CREDENTIAL, col(IssuingKey.withdrawn_at).is_(None)
        )
    )
    for key in rows.scalars().all():
        leaf = await _newest(session, key.key_id, now)
        if leaf is not None and leaf.not_after > now + RENEWED_BEFORE:
            continue
        try:
            subject = vault.signer(key.key_id, KeyUse.CREDENTIAL).public_key
        except UnknownKey:
            continue
        made = _leaf(
            vault.signer(anchor_key.key_id),
            anchor_name,
            subject,
            common=f"{authority.name} issuer",
            settings=settings,
            now=now,
        )
        await _keep(session, key.key_id, made, now)
        log.info("certificate.made", key=key.key_id)


async def _keep(session: AsyncSession, key_id: str, certificate: x509.Certificate, now: datetime) -> None:
    digest = hashlib.sha256(f"{key_id} {now.date()}".encode()).digest()
    row = Certificate(
        key_id=key_id,
        digest=digest,
        der=certificate.public_bytes(Encoding.DER),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )
    await session.execute(_insert(session, Certificate).values(**row.model_dump()).on_conflict_do_nothing())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _anchor(signer: Signer, name: x509.Name, now: datetime) -> x509.Certificate:
    builder = (
        _builder(name, name, signer.public_key, now, ANCHOR_LASTS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certifies=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(signer.public_key), critical=False)
    )
    return _sign(builder, signer)


def _leaf(
    authority: Signer,
    issuer: x509.Name,
    subject: ec.EllipticCurvePublicKey,
    *,
    common: str,
    settings: Settings,
    now: datetime,
) -> x509.Certificate:
    builder = (
        _builder(_name(common), issuer, subject, now, LEAF_LASTS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certifies=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(subject), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key), critical=False
        )
        .add_extension(x509.SubjectAlternativeName(_alternatives(settings.public_url)), critical=False)
    )
    return _sign(builder, authority)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    lasts: timedelta,
) -> x509.CertificateBuilder:
    begins = now.replace(microsecond=0) - _EARLIER
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + lasts)
    )


def _usage(*, certifies: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certifies,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certifies,
        crl_sign=certifies,
        encipher_only=False,
        decipher_only=False,
    )


def _alternatives(public_url: str) -> Sequence[x509.GeneralName]:
    host = urlsplit(public_url).hostname or "localhost"
    try:
        named: x509.GeneralName = x509.IPAddress(ip_address(host))
    except ValueError:
        named = x509.DNSName(host)
    return [named, x509.UniformResourceIdentifier(public_url)]


_ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")  # RFC 5758 section 3.2


def _sign(builder: x509.CertificateBuilder, signer: Signer) -> x509.Certificate:
    """The certificate, signed by a key that never leaves its vault.

    The library signs only with a private key in hand, so a key of the moment signs first and its signature is
    exchanged for the right one: what was signed names the issuer, not the issuer's key.
    """
    draft = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    signed = draft.tbs_certificate_bytes
    raw = signer.sign(signed)
    signature = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    return x509.load_der_x509_certificate(
        _der(0x30, signed + _ECDSA_WITH_SHA256 + _der(0x03, b"\x00" + signature))
    )


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def _insert(session: AsyncSession, table: type[SQLModel]) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if session.get_bind().dialect.name == "sqlite" else postgresql.insert(table)
