"""Lets everybody keep the public lists for a while: an ETag that changes when the lists do."""

from datetime import date
from hashlib import sha256
from typing import Any, TypeVar

from litestar import Request, Response

from core.idempotency import Answer

T = TypeVar("T")

Cached = Response[T]
"""What such a route answers, for the description of the interface."""

KEPT_SECONDS = 300


def cacheable(request: Request[Any, Any, Any], revision: int, today: date, content: T) -> Response[T]:
    """The content, or 304 where the client's copy is still the same; no login stands in the way of a cache."""
    # The day is part of it: offers come into force and end at midnight without anybody changing them.
    about = f"{revision}\n{today}\n{request.url.path}\n{request.url.query}"
    etag = f'W/"{sha256(about.encode()).hexdigest()[:24]}"'
    headers = {"ETag": etag, "Cache-Control": f"public, max-age={KEPT_SECONDS}"}
    held = {entry.strip() for entry in request.headers.get("if-none-match", "").split(",")}
    return Answer(b"", status_code=304, headers=headers) if etag in held else Answer(content, headers=headers)
