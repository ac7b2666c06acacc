"""What everybody may read answers alike: to HEAD as to GET, to any website, and to a cache that has it already."""

from urllib.parse import parse_qs, urlsplit

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from issuers.trustlist.service import publish
from tests.issuers.openid.conftest import ISSUER, City
from tests.issuers.openid.wallet import Wallet, new_key

Client = AsyncTestClient[Litestar]

KEPT = {
    "/status/1": 60,
    "/status": 60,
    "/trustlist": 60,
    "/.well-known/openid-credential-issuer": 300,
    "/.well-known/oauth-authorization-server": 300,
}
"""How many seconds each may be kept; a revocation must not wait for longer than a minute."""


@pytest.fixture
async def published(loaded: Wallet, city: City) -> City:
    await loaded.fetch([new_key()])
    async with city.database.writing() as session:
        await publish(session, city.vault, city.settings, city.clock.now())
    return city


async def offer_path(city: City) -> str:
    uri = parse_qs(urlsplit((await city.offer()).link).query)["credential_offer_uri"][0]
    return uri.removeprefix(ISSUER)


async def test_head_says_what_get_would_without_the_body(client: Client, published: City) -> None:
    for path in (*KEPT, await offer_path(published)):
        got, asked = await client.get(path), await client.head(path)
        assert got.status_code == asked.status_code == 200, path
        assert got.content
        assert not asked.content
        assert dict(asked.headers) == dict(got.headers), path


async def test_vci_9_lists_are_kept_for_a_minute_and_offers_never(client: Client, published: City) -> None:
    for path, seconds in KEPT.items():
        assert (await client.get(path)).headers["cache-control"] == f"public, max-age={seconds}", path
    assert (await client.get(await offer_path(published))).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_vci_9_whoever_has_a_list_is_told_that_nothing_is_new(
    client: Client, published: City, method: str
) -> None:
    for path in ("/status/1", "/trustlist"):
        etag = (await client.get(path)).headers["etag"]
        again = await client.request(method, path, headers={"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")
        # A cache brings what it has up to date by these (RFC 9110 section 15.4.5).
        assert again.headers["etag"] == etag
        assert again.headers["cache-control"] == "public, max-age=60"
        assert again.headers["access-control-allow-origin"] == "*"


async def test_vci_9_any_website_may_read_them_and_ask_whether_there_is_news(
    client: Client, published: City
) -> None:
    origin = {"Origin": "https://verifier.example"}
    asking = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "if-none-match"}
    for path in (*KEPT, await offer_path(published)):
        before = await client.options(path, headers=origin | asking)
        assert before.status_code == 204, path
        assert before.headers["access-control-allow-origin"] == "*", path
        assert "if-none-match" in before.headers["access-control-allow-headers"].lower()
        answer = await client.get(path, headers=origin)
        assert answer.headers["access-control-allow-origin"] == "*", path
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin", path
        assert "access-control-allow-credentials" not in answer.headers
        assert "set-cookie" not in answer.headers
        if "etag" in answer.headers:
            assert "ETag" in answer.headers["access-control-expose-headers"]
