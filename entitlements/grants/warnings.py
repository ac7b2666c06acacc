"""Warn people 90, 30 and 7 days before what they hold can end; and somebody who turns 18 that they do.

Once for each stage and last day; after a night that was missed, only the nearest stage. What goes on by itself is not
warned of; a warning whose end has moved is taken back. Once an end is announced, only its own day is spoken of.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import and_, case, exists, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.clock import day_of
from core.database import new_id
from core.jobs.service import enqueue
from core.settings import Settings
from entitlements.facts import service as facts
from entitlements.facts.catalogue import department_to_ask
from entitlements.facts.models import CURRENT
from entitlements.grants.models import EndWarning, Entitlement, Standing
from entitlements.language import Subject, Tree, Value, evaluate, minimal_reasons
from entitlements.language import tree as t
from entitlements.language.days import next_day, reaches, years_before
from entitlements.notices import service as notices
from entitlements.notices.models import Notice
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.programmes import Outcome, Rulebook, RuleVersion
from entitlements.rulebook.rules import decide

STAGES = (7, 30, 90)
"""Days ahead, the nearest first."""
AT_ONCE = 500
OF_AGE, AHEAD = 18, 30
_ONE_DAY = timedelta(days=1)

log = structlog.get_logger("warnings")


async def turn(session: AsyncSession, payload: dict[str, Any], now: datetime, *, settings: Settings) -> None:
    """The nightly job: takes back what no longer holds, then warns whoever is due, some at a time."""
    today, after = day_of(now, settings.zone), payload.get("after")
    if after is None:
        await _take_back(session, today, now)
        await _tell_who_comes_of_age(session, today, now)
    due = await _due(session, today, UUID(str(after)) if after else None)
    await _warn(session, due, today, now)
    if len(due) == AT_ONCE:
        await enqueue(session, "warnings.turn", {"after": str(due[-1].id)}, run_at=now)


def stage_of(last: date, today: date) -> int | None:
    """The nearest stage that a last day has reached; None: it is still far, or over."""
    left = (last - today).days
    return next((stage for stage in STAGES if 0 <= left <= stage), None)


def was_told(entitlement: Entitlement, stage: int) -> bool:
    """Whether the message of the grant already named this end, and the stage was past when it was given."""
    return entitlement.until is not None and entitlement.until - timedelta(days=stage) <= entitlement.since


# ---- who is due ----


async def _due(session: AsyncSession, today: date, after: UUID | None) -> list[Entitlement]:
    """What ends within a stage of which nobody has been told; by id, from one on."""
    ending = col(Entitlement.status) == Standing.ENDING
    last = case((ending, col(Entitlement.ends_on)), else_=col(Entitlement.until))
    nearest = case(
        *((last <= today + timedelta(days=stage), stage) for stage in STAGES), else_=STAGES[-1] + 1
    )
    told = exists(
        select(col(EndWarning.id)).where(
            col(EndWarning.entitlement_id) == col(Entitlement.id),
            col(EndWarning.until) == last,
            col(EndWarning.stage) <= nearest,
        )
    )
    wanted = select(Entitlement).where(
        or_(
            and_(
                col(Entitlement.status) == Standing.ACTIVE,
                col(Entitlement.until).between(today, today + timedelta(days=STAGES[-1])),
                col(Entitlement.renewable).is_(False),
            ),
            and_(ending, col(Entitlement.ends_on).between(today, today + timedelta(days=STAGES[0]))),
        ),
        ~told,
    )
    if after is not None:
        wanted = wanted.where(col(Entitlement.id) > after)
    ordered = wanted.order_by(col(Entitlement.id)).limit(AT_ONCE)
    return list((await session.execute(ordered)).scalars())


async def _warn(session: AsyncSession, due: Sequence[Entitlement], today: date, now: datetime) -> None:
    """Tells each of them what ends, why, and whom to ask; or keeps that it goes on by itself."""
    active = [one for one in due if one.status is Standing.ACTIVE]
    going = await _foreseen(session, [one for one in active if not was_told(one, _stage(one, today))])
    told: list[notices.Written] = []
    rows: list[dict[str, Any]] = []
    for one in due:
        announced = one.status is Standing.ENDING
        last, stage = one.ends_on if announced else one.until, _stage(one, today)
        assert last is not None
        message = None
        if announced:
            said: dict[str, str | int | date] = {"programme": one.programme, "ends_on": last}
            message = notices.write(one.person_id, "entitlement.ends-soon", said, now=now)
        elif one.id in going:
            end = going[one.id]
            if end is not None:
                said = {"programme": one.programme, "until": last, **end.said}
                message = notices.write(one.person_id, end.code, said, now=now)
        if message is not None:
            told.append(message)
        rows.append(
            {
                "id": new_id(),
                "person_id": one.person_id,
                "entitlement_id": one.id,
                "until": last,
                "stage": stage,
                "announced": announced,
                "notice_id": message.id if message else None,
                "warned_at": now,
                "closed_at": None,
            }
        )
    await notices.owe_all(session, told, now=now)
    if rows:
        await session.execute(insert(EndWarning), rows)
    log.info("warnings.given", looked_at=len(rows), told=len(told))


def _stage(entitlement: Entitlement, today: date) -> int:
    last = entitlement.ends_on if entitlement.status is Standing.ENDING else entitlement.until
    stage = stage_of(last, today) if last is not None else None
    assert stage is not None
    return stage


# ---- why it ends ----


@dataclass(frozen=True, slots=True)
class _End:
    """Why something ends on a day, as its message says it."""

    code: str
    said: Mapping[str, str]


async def _foreseen(session: AsyncSession, some: Sequence[Entitlement]) -> dict[UUID, _End | None]:
    """Why each of these ends after its last day; None where the day after grants it again."""
    book, found = await rulebook.in_force(session), dict[UUID, _End | None]()
    by_day: dict[date, list[Entitlement]] = defaultdict(list)
    for one in some:
        assert one.until is not None
        by_day[one.until].append(one)
    for last, ending in sorted(by_day.items()):
        after = await facts.subjects(session, {one.person_id for one in ending}, next_day(last))
        over = [one for one in ending if not _goes_on_by_itself(book, one, after.get(one.person_id))]
        before = await facts.subjects(session, {one.person_id for one in over}, last)
        found |= {one.id: None for one in ending}
        found |= {one.id: _why(book, one, before.get(one.person_id), last) for one in over}
    return found


def _goes_on_by_itself(book: Rulebook, entitlement: Entitlement, subject: Subject | None) -> bool:
    """Whether the day after its last day grants it anew, as the facts stand, and without another request."""
    assert entitlement.until is not None
    day = next_day(entitlement.until)
    version = book.programmes[entitlement.programme].on(day)
    if version is None or subject is None:
        return False
    parameters = book.parameters_on(day)
    others = _others(book, version, subject, parameters, day)
    ruling = decide(version, subject, parameters, day, others=others)
    asked = not ruling.on_request or ruling.ground == entitlement.ground
    return ruling.outcome is Outcome.GRANTED and asked


def _why(book: Rulebook, entitlement: Entitlement, subject: Subject | None, last: date) -> _End:
    """Which of what it rests on is another on the day after."""
    otherwise = _End("entitlement.can-end-otherwise", {})
    version = book.programmes[entitlement.programme].on(last)
    ground = next((g for g in version.grounds if g.name == entitlement.ground), None) if version else None
    if version is None or ground is None or subject is None:
        return otherwise
    parameters, by_age = book.parameters_on(last), False
    for part in minimal_reasons(version.resting_on(ground), subject, parameters, last):
        if evaluate(Tree(part.node), subject, parameters, next_day(last)) == part.result:
            continue
        by_age = by_age or isinstance(part.node, t.Under)
        for name in _facts_in(part.node):
            stated = subject.facts.get(name)
            register = stated.register if stated is not None else department_to_ask(name)
            return _End("entitlement.can-end", {"fact": name, "register": register})
    return _End("entitlement.can-end-by-age", {}) if by_age else otherwise


def _facts_in(node: t.Node) -> Iterable[str]:
    inside = Tree(node.term) if isinstance(node, t.AnyMember | t.CountMembers | t.RankAmong) else Tree(node)
    return sorted(part.name for part in t.walk(inside.root) if isinstance(part, t.Fact))


def _others(
    book: Rulebook, version: RuleVersion, subject: Subject, parameters: Mapping[str, Value], day: date
) -> dict[str, Outcome]:
    """What the programmes that come before this one say on that day."""
    found: dict[str, Outcome] = {}
    for needed in version.depends_on:
        before = book.programmes[needed.programme].on(day)
        if before is not None:
            others = _others(book, before, subject, parameters, day)
            found[needed.programme] = decide(before, subject, parameters, day, others=others).outcome
    return found


# ---- what no longer holds ----


async def _take_back(session: AsyncSession, today: date, now: datetime) -> None:
    """Closes warnings whose end has come, was announced, or moved; who can rest easy again is told so."""
    moved = or_(
        col(Entitlement.until).is_(None),
        col(Entitlement.until) != col(EndWarning.until),
        col(Entitlement.renewable).is_(True),
    )
    active = col(Entitlement.status) == Standing.ACTIVE
    over = case(
        (col(EndWarning.announced).is_(True), or_(active, col(Entitlement.ends_on) != col(EndWarning.until))),
        else_=or_(~active, moved),
    )
    rows = await session.execute(
        select(col(EndWarning.id), col(EndWarning.announced), Entitlement)
        .join(Entitlement, col(Entitlement.id) == col(EndWarning.entitlement_id))
        .where(col(EndWarning.closed_at).is_(None), col(EndWarning.notice_id).is_not(None), over)
        .order_by(col(EndWarning.id))
    )
    closed: list[UUID] = []
    relieved: dict[UUID, Entitlement] = {}
    for warning_id, announced, entitlement in rows:
        closed.append(warning_id)
        if not announced and _goes_on(entitlement, today):
            relieved[entitlement.id] = entitlement
    for few in _chunks(closed):
        await session.execute(update(EndWarning).where(col(EndWarning.id).in_(few)).values(closed_at=now))
    told = [
        notices.write(one.person_id, "entitlement.end-moved", {"programme": one.programme}, now=now)
        for one in relieved.values()
    ]
    await notices.owe_all(session, told, now=now)


def _goes_on(entitlement: Entitlement, today: date) -> bool:
    """Whether the new end is so far that no other warning speaks of it."""
    if entitlement.status is not Standing.ACTIVE:
        return False
    return (
        entitlement.until is None
        or entitlement.renewable
        or entitlement.until > today + timedelta(days=STAGES[-1])
    )


def _chunks(ids: Sequence[UUID]) -> Iterable[Sequence[UUID]]:
    return (ids[at : at + AT_ONCE] for at in range(0, len(ids), AT_ONCE))


# ---- of age ----


async def _tell_who_comes_of_age(session: AsyncSession, today: date, now: datetime) -> None:
    """Whoever holds something and turns 18 within a month hears of it, once; a birth date known in part does not."""
    first, last = years_before(today, OF_AGE), years_before(today + timedelta(days=AHEAD), OF_AGE)
    rows = await session.execute(
        select(CURRENT.c.person_id, CURRENT.c.birth_date).where(
            CURRENT.c.birth_date > first,
            CURRENT.c.birth_date <= last + _ONE_DAY,
            or_(
                CURRENT.c.birth_date_latest.is_(None),
                CURRENT.c.birth_date_latest == CURRENT.c.birth_date,
            ),
            exists(
                select(col(Entitlement.id)).where(
                    col(Entitlement.person_id) == CURRENT.c.person_id,
                    col(Entitlement.status).in_((Standing.ACTIVE, Standing.ENDING)),
                )
            ),
            ~exists(
                select(col(Notice.id)).where(
                    col(Notice.person_id) == CURRENT.c.person_id, col(Notice.code) == "person.of-age"
                )
            ),
        )
    )
    told = [
        notices.write(person_id, "person.of-age", {"day": birthday}, now=now)
        for person_id, born in rows
        if today < (birthday := reaches(born, OF_AGE)) <= today + timedelta(days=AHEAD)
    ]
    await notices.owe_all(session, told, now=now)
