"""Assess everybody: one statement decides and compares inside the database, and only who is concerned is judged.

A run looks first whose facts have turned, then compares what the rules say today with what they said, for
everybody at once, and writes down whom that concerns: those for whom something is another, those whose day has
come, and those whom an older state of the rules judged. These are judged one by one by the interpreter, which
knows reasons and days, and written by the thousand, one transaction each, on PostgreSQL by several processes side by
side. So a run shows how far it is, can be stopped and taken up again, and loses nothing when a machine stops in its
middle.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import (
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import FromClause, Select
from sqlmodel import col

from core.access.rules import Caller
from core.audit.service import note
from core.bulk import among, table_of
from core.clock import day_of
from core.errors import Conflict, NotFound
from core.jobs.service import enqueue
from core.settings import Settings
from entitlements.decisions.models import Assessed, Run, RunPerson, RunState, Verdict
from entitlements.decisions.service import assess
from entitlements.facts import service as facts
from entitlements.facts.models import CURRENT
from entitlements.grants.models import Entitlement, Standing
from entitlements.registers.service import vouching
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.compiled import OUTCOME, CompiledBook, compile_book, due_on
from entitlements.rulebook.programmes import Outcome, Rulebook, RuleVersion

STEP, ASKED = "decisions.run", "decisions.asked"
WAIT = timedelta(minutes=1)
"""After this time it is looked again whether a run has finished for which another one waits."""
AT_ONCE = 1_000
"""Persons who are judged in one transaction."""
LANES = 4
"""How many may judge side by side, where the database lets several write."""
TURNED = 1_000
"""Persons whose rows are derived anew in one transaction."""
STEPS = 5
"""How many steps of a run the night takes in its own transaction, before it leaves the rest to jobs."""
FEW = 20
"""So many ends never need a person to look at them, whatever their share."""

MORE_THAN_MEANT = 0.1
"""By this part more may end than was acknowledged for a new rule: facts go on while a release waits for its day."""

Meant = Callable[[AsyncSession, date, date | None], Awaitable[Mapping[str, int]]]
"""By programme, how many endings somebody has acknowledged for the rules of a day that came into force since another."""


async def nothing_meant(_session: AsyncSession, _on: date, _since: date | None) -> Mapping[str, int]:
    """Where nobody has acknowledged any endings."""
    return {}


log = structlog.get_logger("everybody")


class RunUnderWay(Conflict):
    """There is one at a time."""

    slug, title = "run-under-way", "Another assessment of everybody has not finished yet"


class RunNotOpen(Conflict):
    """It has come to its end, or to another state than this needs."""

    slug, title = "run-not-open", "This assessment of everybody is not in a state that allows this"


# ---- what the rules say of everybody ----


def versions_of(book: Rulebook, on: date) -> tuple[RuleVersion, ...]:
    """The rules in force on a day, those that others depend on first."""
    found = (rules.on(on) for rules in book.programmes.values())
    return tuple(version for version in found if version is not None)


_statements: dict[tuple[Any, ...], CompiledBook] = {}


def statement_for(versions: Sequence[RuleVersion], on: date, prefix: str = "r") -> CompiledBook:
    """The statement that decides for everybody; made once for the rules that it says."""
    due = tuple((v.programme, n, day) for v in versions for n, (_, day) in enumerate(due_on(v, on)))
    key = (prefix, due, *(version.rule_hash for version in versions))
    if key not in _statements:
        if len(_statements) > 16:
            _statements.clear()
        _statements[key] = compile_book(versions, prefix=prefix, on=on)
    return _statements[key]


async def decided(session: AsyncSession, on: date) -> tuple[CompiledBook, dict[str, Any]]:
    """What the rules in force say of everybody on a day: the statement, and what it must be given."""
    book = await rulebook.in_force(session)
    said, alone, _ = facts.silences(await vouching(session), on)
    listed = {name: silence.since for name, silence in said.items()}
    compiled = statement_for(versions_of(book, on), on)
    return compiled, compiled.bind(book.parameters_on(on), on, alone=alone, listed=listed)


async def prepare(session: AsyncSession) -> None:
    """Lets PostgreSQL keep what it works out in memory, and not compile what runs for a second."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(text("SET LOCAL work_mem = '256MB'"))
        await session.execute(text("SET LOCAL jit = off"))


