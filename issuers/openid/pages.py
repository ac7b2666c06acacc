"""Where a wallet sends its user's browser: sign in, see what the wallet gets, agree or not."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit
from uuid import UUID

from litestar import Request, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.response import Redirect, Template

from core.access.rules import Caller, Role, allow, anyone
from core.headers import content_security_policy
from core.languages import language_of
from core.pages import LANGUAGES, texts
from entitlements.people import service as people
from issuers.openid import consenting
from issuers.openid.answers import OAuthError, form_of
from issuers.openid.desk import Desk, provide_desk
from issuers.openid.issuer import AUTHORIZE, reachable
from issuers.openid.models import CredentialOffer, PushedRequest
from issuers.openid.pushing import pushed

TEXTS = Path(__file__).parent / "texts.yaml"
HOLDERS = (Role.CITIZEN, Role.GUARDIAN)


@get(AUTHORIZE, include_in_schema=False, guards=[reachable, anyone])
async def ask_consent(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
) -> Template | Redirect:
    """Shows whoever is signed in what a wallet wishes; others sign in first and come back."""
    query = _query(request)
    wish = await _wish(desk, query)
    if wish is None:
        return _notice(request, "wrong", status=400)
    caller = request.scope.get("user")
    if isinstance(caller, Caller) and not caller.has(*HOLDERS):
        # Whoever is sent to sign in once more comes back as the same, and so for ever.
        return _notice(request, "other", status=403, link="/card")
    if not isinstance(caller, Caller):
        here = f"{AUTHORIZE}?{urlencode(query)}"
        return Redirect(f"/login?return_to={quote(here, safe='')}", status_code=303)
    own = await people.whoami(desk.session, caller)
    if own is None:
        return _notice(request, "connect", link="/card")
    target = urlsplit(wish.redirect_uri)
    # A form's answer may lead to the wallet only where the page's policy names it.
    there = (
        f"{target.scheme}://{target.netloc}" if target.scheme in {"https", "http"} else f"{target.scheme}:"
    )
    return _page(
        request,
        "issuers/consent.html",
        headers={"Content-Security-Policy": content_security_policy(there)},
        wallet=wish.client_name or wish.client_id,
        ward=await _ward(desk, own, wish),
        target=target.hostname if target.scheme in {"https", "http"} else f"{target.scheme}:",
        client_id=wish.client_id,
        request_uri=query["request_uri"],
        keep=urlencode({name: query[name] for name in ("client_id", "request_uri")}) + "&",
    )


@post(
    AUTHORIZE,
    include_in_schema=False,
    status_code=303,
    guards=[reachable, allow(*HOLDERS)],
)
async def take_decision(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    desk: NamedDependency[Desk],
) -> Template | Redirect:
    """Sends the browser back to the wallet, with a code or with a refusal; after a second press too."""
    try:
        form = await form_of(request)
    except OAuthError:
        return _notice(request, "wrong", status=400)
    wish = await _wish(desk, form, decided=True)
    decision = form.get("decision")
    if wish is None or decision not in {"allow", "deny"}:
        return _notice(request, "wrong", status=400)
    person_id = await people.whoami(desk.session, caller)
    if decision == "deny" or person_id is None:
        where = await consenting.deny(desk, wish, "the person did not agree")
    else:
        where = await consenting.allow(desk, caller, person_id, wish)
    return _notice(request, "wrong", status=400) if where is None else Redirect(where, status_code=303)


def _query(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The two parameters that count, each given once; what else stands there was not pushed and is not heard."""
    said = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    named = [(name, value) for name, value in said if name in {"client_id", "request_uri"}]
    # PostgreSQL looks for no text with a NUL in it, and nothing was pushed under one.
    legible = not any("\0" in value for _, value in named)
    return dict(named) if legible and len(named) == len(dict(named)) else {}


async def _wish(desk: Desk, said: dict[str, str], *, decided: bool = False) -> PushedRequest | None:
    client_id, request_uri = said.get("client_id"), said.get("request_uri")
    if not client_id or not request_uri:
        return None
    return await pushed(desk.session, client_id, request_uri, desk.now, decided=decided)


async def _ward(desk: Desk, own: UUID, wish: PushedRequest) -> str | None:
    """The given name of the ward whose card it is; None where it is the own."""
    if wish.offer_id is None:
        return None
    offer = await desk.session.get_one(CredentialOffer, wish.offer_id)
    meant = await consenting.about(desk, own, offer)
    if meant in {None, own}:
        return None
    identity = await people.identity_of(desk.session, desk.vault, offer.person_id)
    return (identity.given_name if identity is not None else None) or "…"


def _page(
    request: Request[Any, Any, Any],
    name: str,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    **context: Any,
) -> Template:
    language = language_of(request)
    return Template(
        name,
        status_code=status,
        headers=headers,
        context={"language": language, "languages": LANGUAGES, "t": texts(TEXTS)[language], **context},
    )


def _notice(request: Request[Any, Any, Any], what: str, *, status: int = 200, link: str = "") -> Template:
    t = texts(TEXTS)[language_of(request)]
    return _page(
        request,
        "issuers/notice.html",
        status=status,
        title=t[f"{what}_title"],
        text=t[what],
        link=f"{link}?lang={language_of(request)}" if link else "",
        link_text=t.get(f"{what}_do", ""),
    )


router = Router(
    "/",
    route_handlers=[ask_consent, take_decision],
    dependencies={"desk": Provide(provide_desk, sync_to_thread=False)},
)
