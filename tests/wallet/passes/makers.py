"""Certificates and an account as the two companies would give them; for tests alone."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

PASS_TYPE, TEAM = "pass.example.citycard", "TEAM123456"


@dataclass(frozen=True)
class Given:
    """The files that an operator would have."""

    anchor: Path
    chain: Path
    key: Path
    account: Path
    account_key: rsa.RSAPrivateKey


def given(folder: Path) -> Given:
    """Makes them in a folder."""
    root, middle, leaf, google = (rsa.generate_private_key(65537, 2048) for _ in range(4))
    top = _name(("Anchor", NameOID.COMMON_NAME))
    between = _name(("Developer Relations", NameOID.COMMON_NAME))
    ours = _name(
        (PASS_TYPE, NameOID.USER_ID), ("Pass", NameOID.COMMON_NAME), (TEAM, NameOID.ORGANIZATIONAL_UNIT_NAME)
    )
    certificates = (
        _certificate(top, root, top, root, authority=True),
        _certificate(between, middle, top, root, authority=True),
        _certificate(ours, leaf, between, middle, authority=False),
    )
    anchor, above, below = (one.public_bytes(Encoding.PEM) for one in certificates)
    files = Given(
        folder / "anchor.pem", folder / "pass.pem", folder / "pass.key", folder / "google.json", google
    )
    files.anchor.write_bytes(anchor)
    files.chain.write_bytes(below + above)
    files.key.write_bytes(_pem(leaf))
    files.account.write_text(
        json.dumps(
            {
                "client_email": "passes@example.iam.gserviceaccount.com",
                "private_key_id": "key-1",
                "private_key": _pem(google).decode(),
            }
        )
    )
    return files


def _name(*parts: tuple[str, x509.ObjectIdentifier]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for value, oid in parts])


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate(
    subject: x509.Name, key: rsa.RSAPrivateKey, issuer: x509.Name, by: rsa.RSAPrivateKey, *, authority: bool
) -> x509.Certificate:
    # OpenSSL and the signature's own time ask the machine's clock, so these hold for long on both sides of it.
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3650))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(by, SHA256())
    )
