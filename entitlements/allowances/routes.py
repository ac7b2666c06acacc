"""The door to allowances: for whom they are, and for those who may act for them."""

from datetime import date

from litestar import Router, get
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from core.languages import Language
from entitlements.allowances import service
from entitlements.allowances.schemas import AllowancesView, LumpSumView, PotView
from entitlements.people.service import subject_of


@get("/", operation_id="listAllowances", responses=problems(400, 401, 403, 404))
async def list_allowances(
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    today: NamedDependency[date],
    language: NamedDependency[Language],
) -> AllowancesView:
    """See what money stands at your disposal, what is still to come, and until when it can be used.

    With `Acting-For`, a guardian sees a child's, and a case worker that of whoever is at the desk.
    """
    person_id = await subject_of(session, caller, today)
    return AllowancesView(
        pots=[PotView.of(pot, language) for pot in await service.pots_of(session, person_id)],
        lump_sums=[LumpSumView.of(row, language) for row in await service.lump_sums_of(session, person_id)],
    )


router = Router(
    "/v1/allowances",
    route_handlers=[list_allowances],
    guards=[allow(Role.CITIZEN, Role.GUARDIAN, Role.CASE_WORKER)],
    tags=["entitlements"],
)
"""A person's own allowances, or those of whom they act for."""
