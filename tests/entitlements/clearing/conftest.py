import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.access.rules import Role
from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import Vault
from entitlements.registers.rules import Remit
from tests.entitlements.clearing.making import NAMED, SOZIALAMT, Town
from tests.entitlements.deliveries.making import MELDE, Office, open_office
from tests.makers import sign_in


@pytest.fixture
async def town(
    client: AsyncTestClient[Litestar],
    database: Database,
    vault: Vault,
    settings: Settings,
    clock: FixedClock,
) -> Town:
    desk = await sign_in(database, vault, clock.now(), Role.CASE_WORKER)

    async def opening(kind: str, remit: Remit) -> Office:
        return await open_office(client, database, vault, settings, clock.now(), kind, remit=remit)

    return Town(
        client,
        database,
        vault,
        settings,
        clock,
        desk,
        await opening("melderegister", MELDE),
        await opening("jobcenter", NAMED),
        await opening("sozialamt", SOZIALAMT),
    )
