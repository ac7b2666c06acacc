"""The demo's own OpenID provider: small, but a real one, so that the demo signs in as a city would.

It knows its accounts from the code that makes it and everybody's password is the same; production refuses it.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit
from uuid import uuid4

from litestar import MediaType, Request, Response, Router, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.response import Redirect

from core.access.doorkeeper import DEMO_CLIENT_SECRET, DEMO_PROVIDER
from core.access.oidc import CALLBACK, challenge
from core.access.rules import anyone
from core.access.tokens import published_keys
from core.headers import content_security_policy
from core.jose import key_set_document, sign
from core.languages import Language, language_of, preferred
from core.settings import Mode, Settings
from core.texts import b64url
from core.vault import KeyUse, Vault

PASSWORD = "demo"  # noqa: S105  (it stands on the login page)
PHONE_CLIENT = "citycard-phone"
CODE_LASTS = timedelta(minutes=1)
TOKEN_LASTS = timedelta(hours=1)
SESSION_LASTS = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can sign in to the demo."""

    sub: str
    name: str
    roles: tuple[str, ...]
    about: str = ""
    """One line for the login page: whom to choose for what."""
    person: str | None = None
    """The person of the demo city that this is, as the demo city refers to them; travels as claim `person`."""
    level: str = "substantial"
    password: str = PASSWORD


@dataclass(frozen=True, slots=True)
class Client:
    """An application that may send people here."""

    client_id: str
    redirects: tuple[str, ...] = ()
    secret: str | None = None
    """None for a public client, which proves itself by PKCE alone."""
    loopback: bool = False
    """A native application: it listens on this machine, on whatever port is free (RFC 8252 §7.3)."""
    farewells: tuple[str, ...] = ()

    def takes(self, redirect: str) -> bool:
        if redirect in self.redirects:
            return True
        parts = urlsplit(redirect)
        return (
            self.loopback
            and parts.scheme == "http"
            and parts.hostname in {"127.0.0.1", "::1"}
            and "@" not in parts.netloc
            and not parts.fragment
            and "\\" not in redirect
        )


def own_clients(settings: Settings) -> tuple[Client, ...]:
    """The two applications of the demo: this system itself, and the phone."""
    itself = Client(
        settings.oidc_client_id,
        redirects=(settings.public_url + CALLBACK,),
        secret=settings.oidc_client_secret.get_secret_value() or DEMO_CLIENT_SECRET,
        farewells=(settings.public_url + "/",),
    )
    return itself, Client(PHONE_CLIENT, loopback=True)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What an application asks for when it sends somebody here."""

    client: Client
    redirect: str
    state: str | None
    nonce: str | None
    challenge: str
    audience: str | None


@dataclass(frozen=True, slots=True)
class _Grant:
    """A code that was given out: to whom, for whom, until when."""

    wish: _Wish
    account: Account
    at: datetime


class _Declined(Exception):
    """An OAuth error that the application is told of."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error, self.description, self.status = error, description, status


class _NotSentHere(Exception):
    """Nobody who could be told: the application or its address is not known."""


