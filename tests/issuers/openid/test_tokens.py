"""Lines 5 and 14 of the issuer's checklist (HAIP 1.0, OpenID4VCI 1.0): tokens, and the errors of their endpoint."""

import json
from datetime import timedelta
from typing import Any

import pytest

from core.clock import FixedClock
from tests.issuers.openid.conftest import ISSUER, City
from tests.issuers.openid.wallet import PRE_AUTHORIZED, Wallet, error, new_key, read_sd_jwt

# ---- 5: tokens ----


async def test_vci_5_the_pre_authorized_code_brings_dpop_tokens(wallet: Wallet, city: City) -> None:
    offered = await city.offer()
    answer = await wallet.redeem(await wallet.read_offer(offered.link), offered.tx_code)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    assert tokens["token_type"] == "DPoP"
    assert tokens["scope"] == "city-card"
    assert tokens["expires_in"] == 1800
    assert tokens["refresh_token"]
    assert not {"c_nonce", "c_nonce_expires_in", "authorization_details"} & set(tokens)


async def test_vci_5_the_code_brings_dpop_tokens(wallet: Wallet, city: City) -> None:
    tokens = await wallet.sign_in(await city.session())
    assert tokens["token_type"] == "DPoP"
    assert tokens["scope"] == "city-card"


async def test_vci_5_authorization_details_bring_a_credential_identifier(wallet: Wallet, city: City) -> None:
    details = [
        {"type": "openid_credential", "credential_configuration_id": "city-card", "locations": [ISSUER]}
    ]
    tokens = await wallet.sign_in(await city.session(), scope=None, authorization_details=json.dumps(details))
    (granted,) = tokens["authorization_details"]
    assert granted["credential_configuration_id"] == "city-card"
    assert granted["credential_identifiers"]
    assert "scope" not in tokens
    # By its identifier, and no more by the name of the configuration.
    proofs = {"jwt": [wallet.proof(new_key(), await wallet.nonce())]}
    by_configuration = {"credential_configuration_id": "city-card", "proofs": proofs}
    refused = await wallet.behind_token("credential_endpoint", by_configuration)
    assert error(refused) == "invalid_credential_request"
    assert (await wallet.fetch([new_key()])).status_code == 200


async def test_vci_5_authorization_details_may_come_with_a_pre_authorized_code(
    wallet: Wallet, city: City
) -> None:
    offered = await city.offer()
    details = json.dumps([{"type": "openid_credential", "credential_configuration_id": "city-card"}])
    answer = await wallet.redeem(
        await wallet.read_offer(offered.link), offered.tx_code, authorization_details=details
    )
    assert answer.json()["authorization_details"]
    assert (await wallet.fetch([new_key()])).status_code == 200


async def test_vci_5_authorization_details_may_come_with_the_code_alone(wallet: Wallet, city: City) -> None:
    """OpenID4VCI 1.0 section 6.2: identifiers are a must once details were in the token request."""
    pushed = await wallet.push()
    said = await wallet.consent(wallet.authorize_url(pushed.json()["request_uri"]), await city.session())
    details = [{"type": "openid_credential", "credential_configuration_id": "another"}]
    refused = await wallet.exchange(said["code"], authorization_details=json.dumps(details))
    assert error(refused) == "invalid_authorization_details"
    details[0]["credential_configuration_id"] = "city-card"
    # What cannot be granted used nothing up.
    answer = await wallet.exchange(said["code"], authorization_details=json.dumps(details))
    assert answer.status_code == 200
    (granted,) = answer.json()["authorization_details"]
    assert granted["credential_identifiers"]
    assert answer.json()["scope"] == "city-card"
    assert (await wallet.fetch([new_key()])).status_code == 200
    assert (await wallet.refresh(attested=True)).json()["authorization_details"]


async def test_vci_5_authorization_details_may_come_with_a_refresh_token(wallet: Wallet, city: City) -> None:
    tokens = await wallet.sign_in(await city.session())
    assert "authorization_details" not in tokens
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert error(await wallet.ask_token(form | {"authorization_details": "{}"}, attested=True)) == (
        "invalid_authorization_details"
    )
    details = json.dumps([{"type": "openid_credential", "credential_configuration_id": "city-card"}])
    answer = await wallet.ask_token(form | {"authorization_details": details}, attested=True)
    assert answer.json()["authorization_details"]
    assert (await wallet.fetch([new_key()])).status_code == 200


