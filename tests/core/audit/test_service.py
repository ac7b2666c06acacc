"""The trail shows every change that is made to it afterwards."""

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import delete, select, update
from sqlmodel import col

from core.audit.models import Checkpoint, Entry
from core.audit.service import Flaw, Verification, latest, note, seal, verify
from core.clock import FixedClock
from core.database import Database
from core.jobs.service import Worker, enqueue
from core.vault import Vault


async def write(database: Database, clock: FixedClock, count: int) -> None:
    for n in range(count):
        async with database.writing() as session:
            note(session, None, "thing.done", f"thing:{n}", now=clock.now(), count=n)
        clock.forward(timedelta(seconds=1))


async def sealed(database: Database, clock: FixedClock, vault: Vault) -> None:
    async with database.writing() as session:
        await seal(session, {}, clock.now(), vault=vault)


async def checked(database: Database, vault: Vault, *outside: str) -> Verification:
    async with database.reading() as session:
        return await verify(session, vault, outside=outside)


@pytest.fixture
async def trail(database: Database, clock: FixedClock, vault: Vault) -> Database:
    """Six entries sealed in two goes, and one that waits."""
    await write(database, clock, 3)
    await sealed(database, clock, vault)
    await write(database, clock, 3)
    await sealed(database, clock, vault)
    await write(database, clock, 1)
    return database


async def test_an_untouched_trail_holds_and_names_its_unsealed_tail(trail: Database, vault: Vault) -> None:
    found = await checked(trail, vault)
    assert (found.sealed, found.unsealed, found.checkpoints, found.flaw) == (6, 1, 2, None)


@pytest.mark.parametrize(
    "change",
    [{"action": "thing.undone"}, {"details": {"count": 9}}, {"subject": "thing:9"}, {"channel": "desk"}],
)
async def test_a_changed_entry_is_named(trail: Database, vault: Vault, change: dict[str, object]) -> None:
    async with trail.writing() as session:
        await session.execute(update(Entry).where(col(Entry.position) == 2).values(**change))
    found = await checked(trail, vault)
    assert (found.flaw, found.position) == (Flaw.CHANGED, 2)


async def test_a_removed_entry_leaves_a_gap_that_is_named(trail: Database, vault: Vault) -> None:
    async with trail.writing() as session:
        await session.execute(delete(Entry).where(col(Entry.position) == 4))
    found = await checked(trail, vault)
    assert (found.flaw, found.position) == (Flaw.MISSING, 4)


async def test_swapped_entries_are_named(trail: Database, vault: Vault) -> None:
    async with trail.writing() as session:
        for old, new in ((2, 99), (3, 2), (99, 3)):
            await session.execute(update(Entry).where(col(Entry.position) == old).values(position=new))
    found = await checked(trail, vault)
    assert (found.flaw, found.position) == (Flaw.CHANGED, 2)


async def test_an_end_cut_off_shows_at_the_last_checkpoint(trail: Database, vault: Vault) -> None:
    async with trail.writing() as session:
        await session.execute(delete(Entry).where(col(Entry.position) >= 5))
    found = await checked(trail, vault)
    assert (found.flaw, found.position) == (Flaw.MISSING, 5)


async def test_an_end_cut_off_with_its_checkpoint_shows_against_one_kept_elsewhere(
    trail: Database, vault: Vault
) -> None:
    async with trail.reading() as session:
        kept = (await latest(session)).signed
    async with trail.writing() as session:
        await session.execute(delete(Entry).where(col(Entry.position) >= 4))
        await session.execute(delete(Checkpoint).where(col(Checkpoint.position) > 3))
    assert (await checked(trail, vault)).flaw is None
    assert (await checked(trail, vault, kept)).flaw is Flaw.MISSING


async def test_a_chain_that_was_rewritten_whole_does_not_fit_its_signed_checkpoints(
    trail: Database, clock: FixedClock, vault: Vault
) -> None:
    async with trail.writing() as session:
        points = list((await session.execute(select(Checkpoint))).scalars())
        kept = [(point.position, point.chain_hash, point.at, point.signed) for point in points]
        await session.execute(delete(Checkpoint))
        await session.execute(update(Entry).values(position=None, chain_hash=None))
        await session.execute(update(Entry).where(col(Entry.subject) == "thing:1").values(action="x"))
    await sealed(trail, clock, vault)
    async with trail.writing() as session:
        await session.execute(delete(Checkpoint))
        for position, chain_hash, at, signed in kept:
            session.add(Checkpoint(position=position, chain_hash=chain_hash, at=at, signed=signed))
    assert (await checked(trail, vault)).flaw is Flaw.CHECKPOINT


async def test_sealing_goes_on_where_it_stopped_and_by_job(
    trail: Database, clock: FixedClock, vault: Vault
) -> None:
    async with trail.writing() as session:
        await enqueue(session, "audit.seal", run_at=clock.now())
    await Worker(trail, {"audit.seal": partial(seal, vault=vault)}, clock).run_due()
    found = await checked(trail, vault)
    assert (found.sealed, found.unsealed, found.flaw) == (7, 0, None)
