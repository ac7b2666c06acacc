"""Every write is safe to retry."""

from datetime import timedelta

import anyio
import pytest
from litestar import Litestar, Router, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.testing import AsyncTestClient
from pydantic import Field
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.application import House
from core.access.rules import Role, allow
from core.clock import FixedClock
from core.database import Database
from core.errors import Conflict
from core.idempotency import Answer, Answered, forget_expired
from core.jobs.models import Job
from core.jobs.service import enqueue
from core.schema import Schema
from core.vault import Vault
from tests.makers import house_with, sign_in


class Wish(Schema):
    word: str = Field(max_length=200)


class Made(Schema):
    number: int


@post("/wishes", status_code=201)
async def make_wish(
    data: JSONBody[Wish], session: NamedDependency[AsyncSession], clock: NamedDependency[FixedClock]
) -> Answer:
    await enqueue(session, "wish", {"word": data.word}, run_at=clock.now())
    if data.word == "refuse":
        raise Conflict
    count = (await session.execute(select(func.count(col(Job.id))))).scalar_one()
    return Answer(Made(number=count), status_code=201, headers={"Location": f"/wishes/{count}"})


@post("/strict", opt={"idempotency": "required"})
async def make_strictly(
    data: JSONBody[Wish], session: NamedDependency[AsyncSession], clock: NamedDependency[FixedClock]
) -> Made:
    await enqueue(session, "wish", {"word": data.word}, run_at=clock.now())
    return Made(number=1)


@pytest.fixture(scope="module")
def house() -> House:
    return house_with(
        Router("/", route_handlers=[make_wish, make_strictly], guards=[allow(Role.CASE_WORKER)])
    )


@pytest.fixture
def wishing(client: AsyncTestClient[Litestar]) -> AsyncTestClient[Litestar]:
    return client


async def jobs(database: Database) -> int:
    async with database.reading() as session:
        return (await session.execute(select(func.count(col(Job.id))))).scalar_one()


async def test_the_same_write_again_gets_the_same_answer_and_happens_once(
    wishing: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock
) -> None:
    headers = {**await sign_in(database, vault, clock.now(), Role.CASE_WORKER), "Idempotency-Key": "a"}
    first = await wishing.post("/wishes", json={"word": "bread"}, headers=headers)
    again = await wishing.post("/wishes", json={"word": "bread"}, headers=headers)
    assert (first.status_code, first.json()) == (201, {"number": 1})
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert await jobs(database) == 1


async def test_a_key_does_not_serve_two_different_writes(
    wishing: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock
) -> None:
    headers = {**await sign_in(database, vault, clock.now(), Role.CASE_WORKER), "Idempotency-Key": "a"}
    await wishing.post("/wishes", json={"word": "bread"}, headers=headers)
    other = await wishing.post("/wishes", json={"word": "roses"}, headers=headers)
    assert other.status_code == 422
    assert other.json()["type"] == "urn:citycard:problem:idempotency-key-reused"
    assert await jobs(database) == 1


async def test_one_callers_key_means_nothing_to_another(
    wishing: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock
) -> None:
    for _ in range(2):
        headers = {**await sign_in(database, vault, clock.now(), Role.CASE_WORKER), "Idempotency-Key": "a"}
        assert (await wishing.post("/wishes", json={"word": "bread"}, headers=headers)).status_code == 201
    assert await jobs(database) == 2


async def test_twenty_at_once_with_one_key_have_one_effect_and_one_answer(
    wishing: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock
) -> None:
    headers = {**await sign_in(database, vault, clock.now(), Role.CASE_WORKER), "Idempotency-Key": "a"}
    answers: list[bytes] = []

    async def ask() -> None:
        answer = await wishing.post("/wishes", json={"word": "bread"}, headers=headers)
        assert answer.status_code == 201
        answers.append(answer.content)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
    assert len(answers) == 20
    assert len(set(answers)) == 1
    assert await jobs(database) == 1


async def test_a_refused_write_keeps_nothing_and_may_be_tried_again(
    wishing: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock
) -> None:
    headers = {**await sign_in(database, vault, clock.now(), Role.CASE_WORKER), "Idempotency-Key": "a"}
    for _ in range(2):
        refused = await wishing.post("/wishes", json={"word": "refuse"}, headers=headers)
        assert refused.status_code == 409
        assert "idempotency-replayed" not in refused.headers
    assert await jobs(database) == 0


async def test_a_door_that_insists_says_that_the_key_is_missing(
    wishing: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock
) -> None:
    headers = await sign_in(database, vault, clock.now(), Role.CASE_WORKER)
    for key, slug in ((None, "idempotency-key-missing"), ("", "idempotency-key-malformed")):
        more = {} if key is None else {"Idempotency-Key": key}
        answer = await wishing.post("/strict", json={"word": "x"}, headers={**headers, **more})
        assert answer.status_code == 400
        assert answer.json()["type"].endswith(slug)
    long = await wishing.post(
        "/strict", json={"word": "x"}, headers={**headers, "Idempotency-Key": "k" * 256}
    )
    assert long.status_code == 400


async def test_after_two_days_answers_are_forgotten(
    wishing: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock
) -> None:
    headers = {**await sign_in(database, vault, clock.now(), Role.CASE_WORKER), "Idempotency-Key": "a"}
    await wishing.post("/wishes", json={"word": "bread"}, headers=headers)
    for hours, left in ((47, 1), (2, 0)):
        clock.forward(timedelta(hours=hours))
        async with database.writing() as session:
            await forget_expired(session, {}, clock.now())
            assert (await session.execute(select(func.count(col(Answered.id))))).scalar_one() == left


async def test_a_stored_answer_cannot_be_read_without_the_request(
    wishing: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock
) -> None:
    headers = {
        **await sign_in(database, vault, clock.now(), Role.CASE_WORKER),
        "Idempotency-Key": "marker-key",
    }
    await wishing.post("/wishes", json={"word": "marker-word"}, headers=headers)
    async with database.reading() as session:
        row = (await session.execute(select(Answered))).scalar_one()
    assert row.answer is not None
    assert b"number" not in row.answer
    assert b"marker" not in row.answer + row.key_hash + row.request_hash
