"""The doors to passes for the wallets of Apple and Google; each holder opens them or not."""

from datetime import datetime
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from core.idempotency import Answer
from core.languages import Language
from core.settings import Settings
from core.vault import Vault
from wallet.passes import service
from wallet.passes.apple import MEDIA_TYPE
from wallet.passes.schemas import NewWalletPass, NewWalletPassView, WalletPassesView, WalletPassView

_FILE = {
    200: ResponseSpec(
        data_container=bytes, media_type=MEDIA_TYPE, description="The signed pass", generate_examples=False
    )
}


@get("/", operation_id="listWalletPasses", responses=problems(401, 403, 404))
async def list_wallet_passes(
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> WalletPassesView:
    """For whose wallets there are passes here, and which of them the caller, or the person acted for, has."""
    found = await service.passes_of(session, caller, settings=settings, now=now)
    return WalletPassesView(
        offered=service.offered(settings), passes=[WalletPassView.model_validate(one) for one in found]
    )


@post("/", operation_id="makeWalletPass", responses=problems(400, 401, 403, 404, 409, 503))
async def make_wallet_pass(
    *,
    data: JSONBody[NewWalletPass],
    language: NamedDependency[Language],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> NewWalletPassView:
    """Ask for a pass, or renew it: it gets a code of its own of at most two weeks, and the code before it ends.

    Apple and Google keep what a pass shows; it says nothing of any benefit.
    """
    made = await service.make(
        session,
        vault,
        caller,
        data.kind,
        with_name=data.with_name,
        language=language,
        settings=settings,
        now=now,
    )
    said = WalletPassView.model_validate(made.wanted).model_dump()
    return NewWalletPassView(save_link=made.save_link, **said)


@get(
    "/{pass_id:uuid}/pass.pkpass",
    operation_id="fetchWalletPass",
    responses={**_FILE, **problems(400, 401, 403, 404)},
)
async def fetch_wallet_pass(
    *,
    pass_id: FromPath[UUID],
    language: NamedDependency[Language],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> Answer:
    """The file of a pass for Apple, in the language of the caller."""
    made = await service.file(session, vault, caller, pass_id, language=language, settings=settings, now=now)
    return Answer(made, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


@post(
    "/{pass_id:uuid}/withdrawal",
    operation_id="withdrawWalletPass",
    status_code=200,
    responses=problems(400, 401, 403, 404, 409),
)
async def withdraw_wallet_pass(
    *,
    pass_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> WalletPassView:
    """Say that the pass is not wanted any more: its code stops working at once."""
    return WalletPassView.model_validate(
        await service.withdraw(session, caller, pass_id, settings=settings, now=now)
    )


router = Router(
    "/v1/wallet-passes",
    route_handlers=[list_wallet_passes, make_wallet_pass, fetch_wallet_pass, withdraw_wallet_pass],
    guards=[allow(Role.CITIZEN, Role.GUARDIAN)],
    tags=["Wallet"],
)
