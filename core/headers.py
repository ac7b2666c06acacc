"""What every answer says to browsers: load nothing from elsewhere, keep nothing, frame nothing."""

from urllib.parse import urlsplit

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.types import Message, Scope

from core.settings import Settings

PUBLIC_DOCUMENT = {"public_document": True}
"""`opt` of a door whose answer any website may read: status lists, the trust list, keys."""

FOR_WALLETS = {"for_wallets": True}
"""`opt` of a door at which a wallet knocks, be it an app or a website: it sees no cookie, takes its own tokens, and its
answer may be read from anywhere."""


def content_security_policy(*form_targets: str) -> str:
    """The policy of every page: everything from here, nothing inline.

    `form_targets` are other origins to which a form's answer may lead; browsers check redirects too.
    """
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "manifest-src 'self'",
            "worker-src 'self'",
            " ".join(["form-action 'self'", *form_targets]),
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
    )


class SecurityHeaders:
    """A `before_send` hook; what a route says itself stands."""

    def __init__(self, settings: Settings) -> None:
        issuer = urlsplit(settings.oidc_issuer)
        # Signing out is a form whose answer leads to the provider.
        targets = [f"{issuer.scheme}://{issuer.netloc}"] if issuer.netloc else []
        self._always = {
            "Content-Security-Policy": content_security_policy(*targets),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Permissions-Policy": "camera=(self), geolocation=(), microphone=(), payment=(), usb=()",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
        }
        if settings.public_url.startswith("https://"):
            self._always["Strict-Transport-Security"] = "max-age=63072000; includeSubDomains"
        self._public = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
        self._wallets = self._public | {"Access-Control-Expose-Headers": "DPoP-Nonce, WWW-Authenticate, *"}
        # What a browser asks before it sends more than a plain form (OPTIONS).
        self._beforehand = {
            "Access-Control-Allow-Headers": "Authorization, Content-Type, DPoP, If-None-Match, "
            "OAuth-Client-Attestation, OAuth-Client-Attestation-PoP",
            "Access-Control-Max-Age": "600",
        }

    async def __call__(self, message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        headers = MutableScopeHeaders.from_message(message)
        # Routing may have failed before a handler was found.
        handler = scope.get("route_handler")
        wanted = self._always
        if handler is not None and (handler.opt.get("public_document") or handler.opt.get("for_wallets")):
            wanted = self._always | (self._wallets if handler.opt.get("for_wallets") else self._public)
            if scope["type"] == ScopeType.HTTP and scope["method"] == "OPTIONS":
                wanted |= self._beforehand
        for name, value in wanted.items():
            headers.setdefault(name, value)
        if "server" in headers:
            del headers["server"]
