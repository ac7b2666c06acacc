"""The provider says that somebody signed out there: their sessions here end, and nobody else's (OIDC Back-Channel Logout)."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from core.clock import FixedClock
from tests.core.access.test_oidc import (
    ISSUER,
    SESSION,
    Browser,
    CityProvider,
    client,
    provider,
    settings,
    whole,
)

__all__ = ["client", "provider", "settings"]

EVENT = "http://schemas.openid.net/event/backchannel-logout"


def logout_token(provider: CityProvider, **other: Any) -> str:
    provider.typ = "logout+jwt"
    said = {"nonce": None, "roles": None, "acr": None, "jti": "1", "events": {EVENT: {}}}
    return provider.token(**(said | other))


async def tell(client: Browser, token: str) -> httpx.Response:
    return await client.post("/logout/backchannel", data={"logout_token": token})


async def signed_in(client: Browser) -> bool:
    return (await client.get("/v1/me")).status_code == 200


async def test_the_providers_session_ends_ours(client: Browser, provider: CityProvider) -> None:
    await whole(client, provider)
    answer = await tell(client, logout_token(provider, sub=None))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert not await signed_in(client)


async def test_a_subject_without_a_session_ends_all_of_theirs(
    client: Browser, provider: CityProvider
) -> None:
    await whole(client, provider)
    assert (await tell(client, logout_token(provider, sid=None))).status_code == 200
    assert not await signed_in(client)


async def test_the_same_news_twice_is_no_error(client: Browser, provider: CityProvider) -> None:
    await whole(client, provider)
    token = logout_token(provider)
    assert (await tell(client, token)).status_code == 200
    assert (await tell(client, token)).status_code == 200


async def test_other_sessions_go_on(client: Browser, provider: CityProvider) -> None:
    await whole(client, provider)
    for other in ({"sid": "another one"}, {"sub": "somebody else"}, {"sub": "nobody", "sid": None}):
        assert (await tell(client, logout_token(provider, **other))).status_code == 200
        assert await signed_in(client), other


async def test_a_logout_token_that_does_not_fit_ends_nothing(
    client: Browser, provider: CityProvider, clock: FixedClock
) -> None:
    await whole(client, provider)
    now = int(clock.now().timestamp())
    for wrong in (
        {"aud": "another client"},
        {"iss": ISSUER + "/other"},
        {"nonce": provider.nonce},
        {"events": None},
        {"events": {"http://schemas.openid.net/event/other": {}}},
        {"events": {EVENT: "yes"}},
        {"sub": None, "sid": None},
        {"exp": now - 3600},
        {"iat": now - 3600, "exp": now + 300},
        {"iat": None},
        {"jti": None},
    ):
        answer = await tell(client, logout_token(provider, **wrong))
        assert answer.status_code == 400, wrong
        assert answer.json()["type"].endswith("logout-token-refused")
        assert await signed_in(client), wrong


async def test_an_id_token_ends_nothing(client: Browser, provider: CityProvider) -> None:
    await whole(client, provider)
    provider.typ = "JWT"
    assert (await tell(client, provider.token())).status_code == 400
    assert await signed_in(client)


@pytest.mark.parametrize(
    "body",
    [b"", b"logout_token=", b"logout_token=a&logout_token=b", b"other=1", b"\xff", b"logout_token=a.b.c"],
)
async def test_what_is_no_such_form_is_refused(client: Browser, provider: CityProvider, body: bytes) -> None:
    await whole(client, provider)
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert (await client.post("/logout/backchannel", content=body, headers=headers)).status_code == 400
    assert await signed_in(client)


async def test_an_old_news_does_not_end_later_sessions(
    client: Browser, provider: CityProvider, clock: FixedClock
) -> None:
    await whole(client, provider)
    token = logout_token(provider, sid=None)
    assert (await tell(client, token)).status_code == 200
    provider.typ = "JWT"
    clock.forward(timedelta(minutes=10))
    await whole(client, provider)
    assert SESSION in client.cookies
    assert (await tell(client, token)).status_code == 400
    assert await signed_in(client)
