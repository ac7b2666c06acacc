"""Signing in: every step is real, and every doubt about the provider's answer ends it."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import func, select

from app.demo.provider import Account, create_provider
from core.access.doorkeeper import DEMO_CLIENT_SECRET, Doorkeeper
from core.access.models import Principal, Session
from core.access.oidc import challenge
from core.access.policy import Policy
from core.access.rules import Role
from core.clock import FixedClock
from core.database import Database
from core.http import Outgoing
from core.jose import jwk as jwk_of
from core.settings import Settings
from core.texts import b64url
from core.vault import Vault
from tests.makers import sign_in

SITE = "https://testserver.local"
ISSUER = "https://login.example/realms/city"
SESSION = "__Host-citycard"
SIGNING_IN = "__Host-citycard-login"

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class CityProvider:
    """A provider that a test can make lie; it answers as an HTTP server would."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.keys: dict[str, Key] = {"k1": ec.generate_private_key(ec.SECP256R1())}
        self.algorithm, self.kid, self.typ = "ES256", "k1", "JWT"
        self.claims: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.access_token: str | None = "an access token"
        self.make: Callable[[dict[str, Any]], str] = self.sign
        self.down = False
        self.asked: list[str] = []
        self.nonce = self.challenge = ""
        self.codes = {"a-code"}
        self.authorization = ""
        self.form: dict[str, str] = {}

    def sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(
            claims, self.keys[self.kid], algorithm=self.algorithm, headers={"kid": self.kid, "typ": self.typ}
        )

    def token(self, **other: Any) -> str:
        now = int(self.clock.now().timestamp())
        claims = {
            "iss": ISSUER,
            "sub": "somebody",
            "aud": "citycard",
            "iat": now,
            "exp": now + 300,
            "nonce": self.nonce,
            "roles": ["citizen"],
            "acr": "STORK-QAA-Level-4",
            "sid": "at-the-provider",
        } | other
        return self.make({name: value for name, value in claims.items() if value is not None})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/realms/city")
        self.asked.append(path)
        if self.down:
            raise httpx.ConnectError("away")
        match path:
            case "/.well-known/openid-configuration":
                doors = {
                    "issuer": ISSUER,
                    "authorization_endpoint": f"{ISSUER}/authorize",
                    "token_endpoint": f"{ISSUER}/token",
                    "jwks_uri": f"{ISSUER}/keys",
                    "end_session_endpoint": f"{ISSUER}/end",
                }
                return httpx.Response(200, json=doors | self.metadata)
            case "/keys":
                shown = [jwk_of(key.public_key(), kid=kid) for kid, key in self.keys.items()]
                return httpx.Response(200, json={"keys": shown})
            case "/token":
                self.form = dict(parse_qsl(request.content.decode()))
                self.authorization = request.headers.get("authorization", "")
                if (
                    self.form["code"] not in self.codes
                    or challenge(self.form["code_verifier"]) != self.challenge
                ):
                    return httpx.Response(400, json={"error": "invalid_grant"})
                self.codes.discard(self.form["code"])
                tokens = {"token_type": "Bearer", "id_token": self.token(**self.claims)}
                if self.access_token is not None:
                    tokens["access_token"] = self.access_token
                return httpx.Response(200, json=tokens)
        return httpx.Response(404)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"public_url": SITE, "oidc_issuer": ISSUER})


@pytest.fixture
def provider(clock: FixedClock) -> CityProvider:
    return CityProvider(clock)


@pytest.fixture
async def client(
    application: Litestar, settings: Settings, vault: Vault, provider: CityProvider
) -> AsyncIterator[AsyncTestClient[Litestar]]:
    outgoing = Outgoing(httpx.MockTransport(provider))
    application.state.doorkeeper = Doorkeeper(
        settings, vault, application.state.database, policy=Policy(_env_file=None), outgoing=outgoing
    )
    async with AsyncTestClient(application, base_url=SITE) as client:
        yield client
    await outgoing.close()