@dataclass(slots=True)
class _Provider:
    settings: Settings
    accounts: Mapping[str, Account]
    clients: Mapping[str, Client]
    newcomer: Callable[[str], Account | None]
    grants: dict[str, _Grant] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return self.settings.public_url + DEMO_PROVIDER

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "end_session_endpoint": f"{self.issuer}/end-session",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "scopes_supported": ["openid"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "claims_supported": ["sub", "name", "roles", "person", "acr", "auth_time", "nonce", "sid"],
        }

    # ---- the wish of an application ----

    def sender(self, query: Mapping[str, str]) -> tuple[Client, str]:
        client, redirect = self.clients.get(query.get("client_id", "")), query.get("redirect_uri", "")
        if client is None or not client.takes(redirect):
            raise _NotSentHere
        return client, redirect

    def wish(self, client: Client, redirect: str, query: Mapping[str, str]) -> _Wish:
        if query.get("response_type") != "code":
            raise _Declined("unsupported_response_type", "only code is given here")
        if "openid" not in query.get("scope", "").split():
            raise _Declined("invalid_scope", "the scope openid is missing")
        challenged = query.get("code_challenge", "")
        if query.get("code_challenge_method") != "S256" or len(challenged) != 43:
            raise _Declined("invalid_request", "PKCE with S256 is required")
        if query.get("prompt") == "none":
            raise _Declined("login_required", "nobody stays signed in here")
        return _Wish(
            client,
            redirect,
            query.get("state"),
            query.get("nonce"),
            challenged,
            self._audience(query.get("resource", query.get("audience"))),
        )

    def _audience(self, asked: str | None) -> str | None:
        if asked is None:
            return None
        ours = self.settings.public_url
        if asked not in {self.settings.oidc_audience, ours, ours + "/", ours + "/v1"}:
            raise _Declined("invalid_target", "no such API is known here")
        return self.settings.oidc_audience

    # ---- answers ----

    def recognise(self, form: Mapping[str, str]) -> Account | None:
        named = form.get("account", "")
        account = self.accounts.get(named) or self.newcomer(named)
        if account is None or not hmac.compare_digest(
            account.password.encode(), form.get("password", "").encode()
        ):
            return None
        return account

    def grant(self, wish: _Wish, account: Account, now: datetime) -> str:
        self.grants = {code: given for code, given in self.grants.items() if now < given.at + CODE_LASTS}
        code = secrets.token_urlsafe(32)
        self.grants[code] = _Grant(wish, account, now)
        return self.back(wish.redirect, wish.state, code=code)

    def back(self, redirect: str, state: str | None, **said: str) -> str:
        query = {**said, **({} if state is None else {"state": state}), "iss": self.issuer}
        return redirect + ("&" if urlsplit(redirect).query else "?") + urlencode(query)

    def authenticate(self, header: str, form: Mapping[str, str]) -> Client:
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() == "basic":
            try:
                named, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                raise _Declined("invalid_client", "the client is not known", 401) from None
            client = self.clients.get(unquote_plus(named))
            if client is not None and client.secret is not None:
                given = unquote_plus(secret).encode()
                if hmac.compare_digest(given, client.secret.encode()):
                    return client
        else:
            client = self.clients.get(form.get("client_id", ""))
            if client is not None and client.secret is None:
                return client
        raise _Declined("invalid_client", "the client is not known", 401)

    def redeem(self, client: Client, form: Mapping[str, str], vault: Vault, now: datetime) -> dict[str, Any]:
        if form.get("grant_type") != "authorization_code":
            raise _Declined("unsupported_grant_type", "only authorization_code is taken here")
        # Taken out at once: whatever comes of it, the code was shown and is good no more.
        given = self.grants.pop(form.get("code", ""), None)
        if (
            given is None
            or now >= given.at + CODE_LASTS
            or given.wish.client is not client
            or given.wish.redirect != form.get("redirect_uri")
            or not hmac.compare_digest(given.wish.challenge, challenge(form.get("code_verifier", "")))
        ):
            raise _Declined("invalid_grant", "the code is not good, or not any more")
        return self.tokens(given, vault, now)

    def tokens(self, given: _Grant, vault: Vault, now: datetime) -> dict[str, Any]:
        signer = vault.signer(vault.ensure(KeyUse.ID_TOKEN, now).key_id, KeyUse.ID_TOKEN)
        account, wish, issued = given.account, given.wish, int(now.timestamp())
        common: dict[str, object] = {
            "iss": self.issuer,
            "sub": account.sub,
            "iat": issued,
            "auth_time": int(given.at.timestamp()),
            "acr": account.level,
            "roles": list(account.roles),
            **({} if account.person is None else {"person": account.person}),
        }
        access = common | {
            # Without a wish for the API, the token is for nothing but this provider itself.
            "aud": wish.audience or self.issuer,
            "client_id": wish.client.client_id,
            "exp": issued + int(TOKEN_LASTS.total_seconds()),
            "jti": str(uuid4()),
        }
        access_token = sign(signer, access, typ="at+jwt")
        identity = common | {
            "aud": wish.client.client_id,
            "azp": wish.client.client_id,
            "exp": issued + int(SESSION_LASTS.total_seconds()),
            "name": account.name,
            "sid": str(uuid4()),
            "at_hash": b64url(hashlib.sha256(access_token.encode()).digest()[:16]),
            **({} if wish.nonce is None else {"nonce": wish.nonce}),
        }
        return {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": int(TOKEN_LASTS.total_seconds()),
            "scope": "openid",
            "id_token": sign(signer, identity, typ="JWT"),
        }


