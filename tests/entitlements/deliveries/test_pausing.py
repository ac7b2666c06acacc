"""A large delivery can be stopped and taken up again, and neither loses nor doubles anything."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlmodel import col

from core.access.rules import Role
from core.audit.models import Entry
from core.clock import FixedClock
from core.database import Database
from core.vault import Vault
from entitlements.deliveries import rules, service
from entitlements.facts.models import Fact
from tests.entitlements.deliveries.making import Office, fact, person
from tests.entitlements.deliveries.test_routes import count, known
from tests.makers import sign_in

Work = Callable[[], Awaitable[int]]

ROWS = [
    row
    for number in range(8)
    for row in (person(f"P-{number}"), fact(f"P-{number}", "main_residence", value=True))
]


@pytest.fixture
def in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two numbers a step, and no more than two steps before the answer: one to check, one to apply."""
    monkeypatch.setattr(rules, "CHUNK", 2)
    monkeypatch.setattr(service, "STEPS", 2)


async def act(office: Office, delivery: dict[str, Any], what: str, headers: dict[str, str]) -> Any:
    return await office.client.post(f"/v1/deliveries/{delivery['id']}/{what}", headers=headers)


async def seen(office: Office, delivery: dict[str, Any]) -> dict[str, Any]:
    view: dict[str, Any] = (
        await office.client.get(f"/v1/deliveries/{delivery['id']}", headers=office.headers)
    ).json()
    return view


@pytest.mark.usefixtures("in_steps")
async def test_a_delivery_stops_where_it_is_and_goes_on_from_there(
    melde: Office, database: Database, vault: Vault, work: Work, clock: FixedClock
) -> None:
    begun = await melde.deliver("large", ROWS)
    assert (begun["state"], begun["done"]) == ("applying", 4)
    operator = await sign_in(database, vault, clock.now(), Role.OPERATOR)
    paused = (await act(melde, begun, "pause", operator)).json()
    assert (paused["state"], paused["reason"], paused["done"]) == ("paused", "while-applying", 4)
    await work()
    assert (await seen(melde, begun))["done"] == 4
    assert await count(database, Fact) == 2
    assert (await act(melde, begun, "pause", operator)).status_code == 409
    resumed = (await act(melde, begun, "resumption", operator)).json()
    assert (resumed["state"], resumed["reason"]) == ("applying", "")
    assert (await act(melde, begun, "resumption", operator)).status_code == 409
    for _ in range(5):
        await work()
    done = await seen(melde, begun)
    assert (done["state"], done["results"]) == ("applied", {"accepted": 16})
    assert await count(database, Fact) == 8
    assert (await known(database, vault, melde, "P-7"))["main_residence"] is True
    assert await acts(database) == ["delivery.paused", "delivery.resumed"]


async def acts(database: Database) -> list[str]:

    async with database.reading() as session:
        found = await session.execute(
            select(col(Entry.action))
            .where(col(Entry.action).in_(("delivery.paused", "delivery.resumed")))
            .order_by(col(Entry.id))
        )
        return list(found.scalars())


@pytest.mark.usefixtures("in_steps")
async def test_what_is_paused_while_it_is_checked_is_checked_when_it_goes_on(
    melde: Office, work: Work, monkeypatch: pytest.MonkeyPatch, clock: FixedClock
) -> None:
    monkeypatch.setattr(service, "STEPS", 0)
    begun = await melde.deliver("large", ROWS, mode="full", as_of=clock.now())
    assert begun["state"] == "checking"
    assert (await act(melde, begun, "pause", melde.headers)).json()["reason"] == "while-checking"
    await work()
    assert (await act(melde, begun, "resumption", melde.headers)).json()["state"] == "checking"
    for _ in range(9):
        await work()
    assert (await seen(melde, begun))["state"] == "applied"


@pytest.mark.usefixtures("in_steps")
async def test_a_register_stops_only_what_it_delivered_itself(
    melde: Office, jobcenter: Office, database: Database, vault: Vault, clock: FixedClock
) -> None:
    begun = await melde.deliver("large", ROWS)
    assert (await act(melde, begun, "pause", jobcenter.headers)).status_code == 404
    assert (await act(melde, {"id": uuid4()}, "pause", melde.headers)).status_code == 404
    desk = await sign_in(database, vault, clock.now(), Role.CASE_WORKER)
    assert (await act(melde, begun, "pause", desk)).status_code == 403
    assert (await act(melde, begun, "pause", melde.headers)).status_code == 200


async def test_a_finished_delivery_cannot_be_stopped(melde: Office) -> None:
    done = await melde.deliver("small", ROWS[:2])
    assert (await act(melde, done, "pause", melde.headers)).status_code == 409
