"""The doors of the printing desk."""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import NotFound, problems
from core.idempotency import Answer
from core.languages import Language
from core.settings import Settings
from core.vault import Vault
from wallet.printing import pdf, picture, service
from wallet.printing.layout import Size
from wallet.printing.schemas import LossView, NewPrintedCardView, PrintedCardsView, PrintedCardView
from wallet.printing.service import Printed, Standing

_RENDERERS = {
    "svg": (picture.svg, "image/svg+xml"),
    "png": (picture.png, "image/png"),
    "pdf": (pdf.pdf, "application/pdf"),
}
_PICTURE = {
    200: ResponseSpec(
        data_container=bytes,
        media_type="image/svg+xml",
        description="The card, as SVG, PNG or PDF",
        generate_examples=False,
    )
}


# One path has doors for several: each names its own guard.
DESK = allow(Role.CASE_WORKER)
SERVED = allow(Role.CASE_WORKER, Role.CITIZEN, Role.GUARDIAN)


@post("/printed-cards", operation_id="printCard", guards=[DESK], responses=problems(401, 403, 404, 409, 503))
async def print_card(
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> NewPrintedCardView:
    """Make a card on paper for the person at the desk (Acting-For); an earlier one ends with that."""
    return _new(await service.print_card(session, vault, caller, settings=settings, now=now))


@get("/printed-cards", operation_id="listPrintedCards", guards=[SERVED], responses=problems(401, 403, 404))
async def list_printed_cards(
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> PrintedCardsView:
    """The printed cards of the caller, or of the person acted for."""
    cards = await service.printed_for(session, caller, settings=settings, now=now)
    return PrintedCardsView(cards=[_view(card) for card in cards])


@get(
    "/printed-cards/{picture_name:str}",
    operation_id="drawPrintedCard",
    guards=[SERVED],
    responses={**_PICTURE, **problems(400, 401, 403, 404)},
)
async def draw_printed_card(
    *,
    picture_name: FromPath[str],
    language: NamedDependency[Language],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
    size: FromQuery[Size] = Size.CARD,
) -> Answer:
    """The card as a picture: `{id}.svg` and `{id}.pdf` are the whole card, `{id}.png` its code alone.

    It is as large as a bank card; `size=large` is A4 in large type. The PDF brings its letters, is tagged, and says the
    name as an ID spells it where our fonts lack a letter.
    """
    card_id, suffix = _named(picture_name)
    render, media_type = _RENDERERS[suffix]
    drawn = await service.draw(
        session,
        vault,
        caller,
        card_id,
        render,
        size=size,
        language=language,
        settings=settings,
        now=now,
    )
    return Answer(drawn, media_type=media_type, headers={"Cache-Control": "no-store"})


@post(
    "/printed-cards/{card_id:uuid}/loss",
    operation_id="losePrintedCard",
    guards=[SERVED],
    responses=problems(400, 401, 403, 404, 409, 503),
)
async def lose_printed_card(
    *,
    card_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> LossView:
    """Say that a printed card is lost: it does not count from this moment, and another is made."""
    lost, replacement = await service.lose(session, vault, caller, card_id, settings=settings, now=now)
    return LossView(
        lost=_view(Standing(lost)), replacement=None if replacement is None else _new(replacement)
    )


def _named(picture_name: str) -> tuple[UUID, str]:
    name, _, suffix = picture_name.partition(".")
    try:
        card_id = UUID(name)
    except ValueError:
        raise NotFound from None
    if suffix not in _RENDERERS:
        raise NotFound
    return card_id, suffix


def _view(standing: Standing) -> PrintedCardView:
    return PrintedCardView(**_told(standing))


def _new(printed: Printed) -> NewPrintedCardView:
    return NewPrintedCardView(text=printed.text, **_told(Standing(printed.card)))


def _told(standing: Standing) -> dict[str, Any]:
    card = standing.card
    return {
        "id": card.id,
        "number": card.number,
        "printed_at": card.printed_at,
        "expires_at": card.expires_at,
        "lost_at": card.lost_at,
        "ended_at": standing.ended_at,
    }


router = Router(
    path="/v1",
    route_handlers=[print_card, list_printed_cards, draw_printed_card, lose_printed_card],
    tags=["Wallet"],
)