async def test_vci_5_dpop_is_mandatory_and_takes_the_servers_nonce(wallet: Wallet, city: City) -> None:
    offered = await city.offer()
    offer = await wallet.read_offer(offered.link)
    form = {
        "grant_type": PRE_AUTHORIZED,
        "pre-authorized_code": offer["grants"][PRE_AUTHORIZED]["pre-authorized_code"],
        "tx_code": offered.tx_code,
    }
    url = wallet.server["token_endpoint"]
    assert error(await wallet.http.post(url, data=form)) == "invalid_dpop_proof"
    without = await wallet.http.post(url, data=form, headers={"DPoP": wallet.dpop("POST", url)})
    assert error(without) == "use_dpop_nonce"
    wallet.dpop_nonce = without.headers["DPoP-Nonce"]
    answer = await wallet.http.post(url, data=form, headers={"DPoP": wallet.dpop("POST", url)})
    assert answer.status_code == 200
    assert answer.headers["DPoP-Nonce"]


async def test_vci_5_a_refresh_token_brings_new_tokens_and_a_new_credential(
    wallet: Wallet, city: City, clock: FixedClock
) -> None:
    await wallet.sign_in(await city.session())
    first = await wallet.fetch([new_key()])
    clock.forward(timedelta(days=30))
    old = wallet.tokens
    assert (await wallet.refresh(attested=True)).status_code == 200
    assert wallet.tokens["refresh_token"] != old["refresh_token"]
    assert wallet.tokens["access_token"] != old["access_token"]
    again = await wallet.fetch([new_key()])
    assert again.status_code == 200
    ends = [read_sd_jwt(answer.json()["credentials"][0]["credential"])[1]["exp"] for answer in (first, again)]
    assert ends[0] < ends[1]


async def test_vci_5_a_wallet_without_a_name_refreshes_with_its_key(loaded: Wallet) -> None:
    assert (await loaded.refresh(attested=False)).status_code == 200
    token, loaded.dpop_key = loaded.tokens["refresh_token"], new_key()
    assert error(await loaded.refresh(token, attested=False)) == "invalid_grant"


async def test_vci_14_a_refresh_token_brings_no_more_than_was_granted(loaded: Wallet) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": loaded.tokens["refresh_token"]}
    for wider in ("city-card openid", "other"):
        assert error(await loaded.ask_token(form | {"scope": wider})) == "invalid_scope"
    assert (await loaded.ask_token(form | {"scope": "city-card"})).status_code == 200


async def test_vci_5_an_attested_wallet_may_take_a_new_dpop_key(wallet: Wallet, city: City) -> None:
    await wallet.sign_in(await city.session())
    wallet.dpop_key = new_key()
    assert (await wallet.refresh(attested=True)).status_code == 200
    assert (await wallet.fetch([new_key()])).status_code == 200


async def test_vci_5_a_refresh_token_is_exchanged_once_with_a_minute_for_lost_answers(
    loaded: Wallet, clock: FixedClock
) -> None:
    first = loaded.tokens["refresh_token"]
    assert (await loaded.refresh(first, attested=False)).status_code == 200
    clock.forward(timedelta(seconds=30))
    assert (await loaded.refresh(first, attested=False)).status_code == 200
    latest = loaded.tokens["refresh_token"]
    clock.forward(timedelta(minutes=2))
    assert error(await loaded.refresh(first, attested=False)) == "invalid_grant"
    # Somebody else may have had it: what followed from it ends as well.
    assert error(await loaded.refresh(latest, attested=False)) == "invalid_grant"
    assert (await loaded.fetch([new_key()])).status_code == 401


async def test_vci_5_an_access_token_ends(loaded: Wallet, clock: FixedClock) -> None:
    clock.forward(timedelta(seconds=loaded.tokens["expires_in"]))
    answer = await loaded.fetch([new_key()])
    assert error(answer, 401) == "invalid_token"


# ---- 14: errors at the token endpoint ----


async def test_vci_14_invalid_request_without_the_announced_tx_code(wallet: Wallet, city: City) -> None:
    offered = await city.offer()
    offer = await wallet.read_offer(offered.link)
    for _ in range(6):  # asking without one is no try
        assert error(await wallet.redeem(offer, None)) == "invalid_request"
    assert (await wallet.redeem(offer, offered.tx_code)).status_code == 200


async def test_vci_14_invalid_request_for_a_tx_code_that_was_not_announced(
    wallet: Wallet, city: City, clock: FixedClock
) -> None:
    offered = await city.offer(with_pin=False)
    assert offered.tx_code is None
    assert offered.expires_at - clock.now() == timedelta(minutes=5)
    offer = await wallet.read_offer(offered.link)
    assert "tx_code" not in offer["grants"][PRE_AUTHORIZED]
    assert error(await wallet.redeem(offer, "123456")) == "invalid_request"
    assert (await wallet.redeem(offer, None)).status_code == 200


async def test_vci_14_invalid_grant_for_a_wrong_tx_code_and_after_five_the_code_is_dead(
    wallet: Wallet, city: City
) -> None:
    offered = await city.offer()
    offer = await wallet.read_offer(offered.link)
    wrong = "000000" if offered.tx_code != "000000" else "000001"
    for _ in range(5):
        assert error(await wallet.redeem(offer, wrong)) == "invalid_grant"
    assert error(await wallet.redeem(offer, offered.tx_code)) == "invalid_grant"


