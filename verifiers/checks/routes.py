"""The door of the scanners: one code in, one answer out, and nothing that leads back to the guest; flags for operators."""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from core.idempotency import HEADER, Answer, KeyMalformed
from core.languages import Language, language_of
from issuers.status.routes import provide_statuses
from verifiers.checks.flags import flagged
from verifiers.checks.rules import Reason
from verifiers.checks.schemas import NAME_LENGTH, CheckView, FlagsView, FlagView, NewCheck
from verifiers.checks.service import Desk, Scan, Verdict
from verifiers.offers.words import words

WORDS = words(Path(__file__).with_name("words.yaml"))


def desk_of(request: Request[Any, Any, Any]) -> Desk:
    """The one desk of this application: made at the first check, shared by all scanners."""
    state = request.app.state
    if "desk" not in state:
        state.desk = Desk(state.database, state.vault, state.settings, provide_statuses(request))
    desk: Desk = state.desk
    return desk


@post(
    "/checks",
    operation_id="checkCode",
    status_code=200,
    guards=[allow(Role.SCANNER)],
    responses=problems(400, 401, 403, 413, 503),
)
async def check_code(data: JSONBody[NewCheck], request: Request[Caller, Any, Any]) -> Response[CheckView]:
    """Have a code judged, at this scanner's venue and at this moment.

    A live code is accepted once. The same request sent again by the same scanner under the same Idempotency-Key
    is accepted again and counts once; for everybody else it is `replayed`. Words come in the language that
    `?lang=` or Accept-Language asks for: `de`, `de-simple`, `en`.
    """
    key = request.headers.get(HEADER)
    if key is not None and not 1 <= len(key) <= 255:
        raise KeyMalformed
    # Caller and time are taken from where the dependencies would take them: each dependency is a task of its own,
    # and this is the one door at which queues form.
    now: datetime = request.app.state.clock.now()
    verdict = await desk_of(request).check(Scan(request.user.principal_id, data.code, now, key))
    language = language_of(request)
    return Answer(answer(verdict, language, now), media_type="application/json")


def answer(verdict: Verdict, language: Language, now: datetime) -> bytes:
    """The answer's bytes, in the form of `CheckView`."""
    judgement, shown = verdict.judgement, verdict.post.shown
    reason: Reason | None = judgement.reason
    return msgspec.json.encode(
        {
            "outcome": judgement.outcome.value,
            "reason": None if reason is None else reason.value,
            "headline": WORDS["outcome"][judgement.outcome][language],
            "explanation": "" if reason is None else WORDS["reason"][reason][language],
            "offers": [shown[offer.id].said[language] for offer in judgement.offers],
            "offers_with_name": [shown[offer.id].said[language] for offer in judgement.offers_with_name],
            "name": (judgement.name or "").ljust(NAME_LENGTH, "<"),
            "compare_name": judgement.compare_name,
            "clock_off_by": None if judgement.off_by is None else int(judgement.off_by.total_seconds()),
            "time": now,
            "receipt": verdict.receipt,
        }
    )


@get("/card-flags", operation_id="listCardFlags", guards=[allow(Role.OPERATOR)], responses=problems(401, 403))
async def list_card_flags(session: NamedDependency[AsyncSession]) -> FlagsView:
    """Cards that were accepted at two venues within minutes, by day; where, is kept nowhere.

    It proves nothing: somebody may simply be quick. The card stays valid, and its holder is told the next day.
    """
    rows = await flagged(session)
    return FlagsView(flags=[FlagView.model_validate(row) for row in rows])


router = Router("/v1", route_handlers=[check_code, list_card_flags], tags=["checks"])
