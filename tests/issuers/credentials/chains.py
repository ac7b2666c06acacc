"""Makes certificates, sound ones and ones that break exactly one rule."""

import base64
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

NOON = datetime(2026, 9, 16, 10, tzinfo=UTC)
ROOT_KEY = ec.derive_private_key(1_001, ec.SECP256R1())
MIDDLE_KEY = ec.derive_private_key(1_002, ec.SECP256R1())


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def usage(**uses):
    nothing = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(**(nothing | uses))


def certificate(
    subject,
    key,
    issuer,
    issuer_key,
    *,
    ca=False,
    path_length=None,
    key_usage="fitting",
    begins=NOON - timedelta(days=100),
    ends=NOON + timedelta(days=300),
    hashed=None,
    extensions=(),
    names_key=None,
):
    """A certificate for `key`, signed by `issuer_key`; by itself it is sound."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(abs(hash((subject, issuer))) + 1)
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key((names_key or issuer_key).public_key()),
            critical=False,
        )
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    if key_usage == "fitting":
        key_usage = usage(key_cert_sign=True, crl_sign=True) if ca else usage(digital_signature=True)
    if key_usage is not None:
        builder = builder.add_extension(key_usage, critical=True)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    # The same certificate every time it is asked for: two of them can be compared.
    always = True if isinstance(issuer_key, ec.EllipticCurvePrivateKey) else None
    return builder.sign(issuer_key, hashed or hashes.SHA256(), ecdsa_deterministic=always)


def root(**changes):
    return certificate(
        **(
            {"subject": "Root", "key": ROOT_KEY, "issuer": "Root", "issuer_key": ROOT_KEY, "ca": True}
            | changes
        )
    )


def middle(**changes):
    return certificate(
        **(
            {"subject": "Middle", "key": MIDDLE_KEY, "issuer": "Root", "issuer_key": ROOT_KEY, "ca": True}
            | changes
        )
    )


def leaf(key, **changes):
    return certificate(
        **({"subject": "Leaf", "key": key, "issuer": "Middle", "issuer_key": MIDDLE_KEY} | changes)
    )


def x5c(*certificates):
    """As a header carries them."""
    return [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in certificates]