async def test_vci_14_four_wrong_tries_are_forgiven(wallet: Wallet, city: City) -> None:
    offered = await city.offer()
    offer = await wallet.read_offer(offered.link)
    wrong = "000000" if offered.tx_code != "000000" else "000001"
    for _ in range(4):
        assert error(await wallet.redeem(offer, wrong)) == "invalid_grant"
    assert (await wallet.redeem(offer, offered.tx_code)).status_code == 200


async def test_vci_14_invalid_grant_for_wrong_used_and_expired_codes(
    wallet: Wallet, city: City, clock: FixedClock
) -> None:
    offered = await city.offer()
    offer = await wallet.read_offer(offered.link)
    made_up = {"grants": {PRE_AUTHORIZED: {"pre-authorized_code": "made-up"}}}
    assert error(await wallet.redeem(made_up, "123456")) == "invalid_grant"
    assert (await wallet.redeem(offer, offered.tx_code)).status_code == 200
    assert error(await wallet.redeem(offer, offered.tx_code)) == "invalid_grant"
    # Used twice, it was seen by two: what the first got is good no more.
    assert error(await wallet.fetch([new_key()]), 401) == "invalid_token"
    late = await city.offer()
    offer = await wallet.read_offer(late.link)
    clock.forward(timedelta(days=1))
    assert error(await wallet.redeem(offer, late.tx_code)) == "invalid_grant"


async def test_vci_14_invalid_client_where_the_code_flow_comes_without_attestation(
    wallet: Wallet, city: City
) -> None:
    pushed = await wallet.push()
    said = await wallet.consent(wallet.authorize_url(pushed.json()["request_uri"]), await city.session())
    form = {
        "grant_type": "authorization_code",
        "code": said["code"],
        "redirect_uri": "https://wallet.example/callback",
        "code_verifier": wallet.verifier,
    }
    assert error(await wallet.ask_token(form), 401) == "invalid_client"


async def test_vci_14_invalid_client_for_an_attestation_that_does_not_hold(
    wallet: Wallet, city: City
) -> None:
    offered = await city.offer()
    offer = await wallet.read_offer(offered.link)
    headers = {"OAuth-Client-Attestation": "a.b.c", "OAuth-Client-Attestation-PoP": "a.b.c"}
    form = {
        "grant_type": PRE_AUTHORIZED,
        "pre-authorized_code": offer["grants"][PRE_AUTHORIZED]["pre-authorized_code"],
        "tx_code": offered.tx_code,
    }
    await wallet.nonce()
    url = wallet.server["token_endpoint"]
    answer = await wallet.http.post(url, data=form, headers={**headers, "DPoP": wallet.dpop("POST", url)})
    assert error(answer, 401) == "invalid_client"
    assert (await wallet.redeem(offer, offered.tx_code)).status_code == 200  # and nothing was used up


async def test_vci_14_unsupported_grant_type(wallet: Wallet) -> None:
    assert error(await wallet.ask_token({"grant_type": "password"})) == "unsupported_grant_type"
    assert error(await wallet.ask_token({"code": "x"})) == "invalid_request"


@pytest.mark.parametrize(
    "wrong",
    [
        {"htm": "GET"},
        {"htu": "https://karte.example/openid/credential"},
        {"htu": "https://other.example/openid/token"},
        {"htu": None},
        {"iat": 1_000},
        {"iat": None},
        {"jti": None},
        {"header": {"typ": "jwt"}},
        {"header": {"jwk": None}},
        {"header": {"jwk": None, "kid": "alone"}},
        {"exp": 1_000},
        {"nbf": 2**33},
    ],
)
async def test_vci_14_invalid_dpop_proof(wallet: Wallet, wrong: dict[str, Any]) -> None:
    await wallet.nonce()
    url = wallet.server["token_endpoint"]
    form = {"grant_type": PRE_AUTHORIZED, "pre-authorized_code": "x", "tx_code": "1"}
    answer = await wallet.http.post(url, data=form, headers={"DPoP": wallet.dpop("POST", url, **wrong)})
    assert error(answer) == "invalid_dpop_proof"
    assert answer.headers["DPoP-Nonce"]


async def test_vci_14_use_dpop_nonce_for_one_that_is_not_ours_or_too_old(
    wallet: Wallet, clock: FixedClock
) -> None:
    url = wallet.server["token_endpoint"]
    form = {"grant_type": PRE_AUTHORIZED, "pre-authorized_code": "x", "tx_code": "1"}
    await wallet.nonce()
    clock.forward(timedelta(minutes=5))
    for nonce in ("made-up", wallet.dpop_nonce):
        proof = wallet.dpop("POST", url, nonce=nonce)
        answer = await wallet.http.post(url, data=form, headers={"DPoP": proof})
        assert error(answer) == "use_dpop_nonce"
