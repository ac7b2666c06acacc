"""A register that says nothing, or only half, takes nothing away."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import col

from core.access.rules import Caller, Method, PrincipalKind, Role
from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import Vault
from entitlements.deliveries import rules, service, staging
from entitlements.deliveries.models import STAGING, Delivery, DeliveryRow, Mode
from entitlements.deliveries.receiving import Announced, Media
from entitlements.deliveries.results import decided
from entitlements.facts.models import Fact
from entitlements.people.models import Person
from tests.entitlements.deliveries.making import Office, fact, household, lines, person
from tests.entitlements.deliveries.test_routes import TODAY, count, known

Work = Callable[[], Awaitable[int]]

PEOPLE = [
    row
    for number in ("P-1", "P-2", "P-3")
    for row in (person(number), fact(number, "main_residence", value=True))
]


async def listed(melde: Office, clock: FixedClock, name: str = "all") -> None:
    done = await melde.deliver(name, PEOPLE, mode="full", as_of=clock.now())
    assert done["state"] == "applied"


async def test_a_complete_list_with_fewer_rows_than_announced_ends_nothing(
    melde: Office, database: Database, vault: Vault, clock: FixedClock
) -> None:
    await listed(melde, clock)
    clock.forward(timedelta(minutes=2))
    answer = await melde.post("cut", lines(PEOPLE[:2]), len(PEOPLE), mode="full", as_of=clock.now())
    assert (answer.json()["state"], answer.json()["reason"]) == ("rejected", "row-count")
    for number in ("P-1", "P-3"):
        assert (await known(database, vault, melde, number))["main_residence"] is True


async def test_a_complete_list_that_breaks_off_leaves_nothing_behind(
    melde: Office, database: Database, vault: Vault, settings: Settings, clock: FixedClock
) -> None:
    await listed(melde, clock)
    before = [await count(database, table) for table in STAGING]
    clock.forward(timedelta(minutes=2))

    async def half() -> AsyncIterator[bytes]:
        yield lines(PEOPLE[:2])
        raise ConnectionResetError

    caller = Caller(
        melde.register.principal_id,
        PrincipalKind.REGISTER,
        frozenset({Role.INTEGRATION_CLIENT}),
        Method.TOKEN,
    )
    announced = Announced("broken", Mode.FULL, clock.now(), len(PEOPLE), Media.NDJSON)
    with pytest.raises(ConnectionResetError):
        await service.deliver(
            database, vault, settings, caller, announced=announced, body=half(), now=clock.now()
        )
    assert [await count(database, table) for table in STAGING] == before
    assert (await known(database, vault, melde, "P-3"))["main_residence"] is True
    await listed(melde, clock, "broken")


async def test_a_register_that_is_silent_for_months_takes_nothing_away(
    melde: Office, database: Database, vault: Vault, work: Work, clock: FixedClock
) -> None:
    await listed(melde, clock)
    for _ in range(6):
        clock.forward(timedelta(days=31))
        await work()
    later = TODAY + timedelta(days=186)
    assert (await known(database, vault, melde, "P-2", later))["main_residence"] is True


async def test_half_a_list_of_changes_leaves_the_other_half_as_it_is(
    melde: Office, database: Database, vault: Vault, clock: FixedClock
) -> None:
    await listed(melde, clock)
    await melde.deliver("few", [fact("P-1", "main_residence", value=False)])
    assert (await known(database, vault, melde, "P-1"))["main_residence"] is False
    assert (await known(database, vault, melde, "P-2"))["main_residence"] is True


@pytest.mark.parametrize("remembered", [1, 1_000])
async def test_numbers_that_were_forgotten_on_the_way_mean_the_same_persons(
    melde: Office, database: Database, monkeypatch: pytest.MonkeyPatch, remembered: int
) -> None:
    monkeypatch.setattr(staging, "NUMBERS", remembered)
    rows: list[dict[str, Any]] = [fact(f"P-{n}", "main_residence", value=True) for n in range(4)]
    rows += [person(f"P-{n}", birth_date="1990-01-01") for n in range(4)]
    rows += [household("H-1", "P-0", "P-1"), household("H-2", "P-2", "P-3")]
    rows += [fact(f"P-{n}", "deceased", value=False) for n in range(4)]
    rows += [person("P-1", "Other"), fact("P-2", "deceased", value=False)]
    done = await melde.deliver("scattered", rows)
    assert done["results"] == {"accepted": 14, "duplicate": 2}
    assert await melde.results(done) == ["accepted"] * 14 + ["duplicate"] * 2
    assert (await count(database, Person), await count(database, Fact)) == (4, 16)
    async with database.reading() as session:
        (delivery,) = (await session.execute(select(Delivery))).scalars()
        assert await decided(session, delivery.id) == delivery.tally


async def test_the_same_list_again_writes_nothing_anew_and_says_so(
    melde: Office, database: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "CHUNK", 2)
    await listed(melde, clock)
    clock.forward(timedelta(minutes=2))
    rows = [*PEOPLE, fact("P-3", "deceased", value=False)]
    done = await melde.deliver("again", rows, mode="full", as_of=clock.now())
    assert done["results"] == {"accepted": 1, "unchanged": 6}
    async with database.reading() as session:
        facts = (await session.execute(select(Fact))).scalars().all()
        assert len(facts) == 4
        assert {one.confirmed_at for one in facts if one.known_until is None} == {clock.now()}
        own = await session.execute(select(DeliveryRow).where(col(DeliveryRow.result).is_not(None)))
        assert len(own.scalars().all()) <= 3
