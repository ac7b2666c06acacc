"""Stands before every door and writes into the request who calls."""

from typing import Any

from litestar import Request
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from core.access.doorkeeper import doorkeeper_of


class Authentication(ASGIMiddleware):
    """Sets `scope["user"]` to the Caller, or to None where nobody said who they are; guards do the rest.

    A proof that does not hold is answered at once (401): who sends one wants to know.
    """

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        state = scope["litestar_app"].state
        scope["user"] = scope["auth"] = None
        # A wallet shows tokens that are not of our provider, and says nothing of who holds it.
        if not scope["route_handler"].opt.get("for_wallets"):
            request = Request[Any, Any, Any](scope, receive, send)
            scope["user"] = await doorkeeper_of(state).establish(request, state.clock.now())
        await next_app(scope, receive, send)
