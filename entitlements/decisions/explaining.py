"""Explain a decision from what it was made from, and work it out again: the one that stands, not a newer one.

The inputs are found by the hashes that the decision carries. Where the wide rows of today still give the same hash of
facts, they are the same facts, and one statement suffices; else the history is read as it was known then.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, Date, Uuid, and_, bindparam, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from core.errors import NotFound
from entitlements.decisions.changing import Way, ways_to_end, ways_to_grant
from entitlements.decisions.discretion import (
    MayKnow,
    as_told,
    merely_lives_with,
    resting_told,
    wards,
    ways_told,
    with_others,
)
from entitlements.decisions.models import Decision, Verdict
from entitlements.decisions.resting import Rested, rests_on
from entitlements.decisions.rules import (
    CONTRADICTION,
    NO_REQUEST,
    concerned,
    disputed,
    facts_hash,
    referred,
    said,
    used_parameters,
    without_request,
)
from entitlements.facts import nearby
from entitlements.facts import service as facts
from entitlements.facts.contradictions import Contradiction, contradictions
from entitlements.facts.models import CURRENT
from entitlements.facts.nearby import around
from entitlements.language import Known, Subject, Value
from entitlements.people.models import Login, Person
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.models import Programme
from entitlements.rulebook.programmes import Outcome, RuleVersion
from entitlements.rulebook.rules import Ruling, decide

_TRUE, _FALSE = Known(value=True), Known(value=False)
_MOST_REMEMBERED = 1_000

_versions: dict[str, RuleVersion] = {}
"""Rules by their hash; what a hash names never changes."""
_amounts: dict[tuple[str, str], Mapping[str, Value]] = {}
"""Amounts by the hash of the rule that uses them and their own."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A decision that somebody asks about, and how it stands."""

    decision: Decision
    names: Mapping[str, str]
    """What its programme is called, by language."""
    stands: bool
    """Whether it is the one that counts today."""
    next_on: date | None
    """The next day on which it can be another if nothing new is learned; a newer rule counts as well."""
    near: Sequence[Any] = field(default=(), repr=False)
    """The wide rows of everybody near, where they were read along with it."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a decision was made from, and whether that is proven by its hashes."""

    version: RuleVersion
    parameters: Mapping[str, Value]
    subject: Subject | None
    same_rule: bool
    same_parameters: bool
    same_facts: bool

    @property
    def same(self) -> bool:
        return self.same_rule and self.same_parameters and self.same_facts


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a decision is what it is, and what would make it another."""

    asked: Asked
    reproduced: bool
    """Whether its inputs were found again; if not, what follows is empty rather than about other facts."""
    rests_on: tuple[Rested, ...] = ()
    grants: tuple[Way, ...] = ()
    ends: tuple[Way, ...] = ()
    differ: tuple[Contradiction, ...] = ()
    """Where registers contradicted each other, and what each of them stated."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A decision worked out again, part by part."""

    decision: Decision
    same_rule: bool
    same_parameters: bool
    same_facts: bool
    same_ruling: bool
    outcome: Outcome
    """What it comes to now."""

    @property
    def same(self) -> bool:
        return self.same_rule and self.same_parameters and self.same_facts and self.same_ruling


_ID, _WHOSE = bindparam("decision", type_=Uuid()), bindparam("whose", type_=Uuid())
_TODAY: BindParameter[date] = bindparam("today", type_=Date())


def _with_surroundings(*, own: bool) -> Any:
    """A decision, how it stands, and the wide rows of everybody near: all that an explanation usually needs.

    `own`: of the person that a login is; else of the person named.
    """
    # The decision may be about an id that has since become this person's.
    about, reader = aliased(Person), aliased(Person)
    meant = func.coalesce(about.merged_into, about.id)
    asked = (
        select(Decision).join(about, col(about.id) == col(Decision.person_id)).where(col(Decision.id) == _ID)
    )
    if own:
        asked = (
            asked.join(Login, col(Login.principal_id) == _WHOSE)
            .join(reader, col(reader.id) == col(Login.person_id))
            .where(meant == func.coalesce(reader.merged_into, reader.id))
        )
    else:
        asked = asked.where(meant == _WHOSE)
    asked = asked.add_columns(meant.label("root"))
    whose = asked.cte("asked")
    decision = aliased(Decision, whose)
    near, rows = around(whose)
    found = (
        _with_standing(
            select(
                decision, col(Programme.names), col(Verdict.decision_id), col(Verdict.next_change_on), rows
            ),
            decision,
        )
        .outerjoin(near, true())
        .outerjoin(CURRENT, CURRENT.c.person_id == near.c.person_id)
    )
    if not own:
        return found
    reading = select(whose.c.root.label("person_id")).cte("own")
    children = wards(reading, _TODAY).subquery("wards")
    return found.outerjoin(children, children.c.person_id == near.c.person_id).add_columns(
        whose.c.root, children.c.person_id.label("ward")
    )


