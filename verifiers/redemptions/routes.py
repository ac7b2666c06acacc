"""The scanners' door to redemptions."""

from datetime import datetime
from pathlib import Path

from litestar import Router, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from core.languages import Language
from core.settings import Settings
from core.vault import Vault
from verifiers.offers.words import words
from verifiers.redemptions import service
from verifiers.redemptions.schemas import NewRedemption, NewUndoing, RedemptionView

WORDS = words(Path(__file__).with_name("words.yaml"))


@post(
    "/",
    operation_id="redeemOffer",
    status_code=200,
    opt={"idempotency": "required"},
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def redeem_offer(
    data: JSONBody[NewRedemption],
    language: NamedDependency[Language],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    *,
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> RedemptionView:
    """Take a use of an offer that applied. The Idempotency-Key makes every retry harmless.

    A refusal (`limit_reached`, `not_offered`, `receipt_expired` …) is an answer with status 200: show it and go on.
    """
    redeemed = await service.redeem(
        session, vault, settings, caller, receipt=data.receipt, offer_id=data.offer_id, now=now
    )
    return _told(redeemed, language)


@post(
    "/undo",
    operation_id="undoRedemption",
    status_code=200,
    opt={"idempotency": "required"},
    responses=problems(400, 401, 403, 409, 422),
)
async def undo_redemption(
    data: JSONBody[NewUndoing],
    language: NamedDependency[Language],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    *,
    vault: NamedDependency[Vault],
    now: NamedDependency[datetime],
) -> RedemptionView:
    """Give a use back that this scanner took within the last five minutes."""
    return _told(await service.undo(session, vault, caller, undo=data.undo, now=now), language)


def _told(redeemed: service.Redeemed, language: Language) -> RedemptionView:
    return RedemptionView(
        outcome=redeemed.outcome,
        reason=redeemed.reason,
        headline=WORDS["outcome"][redeemed.outcome][language],
        explanation="" if redeemed.reason is None else WORDS["reason"][redeemed.reason][language],
        id=redeemed.id,
        undo=redeemed.undo,
    )


router = Router(
    "/v1/redemptions",
    route_handlers=[redeem_offer, undo_redemption],
    guards=[allow(Role.SCANNER)],
    tags=["redemptions"],
)
