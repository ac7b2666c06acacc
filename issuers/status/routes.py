"""The public door to the status lists: no login, cacheable, the same for everybody."""

from datetime import datetime
from typing import Any

from litestar import Request, Router, get
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import anyone
from core.errors import NotOffered, problems
from core.headers import PUBLIC_DOCUMENT
from core.idempotency import Answer
from core.settings import Settings
from core.vault import Vault
from issuers.status.accepting import prefers
from issuers.status.rules import CWT_TYPE, MEDIA_TYPE
from issuers.status.schemas import Aggregation
from issuers.status.service import StatusMemory, uri_of

_TOKEN = {
    200: ResponseSpec(
        data_container=str,
        media_type=MEDIA_TYPE,
        description="The signed list (Token Status List), or, where the caller prefers "
        f"{CWT_TYPE}, the same as a CWT",
        generate_examples=False,
    ),
    304: ResponseSpec(
        data_container=None, description="The list is the one that the caller has", generate_examples=False
    ),
}


class NoHistory(NotOffered):
    """Lists are served as they stand now (Token Status List, section 8.4)."""

    slug, title = "no-status-history", "The status of another time is not kept"


def provide_statuses(request: Request[Any, Any, Any]) -> StatusMemory:
    """The one memory of this application: made at the first question, shared by all doors."""
    state = request.app.state
    if "statuses" not in state:
        state.statuses = StatusMemory(state.settings.status_bits)
    memory: StatusMemory = state.statuses
    return memory


@get("/", operation_id="listStatusLists", media_type="application/json")
async def list_status_lists(
    session: NamedDependency[AsyncSession],
    statuses: NamedDependency[StatusMemory],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> Answer:
    """Where every status list is, for verifiers that fetch ahead, so that nobody sees what they check."""
    await statuses.follow(session, now)
    listed = Aggregation(status_lists=[uri_of(number, settings) for number in statuses.numbers()])
    return Answer(listed, headers=_open_to_all(settings))


@get("/{number:int}", operation_id="readStatusList", responses={**_TOKEN, **problems(400, 404, 501, 503)})
async def read_status_list(
    *,
    number: FromPath[int],
    request: Request[Any, Any, Any],
    session: NamedDependency[AsyncSession],
    statuses: NamedDependency[StatusMemory],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> Answer:
    """A signed status list: of each index, whether its credential is valid, invalid or suspended."""
    if "time" in request.query_params:
        raise NoHistory
    await statuses.follow(session, now)
    published = await statuses.published(session, number, vault=vault, settings=settings, now=now)
    form = (
        published.cwt if prefers(request.headers.get("accept", ""), CWT_TYPE, MEDIA_TYPE) else published.jwt
    )
    zipped = _accepts_gzip(request.headers.get("accept-encoding", ""))
    etag = f'"{form.etag}-gz"' if zipped else f'"{form.etag}"'
    headers = {**_open_to_all(settings), "ETag": etag, "Vary": "Accept, Accept-Encoding"}
    if _has(request.headers.get("if-none-match", ""), form.etag):
        return Answer(b"", status_code=304, headers=headers)
    if zipped:
        headers["Content-Encoding"] = "gzip"
    return Answer(form.gzipped if zipped else form.token, media_type=form.media_type, headers=headers)


def _open_to_all(settings: Settings) -> dict[str, str]:
    return {
        "Access-Control-Expose-Headers": "ETag",
        "Cache-Control": f"public, max-age={settings.status_ttl}",
    }


def _accepts_gzip(accepted: str) -> bool:
    for offer in accepted.lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() in {"gzip", "*"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _has(asked: str, etag: str) -> bool:
    # Both forms of the bytes say the same, so either name is enough to say "nothing new".
    names = {name.strip().removeprefix("W/") for name in asked.split(",")}
    return bool(names & {f'"{etag}"', f'"{etag}-gz"', "*"})


router = Router(
    path="/status",
    route_handlers=[list_status_lists, read_status_list],
    guards=[anyone],
    opt=PUBLIC_DOCUMENT,
    tags=["Public"],
    dependencies={"statuses": Provide(provide_statuses, sync_to_thread=False)},
)
