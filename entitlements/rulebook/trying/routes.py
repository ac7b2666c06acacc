"""The doors for those who write rules: try one on a made-up person, and see what a rule may speak of."""

from datetime import date

from anyio.to_thread import run_sync
from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Role, allow
from core.errors import problems
from core.languages import Language
from entitlements.facts.catalogue import vocabulary
from entitlements.language import RuleError
from entitlements.rulebook import service

from .rules import RuleNotReadable, Trial, attempt, person
from .schemas import NewTrial, TrialView, VocabularyView, plain_facts


@post("/trials", operation_id="tryRule", status_code=200, responses=problems(400, 401, 403, 422))
async def try_rule(
    data: JSONBody[NewTrial],
    session: NamedDependency[AsyncSession],
    today: NamedDependency[date],
    language: NamedDependency[Language],
) -> TrialView:
    """Try a rule on a made-up person: what both back ends say, why, until when, and the rule in every way to write it.

    Nothing is kept.
    """
    day = data.day or today
    book = await service.in_force(session)
    known = vocabulary({name: parameter.type for name, parameter in book.parameters.items()})

    def judged() -> Trial:
        subject = person(
            plain_facts(data.facts),
            {kind: [plain_facts(member) for member in members] for kind, members in data.households.items()},
            day,
            rest_absent=data.rest_absent,
        )
        return attempt(data.rule(), known, subject, book.parameters_on(day), day)

    try:
        # A rule may be large, and the second back end opens a database of its own.
        trial = await run_sync(judged)
    except RuleError as error:
        raise RuleNotReadable([error], language, data.expression) from None
    return TrialView.of(trial, data, day, language)


@get("/vocabulary", operation_id="showVocabulary", responses=problems(400, 401, 403))
async def show_vocabulary(
    session: NamedDependency[AsyncSession],
    today: NamedDependency[date],
    language: NamedDependency[Language],
    on: FromQuery[date | None] = None,
) -> VocabularyView:
    """See everything that a rule may speak of: facts, households, amounts, kinds of condition, signs and functions."""
    book = await service.in_force(session)
    return VocabularyView.of(book.parameters, language, on or today)


router = Router(
    "/v1/rules",
    route_handlers=[try_rule, show_vocabulary],
    guards=[allow(Role.RULE_AUTHOR, Role.RULE_APPROVER)],
    tags=["rules"],
)
"""For those who write rules and those who approve them."""
