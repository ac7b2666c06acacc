"""The doors to programmes and their rules: rules are no secret; who wrote and approved them is for the office."""

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Role, allow, anyone
from core.errors import problems
from core.languages import Language
from entitlements.rulebook import service
from entitlements.rulebook.schemas import (
    AmountView,
    CaseView,
    ProgrammesView,
    ProgrammeView,
    RuleView,
    TariffView,
    VersionView,
)


@get("/", operation_id="listProgrammes", responses=problems(400))
async def list_programmes(
    session: NamedDependency[AsyncSession], language: NamedDependency[Language]
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


@get("/rules", operation_id="listRules", responses=problems(400, 401, 403))
async def list_rules(
    session: NamedDependency[AsyncSession], programme: FromQuery[str | None] = None
) -> list[RuleView]:
    """Every rule version that was ever released: its days, who wrote and who approved it, its text and its tree."""
    return [RuleView.told(row) for row in await service.version_rows(session, programme)]


@get("/parameters", operation_id="listParameters", responses=problems(400, 401, 403))
async def list_parameters(session: NamedDependency[AsyncSession]) -> list[AmountView]:
    """Every dated amount that was ever released, by name and day."""
    return [AmountView.of(row) for row in await service.parameter_rows(session, replaced=True)]


@get("/cases", operation_id="listWorkedCases", responses=problems(400, 401, 403))
async def list_worked_cases(
    session: NamedDependency[AsyncSession], programme: FromQuery[str | None] = None
) -> list[CaseView]:
    """The worked cases that stand beside the rules, and that every release has to pass."""
    book = await service.in_force(session)
    return [CaseView.of(case) for case in book.cases if programme in {None, case.programme}]


office = Router(
    "/v1",
    route_handlers=[list_rules, list_parameters, list_worked_cases],
    guards=[allow(Role.RULE_AUTHOR, Role.RULE_APPROVER, Role.AUDITOR, Role.CASE_WORKER)],
    tags=["programmes"],
)
"""For those who write, approve, apply and audit rules."""

router = Router(
    "/v1/programmes",
    route_handlers=[list_programmes, list_rule_versions],
    guards=[anyone],
    tags=["programmes"],
)
"""Public: what the city grants, and by which rules."""

ROUTERS = [router, office]
