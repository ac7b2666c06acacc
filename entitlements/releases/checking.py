"""Bring a draft through the gate: one job for each step, so that it can be watched, and goes on after a crash."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.audit.service import note
from core.clock import day_of
from core.errors import Conflict
from core.jobs.service import enqueue
from core.settings import Mode, Settings
from core.vault import Vault
from entitlements.language.days import ONE_DAY
from entitlements.releases import combinations, gate
from entitlements.releases.drafts import Draft, DraftClosed, release_of, revision, steps_of, understand
from entitlements.releases.gate import Finding, Found
from entitlements.releases.models import Check, CheckStep, Release, State, Status, Step
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.keeping import state_hash
from entitlements.rulebook.rules import RulebookError
from entitlements.simulations import service as simulations
from entitlements.simulations.models import Simulation
from entitlements.simulations.rules import LOSSES, TOTAL, Rounding
from entitlements.simulations.statements import side_of
from entitlements.simulations.together import Side

ENOUGH = 1_000
"""Holders of a combination of tariffs, where nothing else is set: so many cannot be told apart by it."""


class StillChecking(Conflict):
    """The gate is at work on the draft."""

    slug, title = "release-checking", "The checks of this draft are running"


async def check(
    session: AsyncSession, caller: Caller, release_id: UUID, *, now: datetime, settings: Settings
) -> Check:
    """Sends a draft through the gate; it goes on after the answer, step by step."""
    taken = await session.execute(
        update(Release)
        .where(col(Release.id) == release_id, col(Release.status).in_((Status.DRAFT, Status.READY)))
        .values(status=Status.CHECKING)
        .returning(Release)
        .execution_options(populate_existing=True)
    )
    release = taken.scalar_one_or_none()
    if release is None:
        standing = await release_of(session, release_id)
        raise StillChecking if standing.status is Status.CHECKING else DraftClosed
    today = day_of(now, settings.zone)
    try:
        draft = await understand(session, await revision(session, release), settings)
        day, base = draft.first_day(today), draft.base_hash
    except RulebookError:
        day, base = today + ONE_DAY, state_hash(await rulebook.in_force(session))
    row = Check(
        release_id=release.id,
        content_hash=release.content_hash,
        base_hash=base,
        # What the types will refuse is not asked of the day that has passed.
        day=max(day, today),
        asked_by=caller.principal_id,
        asked_at=now,
    )
    session.add(row)
    await session.flush()
    session.add_all(CheckStep(check_id=row.id, step=step, position=n) for n, step in enumerate(Step))
    await session.flush()
    note(session, caller, "release.checked", ("release", release.id), now=now, content=release.content_hash)
    await enqueue(session, "release.check", {"check_id": str(row.id)}, run_at=now)
    return row


async def run_check(
    session: AsyncSession, payload: dict[str, Any], now: datetime, *, settings: Settings, vault: Vault
) -> None:
    """The job: does the next step of a run, and owes the one after it."""
    row = await session.get(Check, UUID(payload["check_id"]))
    if row is None or row.state is not State.WAITING:
        return
    release = await release_of(session, row.release_id)
    today = day_of(now, settings.zone)
    draft: Draft | RulebookError
    try:
        draft = await understand(session, await revision(session, release), settings)
        base = draft.base_hash
    except RulebookError as error:
        draft, base = error, state_hash(await rulebook.in_force(session))
    if (release.content_hash, base) != (row.content_hash, row.base_hash):
        await _finish(session, row, State.OVERTAKEN, now)
        return
    steps = await steps_of(session, row.id)
    step = next(one for one in steps if one.state is State.WAITING)
    if isinstance(draft, RulebookError):
        said = Finding("cannot-be-read", f"line {draft.line}: {draft.message}")
        found = Found((said,))
    else:
        found = await _STEPS[step.step](_Run(session, row, draft, settings, vault, today, now))
    step.findings = [_kept(one) for one in found.findings]
    step.counts, step.finished_at = dict(found.counts), now
    step.state = State.PASSED if found.passed else State.FAILED
    session.add(step)
    if not found.passed:
        for later in steps:
            if later.position > step.position:
                later.state = State.NOT_REACHED
                session.add(later)
        await _finish(session, row, State.FAILED, now)
    elif step.position == len(steps) - 1:
        await _finish(session, row, State.PASSED, now)
    else:
        await enqueue(session, "release.check", {"check_id": str(row.id)}, run_at=now)


async def check_given_up(session: AsyncSession, payload: dict[str, Any], now: datetime, error: str) -> None:
    """The last word on a step that failed at every attempt: the run has failed and says so, and can begin anew.

    Nothing was found about the draft; it is one again, and whoever sends it through the gate begins at the first step.
    """
    row = await session.get(Check, UUID(payload["check_id"]))
    if row is None or row.state is not State.WAITING:
        return
    steps = [one for one in await steps_of(session, row.id) if one.state is State.WAITING]
    for step in steps:
        step.state = State.NOT_REACHED
        session.add(step)
    if steps:
        said = Finding(
            "given-up",
            f"this step broke off at every attempt ({error}), so nothing is known of the draft; run the checks "
            f"again, and if they break off again, let whoever operates the system look at the job",
        )
        steps[0].state, steps[0].finished_at = State.FAILED, now
        steps[0].findings = [_kept(said)]
    await _finish(session, row, State.FAILED, now)


def _kept(found: Finding) -> dict[str, Any]:
    return {
        "code": found.code,
        "message": found.message,
        "programme": found.programme,
        "stops": found.stops,
    }


async def _finish(session: AsyncSession, row: Check, state: State, now: datetime) -> None:
    row.state, row.finished_at = state, now
    session.add(row)
    await session.flush()
    await session.execute(
        update(Release)
        .where(
            col(Release.id) == row.release_id,
            col(Release.status) == Status.CHECKING,
            col(Release.content_hash) == row.content_hash,
        )
        .values(status=Status.READY if state is State.PASSED else Status.DRAFT)
        .execution_options(synchronize_session=False)
    )
    note(session, None, "release.gate", ("release", row.release_id), now=now, state=state.value)


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of a draft through the gate, for each of its steps."""

    session: AsyncSession
    row: Check
    draft: Draft
    settings: Settings
    vault: Vault
    today: date
    now: datetime

    @property
    def rounding(self) -> Rounding:
        """How persons are counted out to whoever wrote the rules."""
        return simulations.rounding(self.vault, self.settings.simulation_threshold)

    @property
    def side(self) -> Side:
        """The rules by which people would be judged on the first day."""
        concerned = self.draft.changes.concerned(self.draft.book)
        return gate.concerned_side(self.draft.book, concerned, self.row.day)

    async def sampled(self) -> list[UUID]:
        """The persons on whom it is tried: the same ones in each step."""
        size = self.settings.release_sample
        return await gate.sample(self.session, self.row.content_hash, size, self.today)


