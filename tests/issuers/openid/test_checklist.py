"""Every line of the issuer's checklist (HAIP 1.0, OpenID4VCI 1.0), by its number: 1-10 the endpoints, 11 the metadata,
12 the proofs, 13 the credential, 14-18 the error codes of token, credential, access, deferred and notification, 19 text."""

import base64
import hashlib
import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography import x509
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import update
from sqlmodel import col

from app import create_app
from core.clock import FixedClock
from issuers.credentials.rules import Revocation
from issuers.openid.models import WalletGrant
from tests.issuers.openid.conftest import ISSUER, City, House
from tests.issuers.openid.makers import waiting_person
from tests.issuers.openid.wallet import (
    PRE_AUTHORIZED,
    Provider,
    Wallet,
    jkt,
    new_key,
    public_jwk,
    read_sd_jwt,
    s256,
    status_of,
    unb64,
    verify_chain,
)

Client = AsyncTestClient[Litestar]
TEXT = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*")


def error(answer: httpx.Response, status: int = 400) -> str:
    """The code of a refusal, whose form is checked here each time."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert TEXT.fullmatch(body["error_description"]), body
    return str(body["error"])


# ---- 1: issuer metadata ----


async def test_vci_1_metadata_stands_between_host_and_path(client: Client, city: City) -> None:
    answer = await client.get("/.well-known/openid-credential-issuer")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json()["credential_issuer"] == ISSUER
    assert (await client.get("/.well-known/openid-credential-issuer/elsewhere")).status_code == 404


async def test_vci_1_an_issuer_with_a_path_has_it_behind(house: House, clock: FixedClock) -> None:
    with_path = house.settings.model_copy(update={"public_url": "https://stadt.example/karte"})
    application = create_app(with_path, clock, vault=house.vault, work=False)
    async with AsyncTestClient(application, base_url="https://stadt.example") as client:
        for name, claim in (
            ("openid-credential-issuer", "credential_issuer"),
            ("oauth-authorization-server", "issuer"),
        ):
            answer = await client.get(f"/.well-known/{name}/karte")
            assert answer.json()[claim] == "https://stadt.example/karte"


@pytest.mark.parametrize(
    ("accept", "signed"),
    [
        (None, False),
        ("*/*", False),
        ("application/json", False),
        ("application/jwt", True),
        ("application/jwt, application/json;q=0.9", True),
        ("application/json, application/jwt", False),
        ("application/jwt;q=0", False),
    ],
)
async def test_vci_1_metadata_is_signed_where_asked(
    client: Client, city: City, clock: FixedClock, accept: str | None, signed: bool
) -> None:
    headers = {} if accept is None else {"Accept": accept}
    answer = await client.get("/.well-known/openid-credential-issuer", headers=headers)
    assert answer.headers["vary"] == "Accept"
    if not signed:
        assert answer.json()["credential_issuer"] == ISSUER
        return
    assert answer.headers["content-type"].startswith("application/jwt")
    header = jwt.get_unverified_header(answer.text)
    assert header["typ"] == "openidvci-issuer-metadata+jwt"
    assert "kid" not in header
    verify_chain(answer.text, city.anchor)
    claims = json.loads(unb64(answer.text.split(".")[1]))
    assert claims["sub"] == ISSUER
    assert claims["iat"] == int(clock.now().timestamp())
    unsigned = (await client.get("/.well-known/openid-credential-issuer")).json()
    assert {name: claims[name] for name in unsigned} == unsigned


# ---- 2: OAuth metadata ----


async def test_vci_2_the_server_describes_itself(client: Client, city: City) -> None:
    answer = await client.get("/.well-known/oauth-authorization-server")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    said = answer.json()
    assert said["issuer"] == ISSUER
    for name in (
        "authorization_endpoint",
        "token_endpoint",
        "pushed_authorization_request_endpoint",
        "challenge_endpoint",
    ):
        assert said[name].startswith(ISSUER + "/")
    expected = {
        "require_pushed_authorization_requests": True,
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": ["ES256"],
        "authorization_response_iss_parameter_supported": True,
        "token_endpoint_auth_methods_supported": ["attest_jwt_client_auth"],
        "client_attestation_signing_alg_values_supported": ["ES256"],
        "client_attestation_pop_signing_alg_values_supported": ["ES256"],
        "pre-authorized_grant_anonymous_access_supported": True,
        "status_list_aggregation_endpoint": f"{ISSUER}/status",
        "response_types_supported": ["code"],
    }
    assert {name: said[name] for name in expected} == expected
    assert {"authorization_code", PRE_AUTHORIZED, "refresh_token"} <= set(said["grant_types_supported"])


async def test_vci_2_the_status_lists_stand_where_it_says(loaded: Wallet, client: Client) -> None:
    await loaded.fetch([new_key()])
    listed = (await client.get(loaded.server["status_list_aggregation_endpoint"])).json()["status_lists"]
    assert f"{ISSUER}/status/1" in listed


# ---- 3: pushed requests ----


async def test_vci_3_a_pushed_request_gets_a_name(wallet: Wallet) -> None:
    answer = await wallet.push()
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["request_uri"].startswith("urn:ietf:params:oauth:request_uri:")
    assert answer.json()["expires_in"] > 0


async def test_vci_3_a_client_must_prove_itself(wallet: Wallet) -> None:
    assert error(await wallet.push(headers={}), 401) == "invalid_client"


@pytest.mark.parametrize("has_iss", [True, False])
async def test_vci_3_an_attestation_proves_the_wallet_with_and_without_iss(
    wallet: Wallet, has_iss: bool
) -> None:
    wallet.pop_has_iss = has_iss
    assert (await wallet.push()).status_code == 201


async def test_vci_3_a_challenge_may_be_signed_and_must_then_be_ours(
    wallet: Wallet, clock: FixedClock
) -> None:
    given = await wallet.http.post(wallet.server["challenge_endpoint"])
    assert given.status_code == 200
    assert given.headers["cache-control"] == "no-store"
    challenge = given.json()["attestation_challenge"]
    assert (await wallet.push(headers=wallet.attest(challenge=challenge))).status_code == 201
    refused = await wallet.push(headers=wallet.attest(challenge="not-ours"))
    assert error(refused) == "use_attestation_challenge"
    offered = refused.headers["OAuth-Client-Attestation-Challenge"]
    assert (await wallet.push(headers=wallet.attest(challenge=offered))).status_code == 201
    clock.forward(timedelta(minutes=6))
    assert error(await wallet.push(headers=wallet.attest(challenge=offered))) == "use_attestation_challenge"


async def test_vci_3_an_expired_attestation_must_be_renewed(
    wallet: Wallet, provider: Provider, clock: FixedClock
) -> None:
    old = provider.wallet_attestation(wallet.instance, clock.now(), exp=int(clock.now().timestamp()) - 61)
    assert error(await wallet.push(headers=wallet.attest(attestation=old)), 401) == "use_fresh_attestation"


async def test_vci_3_client_id_is_the_subject_of_the_attestation(wallet: Wallet) -> None:
    assert error(await wallet.push(client_id="https://other.example"), 401) == "invalid_client"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"client_id": None}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"scope": "something-else"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"issuer_state": "of-no-offer"}, "invalid_request"),
        ({"resource": "https://other.example"}, "invalid_target"),
        ({"dpop_jkt": "short"}, "invalid_request"),
        ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
        ({"request_uri": "https://wallet.example/request"}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"authorization_details": "[{}]"}, "invalid_authorization_details"),
        ({"authorization_details": "no json"}, "invalid_authorization_details"),
    ],
)
async def test_vci_3_what_cannot_be_granted_is_refused(
    wallet: Wallet, wrong: dict[str, Any], code: str
) -> None:
    assert error(await wallet.push(**wrong)) == code


async def test_vci_3_unknown_scopes_and_the_resource_itself_do_no_harm(wallet: Wallet) -> None:
    assert (await wallet.push(scope="openid city-card", resource=ISSUER)).status_code == 201


async def test_vci_3_dpop_jkt_binds_the_code_to_a_key(wallet: Wallet, city: City) -> None:
    pushed = await wallet.push(dpop_jkt=jkt(new_key()))
    said = await wallet.consent(wallet.authorize_url(pushed.json()["request_uri"]), await city.session())
    assert error(await wallet.exchange(said["code"])) == "invalid_grant"
    assert await wallet.sign_in(await city.session(), dpop_jkt=jkt(wallet.dpop_key))


# ---- 4: authorization ----


async def test_vci_4_the_person_signs_in_first_and_comes_back(wallet: Wallet) -> None:
    pushed = await wallet.push()
    url = wallet.authorize_url(pushed.json()["request_uri"])
    answer = await wallet.http.get(url, follow_redirects=False)
    assert answer.status_code == 303
    where = urlsplit(answer.headers["location"])
    assert where.path == "/login"
    assert ISSUER + parse_qs(where.query)["return_to"][0] == url


async def test_vci_4_the_way_back_brings_code_state_and_iss(wallet: Wallet, city: City) -> None:
    pushed = await wallet.push()
    said = await wallet.consent(wallet.authorize_url(pushed.json()["request_uri"]), await city.session())
    assert set(said) == {"code", "state", "iss"}
    wallet.check_back(said)


async def test_vci_4_the_person_may_refuse(wallet: Wallet, city: City) -> None:
    pushed = await wallet.push()
    url = wallet.authorize_url(pushed.json()["request_uri"])
    said = await wallet.consent(url, await city.session(), decision="deny")
    assert said["error"] == "access_denied"
    wallet.check_back(said)


@pytest.mark.parametrize(
    ("language", "word"), [("de", "Karte laden"), ("de-simple", "Ja, Karte laden"), ("en", "Load the card")]
)
async def test_vci_4_the_page_says_what_the_wallet_gets_in_three_languages(
    wallet: Wallet, city: City, language: str, word: str
) -> None:
    pushed = await wallet.push()
    url = wallet.authorize_url(pushed.json()["request_uri"]) + f"&lang={language}"
    page = await wallet.http.get(url, headers=await city.session())
    assert word in page.text
    assert "Beispiel-Wallet" in page.text
    assert "wallet.example" in page.text
    policy = page.headers["content-security-policy"]
    assert "form-action 'self' https://wallet.example;" in policy
    assert "frame-ancestors 'none'" in policy
    # The page can be read in the other languages without losing what it is about.
    assert page.text.count("request_uri=urn") == 3


async def test_vci_4_only_pushed_requests_are_heard(wallet: Wallet, city: City) -> None:
    session = await city.session()
    query = "client_id=https://wallet.example&response_type=code&redirect_uri=https://evil.example"
    answer = await wallet.http.get(f"/openid/authorize?{query}", headers=session, follow_redirects=False)
    assert answer.status_code == 400
    assert "location" not in answer.headers


async def test_vci_4_a_request_is_for_its_client_for_its_time_and_for_one_answer(
    wallet: Wallet, city: City, clock: FixedClock
) -> None:
    session = await city.session()
    uri = (await wallet.push()).json()["request_uri"]
    foreign = await wallet.http.get(wallet.authorize_url(uri, "https://other.example"), headers=session)
    assert foreign.status_code == 400
    await wallet.consent(wallet.authorize_url(uri), session)
    assert (await wallet.http.get(wallet.authorize_url(uri), headers=session)).status_code == 400
    late = (await wallet.push()).json()["request_uri"]
    clock.forward(timedelta(minutes=11))
    assert (await wallet.http.get(wallet.authorize_url(late), headers=session)).status_code == 400


async def test_vci_4_an_account_without_a_person_is_led_to_connect_it(wallet: Wallet, city: City) -> None:
    from core.access.rules import Role
    from tests.makers import sign_in

    session = await sign_in(city.database, city.vault, city.clock.now(), Role.CITIZEN)
    uri = (await wallet.push()).json()["request_uri"]
    page = await wallet.http.get(wallet.authorize_url(uri), headers=session)
    assert page.status_code == 200
    assert 'href="/card?lang=de"' in page.text
    assert "<button" not in page.text


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


# ---- 6: nonces ----


async def test_vci_6_anybody_gets_a_nonce_and_one_for_dpop(client: Client, city: City) -> None:
    answers = [await client.post("/openid/nonce") for _ in range(2)]
    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert len(answer.json()["c_nonce"]) >= 22
        assert answer.headers["DPoP-Nonce"]
    assert answers[0].json() != answers[1].json()


async def test_vci_6_the_dpop_nonce_of_the_nonce_endpoint_is_good_behind_the_token(loaded: Wallet) -> None:
    loaded.dpop_nonce = None
    nonce = await loaded.nonce()
    url = loaded.issuer_metadata["credential_endpoint"]
    token = loaded.tokens["access_token"]
    ath = jwt.utils.base64url_encode(hashlib.sha256(token.encode()).digest()).decode()
    answer = await loaded.http.post(
        url,
        headers={"Authorization": f"DPoP {token}", "DPoP": loaded.dpop("POST", url, ath=ath)},
        json={
            "credential_configuration_id": "city-card",
            "proofs": {"jwt": [loaded.proof(new_key(), nonce)]},
        },
    )
    assert answer.status_code == 200, answer.text


# ---- 7: credentials ----


async def test_vci_7_a_credential_comes_with_a_notification_id(loaded: Wallet) -> None:
    answer = await loaded.fetch([new_key()])
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) == {"credentials", "notification_id"}


async def test_vci_7_a_batch_has_one_credential_for_each_proof(loaded: Wallet) -> None:
    keys = [new_key() for _ in range(loaded.issuer_metadata["batch_credential_issuance"]["batch_size"])]
    answer = await loaded.fetch(keys)
    bound = [read_sd_jwt(one["credential"])[1]["cnf"]["jwk"] for one in answer.json()["credentials"]]
    assert bound == [public_jwk(key) for key in keys]
    one_more = await loaded.fetch([*keys, new_key()])
    assert error(one_more) == "invalid_proof"


async def test_vci_7_an_attestation_brings_a_credential_for_each_key(
    loaded: Wallet, provider: Provider, clock: FixedClock
) -> None:
    keys = [new_key() for _ in range(3)]
    attestation = provider.key_attestation(keys, clock.now(), nonce=await loaded.nonce())
    answer = await loaded.ask_credential(proofs={"attestation": [attestation]})
    assert answer.status_code == 200, answer.text
    bound = [read_sd_jwt(one["credential"])[1]["cnf"]["jwk"] for one in answer.json()["credentials"]]
    assert bound == [public_jwk(key) for key in keys]


@pytest.mark.parametrize("enc", ["A128GCM", "A256GCM"])
@pytest.mark.parametrize("request_too", [True, False])
async def test_vci_7_the_answer_is_encrypted_where_asked(loaded: Wallet, enc: str, request_too: bool) -> None:
    from jwcrypto import jwe, jwk

    key = jwk.JWK.generate(kty="EC", crv="P-256", kid="answer", use="enc", alg="ECDH-ES")
    body = {
        "credential_configuration_id": "city-card",
        "proofs": {"jwt": [loaded.proof(new_key(), await loaded.nonce())]},
        "credential_response_encryption": {"jwk": key.export_public(as_dict=True), "enc": enc},
    }
    url, token = loaded.issuer_metadata["credential_endpoint"], loaded.tokens["access_token"]
    if request_too:
        announced = loaded.issuer_metadata["credential_request_encryption"]
        (theirs,) = announced["jwks"]["keys"]
        assert enc in announced["enc_values_supported"]
        header = {"alg": theirs["alg"], "enc": enc, "kid": theirs["kid"]}
        closed = jwe.JWE(json.dumps(body).encode(), json.dumps(header))
        closed.add_recipient(jwk.JWK(**theirs))
        answer = await loaded.post(
            url,
            token=token,
            content=closed.serialize(compact=True),
            headers={"Content-Type": "application/jwt"},
        )
    else:
        answer = await loaded.post(url, token=token, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/jwt")
    opened = jwe.JWE()
    opened.deserialize(answer.text, key)
    assert opened.jose_header["alg"] == "ECDH-ES"
    assert opened.jose_header["enc"] == enc
    assert opened.jose_header["kid"] == "answer"
    assert read_sd_jwt(json.loads(opened.payload)["credentials"][0]["credential"])


async def test_vci_7_what_waits_for_a_decision_is_deferred(wallet: Wallet, city: City) -> None:
    person_id = await waiting_person(city)
    offered = await city.offer(person_id)
    await wallet.redeem(await wallet.read_offer(offered.link), offered.tx_code)
    answer = await wallet.fetch([new_key()])
    assert answer.status_code == 202, answer.text
    assert set(answer.json()) == {"transaction_id", "interval"}
    assert answer.json()["interval"] > 0


# ---- 8: deferred credentials, notifications ----


async def test_vci_8_a_deferred_credential_comes_when_it_is_decided(wallet: Wallet, city: City) -> None:
    person_id = await waiting_person(city)
    offered = await city.offer(person_id)
    await wallet.redeem(await wallet.read_offer(offered.link), offered.tx_code)
    key = new_key()
    transaction = (await wallet.fetch([key])).json()["transaction_id"]
    body = {"transaction_id": transaction}
    later = await wallet.behind_token("deferred_credential_endpoint", body)
    assert later.status_code == 202
    assert later.json()["transaction_id"] == transaction
    await city.give(person_id)
    answer = await wallet.behind_token("deferred_credential_endpoint", body)
    assert answer.status_code == 200, answer.text
    (credential,) = [one["credential"] for one in answer.json()["credentials"]]
    assert read_sd_jwt(credential)[1]["cnf"]["jwk"] == public_jwk(key)
    assert answer.json()["notification_id"]
    again = await wallet.behind_token("deferred_credential_endpoint", body)
    assert error(again) == "invalid_transaction_id"


async def test_vci_8_a_key_out_of_reach_defers_and_keeps_nothing(
    loaded: Wallet, city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.vault import MemoryVault, VaultError

    signer = MemoryVault.signer

    def gone(self: MemoryVault, key_id: str, use: Any = None) -> Any:
        raise VaultError("the module does not answer")

    monkeypatch.setattr(MemoryVault, "signer", gone)
    answer = await loaded.fetch([new_key()])
    assert answer.status_code == 202
    assert answer.json()["interval"] <= 60
    assert await city.credentials() == []
    monkeypatch.setattr(MemoryVault, "signer", signer)
    got = await loaded.behind_token(
        "deferred_credential_endpoint", {"transaction_id": answer.json()["transaction_id"]}
    )
    assert got.status_code == 200


@pytest.mark.parametrize("event", ["credential_accepted", "credential_failure", "credential_deleted"])
async def test_vci_8_notifications_are_heard_and_idempotent(loaded: Wallet, city: City, event: str) -> None:
    notification = (await loaded.fetch([new_key()])).json()["notification_id"]
    for _ in range(2):
        answer = await loaded.behind_token(
            "notification_endpoint", {"notification_id": notification, "event": event}
        )
        assert answer.status_code == 204
        assert answer.content == b""
    (row,) = await city.credentials()
    deleted = event == "credential_deleted"
    assert row.revoked_for == (Revocation.DELETED if deleted else None)


# ---- 9: status lists ----


async def test_vci_9_the_status_list_of_a_credential_is_public_and_signed_by_a_chain(
    loaded: Wallet, client: Client, city: City
) -> None:
    answer = await loaded.fetch([new_key()])
    status = read_sd_jwt(answer.json()["credentials"][0]["credential"])[1]["status"]["status_list"]
    got = await client.get(status["uri"], headers={"Accept": "application/statuslist+jwt"})
    assert got.status_code == 200
    assert got.headers["content-type"].startswith("application/statuslist+jwt")
    assert got.headers["access-control-allow-origin"] == "*"
    assert got.headers["content-encoding"] == "gzip"
    verify_chain(got.text, city.anchor)
    header = jwt.get_unverified_header(got.text)
    assert header["typ"] == "statuslist+jwt"
    claims = json.loads(unb64(got.text.split(".")[1]))
    assert claims["sub"] == status["uri"]
    listed = claims["status_list"]
    assert status_of(listed["lst"], status["idx"], listed["bits"]) == 0


async def test_vci_9_what_is_no_longer_held_is_invalid_in_the_list(
    loaded: Wallet, client: Client, city: City
) -> None:
    from tests.issuers.makers import run_jobs

    answer = await loaded.fetch([new_key()])
    status = read_sd_jwt(answer.json()["credentials"][0]["credential"])[1]["status"]["status_list"]
    await city.take()
    await run_jobs(city.database, city.settings, city.vault, city.clock)
    listed = json.loads(unb64((await client.get(status["uri"])).text.split(".")[1]))["status_list"]
    assert status_of(listed["lst"], status["idx"], listed["bits"]) == 1


# ---- 10: offers ----


async def test_vci_10_an_offer_by_reference_is_json_and_names_both_grants(wallet: Wallet, city: City) -> None:
    offered = await city.offer()
    assert offered.link.startswith("openid-credential-offer://?credential_offer_uri=")
    offer = await wallet.read_offer(offered.link)
    assert offer["credential_issuer"] == ISSUER
    assert set(offer["credential_configuration_ids"]) <= set(wallet.configurations)
    assert set(offer["grants"]) == {PRE_AUTHORIZED, "authorization_code"}
    announced = offer["grants"][PRE_AUTHORIZED]["tx_code"]
    assert announced["input_mode"] == "numeric"
    assert offered.tx_code is not None
    assert len(offered.tx_code) == announced["length"]
    assert TEXT.fullmatch(announced["description"])
    assert len(announced["description"]) <= 300


async def test_vci_10_an_offer_by_value_says_the_same(wallet: Wallet, city: City) -> None:
    from issuers.openid.offers import Scheme

    offered = await city.offer(by_value=True, scheme=Scheme.HAIP)
    assert offered.link.startswith("haip-vci://?credential_offer=")
    # Not every wallet reads a plus sign as a space; each reads %20.
    assert "+" not in offered.link
    answer = await wallet.redeem(await wallet.read_offer(offered.link), offered.tx_code)
    assert answer.status_code == 200


async def test_vci_10_an_offer_leads_into_the_code_flow(wallet: Wallet, city: City) -> None:
    offer = await wallet.read_offer((await city.offer(programme="dortmund-karte")).link)
    state = offer["grants"]["authorization_code"]["issuer_state"]
    await wallet.sign_in(await city.session(), issuer_state=state)
    assert (await wallet.fetch([new_key()])).status_code == 200


async def test_vci_10_an_offer_ends_and_is_hidden_from_who_has_no_reference(
    wallet: Wallet, city: City, clock: FixedClock
) -> None:
    offered = await city.offer()
    uri = parse_qs(urlsplit(offered.link).query)["credential_offer_uri"][0]
    assert (await wallet.http.get(uri[:-1] + ("A" if uri[-1] != "A" else "B"))).status_code == 404
    clock.forward(timedelta(days=1))
    assert (await wallet.http.get(uri)).status_code == 404


async def test_vci_10_an_offer_names_a_programme_and_the_credential_says_no_more(
    wallet: Wallet, city: City
) -> None:
    await city.give(programme="sozialpass", tariffs=("education",))
    offered = await city.offer(programme="sozialpass")
    await wallet.redeem(await wallet.read_offer(offered.link), offered.tx_code)
    credential = (await wallet.fetch([new_key()])).json()["credentials"][0]["credential"]
    names = {name for _, name, _ in read_sd_jwt(credential)[2]}
    assert names == {"education", "given_name", "family_name", "birthdate"}


async def test_vci_10_nothing_is_offered_where_nothing_is_held(city: City) -> None:
    from issuers.openid.offers import NothingToOffer

    with pytest.raises(NothingToOffer):
        await city.offer(await city.newcomer())


# ---- 11: metadata rules ----


async def test_vci_11_every_configuration_says_what_wallets_need(wallet: Wallet, provider: Provider) -> None:
    assert wallet.issuer_metadata["batch_credential_issuance"]["batch_size"] >= 2
    for configuration in wallet.configurations.values():
        assert configuration["format"] == "dc+sd-jwt"
        assert configuration["vct"] == "urn:citycard:dortmund:card:1"
        assert configuration["scope"] in wallet.server["scopes_supported"]
        assert configuration["cryptographic_binding_methods_supported"] == ["jwk"]
        assert configuration["credential_signing_alg_values_supported"] == ["ES256"]
        for kind in ("jwt", "attestation"):
            proof = configuration["proof_types_supported"][kind]
            assert proof == {"proof_signing_alg_values_supported": ["ES256"]}
        shown = configuration["credential_metadata"]
        assert {display["locale"] for display in shown["display"]} == {"de", "en"}
        for display in shown["display"]:
            assert display["name"]
            # The form that @openid4vc/utils asks of a data URI; with `svg+xml` it refuses all of the metadata.
            picture = re.fullmatch(r"data:[\w/\-.]+;base64,([A-Za-z0-9+/]+=*)", display["logo"]["uri"])
            assert picture is not None
            assert base64.b64decode(picture[1]).startswith(b"\x89PNG\r\n\x1a\n")
        for claim in shown["claims"]:
            assert {display["locale"] for display in claim["display"]} == {"de", "en"}
        paths = [tuple(claim["path"]) for claim in shown["claims"]]
        assert len(set(paths)) == len(paths)
        assert {("tariff",), ("tariff", "reduced"), ("given_name",), ("birthdate",)} <= set(paths)


async def test_vci_11_addresses_are_https_and_encryption_is_announced(wallet: Wallet) -> None:
    said = wallet.issuer_metadata
    for name in said:
        if name.endswith("_endpoint"):
            assert said[name].startswith("https://")
    assert said["credential_response_encryption"] == {
        "alg_values_supported": ["ECDH-ES"],
        "enc_values_supported": ["A128GCM", "A256GCM"],
        "encryption_required": False,
    }
    (key,) = said["credential_request_encryption"]["jwks"]["keys"]
    assert key["kid"]
    assert key["alg"] == "ECDH-ES"
    assert "d" not in key


# ---- 12: proofs ----


@pytest.mark.parametrize(
    "wrong",
    [
        {"header": {"typ": "JWT"}},
        {"header": {"jwk": None}},
        {"header": {"kid": "also"}},
        {"header": {"x5c": ["MIIB"]}},
        {"header": {"jwk": None, "kid": "did:key:z6Mk#z6Mk"}},
        {"aud": "https://other.example"},
        {"aud": [ISSUER, "https://other.example"]},
        {"aud": None},
        {"iat": None},
        {"iat": 1_000},
        {"iat": True},
        {"iss": "https://wallet.example"},  # nobody is named by an anonymous token
        {"signed_by": new_key()},
    ],
)
async def test_vci_12_a_proof_that_breaks_one_rule_is_refused(loaded: Wallet, wrong: dict[str, Any]) -> None:
    key, nonce = new_key(), await loaded.nonce()
    answer = await loaded.ask_credential(proofs={"jwt": [loaded.proof(key, nonce, **wrong)]})
    assert error(answer) == "invalid_proof"


async def test_vci_12_a_private_key_in_the_header_is_refused(loaded: Wallet) -> None:
    from tests.issuers.openid.wallet import private_jwk

    key = new_key()
    proof = loaded.proof(key, await loaded.nonce(), header={"jwk": private_jwk(key)})
    assert error(await loaded.ask_credential(proofs={"jwt": [proof]})) == "invalid_proof"


async def test_vci_12_an_unsigned_proof_is_refused(loaded: Wallet) -> None:
    header, claims, _ = loaded.proof(new_key(), await loaded.nonce()).split(".")
    opened = json.loads(unb64(header)) | {"alg": "none"}
    header = base64.urlsafe_b64encode(json.dumps(opened).encode()).rstrip(b"=").decode()
    answer = await loaded.ask_credential(proofs={"jwt": [f"{header}.{claims}."]})
    assert error(answer) == "invalid_proof"


async def test_vci_12_the_nonce_must_be_live(loaded: Wallet, clock: FixedClock) -> None:
    nonce = await loaded.nonce()
    clock.forward(timedelta(minutes=5))
    answer = await loaded.ask_credential(proofs={"jwt": [loaded.proof(new_key(), nonce)]})
    assert error(answer) == "invalid_nonce"


async def test_vci_12_iss_is_the_client(wallet: Wallet, city: City) -> None:
    await wallet.sign_in(await city.session())
    for iss, expected in (("https://other.example", 400), ("https://wallet.example", 200), (None, 200)):
        proof = wallet.proof(new_key(), await wallet.nonce(), iss=iss)
        assert (await wallet.ask_credential(proofs={"jwt": [proof]})).status_code == expected


async def test_vci_12_a_key_attestation_in_the_proof_brings_every_attested_key(
    loaded: Wallet, provider: Provider, clock: FixedClock
) -> None:
    keys = [new_key(), new_key()]
    attestation = provider.key_attestation(keys, clock.now())
    proof = loaded.proof(keys[0], await loaded.nonce(), header={"key_attestation": attestation})
    answer = await loaded.ask_credential(proofs={"jwt": [proof]})
    assert answer.status_code == 200, answer.text
    bound = [read_sd_jwt(one["credential"])[1]["cnf"]["jwk"] for one in answer.json()["credentials"]]
    assert bound == [public_jwk(key) for key in keys]


@pytest.mark.parametrize(
    ("wrong", "typ"),
    [
        ({"exp": None}, None),
        ({"exp": 1_000}, None),
        ({"iat": None}, None),
        ({"attested_keys": []}, None),
        ({"attested_keys": None}, None),
        ({"attested_keys": [{"kty": "oct", "k": "AAAA"}]}, None),
        ({}, "keyattestation+jwt"),
    ],
)
async def test_vci_12_a_key_attestation_that_does_not_hold_is_refused(
    loaded: Wallet, provider: Provider, clock: FixedClock, wrong: dict[str, Any], typ: str | None
) -> None:
    key = new_key()
    now = int(clock.now().timestamp())
    claims = {"iat": now, "exp": now + 600, "attested_keys": [public_jwk(key)]} | wrong
    attestation = provider.sign(typ or "key-attestation+jwt", claims)
    proof = loaded.proof(key, await loaded.nonce(), header={"key_attestation": attestation})
    assert error(await loaded.ask_credential(proofs={"jwt": [proof]})) == "invalid_proof"


async def test_vci_12_a_proof_by_a_key_that_is_not_attested_is_refused(
    loaded: Wallet, provider: Provider, clock: FixedClock
) -> None:
    attestation = provider.key_attestation([new_key()], clock.now())
    proof = loaded.proof(new_key(), await loaded.nonce(), header={"key_attestation": attestation})
    assert error(await loaded.ask_credential(proofs={"jwt": [proof]})) == "invalid_proof"


async def test_vci_12_a_foreign_key_attestation_is_refused(loaded: Wallet, clock: FixedClock) -> None:
    stranger, key = Provider(clock.now(), "Nobody"), new_key()
    nonce = await loaded.nonce()
    alone = stranger.key_attestation([key], clock.now(), nonce=nonce)
    assert error(await loaded.ask_credential(proofs={"attestation": [alone]})) == "invalid_proof"
    beside = loaded.proof(
        key, nonce, header={"key_attestation": stranger.key_attestation([key], clock.now())}
    )
    assert error(await loaded.ask_credential(proofs={"jwt": [beside]})) == "invalid_proof"


async def test_vci_12_an_attestation_alone_needs_a_live_nonce(
    loaded: Wallet, provider: Provider, clock: FixedClock
) -> None:
    without = provider.key_attestation([new_key()], clock.now())
    assert error(await loaded.ask_credential(proofs={"attestation": [without]})) == "invalid_proof"
    made_up = provider.key_attestation([new_key()], clock.now(), nonce="made-up")
    assert error(await loaded.ask_credential(proofs={"attestation": [made_up]})) == "invalid_nonce"
    other = provider.key_attestation([key := new_key()], clock.now(), nonce=await loaded.nonce())
    proof = loaded.proof(key, await loaded.nonce(), header={"key_attestation": other})
    assert error(await loaded.ask_credential(proofs={"jwt": [proof]})) == "invalid_nonce"


async def test_vci_12_a_key_gets_one_credential_of_a_batch(loaded: Wallet) -> None:
    key, nonce = new_key(), await loaded.nonce()
    answer = await loaded.ask_credential(proofs={"jwt": [loaded.proof(key, nonce), loaded.proof(key, nonce)]})
    assert error(answer) == "invalid_proof"


# ---- 13: the credential ----


async def test_vci_13_the_credential_is_as_haip_wants_it(
    loaded: Wallet, city: City, clock: FixedClock
) -> None:
    answer = await loaded.fetch([new_key()])
    credential = answer.json()["credentials"][0]["credential"]
    header, payload, disclosures = read_sd_jwt(credential)
    assert header.keys() == {"alg", "typ", "x5c"}
    assert (header["alg"], header["typ"]) == ("ES256", "dc+sd-jwt")
    verify_chain(credential, city.anchor)
    leaf = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["karte.example"]
    assert payload["iss"] == ISSUER
    assert payload["vct"] == "urn:citycard:dortmund:card:1"
    assert payload["_sd_alg"] == "sha-256"
    assert payload["iat"] % 86_400 == 0 == payload["exp"] % 86_400
    now = clock.now().timestamp()
    assert payload["iat"] <= now < payload["exp"] <= now + 93 * 86_400
    assert payload["status"].keys() == {"status_list"}
    assert payload["status"]["status_list"].keys() == {"idx", "uri"}
    assert payload.keys() == {"iss", "vct", "iat", "exp", "cnf", "status", "tariff", "_sd", "_sd_alg"}
    # However much there is to say, each object shows eight digests.
    assert len(payload["_sd"]) == len(payload["tariff"]["_sd"]) == 8
    assert {one[1] for one in disclosures} == {
        "reduced",
        "social_ticket",
        "given_name",
        "family_name",
        "birthdate",
    }


async def test_vci_13_the_city_says_nothing_of_the_benefit(loaded: Wallet) -> None:
    credential = (await loaded.fetch([new_key()])).json()["credentials"][0]["credential"]
    _, payload, disclosures = read_sd_jwt(credential)
    said = json.dumps(
        [{**payload, "cnf": None, "_sd": None, "tariff": None}, [one[1:] for one in disclosures]]
    )
    for word in ("sgb", "jobcenter", "wohngeld", "asyl", "ground", "dortmund-karte"):
        assert word not in said.lower()


async def test_vci_13_members_of_a_batch_have_indices_of_their_own_and_nothing_else_in_common(
    loaded: Wallet,
) -> None:
    answer = await loaded.fetch([new_key() for _ in range(8)])
    payloads = [read_sd_jwt(one["credential"])[1] for one in answer.json()["credentials"]]
    indices = [payload["status"]["status_list"]["idx"] for payload in payloads]
    assert len(set(indices)) == 8
    assert indices not in (sorted(indices), sorted(indices, reverse=True))
    digests = [digest for payload in payloads for digest in payload["_sd"] + payload["tariff"]["_sd"]]
    assert len(set(digests)) == len(digests)
    assert len({(payload["iat"], payload["exp"]) for payload in payloads}) == 1


async def test_vci_13_it_ends_with_the_entitlement(wallet: Wallet, city: City, clock: FixedClock) -> None:
    person_id = await city.newcomer(until=date(2026, 9, 30))
    offered = await city.offer(person_id)
    await wallet.redeem(await wallet.read_offer(offered.link), offered.tx_code)
    answer = await wallet.fetch([new_key()])
    payload = read_sd_jwt(answer.json()["credentials"][0]["credential"])[1]
    # Announced today, the end takes effect after four days of post and fourteen of grace: the 4th of October. The
    # city's midnight after it is at 22 hours UTC, and the day is rounded up.
    assert datetime.fromtimestamp(payload["exp"], UTC) == datetime(2026, 10, 5, tzinfo=UTC)


async def test_vci_13_other_libraries_accept_it(loaded: Wallet, city: City) -> None:
    from jwcrypto.jwk import JWK
    from sd_jwt.holder import SDJWTHolder
    from sd_jwt.verifier import SDJWTVerifier

    key = new_key()
    credential = (await loaded.fetch([key])).json()["credentials"][0]["credential"]
    leaf = x509.load_der_x509_certificate(base64.b64decode(read_sd_jwt(credential)[0]["x5c"][0]))
    issuer_key = JWK.from_pyca(leaf.public_key())
    holder = SDJWTHolder(credential)
    holder.create_presentation(
        {"tariff": {"reduced": True}},
        nonce="n-1",
        aud="https://venue.example",
        holder_key=JWK.from_pyca(key),
        sign_alg="ES256",
    )
    seen = SDJWTVerifier(
        holder.sd_jwt_presentation, lambda _issuer, _header: issuer_key, "https://venue.example", "n-1"
    ).get_verified_payload()
    assert seen["tariff"] == {"reduced": True}
    assert not {"given_name", "family_name", "birthdate"} & set(seen)


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
        {"header": {"kid": "also"}},
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


# ---- 15: errors at the credential endpoint ----


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"credential_configuration_id": None}, "invalid_credential_request"),
        ({"credential_identifier": "city-card/1"}, "invalid_credential_request"),
        (
            {"credential_configuration_id": None, "credential_identifier": "city-card/1"},
            "invalid_credential_request",
        ),
        ({"credential_configuration_id": "other"}, "unknown_credential_configuration"),
        (
            {"credential_configuration_id": None, "credential_identifier": "other"},
            "unknown_credential_identifier",
        ),
        ({"proofs": None}, "invalid_proof"),
        ({"proofs": {}}, "invalid_proof"),
        ({"proofs": {"jwt": []}}, "invalid_proof"),
        ({"proofs": {"jwt": "x"}}, "invalid_proof"),
        ({"proofs": {"jwt": [1]}}, "invalid_proof"),
        ({"proofs": {"di_vp": [{}]}}, "invalid_proof"),
        ({"proofs": {"jwt": ["x"], "attestation": ["x"]}}, "invalid_proof"),
        ({"proofs": {"attestation": ["x", "y"]}}, "invalid_proof"),
        ({"credential_response_encryption": {}}, "invalid_encryption_parameters"),
        ({"credential_response_encryption": "x"}, "invalid_encryption_parameters"),
    ],
)
async def test_vci_15_a_wrong_credential_request_has_its_own_code(
    loaded: Wallet, body: dict[str, Any], code: str
) -> None:
    full = {
        "credential_configuration_id": "city-card",
        "proofs": {"jwt": [loaded.proof(new_key(), await loaded.nonce())]},
    } | body
    answer = await loaded.behind_token(
        "credential_endpoint", {name: value for name, value in full.items() if value is not None}
    )
    assert error(answer) == code


async def test_vci_15_a_missing_nonce_is_an_invalid_proof_and_a_foreign_one_an_invalid_nonce(
    loaded: Wallet,
) -> None:
    without = await loaded.ask_credential(proofs={"jwt": [loaded.proof(new_key(), None)]})
    assert error(without) == "invalid_proof"
    foreign = await loaded.ask_credential(proofs={"jwt": [loaded.proof(new_key(), "made-up")]})
    assert error(foreign) == "invalid_nonce"
    # The nonce for DPoP is not the one for proofs.
    other = await loaded.ask_credential(proofs={"jwt": [loaded.proof(new_key(), loaded.dpop_nonce)]})
    assert error(other) == "invalid_nonce"


@pytest.mark.parametrize(
    "wrong",
    [
        {"enc": "A128CBC-HS256"},
        {"enc": None},
        {"zip": "DEF"},
        {"jwk": {"kty": "RSA"}},
        {"jwk": None},
        {"alg": "RSA-OAEP"},
        {"alg": None},
        {"use": "sig"},
        {"d": "AAAA"},
        {"x": "AAAA"},
    ],
)
async def test_vci_15_invalid_encryption_parameters_are_answered_in_the_open(
    loaded: Wallet, wrong: dict[str, Any]
) -> None:
    in_key = {"alg", "use", "d", "x"}
    key = public_jwk(new_key(), alg="ECDH-ES", use="enc") | {n: v for n, v in wrong.items() if n in in_key}
    wish = {"jwk": {n: v for n, v in key.items() if v is not None}, "enc": "A256GCM"} | {
        name: value for name, value in wrong.items() if name not in in_key
    }
    answer = await loaded.fetch([new_key()], credential_response_encryption=wish)
    assert error(answer) == "invalid_encryption_parameters"


async def test_vci_15_a_request_that_is_badly_encrypted_is_refused(loaded: Wallet) -> None:
    for content in ("x", "a.b.c.d.e", "ä"):
        answer = await loaded.post(
            loaded.issuer_metadata["credential_endpoint"],
            token=loaded.tokens["access_token"],
            content=content.encode(),
            headers={"Content-Type": "application/jwt"},
        )
        assert error(answer) in {"invalid_encryption_parameters", "invalid_credential_request"}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "application/json"),
        (b"[]", "application/json"),
        (b"{", "application/json"),
        (b'{"proofs": 1, "proofs": 2}', "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"a=b", "application/x-www-form-urlencoded"),
    ],
)
async def test_vci_15_what_is_no_json_object_is_an_invalid_credential_request(
    loaded: Wallet, content: bytes, kind: str
) -> None:
    answer = await loaded.post(
        loaded.issuer_metadata["credential_endpoint"],
        token=loaded.tokens["access_token"],
        content=content,
        headers={"Content-Type": kind},
    )
    assert error(answer) == "invalid_credential_request"


async def test_vci_15_credential_request_denied_where_nothing_is_held_any_more(
    loaded: Wallet, city: City
) -> None:
    await city.take()
    assert error(await loaded.fetch([new_key()])) == "credential_request_denied"


async def test_vci_15_unknown_parameters_are_passed_over(loaded: Wallet) -> None:
    assert (await loaded.fetch([new_key()], format="dc+sd-jwt", something={"else": 1})).status_code == 200


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
    assert as_bearer.status_code == 401


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


# ---- 17, 18: errors of the deferred and the notification endpoint ----


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"transaction_id": "made-up"}, "invalid_transaction_id"),
        ({}, "invalid_credential_request"),
        ({"transaction_id": 1}, "invalid_credential_request"),
        (
            {"transaction_id": "made-up", "credential_response_encryption": {}},
            "invalid_encryption_parameters",
        ),
    ],
)
async def test_vci_17_deferred_errors(loaded: Wallet, body: dict[str, Any], code: str) -> None:
    assert error(await loaded.behind_token("deferred_credential_endpoint", body)) == code


async def test_vci_17_another_wallets_transaction_is_not_known(wallet: Wallet, city: City) -> None:
    person_id = await waiting_person(city)
    offered = await city.offer(person_id)
    await wallet.redeem(await wallet.read_offer(offered.link), offered.tx_code)
    transaction = (await wallet.fetch([new_key()])).json()["transaction_id"]
    mine = await city.offer()
    await wallet.redeem(await wallet.read_offer(mine.link), mine.tx_code)
    answer = await wallet.behind_token("deferred_credential_endpoint", {"transaction_id": transaction})
    assert error(answer) == "invalid_transaction_id"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"notification_id": "made-up", "event": "credential_accepted"}, "invalid_notification_id"),
        ({"notification_id": "made-up", "event": "credential_lost"}, "invalid_notification_request"),
        ({"notification_id": "made-up"}, "invalid_notification_request"),
        ({"event": "credential_accepted"}, "invalid_notification_request"),
        ({"notification_id": 1, "event": "credential_accepted"}, "invalid_notification_request"),
        (
            {"notification_id": "x", "event": "credential_failure", "event_description": "voll ä"},
            "invalid_notification_request",
        ),
    ],
)
async def test_vci_18_notification_errors(loaded: Wallet, body: dict[str, Any], code: str) -> None:
    assert error(await loaded.behind_token("notification_endpoint", body)) == code


async def test_vci_18_another_wallets_credentials_are_not_known(loaded: Wallet, city: City) -> None:
    notification = (await loaded.fetch([new_key()])).json()["notification_id"]
    other = await city.offer(await city.newcomer(tariffs=("reduced",)))
    await loaded.redeem(await loaded.read_offer(other.link), other.tx_code)
    answer = await loaded.behind_token(
        "notification_endpoint", {"notification_id": notification, "event": "credential_deleted"}
    )
    assert error(answer) == "invalid_notification_id"


# ---- 19: text ----


def test_vci_19_descriptions_are_ascii_whatever_they_were_made_of() -> None:
    from issuers.openid.answers import OAuthError

    assert OAuthError("x", 'Grüße "von" \\ drüben\n').description == "Gr??e ?von? ? dr?ben?"


def test_s256_is_the_one_of_the_rfc() -> None:
    """RFC 7636 appendix B: the wallet of these tests makes challenges as everybody does."""
    challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    assert s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == challenge


async def test_vci_9_a_withdrawn_key_takes_back_what_it_signed_and_another_signs(
    loaded: Wallet, client: Client, city: City
) -> None:
    from issuers.authorities.service import ensure_authority, withdraw
    from tests.issuers.makers import run_jobs

    answer = await loaded.fetch([new_key()])
    credential = answer.json()["credentials"][0]["credential"]
    (row,) = await city.credentials()
    async with city.database.writing() as session:
        await withdraw(session, city.vault, row.key_id, city.clock.now(), reason="lost")
    await run_jobs(city.database, city.settings, city.vault, city.clock)
    (row,) = await city.credentials()
    assert row.revoked_for is Revocation.KEY_WITHDRAWN
    async with city.database.writing() as session:
        await ensure_authority(session, city.vault, city.settings, city.clock.now())
    status = read_sd_jwt(credential)[1]["status"]["status_list"]
    listed = (await client.get(status["uri"])).text
    verify_chain(listed, city.anchor)
    claims = json.loads(unb64(listed.split(".")[1]))["status_list"]
    assert status_of(claims["lst"], status["idx"], claims["bits"]) == 1
    again = (await loaded.fetch([new_key()])).json()["credentials"][0]["credential"]
    verify_chain(again, city.anchor)
    assert read_sd_jwt(again)[0]["x5c"] != read_sd_jwt(credential)[0]["x5c"]
