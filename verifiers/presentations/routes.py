"""The doors to presentations: ask and hear what came of it; and those for wallets, where OpenID4VP 1.0 wants them."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from litestar import MediaType, Request, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response import Redirect, Template
from litestar.types import Guard
from sqlalchemy.ext.asyncio import AsyncSession

from core.access import cookies
from core.access.rules import Caller, Role, allow, anyone
from core.clock import day_of
from core.errors import problems
from core.headers import FOR_WALLETS
from core.idempotency import Answer
from core.languages import Language, language_of
from core.limits.rules import Limit
from core.limits.service import limited
from core.pages import LANGUAGES, texts
from core.settings import Settings
from issuers.openid.answers import NO_STORE, OAuthError, answering, form_of, said
from issuers.openid.desk import Desk, provide_desk
from issuers.openid.foreign import ForeignLists
from issuers.openid.issuer import reachable
from issuers.openid.schemas import OAuthProblem
from issuers.status.routes import provide_statuses
from verifiers.checks.places import told
from verifiers.checks.schemas import OfferShown
from verifiers.offers import service as offers
from verifiers.offers.words import words
from verifiers.presentations import answering as answers
from verifiers.presentations import service
from verifiers.presentations.asking import MEDIA_TYPE, REQUESTS, RETURN
from verifiers.presentations.schemas import NewPresentation, OutcomeView, PresentationView, Redirection
from verifiers.presentations.service import Outcome, Wish

WORDS = words(Path(__file__).with_name("words.yaml"))
TEXTS = Path(__file__).with_name("texts.yaml")
BROWSER = "citycard-presentation"
"""The cookie that ties a question to the browser that asked it."""

LARGEST = 256 * 1024
LONGEST_NONCE = 512
BUSY = Limit(6000, timedelta(minutes=1))
"""How often one address may knock: many phones and tills share one, and each till asks every second."""
ASKING = Limit(3000, timedelta(minutes=1))
"""How often one caller may ask: a venue with many tills stays well below."""

ASKERS = allow(
    Role.SCANNER,
    Role.VENUE_STAFF,
    Role.PARTNER_MANAGER,
    Role.OPERATOR,
    Role.CASE_WORKER,
    Role.CITIZEN,
    Role.GUARDIAN,
)


def house_of(request: Request[Any, Any, Any]) -> answers.House:
    """What answers need of this application: made at the first one, shared by all."""
    state = request.app.state
    if "presentations" not in state:
        state.presentations = answers.House(
            state.database,
            state.vault,
            state.settings,
            provide_statuses(request),
            ForeignLists(state.settings),
        )
    house: answers.House = state.presentations
    return house


# ---- asking ----


@post(
    "/presentations",
    operation_id="askWallet",
    guards=[ASKERS, limited("presentations", ASKING)],
    status_code=201,
    responses={
        201: ResponseSpec(PresentationView, description="What the wallet opens", generate_examples=False),
        **problems(400, 401, 403, 404, 409, 422, 429, 503),
    },
)
async def ask_wallet(
    *,
    request: Request[Any, Any, Any],
    data: JSONBody[NewPresentation],
    caller: NamedDependency[Caller],
    desk: NamedDependency[Desk],
) -> Answer:
    """Ask anyone's wallet: show the link as a QR code, or open it on this device, and read the outcome.

    A venue asks for the tariffs of its offers and hears yes or no. From home or at the desk, an attestation of
    somebody else's can be shown instead; what it states is then known, and judged, at once.
    """
    wish = Wish(
        venue_id=data.venue_id,
        offer_id=data.offer_id,
        tariffs=data.tariffs,
        with_name=data.with_name,
        attestation=data.attestation,
        flow=data.flow,
        return_to=data.return_to,
        scheme=data.scheme,
        method=data.request_uri_method,
        browser=request.cookies.get(cookies.name(desk.settings, BROWSER)),
    )
    opened = await service.ask(desk, caller, wish)
    view = PresentationView(
        authorization_request=opened.link,
        status_url=service.status_url(desk.settings, opened.watch),
        flow=opened.flow,
        expires_at=opened.expires_at,
    )
    kept = (
        []
        if opened.browser is None
        else [cookies.given(desk.settings, BROWSER, opened.browser, timedelta(hours=1))]
    )
    return Answer(view, status_code=201, media_type=MediaType.JSON, cookies=kept)


@get(
    "/presentations/{watch:str}",
    operation_id="readPresentation",
    guards=[anyone, limited("presentation-status", BUSY)],
    responses=problems(400, 404, 429, 503),
)
async def read_presentation(
    *,
    watch: FromPath[str],
    desk: NamedDependency[Desk],
    language: NamedDependency[Language],
) -> OutcomeView:
    """Hear how a question stands. Who has its address may ask, for a quarter of an hour; poll each second or two."""
    found = await service.outcome(desk, watch)
    applying = await _applying(desk.session, found, desk.now, desk.settings)
    return OutcomeView(
        status=found.status,
        reason=found.row.reason if found.status == "refused" else None,
        headline=WORDS["status"][found.status][language],
        tariffs=tuple(found.tariffs),
        offers=tuple(OfferShown.model_validate(told(offer, language)) for offer in applying),
        name=found.name,
        expires_at=found.row.expires_at,
    )


async def _applying(
    session: AsyncSession, found: Outcome, now: datetime, settings: Settings
) -> Sequence[Any]:
    if found.row.venue_id is None or not found.tariffs:
        return []
    given = await offers.listed(session, day_of(now, settings.zone), venue_id=found.row.venue_id)
    shown = set(found.tariffs)
    return [
        offer
        for offer in given
        if shown.intersection(offer.tariffs) and (found.name is not None or not offer.needs_name)
    ]


# ---- for wallets ----

_OBJECT = {
    200: ResponseSpec(
        data_container=str,
        media_type=MEDIA_TYPE,
        description="The signed request (JAR, RFC 9101)",
        generate_examples=False,
    )
}
_REFUSED = ResponseSpec(OAuthProblem, description="A refusal, in OAuth's words", generate_examples=False)


@get(
    REQUESTS + "/{reference:str}",
    operation_id="readPresentationRequest",
    media_type=MEDIA_TYPE,
    responses={**_OBJECT, **problems(400, 404, 429, 503)},
)
async def read_request(reference: FromPath[str], desk: NamedDependency[Desk]) -> Answer:
    """The request behind a link, for the wallet that opened it."""
    return _signed(await service.request_object(desk, reference))


@post(
    REQUESTS + "/{reference:str}",
    operation_id="fetchPresentationRequest",
    status_code=200,
    media_type=MEDIA_TYPE,
    responses={**_OBJECT, 400: _REFUSED, **problems(404, 413, 429, 503)},
)
async def fetch_request(
    *, request: Request[Any, Any, Any], reference: FromPath[str], now: NamedDependency[datetime]
) -> Answer:
    """The same for a wallet that adds a nonce of its own, which comes back signed (OpenID4VP 1.0 section 5.10)."""
    state = request.app.state

    async def work() -> Answer:
        nonce = _wallet_nonce(await form_of(request) if await request.body() else {})
        # Nothing is written, though it is a POST.
        async with state.database.reading() as session:
            desk = Desk(session, state.vault, state.settings, now)
            return _signed(await service.request_object(desk, reference, wallet_nonce=nonce))

    return await answering(work())


def _wallet_nonce(form: dict[str, str]) -> str | None:
    nonce = form.get("wallet_nonce")
    if nonce is not None and len(nonce) > LONGEST_NONCE:
        raise OAuthError("invalid_request", "wallet_nonce is too long")
    try:
        described = json.loads(form.get("wallet_metadata", "{}"))
    except (ValueError, RecursionError):
        described = None
    if not isinstance(described, dict):
        raise OAuthError("invalid_request", "wallet_metadata is a JSON object")
    return nonce


def _signed(token: bytes) -> Answer:
    return Answer(token, media_type=MEDIA_TYPE, headers=NO_STORE)


@post(
    REQUESTS + "/{reference:str}/response",
    operation_id="answerPresentationRequest",
    status_code=200,
    responses={
        200: ResponseSpec(Redirection, description="The answer was taken", generate_examples=False),
        400: _REFUSED,
        **problems(413, 429, 503),
    },
)
async def answer_request(
    *, request: Request[Any, Any, Any], reference: FromPath[str], now: NamedDependency[datetime]
) -> Answer:
    """Take a wallet's answer, encrypted, or its refusal (OpenID4VP 1.0 section 8.2). Each request gets one."""

    async def work() -> Answer:
        return said(await answers.answer(house_of(request), reference, await form_of(request), now))

    return await answering(work())


