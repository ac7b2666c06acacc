"""An authority with its keys, and people with phones."""

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import Vault
from issuers.authorities.service import ensure_authority
from tests.wallet.makers import Town


@pytest.fixture
async def town(
    client: AsyncTestClient[Litestar], database: Database, vault: Vault, settings: Settings, clock: FixedClock
) -> Town:
    async with database.writing() as session:
        await ensure_authority(session, vault, settings, clock.now())
    return Town(client, database, vault, settings, clock)
