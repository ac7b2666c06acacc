"""Lines 16 and 19 of the issuer's checklist (HAIP 1.0, OpenID4VCI 1.0): an access token's errors, and their text."""

import hashlib

import jwt
import pytest
from sqlalchemy import update
from sqlmodel import col

from issuers.openid.models import WalletGrant
from tests.issuers.openid.conftest import City
from tests.issuers.openid.wallet import Wallet, error, new_key

# ---- 16: errors of the access token ----


ENDPOINTS = ["credential_endpoint", "deferred_credential_endpoint", "notification_endpoint"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_vci_16_without_a_token_the_scheme_is_named(loaded: Wallet, endpoint: str) -> None:
    answer = await loaded.http.post(loaded.issuer_metadata[endpoint], json={})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'DPoP algs="ES256"'


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_vci_16_invalid_token(loaded: Wallet, endpoint: str) -> None:
    for token in ("made-up", loaded.tokens["refresh_token"]):
        answer = await loaded.post(loaded.issuer_metadata[endpoint], token=token, json={})
        assert error(answer, 401) == "invalid_token"
        assert answer.headers["www-authenticate"].startswith('DPoP error="invalid_token"')


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_vci_16_a_token_without_its_proof_opens_nothing(loaded: Wallet, endpoint: str) -> None:
    url, token = loaded.issuer_metadata[endpoint], loaded.tokens["access_token"]
    headers = {"Authorization": f"DPoP {token}"}
    answer = await loaded.http.post(url, json={}, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('DPoP error="invalid_dpop_proof"')
    as_bearer = await loaded.http.post(url, json={}, headers={"Authorization": f"Bearer {token}"})
    assert error(as_bearer, 401) == "invalid_token"
    assert as_bearer.headers["www-authenticate"].startswith('DPoP error="invalid_token"')


async def test_vci_16_use_dpop_nonce(loaded: Wallet) -> None:
    url, token = loaded.issuer_metadata["credential_endpoint"], loaded.tokens["access_token"]
    ath = jwt.utils.base64url_encode(hashlib.sha256(token.encode()).digest()).decode()
    proof = loaded.dpop("POST", url, ath=ath, nonce=None)
    answer = await loaded.http.post(url, json={}, headers={"Authorization": f"DPoP {token}", "DPoP": proof})
    assert error(answer, 401) == "use_dpop_nonce"
    assert answer.headers["www-authenticate"].startswith('DPoP error="use_dpop_nonce"')
    assert answer.headers["DPoP-Nonce"]


async def test_vci_16_another_key_than_the_tokens_is_an_invalid_dpop_proof(loaded: Wallet) -> None:
    loaded.dpop_key = new_key()
    answer = await loaded.fetch([new_key()])
    assert error(answer, 401) == "invalid_dpop_proof"


@pytest.mark.parametrize("ath", [None, "AAAA"])
async def test_vci_16_a_proof_for_another_token_is_an_invalid_dpop_proof(
    loaded: Wallet, ath: str | None
) -> None:
    url, token = loaded.issuer_metadata["credential_endpoint"], loaded.tokens["access_token"]
    headers = {"Authorization": f"DPoP {token}", "DPoP": loaded.dpop("POST", url, ath=ath)}
    assert error(await loaded.http.post(url, json={}, headers=headers), 401) == "invalid_dpop_proof"


async def test_vci_16_insufficient_scope_for_a_configuration_of_before(loaded: Wallet, city: City) -> None:
    async with city.database.writing() as session:
        await session.execute(
            update(WalletGrant)
            .where(col(WalletGrant.person_id) == city.person_id)
            .values(scope="an-earlier-card")
        )
    answer = await loaded.fetch([new_key()])
    assert error(answer, 403) == "insufficient_scope"
    assert answer.headers["www-authenticate"].startswith('DPoP error="insufficient_scope"')


# ---- 19: text ----


def test_vci_19_descriptions_are_ascii_whatever_they_were_made_of() -> None:
    from issuers.openid.answers import OAuthError

    assert OAuthError("x", 'Grüße "von" \\ drüben\n').description == "Gr??e ?von? ? dr?ben?"


# ---- wallets that are websites ----


async def test_a_wallet_may_be_a_website(loaded: Wallet) -> None:
    origin = {"Origin": "https://wallet.example"}
    server, issuer = loaded.server, loaded.issuer_metadata
    for url in (
        server["pushed_authorization_request_endpoint"],
        server["token_endpoint"],
        server["challenge_endpoint"],
        issuer["nonce_endpoint"],
        *(issuer[endpoint] for endpoint in ENDPOINTS),
    ):
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "dpop"}
        before = await loaded.http.options(url, headers={**origin, **asked})
        assert before.headers["access-control-allow-origin"] == "*"
        assert "dpop" in before.headers["access-control-allow-headers"].lower()
        answer = await loaded.http.post(url, headers=origin)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
    nonce = await loaded.http.post(issuer["nonce_endpoint"], headers=origin)
    assert "DPoP-Nonce" in nonce.headers["access-control-expose-headers"]
