"""The demo's provider is a real one: it gives a code for a password, and tokens for a code, once."""

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.testing import AsyncTestClient

from app.demo.provider import PHONE_CLIENT, Account, Client, create_provider
from core.access.oidc import challenge
from core.clock import FixedClock
from core.jose import read_key_set, verify, verify_access_token
from core.settings import Mode, Settings
from core.vault import MemoryVault

SITE = "https://testserver.local"
ISSUER = f"{SITE}/demo/op"
VERIFIER = "v" * 43
ACCOUNTS = [
    Account("anna", "Änne <Muster>", ("citizen",), about="Inhaberin", person="P-1"),
    Account("clerk", "Sachbearbeitung", ("case-worker",), level="high"),
]


@pytest.fixture
def settings() -> Settings:
    return Settings(mode=Mode.TEST, public_url=SITE, oidc_issuer=ISSUER, _env_file=None)


@pytest.fixture
async def client(settings: Settings, clock: FixedClock) -> AsyncIterator[AsyncTestClient[Litestar]]:
    """The provider alone: it keeps nothing in a database."""
    clients = [
        Client("desk", redirects=("https://desk.example/back",), secret="s3cret : %"),
        Client(PHONE_CLIENT, loopback=True),
    ]
    application = Litestar(
        [create_provider(settings, ACCOUNTS, clients)],
        dependencies={"now": Provide(clock.now, sync_to_thread=False)},
        state=State({"vault": MemoryVault()}),
    )
    async with AsyncTestClient(application, base_url=SITE) as client:
        yield client


def wish(**other: str | None) -> str:
    query = {
        "response_type": "code",
        "client_id": PHONE_CLIENT,
        "redirect_uri": "http://127.0.0.1:49152/callback",
        "scope": "openid",
        "state": "s-1",
        "nonce": "n-1",
        "code_challenge": challenge(VERIFIER),
        "code_challenge_method": "S256",
    } | other
    return "/demo/op/authorize?" + urlencode(
        {name: value for name, value in query.items() if value is not None}
    )


async def code_for(client: AsyncTestClient[Litestar], account: str = "anna", **other: str | None) -> str:
    answer = await client.post(
        wish(**other), data={"account": account, "password": "demo"}, follow_redirects=False
    )
    assert answer.status_code == 303
    said = parse_qs(urlsplit(answer.headers["location"]).query)
    assert said["iss"] == [ISSUER]
    assert said["state"] == ["s-1"]
    return said["code"][0]


async def redeem(client: AsyncTestClient[Litestar], code: str, **other: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": PHONE_CLIENT,
        "redirect_uri": "http://127.0.0.1:49152/callback",
        "code_verifier": VERIFIER,
    } | other
    return await client.post("/demo/op/token", data=form)


@pytest.mark.parametrize(
    ("asked", "browser", "lang", "heading"),
    [
        (None, "en-GB", "en", "Sign in to the demonstration"),
        ("de", "en-GB", "de", "Anmeldung zur Vorführung"),
        ("de-simple de", "en-GB", "de", "Hier melden Sie sich an"),
        ("en", "de-DE", "en", "Sign in to the demonstration"),
        ("tr", "en-GB", "de", "Anmeldung zur Vorführung"),
    ],
)
async def test_the_login_page_speaks_the_language_that_the_application_asks_for(
    client: AsyncTestClient[Litestar], asked: str | None, browser: str, lang: str, heading: str
) -> None:
    page = await client.get(wish(ui_locales=asked), headers={"Accept-Language": browser})
    assert f'<html lang="{lang}">' in page.text
    assert f"<h1>{heading}</h1>" in page.text


async def test_the_login_page_is_german_and_names_every_account(client: AsyncTestClient[Litestar]) -> None:
    page = await client.get(wish())
    assert page.status_code == 200
    assert '<html lang="de">' in page.text
    assert "Änne &lt;Muster&gt;" in page.text
    assert "<Muster>" not in page.text
    assert 'value="clerk"' in page.text
    assert "http://127.0.0.1:49152" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]


async def test_a_phone_signs_in_and_gets_a_token_for_the_api(
    client: AsyncTestClient[Litestar], clock: FixedClock
) -> None:
    answer = await redeem(client, await code_for(client, audience="citycard-api"))
    assert answer.status_code == 200
    tokens = answer.json()
    keys = read_key_set((await client.get("/demo/op/jwks")).json())
    access = verify_access_token(
        tokens["access_token"], keys, issuer=ISSUER, audience="citycard-api", now=clock.now()
    )
    assert access.claims["sub"] == "anna"
    assert access.claims["roles"] == ["citizen"]
    assert access.claims["person"] == "P-1"
    identity = verify(tokens["id_token"], keys, typ="JWT").claims
    assert identity["aud"] == PHONE_CLIENT
    assert identity["nonce"] == "n-1"
    assert identity["name"] == "Änne <Muster>"


