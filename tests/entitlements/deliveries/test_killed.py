"""Whatever kills the process in the middle of a delivery, the next one carries on as if nothing had happened."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from core.access.rules import Caller, Method, PrincipalKind, Role
from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import Vault
from core.vault.file import Cost, FileVault
from entitlements.deliveries.applying import advance
from entitlements.deliveries.models import Delivery, Mode, State
from entitlements.deliveries.receiving import Announced, Media, receive
from entitlements.facts.models import CURRENT, Fact
from entitlements.people.models import Identity, IdentityKey, Likemark, Membership, NameMark, Person, Roster
from entitlements.registers.models import Link, Register
from entitlements.registers.service import make_register
from tests.entitlements.deliveries.making import MELDE, fact, household, lines, person
from tests.entitlements.deliveries.stepping import HOMES, PASSPHRASE
from tests.makers import make_machine

WRITTEN = (Person, IdentityKey, Identity, NameMark, Likemark, Link, Fact, Membership, Roster)
NUMBERS = 60


@pytest.fixture
def vault(settings: Settings) -> Vault:
    """A vault that another process can open, too."""
    assert settings.vault_file is not None
    return FileVault.found(settings.vault_file, PASSPHRASE, Cost(n=2, r=1, p=1))


async def stage(  # noqa: PLR0917
    database: Database, vault: Vault, settings: Settings, register: Register, name: str, now: datetime
) -> Delivery:
    """A delivery of persons, their homes and facts, received and not yet looked at."""
    rows: list[dict[str, Any]] = []
    for number in range(0, NUMBERS, 2):
        pair = [f"{name}-{number}", f"{name}-{number + 1}"]
        rows += [person(one, given=f"Mila {one}", birth_date="1990-05-04") for one in pair]
        rows.append(household(f"{name}-H-{number}", *pair))
        rows += [fact(one, "main_residence", value=True) for one in pair]
    caller = Caller(
        register.principal_id, PrincipalKind.REGISTER, frozenset({Role.INTEGRATION_CLIENT}), Method.TOKEN
    )

    async def body() -> AsyncIterator[bytes]:
        yield lines(rows)

    announced = Announced(name, Mode.CHANGES, now, len(rows), Media.NDJSON)
    received = await receive(
        database, vault, settings, caller, register, announced=announced, body=body(), now=now
    )
    async with database.reading() as session:
        return await session.get_one(Delivery, received.delivery_id)


async def state_of(database: Database) -> dict[str, Any]:
    """How many rows of everything there are, and what is known of how many persons."""
    counts: dict[str, Any] = {}
    async with database.reading() as session:
        for table in WRITTEN:
            counts[table.__tablename__] = (
                await session.execute(select(func.count()).select_from(table))
            ).scalar_one()
        known = await session.execute(
            select(
                CURRENT.c.main_residence,
                CURRENT.c.birth_date,
                CURRENT.c.registered_household.is_not(None),
                func.count(),
            ).group_by(
                CURRENT.c.main_residence,
                CURRENT.c.birth_date,
                CURRENT.c.registered_household.is_not(None),
            )
        )
        counts["known"] = [tuple(row) for row in known]
    return counts


def started(delivery: Delivery, settings: Settings, now: datetime, *more: str) -> Any:
    return asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.entitlements.deliveries.stepping",
        settings.database_url,
        str(settings.vault_file),
        str(delivery.id),
        now.isoformat(),
        *more,
        cwd=Path(__file__).parents[3],
        stdout=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("stop_at", [1, 3])
async def test_a_process_killed_within_a_step_leaves_what_the_next_one_needs(
    database: Database, vault: Vault, settings: Settings, clock: FixedClock, stop_at: int
) -> None:
    now = clock.now()
    machine = await make_machine(database, now)
    async with database.writing() as session:
        register = await make_register(
            session,
            None,
            principal_id=machine.principal_id,
            kind="melderegister",
            name="m",
            remit=MELDE,
            now=now,
        )
    delivery = await stage(database, vault, settings, register, "P", now)

    process = await started(delivery, settings, now, str(stop_at))
    assert await process.stdout.readline() == b"within\n"
    process.kill()
    assert await process.wait() == -9
    between = await state_of(database)
    # Whole steps are there, and nothing of the one that was under way: the check, then some homes a step.
    assert between["persons"] == {1: 0, 3: 2 * HOMES}[stop_at]
    assert between["facts"] == 3 * between["persons"]

    process = await started(delivery, settings, now)
    assert await process.wait() == 0
    after = await state_of(database)
    async with database.reading() as session:
        applied = await session.get_one(Delivery, delivery.id)
        assert (applied.state, applied.tally) == (State.APPLIED, {"accepted": delivery.rows})
        numbers = await session.execute(select(func.count(col(Link.number_hash).distinct())))
        assert numbers.scalar_one() == NUMBERS

    # The same again in one go, of other persons: everything is there exactly twice.
    second = await stage(database, vault, settings, register, "Q", now)

    async def step(session: Any) -> bool:
        return await advance(session, second.id, now, settings=settings, vault=vault)

    while await database.in_transaction(step):
        pass
    twice = await state_of(database)
    known = twice.pop("known")
    assert [(*what, number) for *what, number in known] == [
        (*what, 2 * number) for *what, number in after.pop("known")
    ]
    marks = {"name_marks"}  # of a thousand names some share a mark
    assert {name: n for name, n in twice.items() if name not in marks} == {
        name: 2 * n for name, n in after.items() if name not in marks
    }
