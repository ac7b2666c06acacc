"""What a wallet is asked, and in which form: the query for a venue's tariffs, the link, the request object."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from core import jose, texts
from issuers.credentials.sdjwt.jws import ALGORITHM
from issuers.credentials.statement import TARIFF
from issuers.credentials.x5c import Break, read_chain
from issuers.openid.encryption import ALGORITHM as AGREEMENT
from issuers.openid.encryption import ENCODINGS
from verifiers.presentations.dcql import (
    SD_JWT_VC,
    ClaimQuery,
    CredentialQuery,
    Query,
    TrustedAuthorities,
)

TYPE: Final = "oauth-authz-req+jwt"
MEDIA_TYPE: Final = f"application/{TYPE}"
STATIC_WALLET: Final = "https://self-issued.me/v2"
"""The audience of a request to whichever wallet opens it (OpenID4VP 1.0 section 5.8)."""

REQUESTS: Final = "/openid/presentations"
RETURN: Final = "/openid/presented"

CARD: Final = "card"
"""The id of the query for our own card."""
NAME: Final = ("given_name", "family_name")


class Scheme(StrEnum):
    """What a wallet listens to: the one of OpenID4VP, or the one of HAIP."""

    OPENID = "openid4vp"
    HAIP = "haip-vp"


class Method(StrEnum):
    """How a wallet is told to fetch the request; by POST it adds a nonce of its own."""

    GET = "get"
    POST = "post"


def card_query(vct: str, tariffs: Sequence[str], *, with_name: bool, authorities: Sequence[str]) -> Query:
    """Asks for one of these tariffs, the first that the holder has, and for the name where it is compared with an ID.

    Of the tariffs one is enough, so no wallet shows more than one; which benefit is behind it stands nowhere.
    """
    name = [ClaimQuery((claim,), claim) for claim in NAME] if with_name else []
    asked = [ClaimQuery((TARIFF, tariff), f"tariff-{at}", (True,)) for at, tariff in enumerate(tariffs)]
    named = [claim.id or "" for claim in name]
    return Query(
        (
            CredentialQuery(
                CARD,
                SD_JWT_VC,
                {"vct_values": [vct]},
                claims=(*asked, *name),
                claim_sets=tuple((claim.id or "", *named) for claim in asked),
                trusted_authorities=(TrustedAuthorities("aki", tuple(authorities)),) if authorities else None,
            ),
        )
    )


# ---- one request ----


class Asked(msgspec.Struct, frozen=True):
    """Everything that answering a request needs, as it is kept under the request's own name."""

    client_id: str
    key_id: str
    x5c: list[str]
    nonce: str
    state: str
    secret: str
    """The private key of the moment that the answer is encrypted for, as base64url."""
    query: dict[str, Any]
    made_at: int
    answer_key: bytes
    """Seals what came of it, for whoever asked."""

    @property
    def private(self) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(int.from_bytes(texts.unb64url(self.secret)), ec.SECP256R1())


def new_secret() -> str:
    """A private key for one request, as it is kept."""
    numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    return texts.b64url(numbers.private_value.to_bytes(32))


def client_id_of(leaf: x509.Certificate) -> str:
    """How the request names who asks: by the hash of the certificate that signs it (OpenID4VP 1.0 section 5.9.3)."""
    return f"x509_hash:{texts.b64url(hashlib.sha256(leaf.public_bytes(Encoding.DER)).digest())}"


def authority_key_ids(x5c: Sequence[str]) -> list[str]:
    """The authorities that a chain of ours names, as wallets compare them; none where its certificates name none."""
    chain = read_chain(list(x5c))
    found = []
    for certificate in () if isinstance(chain, Break) else chain:
        try:
            named = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        except x509.ExtensionNotFound:
            continue
        if named.key_identifier is not None:
            found.append(texts.b64url(named.key_identifier))
    return list(dict.fromkeys(found))


def link(scheme: Scheme, client_id: str, request_uri: str, method: Method) -> str:
    """What a wallet opens, also from a QR code; everything else stands behind `request_uri`."""
    query = {"client_id": client_id, "request_uri": request_uri}
    if method is Method.POST:
        query["request_uri_method"] = method.value
    return f"{scheme}://?{urlencode(query)}"


def request_claims(
    asked: Asked,
    *,
    response_uri: str,
    now: datetime,
    expires_at: datetime,
    wallet_nonce: str | None,
    registration: str | None,
) -> dict[str, object]:
    """The request object; it is signed as `oauth-authz-req+jwt`."""
    public = asked.private.public_key()
    key = {**jose.jwk(public, kid=jose.thumbprint(public), use="enc"), "alg": AGREEMENT}
    claims: dict[str, object] = {
        "iss": asked.client_id,
        "aud": STATIC_WALLET,
        "iat": int(now.timestamp()),
        "exp": int(expires_at.timestamp()),
        "client_id": asked.client_id,
        "response_type": "vp_token",
        "response_mode": "direct_post.jwt",
        "response_uri": response_uri,
        "nonce": asked.nonce,
        "state": asked.state,
        "dcql_query": asked.query,
        "client_metadata": {
            "jwks": {"keys": [key]},
            "encrypted_response_enc_values_supported": list(ENCODINGS),
            "vp_formats_supported": {
                SD_JWT_VC: {"sd-jwt_alg_values": [ALGORITHM], "kb-jwt_alg_values": [ALGORITHM]}
            },
        },
    }
    if registration is not None:
        claims["verifier_info"] = [{"format": "registration_cert", "data": registration}]
    if wallet_nonce is not None:
        claims["wallet_nonce"] = wallet_nonce
    return claims


def tariffs_shown(claims: Mapping[str, object], asked: Sequence[str]) -> list[str]:
    """Those of the tariffs that were asked for which a verified credential shows; what else it shows is not seen."""
    shown = claims.get(TARIFF)
    return [tariff for tariff in asked if isinstance(shown, dict) and shown.get(tariff) is True]


def name_shown(claims: Mapping[str, object]) -> str:
    """The name that a verified credential shows, on one line."""
    return " ".join(str(claims.get(part, "")) for part in NAME).strip()
