import pytest

from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from tests.entitlements.decisions.making import City


@pytest.fixture
async def silent_city(database: Database, settings: Settings, clock: FixedClock) -> City:
    """A city whose departments have not delivered a complete list yet: silence means nothing."""
    city = City(database, settings, clock)
    await city.found(speak=False)
    return city


@pytest.fixture
async def city(silent_city: City) -> City:
    """A city in which every department has said of whom it knows something."""
    await silent_city.lists_complete(*silent_city.registers)
    return silent_city
