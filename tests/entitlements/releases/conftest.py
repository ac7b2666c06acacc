import pytest

from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from tests.entitlements.releases.making import Office


@pytest.fixture
async def office(database: Database, settings: Settings, clock: FixedClock) -> Office:
    """An office with Dortmund's rules in force, and nobody in the city yet."""
    office = Office(database, settings, clock)
    await office.open()
    return office


@pytest.fixture
async def town(office: Office) -> Office:
    """The same, with people."""
    await office.settle(300)
    return office
