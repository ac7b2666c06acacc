"""How the issuer and its OAuth server describe themselves to wallets (OpenID4VCI 1.0 section 12, RFC 8414)."""

import base64
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import core
from core.settings import Settings
from entitlements.rulebook.models import TariffRow
from issuers.credentials.sdjwt.vc import TYP
from issuers.credentials.statement import TARIFF, type_of
from issuers.openid.encryption import ALGORITHM, ENCODINGS
from issuers.openid.issuer import (
    AUTHORIZE,
    CHALLENGE,
    CONFIGURATION,
    CREDENTIAL,
    DEFERRED,
    NONCE,
    NOTIFICATION,
    PAR,
    PRE_AUTHORIZED,
    TOKEN,
)
from issuers.status.accepting import prefers

TYPE: Final = "openidvci-issuer-metadata+jwt"
SIGNED: Final = "application/jwt"
UNSIGNED: Final = "application/json"

_LOCALES = ("de", "en")
_ES256 = ["ES256"]

_CARD = {"de": "{city}-Karte", "en": "{city} card"}
_ABOUT = {
    "de": "Ermäßigungen in {city}, ohne den Grund zu nennen",
    "en": "Reductions in {city}, without saying why",
}
_NAMES: Mapping[str, Mapping[str, str]] = {
    TARIFF: {"de": "Ermäßigung", "en": "Reduction"},
    "given_name": {"de": "Vorname", "en": "First name"},
    "family_name": {"de": "Nachname", "en": "Family name"},
    "birthdate": {"de": "Geburtsdatum", "en": "Date of birth"},
}


def issuer_metadata(
    settings: Settings, city: str, tariffs: Iterable[TariffRow], request_key: Mapping[str, str]
) -> dict[str, Any]:
    """The credential issuer's description of itself; `request_key` is what requests may be encrypted for."""
    issuer = settings.public_url
    return {
        "credential_issuer": issuer,
        "authorization_servers": [issuer],
        "credential_endpoint": issuer + CREDENTIAL,
        "nonce_endpoint": issuer + NONCE,
        "deferred_credential_endpoint": issuer + DEFERRED,
        "notification_endpoint": issuer + NOTIFICATION,
        "batch_credential_issuance": {"batch_size": settings.wallet_batch},
        "credential_request_encryption": {
            "jwks": {"keys": [dict(request_key)]},
            "enc_values_supported": [*ENCODINGS],
            "encryption_required": False,
        },
        "credential_response_encryption": {
            "alg_values_supported": [ALGORITHM],
            "enc_values_supported": [*ENCODINGS],
            "encryption_required": False,
        },
        "display": [{"name": city, "locale": locale} for locale in _LOCALES],
        "credential_configurations_supported": {CONFIGURATION: _configuration(settings, city, tariffs)},
    }


def _configuration(settings: Settings, city: str, tariffs: Iterable[TariffRow]) -> dict[str, Any]:
    proofs = {"proof_signing_alg_values_supported": _ES256}
    return {
        "format": TYP,
        "scope": CONFIGURATION,
        "vct": type_of(settings),
        "credential_signing_alg_values_supported": _ES256,
        "cryptographic_binding_methods_supported": ["jwk"],
        "proof_types_supported": {"jwt": proofs, "attestation": proofs},
        "credential_metadata": {
            "display": [
                {
                    "name": _CARD[locale].format(city=city),
                    "description": _ABOUT[locale].format(city=city),
                    "locale": locale,
                    "logo": {"uri": _logo(), "alt_text": _CARD[locale].format(city=city)},
                    "background_color": "#0b3d63",
                    "text_color": "#ffffff",
                }
                for locale in _LOCALES
            ],
            "claims": [
                {"path": [TARIFF], "mandatory": True, "display": _display(_NAMES[TARIFF])},
                *({"path": [TARIFF, row.name], "display": _display(row.names)} for row in tariffs),
                *(
                    {"path": [name], "display": _display(names)}
                    for name, names in _NAMES.items()
                    if name != TARIFF
                ),
            ],
        },
    }


def _display(names: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": names.get(locale) or names["de"], "locale": locale} for locale in _LOCALES]


@cache
def _logo() -> str:
    """The icon in the document itself: a wallet that fetched it would tell us of its interest.

    A PNG: wallets on @openid4vc/utils refuse the whole document where a media type has a plus sign (`svg+xml`).
    """
    picture = (Path(str(core.__file__)).parent / "static" / "icon.png").read_bytes()
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def server_metadata(settings: Settings, *, registered_keys: bool) -> dict[str, Any]:
    """The OAuth server's description of itself; `registered_keys` where a client of the settings has keys of its own."""
    issuer = settings.public_url
    proving = ["attest_jwt_client_auth", *(["private_key_jwt"] if registered_keys else [])]
    return {
        "issuer": issuer,
        "authorization_endpoint": issuer + AUTHORIZE,
        "token_endpoint": issuer + TOKEN,
        "pushed_authorization_request_endpoint": issuer + PAR,
        "require_pushed_authorization_requests": True,
        "challenge_endpoint": issuer + CHALLENGE,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", PRE_AUTHORIZED, "refresh_token"],
        "scopes_supported": [CONFIGURATION],
        "authorization_details_types_supported": ["openid_credential"],
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": _ES256,
        "authorization_response_iss_parameter_supported": True,
        "token_endpoint_auth_methods_supported": proving,
        **({"token_endpoint_auth_signing_alg_values_supported": _ES256} if registered_keys else {}),
        "client_attestation_signing_alg_values_supported": _ES256,
        "client_attestation_pop_signing_alg_values_supported": _ES256,
        "pre-authorized_grant_anonymous_access_supported": True,
        "status_list_aggregation_endpoint": f"{issuer}/status",
        "ui_locales_supported": ["de", "en"],
    }


def wants_signed(accept: str) -> bool:
    """Whether an Accept header prefers the signed form; without a wish, and where in doubt, it is the unsigned one."""
    return prefers(accept, SIGNED, UNSIGNED)
