"""Signing in and out at a real OpenID provider (npm oidc-provider), and every way in which its answers can be wrong."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from app.application import House as Rooms
from app.application import furnish
from app.serving import config
from core.access.doorkeeper import Doorkeeper
from core.access.policy import Policy
from core.clock import FixedClock
from core.http import Outgoing
from core.settings import Mode, Settings
from core.vault import Vault
from tests.peers.node import running

SECRET = "only for this test, on loopback, long enough"
CLIENTS = {"citycard": "ES256", "rsa": "RS256", "pss": "PS256", "shared-secret": "HS256", "other": "ES256"}


def keys() -> dict[str, Any]:
    """A provider's private keys, as JWKs."""
    curve = json.loads(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1())))
    modulus = json.loads(RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048)))
    own = ("kty", "crv", "x", "y", "d", "n", "e", "p", "q", "dp", "dq", "qi")
    return {"keys": [{m: key[m] for m in own if m in key} for key in (curve, modulus)]}


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
    return number


@pytest.fixture(scope="module")
def providers(port: int) -> Iterator[dict[str, str]]:
    """The city's provider, a stranger, and an impostor that calls itself the city's provider with keys of its own."""
    clients = [
        {
            "client_id": name,
            "client_secret": SECRET,
            "redirect_uris": [f"http://127.0.0.1:{port}/login/callback"],
            "post_logout_redirect_uris": [f"http://127.0.0.1:{port}/"],
            "id_token_signed_response_alg": algorithm,
            "backchannel_logout_uri": f"http://127.0.0.1:{port}/logout/backchannel",
            "backchannel_logout_session_required": True,
            "application_type": "web",
        }
        for name, algorithm in CLIENTS.items()
    ]
    with ExitStack() as stack:

        def start(**given: Any) -> dict[str, str]:
            said = {"clients": clients, "jwks": keys(), **given}
            process = stack.enter_context(running("provider.mjs", said))
            assert process.stdout is not None
            found: dict[str, str] = json.loads(process.stdout.readline())
            return found

        city = start()["address"]
        yield {"city": city, "stranger": start()["address"], "impostor": start(issuer=city)["address"]}


class Mixed(httpx.AsyncBaseTransport):
    """What the application asks of the provider goes there; a test may put another token into its answer."""

    def __init__(self) -> None:
        self.through: httpx.AsyncBaseTransport = httpx.AsyncHTTPTransport()
        self.instead: str | None = None
        self.seen: list[str] = []

    async def aclose(self) -> None:
        await self.through.aclose()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self.through.handle_async_request(request)
        if not request.url.path.endswith("/token"):
            return answer
        said = json.loads(await answer.aread())
        if "id_token" in said:
            self.seen.append(said["id_token"])
            if self.instead is not None:
                said["id_token"] = self.instead
                said.pop("access_token")
        return httpx.Response(answer.status_code, json=said)


class House:
    """The application on a port of its own, a browser, and the way to the provider and back."""

    def __init__(self, site: str, settings: Settings, vault: Vault, rooms: Rooms) -> None:
        self.site, self.settings, self.vault = site, settings, vault
        self.clock = FixedClock(datetime.now(UTC))
        self.application = furnish(rooms, settings, self.clock, vault, work=False)
        self.mixed = Mixed()
        self.browser = httpx.AsyncClient(timeout=30)

    def ask_at(self, issuer: str, client_id: str = "citycard") -> None:
        """From now on the application signs people in at this provider, under this name."""
        secret = type(self.settings.oidc_client_secret)(SECRET)
        settings = self.settings.model_copy(
            update={"oidc_issuer": issuer, "oidc_client_id": client_id, "oidc_client_secret": secret}
        )
        state = self.application.state
        state.doorkeeper = Doorkeeper(
            settings, self.vault, state.database, policy=Policy(_env_file=None), outgoing=Outgoing(self.mixed)
        )

    async def go(self) -> str:
        """Signs in at the provider, and gives the address to which it sends the browser back."""
        answer = await self.browser.get(f"{self.site}/login?return_to=/card")
        for _ in range(5):
            where = urljoin(str(answer.url), answer.headers["location"])
            if where.startswith(self.site):
                return where
            answer = await self.browser.get(where)
        raise AssertionError(where)

    async def sign_in(self) -> httpx.Response:
        return await self.browser.get(await self.go())

    async def signed_in(self) -> bool:
        return (await self.browser.get(f"{self.site}/v1/me")).status_code == 200


@pytest.fixture
async def house(
    house: Rooms, settings: Settings, vault: Vault, port: int, providers: dict[str, str]
) -> AsyncIterator[House]:
    site = f"http://127.0.0.1:{port}"
    opened = House(site, settings.model_copy(update={"public_url": site, "mode": Mode.DEMO}), vault, house)
    opened.ask_at(providers["city"])
    server = uvicorn.Server(config(opened.application, "127.0.0.1", port))
    serving = asyncio.create_task(server.serve())
    for _ in range(500):
        if server.started:
            break
        await asyncio.sleep(0.01)
    yield opened
    await opened.browser.aclose()
    await opened.mixed.aclose()
    server.should_exit = True
    await serving


def reason(answer: httpx.Response) -> str:
    assert answer.status_code == 400, answer.text
    found: str = answer.json()["reason"]
    return found


