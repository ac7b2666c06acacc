"""A register corrects the past by a delivery: what is owed is worked out anew, and what was paid stays paid."""

import json
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlmodel import col

from core.access.rules import Caller, Method, PrincipalKind, Role
from core.clock import FixedClock
from core.database import Database, new_id
from core.settings import Settings
from core.vault import Vault
from entitlements.allowances.models import CreditedMonth
from entitlements.deliveries import service
from entitlements.deliveries.models import Delivery, Mode, State
from entitlements.deliveries.receiving import Announced, Media
from entitlements.facts.service import subjects_on
from entitlements.ledger import service as ledger
from entitlements.ledger.models import AccountKind, EntryKind
from entitlements.ledger.service import NewEntry
from entitlements.registers.models import LinkMade
from entitlements.registers.service import link, number_hash
from tests.entitlements.decisions.making import TODAY, City

BORN = date(2015, 3, 1)
SEPTEMBER = date(2026, 9, 1)


@pytest.fixture
async def city(database: Database, settings: Settings, clock: FixedClock) -> City:
    city = City(database, settings, clock)
    await city.found()
    return city


@pytest.fixture
async def child(city: City, vault: Vault) -> UUID:
    """A pupil whom the Jobcenter knows as J-1."""
    child = await city.person(BORN, school_stage="primary")
    jobcenter = city.registers["jobcenter"]
    async with city.database.writing() as session:
        hashed = number_hash(vault, jobcenter.id, "J-1")
        numbers: Any = {hashed: (child, "J-1", LinkMade.STATED)}
        await link(session, vault, jobcenter.id, numbers, city.clock.now())
    return child


async def deliver(city: City, vault: Vault, name: str, *facts: dict[str, Any]) -> dict[str, int]:
    """The Jobcenter hands over what it has to say of J-1; gives how many rows have which result."""
    city.clock.forward(timedelta(minutes=1))
    register, now = city.registers["jobcenter"], city.clock.now()
    caller = Caller(
        register.principal_id, PrincipalKind.REGISTER, frozenset({Role.INTEGRATION_CLIENT}), Method.TOKEN
    )
    rows = [json.dumps({"row": "fact", "number": "J-1", "fact": "sgb2"} | fact) + "\n" for fact in facts]

    async def body() -> AsyncIterator[bytes]:
        yield "".join(rows).encode()

    announced = Announced(name, Mode.CHANGES, now, len(rows), Media.NDJSON)
    received = await service.deliver(
        city.database, vault, city.settings, caller, announced=announced, body=body(), now=now
    )
    async with city.database.reading() as session:
        delivery = await session.get_one(Delivery, received.delivery_id)
        assert delivery.state is State.APPLIED
        return delivery.tally


def approved(last: str) -> dict[str, Any]:
    return {"value": True, "from": "2026-07-01", "until": last}


async def months(city: City, child: UUID) -> list[int]:
    async with city.database.reading() as session:
        rows = await session.execute(
            select(col(CreditedMonth.month))
            .where(col(CreditedMonth.person_id) == child, col(CreditedMonth.kind) == "participation")
            .order_by(col(CreditedMonth.month))
        )
        return [month.month for month in rows.scalars()]


async def left(city: City, child: UUID) -> int:
    return sum(pot.balance_cents for pot in await city.pots(child) if pot.approval.kind == "participation")


async def test_an_approval_cut_short_afterwards_takes_no_month_back_and_brings_no_new_one(
    city: City, child: UUID, vault: Vault
) -> None:
    assert await deliver(city, vault, "1", approved("2026-12-31")) == {"accepted": 1}
    assert (await months(city, child), await left(city, child)) == ([7, 8, 9], 4500)
    assert await deliver(city, vault, "2", approved("2026-07-31")) == {"accepted": 1}
    # Known anew from today on, and as it was known for whoever asks about then.
    async with city.database.reading() as session:
        now = (await subjects_on(session, [child], SEPTEMBER))[child]
        before = (await subjects_on(session, [child], SEPTEMBER, city.clock.now() - timedelta(minutes=1)))[
            child
        ]
    assert (now.facts["sgb2"].value, before.facts["sgb2"].value) == (False, True)
    assert (await months(city, child), await left(city, child)) == ([7, 8, 9], 4500)
    await city.until(date(2026, 10, 2))
    assert await months(city, child) == [7, 8, 9]
    assert await city.books_in_order()


async def test_a_correction_that_is_corrected_brings_each_month_once(
    city: City, child: UUID, vault: Vault
) -> None:
    await deliver(city, vault, "1", approved("2026-12-31"))
    await deliver(city, vault, "2", approved("2026-07-31"))
    await city.until(date(2026, 10, 2))
    await deliver(city, vault, "3", approved("2026-12-31"))
    assert (await months(city, child), await left(city, child)) == ([7, 8, 9, 10], 6000)
    assert await city.books_in_order()


async def test_an_approval_that_turns_out_to_be_older_brings_the_months_before(
    city: City, child: UUID, vault: Vault
) -> None:
    await deliver(city, vault, "1", {"value": True, "from": "2026-09-01", "until": "2026-12-31"})
    assert (await months(city, child), await left(city, child)) == ([9], 1500)
    await deliver(city, vault, "2", approved("2026-12-31"))
    assert (await months(city, child), await left(city, child)) == ([7, 8, 9], 4500)
    assert await city.books_in_order()


async def test_what_was_spent_before_a_correction_is_not_asked_back(
    city: City, child: UUID, vault: Vault
) -> None:
    await deliver(city, vault, "1", approved("2026-12-31"))
    (pot,) = [pot for pot in await city.pots(child) if pot.approval.kind == "participation"]
    async with city.database.writing() as session:
        club = await ledger.account(session, AccountKind.PAYABLE, "club", now=city.clock.now())
        entry = NewEntry(f"club:{new_id()}", EntryKind.BOOKING, {pot.approval.account_id: -4000, club: 4000})
        await ledger.book(session, entry, now=city.clock.now())
    await deliver(city, vault, "2", {"withdraw": True, "from": "2026-07-01"})
    assert (await months(city, child), await left(city, child)) == ([7, 8, 9], 500)
    await city.until(TODAY + timedelta(days=20))
    async with city.database.reading() as session:
        assert await ledger.balance(session, club) == 4000
    assert await city.books_in_order()
