"""What is refused: replays, forgeries, thefts, mix-ups, and whatever is larger or stranger than a wallet's request."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from sqlalchemy import func, select
from sqlmodel import col

from core.clock import FixedClock
from core.settings import Mode, Settings
from issuers.openid import clients, offers
from issuers.openid.consenting import CODE_LASTS
from issuers.openid.desk import Desk
from issuers.openid.forgetting import forget_ended
from issuers.openid.issuer import is_reachable
from issuers.openid.models import (
    AuthorizationCode,
    CredentialOffer,
    PushedRequest,
    UsedOnce,
    WalletGrant,
    WalletToken,
)
from tests.issuers.openid.conftest import ISSUER, City, House
from tests.issuers.openid.wallet import PRE_AUTHORIZED, REDIRECT, Provider, Wallet, new_key, public_jwk


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", "")


async def coded(wallet: Wallet, city: City, **push: Any) -> str:
    """A code on its way from the browser to the wallet."""
    pushed = await wallet.push(**push)
    assert pushed.status_code == 201, pushed.text
    said = await wallet.consent(wallet.authorize_url(pushed.json()["request_uri"]), await city.session())
    return said["code"]


# ---- replays ----


async def test_a_nonce_is_good_for_one_request(loaded: Wallet) -> None:
    nonce = await loaded.nonce()
    first = await loaded.ask_credential(proofs={"jwt": [loaded.proof(new_key(), nonce)]})
    assert first.status_code == 200
    again = await loaded.ask_credential(proofs={"jwt": [loaded.proof(new_key(), nonce)]})
    assert code(again) == (400, "invalid_nonce")


async def test_of_two_requests_with_one_nonce_at_once_one_gets_credentials(loaded: Wallet) -> None:
    nonce = await loaded.nonce()
    answers = await asyncio.gather(
        *(loaded.ask_credential(proofs={"jwt": [loaded.proof(new_key(), nonce)]}) for _ in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]


async def test_a_dpop_proof_is_good_once(wallet: Wallet, city: City) -> None:
    await wallet.nonce()
    url = wallet.server["token_endpoint"]
    form = {"grant_type": PRE_AUTHORIZED, "pre-authorized_code": "made-up", "tx_code": "1"}
    headers = {"DPoP": wallet.dpop("POST", url)}
    assert code(await wallet.http.post(url, data=form, headers=headers)) == (400, "invalid_grant")
    assert code(await wallet.http.post(url, data=form, headers=headers)) == (400, "invalid_dpop_proof")


async def test_a_proof_of_possession_is_good_once(wallet: Wallet) -> None:
    headers = wallet.attest()
    assert (await wallet.push(headers=headers)).status_code == 201
    assert code(await wallet.push(headers=headers)) == (401, "invalid_client")


async def test_two_dpop_proofs_are_none(wallet: Wallet) -> None:
    url = wallet.server["token_endpoint"]
    await wallet.nonce()
    headers = [("DPoP", wallet.dpop("POST", url)), ("DPoP", wallet.dpop("POST", url))]
    form = {"grant_type": PRE_AUTHORIZED, "pre-authorized_code": "x", "tx_code": "1"}
    assert code(await wallet.http.post(url, data=form, headers=headers)) == (400, "invalid_dpop_proof")


@pytest.mark.parametrize("alg", ["none", "HS256", "RS256"])
async def test_a_dpop_proof_of_another_algorithm_is_refused(wallet: Wallet, alg: str) -> None:
    import base64

    url = wallet.server["token_endpoint"]
    _, claims, signature = wallet.dpop("POST", url).split(".")
    head = base64.urlsafe_b64encode(
        json.dumps({"typ": "dpop+jwt", "alg": alg, "jwk": public_jwk(wallet.dpop_key)}).encode()
    )
    proof = f"{head.rstrip(b'=').decode()}.{claims}.{'' if alg == 'none' else signature}"
    form = {"grant_type": PRE_AUTHORIZED, "pre-authorized_code": "x", "tx_code": "1"}
    answer = await wallet.http.post(url, data=form, headers={"DPoP": proof})
    assert code(answer) == (400, "invalid_dpop_proof")


# ---- codes in the wrong hands ----


async def test_a_code_that_comes_twice_ends_everything_that_came_of_it(wallet: Wallet, city: City) -> None:
    given = await coded(wallet, city)
    assert (await wallet.exchange(given)).status_code == 200
    assert (await wallet.fetch([new_key()])).status_code == 200
    first = wallet.tokens
    assert code(await wallet.exchange(given)) == (400, "invalid_grant")
    wallet.tokens = first
    assert code(await wallet.fetch([new_key()])) == (401, "invalid_token")
    assert code(await wallet.refresh(attested=True)) == (400, "invalid_grant")


async def test_of_two_exchanges_at_once_at_most_one_keeps_its_tokens(wallet: Wallet, city: City) -> None:
    given = await coded(wallet, city)
    await wallet.nonce()
    answers = await asyncio.gather(*(wallet.exchange(given) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400]


async def test_a_stolen_code_is_of_no_use_to_another_wallet(
    wallet: Wallet, city: City, provider: Provider, clock: FixedClock
) -> None:
    given = await coded(wallet, city)
    other_app = Wallet(wallet.http, ISSUER, clock, provider, client_id="https://evil.example")
    other_phone = Wallet(wallet.http, ISSUER, clock, provider)
    for thief in (other_app, other_phone):
        await thief.discover()
        thief.verifier = wallet.verifier
        assert code(await thief.exchange(given)) == (400, "invalid_grant")
    # The thief's tries have not cost the wallet its code.
    assert (await wallet.exchange(given)).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"code_verifier": None},
        {"code_verifier": "v" * 43},
        {"code_verifier": ""},
        {"redirect_uri": "https://wallet.example/other"},
        {"redirect_uri": None},
        {"code": "made-up"},
    ],
)
async def test_pkce_and_the_redirect_uri_bind_the_code(
    wallet: Wallet, city: City, wrong: dict[str, Any]
) -> None:
    given = await coded(wallet, city)
    assert code(await wallet.exchange(**({"code": given} | wrong))) == (400, "invalid_grant")


async def test_pkce_cannot_be_talked_down(wallet: Wallet) -> None:
    assert code(await wallet.push(code_challenge_method="plain")) == (400, "invalid_request")
    assert code(await wallet.push(code_challenge=None, code_challenge_method=None)) == (
        400,
        "invalid_request",
    )


async def test_a_code_lasts_a_minute(wallet: Wallet, city: City, clock: FixedClock) -> None:
    given = await coded(wallet, city)
    clock.forward(timedelta(seconds=60))
    assert code(await wallet.exchange(given)) == (400, "invalid_grant")


async def test_an_offer_for_somebody_else_gives_nothing(wallet: Wallet, city: City) -> None:
    other = await city.newcomer(tariffs=("reduced",))
    offer = await wallet.read_offer((await city.offer(other)).link)
    pushed = await wallet.push(issuer_state=offer["grants"]["authorization_code"]["issuer_state"])
    said = await wallet.consent(wallet.authorize_url(pushed.json()["request_uri"]), await city.session())
    assert said["error"] == "access_denied"
    assert "code" not in said


async def test_a_decision_needs_the_persons_own_browser(wallet: Wallet, city: City) -> None:
    uri = (await wallet.push()).json()["request_uri"]
    form = {"client_id": wallet.client_id, "request_uri": uri, "decision": "allow"}
    assert (await wallet.http.post("/openid/authorize", data=form)).status_code == 401
    session = await city.session()
    for foreign in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await wallet.http.post(
            "/openid/authorize", data=form, headers={**session, **foreign}, follow_redirects=False
        )
        assert answer.status_code == 403
    # None of it was an answer.
    assert "code" in await wallet.consent(wallet.authorize_url(uri), session)


async def press(wallet: Wallet, uri: str, session: dict[str, str], decision: str = "allow") -> httpx.Response:
    form = {"client_id": wallet.client_id, "request_uri": uri, "decision": decision}
    return await wallet.http.post("/openid/authorize", data=form, headers=session, follow_redirects=False)


def code_in(answer: httpx.Response) -> str:
    assert answer.status_code == 303
    return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]


async def test_a_button_that_is_pressed_twice_still_leads_to_the_wallet(wallet: Wallet, city: City) -> None:
    """The browser follows the second answer only."""
    uri, session = (await wallet.push()).json()["request_uri"], await city.session()
    first, second = code_in(await press(wallet, uri, session)), code_in(await press(wallet, uri, session))
    assert code(await wallet.exchange(first)) == (400, "invalid_grant")
    assert (await wallet.exchange(second)).status_code == 200
    assert (await press(wallet, uri, session)).status_code == 400, "the code is used, and there is no other"
    assert (await wallet.fetch([new_key()])).status_code == 200


async def test_of_many_presses_at_once_one_code_is_good(wallet: Wallet, city: City) -> None:
    uri, session = (await wallet.push()).json()["request_uri"], await city.session()
    await wallet.nonce()
    given = [code_in(one) for one in await asyncio.gather(*(press(wallet, uri, session) for _ in range(5)))]
    assert len(set(given)) == 5
    answers = [(await wallet.exchange(one)).status_code for one in given]
    assert sorted(answers) == [200, 400, 400, 400, 400]


async def test_what_one_person_allowed_gives_another_no_code(wallet: Wallet, city: City) -> None:
    uri, session = (await wallet.push()).json()["request_uri"], await city.session()
    allowed = code_in(await press(wallet, uri, session))
    other = await city.session(await city.newcomer())
    assert (await press(wallet, uri, other)).status_code == 400
    assert (await press(wallet, uri, other, "deny")).status_code == 400
    assert (await wallet.exchange(allowed)).status_code == 200


async def test_who_declined_cannot_allow_any_more(wallet: Wallet, city: City) -> None:
    uri, session = (await wallet.push()).json()["request_uri"], await city.session()
    for _ in range(2):
        assert "error=access_denied" in (await press(wallet, uri, session, "deny")).headers["location"]
    assert (await press(wallet, uri, session)).status_code == 400


async def test_a_code_that_ran_out_is_not_replaced(wallet: Wallet, city: City, clock: FixedClock) -> None:
    uri, session = (await wallet.push()).json()["request_uri"], await city.session()
    code_in(await press(wallet, uri, session))
    clock.forward(CODE_LASTS)
    assert (await press(wallet, uri, session)).status_code == 400


async def test_guesses_at_the_transaction_code_are_counted_also_at_once(wallet: Wallet, city: City) -> None:
    offered = await city.offer()
    offer = await wallet.read_offer(offered.link)
    await wallet.nonce()
    wrong = [f"{guess:06d}" for guess in range(20) if f"{guess:06d}" != offered.tx_code]
    answers = await asyncio.gather(*(wallet.redeem(offer, guess) for guess in wrong[:12]))
    assert {code(answer) for answer in answers} == {(400, "invalid_grant")}
    assert code(await wallet.redeem(offer, offered.tx_code)) == (400, "invalid_grant")
    async with city.database.reading() as session:
        found = await session.execute(
            select(col(CredentialOffer.wrong_pins)).where(col(CredentialOffer.person_id) == city.person_id)
        )
        assert found.scalars().all() == [5]


# ---- forged wallets ----


async def test_an_attestation_of_nobody_we_trust_is_refused(wallet: Wallet, clock: FixedClock) -> None:
    wallet.provider = Provider(clock.now(), "Nobody")
    assert code(await wallet.push()) == (401, "invalid_client")


@pytest.mark.parametrize(
    "wrong",
    [
        {"sub": None},
        {"sub": ""},
        {"sub": "wallet\0"},  # PostgreSQL keeps no NUL in a text
        {"exp": None},
        {"cnf": None},
        {"cnf": {"jwk": {"kty": "oct", "k": "AAAA"}}},
        {"cnf": {"jkt": "x"}},
        {"nbf": 4_000_000_000},
        {"iat": 4_000_000_000},
    ],
)
async def test_an_attestation_that_breaks_one_rule_is_refused(
    wallet: Wallet, provider: Provider, clock: FixedClock, wrong: dict[str, Any]
) -> None:
    attestation = provider.wallet_attestation(wallet.instance, clock.now(), **wrong)
    assert code(await wallet.push(headers=wallet.attest(attestation=attestation))) == (401, "invalid_client")


@pytest.mark.parametrize(
    "header", [{"typ": "JWT"}, {"x5c": None}, {"x5c": ["MIIB"]}, {"jku": "https://x.example"}]
)
async def test_an_attestation_with_another_header_is_refused(
    wallet: Wallet, provider: Provider, clock: FixedClock, header: dict[str, Any]
) -> None:
    now = int(clock.now().timestamp())
    claims = {"sub": wallet.client_id, "exp": now + 60, "cnf": {"jwk": public_jwk(wallet.instance)}}
    other = {name: value for name, value in header.items() if name != "typ"}
    attestation = provider.sign(header.get("typ", "oauth-client-attestation+jwt"), claims, **other)
    assert code(await wallet.push(headers=wallet.attest(attestation=attestation))) == (401, "invalid_client")


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "https://other.example"},
        {"aud": [ISSUER, "https://other.example"]},
        {"iss": "https://other.example"},
        {"jti": None},
        {"iat": None},
        {"iat": 1_000},
        {"exp": 1_000},
        {"nbf": 2**33},
        {"pop_key": new_key()},
    ],
)
async def test_a_proof_of_possession_that_breaks_one_rule_is_refused(
    wallet: Wallet, wrong: dict[str, Any]
) -> None:
    assert code(await wallet.push(headers=wallet.attest(**wrong))) == (401, "invalid_client")


async def test_half_a_proof_is_none(wallet: Wallet) -> None:
    for name in ("OAuth-Client-Attestation", "OAuth-Client-Attestation-PoP"):
        headers = wallet.attest()
        del headers[name]
        assert code(await wallet.push(headers=headers)) == (401, "invalid_client")
    by_secret = await wallet.push(headers={"Authorization": "Basic eDp5"})
    assert code(by_secret) == (401, "invalid_client")
    assert by_secret.headers["www-authenticate"].startswith("Basic ")  # RFC 6749 section 5.2
    assert code(await wallet.push(headers={}, client_secret="s")) == (401, "invalid_client")


async def test_an_attested_wallet_refreshes_as_itself_or_not_at_all(
    wallet: Wallet, city: City, provider: Provider, clock: FixedClock
) -> None:
    tokens = await wallet.sign_in(await city.session())
    assert code(await wallet.refresh(attested=False)) == (401, "invalid_client")
    other_phone = Wallet(wallet.http, ISSUER, clock, provider, dpop_key=wallet.dpop_key)
    await other_phone.discover()
    assert code(await other_phone.refresh(tokens["refresh_token"], attested=True)) == (400, "invalid_grant")
    assert (await wallet.refresh(tokens["refresh_token"], attested=True)).status_code == 200


# ---- where users are sent ----


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "http://wallet.example/callback",
        "http://127.0.0.1/callback",
        "https://wallet.example/callback#fragment",
        "https://user@evil.example/",
        "https://wallet.example\\@evil.example/",
        "https:///callback",
        "https://wallet.example/ x",
        "https://[::1/",
        "//evil.example/",
        "/openid/authorize",
        "",
    ],
)
async def test_nobody_is_sent_to_where_no_wallet_is(wallet: Wallet, redirect_uri: str) -> None:
    assert code(await wallet.push(redirect_uri=redirect_uri)) == (400, "invalid_request")


@pytest.mark.parametrize(
    "redirect_uri", ["https://wallet.example/cb?tenant=1", "eu.europa.wallet://authorize", "haip://cb"]
)
async def test_a_wallet_names_its_own_way_back(wallet: Wallet, city: City, redirect_uri: str) -> None:
    pushed = await wallet.push(redirect_uri=redirect_uri)
    assert pushed.status_code == 201
    form = {
        "client_id": wallet.client_id,
        "request_uri": pushed.json()["request_uri"],
        "decision": "allow",
    }
    session = await city.session()
    page = await wallet.http.get(wallet.authorize_url(form["request_uri"]), headers=session)
    scheme = urlsplit(redirect_uri).scheme
    assert f"form-action 'self' {scheme}:" in page.headers["content-security-policy"]
    answer = await wallet.http.post("/openid/authorize", data=form, headers=session, follow_redirects=False)
    assert answer.status_code == 303
    back = answer.headers["location"]
    assert back.startswith(redirect_uri)
    assert parse_qs(urlsplit(back).query)["iss"] == [ISSUER]


async def test_a_registered_client_has_its_own_addresses_and_its_own_keys(
    house: House, wallet: Wallet, city: City, clock: FixedClock
) -> None:
    import jwt

    key = new_key()
    listed = [
        {"client_id": "tester", "redirect_uris": [REDIRECT], "jwks": {"keys": [public_jwk(key, kid="k")]}},
        {"client_id": wallet.client_id, "redirect_uris": [REDIRECT]},
    ]
    before = house.application.state.settings
    house.application.state.settings = before.model_copy(update={"oauth_clients": json.dumps(listed)})
    try:
        await wallet.discover()
        assert "private_key_jwt" in wallet.server["token_endpoint_auth_methods_supported"]
        wrong = await wallet.push(redirect_uri="https://wallet.example/other")
        assert code(wrong) == (400, "invalid_request")
        assert (await wallet.push()).status_code == 201

        def assertion(**other: Any) -> dict[str, str]:
            claims = {
                "iss": "tester",
                "sub": "tester",
                "aud": ISSUER,
                "jti": f"jti-{len(made)}-{id(made)}",
                "iat": wallet.now,
                "exp": wallet.now + 60,
            } | other
            made.append(1)
            return {
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": jwt.encode(claims, key, algorithm="ES256", headers={"kid": "k"}),
            }

        made: list[int] = []
        proven = {"headers": {}, "client_id": "tester"}
        assert (await wallet.push(**proven, **assertion())).status_code == 201
        once = assertion()
        assert (await wallet.push(**proven, **once)).status_code == 201
        assert code(await wallet.push(**proven, **once)) == (401, "invalid_client")
        assert code(await wallet.push(**proven, **assertion(aud="https://x.example"))) == (
            401,
            "invalid_client",
        )
        assert code(await wallet.push(**proven, **assertion(iss="other"))) == (401, "invalid_client")
        foreign = {**proven, "client_id": wallet.client_id}
        assert code(await wallet.push(**foreign, **assertion())) == (401, "invalid_client")
    finally:
        house.application.state.settings = before


@pytest.mark.parametrize("text", ["[{}]", "[1]", "{}", "[", "no-such-file.json"])
def test_clients_that_cannot_be_read_are_told_to_the_operator(text: str) -> None:
    settings = Settings(mode=Mode.TEST, oauth_clients=text, _env_file=None)
    with pytest.raises(clients.ClientsUnreadable):
        clients.check_settings(settings)


def test_clients_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "clients.json"
    file.write_text('[{"client_id": "tester", "redirect_uris": ["https://tester.example/cb"]}]')
    settings = Settings(mode=Mode.TEST, oauth_clients=str(file), _env_file=None)
    assert clients.registered(settings)["tester"].redirect_uris == ("https://tester.example/cb",)


def test_anchors_that_cannot_be_read_are_told_to_the_operator(tmp_path: Path) -> None:
    file = tmp_path / "anchors.pem"
    file.write_text("nothing of that kind")
    for path in (file, tmp_path / "nowhere.pem"):
        settings = Settings(mode=Mode.TEST, wallet_provider_anchors=path, _env_file=None)
        with pytest.raises(clients.ClientsUnreadable):
            clients.check_settings(settings)


# ---- what is no request ----


@pytest.mark.parametrize(
    "path", ["/openid/par", "/openid/token", "/openid/credential", "/openid/notification"]
)
async def test_a_body_that_is_too_large_is_refused(loaded: Wallet, path: str) -> None:
    url, token = ISSUER + path, loaded.tokens["access_token"]
    kind = (
        "application/x-www-form-urlencoded"
        if path in {"/openid/par", "/openid/token"}
        else "application/json"
    )
    answer = await loaded.post(
        url, token=token, content=b"a=" + b"x" * 300_000, headers={"Content-Type": kind}
    )
    assert answer.status_code == 413


@pytest.mark.parametrize("path", ["/openid/par", "/openid/token"])
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"grant_type": "x"}', "application/json"),
        (b"grant_type=a&grant_type=b", "application/x-www-form-urlencoded"),
        (b"\xff\xfe=1", "application/x-www-form-urlencoded"),
        (b"grant_type", "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % n for n in range(60)), "application/x-www-form-urlencoded"),
        # PostgreSQL keeps no NUL in a text.
        (b"client_id=a%00b&grant_type=refresh_token", "application/x-www-form-urlencoded"),
        (b"client_id=a\0b", "application/x-www-form-urlencoded"),
    ],
)
async def test_what_is_no_form_is_an_invalid_request(
    wallet: Wallet, path: str, content: bytes, kind: str
) -> None:
    answer = await wallet.http.post(path, content=content, headers={"Content-Type": kind})
    assert code(answer) == (400, "invalid_request")


@pytest.mark.parametrize("name", ["client_id", "request_uri"])
async def test_a_query_with_a_nul_is_not_heard(wallet: Wallet, name: str) -> None:
    pairs = {"client_id": "a", "request_uri": "b"} | {name: "a\0"}
    answer = await wallet.http.get(f"/openid/authorize?{urlencode(pairs)}")
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/html")


async def test_a_query_with_two_of_a_kind_is_not_heard(wallet: Wallet, city: City) -> None:
    uri = (await wallet.push()).json()["request_uri"]
    pairs = [("client_id", wallet.client_id), ("request_uri", uri), ("request_uri", uri)]
    answer = await wallet.http.get(f"/openid/authorize?{urlencode(pairs)}", headers=await city.session())
    assert answer.status_code == 400


async def test_more_credentials_than_any_wallet_needs_are_denied(
    loaded: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    from issuers.openid import issuing

    monkeypatch.setattr(issuing, "MOST_IN_WALLETS", 2)
    assert (await loaded.fetch([new_key(), new_key()])).status_code == 200
    assert code(await loaded.fetch([new_key()])) == (400, "credential_request_denied")


# ---- plain connections ----


@pytest.mark.parametrize(
    ("url", "loopback_http", "reachable"),
    [
        ("https://karte.example", False, True),
        ("http://karte.example", True, False),
        ("http://localhost:8000", False, False),
        ("http://localhost:8000", True, True),
        ("http://127.0.0.1:8000", True, True),
        ("http://[::1]:8000", True, True),
        ("http://localhost.evil.example", True, False),
        ("http://127.0.0.1.evil.example", True, False),
        ("ftp://localhost", True, False),
    ],
)
def test_plain_http_is_for_loopback_and_only_where_switched_on(
    url: str, loopback_http: bool, reachable: bool
) -> None:
    settings = Settings(mode=Mode.TEST, public_url=url, loopback_http=loopback_http, _env_file=None)
    assert is_reachable(settings) is reachable
    assert clients.may_return_to(settings, "w", "http://127.0.0.1:5000/cb") is loopback_http
    assert clients.may_return_to(settings, "w", "http://evil.example/cb") is False


async def test_without_https_no_door_for_wallets_is_open(house: House, wallet: Wallet, city: City) -> None:
    before = house.application.state.settings
    house.application.state.settings = before.model_copy(update={"public_url": "http://karte.example"})
    try:
        for method, path in (
            ("GET", "/.well-known/openid-credential-issuer"),
            ("GET", "/.well-known/oauth-authorization-server"),
            ("POST", "/openid/nonce"),
            ("POST", "/openid/token"),
        ):
            assert (await wallet.http.request(method, path)).status_code == 503
    finally:
        house.application.state.settings = before


# ---- what is kept ----


async def test_no_secret_stands_in_the_tables(wallet: Wallet, city: City) -> None:
    offered = await city.offer()
    offer = await wallet.read_offer(offered.link)
    await wallet.redeem(offer, offered.tx_code)
    pushed = (await wallet.push()).json()["request_uri"]
    nonce = await wallet.nonce()
    await wallet.ask_credential(proofs={"jwt": [wallet.proof(new_key(), nonce)]})
    secrets = [
        pushed,
        nonce,
        offered.link.rpartition("%2F")[2],
        offer["grants"][PRE_AUTHORIZED]["pre-authorized_code"],
        offer["grants"]["authorization_code"]["issuer_state"],
        wallet.tokens["access_token"],
        wallet.tokens["refresh_token"],
    ]
    kept = b""
    async with city.database.reading() as session:
        for table in (
            CredentialOffer,
            PushedRequest,
            WalletGrant,
            AuthorizationCode,
            WalletToken,
            UsedOnce,
        ):
            for row in (await session.execute(select(table))).scalars().all():
                for value in row.model_dump().values():
                    kept += value if isinstance(value, bytes) else str(value).encode()
    assert [secret for secret in secrets if secret.encode() in kept] == []


async def test_what_has_ended_is_forgotten(wallet: Wallet, city: City, clock: FixedClock) -> None:
    await wallet.sign_in(await city.session())
    await wallet.fetch([new_key()])
    await city.offer()
    async with city.database.writing() as session:
        await forget_ended(session, {}, clock.now() + timedelta(days=800))
    async with city.database.reading() as session:
        for table in (
            CredentialOffer,
            PushedRequest,
            WalletGrant,
            AuthorizationCode,
            WalletToken,
            UsedOnce,
        ):
            count = await session.execute(select(func.count()).select_from(table))
            assert count.scalar_one() == 0, table


async def test_forgetting_leaves_what_still_counts(loaded: Wallet, city: City, clock: FixedClock) -> None:
    offered = await city.offer()
    async with city.database.writing() as session:
        await forget_ended(session, {}, clock.now() + timedelta(minutes=20))
    assert (await loaded.fetch([new_key()])).status_code == 200
    async with city.database.reading() as session:
        desk = Desk(session, city.vault, city.settings, clock.now())
        assert await offers.read(desk, offered.link.rpartition("%2F")[2])