def create_provider(
    settings: Settings,
    accounts: Iterable[Account],
    clients: Sequence[Client] | None = None,
    *,
    newcomer: Callable[[str], Account | None] = lambda _: None,
) -> Router:
    """The provider with these accounts, to be opened beside the other doors; ValueError in production mode.

    `newcomer` makes an account of a name that is not among them, where anybody may register.
    """
    if settings.mode is Mode.PRODUCTION:
        raise ValueError("the demo's OpenID provider knows everybody's password and is not for production")
    provider = _Provider(
        settings,
        {account.sub: account for account in accounts},
        {client.client_id: client for client in clients or own_clients(settings)},
        newcomer,
    )

    @get("/.well-known/openid-configuration")
    async def discovery() -> dict[str, Any]:
        return provider.metadata()

    @get("/jwks")
    async def keys(state: State, now: NamedDependency[datetime]) -> dict[str, Any]:
        vault: Vault = state.vault
        vault.ensure(KeyUse.ID_TOKEN, now)
        return key_set_document(published_keys(vault, KeyUse.ID_TOKEN))

    @get("/style.css")
    async def style() -> Response[str]:
        return Response(_STYLE, media_type="text/css")

    @get("/authorize")
    async def ask(request: Request[Any, Any, Any]) -> Response[Any]:
        return _asked(provider, request)

    @post("/authorize", status_code=303)
    async def answer(request: Request[Any, Any, Any], now: NamedDependency[datetime]) -> Response[Any]:
        form = _once(await request.body())
        return _asked(provider, request, form, now)

    @post("/token", status_code=200)
    async def token(
        request: Request[Any, Any, Any], state: State, now: NamedDependency[datetime]
    ) -> Response[dict[str, Any]]:
        form = _once(await request.body())
        try:
            client = provider.authenticate(request.headers.get("authorization", ""), form)
            return Response(provider.redeem(client, form, state.vault, now))
        except _Declined as declined:
            said = {"error": declined.error, "error_description": declined.description}
            return Response(said, status_code=declined.status)

    @get("/end-session")
    async def farewell(request: Request[Any, Any, Any]) -> Response[Any]:
        query = _once(request.scope["query_string"])
        client, wanted = (
            provider.clients.get(query.get("client_id", "")),
            query.get("post_logout_redirect_uri"),
        )
        if client is not None and wanted in client.farewells:
            return Redirect(str(wanted), status_code=303)
        words = _words(request, query)
        return _page(words, "out", f"<p>{words['out_text']}</p>")

    return Router(
        DEMO_PROVIDER,
        route_handlers=[discovery, keys, style, ask, answer, token, farewell],
        guards=[anyone],
        include_in_schema=False,
    )


def _asked(
    provider: _Provider,
    request: Request[Any, Any, Any],
    form: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> Response[Any]:
    """The login page, the way back to the application, or why there is neither."""
    query = _once(request.scope["query_string"])
    try:
        client, redirect = provider.sender(query)
    except _NotSentHere:
        words = _words(request, query)
        return _page(words, "stranger", f"<p>{words['stranger_text']}</p>", status=400)
    try:
        wish = provider.wish(client, redirect, query)
    except _Declined as declined:
        said = {"error": declined.error, "error_description": declined.description}
        return Redirect(provider.back(redirect, query.get("state"), **said), status_code=303)
    if form is None or now is None:
        return _login_page(provider, request, redirect, _words(request, query))
    account = provider.recognise(form)
    if account is None:
        return _login_page(provider, request, redirect, _words(request, query), failed=True)
    return Redirect(provider.grant(wish, account, now), status_code=303)


def _once(raw: bytes) -> dict[str, str]:
    said = parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=40)
    return dict(said)


