"""Establishes who calls, from whatever proof the request brings: a session's cookie first of all."""

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.datastructures import State

from core.access import cookies, service
from core.access.rules import Caller, Method, errand, is_forged, known_roles
from core.database import Database
from core.errors import NotAllowed
from core.settings import Settings
from core.vault import Vault


class Forged(NotAllowed):
    """The browser says that another site made it send this."""

    slug, title = "cross-site", "This request came from another site"


class Doorkeeper:
    """Knows the proofs; one for the application."""

    def __init__(self, settings: Settings, vault: Vault, database: Database) -> None:
        self.settings, self.vault, self.database = settings, vault, database
        self._cookie = cookies.name(settings, cookies.SESSION)
        self._origin = _origin(settings.public_url)

    async def establish(self, request: Request[Any, Any, Any], now: datetime) -> Caller | None:
        """Who calls; None where the request brings no proof, or a session that is over."""
        token = request.cookies.get(self._cookie)
        return None if token is None else await self._by_session(request, token, now)

    async def _by_session(self, request: Request[Any, Any, Any], token: str, now: datetime) -> Caller | None:
        async with self.database.reading() as session:
            found = await service.find_session(session, token, now)
        if found is None:
            return None
        headers = request.headers
        host = headers.get("host")
        if is_forged(
            request.method,
            fetch_site=headers.get("sec-fetch-site"),
            origin=headers.get("origin"),
            ours=(self._origin, None if host is None else f"{request.url.scheme}://{host}"),
        ):
            raise Forged
        opened, principal = found
        if opened.seen_at + service.TOUCH_AFTER <= now:
            async with self.database.writing() as session:
                await service.touch_session(session, opened.id, now)
        why = errand(headers)
        return Caller(
            principal_id=principal.id,
            kind=principal.kind,
            roles=known_roles(opened.roles),
            method=Method.SESSION,
            level=opened.level,
            authenticated_at=opened.authenticated_at,
            acting_for=why.acting_for,
            channel=why.channel,
            reason=why.reason,
            session_id=opened.id,
        )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def doorkeeper_of(state: State) -> Doorkeeper:
    """The application's doorkeeper, made at the first request unless `create_app` set one."""
    keeper = state.get("doorkeeper")
    if keeper is None:
        keeper = state["doorkeeper"] = Doorkeeper(state.settings, state.vault, state.database)
    return keeper
