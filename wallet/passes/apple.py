"""A pass for Apple's wallet: a zip of a description, its pictures, a manifest, and a detached signature (PKCS #7)."""

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder
from cryptography.x509.oid import NameOID
from PIL import Image, ImageDraw

from core.settings import Settings
from wallet.passes.face import BAND, PassFace

MEDIA_TYPE: Final = "application/vnd.apple.pkpass"
_STRIPE: Final = (240, 179, 35)
_LIGHT: Final = (255, 255, 255)
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest day that a zip can say: when a pass was made is nobody's business."""


class UnusablePass(ValueError):
    """The settings name a certificate or an account that cannot sign passes; said at start-up."""


@dataclass(frozen=True, slots=True)
class Signatory:
    """Who signs: the certificate that Apple gave, its intermediates, its key."""

    leaf: x509.Certificate
    above: tuple[x509.Certificate, ...]
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

    @property
    def pass_type(self) -> str:
        """The identifier of the kind of pass, which the certificate names."""
        return _said(self.leaf, NameOID.USER_ID)

    @property
    def team(self) -> str:
        """The identifier of whom the certificate was given to."""
        return _said(self.leaf, NameOID.ORGANIZATIONAL_UNIT_NAME)


def signatory(settings: Settings) -> Signatory | None:
    """Who signs by these settings; None where passes for Apple are off."""
    if settings.apple_pass_chain is None or settings.apple_pass_key is None:
        if settings.apple_pass_chain is not None or settings.apple_pass_key is not None:
            raise UnusablePass(
                "passes for Apple need both CITYCARD_APPLE_PASS_CHAIN and CITYCARD_APPLE_PASS_KEY"
            )
        return None
    return _read(settings.apple_pass_chain, settings.apple_pass_key)


@cache
def _read(chain: Path, key_file: Path) -> Signatory:
    try:
        leaf, *above = x509.load_pem_x509_certificates(chain.read_bytes())
        key = load_pem_private_key(key_file.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        raise UnusablePass(f"{chain.name} or {key_file.name} cannot be read as PEM") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise UnusablePass(f"the key in {key_file.name} is neither RSA nor of an elliptic curve")
    if key.public_key() != leaf.public_key():
        raise UnusablePass(f"the first certificate of {chain.name} is not that of the key in {key_file.name}")
    found = Signatory(leaf, tuple(above), key)
    if not (found.pass_type and found.team):
        raise UnusablePass(f"the first certificate of {chain.name} names no pass type (UID) or no team (OU)")
    return found


def pkpass(face: PassFace, by: Signatory) -> bytes:
    """The pass, signed."""
    files = {"pass.json": _description(face, by), "icon.png": _icon(29), "icon@2x.png": _icon(58)}
    # SHA-1 is what the format wants; what keeps the pass whole is the signature over this list.
    manifest = json.dumps({name: hashlib.sha1(data).hexdigest() for name, data in files.items()}).encode()  # noqa: S324
    signing = PKCS7SignatureBuilder().set_data(manifest).add_signer(by.leaf, by.key, SHA256())
    for certificate in by.above:
        signing = signing.add_certificate(certificate)
    signature = signing.sign(Encoding.DER, [PKCS7Options.DetachedSignature, PKCS7Options.Binary])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in {**files, "manifest.json": manifest, "signature": signature}.items():
            packed.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _description(face: PassFace, by: Signatory) -> bytes:
    until, name, with_id, about = face.words
    expires = face.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    below: list[dict[str, Any]] = [
        {
            "key": "until",
            "label": until,
            # A day of the city's, wherever the phone is: the moment itself would be the next day's midnight.
            "value": f"{face.last_day}T12:00:00Z",
            "dateStyle": "PKDateStyleMedium",
            "ignoresTimeZone": True,
        }
    ]
    if face.name:
        below.insert(0, {"key": "name", "label": name, "value": face.name})
    said = {
        "formatVersion": 1,
        "passTypeIdentifier": by.pass_type,
        "teamIdentifier": by.team,
        "serialNumber": str(face.serial),
        "organizationName": face.title,
        "description": face.title,
        "logoText": face.title,
        "foregroundColor": _colour(_LIGHT),
        "labelColor": _colour(_LIGHT),
        "backgroundColor": _colour(BAND),
        "sharingProhibited": True,
        "expirationDate": expires,
        "barcodes": [
            {
                "format": "PKBarcodeFormatQR",
                "message": face.code,
                "messageEncoding": "iso-8859-1",
                "altText": with_id,
            }
        ],
        "generic": {
            "primaryFields": [{"key": "card", "value": face.title}],
            "secondaryFields": below,
            "backFields": [{"key": "about", "label": face.title, "value": about}],
        },
    }
    return json.dumps(said, ensure_ascii=False).encode()


@cache
def _icon(side: int) -> bytes:
    picture = Image.new("RGB", (side, side), BAND)
    ImageDraw.Draw(picture).rectangle((0, side * 2 // 3, side, side * 2 // 3 + side // 10), fill=_STRIPE)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _said(certificate: x509.Certificate, name: x509.ObjectIdentifier) -> str:
    found = certificate.subject.get_attributes_for_oid(name)
    return str(found[0].value) if found else ""


def _colour(colour: tuple[int, int, int]) -> str:
    return f"rgb({colour[0]}, {colour[1]}, {colour[2]})"
