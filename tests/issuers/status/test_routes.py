import gzip
from datetime import timedelta

from litestar import Litestar
from litestar.testing import AsyncTestClient

from core import jose
from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import KeyUse, Vault
from issuers.authorities.models import Authority
from issuers.status import rules
from issuers.status.cwt import read_cwt
from issuers.status.models import ListKind
from issuers.status.rules import Status, StatusListToken
from issuers.status.service import allocate, set_status

PLAIN = {"Accept-Encoding": "identity"}


async def give(
    database: Database, settings: Settings, clock: FixedClock, count: int = 3
) -> list[tuple[int, int]]:
    async with database.writing() as session:
        until = clock.now() + timedelta(days=14)
        return await allocate(session, ListKind.CARD, count, until=until, settings=settings, now=clock.now())


def read(text: str, vault: Vault, settings: Settings) -> StatusListToken:
    key = vault.keys(KeyUse.STATUS_LIST)[0]
    settled = jose.verify(text, jose.Key(key.public_key), typ=rules.TYPE, low_s=True, longest=rules.LONGEST)
    return rules.read(settled.claims, f"{settings.public_url}/status/1")


async def test_a_revocation_is_in_the_very_next_list_that_is_served(
    *,
    client: AsyncTestClient[Litestar],
    database: Database,
    vault: Vault,
    settings: Settings,
    clock: FixedClock,
    authority: Authority,
) -> None:
    places = await give(database, settings, clock)
    before = await client.get("/status/1", headers=PLAIN)
    assert read(before.text, vault, settings).statuses.get(places[0][1]) == Status.VALID
    async with database.writing() as session:
        await set_status(session, places[:1], Status.INVALID, now=clock.now())
    after = await client.get("/status/1", headers=PLAIN)
    listed = read(after.text, vault, settings)
    assert listed.statuses.get(places[0][1]) == Status.INVALID
    assert listed.statuses.get(places[1][1]) == Status.VALID
    assert after.headers["etag"] != before.headers["etag"]
    # And a cache in between may keep the old one for no longer than is promised.
    assert before.headers["cache-control"] == f"public, max-age={settings.status_ttl}"
    assert settings.status_ttl <= 60


async def test_anybody_may_ask_without_a_login_and_from_any_page(
    client: AsyncTestClient[Litestar],
    database: Database,
    settings: Settings,
    clock: FixedClock,
    authority: Authority,
) -> None:
    await give(database, settings, clock)
    answer = await client.get("/status/1", headers=PLAIN)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/statuslist+jwt")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "set-cookie" not in answer.headers


