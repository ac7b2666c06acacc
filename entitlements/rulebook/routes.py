"""The public doors to programmes and their rules: rules are no secret."""

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import anyone
from core.errors import problems
from entitlements.rulebook import service
from entitlements.rulebook.schemas import Language, ProgrammesView, ProgrammeView, TariffView, VersionView


@get("/", operation_id="listProgrammes", responses=problems(400))
async def list_programmes(
    session: NamedDependency[AsyncSession], language: FromQuery[Language] = Language.DE
) -> ProgrammesView:
    """See what the city grants under rules, and which tariffs a card can carry."""
    return ProgrammesView(
        programmes=[ProgrammeView.of(row, language) for row in await service.programmes(session)],
        tariffs=[TariffView.of(row, language) for row in await service.tariffs(session)],
    )


@get("/{slug:str}/versions", operation_id="listRuleVersions", responses=problems(400, 404))
async def list_rule_versions(
    slug: FromPath[str], session: NamedDependency[AsyncSession]
) -> list[VersionView]:
    """See a programme's rules: those that were, that are, and that will be in force."""
    return [VersionView.of(row) for row in await service.rows_of(session, slug)]


router = Router(
    "/v1/programmes",
    route_handlers=[list_programmes, list_rule_versions],
    guards=[anyone],
    tags=["programmes"],
)
"""Public: what the city grants, and by which rules."""