Browser = AsyncTestClient[Litestar]


async def begin(client: Browser, provider: CityProvider, return_to: str = "/card") -> dict[str, str]:
    """The browser goes to the provider; gives what its address said."""
    answer = await client.get("/login", params={"return_to": return_to}, follow_redirects=False)
    assert answer.status_code == 303
    where = urlsplit(answer.headers["location"])
    assert f"{where.scheme}://{where.netloc}{where.path}" == f"{ISSUER}/authorize"
    asked = dict(parse_qsl(where.query))
    provider.nonce, provider.challenge = asked["nonce"], asked["code_challenge"]
    return asked


async def come_back(client: Browser, state: str, **said: str | None) -> httpx.Response:
    query = {"state": state, "code": "a-code", "iss": ISSUER} | said
    given = urlencode({name: value for name, value in query.items() if value is not None})
    return await client.get(f"/login/callback?{given}", follow_redirects=False)


async def whole(client: Browser, provider: CityProvider) -> httpx.Response:
    provider.codes.add("a-code")
    asked = await begin(client, provider)
    return await come_back(client, asked["state"])


def why(answer: httpx.Response) -> str:
    """Nobody was let in; gives the reason."""
    assert answer.status_code == 400, answer.text
    assert SESSION not in answer.headers.get("set-cookie", "")
    reason: str = answer.json()["reason"]
    return reason


@pytest.mark.parametrize(
    ("return_to", "browser", "asked"),
    [
        ("/card?lang=en", "de-DE", "en"),
        ("/card?lang=de-simple", "en-GB", "de-simple de"),
        ("/card?lang=tlh", "en-GB", "en"),
        ("/card", "de-DE", "de"),
    ],
)
async def test_the_provider_is_asked_to_speak_the_readers_language(
    client: Browser, return_to: str, browser: str, asked: str
) -> None:
    answer = await client.get(
        "/login",
        params={"return_to": return_to},
        headers={"Accept-Language": browser},
        follow_redirects=False,
    )
    assert dict(parse_qsl(urlsplit(answer.headers["location"]).query))["ui_locales"] == asked


# ---- the whole of it ----


async def test_somebody_signs_in_and_is_who_the_provider_says(
    client: Browser, provider: CityProvider
) -> None:
    asked = await begin(client, provider)
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == f"{SITE}/login/callback"
    answer = await come_back(client, asked["state"])
    assert answer.status_code == 303
    assert answer.headers["location"] == "/card"
    me = (await client.get("/v1/me")).json()
    assert me["roles"] == ["citizen"]
    assert me["level"] == "high"


async def test_the_demo_provider_signs_people_in(
    own_application: Litestar, settings: Settings, vault: Vault
) -> None:
    demo = settings.model_copy(
        update={
            "oidc_issuer": f"{SITE}/demo/op",
            "oidc_client_secret": type(settings.vault_secret)(DEMO_CLIENT_SECRET),
        }
    )
    own_application.register(create_provider(demo, [Account("clerk", "Sachbearbeitung", ("case-worker",))]))
    outgoing = Outgoing(httpx.ASGITransport(app=own_application))
    own_application.state.doorkeeper = Doorkeeper(
        demo, vault, own_application.state.database, policy=Policy(_env_file=None), outgoing=outgoing
    )
    async with AsyncTestClient(own_application, base_url=SITE) as browser:
        page = await browser.get("/login", params={"return_to": "/desk"})
        assert "Sachbearbeitung" in page.text
        back = await browser.post(
            str(page.url), data={"account": "clerk", "password": "demo"}, follow_redirects=False
        )
        answer = await browser.get(back.headers["location"], follow_redirects=False)
        assert answer.headers["location"] == "/desk"
        assert (await browser.get("/v1/me")).json()["roles"] == ["case-worker"]
        gone = await browser.post("/logout", follow_redirects=False)
        assert gone.headers["location"].startswith(f"{SITE}/demo/op/end-session?")
        assert (await browser.get(gone.headers["location"], follow_redirects=False)).headers[
            "location"
        ] == f"{SITE}/"
        assert (await browser.get("/v1/me")).status_code == 401
    await outgoing.close()


