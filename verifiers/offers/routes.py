"""The doors to offers: everybody may read them, the venues' managers make and withdraw them."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow, anyone
from core.errors import problems
from entitlements.rulebook.service import tariff_bits
from verifiers.offers import service
from verifiers.offers.schemas import NewOffer, OfferView
from verifiers.venues import service as venues
from verifiers.venues.caching import Cached, cacheable

# One path has doors for several: each names its own guard.
MANAGERS = allow(Role.OPERATOR, Role.PARTNER_MANAGER)


@get("/", operation_id="listOffers", guards=[anyone], responses=problems(400))
async def list_offers(
    request: Request[Any, Any, Any],
    session: NamedDependency[AsyncSession],
    *,
    today: NamedDependency[date],
    venue: Annotated[UUID | None, QueryParameter(description="Only what this venue gives")] = None,
    after: Annotated[UUID | None, QueryParameter(description="The last offer of the page before")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 200,
) -> Cached[list[OfferView]]:
    """See what the venues give today, page by page."""
    found = await service.listed(session, today, venue_id=venue, after=after, limit=limit)
    revision = await venues.revision(session)
    return cacheable(request, revision, today, [OfferView.model_validate(offer) for offer in found])


@post("/", operation_id="makeOffer", guards=[MANAGERS], responses=problems(400, 401, 403, 404, 409, 422))
async def make_offer(
    data: JSONBody[NewOffer],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> OfferView:
    """Make an offer at a venue that you manage. Its terms never change; withdraw it and make another."""
    return OfferView.model_validate(
        await service.make(session, caller, data, await tariff_bits(session), now)
    )


@delete(
    "/{offer_id:uuid}",
    operation_id="withdrawOffer",
    guards=[MANAGERS],
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def withdraw_offer(
    offer_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> None:
    """Withdraw an offer of a venue that you manage, at once."""
    await service.withdraw(session, caller, offer_id, now)


router = Router("/v1/offers", route_handlers=[list_offers, make_offer, withdraw_offer], tags=["offers"])
