"""A look ahead says of how many persons something begins that it does not reckon with."""

from datetime import date
from uuid import UUID

import pytest

from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from entitlements.simulations.beginnings import beginnings
from tests.entitlements.decisions.making import City
from tests.entitlements.releases.making import Office

ADULT = date(1990, 5, 4)
OCTOBER, NOVEMBER, DECEMBER = date(2026, 10, 1), date(2026, 11, 1), date(2026, 12, 1)


@pytest.fixture
async def city(database: Database, settings: Settings, clock: FixedClock) -> City:
    city = City(database, settings, clock)
    await city.found()
    return city


async def begins(city: City, after: date, until: date, *kinds: str) -> int:
    async with city.database.reading() as session:
        found = await beginnings(session, after, until, frozenset(kinds))
    assert found.keys() <= set(kinds)
    return len(set[UUID]().union(*found.values()))


async def test_what_begins_as_something_else_is_counted_in_its_month(city: City) -> None:
    person = await city.person(ADULT)
    await city.state(person, since=date(2026, 10, 15), until=date(2027, 9, 30), wog=True)
    assert await begins(city, OCTOBER, NOVEMBER, "wog") == 1
    assert await begins(city, NOVEMBER, DECEMBER, "wog") == 0
    assert await begins(city, OCTOBER, NOVEMBER, "sgb2") == 0
    # The first of a month is in that month's look, and in no other.
    await city.state(person, since=NOVEMBER, kiz=True)
    assert [await begins(city, *days, "kiz") for days in ((OCTOBER, NOVEMBER), (NOVEMBER, DECEMBER))] == [
        1,
        0,
    ]


async def test_an_approval_that_follows_the_one_before_begins_nothing(city: City) -> None:
    person = await city.person(ADULT)
    await city.state(person, until=date(2026, 10, 31), wog=True)
    await city.state(person, since=NOVEMBER, until=date(2027, 10, 31), wog=True)
    assert await begins(city, OCTOBER, NOVEMBER, "wog") == 0
    # After a pause it begins, and so does another value.
    await city.state(person, since=date(2027, 11, 15), wog=True)
    assert await begins(city, date(2027, 11, 1), date(2027, 12, 1), "wog") == 1
    await city.state(person, until=date(2026, 10, 31), school_stage="sek1")
    await city.state(person, since=NOVEMBER, school_stage="sek2")
    assert await begins(city, OCTOBER, NOVEMBER, "school_stage") == 1


async def test_households_that_are_joined_and_what_is_stated_of_them_are_counted_by_person(
    city: City,
) -> None:
    one, other = await city.person(ADULT), await city.person(ADULT)
    await city.household("wohngeld_household", one, other, since=date(2026, 10, 20))
    assert await begins(city, OCTOBER, NOVEMBER, "wohngeld_household") == 2
    assert await begins(city, OCTOBER, NOVEMBER, "registered_household") == 0
    home = await city.household("registered_household", one, other)
    await city.state(home, since=date(2026, 10, 20), household_net_income=1000)
    assert await begins(city, OCTOBER, NOVEMBER, "household_net_income") == 2
    # Whoever is counted for two reasons is counted once.
    assert await begins(city, OCTOBER, NOVEMBER, "household_net_income", "wohngeld_household") == 2


async def test_a_projection_says_so_month_by_month(city: City) -> None:
    for _ in range(12):
        await city.state(await city.person(ADULT), since=date(2026, 10, 15), wog=True)
    row = await Office(city.database, city.settings, city.clock).simulate(months=2)
    ahead = {one["programme"]: one["months"] for one in row.result["months"]}
    assert [month["day"] for month in ahead["sozialpass"]] == ["2026-10-01", "2026-11-01"]
    october, november = ahead["sozialpass"]
    assert (october["unseen"], november["unseen"] in {10, 15}) == (None, True)
    assert (november["held"], november["granted"]) == (None, None)
    # The school ticket does not look at it.
    assert ahead["deutschlandticket-schule"][1]["unseen"] is None
