"""Every write is safe to retry: the answer is kept with the key, in the caller's own transaction."""

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from litestar import Litestar, Request, Response
from litestar.response.base import ASGIResponse
from sqlalchemy import UniqueConstraint, delete, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, SQLModel, col

from core.access.rules import Caller
from core.database import Bytes, Moment, impersonal, new_id
from core.errors import BadRequest, Conflict, Unprocessable
from core.vault import open_sealed, seal

KEPT = timedelta(hours=48)
"""How long an answer can be had again."""

HEADER = "Idempotency-Key"


class Answered(SQLModel, table=True):
    """A write that was answered: under which key, to which request, with which answer."""

    __tablename__ = "answered"
    __table_args__ = (
        UniqueConstraint("principal_id", "key_hash"),
        impersonal("the answer is sealed under the request itself and gone after two days"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    principal_id: UUID
    key_hash: bytes = Field(sa_type=Bytes)
    request_hash: bytes = Field(sa_type=Bytes)
    answer: bytes | None = Field(default=None, sa_type=Bytes)
    expires_at: datetime = Field(sa_type=Moment, index=True)


class KeyMissing(BadRequest):
    """The write asks for a key and got none."""

    slug, title = "idempotency-key-missing", "This write needs an Idempotency-Key header"


class KeyMalformed(BadRequest):
    """The key is empty or longer than 255 signs."""

    slug, title = "idempotency-key-malformed", "The Idempotency-Key is empty or too long"


class KeyReused(Unprocessable):
    """The key was used for another request."""

    slug, title = "idempotency-key-reused", "This Idempotency-Key was used for another request"


class StillRunning(Conflict):
    """The first request with this key has not been answered yet."""

    slug, title = "idempotency-in-progress", "The first request with this key is still being answered"


class AlreadyAnswered(Exception):
    """Carries the stored answer past the handler; `create_app` turns it into the response."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__()
        self.status, self.headers, self.body = status, headers, body


class Answer(Response[Any]):
    """The application's response class: what it sends can be kept for a retry.

    Handlers that set a status or headers of their own return `Answer(...)`, never a bare `Response`.
    """

    def to_asgi_response(
        self, app: Litestar | None, request: Request[Any, Any, Any], **rest: Any
    ) -> ASGIResponse:
        response = super().to_asgi_response(app, request, **rest)
        attempt = request.scope["state"].get("attempt")
        if isinstance(attempt, Attempt):
            attempt.answered = response
        return response


@dataclass(slots=True)
class Attempt:
    """A write under a key, from its first look to the moment at which its answer is stored."""

    row_id: UUID
    seal_key: bytes
    answered: ASGIResponse | None = None

    async def keep(self, session: AsyncSession) -> None:
        """Stores the answer; called inside the transaction that holds the write."""
        if self.answered is None or self.answered.status_code >= 500:
            await session.execute(delete(Answered).where(col(Answered.id) == self.row_id))
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in self.answered.encode_headers()
            if name.lower() in {b"location", b"etag", b"content-type"}
        }
        kept = json.dumps(
            [self.answered.status_code, headers, b64encode(self.answered.body).decode()],
            separators=(",", ":"),
        ).encode()
        row = await session.get_one(Answered, self.row_id)
        row.answer = seal(self.seal_key, kept, self.row_id.bytes)
        session.add(row)


async def begin(
    session: AsyncSession, request: Request[Any, Any, Any], secret: bytes, now: datetime
) -> Attempt | None:
    """Takes the key for this request, or raises `AlreadyAnswered` with what was said the first time.

    None where the request carries no key (KeyMissing where the door insists) or nobody is signed in.
    """
    key = request.headers.get(HEADER)
    if key is None:
        if request.route_handler.opt.get("idempotency") == "required":
            raise KeyMissing
        return None
    if not 1 <= len(key) <= 255:
        raise KeyMalformed
    caller = request.scope.get("user")
    if not isinstance(caller, Caller):
        return None
    body = await request.body()
    about = b"\x00".join(
        part.encode()
        for part in (
            request.method,
            request.url.path,
            request.url.query,
            str(caller.acting_for or ""),
            caller.channel,
        )
    )
    request_hash = hmac.digest(secret, b"request" + about + b"\x00\x00" + body, hashlib.sha256)
    key_hash = hmac.digest(secret, b"key" + key.encode(), hashlib.sha256)
    # The seal key needs the request itself: who reads the table alone cannot open the answers in it.
    seal_key = hmac.digest(secret, b"seal" + key.encode() + about + b"\x00\x00" + body, hashlib.sha256)
    row_id = new_id()
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    await session.execute(
        delete(Answered).where(
            col(Answered.principal_id) == caller.principal_id,
            col(Answered.key_hash) == key_hash,
            col(Answered.expires_at) <= now,
        )
    )
    taken = await session.execute(
        insert(Answered)
        .values(
            id=row_id,
            principal_id=caller.principal_id,
            key_hash=key_hash,
            request_hash=request_hash,
            expires_at=now + KEPT,
        )
        .on_conflict_do_nothing()
        .returning(col(Answered.id))
    )
    if taken.scalar_one_or_none() is not None:
        attempt = Attempt(row_id, seal_key)
        request.scope["state"]["attempt"] = attempt
        return attempt
    row = (
        await session.execute(
            select(Answered).where(
                col(Answered.principal_id) == caller.principal_id, col(Answered.key_hash) == key_hash
            )
        )
    ).scalar_one_or_none()
    if row is None or row.answer is None:
        raise StillRunning
    if not hmac.compare_digest(row.request_hash, request_hash):
        raise KeyReused
    status, headers, body64 = json.loads(open_sealed(seal_key, row.answer, row.id.bytes))
    raise AlreadyAnswered(status, headers, b64decode(body64))


async def forget_expired(session: AsyncSession, _payload: dict[str, Any], now: datetime) -> None:
    """The nightly job: drops answers whose time is over."""
    await session.execute(delete(Answered).where(col(Answered.expires_at) <= now))


def replay(_request: Request[Any, Any, Any], again: AlreadyAnswered) -> Response[bytes]:
    """The stored answer, byte for byte, marked as a replay."""
    media = again.headers.pop("content-type", "application/json")
    return Response(
        again.body,
        status_code=again.status,
        media_type=media,
        headers={**again.headers, "Idempotency-Replayed": "true"},
    )


__all__ = ["HEADER", "AlreadyAnswered", "Answer", "Answered", "Attempt", "begin", "forget_expired", "replay"]
