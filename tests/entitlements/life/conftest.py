import pytest

from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from tests.entitlements.decisions.making import City


@pytest.fixture
async def city(database: Database, settings: Settings, clock: FixedClock) -> City:
    """A city in which every department has said of whom it knows something."""
    city = City(database, settings, clock)
    await city.found()
    return city
