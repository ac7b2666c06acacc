"""The doors to the holder's card and a phone's batch."""

from datetime import datetime
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from core.languages import Language
from core.settings import Settings
from core.texts import b64url
from core.vault import Vault
from wallet.cards import service
from wallet.cards.schemas import CardKind, CardsView, CardView, SignedCardView, TopUp


@get("/card", operation_id="readCard", responses=problems(400, 401, 403, 404))
async def read_card(
    language: NamedDependency[Language],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> CardView:
    """The one neutral card, with what it brings, why, and until when."""
    return await service.show(session, caller, language, settings=settings, now=now)


@post(
    "/devices/{device_id:uuid}/cards",
    operation_id="topUpCards",
    responses=problems(400, 401, 403, 404, 409, 422, 429, 503),
)
async def top_up_cards(
    *,
    device_id: FromPath[UUID],
    data: JSONBody[TopUp],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> CardsView:
    """Fresh cards for a phone, one for each key it brings; with Acting-For, those of a ward."""
    batch = await service.top_up(session, vault, caller, device_id, data, settings=settings, now=now)
    return CardsView(
        cards=[
            SignedCardView(
                card=b64url(issued.signed),
                kind=CardKind.NAMED if issued.named else CardKind.NAMELESS,
                expires_at=issued.expires_at,
            )
            for issued in batch.cards
        ],
        outstanding=batch.outstanding,
        code_host=settings.code_host,
        server_time=now,
    )


@post(
    "/card/suspension",
    operation_id="suspendCard",
    status_code=200,
    responses=problems(400, 401, 403, 404, 409),
)
async def suspend_card(
    language: NamedDependency[Language],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> CardView:
    """Suspend the card of whoever the desk acts for on all of their phones, while something is looked into.

    Verifiers refuse it and phones get no fresh one until it is resumed. The holder is told, also when it counts
    again. Cards on paper and in wallets of others stay as they are.
    """
    return await service.pause(session, caller, language, settings=settings, now=now)


@post(
    "/card/resumption",
    operation_id="resumeCard",
    status_code=200,
    responses=problems(400, 401, 403, 404),
)
async def resume_card(
    language: NamedDependency[Language],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> CardView:
    """Let a suspended card count again on every phone; doing it twice changes nothing."""
    return await service.resume(session, caller, language, settings=settings, now=now)


own = Router(
    path="/v1", route_handlers=[top_up_cards], guards=[allow(Role.CITIZEN, Role.GUARDIAN)], tags=["Wallet"]
)
served = Router(
    path="/v1",
    route_handlers=[read_card],
    guards=[allow(Role.CITIZEN, Role.GUARDIAN, Role.CASE_WORKER)],
    tags=["Wallet"],
)
desk = Router(
    path="/v1", route_handlers=[suspend_card, resume_card], guards=[allow(Role.CASE_WORKER)], tags=["Wallet"]
)