def _with_standing(query: Any, decision: Any) -> Any:
    return (
        query.select_from(decision)
        .join(Programme, col(Programme.slug) == decision.programme)
        .outerjoin(
            Verdict,
            and_(col(Verdict.person_id) == decision.person_id, col(Verdict.programme) == decision.programme),
        )
    )


_OWN, _OF_PERSON = _with_surroundings(own=True), _with_surroundings(own=False)
_STANDING = _with_standing(
    select(Decision, col(Programme.names), col(Verdict.decision_id), col(Verdict.next_change_on)), Decision
).where(col(Verdict.person_id) == _WHOSE, col(Verdict.decision_id) == col(Decision.id))


async def ask(session: AsyncSession, person_id: UUID, decision_id: UUID) -> Asked:
    """One of a person's decisions; somebody else's is not found."""
    rows = (await session.execute(_OF_PERSON, {"decision": decision_id, "whose": person_id})).all()
    if not rows:
        raise NotFound
    return _as_asked(rows[0], rows)


async def ask_own(
    session: AsyncSession, principal_id: UUID, decision_id: UUID, today: date
) -> tuple[Asked, frozenset[UUID]]:
    """A decision about the person that this login is, and whom near them they may read of: themselves, and the
    children for whom they may act today. Somebody else's decision is not found.
    """
    given = {"decision": decision_id, "whose": principal_id, "today": today}
    rows = (await session.execute(_OWN, given)).all()
    if not rows:
        raise NotFound
    known = {rows[0].root, *(row.ward for row in rows if row.ward is not None)}
    return _as_asked(rows[0], rows), frozenset(known)


async def ask_standing(session: AsyncSession, person_id: UUID) -> dict[str, Asked]:
    """The decisions that stand for a person, by programme."""
    rows = await session.execute(_STANDING, {"whose": person_id})
    return {row[0].programme: _as_asked(row) for row in rows}


def _as_asked(row: Any, rows: Sequence[Any] = ()) -> Asked:
    decision, names, standing_id, next_change_on = row[:4]
    stands = standing_id == decision.id
    return Asked(decision, names, stands, next_change_on if stands else decision.changes_on, rows)


# ---- the inputs ----


async def inputs_of(
    session: AsyncSession, decision: Decision, near: Sequence[Any] = (), *, from_history: bool = False
) -> Inputs:
    """What the decision was made from; `from_history` takes no shorter way, even one that proves itself."""
    version = await _version(session, decision.rule_hash, anew=from_history)
    parameters, same_parameters = await _parameters(session, decision, version, anew=from_history)
    same_rule = version.rule_hash == decision.rule_hash if from_history else True
    if not from_history:
        subject = await _presumed(session, decision, version, near)
        if subject is not None:
            return Inputs(version, parameters, subject, same_rule, same_parameters, same_facts=True)
    known = await facts.subjects_on(session, [decision.person_id], decision.day, decision.decided_at)
    subject = known.get(decision.person_id)
    same_facts = subject is not None and facts_hash(version, subject) == decision.facts_hash
    return Inputs(version, parameters, subject, same_rule, same_parameters, same_facts)


