from collections.abc import Awaitable, Callable

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from app.handlers import handlers, recurring
from core.clock import FixedClock
from core.database import Database
from core.jobs.service import Worker
from core.settings import Settings
from core.vault import Vault
from entitlements.registers.rules import Remit
from tests.entitlements.deliveries.making import JOBCENTER, MELDE, Office, open_office

Opening = Callable[..., Awaitable[Office]]


@pytest.fixture
def opening(
    client: AsyncTestClient[Litestar], database: Database, vault: Vault, settings: Settings, clock: FixedClock
) -> Opening:
    async def make(kind: str, remit: Remit) -> Office:
        return await open_office(client, database, vault, settings, clock.now(), kind, remit=remit)

    return make


@pytest.fixture
async def melde(opening: Opening) -> Office:
    """The residents' register: it says who people are."""
    return await opening("melderegister", MELDE)


@pytest.fixture
async def jobcenter(opening: Opening) -> Office:
    """A register that names people by its own numbers only."""
    return await opening("jobcenter", JOBCENTER)


@pytest.fixture
def work(
    database: Database, vault: Vault, settings: Settings, clock: FixedClock
) -> Callable[[], Awaitable[int]]:
    """Does the jobs that are due."""
    return Worker(database, handlers(settings, vault), clock, recurring(settings)).run_due
