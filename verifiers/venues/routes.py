"""The doors to venues: everybody may see them, their managers open, change and close them."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow, anyone
from core.errors import problems
from verifiers.venues import service
from verifiers.venues.caching import Cached, cacheable
from verifiers.venues.schemas import NewVenue, VenueChange, VenueView

# One path has doors for several: each names its own guard.
MANAGERS = allow(Role.OPERATOR, Role.PARTNER_MANAGER)


@get("/", operation_id="listVenues", guards=[anyone], responses=problems(400))
async def list_venues(
    request: Request[Any, Any, Any],
    session: NamedDependency[AsyncSession],
    *,
    today: NamedDependency[date],
    kind: Annotated[
        str | None,
        QueryParameter(pattern="^[a-z0-9][a-z0-9_-]{0,63}$", description="Only places of this kind"),
    ] = None,
    after: Annotated[
        int, QueryParameter(ge=0, le=0xFFFFFFFF, description="The last number of the page before")
    ] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 200,
) -> Cached[list[VenueView]]:
    """See the places where the card counts, by their number, page by page."""
    found = await service.listed(session, kind=kind, after=after, limit=limit)
    revision = await service.revision(session)
    return cacheable(request, revision, today, [VenueView.model_validate(venue) for venue in found])


@get("/{venue_id:uuid}", operation_id="getVenue", guards=[anyone], responses=problems(400, 404))
async def get_venue(venue_id: FromPath[UUID], session: NamedDependency[AsyncSession]) -> VenueView:
    """See one place."""
    return VenueView.model_validate(await service.get(session, venue_id))


@post("/", operation_id="openVenue", guards=[MANAGERS], responses=problems(400, 401, 403, 404, 409, 422))
async def open_venue(
    data: JSONBody[NewVenue],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> VenueView:
    """Add a place to an organisation that you manage; it gets the number for the sign at its door."""
    return VenueView.model_validate(await service.open_venue(session, caller, data, now))


@patch(
    "/{venue_id:uuid}",
    operation_id="changeVenue",
    guards=[MANAGERS],
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def change_venue(
    venue_id: FromPath[UUID],
    data: JSONBody[VenueChange],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> VenueView:
    """Change what is known of a place that you manage."""
    return VenueView.model_validate(await service.change(session, caller, venue_id, data, now))


@delete(
    "/{venue_id:uuid}",
    operation_id="closeVenue",
    guards=[MANAGERS],
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def close_venue(
    venue_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> None:
    """Close a place that you manage: its scanners check nothing any more."""
    await service.close(session, caller, venue_id, now)


router = Router(
    "/v1/venues",
    route_handlers=[list_venues, get_venue, open_venue, change_venue, close_venue],
    tags=["venues"],
)