async def _types(run: _Run) -> Found:
    return gate.sound(run.draft.standing, run.draft.book, run.draft.changes, run.today)


async def _cases(run: _Run) -> Found:
    changes, book = run.draft.changes, run.draft.book
    # Whoever changes only cases concerns nobody's decision, and yet has to leave cases that hold.
    written = {case.programme for case in changes.cases} | {programme for programme, _ in changes.dropped}
    concerned = {*changes.concerned(book), *written}
    found = gate.worked(book, tuple(name for name in book.order() if name in concerned))
    # Whether enough is tried is asked of cases that hold.
    untried = gate.untried(book, changes).findings if found.passed else ()
    return replace(found, findings=(*found.findings, *untried))


async def _invariants(run: _Run) -> Found:
    found = await gate.invariants(
        run.session,
        run.side,
        run.draft.book,
        on=run.row.day,
        today=run.today,
        sampled=await run.sampled(),
        how=run.rounding,
    )
    return replace(found, findings=(*found.findings, *await _rare(run)))


async def _rare(run: _Run) -> list[Finding]:
    least = run.settings.tariff_holders
    if least is None:
        least = ENOUGH if run.settings.mode is Mode.PRODUCTION else 0
    if not least:
        return []
    before, after = (side_of(book, run.row.day) for book in (run.draft.standing, run.draft.book))
    tariffs = [
        {version.programme: version.tariffs for version in side.versions if version.tariffs}
        for side in (before, after)
    ]
    concerned = run.draft.changes.concerned(run.draft.book)
    if not any(name in found for name in concerned for found in tariffs):
        return []
    counted = [
        await combinations.shown(run.session, side, on=run.row.day, today=run.today)
        for side in (before, after)
    ]
    return list(combinations.rare(counted[0], counted[1], least))


async def _differential(run: _Run) -> Found:
    return await gate.differential(
        run.session, run.side, on=run.row.day, today=run.today, sampled=await run.sampled()
    )


async def _simulation(run: _Run) -> Found:
    row, draft = run.row, run.draft
    wanted = Simulation(
        asked_by=row.asked_by,
        asked_at=run.now,
        release_id=row.release_id,
        content_hash=row.content_hash,
        base_hash=row.base_hash,
        before_on=row.day,
        after_on=row.day,
        on=row.day,
        threshold=run.settings.simulation_threshold,
    )
    simulation = await simulations.ask(run.session, wanted)
    compared = await simulations.step(
        run.session,
        simulation,
        draft.standing,
        draft.book,
        today=run.today,
        now=run.now,
        settings=run.settings,
        vault=run.vault,
    )
    assert compared is not None
    found = gate.ends_many(compared, run.rounding, run.settings)
    row.simulation_id, row.ends_many = simulation.id, bool(found.findings)
    row.endings = {
        finding.programme: {
            "decided_by": compared.programmes[finding.programme].asked[1],
            "persons": compared.programmes[finding.programme].counts[TOTAL, "", LOSSES],
        }
        for finding in found.findings
    }
    run.session.add(row)
    if simulation.result["withheld"]:
        return replace(found, findings=(*found.findings, gate.WITHHELD))
    return found


_STEPS = {
    Step.TYPES: _types,
    Step.CASES: _cases,
    Step.INVARIANTS: _invariants,
    Step.DIFFERENTIAL: _differential,
    Step.SIMULATION: _simulation,
}
