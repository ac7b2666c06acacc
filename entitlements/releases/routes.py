"""The doors behind which rules change: drafts, checks, a second person, simulations."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Router, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from core.languages import Language
from core.settings import Settings
from entitlements.releases import checking, drafts, service, simulating
from entitlements.releases.models import Check, Status
from entitlements.releases.schemas import (
    Approval,
    ChangedRelease,
    ChangeView,
    CheckView,
    ConcernedView,
    DifferenceView,
    NewRelease,
    NewSimulation,
    Refusal,
    ReleaseDetails,
    ReleasePage,
    ReleaseView,
    RevisionView,
    SimulationView,
    WayBack,
)
from entitlements.simulations import service as simulations
from entitlements.simulations.rules import Change

READERS = allow(Role.RULE_AUTHOR, Role.RULE_APPROVER, Role.AUDITOR)
AUTHORS = allow(Role.RULE_AUTHOR)
APPROVERS = allow(Role.RULE_APPROVER)


async def _check_view(session: AsyncSession, row: Check | None) -> CheckView | None:
    return None if row is None else CheckView.of(row, list(await drafts.steps_of(session, row.id)))


async def _details(session: AsyncSession, release_id: UUID) -> ReleaseDetails:
    release = await drafts.release_of(session, release_id)
    check = await _check_view(session, await drafts.latest_check(session, release_id))
    return ReleaseDetails.tell(release, await drafts.revision(session, release), check)


@get("/", operation_id="listReleases", guards=[READERS], responses=problems(400, 401, 403))
async def list_releases(
    session: NamedDependency[AsyncSession],
    status: FromQuery[Status | None] = None,
    before: FromQuery[UUID | None] = None,
    limit: Annotated[int, QueryParameter(description="At most so many", ge=1, le=200)] = 50,
) -> ReleasePage:
    """Drafts and releases, the newest first; what was rejected or withdrawn stays readable."""
    found = await drafts.releases(session, status=status, before=before, limit=limit)
    return ReleasePage(
        releases=tuple(ReleaseView.model_validate(row) for row in found),
        next=found[-1].id if len(found) == limit else None,
    )


@post("/", operation_id="draftRelease", guards=[AUTHORS], responses=problems(400, 401, 403, 422))
async def draft_release(
    data: JSONBody[NewRelease],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> ReleaseDetails:
    """Begin a draft; it may be unfinished, and the checks say what is wrong with it."""
    release = await drafts.write(
        session, caller, title=data.title, form=data.form, source=data.source, now=now
    )
    return await _details(session, release.id)


@get(
    "/{release_id:uuid}", operation_id="getRelease", guards=[READERS], responses=problems(400, 401, 403, 404)
)
async def get_release(release_id: FromPath[UUID], session: NamedDependency[AsyncSession]) -> ReleaseDetails:
    """A release with what it says and what the checks found last: also how far running ones have come."""
    return await _details(session, release_id)


@put(
    "/{release_id:uuid}",
    operation_id="changeRelease",
    guards=[AUTHORS],
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def change_release(
    release_id: FromPath[UUID],
    data: JSONBody[ChangedRelease],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> ReleaseDetails:
    """Save a draft again; what the checks said of its former content does not count any more.

    Of others' drafts, only somebody who also approves rules may save one, and becomes one of its authors.
    """
    await drafts.rewrite(
        session,
        caller,
        release_id,
        read=data.version,
        title=data.title,
        form=data.form,
        source=data.source,
        now=now,
    )
    return await _details(session, release_id)


@get(
    "/{release_id:uuid}/revisions",
    operation_id="listRevisions",
    guards=[READERS],
    responses=problems(400, 401, 403, 404),
)
async def list_revisions(
    release_id: FromPath[UUID], session: NamedDependency[AsyncSession]
) -> list[RevisionView]:
    """A draft as it was ever saved, and by whom."""
    return [RevisionView.model_validate(row) for row in await drafts.revisions(session, release_id)]


@get(
    "/{release_id:uuid}/diff",
    operation_id="compareRelease",
    guards=[READERS],
    responses=problems(400, 401, 403, 404, 422),
)
async def compare_release(
    *,
    release_id: FromPath[UUID],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    language: NamedDependency[Language],
) -> DifferenceView:
    """What a draft changes, part by part, in words; 422 with the line where the draft cannot be understood."""
    found = await drafts.difference(session, release_id, settings)
    return DifferenceView(
        content_hash=found.content_hash,
        changes=tuple(ChangeView.of(change, language) for change in found.changes),
    )


@post(
    "/{release_id:uuid}/checks",
    operation_id="checkRelease",
    guards=[AUTHORS],
    status_code=202,
    responses=problems(400, 401, 403, 404, 409),
)
async def check_release(
    release_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> ReleaseDetails:
    """Send a draft through the gate: types, worked cases, invariants, both back ends, simulation.

    It goes on after the answer; the release shows how far it has come.
    """
    await checking.check(session, caller, release_id, now=now, settings=settings)
    return await _details(session, release_id)


@post(
    "/{release_id:uuid}/approval",
    operation_id="approveRelease",
    guards=[APPROVERS],
    status_code=200,
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def approve_release(
    *,
    release_id: FromPath[UUID],
    data: JSONBody[Approval],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> ReleaseDetails:
    """Release exactly this content: its rules and amounts come into force by their days, tomorrow at the earliest.

    Whoever wrote any revision of it is refused.
    """
    await service.approve(
        session,
        caller,
        release_id,
        content_hash=data.content_hash,
        acknowledge_endings=data.acknowledge_endings,
        now=now,
        settings=settings,
    )
    return await _details(session, release_id)


@post(
    "/{release_id:uuid}/rejection",
    operation_id="rejectRelease",
    guards=[APPROVERS],
    status_code=200,
    responses=problems(400, 401, 403, 404, 409),
)
async def reject_release(
    release_id: FromPath[UUID],
    data: JSONBody[Refusal],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> ReleaseDetails:
    """Say no to a draft, and why; it stays readable."""
    await service.reject(session, caller, release_id, remark=data.remark, now=now)
    return await _details(session, release_id)


@post(
    "/{release_id:uuid}/withdrawal",
    operation_id="withdrawRelease",
    guards=[AUTHORS],
    status_code=200,
    responses=problems(400, 401, 403, 404, 409),
)
async def withdraw_release(
    release_id: FromPath[UUID],
    data: JSONBody[Refusal],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> ReleaseDetails:
    """Take back a draft of yours, or one of others if you also approve rules; it stays readable."""
    await service.withdraw(session, caller, release_id, remark=data.remark, now=now)
    return await _details(session, release_id)


@post(
    "/{release_id:uuid}/rollback",
    operation_id="rollBackRelease",
    guards=[AUTHORS],
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def roll_back_release(
    *,
    release_id: FromPath[UUID],
    data: JSONBody[WayBack],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> ReleaseDetails:
    """Begin a draft that brings back what held before a release, from a day on; it goes the way of all drafts."""
    release = await service.roll_back(
        session, caller, release_id, day=data.day, title=data.title, now=now, settings=settings
    )
    return await _details(session, release.id)


@get(
    "/{release_id:uuid}/simulation",
    operation_id="simulationOfRelease",
    guards=[READERS],
    responses=problems(400, 401, 403, 404),
)
async def simulation_of_release(
    release_id: FromPath[UUID], session: NamedDependency[AsyncSession]
) -> SimulationView:
    """The newest simulation of what the release says now: who gains, who loses, what it costs."""
    release = await drafts.release_of(session, release_id)
    return SimulationView.of(await simulations.latest_of(session, release.id, release.content_hash))


@post(
    "/",
    operation_id="simulateRules",
    guards=[allow(Role.RULE_AUTHOR, Role.RULE_APPROVER)],
    status_code=202,
    responses=problems(400, 401, 403, 404, 422),
)
async def simulate_rules(
    *,
    data: JSONBody[NewSimulation],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> SimulationView:
    """Simulate a draft, or compare two days of what is released, over everybody; it goes on after the answer."""
    row = await simulating.simulate(
        session,
        caller,
        release_id=data.release_id,
        before_on=data.before_on,
        after_on=data.after_on,
        on=data.on,
        months=data.months,
        now=now,
        settings=settings,
    )
    return SimulationView.of(row)


@get(
    "/{simulation_id:uuid}",
    operation_id="getSimulation",
    guards=[allow(Role.RULE_AUTHOR, Role.RULE_APPROVER, Role.AUDITOR, Role.CASE_WORKER)],
    responses=problems(400, 401, 403, 404),
)
async def get_simulation(
    simulation_id: FromPath[UUID], session: NamedDependency[AsyncSession]
) -> SimulationView:
    """A simulation and how far it has come; counts that are too small are left out."""
    return SimulationView.of(await simulations.simulation(session, simulation_id))


@get(
    "/{simulation_id:uuid}/persons",
    operation_id="listConcerned",
    guards=[allow(Role.CASE_WORKER)],
    opt={"writes": True},
    responses=problems(400, 401, 403, 404, 409),
)
async def list_concerned(
    *,
    simulation_id: FromPath[UUID],
    programme: FromQuery[str],
    change: FromQuery[Change],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
    after: FromQuery[UUID | None] = None,
    limit: Annotated[int, QueryParameter(description="At most so many", ge=1, le=1000)] = 100,
) -> ConcernedView:
    """Whom a simulation concerns, by id: for case workers only, and every look is written down."""
    found = await simulating.concerned(
        session,
        caller,
        simulation_id,
        programme=programme,
        change=change,
        behind=after,
        limit=limit,
        now=now,
        settings=settings,
    )
    return ConcernedView(persons=tuple(found), next=found[-1] if len(found) == limit else None)


ROUTERS = [
    Router(
        "/v1/releases",
        route_handlers=[
            list_releases,
            draft_release,
            get_release,
            change_release,
            list_revisions,
            compare_release,
            check_release,
            approve_release,
            reject_release,
            withdraw_release,
            roll_back_release,
            simulation_of_release,
        ],
        tags=["releases"],
    ),
    Router(
        "/v1/simulations",
        route_handlers=[simulate_rules, get_simulation, list_concerned],
        tags=["simulations"],
    ),
]
