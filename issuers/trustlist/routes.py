"""The public door to the trust list."""

from typing import Any

from litestar import Request, Router, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import anyone
from core.errors import problems
from core.headers import PUBLIC_DOCUMENT
from core.idempotency import Answer
from core.settings import Settings
from issuers.trustlist import service
from issuers.trustlist.rules import MEDIA_TYPE

_TOKEN = {
    200: ResponseSpec(
        data_container=str,
        media_type=MEDIA_TYPE,
        description="The signed list of issuers and keys",
        generate_examples=False,
    ),
    304: ResponseSpec(
        data_container=None, description="The list is the one that the caller has", generate_examples=False
    ),
}


@get("/trustlist", operation_id="readTrustList", responses={**_TOKEN, **problems(503)})
async def read_trust_list(
    request: Request[Any, Any, Any],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
) -> Answer:
    """The signed, versioned list of the keys that count; a scanner never takes a lower version."""
    published = await service.current(session)
    etag = f'"{published.digest.hex()[:32]}"'
    headers = {
        "Access-Control-Expose-Headers": "ETag",
        "Cache-Control": f"public, max-age={settings.status_ttl}",
        "ETag": etag,
    }
    asked = {name.strip().removeprefix("W/") for name in request.headers.get("if-none-match", "").split(",")}
    if asked & {etag, "*"}:
        return Answer(b"", status_code=304, headers=headers)
    return Answer(published.token.encode(), media_type=MEDIA_TYPE, headers=headers)


router = Router(
    path="/", route_handlers=[read_trust_list], guards=[anyone], opt=PUBLIC_DOCUMENT, tags=["Public"]
)
