"""The doors for operators and load balancers: open to everybody, and without a word about anybody."""

from datetime import datetime

from litestar import Router, get
from litestar.datastructures import CacheControlHeader, State
from litestar.di import NamedDependency

from app.health.schemas import Health, LiveView, ReadyView
from app.health.service import look
from core.access.rules import anyone
from core.errors import problems


@get("/health/live", operation_id="isAlive")
async def live() -> LiveView:
    """Says that the process answers; it asks nothing else, so that nobody restarts it because a database is gone."""
    return LiveView(status=Health.FINE)


@get("/health/ready", operation_id="isReady", responses=problems(503))
async def ready(state: State, now: NamedDependency[datetime]) -> ReadyView:
    """Says whether the process can serve; with `warn` it can, and an operator should look."""
    return await look(state.database, now)


router = Router(
    "/",
    route_handlers=[live, ready],
    guards=[anyone],
    cache_control=CacheControlHeader(no_store=True),
    tags=["operation"],
)
