"""Stands before every door and writes into the request who calls."""

from typing import Any

from litestar import Request
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from core.access.doorkeeper import doorkeeper_of
from core.database import Look

LOOK = "look"
"""Under which name a request's state keeps its look at the database."""
READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Authentication(ASGIMiddleware):
    """Sets `scope["user"]` to the Caller, or to None where nobody said who they are; guards do the rest.

    A proof that does not hold is answered at once (401): who sends one wants to know.
    """

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        state = scope["litestar_app"].state
        scope["user"] = scope["auth"] = None
        # A wallet shows tokens that are not of our provider, and says nothing of who holds it.
        if scope["route_handler"].opt.get("for_wallets"):
            await next_app(scope, receive, send)
            return
        request = Request[Any, Any, Any](scope, receive, send)
        # Who calls and what they ask for are read in one transaction.
        look = scope["state"][LOOK] = Look(state.database)
        try:
            scope["user"] = await doorkeeper_of(state).establish(request, look, state.clock.now())
            if not _goes_on(scope):
                await look.close()
            await next_app(scope, receive, send)
        finally:
            await look.close()


def _goes_on(scope: Scope) -> bool:
    """Whether the door looks further; no connection waits until an answer has reached whoever asked."""
    return reads_only(scope) and "session" in scope["route_handler"].parsed_fn_signature.parameters


def reads_only(scope: Scope) -> bool:
    """Whether a door writes nothing. A GET that has to (the way back from the OpenID provider) says so: `writes`."""
    return (
        scope["type"] == ScopeType.HTTP
        and scope["method"] in READING
        and not scope["route_handler"].opt.get("writes")
    )
