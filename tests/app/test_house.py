"""What holds for every door of the house."""

import inspect
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect, Template
from litestar.response.base import Response
from sqlmodel import SQLModel

from core.idempotency import Answer
from verifiers.checks.routes import check_code


def handlers(application: Litestar) -> Iterator[HTTPRouteHandler]:
    for route in application.routes:
        for handler in getattr(route, "route_handlers", ()):
            if isinstance(handler, HTTPRouteHandler) and handler.fn.__module__.split(".")[0] != "litestar":
                yield handler


def mentioned(annotation: Any) -> Iterator[Any]:
    """Every type that an annotation is made of."""
    yield annotation
    for part in typing.get_args(annotation):
        yield from mentioned(part)


@pytest.fixture
def doors(application: Litestar) -> list[HTTPRouteHandler]:
    found = list(handlers(application))
    assert len(found) > 40
    return found


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestEveryDoor:
    def test_no_table_goes_over_the_wire(self, doors: list[HTTPRouteHandler]) -> None:
        for door in doors:
            hints = typing.get_type_hints(door.fn, include_extras=True)
            for name in ("data", "return"):
                for part in mentioned(hints.get(name)):
                    is_table = inspect.isclass(part) and issubclass(part, SQLModel)
                    assert not is_table, f"{door.fn.__qualname__} puts the table {part} on the wire"

    def test_answers_of_writes_can_be_kept_for_a_retry(self, doors: list[HTTPRouteHandler]) -> None:
        for door in doors:
            if door.http_methods <= {"GET", "HEAD", "OPTIONS"} or door.fn is check_code.fn:
                continue  # a check keeps its answer in its replay mark (docs/decisions/0008)
            answer = typing.get_type_hints(door.fn).get("return")
            for part in mentioned(answer):
                origin = typing.get_origin(part) or part
                if inspect.isclass(origin) and issubclass(origin, Response):
                    assert issubclass(origin, (Answer, Redirect, Template)), (
                        f"{door.fn.__qualname__} returns {part}"
                    )

    def test_every_operation_says_what_it_does_and_has_a_name_of_its_own(self, application: Litestar) -> None:
        names: list[str] = []
        for path, item in application.openapi_schema.to_schema()["paths"].items():
            for method, operation in item.items():
                if isinstance(operation, dict) and "responses" in operation:
                    assert operation.get("description"), f"{method} {path} has no description"
                    assert operation.get("tags"), f"{method} {path} has no tag"
                    names.append(operation["operationId"])
        assert len(names) == len(set(names))
        assert [name for name in names if not name.isidentifier() or not name[0].islower()] == []

    def test_every_problem_is_documented_as_a_problem_document(self, application: Litestar) -> None:
        for path, item in application.openapi_schema.to_schema()["paths"].items():
            for method, operation in item.items():
                for status, answer in (
                    operation.get("responses", {}).items() if isinstance(operation, dict) else ()
                ):
                    if status >= "400" and path != "/oauth/token" and not path.startswith("/openid/"):
                        kinds = set(answer.get("content", {}))
                        assert kinds == {"application/problem+json"}, f"{method} {path} {status}: {kinds}"

    def test_every_guarded_door_documents_that_it_may_refuse(self, application: Litestar) -> None:
        for path, item in application.openapi_schema.to_schema()["paths"].items():
            for method, operation in item.items():
                if isinstance(operation, dict) and "403" in operation.get("responses", {}):
                    assert "401" in operation["responses"] or path in {"/login/callback", "/logout"}, (
                        f"{method} {path}"
                    )
