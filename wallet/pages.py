"""The holder's own page: one neutral card, what it brings and why, money for children, and the inbox."""

from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

from litestar import Request, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow, anyone, signed_in
from core.languages import language_of
from core.pages import LANGUAGES, texts
from core.settings import Settings
from core.vault import Vault
from entitlements.allowances import service as allowances
from entitlements.allowances.rules import name_of
from entitlements.decisions import on_request
from entitlements.decisions import service as decisions
from entitlements.decisions.schemas import EntitlementView
from entitlements.people import service as people
from entitlements.people.activation import CodeRefused
from entitlements.requests import service as requests
from entitlements.requests.letter import letter
from entitlements.requests.schemas import RequestView, Shown
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.service import programme_names
from wallet.activation import service as activation
from wallet.activation.routes import TRIES
from wallet.activation.schemas import Activation
from wallet.cards import service as cards
from wallet.inbox import service as inbox

TEXTS = Path(__file__).parent / "texts.yaml"


def _page(request: Request[Any, Any, Any], name: str, *, status: int = 200, **context: Any) -> Template:
    """A page of the holder's in the reader's language."""
    language = language_of(request)
    shared = {"language": language, "languages": LANGUAGES, "t": texts(TEXTS)[language]}
    return Template(name, status_code=status, context=shared | context)


@get("/card", include_in_schema=False, guards=[anyone])
async def card_page(
    request: Request[Any, Any, Any],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    *,
    today: NamedDependency[date],
    now: NamedDependency[datetime],
) -> Template | Redirect:
    """The card of whoever is signed in, or of a child of theirs; others are sent to sign in first."""
    language = language_of(request)
    caller = request.scope.get("user")
    if isinstance(caller, Caller) and not caller.has(Role.CITIZEN, Role.GUARDIAN):
        # Whoever is sent to sign in once more comes back as the same, and so for ever.
        return _page(request, "wallet/other.html", status=403)
    if not isinstance(caller, Caller):
        return Redirect(f"/login?return_to={quote(f'/card?lang={language}', safe='')}", status_code=303)
    own = await people.whoami(session, caller)
    if own is None:
        return _activation(request)
    family = [own, *await people.wards_of(session, own, today)]
    # A place in the family, not an id: what identifies a person has no business in an address.
    place = request.query_params.get("of", "0")
    chosen = int(place) if place.isdecimal() and int(place) < len(family) else 0
    shown = replace(caller, acting_for=family[chosen] if chosen else None)
    names = await people.identities_of(session, vault, family)
    offered = [
        view for view in await _requests(session, family[chosen], language, today) if view.state is Shown.OPEN
    ]
    read = await inbox.read(session, caller, language, settings=settings, now=now)
    return _page(
        request,
        "wallet/card.html",
        keep=f"of={chosen}&" if chosen else "",
        card=await cards.show(session, shown, language, settings=settings, now=now),
        family=[
            (index, names[person_id].name if person_id in names else str(index + 1))
            for index, person_id in enumerate(family)
        ],
        chosen=chosen,
        pots=await allowances.pots_of(session, family[chosen]),
        requests=offered,
        lacking=await _lacking(session, family[chosen], language, today, {one.programme for one in offered}),
        name_of=name_of,
        zone=settings.zone,
        messages=[message for message in read.messages if message.person_id == family[chosen]],
    )


async def _lacking(
    session: AsyncSession, person_id: UUID, language: str, today: date, offered: set[str]
) -> list[EntitlementView]:
    """What was looked at and is not held, with the reasons; what only waits for a yes stands elsewhere."""
    tariffs = {row.name: row for row in await rulebook.tariffs(session)}
    views = [
        EntitlementView.of(one, tariffs, language, today)
        for one in await decisions.overview(session, person_id)
    ]
    return [view for view in views if view.outcome and not view.held and view.programme not in offered]


async def _requests(session: AsyncSession, person_id: UUID, language: str, today: date) -> list[RequestView]:
    names = await programme_names(session, language)
    rows = await requests.of_person(session, person_id, today)
    return [RequestView.of(row, names, language) for row in rows]


