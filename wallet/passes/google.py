"""A pass for Google's wallet: a link that its holder follows, with the pass as a signed JWT in it.

The pass goes to the company when the link is followed, and not before; the city itself never calls anybody.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from core.settings import Settings
from wallet.passes.apple import UnusablePass
from wallet.passes.face import BAND, PassFace

SAVE: Final = "https://pay.google.com/gp/v/save/"
_CLASS: Final = "citycard"


@dataclass(frozen=True, slots=True)
class Account:
    """Who signs: the service account that the company gave, for passes of this issuer."""

    issuer: str
    email: str
    key_id: str
    key: rsa.RSAPrivateKey


def account(settings: Settings) -> Account | None:
    """Who signs by these settings; None where passes for Google are off."""
    if settings.google_wallet_account is None or not settings.google_wallet_issuer:
        if settings.google_wallet_account is not None or settings.google_wallet_issuer:
            raise UnusablePass(
                "passes for Google need both CITYCARD_GOOGLE_WALLET_ISSUER and CITYCARD_GOOGLE_WALLET_ACCOUNT"
            )
        return None
    return _read(settings.google_wallet_account, settings.google_wallet_issuer)


@cache
def _read(file: Path, issuer: str) -> Account:
    try:
        said = json.loads(file.read_bytes())
        key = load_pem_private_key(said["private_key"].encode(), None)
        email, key_id = str(said["client_email"]), str(said.get("private_key_id", ""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UnusablePass(f"{file.name} is no service account with client_email and private_key") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise UnusablePass(f"the key in {file.name} is not RSA")
    return Account(issuer, email, key_id, key)


def save_link(face: PassFace, by: Account, now: datetime) -> str:
    """The link that puts the pass into its holder's wallet."""
    claims = {
        "iss": by.email,
        "aud": "google",
        "typ": "savetowallet",
        "iat": int(now.timestamp()),
        "payload": {
            "genericClasses": [{"id": f"{by.issuer}.{_CLASS}"}],
            "genericObjects": [_object(face, by)],
        },
    }
    headers = {"kid": by.key_id} if by.key_id else {}
    return SAVE + jwt.encode(claims, by.key, algorithm="RS256", headers=headers)


def _object(face: PassFace, by: Account) -> dict[str, Any]:
    _, name, with_id, about = face.words
    language = face.language.partition("-")[0]
    told = [{"id": "about", "body": about}]
    if face.name:
        told.insert(0, {"id": "name", "header": name, "body": face.name})
    return {
        "id": f"{by.issuer}.{face.serial}",
        "classId": f"{by.issuer}.{_CLASS}",
        "state": "ACTIVE",
        "genericType": "GENERIC_OTHER",
        "cardTitle": _text(face.title, language),
        "header": _text(face.title, language),
        "hexBackgroundColor": "#{:02x}{:02x}{:02x}".format(*BAND),
        "barcode": {"type": "QR_CODE", "value": face.code, "alternateText": with_id},
        "validTimeInterval": {"end": {"date": face.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")}},
        "textModulesData": told,
        "passConstraints": {"screenshotEligibility": "INELIGIBLE"},
    }


def _text(value: str, language: str) -> dict[str, Any]:
    return {"defaultValue": {"language": language, "value": value}}
