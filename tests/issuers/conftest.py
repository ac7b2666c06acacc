"""An authority with its keys, as every first start makes it."""

import pytest

from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import Vault
from issuers.authorities.models import Authority
from issuers.authorities.service import ensure_authority


@pytest.fixture
async def authority(database: Database, vault: Vault, settings: Settings, clock: FixedClock) -> Authority:
    async with database.writing() as session:
        return await ensure_authority(session, vault, settings, clock.now())