@get(RETURN, include_in_schema=False, status_code=303)
async def return_from_wallet(
    *,
    request: Request[Any, Any, Any],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
    response_code: FromQuery[str] = "",
) -> Redirect | Template:
    """Where a wallet on the same device sends the browser back to; only now does the presentation count.

    A phone may open another browser than the one that asked: its owner reads what to do, and nothing of the answer.
    """
    browser = request.cookies.get(cookies.name(settings, BROWSER))
    where = await answers.come_back(house_of(request), response_code, browser, now)
    if where is not None:
        return Redirect(where, status_code=303, headers=NO_STORE)
    language = language_of(request)
    t = texts(TEXTS)[language]
    shown = {
        "t": t,
        "language": language,
        "languages": LANGUAGES,
        "title": t["lost_title"],
        "text": t["lost"],
    }
    return Template("issuers/notice.html", status_code=404, context=shown)


_AT_THE_DOOR: list[Guard] = [reachable, anyone, limited("presentation-wallets", BUSY)]
_AT_HAND = {"desk": Provide(provide_desk, sync_to_thread=False)}

ours = Router(
    "/v1", route_handlers=[ask_wallet, read_presentation], dependencies=_AT_HAND, tags=["Presentations"]
)
wallets = Router(
    "/",
    route_handlers=[read_request, fetch_request, answer_request],
    guards=_AT_THE_DOOR,
    # Of the router: what a browser asks beforehand (OPTIONS) is answered by it, and not by a handler.
    opt=FOR_WALLETS,
    request_max_body_size=LARGEST,
    dependencies=_AT_HAND,
    tags=["OpenID4VP"],
)
browsers = Router("/", route_handlers=[return_from_wallet], guards=_AT_THE_DOOR, tags=["OpenID4VP"])
ROUTERS = [ours, wallets, browsers]
