"""The doors to pre-filled requests: here, because whoever accepts one is assessed at once."""

from datetime import date, datetime
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from core.idempotency import Answer
from core.languages import Language
from core.settings import Settings
from core.vault import Vault
from entitlements.decisions.service import assess
from entitlements.people.service import identity_of, subject_of
from entitlements.requests import service
from entitlements.requests.letter import letter
from entitlements.requests.models import BenefitRequest
from entitlements.requests.schemas import NewAcceptance, RequestView
from entitlements.rulebook.service import programme_names

_TEXT = {
    200: ResponseSpec(
        data_container=str,
        media_type="text/plain",
        description="The letter, to be printed and signed",
        generate_examples=False,
    )
}


async def accept(
    session: AsyncSession,
    caller: Caller,
    person_id: UUID,
    request_id: UUID,
    *,
    received_on: date | None = None,
    now: datetime,
    settings: Settings,
) -> BenefitRequest:
    """Makes the request, and grants what it asks for in the same transaction."""
    row = await service.accept(
        session, caller, person_id, request_id, received_on=received_on, now=now, settings=settings
    )
    await assess(session, [person_id], now=now, settings=settings, cause=f"request:{request_id}")
    return row


@get("/", operation_id="listRequests", responses=problems(400, 401, 403, 404))
async def list_requests(
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    today: NamedDependency[date],
    language: NamedDependency[Language],
) -> list[RequestView]:
    """See what the law wants you to request, filled in already, and what you have requested.

    With `Acting-For`, a guardian sees a child's, and a case worker those of whoever is at the desk.
    """
    person_id = await subject_of(session, caller, today)
    names = await programme_names(session, language)
    rows = await service.of_person(session, person_id, today)
    return [RequestView.of(row, names, language) for row in rows]


@post(
    "/{request_id:uuid}/acceptance",
    operation_id="acceptRequest",
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def accept_request(
    *,
    request_id: FromPath[UUID],
    data: JSONBody[NewAcceptance],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
    today: NamedDependency[date],
    settings: NamedDependency[Settings],
    language: NamedDependency[Language],
) -> RequestView:
    """Make the request; what it asks for is granted at once, from the day of the request.

    For a letter, a case worker says on which day it arrived.
    """
    person_id = await subject_of(session, caller, today)
    row = await accept(
        session,
        caller,
        person_id,
        request_id,
        received_on=data.received_on,
        now=now,
        settings=settings,
    )
    return RequestView.of(row, await programme_names(session, language), language)


@post(
    "/{request_id:uuid}/refusal",
    operation_id="declineRequest",
    status_code=204,
    responses=problems(400, 401, 403, 404, 409),
)
async def decline_request(
    *,
    request_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    now: NamedDependency[datetime],
    today: NamedDependency[date],
) -> None:
    """Say no: all that was filled in is deleted, the message about it as well, and the same is not offered again."""
    person_id = await subject_of(session, caller, today)
    await service.decline(session, vault, person_id, request_id, now=now)


@get(
    "/{request_id:uuid}/letter",
    operation_id="printRequest",
    responses={**_TEXT, **problems(400, 401, 403, 404)},
)
async def print_request(
    *,
    request_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    today: NamedDependency[date],
    language: NamedDependency[Language],
) -> Answer:
    """The request as a letter with everything filled in, for whoever wants to sign it on paper."""
    person_id = await subject_of(session, caller, today)
    row = await service.get(session, person_id, request_id)
    view = RequestView.of(row, await programme_names(session, language), language)
    text = letter(view, await identity_of(session, vault, person_id), language)
    return Answer(text, media_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"})


router = Router(
    "/v1/requests",
    route_handlers=[list_requests, accept_request, decline_request, print_request],
    guards=[allow(Role.CITIZEN, Role.GUARDIAN, Role.CASE_WORKER)],
    tags=["entitlements"],
)
