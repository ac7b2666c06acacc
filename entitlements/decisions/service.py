"""Assess people, keep what was decided, and let entitlements, allowances and notices follow.

What each outcome does to what a person holds:

- *granted*: it is given, or goes on; an end announced before is taken back or put off, and the person is told.
- *refused*: its end is announced, with notice and grace. Death alone ends everything at once.
- *undetermined* and *refer*: nothing. A register that falls silent takes nothing away; what stands goes on until
  the last day that was stated when it was granted, whose end is announced in time as well, and the case stands
  in the case workers' queue.
- What a case worker revoked (loss, fraud, error) is given again only by a case worker.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.clock import day_of
from core.database import new_id
from core.errors import NotFound
from core.jobs.service import enqueue
from core.settings import Settings
from entitlements.allowances import service as allowances
from entitlements.allowances.models import LumpSum
from entitlements.allowances.service import Feed, Pot
from entitlements.decisions.models import Decision, Verdict
from entitlements.decisions.rules import digest, facts_hash, said, used_parameters
from entitlements.facts import service as facts
from entitlements.grants import service as grants
from entitlements.grants.models import EndReason, Entitlement
from entitlements.grants.rules import Terms, announce_on
from entitlements.language import Subject
from entitlements.ledger.service import in_chunks
from entitlements.people.models import Person
from entitlements.people.service import roots
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.keeping import hash_of
from entitlements.rulebook.programmes import Outcome, Rulebook, RuleVersion
from entitlements.rulebook.rules import Ruling, decide

BATCH = 500
"""Persons that one nightly job looks at in one transaction; it owes the next while there are more."""

Key = tuple[UUID, str]

log = structlog.get_logger("decisions")


@dataclass(frozen=True, slots=True)
class AssessmentSummary:
    """What an assessment did."""

    persons: int = 0
    decisions: int = 0
    """Decisions appended, because they differ from the one that stood."""
    granted: int = 0
    ending: int = 0
    """Entitlements whose end was announced."""
    revoked: int = 0


@dataclass(slots=True)
class _Work:
    """What an assessment reads once for everybody, and what it collects on its way."""

    session: AsyncSession
    book: Rulebook
    timelines: Mapping[str, str]
    now: datetime
    on: date
    settings: Settings
    cause: str
    verdicts: Mapping[Key, Verdict]
    held: Mapping[Key, Entitlement]
    barred: Collection[Key]
    paid: Collection[tuple[UUID, str, date]]
    feeds: list[Feed] = field(default_factory=list)
    decisions: int = 0
    granted: int = 0
    ending: int = 0
    revoked: int = 0


@dataclass(frozen=True, slots=True)
class _Judged:
    """One person, one programme, one ruling, with what it was made from."""

    person_id: UUID
    subject: Subject
    version: RuleVersion
    ruling: Ruling
    held_since: date | None
    others: Mapping[str, Outcome]


async def assess(
    session: AsyncSession,
    person_ids: Iterable[UUID],
    *,
    now: datetime,
    settings: Settings,
    cause: str,
    reinstate: UUID | None = None,
) -> AssessmentSummary:
    """Judges these persons and everybody they share a household with, by every programme in force today.

    All in the caller's transaction. A decision is appended only where it differs from the one that stands, so
    the same assessment twice writes nothing. `reinstate` names a person who is given again what was revoked: a
    case worker's word.
    """
    on, book = day_of(now, settings.zone), await rulebook.in_force(session)
    people = sorted(await facts.closure(session, set(person_ids)))
    if not people or not book.programmes:
        return AssessmentSummary(persons=len(people))
    # The verdicts are taken first: of two assessments of one person, the second reads what the first has done.
    verdicts = await _take(session, people, list(book.programmes))
    subjects = await facts.subjects(session, people, on)
    work = _Work(
        session=session,
        book=book,
        timelines=await rulebook.timelines(session),
        now=now,
        on=on,
        settings=settings,
        cause=cause,
        verdicts=verdicts,
        held=await grants.standing_of(session, people, lock=True),
        barred={key for key in await grants.barred_of(session, people) if key[0] != reinstate},
        paid=await allowances.recorded(session, people, since=on - timedelta(days=62)),
    )
    for person_id in people:
        subject = subjects.get(person_id)
        if subject is None:
            _nobody_to_judge(work, person_id)
        else:
            await _judge_person(work, person_id, subject)
    await session.flush()
    for (person_id, programme), day in (await allowances.feed(session, work.feeds, on=on, now=now)).items():
        verdict = verdicts[person_id, programme]
        verdict.look_on = min(verdict.look_on or day, day)
    await session.flush()
    log.info("assessment.done", cause=cause, persons=len(people), decisions=work.decisions)
    return AssessmentSummary(len(people), work.decisions, work.granted, work.ending, work.revoked)


async def _take(
    session: AsyncSession, people: Sequence[UUID], programmes: Sequence[str]
) -> dict[Key, Verdict]:
    """Everybody's verdicts, made where there is none yet, and locked in one order for all."""
    add = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    found: dict[Key, Verdict] = {}
    for some in in_chunks(people):
        rows = [
            {"person_id": p, "programme": name, "timeline_hash": ""}
            for p in some
            for name in sorted(programmes)
        ]
        standing = (
            select(Verdict)
            .where(col(Verdict.person_id).in_(some))
            .order_by(col(Verdict.person_id), col(Verdict.programme))
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        have = {(v.person_id, v.programme): v for v in (await session.execute(standing)).scalars()}
        missing = [row for row in rows if (row["person_id"], row["programme"]) not in have]
        if missing:
            for few in in_chunks(missing):
                await session.execute(add(Verdict).values(few).on_conflict_do_nothing())
            have = {(v.person_id, v.programme): v for v in (await session.execute(standing)).scalars()}
        found |= have
    return found


def _nobody_to_judge(work: _Work, person_id: UUID) -> None:
    for programme in work.book.programmes:
        verdict = work.verdicts[person_id, programme]
        verdict.look_on, verdict.timeline_hash = None, work.timelines[programme]


async def _judge_person(work: _Work, person_id: UUID, subject: Subject) -> None:
    outcomes: dict[str, Outcome] = {}
    parameters = work.book.parameters_on(work.on)
    for programme, rules in work.book.programmes.items():
        version, verdict = rules.on(work.on), work.verdicts[person_id, programme]
        if version is None:
            # Before its first day or after its last; the last day was an end foreseen when it was granted.
            verdict.timeline_hash = work.timelines[programme]
            verdict.look_on = verdict.next_change_on = work.book.next_change(programme, work.on)
            continue
        entitlement = work.held.get((person_id, programme))
        held_since = entitlement.counted_from if entitlement else None
        others = {d.programme: outcomes[d.programme] for d in version.depends_on if d.programme in outcomes}
        ruling = decide(version, subject, parameters, work.on, held_since=held_since, others=others)
        outcomes[programme] = ruling.outcome
        judged = _Judged(person_id, subject, version, ruling, held_since, others)
        await _settle(work, judged, verdict, entitlement)


async def _settle(work: _Work, judged: _Judged, verdict: Verdict, entitlement: Entitlement | None) -> None:
    """Appends the decision if it is another one, and lets what follows from it follow."""
    ruling, programme = judged.ruling, judged.version.programme
    fresh = digest(ruling)
    new_amounts = any((judged.person_id, a.kind, a.due) not in work.paid for a in ruling.amounts)
    if fresh != verdict.digest or new_amounts:
        _append(work, judged, verdict, fresh)
        # The decision must stand before anything rests on it.
        await work.session.flush()
    until = _last_day(work.book, programme, ruling)
    match ruling.outcome:
        case Outcome.GRANTED:
            until = await _grant(work, judged, verdict, entitlement, until)
        case Outcome.REFUSED:
            await _refuse(work, judged, verdict, entitlement)
        case Outcome.UNDETERMINED | Outcome.REFER:
            until = await _leave(work, entitlement)
    next_change = min(
        (day for day in (ruling.changes_on, work.book.next_change(programme, work.on)) if day), default=None
    )
    announce = announce_on(until, work.settings) if until else None
    look = min((day for day in (next_change, announce) if day and day > work.on), default=None)
    current = (verdict.next_change_on, verdict.timeline_hash)
    if current != (next_change, work.timelines[programme]) or verdict.judged_at is None:
        verdict.next_change_on, verdict.timeline_hash = next_change, work.timelines[programme]
        verdict.judged_at = work.now
    verdict.look_on = look


def _append(work: _Work, judged: _Judged, verdict: Verdict, fresh: str) -> None:
    ruling, version, kept = judged.ruling, judged.version, said(judged.ruling)
    decision = Decision(
        id=new_id(),
        person_id=judged.person_id,
        programme=version.programme,
        rule_hash=hash_of(version),
        parameter_hash=used_parameters(version, work.book.parameters_on(work.on)),
        facts_hash=facts_hash(judged.subject),
        day=work.on,
        decided_at=work.now,
        held_since=judged.held_since,
        others={name: outcome.value for name, outcome in judged.others.items()},
        cause=work.cause,
        outcome=ruling.outcome,
        ground=ruling.ground,
        payer=ruling.payer,
        until=ruling.until,
        reasons=kept.reasons,
        missing=kept.missing,
        brings=kept.brings,
        changes_on=ruling.changes_on,
        previous_id=verdict.decision_id,
    )
    work.session.add(decision)
    work.decisions += 1
    verdict.decision_id, verdict.digest, verdict.outcome = decision.id, fresh, ruling.outcome
    verdict.judged_at = work.now


def _last_day(book: Rulebook, programme: str, ruling: Ruling) -> date | None:
    """The last day that facts and rule carry; a programme that ends carries nothing beyond its last rule."""
    ends = [day for day in (ruling.until, book.programmes[programme].versions[-1].until) if day]
    return min(ends, default=None)


async def _grant(
    work: _Work, judged: _Judged, verdict: Verdict, entitlement: Entitlement | None, until: date | None
) -> date | None:
    """Gives it or lets it go on; the day until which it must be looked at again, where it ends by itself."""
    ruling, programme, person_id = judged.ruling, judged.version.programme, judged.person_id
    if verdict.decision_id is None:
        raise NotFound
    terms = Terms(
        decision_id=verdict.decision_id,
        ground=ruling.ground,
        payer=ruling.payer,
        tariffs=ruling.tariffs,
        until=until,
        changes_on=ruling.changes_on,
        renewable=await _renewable(work, judged, until),
    )
    if entitlement is not None:
        if _rests_on(entitlement) != terms or grants.must_announce(terms, work.on, work.settings):
            before = entitlement.status
            await grants.renew(work.session, entitlement, terms, now=work.now, settings=work.settings)
            work.ending += before is not entitlement.status is grants.Standing.ENDING
    elif (person_id, programme) in work.barred:
        return None
    else:
        await grants.grant(work.session, person_id, programme, terms, now=work.now, settings=work.settings)
        work.granted += 1
    work.feeds.append(
        Feed(
            person_id,
            programme,
            verdict.decision_id,
            ruling.ground,
            ruling.payer,
            ruling.allowances,
            ruling.amounts,
        )
    )
    return None if terms.renewable else until


def _rests_on(entitlement: Entitlement) -> Terms:
    return Terms(
        decision_id=entitlement.decision_id,
        ground=entitlement.ground,
        payer=entitlement.payer,
        tariffs=tuple(entitlement.tariffs),
        until=entitlement.until,
        changes_on=entitlement.changes_on,
        renewable=entitlement.renewable,
    )


async def _renewable(work: _Work, judged: _Judged, until: date | None) -> bool:
    """Whether the day after a last day that is near would grant it anew, as the facts stand: then it is no end."""
    if until is None or announce_on(until, work.settings) > work.on:
        return False
    after = until + timedelta(days=1)
    version = work.book.programmes[judged.version.programme].on(after)
    if version is None:
        return False
    subject = (await facts.subjects(work.session, [judged.person_id], after)).get(judged.person_id)
    if subject is None:
        return False
    parameters = work.book.parameters_on(after)
    again = decide(version, subject, parameters, after, held_since=judged.held_since, others=judged.others)
    return again.outcome is Outcome.GRANTED


async def _refuse(work: _Work, judged: _Judged, verdict: Verdict, entitlement: Entitlement | None) -> None:
    dead = any(reason.code == "deceased" for reason in judged.ruling.reasons)
    if entitlement is not None:
        if dead:
            await grants.revoke(
                work.session,
                entitlement.id,
                EndReason.DEATH,
                caller=None,
                now=work.now,
                settings=work.settings,
            )
            work.revoked += 1
        elif entitlement.status is grants.Standing.ACTIVE:
            await grants.announce(
                work.session, entitlement, EndReason.GROUND_ENDED, None, now=work.now, settings=work.settings
            )
            work.ending += 1
    if verdict.decision_id is not None:
        work.feeds.append(Feed(judged.person_id, judged.version.programme, verdict.decision_id))


async def _leave(work: _Work, entitlement: Entitlement | None) -> date | None:
    """Takes nothing away; only an end that was foreseen from the start is announced in time."""
    if entitlement is None or entitlement.until is None or entitlement.status is not grants.Standing.ACTIVE:
        return None
    if announce_on(entitlement.until, work.settings) > work.on:
        return entitlement.until
    await grants.announce(
        work.session,
        entitlement,
        EndReason.FORESEEN,
        entitlement.until,
        now=work.now,
        settings=work.settings,
    )
    work.ending += 1
    return None


async def turn(session: AsyncSession, _payload: dict[str, Any], now: datetime, *, settings: Settings) -> None:
    """The nightly job: judges again whoever's decision can be another today, or whose end must be announced.

    Also everybody whom an older state of the rulebook judged.
    """
    today = day_of(now, settings.zone)
    stale = [
        (col(Verdict.programme) == programme) & (col(Verdict.timeline_hash) != timeline)
        for programme, timeline in (await rulebook.timelines(session)).items()
    ]
    rows = await session.execute(
        select(col(Verdict.person_id))
        .join(Person, col(Person.id) == col(Verdict.person_id))
        .where(col(Person.merged_into).is_(None), or_(col(Verdict.look_on) <= today, *stale))
        .distinct()
        .order_by(col(Verdict.person_id))
        .limit(BATCH)
    )
    due = list(rows.scalars())
    # Of these, something that was stated before begins or is over today.
    turned = await facts.turning(session, today, limit=BATCH)
    if turned:
        await facts.refresh(session, turned, today)
    if due or turned:
        await assess(session, {*due, *turned}, now=now, settings=settings, cause="night")
    if BATCH in {len(due), len(turned)}:
        await enqueue(session, "decisions.turn", run_at=now)


@dataclass(frozen=True, slots=True)
class Replayed:
    """A decision worked out again."""

    same_facts: bool
    same_parameters: bool
    same_ruling: bool


async def replay(session: AsyncSession, decision_id: UUID) -> Replayed:
    """Works a decision out again from its rule, its amounts, and the facts as they were known then."""
    decision = await session.get(Decision, decision_id)
    if decision is None:
        raise NotFound
    version = await rulebook.version_of(session, decision.rule_hash)
    book = await rulebook.in_force(session)
    subject = (await facts.subjects_on(session, [decision.person_id], decision.day, decision.decided_at))[
        decision.person_id
    ]
    parameters = book.parameters_on(decision.day)
    others = {name: Outcome(outcome) for name, outcome in decision.others.items()}
    ruling = decide(version, subject, parameters, decision.day, held_since=decision.held_since, others=others)
    kept = said(ruling)
    return Replayed(
        same_facts=facts_hash(subject) == decision.facts_hash,
        same_parameters=used_parameters(version, parameters) == decision.parameter_hash,
        same_ruling=(ruling.outcome, ruling.ground, ruling.until, kept.reasons, kept.missing, kept.brings)
        == (
            decision.outcome,
            decision.ground,
            decision.until,
            decision.reasons,
            decision.missing,
            decision.brings,
        ),
    )


# --- to be seen ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Overview:
    """One programme as it stands for a person."""

    programme: str
    names: Mapping[str, str]
    decision: Decision | None
    entitlement: Entitlement | None
    """The one that is held, or the last one that was."""
    pots: Sequence[Pot]
    lump_sums: Sequence[LumpSum]


async def overview(session: AsyncSession, person_id: UUID) -> list[Overview]:
    """How each programme stands for a person, held or not, in the order in which they are decided."""
    decisions = await standing_decisions(session, person_id)
    latest: dict[str, Entitlement] = {}
    for entitlement in await grants.of_person(session, person_id):
        latest.setdefault(entitlement.programme, entitlement)
    pots = await allowances.pots_of(session, person_id)
    sums = await allowances.lump_sums_of(session, person_id)
    return [
        Overview(
            programme=programme.slug,
            names=programme.names,
            decision=decisions.get(programme.slug),
            entitlement=latest.get(programme.slug),
            pots=[pot for pot in pots if pot.approval.programme == programme.slug],
            lump_sums=[row for row in sums if row.programme == programme.slug],
        )
        for programme in await rulebook.programmes(session)
    ]


async def known(session: AsyncSession, person_id: UUID) -> UUID:
    """The person of this id, or whom they turned out to be; NotFound where there is nobody."""
    found = (await roots(session, [person_id])).get(person_id)
    if found is None:
        raise NotFound
    return found


async def decisions_of(
    session: AsyncSession, person_id: UUID, *, programme: str | None = None, limit: int = 100
) -> list[Decision]:
    """A person's decisions, the latest first."""
    wanted = select(Decision).where(col(Decision.person_id) == person_id)
    if programme is not None:
        wanted = wanted.where(col(Decision.programme) == programme)
    ordered = wanted.order_by(col(Decision.decided_at).desc(), col(Decision.id).desc()).limit(limit)
    return list((await session.execute(ordered)).scalars())


async def decision_of(session: AsyncSession, person_id: UUID, decision_id: UUID) -> Decision:
    """One of a person's decisions; somebody else's is not found."""
    decision = await session.get(Decision, decision_id)
    if decision is None or decision.person_id != person_id:
        raise NotFound
    return decision


async def standing_decisions(session: AsyncSession, person_id: UUID) -> dict[str, Decision]:
    """The decision that stands for each programme."""
    rows = await session.execute(
        select(Decision)
        .join(Verdict, col(Verdict.decision_id) == col(Decision.id))
        .where(col(Verdict.person_id) == person_id)
    )
    return {decision.programme: decision for decision in rows.scalars()}


async def referrals(
    session: AsyncSession, *, after: UUID | None = None, limit: int = 100
) -> list[tuple[Decision, bool]]:
    """What waits for a case worker, the oldest first, and whether the person holds something meanwhile.

    That is every case that a rule refers to a human, and every undetermined one of somebody who holds it.
    """
    standing = grants.standing_exists(col(Verdict.person_id), col(Verdict.programme))
    wanted = (
        select(Decision, standing)
        .join(Verdict, col(Verdict.decision_id) == col(Decision.id))
        .where(
            or_(
                col(Verdict.outcome) == Outcome.REFER,
                (col(Verdict.outcome) == Outcome.UNDETERMINED) & standing,
            )
        )
        .order_by(col(Decision.id))
        .limit(limit)
    )
    if after is not None:
        wanted = wanted.where(col(Decision.id) > after)
    return [(row[0], bool(row[1])) for row in await session.execute(wanted)]


__all__ = [
    "AssessmentSummary",
    "Overview",
    "Replayed",
    "assess",
    "decision_of",
    "decisions_of",
    "known",
    "overview",
    "referrals",
    "replay",
    "standing_decisions",
    "turn",
]
