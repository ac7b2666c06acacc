"""What the verifiers' tests stand on: a city that works."""

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import Vault
from tests.verifiers.makers import City, make_city


@pytest.fixture
async def city(
    client: AsyncTestClient[Litestar],
    database: Database,
    vault: Vault,
    settings: Settings,
    clock: FixedClock,
) -> City:
    return await make_city(client, database, vault, settings, clock)