# ---- a run ----


async def begin(session: AsyncSession, *, cause: str, now: datetime, settings: Settings) -> Run:
    """Begins to assess everybody; RunUnderWay while another run has not finished."""
    if await open_run(session) is not None:
        raise RunUnderWay
    run = Run(cause=cause, on_day=day_of(now, settings.zone), started_at=now, moved_at=now)
    session.add(run)
    await session.flush()
    await _owe(session, run, now, [0])
    return run


async def ask_for(session: AsyncSession, *, cause: str, now: datetime, settings: Settings) -> None:
    """Begins to assess everybody; while another run has not finished, as soon as it has."""
    if not versions_of(await rulebook.in_force(session), day_of(now, settings.zone)):
        return  # whoever loads the first rules lets everybody be judged by them
    if await open_run(session) is None:
        await begin(session, cause=cause, now=now, settings=settings)
    else:
        await enqueue(session, ASKED, {"cause": cause}, run_at=now + WAIT, once=f"{ASKED}:{cause}")


async def begin_asked(
    session: AsyncSession, payload: dict[str, Any], now: datetime, *, settings: Settings
) -> None:
    """The job that begins a run which had to wait for another one."""
    await ask_for(session, cause=str(payload["cause"]), now=now, settings=settings)


async def look_again(session: AsyncSession, person_ids: Iterable[UUID], today: date) -> None:
    """Lets the next run judge these persons and everybody around them, whatever it finds of them."""
    if (await session.execute(select(col(Verdict.person_id)).limit(1))).first() is None:
        return  # of nobody was anything said yet
    near = sorted(await facts.closure(session, person_ids))
    await session.execute(
        update(Verdict)
        .where(among(col(Verdict.person_id), near))
        .values(look_on=today)
        .execution_options(synchronize_session=False)
    )


