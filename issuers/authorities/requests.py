"""Ask a real certification authority for a certificate: a request signed by a key that never leaves its vault."""

from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.vault import Signer

_ECDSA_WITH_SHA256: Final = bytes.fromhex("300a06082a8648ce3d040302")  # RFC 5758 section 3.2


def certificate_request(
    signer: Signer, name: x509.Name, alternatives: Sequence[x509.GeneralName]
) -> x509.CertificateSigningRequest:
    """A PKCS #10 request (RFC 2986) for this signer's key, with the usage that a signing certificate needs.

    The library writes requests only with a private key in hand. So a key of the moment writes it; its public half
    has the length of ours and is exchanged for it, and then our key signs.
    """
    stand_in = ec.generate_private_key(ec.SECP256R1())
    draft = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_SIGNS, critical=True)
    )
    if alternatives:
        draft = draft.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    asked = draft.sign(stand_in, hashes.SHA256()).tbs_certrequest_bytes
    told = asked.replace(_public(stand_in.public_key()), _public(signer.public_key))
    raw = signer.sign(told)
    signature = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    return x509.load_der_x509_csr(_der(0x30, told + _ECDSA_WITH_SHA256 + _der(0x03, b"\x00" + signature)))


_SIGNS: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _public(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + content
