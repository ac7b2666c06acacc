"""Applies a delivery step by step in a process of its own; asked to, it stands still in the middle of a step.

    python -m tests.entitlements.deliveries.stepping URL VAULT DELIVERY MOMENT [STEP]

With STEP it prints "within" once everything of that step is written and nothing committed, and waits for its end.
"""

import asyncio
import os
import sys
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

import app.tables  # noqa: F401
from core.database import Database
from core.settings import Mode, Settings
from core.vault.file import FileVault
from entitlements.deliveries import rules
from entitlements.deliveries.applying import advance

HOMES = 8
"""Homes of two that one step applies."""
PASSPHRASE = "a passphrase of tests alone"


async def main(url: str, vault_file: str, delivery_id: str, moment: str, stop_at: int | None) -> None:
    """Goes on with the delivery to its end, or to the step in whose middle it stops."""
    vault = FileVault(Path(vault_file), PASSPHRASE)
    settings = Settings(mode=Mode.TEST, database_url=url, vault_file=Path(vault_file), _env_file=None)
    # Two persons and the home itself.
    rules.CHUNK = 3 * HOMES
    database, now = Database(url), datetime.fromisoformat(moment)
    steps = 0

    async def step(session: AsyncSession) -> bool:
        nonlocal steps
        steps += 1
        more = await advance(session, UUID(delivery_id), now, settings=settings, vault=vault)
        if steps == stop_at:
            await session.flush()
            os.write(1, b"within\n")
            await asyncio.sleep(120)
        return more

    while await database.in_transaction(step):
        pass
    await database.dispose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5], int(sys.argv[5]) if len(sys.argv) > 5 else None))
