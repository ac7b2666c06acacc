"""Who may call what: roles, the caller as a value, and the guard that every door carries."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from core.errors import BadRequest, NotAllowed, NotSignedIn


class Role(StrEnum):
    """What a caller may be; guarded doors name them, everything else is denied."""

    CITIZEN = "citizen"
    GUARDIAN = "guardian"
    CASE_WORKER = "case-worker"
    RULE_AUTHOR = "rule-author"
    RULE_APPROVER = "rule-approver"
    PARTNER_MANAGER = "partner-manager"
    VENUE_STAFF = "venue-staff"
    TREASURER = "treasurer"
    AUDITOR = "auditor"
    DATA_PROTECTION_OFFICER = "data-protection-officer"
    OPERATOR = "operator"
    INTEGRATION_CLIENT = "integration-client"
    SCANNER = "scanner"


class PrincipalKind(StrEnum):
    """What kind of anyone or anything authenticates."""

    LOGIN = "login"
    REGISTER = "register"
    TILL = "till"
    SCANNER = "scanner"


class Channel(StrEnum):
    """How the person reached us."""

    WEB = "web"
    DESK = "desk"
    PHONE = "phone"


class Method(StrEnum):
    """How the caller proved who it is."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105
    SIGNATURE = "signature"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as what, for whom, by which channel and why."""

    principal_id: UUID
    kind: PrincipalKind
    roles: frozenset[Role]
    method: Method
    level: str = ""
    """Level of assurance of the sign-in, one of `Level`; empty for machines."""
    authenticated_at: datetime | None = None
    acting_for: UUID | None = None
    """The person on whose behalf the caller acts (a child, or the citizen at the desk)."""
    channel: Channel = Channel.WEB
    reason: str | None = None
    session_id: UUID | None = field(default=None, compare=False)

    def has(self, *roles: Role) -> bool:
        return not self.roles.isdisjoint(roles)


Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]
"""Asynchronous, because Litestar gives every other guard a thread for each request."""


def allow(*roles: Role) -> Guard:
    """Lets callers with one of `roles` through: 401 for nobody, 403 for somebody else.

    The roles stand on the guard as `.roles`, so that a test can read every door's answer.
    """
    admitted = frozenset(roles)

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        caller = connection.scope.get("user")
        if not isinstance(caller, Caller):
            raise NotSignedIn
        if caller.roles.isdisjoint(admitted):
            raise NotAllowed

    guard.roles = admitted  # type: ignore[attr-defined]
    return guard


async def anyone(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """The guard of public doors; it stands there so that an unguarded door is a mistake."""


async def signed_in(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Lets every established caller through."""
    if not isinstance(connection.scope.get("user"), Caller):
        raise NotSignedIn


def known_roles(names: Iterable[str]) -> frozenset[Role]:
    """The roles among `names`; a provider may send others, which mean nothing here."""
    known = set(Role)
    return frozenset(Role(name) for name in names if name in known)


# ---- sessions ----


class Level(StrEnum):
    """How surely a sign-in tells who somebody is."""

    BASIC = "basic"
    SUBSTANTIAL = "substantial"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Ceiling:
    """How long a session lasts: without a request, and altogether."""

    idle: timedelta
    absolute: timedelta


CEILINGS: Mapping[Level, Ceiling] = {
    Level.BASIC: Ceiling(timedelta(minutes=60), timedelta(hours=12)),
    Level.SUBSTANTIAL: Ceiling(timedelta(minutes=30), timedelta(hours=2)),
    Level.HIGH: Ceiling(timedelta(minutes=5), timedelta(minutes=30)),
}
"""The surer the sign-in, the more it opens, and the sooner it ends."""


def is_over(ceiling: Ceiling, *, seen_at: datetime, expires_at: datetime, now: datetime) -> bool:
    """Whether a session has reached one of its two ends."""
    return now >= expires_at or now >= seen_at + ceiling.idle


# ---- claims of the city's provider ----


def claim(claims: Mapping[str, object], path: str) -> object:
    """The value at a dotted path; a claim whose own name has dots in it goes first."""
    if path in claims:
        return claims[path]
    found: object = claims
    for part in path.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(part)
    return found


def roles_in(
    claims: Mapping[str, object], path: str, renamed: Mapping[str, str] | None = None
) -> frozenset[Role]:
    """The roles that a provider states; `renamed` leads from its names to ours.

    What a machine alone can be is never taken from a person's sign-in.
    """
    stated = claim(claims, path)
    if isinstance(stated, str):
        stated = stated.split()
    if not isinstance(stated, list):
        return frozenset()
    names = [name for name in stated if isinstance(name, str)]
    return known_roles((renamed or {}).get(name, name) for name in names) - _MACHINES_ONLY


_MACHINES_ONLY = frozenset({Role.SCANNER, Role.INTEGRATION_CLIENT})


# ---- what a browser hands in ----


def local_path(wanted: str | None) -> str:
    """Where to go after signing in: a path of ours as it stands, everything else is the start page.

    A browser reads two slashes, slash and backslash, and a tab in between as another site, and so must we.
    """
    if wanted is None or not 1 <= len(wanted) <= 500 or not wanted.startswith("/"):
        return "/"
    plain = all("!" <= sign <= "~" for sign in wanted) and "\\" not in wanted
    parts = urlsplit(wanted) if plain and not wanted.startswith("//") else None
    return wanted if parts is not None and not parts.scheme and not parts.netloc else "/"


def is_forged(method: str, *, fetch_site: str | None, origin: str | None, ours: Iterable[str | None]) -> bool:
    """Whether another site made the browser send this: asked of every write that comes with a cookie.

    A browser says where a write came from. Who says nothing is no browser, and holds the cookie itself.
    """
    if method in {"GET", "HEAD", "OPTIONS"}:
        return False
    if fetch_site is not None:
        return fetch_site not in {"same-origin", "none"}
    return origin is not None and origin not in ours


class HeaderRefused(BadRequest):
    """One of the headers that say for whom, how and why somebody calls is not of its form."""

    slug, title = "header-refused", "A header is not of the described form"


@dataclass(frozen=True, slots=True)
class Errand:
    """For whom somebody calls, by which channel and why."""

    acting_for: UUID | None = None
    channel: Channel = Channel.WEB
    reason: str | None = None


def errand(headers: Mapping[str, str]) -> Errand:
    """Reads `Acting-For`, `Channel` and `Reason`; HeaderRefused where one is not of its form.

    A reason may be percent-encoded, since a header carries no umlaut.
    """
    acting_for, channel, reason = headers.get("acting-for"), headers.get("channel"), headers.get("reason")
    try:
        whom = None if acting_for is None else UUID(acting_for)
    except ValueError:
        raise HeaderRefused("Acting-For is the id of a person") from None
    try:
        how = Channel.WEB if channel is None else Channel(channel)
    except ValueError:
        raise HeaderRefused("Channel is web, desk or phone") from None
    return Errand(whom, how, None if reason is None else _reason(reason))


def _reason(raw: str) -> str:
    try:
        # ASGI hands headers over as Latin-1; what was meant is UTF-8, escaped or not.
        text = unquote(raw.encode("latin-1").decode("utf-8"), errors="strict").strip()
    except UnicodeError:
        raise HeaderRefused("Reason is text in UTF-8, percent-encoded where it is not ASCII") from None
    if not 1 <= len(text) <= 200 or not text.isprintable():
        raise HeaderRefused("Reason is one line of at most 200 characters")
    return text
