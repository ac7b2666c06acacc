"""The doors to assessments of everybody: see how far one is, begin, stop, take up again, and let go on what is held."""

from datetime import date, datetime
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.audit.service import note
from core.errors import problems
from core.schema import Schema
from core.settings import Settings
from entitlements.decisions import everybody
from entitlements.decisions.models import RunState

LOOK = allow(Role.CASE_WORKER, Role.OPERATOR, Role.AUDITOR)
RUN = allow(Role.CASE_WORKER, Role.OPERATOR)


class RunView(Schema):
    """An assessment of everybody, and how far it has come."""

    id: UUID
    cause: str = Field(description="Why: `night`, `rules`, or `asked`", examples=["night"])
    on_day: date = Field(description="The day on which everybody was compared")
    state: RunState = Field(description="`held`: it would end much, and waits for a person to release it")
    persons: int = Field(description="Of how many persons it was looked whether something is another")
    differing: int = Field(description="For how many of them it is")
    total: int = Field(description="How many are judged: these, and those whose day has come")
    done: int = Field(description="How many of them have been judged")
    ends: int = Field(description="How many entitlements it would end")
    standing: int = Field(description="Of how many that are held")
    decisions: int = Field(description="Decisions appended so far")
    started_at: datetime
    moved_at: datetime = Field(description="When it last took a step")
    finished_at: datetime | None
    released_by: UUID | None = Field(description="Who let it go on although it ends much")


@get("/", operation_id="listAssessmentRuns", guards=[LOOK], responses=problems(401, 403))
async def list_runs(session: NamedDependency[AsyncSession]) -> list[RunView]:
    """See the latest assessments of everybody, with how far each has come."""
    return [RunView.model_validate(run) for run in await everybody.runs(session)]


@get("/{run_id:uuid}", operation_id="getAssessmentRun", guards=[LOOK], responses=problems(400, 401, 403, 404))
async def get_run(run_id: FromPath[UUID], session: NamedDependency[AsyncSession]) -> RunView:
    """See how far one assessment of everybody has come."""
    return RunView.model_validate(await everybody.get(session, run_id))


@post("/", operation_id="beginAssessmentRun", guards=[RUN], responses=problems(401, 403, 409))
async def begin_run(
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> RunView:
    """Assess everybody anew; it goes on in the background, one at a time."""
    run = await everybody.begin(session, cause="asked", now=now, settings=settings)
    note(session, caller, "assessment-run.begun", ("run", run.id), now=now)
    return RunView.model_validate(run)


@post(
    "/{run_id:uuid}/stop",
    operation_id="stopAssessmentRun",
    status_code=200,
    guards=[RUN],
    responses=problems(400, 401, 403, 404, 409),
)
async def stop_run(
    run_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> RunView:
    """Stop it after the step at hand; what is done stays done."""
    return RunView.model_validate(await everybody.stop(session, caller, run_id, now))


@post(
    "/{run_id:uuid}/resumption",
    operation_id="resumeAssessmentRun",
    status_code=200,
    guards=[RUN],
    responses=problems(400, 401, 403, 404, 409),
)
async def resume_run(
    run_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> RunView:
    """Take a stopped one up again where it was."""
    return RunView.model_validate(await everybody.resume(session, caller, run_id, now))


@post(
    "/{run_id:uuid}/release",
    operation_id="releaseAssessmentRun",
    status_code=200,
    guards=[RUN],
    responses=problems(400, 401, 403, 404, 409),
)
async def release_run(
    run_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> RunView:
    """Let a held one go on: you have looked at how much it ends."""
    return RunView.model_validate(await everybody.release(session, caller, run_id, now))


router = Router(
    "/v1/assessment-runs",
    route_handlers=[list_runs, get_run, begin_run, stop_run, resume_run, release_run],
    tags=["entitlements"],
)