async def _presumed(
    session: AsyncSession, decision: Decision, version: RuleVersion, near: Sequence[Any]
) -> Subject | None:
    """The person as the wide rows have them, if these give the facts that the decision was made from."""
    whom, on = decision.person_id, decision.day
    for _ in range(2):
        subject = (
            await nearby.from_rows(session, near, whom, on, version.looks_at)
            if near
            else await nearby.presumably(session, whom, on, version.looks_at)
        )
        if subject is not None and facts_hash(version, subject) == decision.facts_hash:
            return subject
        nearby.forget(session)
    return None


async def _version(session: AsyncSession, rule_hash: str, *, anew: bool) -> RuleVersion:
    known = None if anew else _versions.get(rule_hash)
    if known is None:
        known = await rulebook.version_of(session, rule_hash)
        if len(_versions) >= _MOST_REMEMBERED:
            _versions.clear()
        _versions[rule_hash] = known
    return known


async def _parameters(
    session: AsyncSession, decision: Decision, version: RuleVersion, *, anew: bool
) -> tuple[Mapping[str, Value], bool]:
    """The amounts of the decision's day, and whether they are those that it used."""
    key = (decision.rule_hash, decision.parameter_hash)
    known = None if anew else _amounts.get(key)
    if known is not None:
        return known, True
    found = (await rulebook.in_force(session)).parameters_on(decision.day)
    if used_parameters(version, found) != decision.parameter_hash:
        return found, False
    if len(_amounts) >= _MOST_REMEMBERED:
        _amounts.clear()
    _amounts[key] = found
    return found, True


# ---- why ----


async def explain(session: AsyncSession, asked: Asked, may_know: MayKnow | None = None) -> Explanation:
    """Why the decision is what it is: from its own inputs, whatever has been learned since.

    Without `may_know` it is for a case worker, who may read of everybody in a household.
    """
    inputs = await inputs_of(session, asked.decision, asked.near)
    if not inputs.same or inputs.subject is None:
        return Explanation(asked, reproduced=False)
    decision, version, subject = asked.decision, inputs.version, inputs.subject
    others = _others(decision)
    granted = decision.outcome is Outcome.GRANTED
    settled = any(reason["code"] == "deceased" for reason in decision.reasons)
    known, seen = frozenset[UUID](), subject
    if may_know is not None and with_others(version, subject):
        known = frozenset(await may_know())
        seen = as_told(
            subject,
            known,
            decision=decision,
            version=version,
            parameters=inputs.parameters,
            others=others,
        )
    ways = () if settled else _ways(decision, version, seen, inputs.parameters, others)
    explanation = Explanation(
        asked,
        reproduced=True,
        rests_on=rests_on(decision, version, seen, inputs.parameters),
        grants=() if granted else ways,
        ends=ways if granted else (),
        differ=await differing(session, decision, subject),
    )
    if may_know is None:
        return explanation
    apart = _apart(subject) - known
    return replace(
        explanation,
        rests_on=resting_told(explanation.rests_on, known),
        grants=ways_told(explanation.grants, known),
        ends=ways_told(explanation.ends, known),
        differ=tuple(one for one in explanation.differ if one.person_id not in apart),
    )


def _apart(subject: Subject) -> frozenset[UUID]:
    """Members of a merely registered household who are in no other one with the person."""
    found, together = set[str](), {subject.key}
    for household, members in subject.households.items():
        (found if merely_lives_with(household) else together).update(member.key for member in members)
    return frozenset(UUID(key) for key in found - together)


_ways_known: dict[Hashable, tuple[Way, ...]] = {}
"""Whoever is alike in all that a rule looks at is told the same, so it is sought once."""


def _ways(
    decision: Decision,
    version: RuleVersion,
    subject: Subject,
    parameters: Mapping[str, Value],
    others: Mapping[str, Outcome],
) -> tuple[Way, ...]:
    granted, on = decision.outcome is Outcome.GRANTED, decision.day
    alike = (
        decision.rule_hash,
        decision.parameter_hash,
        granted,
        on,
        tuple(sorted(others.items())),
        _looks(subject, on),
        tuple(
            (kind, tuple((member.key == subject.key, _looks(member, on)) for member in members))
            for kind, members in sorted(subject.households.items())
        ),
    )
    known = _ways_known.get(alike)
    if known is None:
        if len(_ways_known) >= _MOST_REMEMBERED:
            _ways_known.clear()
        seek = ways_to_end if granted else ways_to_grant
        known = _ways_known[alike] = seek(version, subject, parameters, on, others)
    return known


