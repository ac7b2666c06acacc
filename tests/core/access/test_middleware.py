"""Who calls is settled before any door opens."""

from datetime import timedelta
from uuid import uuid4

import pytest
from litestar import Litestar, get, post
from litestar.di import NamedDependency
from litestar.testing import AsyncTestClient

from app.application import House
from core.access.rules import Caller, Role, allow, anyone, signed_in
from core.clock import FixedClock
from core.database import Database
from core.vault import Vault
from tests.makers import house_with, sign_in


@get("/who", guards=[signed_in])
async def who(caller: NamedDependency[Caller]) -> dict[str, str | None]:
    return {
        "roles": " ".join(sorted(caller.roles)),
        "level": caller.level,
        "method": caller.method,
        "acting_for": str(caller.acting_for) if caller.acting_for else None,
        "channel": caller.channel,
        "reason": caller.reason,
    }


@get("/desk", guards=[allow(Role.CASE_WORKER)])
async def desk() -> str:
    return "in"


@post("/write", guards=[signed_in])
async def write() -> str:
    return "written"


@get("/open", guards=[anyone])
async def open_door() -> str:
    return "in"


@pytest.fixture(scope="module")
def house() -> House:
    return house_with(who, desk, write, open_door)


async def test_a_session_tells_who_calls(
    client: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock
) -> None:
    headers = await sign_in(database, vault, clock.now(), Role.CITIZEN, Role.GUARDIAN)
    answer = await client.get("/who", headers=headers)
    assert answer.status_code == 200
    assert answer.json()["roles"] == "citizen guardian"
    assert answer.json()["method"] == "session"
    assert answer.json()["level"] == "substantial"


async def test_nobody_hears_sign_in_first_and_a_stranger_hears_not_yours(
    client: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock
) -> None:
    assert (await client.get("/desk")).status_code == 401
    citizen = await sign_in(database, vault, clock.now(), Role.CITIZEN)
    assert (await client.get("/desk", headers=citizen)).status_code == 403
    nothing = await sign_in(database, vault, clock.now())
    assert (await client.get("/desk", headers=nothing)).status_code == 403
    clerk = await sign_in(database, vault, clock.now(), Role.CASE_WORKER)
    assert (await client.get("/desk", headers=clerk)).text == "in"


async def test_a_planted_cookie_opens_nothing_and_a_public_door_stays_open(
    client: AsyncTestClient[Litestar],
) -> None:
    planted = {"Cookie": "__Host-citycard=chosen-by-somebody"}
    assert (await client.get("/who", headers=planted)).status_code == 401
    assert (await client.get("/open", headers=planted)).text == "in"


async def test_a_cookie_without_its_prefix_is_not_looked_at(
    client: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock
) -> None:
    headers = await sign_in(database, vault, clock.now(), Role.CITIZEN)
    bare = {"Cookie": headers["Cookie"].removeprefix("__Host-")}
    assert (await client.get("/who", headers=bare)).status_code == 401


async def test_a_session_ends_when_nobody_uses_it(
    client: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock
) -> None:
    headers = await sign_in(database, vault, clock.now(), Role.CITIZEN)
    clock.forward(timedelta(minutes=29))
    assert (await client.get("/who", headers=headers)).status_code == 200
    clock.forward(timedelta(minutes=29))
    assert (await client.get("/who", headers=headers)).status_code == 200
    clock.forward(timedelta(minutes=30))
    assert (await client.get("/who", headers=headers)).status_code == 401


async def test_a_session_ends_however_busy_it_is(
    client: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock
) -> None:
    headers = await sign_in(database, vault, clock.now(), Role.CITIZEN)
    for _ in range(5):
        clock.forward(timedelta(minutes=20))
        assert (await client.get("/who", headers=headers)).status_code == 200
    clock.forward(timedelta(minutes=20))
    assert (await client.get("/who", headers=headers)).status_code == 401


async def test_another_site_cannot_write_with_our_cookie(
    client: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock
) -> None:
    headers = await sign_in(database, vault, clock.now(), Role.CITIZEN)
    cases: list[tuple[dict[str, str], int]] = [
        ({}, 201),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://testserver.local"}, 403),
        ({"Origin": "https://testserver.local"}, 201),
        ({"Origin": "http://localhost:8000"}, 201),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ]
    for said, status in cases:
        assert (await client.post("/write", headers=headers | said)).status_code == status, said
        assert (await client.get("/who", headers=headers | said)).status_code == 200


async def test_the_caller_says_for_whom_how_and_why(
    client: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock
) -> None:
    headers = await sign_in(database, vault, clock.now(), Role.CASE_WORKER)
    person = str(uuid4())
    answer = await client.get(
        "/who", headers=headers | {"Acting-For": person, "Channel": "desk", "Reason": "Pr%C3%BCfung, 100 %"}
    )
    assert answer.json()["acting_for"] == person
    assert answer.json()["channel"] == "desk"
    assert answer.json()["reason"] == "Prüfung, 100 %"


async def test_a_header_that_says_nothing_sensible_is_a_bad_request(
    client: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock
) -> None:
    headers = await sign_in(database, vault, clock.now(), Role.CASE_WORKER)
    cases: list[dict[str, str]] = [
        {"Acting-For": "me"},
        {"Acting-For": ""},
        {"Channel": "fax"},
        {"Channel": ""},
        {"Reason": "x" * 201},
        {"Reason": "%00"},
        {"Reason": "%FF"},
        {"Reason": " "},
    ]
    for said in cases:
        answer = await client.get("/who", headers=headers | said)
        assert answer.status_code == 400, said
        assert answer.json()["type"] == "urn:citycard:problem:header-refused"
