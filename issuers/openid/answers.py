"""How the OAuth and OpenID4VCI endpoints say yes and no: their own error codes, in ASCII, never cached."""

import re
from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from litestar import MediaType, Request

from core.idempotency import Answer

NO_STORE = {"Cache-Control": "no-store"}

# RFC 6749 section 5.2 allows no quotation mark, no backslash and nothing beyond ASCII.
_FORBIDDEN = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


class OAuthError(Exception):
    """A refusal by one of the endpoints. It is returned, never raised out of a door: what was counted must stay."""

    def __init__(
        self,
        error: str,
        description: str,
        *,
        status: int = HTTPStatus.BAD_REQUEST,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(description)
        self.error, self.status = error, int(status)
        self.description = ascii_only(description)
        self.headers = dict(headers or {})


class NotAuthorized(OAuthError):
    """The access token or its proof was not accepted by a protected endpoint (RFC 6750 section 3, RFC 9449 section 7.1)."""

    def __init__(
        self,
        error: str | None,
        description: str = "",
        *,
        status: int = HTTPStatus.UNAUTHORIZED,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        said = "" if error is None else f'error="{error}", error_description="{ascii_only(description)}", '
        super().__init__(
            error or "invalid_token",
            description or "an access token is needed",
            status=status,
            headers={"WWW-Authenticate": f'DPoP {said}algs="ES256"', **(headers or {})},
        )


def ascii_only(text: str) -> str:
    """The text with everything that an error_description must not have replaced."""
    return _FORBIDDEN.sub("?", text)


async def answering(work: Awaitable[Answer]) -> Answer:
    """The answer, or the refusal as one."""
    try:
        return await work
    except OAuthError as refused:
        body = {"error": refused.error, "error_description": refused.description}
        return said(body, status=refused.status, headers=refused.headers)


def said(body: Any, *, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON answer that nobody may keep."""
    return Answer(
        body, status_code=int(status), media_type=MediaType.JSON, headers={**NO_STORE, **(headers or {})}
    )


async def form_of(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The parameters of a form, each given once; OAuthError `invalid_request` for anything else."""
    if request.content_type[0] != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", "the request is a form")
    try:
        text = (await request.body()).decode("ascii")
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=True, max_num_fields=50, errors="strict"
        )
    except (ValueError, UnicodeError):
        raise OAuthError("invalid_request", "the form cannot be read") from None
    # PostgreSQL keeps no NUL in a text, and no parameter of any protocol here has one.
    if "\0" in text or any("\0" in part for pair in pairs for part in pair):
        raise OAuthError("invalid_request", "the form cannot be read")
    form = dict(pairs)
    # Of two parameters of one name, we and somebody before us might look at different ones (RFC 6749 section 3.2).
    if len(form) != len(pairs):
        raise OAuthError("invalid_request", "a parameter stands twice")
    # A parameter without a value is as good as none (RFC 6749 section 3.2).
    return {name: value for name, value in form.items() if value}
