"""Every answer tells browsers to keep nothing, load nothing from elsewhere and frame nothing."""

from typing import Any

import httpx
import pytest
from litestar import Litestar, MediaType, Response, Router, get, post
from litestar.testing import AsyncTestClient

from core.access.rules import anyone
from core.errors import HANDLERS, Unavailable
from core.headers import FOR_WALLETS, PUBLIC_DOCUMENT, SecurityHeaders
from core.http import Outgoing, OutOfReach
from core.settings import Mode, Settings


@get("/page", guards=[anyone], media_type=MediaType.HTML)
async def page() -> str:
    return "<!doctype html><title>page</title>"


@get("/list", guards=[anyone], opt=PUBLIC_DOCUMENT)
async def published() -> Response[dict[str, Any]]:
    return Response({}, headers={"Cache-Control": "public, max-age=60", "Server": "secret/1.0"})


@post("/token", guards=[anyone])
async def token() -> Response[dict[str, Any]]:
    return Response({}, headers={"DPoP-Nonce": "once"})


@get("/broken", guards=[anyone])
async def broken() -> None:
    raise ZeroDivisionError


def make_application(**other: object) -> Litestar:
    settings = Settings(mode=Mode.TEST, _env_file=None, **other)
    return Litestar(
        [page, published, broken, Router("/", route_handlers=[token], opt=FOR_WALLETS)],
        before_send=[SecurityHeaders(settings)],
        exception_handlers=HANDLERS,
    )


@pytest.mark.parametrize(("path", "status"), [("/page", 200), ("/nowhere", 404), ("/broken", 500)])
async def test_everything_has_them_errors_too(path: str, status: int) -> None:
    async with AsyncTestClient(make_application()) as client:
        answer = await client.get(path)
    assert answer.status_code == status
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert "geolocation=()" in answer.headers["permissions-policy"]
    assert "access-control-allow-origin" not in answer.headers
    assert "server" not in answer.headers


async def test_a_public_document_may_be_read_from_anywhere_and_kept() -> None:
    async with AsyncTestClient(make_application()) as client:
        answer = await client.get("/list", headers={"Origin": "https://scanner.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["cache-control"] == "public, max-age=60"
    assert "server" not in answer.headers


async def test_a_wallet_may_be_a_website() -> None:
    async with AsyncTestClient(make_application()) as client:
        asked = {"Origin": "https://wallet.example", "Access-Control-Request-Method": "POST"}
        before = await client.options("/token", headers={**asked, "Access-Control-Request-Headers": "dpop"})
        answer = await client.post("/token", headers={"Origin": "https://wallet.example"})
    for said in (before, answer):
        assert said.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in said.headers
    assert {"dpop", "authorization", "content-type"} <= {
        name.strip().lower() for name in before.headers["access-control-allow-headers"].split(",")
    }
    assert "DPoP-Nonce" in answer.headers["access-control-expose-headers"]
    assert answer.headers["cache-control"] == "no-store"


async def test_browsers_are_told_to_stay_on_https_only_where_there_is_https() -> None:
    async with AsyncTestClient(make_application(public_url="https://karte.example")) as client:
        assert "max-age=" in (await client.get("/page")).headers["strict-transport-security"]
    async with AsyncTestClient(make_application(public_url="http://localhost:8000")) as client:
        assert "strict-transport-security" not in (await client.get("/page")).headers


async def test_the_form_that_signs_out_may_lead_to_the_provider() -> None:
    application = make_application(oidc_issuer="https://login.example/realms/city")
    async with AsyncTestClient(application) as client:
        policy = (await client.get("/page")).headers["content-security-policy"]
    assert "form-action 'self' https://login.example;" in policy


# ---- the way out ----


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    asked: list[str] = []

    def elsewhere(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(302, headers={"Location": "https://internal.example/"})

    outgoing = Outgoing(httpx.MockTransport(elsewhere))
    assert (await outgoing.get("https://login.example/")).status == 302
    assert asked == ["https://login.example/"]
    await outgoing.close()


async def test_more_than_is_taken_is_not_taken() -> None:
    outgoing = Outgoing(httpx.MockTransport(lambda _: httpx.Response(200, content=b"x" * 101)), largest=100)
    with pytest.raises(OutOfReach):
        await outgoing.get("https://login.example/")
    await outgoing.close()


async def test_who_answers_too_slowly_does_not_answer() -> None:
    import anyio

    async def slow(_request: httpx.Request) -> httpx.Response:
        await anyio.sleep(5)
        return httpx.Response(200)

    outgoing = Outgoing(httpx.MockTransport(slow), seconds=0.05)
    with pytest.raises(OutOfReach):
        await outgoing.get("https://login.example/")
    await outgoing.close()


async def test_an_error_on_the_way_names_neither_address_nor_content() -> None:
    def away(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("to https://login.example/?code=secret")

    outgoing = Outgoing(httpx.MockTransport(away))
    with pytest.raises(OutOfReach) as failed:
        await outgoing.post_form("https://login.example/", {"code": "secret"})
    assert isinstance(failed.value, Unavailable)
    assert "secret" not in repr(failed.value)
    assert failed.value.__cause__ is None
    await outgoing.close()


async def test_deep_json_is_a_value_error() -> None:
    outgoing = Outgoing(httpx.MockTransport(lambda _: httpx.Response(200, content=b"[" * 100_000)))
    with pytest.raises(ValueError, match="deep"):
        (await outgoing.get("https://login.example/")).json()
    await outgoing.close()
