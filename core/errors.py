"""What callers can get wrong, and how HTTP is told of it (RFC 9457): the only module that knows both."""

import re
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DBAPIError, IntegrityError

from core.database import state_of

log = structlog.get_logger("http")

PREFIX = "urn:citycard:problem:"


class DomainError(Exception):
    """The caller asked for something that cannot be; `slug` is stable, `title` never changes for a slug."""

    status: ClassVar[int] = 400
    slug: ClassVar[str] = "bad-request"
    title: ClassVar[str] = "The request cannot be served"

    def __init__(
        self, detail: str | None = None, *, headers: Mapping[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = extra


class BadRequest(DomainError):
    """The request is not of the form that the interface describes."""


class NotSignedIn(DomainError):
    """No caller could be established."""

    status, slug, title = 401, "not-signed-in", "Sign in first"


class NotAllowed(DomainError):
    """The caller is known, and this is not theirs to do."""

    status, slug, title = 403, "not-allowed", "This caller may not do that"


class NotFound(DomainError):
    """There is no such thing, or none that this caller may know of."""

    status, slug, title = 404, "not-found", "There is no such thing"


class Conflict(DomainError):
    """The thing exists already, or stands otherwise than the request assumes."""

    status, slug, title = 409, "conflict", "It stands otherwise than the request assumes"


class TooLarge(DomainError):
    """More bytes, rows or depth than is taken."""

    status, slug, title = 413, "too-large", "That is more than is taken at once"


class Unprocessable(DomainError):
    """Well formed, and still not possible."""

    status, slug, title = 422, "unprocessable", "The request is well formed, but cannot be carried out"


class TooMany(DomainError):
    """A limit was reached; `Retry-After` says when to come again."""

    status, slug, title = 429, "too-many-requests", "Too many requests"

    def __init__(self, retry_after: int, detail: str | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class NotOffered(DomainError):
    """A specification lets one ask for this, and it is not offered here."""

    status, slug, title = 501, "not-offered", "That is not offered here"


class Unavailable(DomainError):
    """Something that this needs is out of reach; trying again later helps."""

    status, slug, title = 503, "unavailable", "Temporarily out of reach"


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        description="Stable name of the kind of problem", examples=["urn:citycard:problem:not-found"]
    )
    title: str = Field(
        description="What this kind of problem is, always the same words", examples=["There is no such thing"]
    )
    status: int = Field(description="The HTTP status", examples=[404])
    detail: str | None = Field(default=None, description="What was wrong this time, without personal data")


class ProblemResponse(Response[dict[str, Any]]):
    """The answer that carries a problem document."""


def problem(
    status: int,
    slug: str,
    title: str,
    detail: str | None = None,
    headers: Mapping[str, str] | None = None,
    **extra: Any,
) -> ProblemResponse:
    """Builds the problem document that a caller sees."""
    body: dict[str, Any] = {"type": PREFIX + slug, "title": title, "status": status}
    if detail is not None:
        body["detail"] = detail
    body.update(extra)
    return ProblemResponse(
        body, status_code=status, media_type="application/problem+json", headers=dict(headers or {})
    )


def _domain(_request: Request[Any, Any, Any], error: DomainError) -> ProblemResponse:
    return problem(error.status, error.slug, error.title, error.detail, error.headers, **error.extra)


_MISSING = re.compile(r"Missing required \w+ parameter '([^']+)'")
_MOST = 100  # errors that one answer lists; whoever sends a list of thousands has made one of them often


def _validation(request: Request[Any, Any, Any], error: ValidationException) -> ProblemResponse:
    # Only where and why: the value itself may be personal and never travels back.
    wrong: list[dict[str, str]] = []
    if isinstance(error.extra, list):
        called = _names(request)
        wrong = [_wrong(entry, called) for entry in error.extra[:_MOST] if isinstance(entry, dict)]
    elif missing := _MISSING.match(error.detail):
        wrong = [{"at": missing[1], "why": "Field required"}]
    return problem(400, "invalid-input", "The input is not of the described form", errors=wrong)


def _names(request: Request[Any, Any, Any]) -> dict[str, str]:
    """What callers call the parameters that the handler calls otherwise."""
    handler = request.scope.get("route_handler")
    if not isinstance(handler, HTTPRouteHandler):
        return {}
    parameters = handler.parsed_fn_signature.parameters.items()
    said = {name: getattr(parameter.kwarg_definition, "name", None) for name, parameter in parameters}
    return {name: str(other) for name, other in said.items() if other}


def _wrong(entry: Mapping[str, Any], called: Mapping[str, str]) -> dict[str, str]:
    at, why = str(entry.get("key", "")), str(entry.get("message", ""))
    if entry.get("source") != "body":
        at = called.get(at, at)
    if at == "data" and why == "'data'":
        # A name of the framework's, not of anything that a caller sent or left out.
        return {"at": "", "why": "The body is missing"}
    if why.startswith("Invalid enum value"):
        why = "Not one of the described values"
    return {"at": at[:100], "why": why[:200]}


_SLUGS = {
    400: "bad-request",
    401: "not-signed-in",
    403: "not-allowed",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
    429: "too-many-requests",
}


def _http(request: Request[Any, Any, Any], error: HTTPException) -> ProblemResponse:
    status = error.status_code
    slug = _SLUGS.get(status, "http-" + str(status))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return problem(status, "internal", "Something went wrong on our side")
    title = {e.status: e.title for e in (BadRequest, NotSignedIn, NotAllowed, NotFound, TooLarge)}.get(
        status, HTTPStatus(status).phrase
    )
    detail = _most_bytes(request) if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else None
    return problem(status, slug, title, detail, headers=error.headers)


def _most_bytes(request: Request[Any, Any, Any]) -> str | None:
    handler = request.scope.get("route_handler")
    most = handler.resolve_request_max_body_size() if isinstance(handler, HTTPRouteHandler) else None
    return None if most is None else f"at most {most} bytes are taken here"


def _integrity(_request: Request[Any, Any, Any], _error: IntegrityError) -> ProblemResponse:
    # Two callers wanted the same thing at once; the database let one through. A retry sees the other's row.
    return problem(409, "conflict", Conflict.title)


NO_SUCH_TEXT = "22021"  # character_not_in_repertoire


def _database(request: Request[Any, Any, Any], error: DBAPIError) -> ProblemResponse:
    if state_of(error) != NO_SUCH_TEXT:
        return _unexpected(request, error)
    # PostgreSQL keeps no NUL in a text, and looks for none. No name here has one; it came in an address.
    return problem(400, "invalid-input", "The input is not of the described form", "a text has a NUL in it")


def _too_deep(_request: Request[Any, Any, Any], _error: RecursionError) -> ProblemResponse:
    # Input whose brackets go deeper than a parser can follow; nothing that we describe is nested like that.
    return problem(400, "invalid-input", "The input is not of the described form", "it is nested too deep")


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> ProblemResponse:
    # Where it happened and of which class, never its text: texts of errors carry values, values carry people.
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    log.error(
        "request.failed",
        error=type(error).__name__,
        route=request.scope.get("path_template", ""),
        at=[f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames],
    )
    return problem(500, "internal", "Something went wrong on our side")


HANDLERS: Mapping[int | type[Exception], Any] = {
    DomainError: _domain,
    ValidationException: _validation,
    HTTPException: _http,
    IntegrityError: _integrity,
    DBAPIError: _database,
    RecursionError: _too_deep,
    Exception: _unexpected,
}
"""Exception handlers for `create_app`."""

_TITLES = {
    error.status: error
    for error in (
        BadRequest,
        NotSignedIn,
        NotAllowed,
        NotFound,
        Conflict,
        TooLarge,
        Unprocessable,
        TooMany,
        NotOffered,
        Unavailable,
    )
}


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """Documents the problems that a route can answer, for OpenAPI."""
    return {
        status: ResponseSpec(
            data_container=Problem,
            media_type="application/problem+json",
            description=_TITLES[status].title,
            generate_examples=False,
            examples=[
                Example(
                    value={
                        "type": PREFIX + _TITLES[status].slug,
                        "title": _TITLES[status].title,
                        "status": status,
                    }
                )
            ],
        )
        for status in statuses
    }
