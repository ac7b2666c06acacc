"""A development certification authority in files: for wallets and verifiers under test, and for nobody else."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

ROOT: Final = "root"
"""Its certificate is the anchor that verifiers are given, and it stands in no chain."""
INTERMEDIATE: Final = "intermediate"

ROOT_LASTS: Final = timedelta(days=3652)
INTERMEDIATE_LASTS: Final = timedelta(days=1826)
LEAF_LASTS: Final = timedelta(days=825)

_EARLIER: Final = timedelta(days=1)  # a verifier's clock may be behind ours


class FolderRefused(ValueError):
    """The folder holds no such authority, or holds one already; the operator reads why."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def found(folder: Path, name: str, now: datetime, *, intermediate: bool) -> Path:
    """Makes the authority's keys and certificates; gives the anchor's file. One that exists stays as it is."""
    if (folder / f"{ROOT}.pem").exists() or (folder / f"{ROOT}.key").exists():
        raise FolderRefused(f"there is an authority in {folder} already")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    depth = 1 if intermediate else 0
    key, subject = _new_key(), _name(f"{name} development root")
    root = Pair(_certify(subject, key.public_key(), key, subject, now, authority=depth), key)
    _keep(folder, ROOT, root, [root.certificate])
    if intermediate:
        below, named = _new_key(), _name(f"{name} development authority")
        made = _certify(named, below.public_key(), root.key, subject, now, authority=0)
        _keep(folder, INTERMEDIATE, Pair(made, below), [made])
    return folder / f"{ROOT}.pem"


def issue(folder: Path, name: str, public_url: str, now: datetime) -> tuple[Path, Path]:
    """Makes a key with its certificate; gives the file of the chain, leaf first and without the anchor, and the key's."""
    key = _new_key()
    chain = certify(folder, name, key.public_key(), alternatives(public_url), now)
    return _keep(folder, name, Pair(chain[0], key), chain)


def certify(
    folder: Path,
    name: str,
    public_key: ec.EllipticCurvePublicKey,
    names: Sequence[x509.GeneralName],
    now: datetime,
) -> list[x509.Certificate]:
    """The chain for a key, leaf first and without the anchor."""
    intermediate = (folder / f"{INTERMEDIATE}.pem").exists()
    issuer = _read(folder, INTERMEDIATE if intermediate else ROOT)
    leaf = _certify(
        _name(f"citycard development {name}"),
        public_key,
        issuer.key,
        issuer.certificate.subject,
        now,
        names=names,
    )
    return [leaf, issuer.certificate] if intermediate else [leaf]


def keep_chain(path: Path, chain: Sequence[x509.Certificate]) -> None:
    """Writes a chain as PEM."""
    path.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in chain))


def alternatives(public_url: str) -> list[x509.GeneralName]:
    """The names under which wallets meet this address (`x509_san_dns` compares them)."""
    host = urlsplit(public_url).hostname or "localhost"
    try:
        named: x509.GeneralName = x509.IPAddress(ip_address(host))
    except ValueError:
        named = x509.DNSName(host)
    return [named, x509.UniformResourceIdentifier(public_url)]


def _certify(
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    issuer: ec.EllipticCurvePrivateKey,
    issued_by: x509.Name,
    now: datetime,
    *,
    authority: int | None = None,
    names: Sequence[x509.GeneralName] = (),
) -> x509.Certificate:
    begins = now.replace(microsecond=0) - _EARLIER
    certifies = authority is not None
    lasts = LEAF_LASTS if not certifies else ROOT_LASTS if subject == issued_by else INTERMEDIATE_LASTS
    usage = x509.KeyUsage(
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
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issued_by)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + lasts)
        .add_extension(x509.BasicConstraints(ca=certifies, path_length=authority), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False
        )
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _read(folder: Path, name: str) -> Pair:
    try:
        certificate = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
        key = load_pem_private_key((folder / f"{name}.key").read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise FolderRefused(
            f"there is no authority in {folder}; make one with `citycard pki init`"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise FolderRefused(f"{name}.key is not the key of {name}.pem")
    return Pair(certificate, key)


def _keep(folder: Path, name: str, pair: Pair, chain: Sequence[x509.Certificate]) -> tuple[Path, Path]:
    keys, certificates = folder / f"{name}.key", folder / f"{name}.pem"
    private = pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    keys.unlink(missing_ok=True)
    descriptor = os.open(keys, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(private)
    keep_chain(certificates, chain)
    return certificates, keys
