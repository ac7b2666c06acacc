"""A limit lets through exactly so many, whoever counts them and however many come at once."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest
from litestar import Litestar, get
from litestar.testing import AsyncTestClient
from sqlalchemy import select

from app.application import House
from core.access.rules import Role, anyone
from core.clock import FixedClock
from core.database import Database
from core.errors import TooMany
from core.limits.models import Count
from core.limits.rules import Limit, caller_address
from core.limits.service import count, forget_ended, limited
from core.settings import Settings
from core.vault import Vault
from tests.makers import house_with, sign_in

SEVEN = Limit(7, timedelta(minutes=1))


async def test_forty_at_once_at_two_instances_are_exactly_seven(
    settings: Settings, vault: Vault, clock: FixedClock
) -> None:
    instances = [Database(settings.database_url), Database(settings.database_url)]
    let_in, refused = [0], [0]

    async def knock(which: int) -> None:
        try:
            await count(instances[which % 2], vault, SEVEN, clock.now(), purpose="login", who="somebody")
        except TooMany:
            refused[0] += 1
        else:
            let_in[0] += 1

    async with anyio.create_task_group() as tasks:
        for which in range(40):
            tasks.start_soon(knock, which)
    assert (let_in[0], refused[0]) == (7, 33)
    for instance in instances:
        await instance.dispose()


async def test_each_caller_purpose_and_window_has_a_count_of_its_own(
    database: Database, vault: Vault, clock: FixedClock
) -> None:
    once = Limit(1, timedelta(minutes=1))

    async def knock(purpose: str, who: str) -> None:
        await count(database, vault, once, clock.now(), purpose=purpose, who=who)

    await knock("login", "a")
    await knock("login", "b")
    await knock("token", "a")
    # Purpose and caller do not run together.
    await knock("tokena", "")
    with pytest.raises(TooMany) as refused:
        await knock("login", "a")
    assert refused.value.headers == {"Retry-After": "60"}
    clock.forward(timedelta(seconds=59))
    with pytest.raises(TooMany) as refused:
        await knock("login", "a")
    assert refused.value.headers == {"Retry-After": "1"}
    clock.forward(timedelta(seconds=1))
    await knock("login", "a")


async def test_nothing_tells_who_was_counted_and_ended_windows_go(
    database: Database, vault: Vault, clock: FixedClock
) -> None:
    await count(database, vault, SEVEN, clock.now(), purpose="login", who="address 192.0.2.7")
    async with database.reading() as session:
        (row,) = (await session.execute(select(Count))).scalars().all()
    assert len(row.key) == 32
    assert b"192.0.2.7" not in row.key
    for after, left in ((timedelta(minutes=1), 1), (timedelta(minutes=1), 0)):
        clock.forward(after)
        async with database.writing() as session:
            await forget_ended(session, {}, clock.now())
        async with database.reading() as session:
            assert len((await session.execute(select(Count))).all()) == left


@get("/knock", guards=[anyone, limited("knock", Limit(2, timedelta(minutes=1)))])
async def knock_here() -> str:
    return "in"


@pytest.fixture(scope="module")
def house() -> House:
    return house_with(knock_here)


async def test_the_one_too_many_hears_when_to_come_again(
    client: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock
) -> None:
    # Who is not a proxy of ours cannot make up another address for each knock.
    for number in range(2):
        said = {"X-Forwarded-For": f"192.0.2.{number}"}
        assert (await client.get("/knock", headers=said)).status_code == 200
    refused = await client.get("/knock", headers={"X-Forwarded-For": "192.0.2.9"})
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "60"
    assert refused.json()["type"] == "urn:citycard:problem:too-many-requests"
    # Who is known is counted by name, not with everybody at the same address.
    headers = await sign_in(database, vault, clock.now(), Role.CITIZEN)
    assert (await client.get("/knock", headers=headers)).status_code == 200


async def test_signing_in_and_tokens_are_limited(client: AsyncTestClient[Litestar]) -> None:
    for path, method, times in (("/login", "GET", 30), ("/oauth/token", "POST", 120)):
        statuses = [(await client.request(method, path)).status_code for _ in range(times + 1)]
        assert 429 not in statuses[:-1], path
        assert statuses[-1] == 429, path


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("198.51.100.1", None, "198.51.100.1"),
        ("198.51.100.1", "192.0.2.1", "198.51.100.1"),
        ("10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "203.0.113.9, 192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "203.0.113.9, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.1, ", "10.0.0.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("::ffff:10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::/64"),
        ("10.0.0.1", "2001:db8:1:2::7", "2001:db8:1:2::/64"),
        (None, "192.0.2.1", "unknown"),
        ("testclient", None, "unknown"),
    ],
)
def test_an_address_is_believed_as_far_as_our_own_proxies_vouch(
    peer: str | None, forwarded: str | None, address: str
) -> None:
    assert caller_address(peer, forwarded, ("10.0.0.0/8",)) == address


def test_windows_follow_each_other_without_a_gap() -> None:
    now = datetime(2026, 9, 16, 10, 0, 59, 999_999, tzinfo=UTC)
    ends = SEVEN.ends(now)
    assert ends == datetime(2026, 9, 16, 10, 1, tzinfo=UTC)
    assert SEVEN.window(ends) == SEVEN.window(now) + 1