async def test_the_same_subject_is_the_same_login_and_nothing_else_of_it_is_kept(
    client: Browser, provider: CityProvider, database: Database
) -> None:
    await whole(client, provider)
    first = (await client.get("/v1/me")).json()["principal_id"]
    await whole(client, provider)
    assert (await client.get("/v1/me")).json()["principal_id"] == first
    async with database.reading() as session:
        (login,) = (await session.execute(select(Principal))).scalars().all()
    assert login.label == ""
    assert b"somebody" not in (login.subject_hash or b"")
    provider.claims = {"sub": "somebody else"}
    await whole(client, provider)
    assert (await client.get("/v1/me")).json()["principal_id"] != first


async def test_the_provider_is_asked_with_the_client_secret_in_the_header(
    client: Browser, provider: CityProvider, settings: Settings, application: Litestar, vault: Vault
) -> None:
    await whole(client, provider)
    # Without a secret, by our own signature.
    assert provider.authorization == ""
    assertion = provider.form["client_assertion"]
    keys = (await client.get("/oauth/jwks")).json()["keys"]
    named = jwt.get_unverified_header(assertion)["kid"]
    key = jwt.PyJWK(next(each for each in keys if each["kid"] == named))
    claims = jwt.decode(
        assertion,
        key,
        algorithms=["ES256"],
        audience=ISSUER,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims["sub"] == "citycard"


# ---- sessions ----


async def test_every_login_has_a_new_session_and_ends_the_one_before(
    client: Browser, provider: CityProvider, database: Database
) -> None:
    await whole(client, provider)
    first = client.cookies[SESSION]
    await whole(client, provider)
    second = client.cookies[SESSION]
    assert first != second
    client.cookies.clear()
    assert (await client.get("/v1/me", headers={"Cookie": f"{SESSION}={first}"})).status_code == 401
    assert (await client.get("/v1/me", headers={"Cookie": f"{SESSION}={second}"})).status_code == 200


async def test_a_planted_session_does_not_become_the_victims(client: Browser, provider: CityProvider) -> None:
    planted = "attacker-chosen"
    client.cookies.set(SESSION, planted, domain="testserver.local")
    answer = await whole(client, provider)
    assert answer.status_code == 303
    assert planted not in answer.headers["set-cookie"]
    client.cookies.clear()
    assert (await client.get("/v1/me", headers={"Cookie": f"{SESSION}={planted}"})).status_code == 401


async def test_the_cookie_is_kept_from_scripts_other_hosts_and_plain_lines(
    client: Browser, provider: CityProvider, database: Database
) -> None:
    answer = await whole(client, provider)
    cookies = {line.partition("=")[0]: line for line in answer.headers.get_list("set-cookie")}
    flags = {part.strip().lower() for part in cookies[SESSION].split(";")[1:]}
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= flags
    assert not any(flag.startswith(("domain", "max-age", "expires")) for flag in flags)
    assert "max-age=0" in cookies[SIGNING_IN].lower()
    token = cookies[SESSION].partition("=")[2].partition(";")[0]
    assert len(token) == 43
    async with database.reading() as session:
        (row,) = (await session.execute(select(Session))).scalars().all()
    assert row.token_hash == hashlib.sha256(token.encode()).digest()
    assert row.provider_session == "at-the-provider"


async def test_signing_out_ends_the_session_here_and_there(client: Browser, provider: CityProvider) -> None:
    await whole(client, provider)
    kept = client.cookies[SESSION]
    answer = await client.post("/logout", headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=False)
    assert answer.status_code == 303
    where = urlsplit(answer.headers["location"])
    assert where.path == "/realms/city/end"
    assert parse_qs(where.query) == {"client_id": ["citycard"], "post_logout_redirect_uri": [f"{SITE}/"]}
    client.cookies.clear()
    assert (await client.get("/v1/me", headers={"Cookie": f"{SESSION}={kept}"})).status_code == 401


async def test_signing_out_works_while_the_provider_is_away(
    client: Browser, provider: CityProvider, clock: FixedClock
) -> None:
    await whole(client, provider)
    provider.down = True
    clock.forward(timedelta(minutes=4))
    answer = await client.post("/logout", follow_redirects=False)
    assert answer.status_code == 303
    assert (await client.get("/v1/me")).status_code == 401


async def test_another_site_cannot_sign_somebody_out(client: Browser, provider: CityProvider) -> None:
    await whole(client, provider)
    answer = await client.post("/logout", headers={"Origin": "https://evil.example"}, follow_redirects=False)
    assert answer.status_code == 403
    assert (await client.get("/v1/me")).status_code == 200


async def test_a_surer_sign_in_ends_sooner(
    client: Browser, provider: CityProvider, clock: FixedClock
) -> None:
    await whole(client, provider)
    clock.forward(timedelta(minutes=5))
    assert (await client.get("/v1/me")).status_code == 401
    provider.claims = {"acr": "whatever"}
    await whole(client, provider)
    clock.forward(timedelta(minutes=59))
    assert (await client.get("/v1/me")).json()["level"] == "basic"


# ---- roles ----


async def test_roles_are_what_the_provider_states_and_nothing_else(
    client: Browser, provider: CityProvider
) -> None:
    for stated, roles in (
        (["case-worker", "auditor", "admin"], ["auditor", "case-worker"]),
        ("citizen guardian", ["citizen", "guardian"]),
        (["scanner", "integration-client"], []),
        ([1, None, {"citizen": True}], []),
        ({"citizen": True}, []),
        (None, []),
    ):
        provider.claims = {"roles": stated}
        await whole(client, provider)
        assert (await client.get("/v1/me")).json()["roles"] == roles, stated


async def test_a_role_that_was_taken_away_is_gone_at_the_next_login(
    client: Browser, provider: CityProvider
) -> None:
    provider.claims = {"roles": ["operator"]}
    await whole(client, provider)
    assert (await client.get("/v1/clients")).status_code == 200
    provider.claims = {"roles": []}
    await whole(client, provider)
    assert (await client.get("/v1/clients")).status_code == 403


# ---- who begins, ends ----


async def test_an_answer_to_somebody_elses_sign_in_is_not_taken(
    client: Browser, provider: CityProvider
) -> None:
    theirs = await begin(client, provider)
    client.cookies.clear()
    # The attacker's answer in a browser that began nothing, and in one that began its own.
    assert why(await come_back(client, theirs["state"])) == "not-begun-here"
    await begin(client, provider)
    assert why(await come_back(client, theirs["state"])) == "not-begun-here"


async def test_a_wrong_state_is_not_taken(client: Browser, provider: CityProvider) -> None:
    for state in ("", "guessed", "é"):
        await begin(client, provider)
        assert why(await come_back(client, state)) == "not-begun-here"
    assert "/token" not in provider.asked


async def test_a_parameter_that_stands_twice_is_not_taken(client: Browser, provider: CityProvider) -> None:
    asked = await begin(client, provider)
    query = urlencode([("state", asked["state"]), ("code", "x"), ("code", "a-code"), ("iss", ISSUER)])
    assert why(await client.get(f"/login/callback?{query}")) == "not-begun-here"


async def test_a_sign_in_takes_a_quarter_of_an_hour_at_most(
    client: Browser, provider: CityProvider, clock: FixedClock
) -> None:
    asked = await begin(client, provider)
    clock.forward(timedelta(minutes=15))
    assert why(await come_back(client, asked["state"])) == "not-begun-here"


async def test_a_changed_cookie_is_not_taken(client: Browser, provider: CityProvider) -> None:
    asked = await begin(client, provider)
    sealed = client.cookies[SIGNING_IN]
    client.cookies.clear()
    for forged in ("", "x", sealed[:-2] + ("A" if sealed[-2] != "A" else "B") + sealed[-1], sealed + "!"):
        headers = {"Cookie": f"{SIGNING_IN}={forged}"}
        answer = await client.get(f"/login/callback?state={asked['state']}&code=a-code", headers=headers)
        assert why(answer) == "not-begun-here"


async def test_one_only_returns_to_our_own_pages(client: Browser, provider: CityProvider) -> None:
    asked = await begin(client, provider, return_to="https://evil.example/")
    assert (await come_back(client, asked["state"])).headers["location"] == "/"


# ---- what the provider says ----


async def test_an_answer_from_another_provider_is_not_taken(client: Browser, provider: CityProvider) -> None:
    asked = await begin(client, provider)
    assert why(await come_back(client, asked["state"], iss="https://other.example")) == "other-issuer"
    assert "/token" not in provider.asked


async def test_a_provider_that_promises_to_name_itself_must(client: Browser, provider: CityProvider) -> None:
    provider.metadata = {"authorization_response_iss_parameter_supported": True}
    asked = await begin(client, provider)
    assert why(await come_back(client, asked["state"], iss=None)) == "other-issuer"


async def test_one_that_does_not_promise_may_stay_silent(client: Browser, provider: CityProvider) -> None:
    asked = await begin(client, provider)
    assert (await come_back(client, asked["state"], iss=None)).status_code == 303


async def test_a_refusal_is_passed_on(client: Browser, provider: CityProvider) -> None:
    asked = await begin(client, provider)
    answer = await come_back(client, asked["state"], code=None, error="access_denied")
    assert why(answer) == "refused-by-provider"


async def test_no_code_is_no_sign_in(client: Browser, provider: CityProvider) -> None:
    asked = await begin(client, provider)
    assert why(await come_back(client, asked["state"], code=None)) == "no-code"


async def test_a_code_that_was_used_signs_nobody_in(client: Browser, provider: CityProvider) -> None:
    asked = await begin(client, provider)
    sealed = client.cookies[SIGNING_IN]
    assert (await come_back(client, asked["state"])).status_code == 303
    client.cookies.set(SIGNING_IN, sealed, domain="testserver.local")
    assert why(await come_back(client, asked["state"])) == "code-refused"


NOON = 1_789_552_800  # 2026-09-16T10:00:00Z


async def test_an_id_token_that_does_not_fit_signs_nobody_in(client: Browser, provider: CityProvider) -> None:
    for claims in (
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": "another-client"},
        {"aud": None},
        {"aud": []},
        {"aud": ["citycard", "another-client"]},
        {"azp": "another-client"},
        {"aud": ["citycard", "another-client"], "azp": "another-client"},
        {"exp": NOON - 30},
        {"exp": None},
        {"exp": "soon"},
        {"iat": None},
        {"iat": NOON + 31},
        {"iat": NOON - 601},
        {"iat": True},
        {"nbf": NOON + 31},
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    ):
        provider.claims = claims
        assert why(await whole(client, provider)) == "token-refused", claims


async def test_an_id_token_without_a_subject_signs_nobody_in(client: Browser, provider: CityProvider) -> None:
    subject: object = None
    provider.make = lambda claims: jwt.api_jws.encode(
        json.dumps(claims | {"sub": subject}).encode(),
        provider.keys["k1"],
        algorithm="ES256",
        headers={"kid": "k1", "typ": "JWT"},
    )
    for subject in (None, "", 7, "x" * 256):
        assert why(await whole(client, provider)) == "unknown-subject", subject


async def test_a_matching_at_hash_is_taken(client: Browser, provider: CityProvider) -> None:
    half = hashlib.sha256(b"an access token").digest()[:16]
    provider.claims = {"at_hash": b64url(half), "azp": "citycard", "aud": ["citycard", "api"]}
    assert (await whole(client, provider)).status_code == 303


async def test_each_allowed_algorithm_is_taken(client: Browser, provider: CityProvider) -> None:
    modulus = rsa.generate_private_key(65537, 2048)
    keys: dict[str, Key] = {
        "RS256": modulus,
        "PS256": modulus,
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
    for algorithm, key in keys.items():
        provider.keys, provider.kid, provider.algorithm = {algorithm: key}, algorithm, algorithm
        provider.clock.forward(timedelta(seconds=10))
        assert (await whole(client, provider)).status_code == 303, algorithm


async def test_a_token_signed_by_nothing_signs_nobody_in(client: Browser, provider: CityProvider) -> None:
    provider.make = lambda claims: jwt.encode(claims, None, algorithm="none", headers={"kid": "k1"})
    assert why(await whole(client, provider)) == "token-refused"


async def test_a_public_key_is_not_taken_for_a_secret(client: Browser, provider: CityProvider) -> None:
    def make(claims: dict[str, Any]) -> str:
        key = provider.keys["k1"].public_key()
        secret = json.dumps(jwk_of(key, kid="k1")).encode()
        head = b64url(json.dumps({"alg": "HS256", "kid": "k1", "typ": "JWT"}).encode())
        text = f"{head}.{b64url(json.dumps(claims).encode())}"
        return f"{text}.{b64url(hmac.digest(secret, text.encode(), 'sha256'))}"

    provider.make = make
    assert why(await whole(client, provider)) == "token-refused"


async def test_a_token_does_not_bring_its_own_key(client: Browser, provider: CityProvider) -> None:
    header: dict[str, Any] = {}
    provider.make = lambda claims: jwt.encode(
        claims, provider.keys["k1"], algorithm="ES256", headers={"kid": "k1", "typ": "JWT"} | header
    )
    for header in ({"jku": f"{ISSUER}/keys"}, {"x5u": "https://evil.example"}, {"crit": ["exp"]}):
        assert why(await whole(client, provider)) == "token-refused", header


async def test_an_access_token_is_no_id_token(client: Browser, provider: CityProvider) -> None:
    provider.typ = "at+jwt"
    assert why(await whole(client, provider)) == "token-refused"


# ---- keys that change ----


async def test_a_new_key_is_fetched_when_a_token_names_it(client: Browser, provider: CityProvider) -> None:
    await whole(client, provider)
    provider.clock.forward(timedelta(seconds=10))
    provider.keys = {"k2": ec.generate_private_key(ec.SECP256R1())}
    provider.kid = "k2"
    assert (await whole(client, provider)).status_code == 303


async def test_unknown_names_do_not_make_us_ask_again_and_again(
    client: Browser, provider: CityProvider
) -> None:
    await whole(client, provider)
    stranger = ec.generate_private_key(ec.SECP256R1())
    provider.make = lambda claims: jwt.encode(
        claims, stranger, algorithm="ES256", headers={"kid": "unknown", "typ": "JWT"}
    )
    provider.clock.forward(timedelta(seconds=10))
    provider.asked.clear()
    for _ in range(5):
        assert why(await whole(client, provider)) == "token-refused"
    assert provider.asked.count("/keys") == 1
    assert provider.asked.count("/.well-known/openid-configuration") == 0


async def test_a_withdrawn_key_is_believed_for_ten_minutes_at_most(
    client: Browser, provider: CityProvider
) -> None:
    await whole(client, provider)
    stolen = provider.keys["k1"]
    provider.keys = {"k2": ec.generate_private_key(ec.SECP256R1())}
    provider.make = lambda claims: jwt.encode(
        claims, stolen, algorithm="ES256", headers={"kid": "k1", "typ": "JWT"}
    )
    provider.clock.forward(timedelta(minutes=10))
    assert why(await whole(client, provider)) == "token-refused"


async def test_a_provider_that_is_away_is_said_to_be_away(client: Browser, provider: CityProvider) -> None:
    provider.down = True
    assert (await client.get("/login", follow_redirects=False)).status_code == 503
    provider.down = False
    provider.metadata = {"issuer": "https://other.example"}
    assert (await client.get("/login", follow_redirects=False)).status_code == 503
    provider.metadata = {}
    assert (await client.get("/login", follow_redirects=False)).status_code == 303


# ---- the resource server ----


async def test_a_phone_calls_with_the_providers_access_token(
    client: Browser, provider: CityProvider, database: Database
) -> None:
    provider.typ = "at+jwt"
    token = provider.token(aud=["citycard-api", "other"], nonce=None)
    headers = {"Authorization": f"Bearer {token}"}
    for _ in range(2):
        me = (await client.get("/v1/me", headers=headers)).json()
        assert me["roles"] == ["citizen"]
        assert me["level"] == "high"
    # Phone and browser are the same login.
    provider.typ = "JWT"
    await whole(client, provider)
    assert (await client.get("/v1/me")).json()["principal_id"] == me["principal_id"]
    async with database.reading() as session:
        assert (await session.execute(select(func.count()).select_from(Principal))).scalar_one() == 1


async def test_an_access_token_that_does_not_fit_opens_nothing(
    client: Browser, provider: CityProvider
) -> None:
    provider.typ = "at+jwt"
    for wrong in (
        {"aud": "citycard"},
        {"aud": "other-api"},
        {"iss": "https://other.example"},
        {"exp": NOON - 30},
        {"exp": None},
        {"iat": NOON + 31},
        {"nbf": NOON + 31},
        {"sub": None},
    ):
        token = provider.token(**{"aud": "citycard-api"} | wrong)
        answer = await client.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, wrong
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert token not in answer.text


async def test_a_token_of_another_type_is_taken_only_where_the_operator_says_so(
    client: Browser, provider: CityProvider, application: Litestar, settings: Settings, vault: Vault
) -> None:
    provider.typ = "JWT"
    headers = {"Authorization": f"Bearer {provider.token(aud='citycard-api')}"}
    assert (await client.get("/v1/me", headers=headers)).status_code == 401
    application.state.doorkeeper = Doorkeeper(
        settings,
        vault,
        application.state.database,
        policy=Policy(plain_access_tokens=True, _env_file=None),
        outgoing=application.state.doorkeeper.outgoing,
    )
    assert (await client.get("/v1/me", headers=headers)).status_code == 200


async def test_what_is_no_token_at_all_opens_nothing(client: Browser) -> None:
    for token in ("", "x", "a.b.c", "." * 3, "é", "x" * 20_000):
        headers = {"Authorization": f"Bearer {token}".encode()}
        assert (await client.get("/v1/me", headers=headers)).status_code == 401


async def test_a_bad_token_is_not_made_good_by_a_cookie(
    client: Browser, provider: CityProvider, database: Database, vault: Vault
) -> None:
    cookie = await sign_in(database, vault, provider.clock.now(), Role.CITIZEN)
    assert (await client.get("/v1/me", headers=cookie)).status_code == 200
    assert (await client.get("/v1/me", headers=cookie | {"Authorization": "Bearer x"})).status_code == 401


async def test_a_login_that_was_closed_stays_out(
    client: Browser, provider: CityProvider, database: Database
) -> None:
    await whole(client, provider)
    async with database.writing() as session:
        (login,) = (await session.execute(select(Principal))).scalars().all()
        login.disabled_at = provider.clock.now()
        session.add(login)
    assert (await client.get("/v1/me")).status_code == 401
    asked = await begin(client, provider)
    provider.codes.add("a-code")
    assert (await come_back(client, asked["state"])).status_code == 403
    provider.typ = "at+jwt"
    headers = {"Authorization": f"Bearer {provider.token(aud='citycard-api')}"}
    assert (await client.get("/v1/me", headers=headers)).status_code == 401
