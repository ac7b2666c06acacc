"""Who may call what: roles, the caller as a value, and the guard that every door carries."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from core.errors import NotAllowed, NotSignedIn


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
    """Level of assurance that the provider named (`acr`); empty for machines."""
    authenticated_at: datetime | None = None
    acting_for: UUID | None = None
    """The person on whose behalf the caller acts (a child, or the citizen at the desk)."""
    channel: Channel = Channel.WEB
    reason: str | None = None
    session_id: UUID | None = field(default=None, compare=False)

    def has(self, *roles: Role) -> bool:
        return not self.roles.isdisjoint(roles)


Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], None]


def allow(*roles: Role) -> Guard:
    """Lets callers with one of `roles` through: 401 for nobody, 403 for somebody else.

    The roles stand on the guard as `.roles`, so that a test can read every door's answer.
    """
    admitted = frozenset(roles)

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        caller = connection.scope.get("user")
        if not isinstance(caller, Caller):
            raise NotSignedIn
        if caller.roles.isdisjoint(admitted):
            raise NotAllowed

    guard.roles = admitted  # type: ignore[attr-defined]
    return guard


def anyone(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """The guard of public doors; it stands there so that an unguarded door is a mistake."""


def signed_in(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Lets every established caller through."""
    if not isinstance(connection.scope.get("user"), Caller):
        raise NotSignedIn


def known_roles(names: Iterable[str]) -> frozenset[Role]:
    """The roles among `names`; a provider may send others, which mean nothing here."""
    known = set(Role)
    return frozenset(Role(name) for name in names if name in known)
