"""Rows that wait for somebody to say whom they mean are applied once, however often they were delivered."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import col

from core.access.rules import Role
from core.clock import FixedClock
from core.database import Database
from core.vault import Vault
from entitlements.deliveries import routes
from entitlements.facts.models import Fact
from entitlements.registers.rules import Remit
from tests.entitlements.deliveries.conftest import Opening
from tests.entitlements.deliveries.making import Office, fact, household, person
from tests.entitlements.deliveries.test_routes import known
from tests.makers import sign_in


@pytest.mark.parametrize("also_with_household", [False, True])
async def test_what_was_delivered_twice_while_it_waited_is_applied_once(
    melde: Office,
    jobcenter: Office,
    database: Database,
    vault: Vault,
    clock: FixedClock,
    *,
    also_with_household: bool,
) -> None:
    await melde.deliver("people", [person("P-1"), person("P-2"), household("H-1", "P-1", "P-2")])
    rows: list[Any] = [fact("J-1", "sgb2", value=True), fact("J-2", "sgb2", value=True)]
    if also_with_household:
        rows.append(household("B-1", "J-1", "J-2", kind="bedarfsgemeinschaft"))
    first = await jobcenter.deliver("once", rows[:2])
    second = await jobcenter.deliver("twice", rows)
    desk = await sign_in(database, vault, clock.now(), Role.CASE_WORKER)
    waiting = (await melde.client.get("/v1/reviews", headers=desk)).json()["reviews"]
    assert [one["number"] for one in waiting] == ["J-1", "J-2"]
    for review, given in zip(waiting, ("P-1", "P-2"), strict=True):
        found = await melde.client.post(
            "/v1/people/search",
            json={"register_id": await _register(melde, desk), "number": given},
            headers=desk,
        )
        answer = await melde.client.post(
            f"/v1/reviews/{review['id']}/link", json={"person_id": found.json()[0]["person_id"]}, headers=desk
        )
        assert answer.status_code == 200, answer.text
    assert await jobcenter.results(first) == ["accepted", "accepted"]
    assert (await jobcenter.results(second))[:2] == ["unchanged", "unchanged"]


async def _register(melde: Office, desk: dict[str, str]) -> str:
    registers = (await melde.client.get("/v1/registers", headers=desk)).json()
    return next(each["id"] for each in registers if each["kind"] == "melderegister")


async def _link(melde: Office, desk: dict[str, str], meant: dict[str, str]) -> None:
    """A case worker says whom these numbers mean, by the numbers of the residents' register."""
    waiting = (await melde.client.get("/v1/reviews", headers=desk)).json()["reviews"]
    reviews = {one["number"]: one["id"] for one in waiting}
    for number, given in meant.items():
        found = await melde.client.post(
            "/v1/people/search",
            json={"register_id": await _register(melde, desk), "number": given},
            headers=desk,
        )
        answer = await melde.client.post(
            f"/v1/reviews/{reviews[number]}/link",
            json={"person_id": found.json()[0]["person_id"]},
            headers=desk,
        )
        assert answer.status_code == 200, answer.text


async def test_what_is_said_of_a_home_waits_with_it_until_everybody_in_it_is_known(
    melde: Office, opening: Opening, database: Database, vault: Vault, clock: FixedClock
) -> None:
    office = await opening(
        "sozialamt", Remit(frozenset({"household_need"}), frozenset({"bedarfsgemeinschaft"}))
    )
    await melde.deliver("people", [person("P-1"), person("P-2")])
    need = {"row": "fact", "household": "B-1", "fact": "household_need", "value": 96_300}
    home = household("B-1", "J-1", "J-2", kind="bedarfsgemeinschaft")
    waits = await office.deliver("home", [home, need])
    assert await office.results(waits) == ["no-link", "no-link"]
    # Said once more by itself, it still waits: this home stands nowhere but in what waits.
    assert await office.results(await office.deliver("alone", [need])) == ["no-household"]
    desk = await sign_in(database, vault, clock.now(), Role.CASE_WORKER)
    await _link(melde, desk, {"J-1": "P-1"})
    assert await office.results(waits) == ["no-link", "no-link"]
    assert "household_need" not in await known(database, vault, melde, "P-1")
    await _link(melde, desk, {"J-2": "P-2"})
    assert await office.results(waits) == ["accepted", "accepted"]
    for number in ("P-1", "P-2"):
        assert (await known(database, vault, melde, number))["household_need"] == 96_300


async def test_what_begins_first_and_waits_for_another_is_applied_after_it(
    melde: Office, database: Database, vault: Vault, clock: FixedClock
) -> None:
    """A delivery takes its moment when it comes, and may then wait for one that came later, or for a job."""
    since = {"from": "2026-01-01"}
    await melde.deliver("people", [person("P-1"), person("P-2")])
    clock.forward(timedelta(seconds=10))
    rows = [fact("P-1", "main_residence", value=True, **since), household("H-1", "P-1", "P-2", **since)]
    await melde.deliver("came later and was first", rows, as_of=clock.now() - timedelta(hours=1))
    clock.forward(timedelta(seconds=-10))
    rows = [fact("P-1", "main_residence", value=False, **since), household("H-1", "P-2", **since)]
    waited = await melde.deliver("came first", rows)
    assert waited["results"] == {"accepted": 2}
    assert (await known(database, vault, melde, "P-1"))["main_residence"] is False


async def test_what_comes_in_slowly_is_learned_when_it_is_applied(
    melde: Office, database: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was judged meanwhile was judged without it, and that can be worked out again."""
    begun, whole = clock.now(), routes._body

    async def slowly(request: Any) -> AsyncIterator[bytes]:
        async for piece in whole(request):
            yield piece
            clock.forward(timedelta(minutes=2))

    monkeypatch.setattr(routes, "_body", slowly)
    rows = [person("P-1"), fact("P-1", "main_residence", value=True, **{"from": "2026-01-01"})]
    assert (await melde.deliver("slow", rows))["results"] == {"accepted": 2}
    async with database.reading() as session:
        found = await session.execute(select(Fact).where(col(Fact.kind) == "main_residence"))
        known_fact = found.scalar_one()
    assert known_fact.stated_at == begun
    assert known_fact.known_from == clock.now() > begun