async def open_run(session: AsyncSession) -> Run | None:
    """The run that has not finished, if there is one; locked."""
    rows = await session.execute(
        select(Run)
        .where(col(Run.state) != RunState.FINISHED)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    found: Run | None = rows.scalar_one_or_none()
    return found


async def turn(
    session: AsyncSession,
    _payload: dict[str, Any],
    now: datetime,
    *,
    settings: Settings,
    meant: Meant = nothing_meant,
) -> None:
    """The nightly job: looks at everybody, and judges whose decision can be another today, or whose end must be
    announced. What is little is done at once, what is much in steps of its own.

    While a run waits for a person, or goes on by day, only those are judged whose day has come.
    """
    if not versions_of(await rulebook.in_force(session), day_of(now, settings.zone)):
        return  # a city whose rules are still to be loaded
    run = await open_run(session)
    if run is not None:
        await _only_due(session, now=now, settings=settings)
        return
    run = await begin(session, cause="night", now=now, settings=settings)
    for _ in range(STEPS):
        if not await advance(session, run.id, now=now, settings=settings, meant=meant):
            return


async def _only_due(session: AsyncSession, *, now: datetime, settings: Settings) -> None:
    today = day_of(now, settings.zone)
    turned = await facts.turning(session, today, limit=TURNED)
    if turned:
        await facts.refresh(session, turned, today)
    rows = await session.execute(
        select(col(Verdict.person_id))
        .where(col(Verdict.look_on) <= today)
        .distinct()
        .order_by(col(Verdict.person_id))
        .limit(AT_ONCE)
    )
    due = list(rows.scalars())
    if due or turned:
        await assess(session, {*due, *turned}, now=now, settings=settings, cause="night")
    if len(due) == AT_ONCE or len(turned) == TURNED:
        await enqueue(session, "decisions.turn", run_at=now)


async def step(
    session: AsyncSession,
    payload: dict[str, Any],
    now: datetime,
    *,
    settings: Settings,
    meant: Meant = nothing_meant,
) -> None:
    """The job that takes a run one step further, and owes the next one."""
    if await advance(session, UUID(str(payload["run_id"])), now=now, settings=settings, meant=meant):
        run = await get(session, UUID(str(payload["run_id"])))
        await _owe(session, run, now, [int(payload.get("lane", 0))])


async def advance(
    session: AsyncSession,
    run_id: UUID,
    *,
    now: datetime,
    settings: Settings,
    meant: Meant = nothing_meant,
) -> bool:
    """Takes a run one step further in the caller's transaction; False when nothing is left to do here for now.

    After a crash the next step begins where the last committed one ended. Several may judge side by side: each takes
    persons of its own, and who finds nobody left that nobody else has taken says False.
    """
    run = await get(session, run_id)
    if run.state is not RunState.RUNNING:
        return False
    if run.persons:
        return await _judge(session, run, now=now, settings=settings)
    return await _look(session, run_id, now=now, settings=settings, meant=meant)


async def _look(
    session: AsyncSession, run_id: UUID, *, now: datetime, settings: Settings, meant: Meant
) -> bool:
    """Looks at everybody, which one does alone."""
    run = await _locked(session, run_id)
    if run.state is not RunState.RUNNING or run.persons:
        return run.state is RunState.RUNNING
    today = day_of(now, settings.zone)
    run.moved_at = now
    if not await _turn_facts(session, run, today):
        await _compare(session, run, today, now=now, settings=settings, meant=meant)
    session.add(run)
    await session.flush()
    if run.state is RunState.RUNNING and run.total > AT_ONCE:
        await _owe(session, run, now)
    return run.state is RunState.RUNNING


async def _turn_facts(session: AsyncSession, run: Run, today: date) -> bool:
    """Derives anew whose facts began or were over by today; they and those around them are judged in any case."""
    turned = await facts.turning(session, today, limit=TURNED)
    if not turned:
        return False
    await facts.refresh(session, turned, today)
    await look_again(session, turned, today)
    return True


async def _compare(
    session: AsyncSession, run: Run, today: date, *, now: datetime, settings: Settings, meant: Meant
) -> None:
    """Decides for everybody, writes down whom it concerns, and holds the run where it would end too much."""
    run.on_day = today
    run.persons = max(1, await _count(session, select(func.count()).select_from(CURRENT)))
    if not versions_of(await rulebook.in_force(session), today):
        return  # without rules nobody is judged
    compiled, given = await decided(session, today)
    await prepare(session)
    await _list(session, run, compiled, given, today)
    listed = select(
        func.count(),
        func.coalesce(func.sum(case((col(RunPerson.rank) == 0, 1), else_=0)), 0),
        func.coalesce(func.sum(col(RunPerson.ends)), 0),
    ).where(col(RunPerson.run_id) == run.id)
    run.total, run.differing, ends = (await session.execute(listed)).one()
    held = await _count(session, select(func.count()).select_from(Entitlement).where(_standing()))
    run.standing, run.ends = held, ends
    if not _many(ends, held, settings):
        return
    acknowledged = await meant(session, today, await _looked_last(session, run))
    if acknowledged:
        by_programme = await _ends_of_each(session, compiled, given)
        beyond = sum(
            max(0, number - int((1 + MORE_THAN_MEANT) * acknowledged.get(name, 0)))
            for name, number in by_programme.items()
        )
        if not _many(beyond, held, settings):
            note(session, None, "assessment-run.as-meant", ("run", run.id), now=now, ends=ends, beyond=beyond)
            return
    run.state = RunState.HELD
    note(session, None, "assessment-run.held", ("run", run.id), now=now, ends=ends, standing=held)
    log.warning("run.held", run=str(run.id), ends=ends, standing=held)


def _many(ends: int, held: int, settings: Settings) -> bool:
    return ends > FEW and ends > settings.hold_share * held


async def _looked_last(session: AsyncSession, run: Run) -> date | None:
    """The day on which everybody was compared last before this run."""
    found: date | None = (
        await session.execute(
            select(func.max(col(Run.on_day))).where(col(Run.id) != run.id, col(Run.persons) > 0)
        )
    ).scalar_one()
    return found


async def _ends_of_each(
    session: AsyncSession, compiled: CompiledBook, given: dict[str, Any]
) -> dict[str, int]:
    """How many of those who hold each programme would be refused it."""
    said = compiled.select.subquery("said")
    columns = [func.sum(_ends(said, name)).label(name) for name in compiled.programmes]
    row = (await session.execute(select(*columns), given)).mappings().one()
    return {name: int(row[name] or 0) for name in compiled.programmes}


def _standing() -> ColumnElement[bool]:
    return col(Entitlement.status).in_([Standing.ACTIVE, Standing.ENDING])


async def _count(session: AsyncSession, counted: Select[int]) -> int:
    found: int = (await session.execute(counted)).scalar_one()
    return found


async def _list(
    session: AsyncSession, run: Run, compiled: CompiledBook, given: dict[str, Any], today: date
) -> None:
    """Writes down whom the run concerns, with what their decisions say; what of others was lost is written anew."""
    said = compiled.select.subquery("said")
    judged = exists(select(col(Verdict.person_id)).where(col(Verdict.person_id) == said.c.key))
    # Whoever has no number was judged by themselves since the last look, or never.
    differs = or_(
        and_(col(Assessed.person_id).is_not(None), col(Assessed.essence) != said.c.essence), ~judged
    )
    due = exists(
        select(col(Verdict.person_id)).where(
            col(Verdict.person_id) == said.c.key, or_(col(Verdict.look_on) <= today, *await stale(session))
        )
    )
    ends = [_ends(said, name) for name in compiled.programmes]
    rank = case((differs, 0), else_=1)
    joined = said.outerjoin(Assessed, col(Assessed.person_id) == said.c.key)
    chosen = (
        select(
            literal(run.id, table_of(RunPerson).c.run_id.type),
            said.c.key,
            rank,
            sum(ends[1:], ends[0]),
            said.c.essence,
        )
        .select_from(joined)
        .where(or_(differs, due))
    )
    columns = ["run_id", "person_id", "rank", "ends", "essence"]
    await session.execute(
        insert(table_of(RunPerson)).from_select(columns, chosen, include_defaults=False), given
    )
    # The rest is as it was judged; who was judged since gets the number back.
    listed = select(col(RunPerson.person_id)).where(col(RunPerson.run_id) == run.id)
    lost = (
        select(said.c.key, said.c.essence)
        .select_from(joined)
        .where(col(Assessed.person_id).is_(None), said.c.key.not_in(listed))
    )
    some = select(table_of(Verdict).c.person_id).outerjoin(
        Assessed, col(Assessed.person_id) == table_of(Verdict).c.person_id
    )
    if (await session.execute(some.where(col(Assessed.person_id).is_(None)).limit(1))).first() is not None:
        statement = insert(table_of(Assessed)).from_select(["person_id", "essence"], lost)
        await session.execute(statement, given)


def _ends(said: FromClause, programme: str) -> ColumnElement[int]:
    """One for each who holds a programme and would be refused it."""
    # Written out: a value that could choose a partial index lets SQLite plan the whole statement anew each time.
    active: ColumnElement[str] = literal_column(f"'{Standing.ACTIVE}'")
    holds = exists(
        select(col(Entitlement.id)).where(
            col(Entitlement.person_id) == said.c.key,
            col(Entitlement.programme) == programme,
            col(Entitlement.status) == active,
        )
    )
    return case((and_(said.c[programme + OUTCOME] == Outcome.REFUSED.value, holds), 1), else_=0)


async def stale(session: AsyncSession) -> list[ColumnElement[bool]]:
    """For a query over verdicts: those of an older state of the rules."""
    return [
        and_(col(Verdict.programme) == programme, col(Verdict.timeline_hash) != timeline)
        for programme, timeline in (await rulebook.timelines(session)).items()
    ]


async def _judge(session: AsyncSession, run: Run, *, now: datetime, settings: Settings) -> bool:
    """Judges the next persons of the list whom nobody else has taken; False when there are none."""
    rows = await session.execute(
        select(col(RunPerson.person_id), col(RunPerson.essence))
        .where(col(RunPerson.run_id) == run.id)
        .order_by(col(RunPerson.rank), col(RunPerson.person_id))
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    some = {person_id: essence for person_id, essence in rows}  # noqa: C416
    if not some:
        await _finish(session, run.id, now)
        return False
    # Everybody whom something concerns is on the list by themselves.
    judged = await assess(session, some, now=now, settings=settings, cause=run.cause, alone=True)
    same_day = day_of(now, settings.zone) == run.on_day
    kept = [{"person_id": one, "essence": said} for one, said in some.items()] if same_day else []
    if kept:
        await session.execute(insert(table_of(Assessed)), kept)
    await session.execute(
        delete(RunPerson)
        .where(col(RunPerson.run_id) == run.id, among(col(RunPerson.person_id), list(some)))
        .execution_options(synchronize_session=False)
    )
    # Counted at the very end: who counts makes all others wait until they have committed.
    await session.execute(
        update(Run)
        .where(col(Run.id) == run.id)
        .values(
            done=col(Run.done) + len(some),
            decisions=col(Run.decisions) + judged.decisions,
            moved_at=now,
        )
        .execution_options(synchronize_session=False)
    )
    return True


async def _finish(session: AsyncSession, run_id: UUID, now: datetime) -> None:
    """Ends a run of which nobody is left, not even with somebody else who is at it."""
    left = await session.execute(
        select(col(RunPerson.person_id)).where(col(RunPerson.run_id) == run_id).limit(1)
    )
    if left.first() is not None:
        return
    run = await _locked(session, run_id)
    if run.state is RunState.RUNNING:
        run.state, run.finished_at, run.moved_at = RunState.FINISHED, now, now
        note(session, None, "assessment-run.finished", ("run", run.id), now=now, persons=run.done)
        session.add(run)
        await session.flush()


async def _owe(session: AsyncSession, run: Run, now: datetime, lanes: Iterable[int] | None = None) -> None:
    """Owes the next step in these lanes, or in all: as many processes can judge side by side."""
    if lanes is None:
        lanes = range(1 if session.get_bind().dialect.name == "sqlite" else LANES)
    for lane in lanes:
        payload = {"run_id": str(run.id), "lane": lane}
        await enqueue(session, STEP, payload, run_at=now, once=f"{STEP}:{run.id}:{lane}")


async def _locked(session: AsyncSession, run_id: UUID) -> Run:
    rows = await session.execute(
        select(Run).where(col(Run.id) == run_id).with_for_update().execution_options(populate_existing=True)
    )
    run: Run | None = rows.scalar_one_or_none()
    if run is None:
        raise NotFound
    return run


# ---- what people do with it ----


async def get(session: AsyncSession, run_id: UUID) -> Run:
    """One run; NotFound where there is none."""
    run = await session.get(Run, run_id, populate_existing=True)
    if run is None:
        raise NotFound
    return run


async def runs(session: AsyncSession, *, limit: int = 50) -> list[Run]:
    """The latest runs first."""
    rows = await session.execute(
        select(Run).order_by(col(Run.started_at).desc(), col(Run.id).desc()).limit(limit)
    )
    return list(rows.scalars())


async def stop(session: AsyncSession, caller: Caller, run_id: UUID, now: datetime) -> Run:
    """Stops a run after the step at hand; nothing of what is done is undone."""
    return await _move(session, caller, run_id, now, RunState.RUNNING, RunState.STOPPED, "stopped")


async def resume(session: AsyncSession, caller: Caller, run_id: UUID, now: datetime) -> Run:
    """Takes a stopped run up again, where it was."""
    return await _move(session, caller, run_id, now, RunState.STOPPED, RunState.RUNNING, "resumed")


async def release(session: AsyncSession, caller: Caller, run_id: UUID, now: datetime) -> Run:
    """Lets a held run go on, although it ends much: a person has looked."""
    run = await _move(session, caller, run_id, now, RunState.HELD, RunState.RUNNING, "released")
    run.released_by = caller.principal_id
    return run


async def _move(  # noqa: PLR0917  (reads as one sentence)
    session: AsyncSession,
    caller: Caller,
    run_id: UUID,
    now: datetime,
    before: RunState,
    after: RunState,
    done: str,
) -> Run:
    run = await _locked(session, run_id)
    if run.state is not before:
        raise RunNotOpen
    run.state, run.moved_at = after, now
    session.add(run)
    note(session, caller, f"assessment-run.{done}", ("run", run.id), now=now, ends=run.ends, done=run.done)
    await session.flush()
    if after is RunState.RUNNING:
        await _owe(session, run, now)
    return run