@pytest.mark.parametrize("client_id", ["citycard", "rsa", "pss"])
async def test_a_real_provider_signs_people_in(
    house: House, providers: dict[str, str], client_id: str
) -> None:
    house.ask_at(providers["city"], client_id)
    answer = await house.sign_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "/card")
    assert (await house.browser.get(f"{house.site}/v1/me")).json()["roles"] == ["citizen"]


async def test_signing_out_there_ends_the_session_here(house: House) -> None:
    await house.sign_in()
    assert await house.signed_in()
    gone = await house.browser.post(f"{house.site}/logout", headers={"sec-fetch-site": "same-origin"})
    await house.sign_in()
    # This time by the provider's own page alone: it calls us behind the browser's back.
    page = await house.browser.get(gone.headers["location"])
    fields = dict(part.split('" value="', 1) for part in _inputs(page.text))
    ended = await house.browser.post(urljoin(str(page.url), "/session/end/confirm"), data=fields)
    assert ended.status_code in {200, 303}
    for _ in range(100):
        if not await house.signed_in():
            break
        await asyncio.sleep(0.05)
    assert not await house.signed_in()


def _inputs(page: str) -> list[str]:
    return [each.split('name="', 1)[1].split('"/>', 1)[0] for each in page.split("<input")[1:]]


async def test_an_id_token_for_another_client_signs_nobody_in(
    house: House, providers: dict[str, str]
) -> None:
    house.ask_at(providers["city"], "other")
    await house.sign_in()
    house.ask_at(providers["city"])
    house.mixed.instead = house.mixed.seen[-1]
    assert reason(await house.sign_in()) == "token-refused"


async def test_an_id_token_of_another_provider_signs_nobody_in(
    house: House, providers: dict[str, str]
) -> None:
    house.ask_at(providers["stranger"])
    await house.sign_in()
    house.ask_at(providers["city"])
    house.mixed.instead = house.mixed.seen[-1]
    assert reason(await house.sign_in()) == "token-refused"


async def test_an_id_token_of_another_attempt_signs_nobody_in(house: House) -> None:
    await house.sign_in()
    house.mixed.instead = house.mixed.seen[-1]
    assert reason(await house.sign_in()) == "token-refused"


async def test_an_id_token_under_an_unknown_key_signs_nobody_in(
    house: House, providers: dict[str, str]
) -> None:
    """The impostor says all that the city's provider would say, and signs with another key."""
    begun = await house.browser.get(f"{house.site}/login?return_to=/card")
    wanted = parse_qs(urlsplit(begun.headers["location"]).query)
    async with httpx.AsyncClient(timeout=30) as other:
        answer = await other.get(
            f"{providers['impostor']}/auth", params={name: value[0] for name, value in wanted.items()}
        )
        while not answer.headers["location"].startswith(house.site):
            # It names the city's provider in its links; it is found at its own port.
            link = urlsplit(urljoin(providers["impostor"], answer.headers["location"]))
            answer = await other.get(f"{providers['impostor']}{link.path}?{link.query}")
    house.mixed.through = _OnlyTokens(house.mixed.through, providers["impostor"])
    assert reason(await house.browser.get(answer.headers["location"])) == "token-refused"
    assert len(house.mixed.seen) == 1


class _OnlyTokens(httpx.AsyncBaseTransport):
    """Codes are exchanged at the impostor; keys come from the real provider."""

    def __init__(self, real: httpx.AsyncBaseTransport, impostor: str) -> None:
        self.real, self.impostor = real, impostor

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/token"):
            request.url = httpx.URL(self.impostor).join(request.url.raw_path.decode())
        return await self.real.handle_async_request(request)

    async def aclose(self) -> None:
        await self.real.aclose()


async def test_an_id_token_signed_with_the_shared_secret_signs_nobody_in(
    house: House, providers: dict[str, str]
) -> None:
    house.ask_at(providers["city"], "shared-secret")
    assert reason(await house.sign_in()) == "token-refused"


async def test_an_id_token_that_has_expired_signs_nobody_in(house: House) -> None:
    there = await house.go()
    house.clock.forward(timedelta(minutes=9))
    assert reason(await house.browser.get(there)) == "token-refused"


async def test_a_code_that_was_used_signs_nobody_in(house: House) -> None:
    there = await house.go()
    begun = dict(house.browser.cookies)
    assert (await house.browser.get(there)).status_code == 303
    house.browser.cookies.update(begun)
    assert reason(await house.browser.get(there)) == "code-refused"


async def test_a_code_of_another_client_signs_nobody_in(house: House, providers: dict[str, str]) -> None:
    house.ask_at(providers["city"], "other")
    foreign = parse_qs(urlsplit(await house.go()).query)["code"][0]
    house.ask_at(providers["city"])
    there = await house.go()
    own = parse_qs(urlsplit(there).query)["code"][0]
    assert reason(await house.browser.get(there.replace(own, foreign))) == "code-refused"


async def test_an_answer_that_names_another_provider_signs_nobody_in(
    house: House, providers: dict[str, str]
) -> None:
    there = httpx.URL(await house.go())
    assert (
        reason(await house.browser.get(there.copy_set_param("iss", providers["stranger"]))) == "other-issuer"
    )
