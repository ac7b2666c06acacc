"""No door stands open by mistake: each one says who may come in."""

from collections.abc import Iterator

from litestar import Litestar, get
from litestar.handlers.base import BaseRouteHandler
from litestar.routes import HTTPRoute

from app import create_app
from app.demo.provider import Account, create_provider
from core.access.rules import anyone, signed_in
from core.settings import Mode, Settings
from core.vault import MemoryVault

BUILT_IN = {"/schema"}
"""What the framework adds by itself: the description of the interface, which is public."""

PUBLIC = {
    ("GET", "/login"),
    ("GET", "/login/callback"),
    ("POST", "/logout"),
    ("POST", "/logout/backchannel"),
    ("POST", "/oauth/token"),
    ("GET", "/oauth/jwks"),
}
"""Doors of this folder for anybody; what guards the others is tested beside them."""


def doors(application: Litestar) -> Iterator[tuple[str, str, BaseRouteHandler]]:
    """Every method and path with its handler; OPTIONS only says which methods there are."""
    for route in application.routes:
        if any(route.path == built_in or route.path.startswith(built_in + "/") for built_in in BUILT_IN):
            continue
        if not isinstance(route, HTTPRoute):
            # Sockets and mounted applications would need an answer of their own.
            yield "*", route.path, route.route_handler  # type: ignore[attr-defined]
            continue
        for handler in route.route_handlers:
            for method in handler.http_methods - {"OPTIONS"}:
                yield str(method), route.path, handler


def guards_of(handler: BaseRouteHandler) -> list[object]:
    """The guards of a door and of all that it stands in, as they were written down."""
    return [guard for layer in handler.ownership_layers for guard in layer.guards or ()]


def is_guarded(handler: BaseRouteHandler) -> bool:
    return any(guard in {anyone, signed_in} or hasattr(guard, "roles") for guard in guards_of(handler))


def make_application() -> Litestar:
    settings = Settings(
        mode=Mode.TEST, database_url="sqlite+aiosqlite:///never-opened.sqlite", _env_file=None
    )
    application = create_app(settings, vault=MemoryVault(), work=False)
    application.register(create_provider(settings, [Account("a", "A", ())]))
    return application


def test_every_door_says_who_may_come_in() -> None:
    unguarded = [
        (method, path) for method, path, handler in doors(make_application()) if not is_guarded(handler)
    ]
    assert unguarded == []


def test_a_door_that_says_both_is_a_mistake() -> None:
    """`anyone` beside a role reads as public and is not, or the other way round."""
    contradictory = [
        (method, path)
        for method, path, handler in doors(make_application())
        if anyone in (guards_of(handler))
        and any(guard is signed_in or hasattr(guard, "roles") for guard in guards_of(handler))
    ]
    assert contradictory == []


def test_the_test_sees_a_door_without_a_guard() -> None:
    @get("/forgotten")
    async def forgotten() -> None: ...

    application = make_application()
    application.register(forgotten)
    unguarded = [path for _, path, handler in doors(application) if not is_guarded(handler)]
    assert unguarded == ["/forgotten"]


def test_what_is_public_here_is_written_down() -> None:
    public = {
        (method, path)
        for method, path, handler in doors(make_application())
        if anyone in (guards_of(handler)) and handler.fn.__module__.startswith("core.access")
    }
    assert public == PUBLIC


def test_every_public_write_is_limited_or_proves_itself_otherwise() -> None:
    """Whoever needs no name could otherwise try for ever."""
    ours = {
        ("POST", "/oauth/token"),
        ("POST", "/logout/backchannel"),
        ("GET", "/login"),
        ("GET", "/login/callback"),
    }
    limited = {
        (method, path)
        for method, path, handler in doors(make_application())
        if any("limited" in getattr(guard, "__qualname__", "") for guard in guards_of(handler))
    }
    assert ours <= limited
