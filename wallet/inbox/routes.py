"""The doors to the inbox."""

from datetime import datetime
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from core.languages import Language
from core.settings import Settings
from wallet.inbox import service
from wallet.inbox.schemas import InboxView


@get("/inbox", operation_id="readInbox", responses=problems(400, 401, 403, 404))
async def read_inbox(
    language: NamedDependency[Language],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> InboxView:
    """What the city has told the caller and those for whom they act; with Acting-For, one of them."""
    return await service.read(session, caller, language, settings=settings, now=now)


@post(
    "/inbox/{message_id:uuid}/read",
    operation_id="markRead",
    status_code=204,
    responses=problems(400, 401, 403, 404),
)
async def mark_read(
    message_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> None:
    """Say that a message was read; only the first time counts."""
    await service.mark_read(session, caller, message_id, settings=settings, now=now)


router = Router(
    path="/v1",
    route_handlers=[read_inbox, mark_read],
    guards=[allow(Role.CITIZEN, Role.GUARDIAN)],
    tags=["Wallet"],
)