# ---- pages ----

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1.125rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 40rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; line-height: 1.2; overflow-wrap: break-word; }
fieldset { border: 1px solid; margin: 1rem 0; }
label { display: block; padding: .5rem 0; }
label small { display: block; margin-left: 2rem; }
input, button { font: inherit; }
input[type=radio] { width: 1.35rem; height: 1.35rem; margin: 0 .4rem 0 0; vertical-align: text-bottom; }
input[type=password] { min-height: 2.8rem; width: 100%; max-width: 24rem; box-sizing: border-box; }
button { padding: .5rem 1.5rem; min-height: 2.8rem; }
[role=alert] { border-left: .4rem solid; padding-left: 1rem; }
"""

_WORDS: Mapping[Language, Mapping[str, str]] = {
    Language.DE: {
        "in": "Anmeldung zur Vorführung",
        "in_text": "Dies ist ein erfundenes Bürgerkonto. Das Passwort ist überall",
        "who": "Wer möchten Sie sein?",
        "password": "Passwort",
        "do": "Anmelden",
        "failed": "Konto und Passwort passen nicht zusammen.",
        "out": "Abgemeldet",
        "out_text": "Sie sind abgemeldet.",
        "stranger": "Anmeldung nicht möglich",
        "stranger_text": "Die Anwendung, von der Sie kommen, ist hier nicht bekannt.",
    },
    Language.DE_SIMPLE: {
        "in": "Hier melden Sie sich an",
        "in_text": "Alle Menschen hier sind erfunden. Das Pass-Wort ist immer",
        "who": "Wer wollen Sie sein?",
        "password": "Pass-Wort",
        "do": "Anmelden",
        "failed": "Das Pass-Wort stimmt nicht.",
        "out": "Sie sind abgemeldet",
        "out_text": "Sie können die Seite jetzt schließen.",
        "stranger": "Sie können sich hier nicht anmelden",
        "stranger_text": "Wir kennen die Seite nicht, von der Sie kommen.",
    },
    Language.EN: {
        "in": "Sign in to the demonstration",
        "in_text": "This is an invented account service. Every password is",
        "who": "Who would you like to be?",
        "password": "Password",
        "do": "Sign in",
        "failed": "Account and password do not fit together.",
        "out": "Signed out",
        "out_text": "You are signed out.",
        "stranger": "Signing in is not possible",
        "stranger_text": "The application that sent you is not known here.",
    },
}


def _words(request: Request[Any, Any, Any], query: Mapping[str, str]) -> Mapping[str, str]:
    """The page's words in the language that the application asks for (`ui_locales`), else in the browser's."""
    asked = query.get("ui_locales", "").split()
    language = preferred(",".join(asked)) if asked else language_of(request)
    return {**_WORDS[language], "lang": language.partition("-")[0]}


def _page(
    words: Mapping[str, str], title: str, body: str, *, status: int = 200, form_target: str | None = None
) -> Response[str]:
    policy = content_security_policy(*([form_target] if form_target else []))
    heading = escape(words[title])
    return Response(
        "<!doctype html>\n"
        f'<html lang="{words["lang"]}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{heading}</title>"
        f'<link rel="stylesheet" href="{DEMO_PROVIDER}/style.css"></head>'
        f"<body><main><h1>{heading}</h1>{body}</main></body></html>\n",
        media_type=MediaType.HTML,
        status_code=status,
        headers={"Content-Security-Policy": policy, "Cache-Control": "no-store"},
    )


def _login_page(
    provider: _Provider,
    request: Request[Any, Any, Any],
    redirect: str,
    words: Mapping[str, str],
    *,
    failed: bool = False,
) -> Response[str]:
    alert = f'<p role="alert">{words["failed"]}</p>' if failed else ""
    # Who is who is told in German alone: these people live in a German city.
    choices = "".join(
        f'<label lang="de"><input type="radio" name="account" value="{escape(account.sub)}" required> '
        f"{escape(account.name)}"
        + (f"<small>{escape(account.about)}</small>" if account.about else "")
        + "</label>"
        for account in provider.accounts.values()
    )
    query = escape(request.scope["query_string"].decode("latin-1"))
    target = urlsplit(redirect)
    return _page(
        words,
        "in",
        f"<p>{words['in_text']} <strong>{PASSWORD}</strong>.</p>"
        f'{alert}<form method="post" action="{DEMO_PROVIDER}/authorize?{query}">'
        f"<fieldset><legend>{words['who']}</legend>{choices}</fieldset>"
        f'<label for="password">{words["password"]}</label>'
        '<input id="password" name="password" type="password" autocomplete="current-password" required>'
        f"<p><button>{words['do']}</button></p></form>",
        status=403 if failed else 200,
        form_target=f"{target.scheme}://{target.netloc}",
    )
