"""The scanners' door to what they take along."""

from datetime import date, datetime

from litestar import Router, get
from litestar.di import NamedDependency, Provide
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from core.settings import Settings
from core.vault import Vault
from issuers.status.routes import provide_statuses
from issuers.status.service import StatusMemory
from verifiers.bundles import service
from verifiers.bundles.schemas import BundleView


@get("/bundle", operation_id="getBundle", responses=problems(401, 403, 404, 503))
async def get_bundle(
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    statuses: NamedDependency[StatusMemory],
    *,
    now: NamedDependency[datetime],
    today: NamedDependency[date],
) -> BundleView:
    """Take along what is needed to judge codes without a network: keys, status lists, the venue's offers."""
    return await service.bundle(session, vault, settings, statuses, caller, now=now, today=today)


router = Router(
    "/v1",
    route_handlers=[get_bundle],
    guards=[allow(Role.SCANNER)],
    tags=["scanners"],
    dependencies={"statuses": Provide(provide_statuses, sync_to_thread=False)},
)
