"""The doors to what was decided and what is held: for people themselves, and for case workers."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Channel, Role, allow
from core.audit.service import note
from core.errors import problems
from core.languages import Language
from core.settings import Settings
from entitlements.decisions import explaining, service
from entitlements.decisions.discretion import MayKnow, readable_by
from entitlements.decisions.schemas import (
    AssessmentView,
    ContradictionView,
    DecisionView,
    EntitlementView,
    ExplanationView,
    NewAssessment,
    Reading,
    ReferralsView,
    ReferralView,
    ReplayView,
)
from entitlements.people.service import subject_of
from entitlements.rulebook import service as rulebook

PEOPLE = allow(Role.CITIZEN, Role.GUARDIAN, Role.CASE_WORKER)
CASE_WORKERS = allow(Role.CASE_WORKER)


@get("/", operation_id="listEntitlements", guards=[PEOPLE], responses=problems(400, 401, 403, 404))
async def list_entitlements(
    *,
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    today: NamedDependency[date],
    settings: NamedDependency[Settings],
    language: NamedDependency[Language],
    explain: FromQuery[bool] = False,
) -> list[EntitlementView]:
    """See what you hold of each programme, until when, what it brings, and why or why not.

    Where a fact is missing, it says which, and which department can supply it. With `Acting-For`, a guardian
    sees what a child holds, and a case worker what whoever is at the desk holds. `explain=true` adds to each
    the whole explanation: the facts it rests on, what would change it, and the next day on which it can.
    """
    person_id = await subject_of(session, caller, today)
    tariffs = {row.name: row for row in await rulebook.tariffs(session)}
    found = await service.overview(session, person_id)
    may_know = _may_know(session, caller, today)
    whys = await explaining.explain_standing(session, person_id, may_know) if explain else {}
    views = {
        programme: ExplanationView.of(why, language, settings.zone, inside=_inside(caller))
        for programme, why in whys.items()
    }
    return [EntitlementView.of(one, tariffs, language, today, views.get(one.programme)) for one in found]


@get("/", operation_id="listDecisions", guards=[PEOPLE], responses=problems(400, 401, 403, 404))
async def list_decisions(
    *,
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    today: NamedDependency[date],
    programme: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 100,
    language: NamedDependency[Language],
) -> list[DecisionView]:
    """See what was decided about you, the latest first, each with its reasons."""
    person_id = await subject_of(session, caller, today)
    found = await service.decisions_of(session, person_id, programme=programme, limit=limit)
    return [DecisionView.of(decision, language) for decision in found]


@get(
    "/{decision_id:uuid}",
    operation_id="getDecision",
    guards=[PEOPLE],
    responses=problems(400, 401, 403, 404),
)
async def get_decision(
    decision_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    today: NamedDependency[date],
    language: NamedDependency[Language],
) -> DecisionView:
    """See one decision with its reasons."""
    person_id = await subject_of(session, caller, today)
    return DecisionView.of(await service.decision_of(session, person_id, decision_id), language)


@get(
    "/{decision_id:uuid}/explanation",
    operation_id="explainDecision",
    guards=[PEOPLE],
    responses=problems(400, 401, 403, 404),
)
async def explain_decision(
    *,
    decision_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    today: NamedDependency[date],
    settings: NamedDependency[Settings],
    language: NamedDependency[Language],
) -> ExplanationView:
    """See why a decision is what it is: the facts, the law, what is missing, and what would change it.

    It is worked out from what the decision itself was made from, whatever has been learned since. Facts of others
    who are counted together with you for a benefit are named without saying whose; only a case worker at the desk
    sees which member. Of others who merely live at your address nothing is told, your own minor children apart.
    """
    if caller.acting_for is None:
        asked, known = await explaining.ask_own(session, caller.principal_id, decision_id, today)

        async def may_know() -> frozenset[UUID]:
            return known

        explanation = await explaining.explain(session, asked, may_know)
    else:
        asked = await explaining.ask(session, await subject_of(session, caller, today), decision_id)
        explanation = await explaining.explain(session, asked, _may_know(session, caller, today))
    return ExplanationView.of(explanation, language, settings.zone, inside=_inside(caller))


@get(
    "/{decision_id:uuid}/replay",
    operation_id="replayDecision",
    guards=[allow(Role.AUDITOR, Role.CASE_WORKER)],
    responses=problems(400, 401, 403, 404),
)
async def replay_decision(decision_id: FromPath[UUID], session: NamedDependency[AsyncSession]) -> ReplayView:
    """Work a stored decision out again, from the rule and the amounts that it names and the facts as known then.

    Says part by part whether it is the same, bit for bit, and never what the facts say.
    """
    return ReplayView.of(await explaining.replay(session, decision_id))


@post(
    "/", operation_id="assessPerson", guards=[CASE_WORKERS], responses=problems(400, 401, 403, 404, 409, 422)
)
async def assess_person(
    data: JSONBody[NewAssessment],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
    settings: NamedDependency[Settings],
) -> AssessmentView:
    """Judge a person anew, with everybody in a common household, from the facts as they stand now.

    This also gives again what was revoked for loss, fraud or error, and offers again what was declined or ran out,
    where the facts still carry it.
    """
    person_id = await service.known(session, data.person_id)
    note(session, caller, "person.assessed", ("person", person_id), now=now)
    done = await service.assess(
        session, [person_id], now=now, settings=settings, cause="case-worker", reinstate=person_id
    )
    return AssessmentView.model_validate(done)


@get("/", operation_id="listReferrals", guards=[CASE_WORKERS], responses=problems(400, 401, 403))
async def list_referrals(
    *,
    session: NamedDependency[AsyncSession],
    today: NamedDependency[date],
    settings: NamedDependency[Settings],
    after: FromQuery[UUID | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    language: NamedDependency[Language],
) -> ReferralsView:
    """See the cases that wait for a human, the oldest first.

    Those are the ones that a rule refers, and those of people who hold something while a fact is missing:
    nothing ends because a register is silent, but somebody has to look. Where registers contradict each other,
    both statements are shown.
    """
    found = await service.referrals(session, after=after, limit=limit)
    differ = await explaining.differing_today(session, [decision for decision, _ in found], today)
    how = Reading(language, today, settings.zone, inside=True)
    return ReferralsView(
        referrals=[
            ReferralView(
                person_id=decision.person_id,
                held=held,
                decision=DecisionView.of(decision, language),
                contradictions=[
                    ContradictionView.of(one, decision.person_id, how) for one in differ[decision.id]
                ],
            )
            for decision, held in found
        ],
        next=found[-1][0].id if len(found) == limit else None,
    )


def _may_know(session: AsyncSession, caller: Caller, today: date) -> MayKnow | None:
    """Whose facts the reader may read one by one; None for a case worker at the desk, who may read all."""
    if _inside(caller):
        return None
    found: list[UUID] = []

    async def may_know() -> list[UUID]:
        if not found:
            found.extend(await readable_by(session, caller.principal_id, today))
        return found

    return may_know


def _inside(caller: Caller) -> bool:
    """Whether a case worker reads on behalf of whoever stands at the desk (see `subject_of`)."""
    return (
        caller.acting_for is not None
        and caller.has(Role.CASE_WORKER)
        and caller.channel in {Channel.DESK, Channel.PHONE}
    )


ROUTERS = [
    Router("/v1/entitlements", route_handlers=[list_entitlements], tags=["entitlements"]),
    Router(
        "/v1/decisions",
        route_handlers=[list_decisions, get_decision, explain_decision, replay_decision],
        tags=["entitlements"],
    ),
    Router("/v1/assessments", route_handlers=[assess_person], tags=["entitlements"]),
    Router("/v1/referrals", route_handlers=[list_referrals], tags=["entitlements"]),
]