async def test_without_asking_for_the_api_the_token_is_not_for_it(
    client: AsyncTestClient[Litestar], clock: FixedClock
) -> None:
    tokens = (await redeem(client, await code_for(client))).json()
    keys = read_key_set((await client.get("/demo/op/jwks")).json())
    assert verify(tokens["access_token"], keys, typ="at+jwt").claims["aud"] == ISSUER


async def test_a_code_is_good_once(client: AsyncTestClient[Litestar]) -> None:
    code = await code_for(client)
    assert (await redeem(client, code)).status_code == 200
    again = await redeem(client, code)
    assert again.status_code == 400
    assert again.json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "wrong",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": ""},
        {"redirect_uri": "http://127.0.0.1:49153/callback"},
        {"code": "guessed"},
    ],
)
async def test_a_code_needs_its_verifier_and_its_address(
    client: AsyncTestClient[Litestar], wrong: dict[str, str]
) -> None:
    code = await code_for(client)
    answer = await redeem(client, **{"code": code} | wrong)
    assert answer.json()["error"] == "invalid_grant"
    # It was shown; the right verifier comes too late.
    if "code" not in wrong:
        assert (await redeem(client, code)).json()["error"] == "invalid_grant"


async def test_a_code_lasts_a_minute(client: AsyncTestClient[Litestar], clock: FixedClock) -> None:
    code = await code_for(client)
    clock.forward(timedelta(seconds=60))
    assert (await redeem(client, code)).json()["error"] == "invalid_grant"


async def test_another_client_cannot_use_the_code(client: AsyncTestClient[Litestar]) -> None:
    code = await code_for(client)
    pair = base64.b64encode(b"desk:s3cret+%3A+%25").decode()
    answer = await client.post(
        "/demo/op/token",
        headers={"Authorization": f"Basic {pair}"},
        data={
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": "http://127.0.0.1:49152/callback",
            "code_verifier": VERIFIER,
        },
    )
    assert answer.json()["error"] == "invalid_grant"


@pytest.mark.parametrize("pair", ["desk:wrong", "desk:", "citycard-phone:", "nobody:s3cret", "desk"])
async def test_a_confidential_client_needs_its_secret(client: AsyncTestClient[Litestar], pair: str) -> None:
    header = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    answer = await client.post("/demo/op/token", headers=header, data={"grant_type": "authorization_code"})
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"


async def test_a_confidential_client_cannot_pass_for_a_public_one(client: AsyncTestClient[Litestar]) -> None:
    answer = await client.post(
        "/demo/op/token", data={"grant_type": "authorization_code", "client_id": "desk"}
    )
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"audience": "https://elsewhere.example"}, "invalid_target"),
        ({"prompt": "none"}, "login_required"),
    ],
)
async def test_an_application_is_told_what_it_got_wrong(
    client: AsyncTestClient[Litestar], wrong: dict[str, str | None], error: str
) -> None:
    answer = await client.get(wish(**wrong), follow_redirects=False)
    assert answer.status_code == 303
    said = parse_qs(urlsplit(answer.headers["location"]).query)
    assert said["error"] == [error]
    assert said["iss"] == [ISSUER]


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "stranger"},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": "http://127.0.0.1.evil.example/"},
        {"redirect_uri": "http://127.0.0.1@evil.example/"},
        {"redirect_uri": "http://localhost:1/callback"},
        {"redirect_uri": "https://127.0.0.1/callback"},
        {"redirect_uri": None},
        {"client_id": "desk", "redirect_uri": "https://desk.example/back/../other"},
    ],
)
async def test_nobody_is_sent_to_an_unknown_address(
    client: AsyncTestClient[Litestar], wrong: dict[str, str | None]
) -> None:
    answer = await client.get(wish(**wrong), follow_redirects=False)
    assert answer.status_code == 400
    assert "location" not in answer.headers


async def test_a_wrong_password_gives_no_code(client: AsyncTestClient[Litestar]) -> None:
    answer = await client.post(wish(), data={"account": "anna", "password": "guess"}, follow_redirects=False)
    assert answer.status_code == 403
    assert 'role="alert"' in answer.text


async def test_signing_out_leads_only_where_the_client_is_at_home(client: AsyncTestClient[Litestar]) -> None:
    query = urlencode({"client_id": "desk", "post_logout_redirect_uri": "https://evil.example/"})
    answer = await client.get(f"/demo/op/end-session?{query}", follow_redirects=False)
    assert answer.status_code == 200
    assert "abgemeldet" in answer.text


def test_production_does_not_open_it(settings: Settings) -> None:
    production = settings.model_copy(update={"mode": Mode.PRODUCTION})
    with pytest.raises(ValueError, match="not for production"):
        create_provider(production, ACCOUNTS)
