"""Assess people, keep what was decided, and let entitlements, allowances and notices follow.

What each outcome does to what a person holds:

- *granted*: it is given, or goes on; an end announced before is taken back or put off, and the person is told.
- *refused*: its end is announced, with notice and grace. Death alone ends everything at once.
- *undetermined* and *refer*: nothing. A register that falls silent takes nothing away; what stands goes on until
  the last day that was stated when it was granted, whose end is announced in time as well, and the case stands
  in the case workers' queue.
- What a case worker revoked (loss, fraud, error) is given again only by a case worker.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import delete, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.bulk import among, insert_rows, table_of
from core.clock import day_of
from core.database import new_id
from core.errors import NotFound
from core.settings import Settings
from entitlements.allowances import service as allowances
from entitlements.allowances.models import LumpSum
from entitlements.allowances.service import Feed, Pot
from entitlements.decisions.alike import Docket, Dockets, Weighed
from entitlements.decisions.models import Assessed, Decision, Verdict
from entitlements.decisions.rules import (
    Fragments,
    concerned,
    disputed,
    facts_of,
    referred,
    said,
    used_parameters,
    without_request,
)
from entitlements.decisions.standing import Held, keep, take
from entitlements.facts import service as facts
from entitlements.facts.contradictions import contradictions
from entitlements.grants import service as grants
from entitlements.grants.models import EndReason, Entitlement, Standing
from entitlements.grants.rules import Terms, announce_on, must_announce
from entitlements.language import Subject, Value
from entitlements.people.service import known_as, roots
from entitlements.requests import service as requests
from entitlements.requests.rules import Proposal, essence_of, within_reach
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.programmes import Outcome, Rulebook, RuleVersion
from entitlements.rulebook.rules import Ruling, decide

Key = tuple[UUID, str]

log = structlog.get_logger("decisions")

_dockets = Dockets()
"""What was worked out in this process today; a docket is named by the hashes of what it says, so never stale."""
_WRITTEN = ("others", "reasons", "missing", "brings")
_APPENDED = (
    "id",
    "person_id",
    "programme",
    "rule_hash",
    "parameter_hash",
    "facts_hash",
    "day",
    "decided_at",
    "held_since",
    "others",
    "cause",
    "outcome",
    "ground",
    "payer",
    "until",
    "reasons",
    "missing",
    "brings",
    "changes_on",
    "previous_id",
)


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

    book: Rulebook
    timelines: Mapping[str, str]
    parameters: Mapping[str, Value]
    hashes: Mapping[str, tuple[str, str]]
    """By programme, the hashes of the rule in force today and of the amounts that it uses."""
    on: date
    cause: str
    verdicts: Mapping[Key, Held]
    held: Mapping[Key, Entitlement]
    barred: Collection[Key]
    paid: Collection[tuple[UUID, str, date]]
    changes: grants.Changes
    requested: Mapping[tuple[UUID, str, str], date] = field(default_factory=dict)
    """By person, programme and ground, since which day a request counts that was made for it."""
    reinstate: UUID | None = None
    """Who is given again what was revoked, and offered again what was declined: somebody asked for it."""
    proposals: list[Proposal] = field(default_factory=list)
    lost: list[Key] = field(default_factory=list)
    """What is refused and not held: a request that was made for it is used up."""
    decisions: list[tuple[Any, ...]] = field(default_factory=list)
    feeds: list[Feed] = field(default_factory=list)
    ending: int = 0
    revoked: int = 0
    stated: Fragments = field(default_factory=Fragments)
    next_rules: dict[str, date | None] = field(default_factory=dict)

    def turns(self, programme: str) -> date | None:
        """The next day on which another rule or amount is in force."""
        if programme not in self.next_rules:
            self.next_rules[programme] = self.book.next_change(programme, self.on)
        return self.next_rules[programme]

    def docket(self, version: RuleVersion) -> Docket:
        return _dockets.of(version, self.hashes[version.programme], self.parameters, self.on)


@dataclass(frozen=True, slots=True)
class _Judged:
    """One person, one programme, one ruling, with what it was made from."""

    person_id: UUID
    subject: Subject
    version: RuleVersion
    weighed: Weighed
    held_since: date | None
    others: Mapping[str, Outcome]
    until: date | None
    """The last day that facts and rule carry; a programme that ends carries nothing beyond its last rule."""

    @property
    def key(self) -> Key:
        return self.person_id, self.version.programme

    @property
    def ruling(self) -> Ruling:
        return self.weighed.ruling


async def assess(
    session: AsyncSession,
    person_ids: Iterable[UUID],
    *,
    now: datetime,
    settings: Settings,
    cause: str,
    reinstate: UUID | None = None,
    alone: bool = False,
) -> AssessmentSummary:
    """Judges these persons and everybody they share a household with, by every programme in force today.

    All in the caller's transaction. A decision is appended only where it differs from the one that stands, so
    the same assessment twice writes nothing. `alone`: those around them are judged by
    themselves. `reinstate` names a person who is given again what was revoked, and offered again what was
    declined: a case worker's word.
    """
    on, book = day_of(now, settings.zone), await rulebook.in_force(session)
    named = set(person_ids)
    if not book.programmes:
        return AssessmentSummary(persons=len(named))
    people = sorted(named if alone else await facts.closure(session, named))
    if not people:
        return AssessmentSummary()
    # The verdicts are taken first: of two assessments of one person, the second reads what the first has done.
    verdicts = await take(session, people, list(book.programmes))
    subjects = await facts.subjects(session, people, on)
    parameters = book.parameters_on(on)
    work = _Work(
        book=book,
        timelines=await rulebook.timelines(session),
        parameters=parameters,
        hashes=_hashes(book, parameters, on),
        on=on,
        cause=cause,
        verdicts=verdicts,
        held=await grants.standing_of(session, people, lock=True),
        barred={key for key in await grants.barred_of(session, people) if key[0] != reinstate},
        paid=await allowances.recorded(session, people, since=on - timedelta(days=62)),
        changes=grants.Changes(now, settings),
        requested=await requests.accepted(session, people),
        reinstate=reinstate,
    )
    judged = [one for person_id in people for one in _judge(work, person_id, subjects.get(person_id))]
    judged = await _referred(session, work, judged)
    renewable = await _renewable(session, work, judged)
    for one in judged:
        _settle(work, one, renewable=one.key in renewable)
    await _write(session, work)
    return AssessmentSummary(
        len(people), len(work.decisions), len(work.changes.granted), work.ending, work.revoked
    )


def _hashes(book: Rulebook, parameters: Mapping[str, Value], on: date) -> dict[str, tuple[str, str]]:
    versions = {name: rules.on(on) for name, rules in book.programmes.items()}
    return {
        name: (version.rule_hash, used_parameters(version, parameters))
        for name, version in versions.items()
        if version is not None
    }


def _judge(work: _Work, person_id: UUID, subject: Subject | None) -> Iterator[_Judged]:
    """What every programme in force says about one person, those that others depend on first."""
    outcomes: dict[str, Outcome] = {}
    for programme, rules in work.book.programmes.items():
        version, verdict = rules.on(work.on), work.verdicts[person_id, programme]
        if version is None or subject is None:
            # Before its first day or after its last; the last day was an end foreseen when it was granted.
            verdict.timeline_hash = work.timelines[programme]
            verdict.look_on = verdict.next_change_on = work.turns(programme)
            continue
        entitlement = work.held.get((person_id, programme))
        held_since = entitlement.counted_from if entitlement else None
        others = {d.programme: outcomes[d.programme] for d in version.depends_on if d.programme in outcomes}
        weighed = work.docket(version).weigh(subject, held_since=held_since, others=others)
        ruling = weighed.ruling
        ends = [day for day in (ruling.until, rules.versions[-1].until) if day]
        until = min(ends, default=None) if ruling.outcome is Outcome.GRANTED else None
        one = _Judged(person_id, subject, version, weighed, held_since, others, until)
        # As long as nobody has asked for it, it is not decided, and nothing else may tell that it could be had.
        outcomes[programme] = Outcome.UNDETERMINED if _wants_request(work, one) else ruling.outcome
        yield one


async def _referred(session: AsyncSession, work: _Work, judged: list[_Judged]) -> list[_Judged]:
    """What is open because two registers differ goes to a human."""
    open_ = [one for one in judged if one.ruling.outcome is Outcome.UNDETERMINED and one.ruling.missing]
    if not open_:
        return judged
    people = {key for one in open_ for key in concerned(one.subject)}
    kinds = {missing.fact for one in open_ for missing in one.ruling.missing}
    found = await contradictions(session, people, work.on, kinds=kinds)
    if not found:
        return judged
    differing = {person_id: {one.fact for one in some} for person_id, some in found.items()}
    return [_refer(one, disputed(one.subject, differing), work.on) for one in judged]


def _refer(judged: _Judged, differing: Collection[str], on: date) -> _Judged:
    ruling = referred(judged.ruling, differing, on)
    return judged if ruling is judged.ruling else replace(judged, weighed=Weighed(ruling))


async def _renewable(session: AsyncSession, work: _Work, judged: Sequence[_Judged]) -> set[Key]:
    """Of what has a last day that is near, what the day after grants anew as the facts stand: that is no end."""
    near: dict[date, list[_Judged]] = defaultdict(list)
    for one in judged:
        if one.until is not None and announce_on(one.until, work.changes.settings) <= work.on:
            near[one.until + timedelta(days=1)].append(one)
    found: set[Key] = set()
    for after, some in sorted(near.items()):
        parameters = work.book.parameters_on(after)
        subjects = await facts.subjects(session, {one.person_id for one in some}, after)
        for one in some:
            version, subject = (
                work.book.programmes[one.version.programme].on(after),
                subjects.get(one.person_id),
            )
            if version is None or subject is None:
                continue
            again = decide(version, subject, parameters, after, held_since=one.held_since, others=one.others)
            if again.outcome is Outcome.GRANTED:
                found.add(one.key)
    return found


def _settle(work: _Work, judged: _Judged, *, renewable: bool) -> None:
    """Appends the decision if it is another one, and lets what follows from it follow."""
    if _wants_request(work, judged):
        work.proposals.append(_proposal(judged))
        if judged.key not in work.held:
            # Nothing is decided before somebody asks, and so nothing is kept if they decline.
            verdict = work.verdicts[judged.key]
            verdict.decision_id = verdict.digest = verdict.outcome = None
            _look_again(work, judged, verdict, None)
            return
        judged = replace(judged, weighed=Weighed(without_request(judged.ruling)), until=None)
    ruling, verdict, entitlement = judged.ruling, work.verdicts[judged.key], work.held.get(judged.key)
    fresh = judged.weighed.digest
    new_amounts = any((judged.person_id, a.kind, a.due) not in work.paid for a in ruling.amounts)
    if fresh != verdict.digest or new_amounts:
        _append(work, judged, verdict, fresh)
    match ruling.outcome:
        case Outcome.GRANTED:
            ends = _grant(work, judged, verdict, entitlement, renewable=renewable)
        case Outcome.REFUSED:
            ends = None
            _refuse(work, judged, verdict, entitlement)
        case Outcome.UNDETERMINED | Outcome.REFER:
            ends = _leave(work, entitlement)
    _look_again(work, judged, verdict, ends)


def _look_again(work: _Work, judged: _Judged, verdict: Held, ends: date | None) -> None:
    """Keeps when it can change, and when to look: then, or when its end has to be announced."""
    ruling = judged.ruling
    turns = (ruling.changes_on, work.turns(judged.version.programme))
    next_change = min((day for day in turns if day), default=None)
    announce = announce_on(ends, work.changes.settings) if ends else None
    timeline = work.timelines[judged.version.programme]
    if (verdict.next_change_on, verdict.timeline_hash) != (next_change, timeline):
        verdict.next_change_on, verdict.timeline_hash = next_change, timeline
        verdict.judged_at = work.changes.now
    verdict.look_on = min((day for day in (next_change, announce) if day and day > work.on), default=None)


def _wants_request(work: _Work, judged: _Judged) -> bool:
    """Whether the law wants a request for this, and none was made; who holds it on that ground needs none."""
    ruling, entitlement = judged.ruling, work.held.get(judged.key)
    if ruling.outcome is not Outcome.GRANTED or not ruling.on_request or ruling.ground is None:
        return False
    if entitlement is not None and entitlement.ground == ruling.ground:
        return False
    return (*judged.key, ruling.ground) not in work.requested and judged.key not in work.barred


def _proposal(judged: _Judged) -> Proposal:
    ruling, kept = judged.ruling, said(judged.ruling)
    rests_on = facts_of(judged.version, judged.subject)
    content = {"reasons": kept.reasons, "brings": kept.brings, "facts": rests_on}
    return Proposal(*judged.key, ruling.ground or "", essence_of(ruling), content)


def _append(work: _Work, judged: _Judged, verdict: Held, fresh: str) -> None:
    ruling, version, kept = judged.ruling, judged.version, judged.weighed.written
    decision_id = new_id()
    # A plain row: it is never changed, and a whole city has hundreds of thousands of them.
    work.decisions.append(
        (
            decision_id,
            judged.person_id,
            version.programme,
            *work.hashes[version.programme],
            work.stated.hash(version, judged.subject),
            work.on,
            work.changes.now,
            judged.held_since,
            json.dumps({name: outcome.value for name, outcome in judged.others.items()})
            if judged.others
            else "{}",
            work.cause,
            ruling.outcome.value,
            ruling.ground,
            ruling.payer,
            ruling.until,
            *kept,
            ruling.changes_on,
            verdict.decision_id,
        )
    )
    verdict.decision_id, verdict.digest, verdict.outcome = decision_id, fresh, ruling.outcome
    verdict.judged_at = work.changes.now


def _grant(
    work: _Work, judged: _Judged, verdict: Held, entitlement: Entitlement | None, *, renewable: bool
) -> date | None:
    """Gives it or lets it go on; gives the last day whose end is still to be announced."""
    ruling = judged.ruling
    assert verdict.decision_id is not None
    requested_on = work.requested.get((*judged.key, ruling.ground or ""))
    terms = Terms(
        decision_id=verdict.decision_id,
        ground=ruling.ground,
        payer=ruling.payer,
        tariffs=ruling.tariffs,
        until=judged.until,
        changes_on=ruling.changes_on,
        renewable=renewable,
        since=requested_on,
    )
    if entitlement is not None:
        if _rests_on(entitlement) != terms or must_announce(terms, work.on, work.changes.settings):
            before = entitlement.status
            work.changes.renew(entitlement, terms)
            work.ending += before is not entitlement.status and entitlement.status is Standing.ENDING
    elif judged.key in work.barred:
        return None
    else:
        work.changes.grant(*judged.key, terms)
    brought, due = within_reach(ruling, requested_on)
    work.feeds.append(Feed(*judged.key, verdict.decision_id, ruling.ground, ruling.payer, brought, due))
    return None if renewable else judged.until


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


def _refuse(work: _Work, judged: _Judged, verdict: Held, entitlement: Entitlement | None) -> None:
    if entitlement is None:
        work.lost.append(judged.key)
    elif any(reason.code == "deceased" for reason in judged.ruling.reasons):
        work.changes.end_with_death(entitlement)
        work.revoked += 1
    elif entitlement.status is Standing.ACTIVE:
        work.changes.announce(entitlement, EndReason.GROUND_ENDED, None)
        work.ending += 1
    assert verdict.decision_id is not None
    work.feeds.append(Feed(*judged.key, verdict.decision_id))


def _leave(work: _Work, entitlement: Entitlement | None) -> date | None:
    """Takes nothing away; only an end that was foreseen from the start is announced in time."""
    if entitlement is None or entitlement.until is None or entitlement.status is not Standing.ACTIVE:
        return None
    if announce_on(entitlement.until, work.changes.settings) > work.on:
        return entitlement.until
    work.changes.announce(entitlement, EndReason.FORESEEN, entitlement.until)
    work.ending += 1
    return None


async def _write(session: AsyncSession, work: _Work) -> None:
    """Writes decisions first, then what rests on them."""
    with session.no_autoflush:
        if work.decisions:
            await insert_rows(session, table_of(Decision), _APPENDED, work.decisions, written=_WRITTEN)
        await work.changes.write(session)
    await session.flush()
    await requests.propose(
        session,
        {person_id for person_id, _ in work.verdicts},
        work.proposals,
        lost=work.lost,
        again=work.reinstate,
        now=work.changes.now,
        settings=work.changes.settings,
    )
    look = await allowances.feed(session, work.feeds, on=work.on, now=work.changes.now)
    for key, day in look.items():
        verdict = work.verdicts[key]
        verdict.look_on = min(verdict.look_on or day, day)
    await keep(session, work.verdicts.values())
    # What was said of them by the statement for everybody counts no longer.
    await session.execute(
        delete(Assessed)
        .where(among(col(Assessed.person_id), list({person_id for person_id, _ in work.verdicts})))
        .execution_options(synchronize_session=False)
    )
    await session.flush()
    log.info("assessment.done", cause=work.cause, verdicts=len(work.verdicts), decisions=len(work.decisions))


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
    # After a merge, what is held can be older than what ended because of it.
    for entitlement in sorted(
        await grants.of_person(session, person_id), key=lambda one: one.status not in grants.STANDING
    ):
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
    wanted = select(Decision).where(col(Decision.person_id).in_(known_as(person_id)))
    if programme is not None:
        wanted = wanted.where(col(Decision.programme) == programme)
    ordered = wanted.order_by(col(Decision.decided_at).desc(), col(Decision.id).desc()).limit(limit)
    return list((await session.execute(ordered)).scalars())


async def decision_of(session: AsyncSession, person_id: UUID, decision_id: UUID) -> Decision:
    """One of a person's decisions; somebody else's is not found."""
    decision = await session.get(Decision, decision_id)
    if decision is None or (await roots(session, [decision.person_id])).get(decision.person_id) != person_id:
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
    "assess",
    "decision_of",
    "decisions_of",
    "known",
    "overview",
    "referrals",
    "standing_decisions",
]
