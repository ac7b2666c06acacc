"""The doors through which facts arrive, and the one behind which somebody is forgotten."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Router, get, post
from litestar.datastructures import State as AppState
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example, OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.clock import Clock
from core.database import Database
from core.errors import BadRequest, problems
from core.idempotency import Answer
from core.settings import Settings
from core.vault import Vault
from entitlements.deliveries import service
from entitlements.deliveries.models import OVER, Delivery, Mode, State
from entitlements.deliveries.receiving import Announced, Media
from entitlements.deliveries.rules import MOST_MEMBERS, Result
from entitlements.deliveries.schemas import DeliveryPage, DeliveryView, RowPage, RowView
from entitlements.registers.models import Register
from entitlements.registers.service import register_of

READERS = allow(Role.INTEGRATION_CLIENT, Role.CASE_WORKER, Role.OPERATOR)


class MediaUnknown(BadRequest):
    """The rows are in a form that is not taken."""

    slug, title = "media-unknown", "Rows are taken as application/x-ndjson or text/csv"


class AsOfMissing(BadRequest):
    """A full delivery does not say of which moment it is."""

    slug, title = "as-of-missing", "A full delivery must say as of when it is complete"


_NDJSON = """\
{"row": "person", "number": "P-1", "given_name": "Nazlı", "family_name": "Öztürk", "birth_date": "1990-05-00"}
{"row": "household", "household": "H-1", "kind": "registered_household", "members": ["P-1"], "from": "2024-02-01"}
{"row": "fact", "number": "P-1", "fact": "main_residence", "value": true, "from": "2024-02-01"}
"""
_CSV = "row,number,fact,value,from,until\nfact,J-1,sgb2,true,2026-07-01,2026-12-31\n"


@dataclass
class RowsInBody(Operation):
    """The operation as the description shows it: its body is a stream of rows, not one document."""

    def __post_init__(self) -> None:
        text = Schema(type=OpenAPIType.STRING)
        self.request_body = RequestBody(
            required=True,
            description=(
                "One row a line. `person`: number, names, birth_date (1990-05-00 where the day is unknown), street, "
                "postcode, town, email, phone, language, identification_number. `household`: household, kind, all "
                f"members (at most {MOST_MEMBERS}), from, until. `fact`: number (or household and kind), fact, value, "
                "from, until, stated_at; `withdraw: true` in place of a value takes back. CSV names these columns in its first line and "
                "separates members by semicolons."
            ),
            content={
                Media.NDJSON.value: OpenAPIMediaType(
                    schema=text, examples={"rows": Example(summary="Three rows", value=_NDJSON)}
                ),
                Media.CSV.value: OpenAPIMediaType(
                    schema=text, examples={"rows": Example(summary="One fact", value=_CSV)}
                ),
            },
        )


@post(
    "/deliveries",
    operation_id="deliverFacts",
    guards=[allow(Role.INTEGRATION_CLIENT)],
    operation_class=RowsInBody,
    status_code=200,
    request_max_body_size=None,
    opt={"idempotency": "by-name"},
    responses={
        200: ResponseSpec(
            DeliveryView,
            description="Applied, held or rejected; `state` says which",
            generate_examples=False,
        ),
        202: ResponseSpec(
            DeliveryView,
            description="All of it is here, and it goes on after the answer",
            generate_examples=False,
        ),
        **problems(400, 401, 403, 409, 422),
    },
)
async def deliver_facts(
    *,
    request: Request[Any, Any, Any],
    state: AppState,
    caller: NamedDependency[Caller],
    settings: NamedDependency[Settings],
    vault: NamedDependency[Vault],
    now: NamedDependency[datetime],
    name: Annotated[
        str,
        QueryParameter(
            description="The register's own name for it; the same name and content again changes nothing",
            min_length=1,
            max_length=200,
            pattern=r"^[A-Za-z0-9._:/ -]+$",
        ),
    ],
    rows: Annotated[
        int,
        QueryParameter(
            description="How many rows follow; with any other number nothing is applied", ge=0, le=2**53
        ),
    ],
    mode: Annotated[
        Mode,
        QueryParameter(description="`full`: what is left out does not hold any more; `changes`: it stays"),
    ] = Mode.CHANGES,
    as_of: Annotated[
        datetime | None,
        QueryParameter(description="Of which moment the rows are, with time zone; `full` needs it"),
    ] = None,
) -> Answer:
    """Tells the city what a register vouches for.

    Small deliveries are applied before the answer (200); large ones go on after it (202). Each row has a result
    of its own, and a bad one stops no other.
    """
    media = _media(request)
    if as_of is None and mode is Mode.FULL:
        raise AsOfMissing
    if as_of is not None and (as_of.tzinfo is None or not 2000 <= as_of.year < 9000):
        raise BadRequest("as_of is a moment of this century, with its time zone")
    if name != name.strip():
        raise BadRequest("a name does not begin or end with white space")
    announced = Announced(name, mode, as_of, rows, media)
    database: Database = state.database
    clock: Clock = state.clock
    received = await service.deliver(
        database, vault, settings, caller, announced=announced, body=_body(request), now=now, clock=clock
    )
    async with database.reading() as session:
        row = await service.delivery(session, received.delivery_id, None)
        view = _view(row)
    return Answer(view, status_code=200 if row.state in {*OVER, State.HELD} else 202)


def _media(request: Request[Any, Any, Any]) -> Media:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        return Media(given)
    except ValueError:
        raise MediaUnknown from None


async def _body(request: Request[Any, Any, Any]) -> AsyncIterator[bytes]:
    async for piece in request.stream():
        yield piece


def _view(row: Delivery, *, counted: bool = True) -> DeliveryView:
    said = {name: getattr(row, name) for name in DeliveryView.model_fields if name != "results"}
    return DeliveryView(**said, results=row.tally if counted else {})


async def _own(session: AsyncSession, caller: Caller) -> Register | None:
    """The register to which the caller is confined; None for staff."""
    return await register_of(session, caller) if caller.has(Role.INTEGRATION_CLIENT) else None


@get("/deliveries", operation_id="listDeliveries", guards=[READERS], responses=problems(400, 401, 403))
async def list_deliveries(
    *,
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    standing: Annotated[
        State | None, QueryParameter(name="state", description="Only those in this state")
    ] = None,
    before: FromQuery[UUID | None] = None,
    limit: Annotated[int, QueryParameter(description="At most so many", ge=1, le=200)] = 50,
) -> DeliveryPage:
    """Deliveries, newest first; a register sees its own."""
    register = await _own(session, caller)
    found = await service.deliveries(session, register, state=standing, before=before, limit=limit)
    views = [_view(row, counted=False) for row in found]
    return DeliveryPage(deliveries=tuple(views), next=found[-1].id if len(found) == limit else None)


@get(
    "/deliveries/{delivery_id:uuid}",
    operation_id="getDelivery",
    guards=[READERS],
    responses=problems(400, 401, 403, 404),
)
async def get_delivery(
    delivery_id: FromPath[UUID], caller: NamedDependency[Caller], session: NamedDependency[AsyncSession]
) -> DeliveryView:
    """A delivery and how far it has come."""
    return _view(await service.delivery(session, delivery_id, await _own(session, caller)))


@get(
    "/deliveries/{delivery_id:uuid}/rows",
    operation_id="listDeliveryRows",
    guards=[READERS],
    responses=problems(400, 401, 403, 404),
)
async def list_rows(
    *,
    delivery_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    result: FromQuery[Result | None] = None,
    after: Annotated[int, QueryParameter(description="Rows behind this one", ge=0, le=2**62)] = 0,
    limit: Annotated[int, QueryParameter(description="At most so many", ge=1, le=1000)] = 200,
) -> RowPage:
    """What became of each row: its number and a code, never what it said."""
    await service.delivery(session, delivery_id, await _own(session, caller))
    found = await service.rows(session, delivery_id, result=result, after=after, limit=limit)
    return RowPage(
        rows=tuple(RowView.model_validate(row) for row in found),
        next=found[-1].position if len(found) == limit else None,
    )


@post(
    "/deliveries/{delivery_id:uuid}/release",
    operation_id="releaseDelivery",
    status_code=200,
    responses=problems(400, 401, 403, 404, 409),
)
async def release(
    delivery_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> DeliveryView:
    """Lets a held delivery be applied after all."""
    return _view(await service.release(session, caller, delivery_id, now))


@post(
    "/deliveries/{delivery_id:uuid}/rejection",
    operation_id="rejectDelivery",
    status_code=200,
    responses=problems(400, 401, 403, 404, 409),
)
async def reject(
    delivery_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> DeliveryView:
    """Lets nothing of a held delivery count."""
    return _view(await service.reject(session, caller, delivery_id, now))


@post(
    "/deliveries/{delivery_id:uuid}/pause",
    operation_id="pauseDelivery",
    status_code=200,
    responses=problems(400, 401, 403, 404, 409),
)
async def pause(
    delivery_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> DeliveryView:
    """Stops a running delivery after the step that is under way; what is applied stays, and the rest waits."""
    register = await _own(session, caller)
    return _view(await service.pause(session, caller, delivery_id, register, now))


@post(
    "/deliveries/{delivery_id:uuid}/resumption",
    operation_id="resumeDelivery",
    status_code=200,
    responses=problems(400, 401, 403, 404, 409),
)
async def resume(
    delivery_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> DeliveryView:
    """Lets a paused delivery go on where it stopped."""
    register = await _own(session, caller)
    return _view(await service.resume(session, caller, delivery_id, register, now))


@post(
    "/people/{person_id:uuid}/forgetting",
    operation_id="forgetPerson",
    status_code=204,
    responses=problems(400, 401, 403, 404),
)
async def forget_person(
    person_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> None:
    """Destroys a person's identity key and all that names them; it cannot be undone."""
    await service.forget(session, caller, person_id, now)


ROUTERS = [
    Router(
        "/v1", route_handlers=[deliver_facts, list_deliveries, get_delivery, list_rows], tags=["deliveries"]
    ),
    Router(
        "/v1",
        route_handlers=[release, reject],
        guards=[allow(Role.CASE_WORKER, Role.OPERATOR)],
        tags=["deliveries"],
    ),
    Router(
        "/v1",
        route_handlers=[pause, resume],
        guards=[allow(Role.INTEGRATION_CLIENT, Role.OPERATOR)],
        tags=["deliveries"],
    ),
    Router(
        "/v1",
        route_handlers=[forget_person],
        guards=[allow(Role.DATA_PROTECTION_OFFICER)],
        tags=["people"],
    ),
]
