"""What this issuer is called and where its doors are; nothing here reads a request."""

from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from core.errors import Unavailable
from core.settings import Settings

CONFIGURATION: Final = "city-card"
"""The one credential configuration, which is also its scope: everybody's card looks the same."""

IDENTIFIER: Final = "city-card/1"
"""The credential_identifier of a person's one data set."""

PRE_AUTHORIZED: Final = "urn:ietf:params:oauth:grant-type:pre-authorized_code"

PAR, AUTHORIZE, TOKEN = "/openid/par", "/openid/authorize", "/openid/token"
NONCE, CHALLENGE = "/openid/nonce", "/openid/challenge"
CREDENTIAL, DEFERRED, NOTIFICATION = "/openid/credential", "/openid/deferred", "/openid/notification"
OFFERS: Final = "/openid/offers"

ISSUER_METADATA: Final = "/.well-known/openid-credential-issuer"
SERVER_METADATA: Final = "/.well-known/oauth-authorization-server"


class NotReachable(Unavailable):
    """Wallets speak https; plain http is for this machine's own addresses, where the settings allow it."""

    slug, title = "wallets-need-https", "Wallets cannot reach this server: it has no https address"


def is_reachable(settings: Settings) -> bool:
    """Whether the configured address is one that may be given to wallets."""
    parts = urlsplit(settings.public_url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    return settings.loopback_http and parts.scheme == "http" and is_loopback(parts.hostname)


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


async def reachable(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """The guard of every door for wallets: none is open at an address that they must not believe."""
    if not is_reachable(connection.app.state.settings):
        raise NotReachable


def well_known_path(settings: Settings) -> str:
    """What follows the well-known part: an issuer with a path has it behind, not before (RFC 8414 section 3)."""
    return urlsplit(settings.public_url).path.rstrip("/")
