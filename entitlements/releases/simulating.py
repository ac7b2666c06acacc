"""Simulate drafts, or two days of what is released, and say to case workers whom it would concern."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.audit.service import note
from core.clock import day_of
from core.jobs.service import enqueue
from core.settings import Settings
from core.vault import Vault
from entitlements.releases import gate
from entitlements.releases.drafts import NotSound, release_of, revision, understand
from entitlements.releases.gate import Finding
from entitlements.releases.models import Revision
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.keeping import state_hash
from entitlements.rulebook.programmes import Rulebook
from entitlements.rulebook.rules import RulebookError
from entitlements.rulebook.service import RulebookMoved
from entitlements.simulations import service as simulations
from entitlements.simulations.models import Failure, Progress, Simulation
from entitlements.simulations.rules import Change
from entitlements.simulations.statements import side_of


def _refuse_unsound(findings: Sequence[Finding]) -> None:
    if findings:
        raise NotSound("; ".join(finding.message for finding in findings)[:2000])


async def simulate(
    session: AsyncSession,
    caller: Caller,
    *,
    release_id: UUID | None,
    before_on: date | None,
    after_on: date | None,
    on: date | None,
    months: int,
    now: datetime,
    settings: Settings,
) -> Simulation:
    """Asks what rules would do: a draft against what is released, or two days of what is released."""
    today = day_of(now, settings.zone)
    content_hash = ""
    if release_id is not None:
        release = await release_of(session, release_id)
        draft = await understand(session, await revision(session, release), settings)
        _refuse_unsound(gate.sound(draft.standing, draft.book, draft.changes, today).findings)
        content_hash, base, first = release.content_hash, draft.base_hash, draft.first_day(today)
    else:
        base, first = state_hash(await rulebook.in_force(session)), today
    day = on or first
    wanted = Simulation(
        asked_by=caller.principal_id,
        asked_at=now,
        release_id=release_id,
        content_hash=content_hash,
        base_hash=base,
        before_on=before_on or day,
        after_on=after_on or day,
        on=day,
        months=months,
        threshold=settings.simulation_threshold,
    )
    row = await simulations.ask(session, wanted)
    note(session, caller, "simulation.asked", ("simulation", row.id), now=now, months=months)
    await enqueue(session, "simulation.step", {"simulation_id": str(row.id)}, run_at=now)
    return row


async def run_simulation(
    session: AsyncSession, payload: dict[str, Any], now: datetime, *, settings: Settings, vault: Vault
) -> None:
    """The job: does the next part of a simulation, and owes the one after it."""
    row = await simulations.simulation(session, UUID(payload["simulation_id"]))
    if row.state is not Progress.WAITING:
        return
    try:
        before, after = await _books(session, row, settings)
    except (RulebookMoved, RulebookError):
        simulations.fail(session, row, Failure.RULES_MOVED, now)
        return
    today = day_of(now, settings.zone)
    await simulations.step(session, row, before, after, today=today, now=now, settings=settings, vault=vault)
    if row.state is Progress.WAITING:
        await enqueue(session, "simulation.step", {"simulation_id": str(row.id)}, run_at=now)


async def simulation_given_up(
    session: AsyncSession, payload: dict[str, Any], now: datetime, _error: str
) -> None:
    """The last word on a part that failed at every attempt: the simulation has failed, and can be asked for anew."""
    row = await simulations.simulation(session, UUID(payload["simulation_id"]))
    if row.state is Progress.WAITING:
        simulations.fail(session, row, Failure.GIVEN_UP, now)


async def _books(session: AsyncSession, row: Simulation, settings: Settings) -> tuple[Rulebook, Rulebook]:
    """Both sides of a simulation; RulebookMoved where they are no longer what was simulated."""
    standing = await rulebook.in_force(session)
    if state_hash(standing) != row.base_hash:
        raise RulebookMoved("something was released since; simulate anew")
    if row.release_id is None:
        return standing, standing
    wanted = (
        select(Revision)
        .where(col(Revision.release_id) == row.release_id, col(Revision.content_hash) == row.content_hash)
        .order_by(col(Revision.version).desc())
        .limit(1)
    )
    draft = await understand(session, (await session.execute(wanted)).scalar_one(), settings)
    return draft.standing, draft.book


async def concerned(
    session: AsyncSession,
    caller: Caller,
    simulation_id: UUID,
    *,
    programme: str,
    change: Change,
    behind: UUID | None,
    limit: int,
    now: datetime,
    settings: Settings,
) -> list[UUID]:
    """Whom a simulation concerns, by id: for case workers, who prepare for it; every look is written down."""
    row = await simulations.simulation(session, simulation_id)
    if row.state is not Progress.DONE:
        raise simulations.NotSimulated
    before, after = await _books(session, row, settings)
    note(
        session,
        caller,
        "simulation.persons",
        ("simulation", row.id),
        now=now,
        programme=programme,
        change=change.value,
    )
    return await simulations.persons(
        session,
        side_of(before, row.before_on),
        side_of(after, row.after_on),
        on=row.on,
        today=day_of(now, settings.zone),
        programme=programme,
        change=change,
        behind=behind,
        limit=limit,
    )