def _looks(whom: Subject, on: date) -> Hashable:
    """What a rule can see of somebody on a day: values, whether they hold, and their last days."""
    return tuple((name, said.value, said.holds(on), said.until) for name, said in whom.facts.items())


async def differing(session: AsyncSession, decision: Decision, subject: Subject) -> tuple[Contradiction, ...]:
    """Where registers differed, as it was known then: only for a decision that was referred because of it."""
    facts_ = {r["params"]["fact"] for r in decision.reasons if r["code"] == CONTRADICTION}
    if not facts_:
        return ()
    found = await contradictions(session, concerned(subject), decision.day, decision.decided_at, kinds=facts_)
    return tuple(one for _, some in sorted(found.items()) for one in some)


async def explain_standing(
    session: AsyncSession, person_id: UUID, may_know: MayKnow | None = None
) -> dict[str, Explanation]:
    """The same for every decision that stands for a person, by programme."""
    asked = await ask_standing(session, person_id)
    return {programme: await explain(session, one, may_know) for programme, one in asked.items()}


async def differing_today(
    session: AsyncSession, decisions: Sequence[Decision], today: date
) -> dict[UUID, list[Contradiction]]:
    """By decision, where registers differ today about what it was referred for."""
    kinds = {
        decision.id: {r["params"]["fact"] for r in decision.reasons if r["code"] == CONTRADICTION}
        for decision in decisions
    }
    about = {decision.id: decision.person_id for decision in decisions if kinds[decision.id]}
    near = {
        person_id: concerned(subject)
        for person_id, subject in (await facts.subjects(session, set(about.values()), today)).items()
    }
    everybody = {key for some in near.values() for key in some}
    wanted = {fact for some in kinds.values() for fact in some}
    found = await contradictions(session, everybody, today, kinds=wanted) if everybody else {}
    return {
        decision.id: [
            one
            for key in sorted(near.get(decision.person_id, ()))
            for one in found.get(key, ())
            if one.fact in kinds[decision.id]
        ]
        for decision in decisions
    }


def _others(decision: Decision) -> Mapping[str, Outcome]:
    return {name: Outcome(outcome) for name, outcome in decision.others.items()}


# ---- once more ----


async def replay(session: AsyncSession, decision_id: UUID) -> Replayed:
    """Works a decision out again from its rule, its amounts, and the facts as they were known then."""
    decision = await session.get(Decision, decision_id)
    if decision is None:
        raise NotFound
    inputs = await inputs_of(session, decision, from_history=True)
    ruling = await _again(session, decision, inputs)
    kept = said(ruling)
    return Replayed(
        decision,
        same_rule=inputs.same_rule,
        same_parameters=inputs.same_parameters,
        same_facts=inputs.same_facts,
        same_ruling=(ruling.outcome, ruling.ground, ruling.payer, kept.reasons, kept.missing, kept.brings)
        == (
            decision.outcome,
            decision.ground,
            decision.payer,
            decision.reasons,
            decision.missing,
            decision.brings,
        )
        and ruling.changes_on == decision.changes_on
        and ruling.until == decision.until,
        outcome=ruling.outcome,
    )


async def _again(session: AsyncSession, decision: Decision, inputs: Inputs) -> Ruling:
    subject = inputs.subject or Subject(str(decision.person_id), {})
    ruling = decide(
        inputs.version,
        subject,
        inputs.parameters,
        decision.day,
        held_since=decision.held_since,
        others=_others(decision),
    )
    if ruling.outcome is Outcome.UNDETERMINED and ruling.missing:
        kinds = {missing.fact for missing in ruling.missing}
        found = await contradictions(
            session, concerned(subject), decision.day, decision.decided_at, kinds=kinds
        )
        differ = {person_id: {one.fact for one in some} for person_id, some in found.items()}
        return referred(ruling, disputed(subject, differ), decision.day)
    # That no request was made is what the decision says itself; there is no other place that keeps it.
    unasked = any(reason["code"] == NO_REQUEST for reason in decision.reasons)
    return without_request(ruling) if unasked and ruling.on_request else ruling
