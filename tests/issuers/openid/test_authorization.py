"""Lines 3 and 4 of the issuer's checklist (HAIP 1.0, OpenID4VCI 1.0): the pushed request, and the person's consent."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from core.access.rules import Role
from core.clock import FixedClock
from tests.issuers.openid.conftest import ISSUER, City
from tests.issuers.openid.wallet import Provider, Wallet, error, jkt, new_key, s256
from tests.makers import sign_in

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
        ({"response_type": None}, "invalid_request"),
        ({"redirect_uri": "eudi://cb?a=\0"}, "invalid_request"),
        ({"state": "a\0b"}, "invalid_request"),
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


def test_s256_is_the_one_of_the_rfc() -> None:
    """RFC 7636 appendix B: the wallet of these tests makes challenges as everybody does."""
    challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    assert s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == challenge


# ---- 4: authorization ----


async def test_vci_4_the_person_signs_in_first_and_comes_back(wallet: Wallet) -> None:
    pushed = await wallet.push()
    url = wallet.authorize_url(pushed.json()["request_uri"])
    answer = await wallet.http.get(url, follow_redirects=False)
    assert answer.status_code == 303
    where = urlsplit(answer.headers["location"])
    assert where.path == "/login"
    assert ISSUER + parse_qs(where.query)["return_to"][0] == url


async def test_vci_4_an_account_for_work_is_told_so_and_not_sent_round_in_circles(
    wallet: Wallet, city: City
) -> None:
    pushed = await wallet.push()
    url = wallet.authorize_url(pushed.json()["request_uri"])
    clerk = await sign_in(city.database, city.vault, city.clock.now(), Role.CASE_WORKER)
    answer = await wallet.http.get(url, headers=clerk, follow_redirects=False)
    assert answer.status_code == 403
    assert "Konto für die Arbeit" in answer.text


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
    assert re.search(r'<a class="name"[^>]*>(Stadtkarte|Stadt-Karte|City card)</a>', page.text)
    assert re.search(r"<li>(Ihren Namen|your name)</li>", page.text)
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
    session = await sign_in(city.database, city.vault, city.clock.now(), Role.CITIZEN)
    uri = (await wallet.push()).json()["request_uri"]
    page = await wallet.http.get(wallet.authorize_url(uri), headers=session)
    assert page.status_code == 200
    assert 'href="/card?lang=de"' in page.text
    assert "<button" not in page.text