async def _for_whom(
    request: Request[Any, Any, Any], session: AsyncSession, caller: Caller, today: date
) -> tuple[Caller, UUID, str]:
    """The caller as whoever in the family is chosen, that person, and the page to go back to."""
    own = await people.person_of(session, caller)
    family = [own, *await people.wards_of(session, own, today)]
    place = request.query_params.get("of", "0")
    chosen = int(place) if place.isdecimal() and int(place) < len(family) else 0
    acting = replace(caller, acting_for=family[chosen] if chosen else None)
    return acting, family[chosen], f"/card?of={chosen}&lang={language_of(request)}"


@post(
    "/card/requests/{request_id:uuid}/acceptance",
    include_in_schema=False,
    guards=[allow(Role.CITIZEN, Role.GUARDIAN)],
)
async def accept_request(
    *,
    request: Request[Any, Any, Any],
    request_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    today: NamedDependency[date],
    now: NamedDependency[datetime],
) -> Redirect:
    """Makes the request with one tap; what it asks for is there when the page comes back."""
    acting, person_id, back = await _for_whom(request, session, caller, today)
    await on_request.accept(session, acting, person_id, request_id, now=now, settings=settings)
    return Redirect(back, status_code=303)


@post(
    "/card/requests/{request_id:uuid}/refusal",
    include_in_schema=False,
    guards=[allow(Role.CITIZEN, Role.GUARDIAN)],
)
async def decline_request(
    *,
    request: Request[Any, Any, Any],
    request_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    today: NamedDependency[date],
    now: NamedDependency[datetime],
) -> Redirect:
    """Takes a no, and deletes what was filled in."""
    _, person_id, back = await _for_whom(request, session, caller, today)
    await requests.decline(session, vault, person_id, request_id, now=now)
    return Redirect(back, status_code=303)


@get(
    "/card/requests/{request_id:uuid}/letter",
    include_in_schema=False,
    guards=[allow(Role.CITIZEN, Role.GUARDIAN)],
)
async def request_letter(
    *,
    request: Request[Any, Any, Any],
    request_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    today: NamedDependency[date],
) -> Template:
    """The same request to be printed and signed."""
    language = language_of(request)
    _, person_id, back = await _for_whom(request, session, caller, today)
    row = await requests.get(session, person_id, request_id)
    view = RequestView.of(row, await programme_names(session, language), language)
    return _page(
        request,
        "wallet/letter.html",
        keep=urlencode({"of": request.query_params.get("of", "0")}) + "&",
        back=back,
        request_view=view,
        letter=letter(view, await people.identity_of(session, vault, person_id), language),
    )


def _activation(request: Request[Any, Any, Any], *, refused: bool = False) -> Template:
    # Sent as a form, the page has an address at which nothing can be read: another language is that of /card.
    return _page(
        request, "wallet/activation.html", status=422 if refused else 200, here="/card", refused=refused
    )


@post(
    "/card/activation",
    include_in_schema=False,
    guards=[signed_in, TRIES],
)
async def activate(
    request: Request[Any, Any, Any],
    data: URLEncodedBody[Activation],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    *,
    settings: NamedDependency[Settings],
    today: NamedDependency[date],
    now: NamedDependency[datetime],
) -> Template | Redirect:
    """Ties the account to the person whom the code in the city's letter was made for; five tries an hour."""
    try:
        await activation.take(session, vault, settings, caller, data.code, today=today, now=now)
    except CodeRefused:
        return _activation(request, refused=True)
    return Redirect(f"/card?lang={language_of(request)}", status_code=303)


@post(
    "/card/messages/{message_id:uuid}/read",
    include_in_schema=False,
    guards=[allow(Role.CITIZEN, Role.GUARDIAN)],
)
async def mark_read(
    request: Request[Any, Any, Any],
    message_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    *,
    today: NamedDependency[date],
    now: NamedDependency[datetime],
) -> Redirect:
    """Notes that a message was read, and goes back to the page."""
    _, _, back = await _for_whom(request, session, caller, today)
    await inbox.mark_read(session, caller, message_id, settings=settings, now=now)
    return Redirect(f"{back}#inbox", status_code=303)


router = Router(
    "/", route_handlers=[card_page, activate, mark_read, accept_request, decline_request, request_letter]
)
