"""The public pages: plain HTML from this server alone, readable without a script."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

from litestar import Request, Router, get
from litestar.di import NamedDependency
from litestar.exceptions import InternalServerException
from litestar.response import Template
from litestar.static_files import create_static_files_router
from sqlalchemy.ext.asyncio import AsyncSession

from app.pages.reference import described, groups, known_problems
from core.access.rules import anyone
from core.errors import NotFound, ProblemResponse, problem
from core.languages import language_of
from core.pages import LANGUAGES, texts
from core.settings import Mode, Settings
from verifiers.offers import service as offers
from verifiers.offers.models import Offer
from verifiers.venues import service as venues

HERE = Path(__file__).parent


def page(request: Request[Any, Any, Any], name: str, **context: Any) -> Template:
    """A page of this folder in the reader's language."""
    language = language_of(request)
    return Template(
        name,
        context={
            "language": language,
            "languages": LANGUAGES,
            "t": texts(HERE / "texts.yaml")[language],
            **context,
        },
    )


@get("/", include_in_schema=False)
async def start(
    request: Request[Any, Any, Any],
    session: NamedDependency[AsyncSession],
    today: NamedDependency[date],
    settings: NamedDependency[Settings],
) -> Template:
    """What this is, where the card is taken, and where to sign in."""
    places = await venues.listed(session, kind=None, after=0, limit=500)
    at: defaultdict[UUID, list[Offer]] = defaultdict(list)
    for offer in await offers.listed(session, today, limit=2000):
        at[offer.venue_id].append(offer)
    return page(
        request,
        "app/start.html",
        places=[(place, at[place.id]) for place in sorted(places, key=lambda place: place.name.casefold())],
        demo=settings.mode is Mode.DEMO,
        accounts=request.app.state.get("demo_accounts", ()),
    )


@get("/api", include_in_schema=False)
async def reference(request: Request[Any, Any, Any]) -> Template:
    """Every operation of the API on one page, made from the same description as openapi.yaml."""
    schema = described(request.app)
    return page(request, "app/reference.html", info=schema["info"], groups=groups(schema))


@get("/problems", include_in_schema=False)
async def problem_types(request: Request[Any, Any, Any]) -> Template:
    """Every stable problem type that an answer can carry."""
    return page(request, "app/problems.html", problems=known_problems())


def _not_there(_request: Request[Any, Any, Any], _error: Exception) -> ProblemResponse:
    return problem(NotFound.status, NotFound.slug, NotFound.title)


def routers() -> Sequence[Router]:
    """The pages and the files they need."""
    return (
        Router("/", route_handlers=[start, reference, problem_types], guards=[anyone]),
        create_static_files_router(
            "/static",
            [HERE.parents[1] / "core" / "static"],
            include_in_schema=False,
            guards=[anyone],
            # What no file system can look for (a NUL, a name of five thousand signs) is not there.
            exception_handlers=dict.fromkeys((ValueError, OSError, InternalServerException), _not_there),
        ),
    )
