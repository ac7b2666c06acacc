from collections import Counter
from datetime import timedelta
from itertools import pairwise

import anyio

from core import jose
from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import KeyUse, Vault
from issuers.authorities.models import Authority
from issuers.status import rules
from issuers.status.models import ListKind
from issuers.status.rules import Status
from issuers.status.service import StatusMemory, allocate, set_status

DAYS = timedelta(days=14)


async def give(
    database: Database, settings: Settings, clock: FixedClock, count: int
) -> list[tuple[int, int]]:
    async with database.writing() as session:
        until = clock.now() + DAYS
        return await allocate(session, ListKind.CARD, count, until=until, settings=settings, now=clock.now())


async def change(database: Database, clock: FixedClock, places: list[tuple[int, int]], status: Status) -> int:
    async with database.writing() as session:
        return len(await set_status(session, places, status, now=clock.now()))


async def memory_of(database: Database, clock: FixedClock) -> StatusMemory:
    memory = StatusMemory()
    async with database.reading() as session:
        await memory.follow(session, clock.now())
    return memory


async def test_many_at_once_never_get_the_same_place(
    database: Database, settings: Settings, clock: FixedClock
) -> None:
    given: list[tuple[int, int]] = []

    async def one() -> None:
        given.extend(await give(database, settings, clock, 40))

    async with anyio.create_task_group() as tasks:
        for _ in range(12):
            tasks.start_soon(one)
    assert len(given) == len(set(given)) == 480


async def test_a_list_that_is_three_quarters_used_is_followed_by_a_new_one(
    database: Database, settings: Settings, clock: FixedClock
) -> None:
    given = await give(database, settings, clock, 7000)
    used = Counter(number for number, _ in given)
    assert set(used) == {1, 2, 3}
    assert len(set(given)) == 7000
    assert all(count <= settings.status_size * 3 // 4 for count in used.values())


async def test_a_place_tells_nothing_of_the_next(
    database: Database, settings: Settings, clock: FixedClock
) -> None:
    given = [index for _, index in await give(database, settings, clock, 400)]
    rising = sum(a < b for a, b in pairwise(given))
    assert 150 < rising < 250
    assert min(given) < settings.status_size // 10
    assert max(given) > settings.status_size * 9 // 10


async def test_what_is_revoked_is_revoked_in_memory_and_nothing_else_of_ours_is(
    database: Database, settings: Settings, clock: FixedClock
) -> None:
    given = await give(database, settings, clock, 50)
    memory = await memory_of(database, clock)
    assert {memory.status(place) for place in given} == {Status.VALID}
    assert await change(database, clock, given[:3], Status.INVALID) == 3
    async with database.reading() as session:
        await memory.follow(session, clock.now())
    assert {memory.status(place) for place in given[:3]} == {Status.INVALID}
    assert {memory.status(place) for place in given[3:]} == {Status.VALID}


async def test_revoked_stays_revoked(database: Database, settings: Settings, clock: FixedClock) -> None:
    given = await give(database, settings, clock, 2)
    await change(database, clock, given, Status.SUSPENDED)
    assert await change(database, clock, given[:1], Status.VALID) == 1
    await change(database, clock, given[:1], Status.INVALID)
    for wished in (Status.VALID, Status.SUSPENDED, Status.INVALID):
        assert await change(database, clock, given[:1], wished) == 0
    memory = await memory_of(database, clock)
    assert [memory.status(place) for place in given] == [Status.INVALID, Status.SUSPENDED]


async def test_a_place_that_does_not_exist_is_not_valid(
    database: Database, settings: Settings, clock: FixedClock
) -> None:
    await give(database, settings, clock, 1)
    memory = await memory_of(database, clock)
    assert memory.status((1, settings.status_size)) is None
    assert memory.status((2, 0)) is None


async def test_counting_the_marks_does_not_count_the_revoked(
    database: Database, settings: Settings, clock: FixedClock
) -> None:
    given = await give(database, settings, clock, 60)

    async def marks() -> int:
        held = (await memory_of(database, clock)).held(1)
        return sum(held.statuses.get(index) != 0 for index in range(held.statuses.size))

    before = [await marks()]
    assert before[0] >= settings.status_size // 64
    rises = set()
    for place in given[:20]:
        await change(database, clock, [place], Status.INVALID)
        before.append(await marks())
        rises.add(before[-1] - before[-2])
    assert min(rises) >= 1
    assert len(rises) > 3


async def test_two_who_revoke_at_once_lose_nothing(
    database: Database, settings: Settings, clock: FixedClock
) -> None:
    given = await give(database, settings, clock, 60)
    memory = await memory_of(database, clock)
    async with anyio.create_task_group() as tasks:
        for place in given[:30]:
            tasks.start_soon(change, database, clock, [place], Status.INVALID)
    async with database.reading() as session:
        await memory.follow(session, clock.now())
    fresh = await memory_of(database, clock)
    assert [memory.status(place) for place in given] == [Status.INVALID] * 30 + [Status.VALID] * 30
    assert fresh.held(1).statuses == memory.held(1).statuses


async def test_the_signed_list_says_what_memory_says_and_every_process_signs_the_same(
    database: Database, settings: Settings, clock: FixedClock, vault: Vault, authority: Authority
) -> None:
    given = await give(database, settings, clock, 10)
    await change(database, clock, given[:1], Status.INVALID)
    tokens = []
    for _ in range(2):
        memory = await memory_of(database, clock)
        async with database.reading() as session:
            published = await memory.published(session, 1, vault=vault, settings=settings, now=clock.now())
        tokens.append(published.jwt.token)
    assert tokens[0] == tokens[1]
    key = vault.keys(KeyUse.STATUS_LIST)[0]
    verified = jose.verify(
        tokens[0].decode(), jose.Key(key.public_key), typ=rules.TYPE, low_s=True, longest=rules.LONGEST
    )
    read = rules.read(verified.claims, f"{settings.public_url}/status/1")
    assert read.statuses.get(given[0][1]) == Status.INVALID
    assert read.statuses.get(given[1][1]) == Status.VALID
    assert read.ttl == timedelta(seconds=settings.status_ttl)
    assert read.expires_at == read.issued_at + timedelta(days=settings.status_days)


async def test_a_list_nobody_needs_any_more_is_let_go(
    database: Database, settings: Settings, clock: FixedClock
) -> None:
    await give(database, settings, clock, 1)
    memory = await memory_of(database, clock)
    assert memory.numbers() == [1]
    clock.forward(DAYS + timedelta(days=2))
    async with database.reading() as session:
        await memory.follow(session, clock.now())
    assert memory.numbers() == []
