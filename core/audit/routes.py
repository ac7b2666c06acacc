"""The auditor's doors: read the trail, and have it verified."""

from typing import Annotated

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Role, allow
from core.audit import service
from core.audit.schemas import CheckpointView, EntryView, VerificationView
from core.errors import problems
from core.vault import Vault


@get("/verification", operation_id="verifyTrail", responses=problems(401, 403))
async def verify_trail(
    session: NamedDependency[AsyncSession], vault: NamedDependency[Vault]
) -> VerificationView:
    """Walk the whole trail; the first entry that was changed, removed or reordered is named."""
    return VerificationView.model_validate(await service.verify(session, vault))


@get("/entries", operation_id="readTrail", responses=problems(400, 401, 403))
async def read_trail(
    session: NamedDependency[AsyncSession],
    after: Annotated[
        int, QueryParameter(ge=0, lt=2**53, description="The last position of the page before")
    ] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
) -> list[EntryView]:
    """Read sealed entries in their order, page by page: pass the last position as `after`."""
    rows = await service.entries(session, after=after, limit=limit)
    return [EntryView.model_validate(row) for row in rows]


@get("/checkpoints/latest", operation_id="latestCheckpoint", responses=problems(401, 403, 404))
async def latest_checkpoint(session: NamedDependency[AsyncSession]) -> CheckpointView:
    """The newest signed checkpoint, to be kept elsewhere."""
    return CheckpointView.model_validate(await service.latest(session))


router = Router(
    "/v1/audit",
    route_handlers=[verify_trail, read_trail, latest_checkpoint],
    guards=[allow(Role.AUDITOR)],
    tags=["audit"],
)
