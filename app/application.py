"""Puts the house together: the only place that makes settings, clock, database and vault."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from os import PathLike
from pathlib import Path
from typing import Any

import anyio
from litestar import Litestar, Request, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import License
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.template import TemplateConfig
from litestar.types import Message, Scope
from sqlalchemy.ext.asyncio import AsyncSession

import app.pages.routes
import app.tables
from app.doors import ROUTERS
from app.handlers import handlers, recurring
from app.pages.reference import SettledJson, SettledYaml
from core import errors, idempotency
from core.access.doorkeeper import Doorkeeper
from core.access.middleware import LOOK, Authentication, reads_only
from core.access.rules import Caller
from core.body import Asked
from core.clock import Clock, SystemClock, day_of
from core.database import Database, Look
from core.errors import NotSignedIn
from core.headers import SecurityHeaders
from core.idempotency import AlreadyAnswered, Answer
from core.jobs.service import Worker
from core.languages import provide_language
from core.pages import told_to_people
from core.settings import Settings
from core.vault import Vault, open_vault
from issuers.authorities.certificates import check_files
from issuers.openid.clients import check_settings
from verifiers.presentations import trust as presentations
from wallet.codes.picture import budget
from wallet.passes import service as passes

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES: list[Path | PathLike[Any] | str] = [
    ROOT / package / "templates" for package in ("core", "issuers", "wallet", "app")
]


async def provide_session(request: Request[Any, Any, Any], state: State) -> AsyncIterator[AsyncSession]:
    """One request, one transaction: committed before the answer leaves, rolled back on any error.

    A write under an Idempotency-Key keeps its answer in that same transaction. What only reads goes on in the
    transaction in which it was read who calls.
    """
    database: Database = state.database
    if reads_only(request.scope):
        look: Look = request.scope["state"].get(LOOK) or Look(database)
        try:
            yield await look.session()
        finally:
            await look.close()
        return
    async with database.writing() as session:
        now = state.clock.now()
        attempt = await idempotency.begin(session, request, state.vault.secret("idempotency"), now)
        yield session
        if attempt is not None:
            await attempt.keep(session)


def provide_caller(request: Request[Any, Any, Any]) -> Caller:
    """Who calls; doors that let nobody in without a name have a guard before this."""
    caller = request.scope.get("user")
    if not isinstance(caller, Caller):
        raise NotSignedIn
    return caller


def provide_now(state: State) -> datetime:
    """The present moment, by the application's clock."""
    moment: datetime = state.clock.now()
    return moment


def provide_clock(state: State) -> Clock:
    """The application's clock; a door that waits or signs twice asks it again."""
    clock: Clock = state.clock
    return clock


def provide_today(state: State) -> date:
    """The present day in the city's zone."""
    return day_of(state.clock.now(), state.settings.zone)


def provide_settings(state: State) -> Settings:
    settings: Settings = state.settings
    return settings


def provide_vault(state: State) -> Vault:
    vault: Vault = state.vault
    return vault


class House(Litestar):
    """The application, which answers HEAD wherever it answers GET: the same, without the body (RFC 9110, 9.3.2)."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await super().__call__(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        as_get: Any = {**scope, "method": "GET"}
        await super().__call__(as_get, receive, without_body)


@asynccontextmanager
async def _living(house: Litestar) -> AsyncIterator[None]:
    """From the first request to the last: jobs are done, and connections are closed at the end."""
    state = house.state
    async with anyio.create_task_group() as tasks:
        if state.work:
            tasks.start_soon(state.worker.forever)
        yield
        state.worker.stop()
    await state.doorkeeper.close()
    await state.database.dispose()


async def _protect(message: Message, scope: Scope) -> None:
    headers: SecurityHeaders = scope["litestar_app"].state.headers
    await headers(message, scope)


def build(max_body: int, more_doors: Sequence[Router] = ()) -> House:
    """The rooms and doors, which are the same in every house; nobody can live there before it is furnished."""
    return House(
        route_handlers=[*ROUTERS, *app.pages.routes.routers(), *more_doors],
        middleware=[Authentication()],
        dependencies={
            "session": provide_session,
            "caller": Provide(provide_caller, sync_to_thread=False),
            "language": Provide(provide_language, sync_to_thread=False),
            "clock": Provide(provide_clock, sync_to_thread=False),
            "now": Provide(provide_now, sync_to_thread=False),
            "today": Provide(provide_today, sync_to_thread=False),
            "settings": Provide(provide_settings, sync_to_thread=False),
            "vault": Provide(provide_vault, sync_to_thread=False),
        },
        exception_handlers={**told_to_people(errors.HANDLERS), AlreadyAnswered: idempotency.replay},
        before_send=[_protect],
        request_class=Asked,
        response_class=Answer,
        request_max_body_size=max_body,
        openapi_config=OpenAPIConfig(
            title="citycard",
            version="1",
            description="Facts in, entitlements out, signed cards that any venue can check.",
            license=License(name="EUPL-1.2", identifier="EUPL-1.2"),
            use_handler_docstrings=True,
            # The description only; the page that shows it is ours (/api) and asks nobody else for anything.
            render_plugins=[SettledJson(), SettledYaml()],
        ),
        template_config=TemplateConfig(directory=TEMPLATES, engine=JinjaTemplateEngine),
        lifespan=[_living],
    )


def furnish(house: House, settings: Settings, clock: Clock, vault: Vault, *, work: bool) -> House:
    """Puts in all that belongs to one city; whatever was there before is gone."""
    database = Database(settings.database_url)
    doorkeeper = Doorkeeper(settings, vault, database)
    budget(settings.code_host)
    check_files(settings)
    check_settings(settings)
    presentations.check_settings(settings)
    passes.check_settings(settings)
    house.state = State(
        {
            "settings": settings,
            "clock": clock,
            "vault": vault,
            "database": database,
            "doorkeeper": doorkeeper,
            "headers": SecurityHeaders(settings),
            "worker": Worker(database, handlers(settings, vault), clock, recurring(settings)),
            "work": work,
        }
    )
    return house


def create_app(
    settings: Settings | None = None,
    clock: Clock | None = None,
    *,
    vault: Vault | None = None,
    work: bool = True,
    more_doors: Sequence[Router] = (),
) -> Litestar:
    """The application. `work=False` leaves the jobs to somebody else (tests, or a worker process)."""
    settings = settings or Settings()
    house = build(settings.max_body, more_doors)
    return furnish(house, settings, clock or SystemClock(), vault or open_vault(settings), work=work)