async def test_who_has_the_list_already_is_not_sent_it_again(
    client: AsyncTestClient[Litestar],
    database: Database,
    settings: Settings,
    clock: FixedClock,
    authority: Authority,
) -> None:
    await give(database, settings, clock)
    first = await client.get("/status/1", headers=PLAIN)
    for etag in (first.headers["etag"], f"W/{first.headers['etag']}", f'"other", {first.headers["etag"]}'):
        again = await client.get("/status/1", headers={**PLAIN, "If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    other = await client.get("/status/1", headers={**PLAIN, "If-None-Match": '"other"'})
    assert other.status_code == 200
    clock.forward(timedelta(seconds=settings.status_ttl))
    later = await client.get("/status/1", headers={**PLAIN, "If-None-Match": first.headers["etag"]})
    assert later.status_code == 200


async def test_the_list_is_sent_zipped_to_whoever_takes_it(
    client: AsyncTestClient[Litestar],
    database: Database,
    settings: Settings,
    clock: FixedClock,
    authority: Authority,
) -> None:
    await give(database, settings, clock)
    plain = await client.get("/status/1", headers=PLAIN)
    async with client.stream("GET", "/status/1", headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join([part async for part in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept, Accept-Encoding"
    assert answer.headers["etag"] != plain.headers["etag"]
    assert gzip.decompress(raw) == plain.content
    refused = await client.get("/status/1", headers={"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers


async def test_lists_are_all_named_in_one_place(
    client: AsyncTestClient[Litestar],
    database: Database,
    settings: Settings,
    clock: FixedClock,
    authority: Authority,
) -> None:
    await give(database, settings, clock, 4000)
    answer = await client.get("/status")
    assert answer.json() == {"status_lists": [f"{settings.public_url}/status/{n}" for n in (1, 2)]}
    assert (await client.get("/status/3", headers=PLAIN)).status_code == 404


async def test_a_list_is_not_older_than_its_last_change_nor_than_a_minute(
    *,
    client: AsyncTestClient[Litestar],
    database: Database,
    vault: Vault,
    settings: Settings,
    clock: FixedClock,
    authority: Authority,
) -> None:
    places = await give(database, settings, clock)
    clock.forward(timedelta(seconds=95))
    issued = []
    for _ in range(2):
        answer = await client.get("/status/1", headers=PLAIN)
        issued.append(read(answer.text, vault, settings).issued_at)
        assert clock.now() - issued[-1] < timedelta(seconds=settings.status_ttl)
        async with database.writing() as session:
            await set_status(session, places[:1], Status.SUSPENDED, now=clock.now())
    assert issued == sorted(issued)
    assert issued[1] == clock.now()


async def test_who_asks_for_the_cwt_is_given_the_same_list_as_one(
    *,
    client: AsyncTestClient[Litestar],
    database: Database,
    vault: Vault,
    settings: Settings,
    clock: FixedClock,
    authority: Authority,
) -> None:
    places = await give(database, settings, clock)
    async with database.writing() as session:
        await set_status(session, places[:1], Status.INVALID, now=clock.now())
    plain = await client.get("/status/1", headers=PLAIN)
    answer = await client.get("/status/1", headers={**PLAIN, "Accept": rules.CWT_TYPE})
    assert answer.headers["content-type"] == rules.CWT_TYPE
    assert answer.headers["etag"] != plain.headers["etag"]
    assert "accept" in answer.headers["vary"].lower()
    key = vault.keys(KeyUse.STATUS_LIST)[0].public_key
    assert read_cwt(answer.content, key, f"{settings.public_url}/status/1") == read(
        plain.text, vault, settings
    )
    # RFC 9110 section 12.5.1: weights count, then the order; 0 is never; a wildcard is no wish for the rarer form.
    for accept, given in {
        f"{rules.MEDIA_TYPE}, {rules.CWT_TYPE}": rules.MEDIA_TYPE,
        f"{rules.CWT_TYPE}, {rules.MEDIA_TYPE}": rules.CWT_TYPE,
        f"{rules.MEDIA_TYPE};q=0.1, {rules.CWT_TYPE}": rules.CWT_TYPE,
        f"{rules.CWT_TYPE};q=0.1, {rules.MEDIA_TYPE}": rules.MEDIA_TYPE,
        f"{rules.CWT_TYPE};q=0": rules.MEDIA_TYPE,
        "application/*": rules.MEDIA_TYPE,
    }.items():
        answer = await client.get("/status/1", headers={**PLAIN, "Accept": accept})
        assert answer.headers["content-type"].startswith(given), accept


async def test_a_website_may_ask_whether_its_copy_is_still_the_newest(
    client: AsyncTestClient[Litestar],
) -> None:
    asked = {"Origin": "https://verifier.example", "Access-Control-Request-Method": "GET"}
    before = await client.options(
        "/status/1", headers={**asked, "Access-Control-Request-Headers": "if-none-match"}
    )
    assert before.status_code == 204
    assert before.headers["access-control-allow-origin"] == "*"
    assert "if-none-match" in before.headers["access-control-allow-headers"].lower()
    # A list that is not there says so to a website, too.
    missing = await client.get("/status/99", headers=asked)
    assert missing.status_code == 404
    assert missing.headers["access-control-allow-origin"] == "*"


async def test_head_says_of_a_list_what_get_says_without_sending_it(
    *,
    client: AsyncTestClient[Litestar],
    database: Database,
    settings: Settings,
    clock: FixedClock,
    authority: Authority,
) -> None:
    await give(database, settings, clock)
    got = await client.get("/status/1", headers=PLAIN)
    asked = await client.head("/status/1", headers=PLAIN)
    assert (asked.status_code, asked.content) == (200, b"")
    for name in ("etag", "content-type", "content-length", "cache-control"):
        assert asked.headers[name] == got.headers[name]
    assert (await client.head("/status/99")).status_code == 404


async def test_the_status_of_another_time_is_not_kept(client: AsyncTestClient[Litestar]) -> None:
    answer = await client.get("/status/1?time=1686925000")
    assert answer.status_code == 501
    assert answer.json()["type"].endswith("no-status-history")
