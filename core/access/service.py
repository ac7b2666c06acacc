"""Principals, their keys and their sessions: found, made, ended."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from core.access.models import Principal, Session
from core.access.rules import CEILINGS, Ceiling, Level, PrincipalKind, Role, is_over
from core.database import new_id
from core.vault import Label, Vault

TOUCH_AFTER = timedelta(seconds=30)
"""A session's last use is written down at most this often: a page with ten requests is one write."""


# ---- logins ----


def subject_hash(vault: Vault, issuer: str, subject: str) -> bytes:
    """What a login is recognised by: of no use to anyone who does not hold the vault."""
    # The length in front keeps issuer and subject apart, whatever stands in them.
    known_as = f"{len(issuer)}:{issuer}{subject}".encode()
    return hmac.digest(vault.secret(Label.LOGIN_LINKS), known_as, hashlib.sha256)


async def find_login(session: AsyncSession, vault: Vault, issuer: str, subject: str) -> Principal | None:
    """The login of this subject of this issuer."""
    known_as = subject_hash(vault, issuer, subject)
    found = await session.execute(select(Principal).where(col(Principal.subject_hash) == known_as))
    return found.scalar_one_or_none()


async def login(session: AsyncSession, vault: Vault, issuer: str, subject: str, now: datetime) -> Principal:
    """The login of this subject of this issuer, made at its first sign-in; of two that come at once, once."""
    known_as = subject_hash(vault, issuer, subject)
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    new = insert(Principal).values(
        id=new_id(), kind=PrincipalKind.LOGIN, label="", subject_hash=known_as, roles=[], created_at=now
    )
    await session.execute(new.on_conflict_do_nothing(index_elements=["subject_hash"]))
    found = await session.execute(select(Principal).where(col(Principal.subject_hash) == known_as))
    principal: Principal = found.scalar_one()
    return principal


# ---- sessions ----


def token_hash(token: str) -> bytes:
    """What is kept of a session's cookie: who reads the table cannot make the cookie from it."""
    return hashlib.sha256(token.encode()).digest()


async def open_session(
    session: AsyncSession,
    principal_id: UUID,
    roles: Iterable[Role],
    level: Level,
    now: datetime,
    *,
    provider_session: str | None = None,
    authenticated_at: datetime | None = None,
    ceilings: Mapping[Level, Ceiling] = CEILINGS,
) -> str:
    """Begins a session under a new random id and gives the cookie's value, which nobody keeps."""
    token = secrets.token_urlsafe(32)
    session.add(
        Session(
            token_hash=token_hash(token),
            principal_id=principal_id,
            roles=sorted(roles),
            level=level,
            provider_session=provider_session,
            authenticated_at=authenticated_at or now,
            seen_at=now,
            expires_at=now + ceilings[level].absolute,
        )
    )
    await session.flush()
    return token


async def find_session(
    session: AsyncSession, token: str, now: datetime, *, ceilings: Mapping[Level, Ceiling] = CEILINGS
) -> tuple[Session, Principal] | None:
    """The session of this cookie with its principal, as long as neither has ended."""
    found = await session.execute(
        select(Session, Principal)
        .join(Principal, col(Principal.id) == col(Session.principal_id))
        .where(
            col(Session.token_hash) == token_hash(token),
            col(Session.ended_at).is_(None),
            col(Principal.disabled_at).is_(None),
        )
    )
    row = found.one_or_none()
    if row is None:
        return None
    opened, principal = row
    ceiling = ceilings[Level(opened.level)]
    if is_over(ceiling, seen_at=opened.seen_at, expires_at=opened.expires_at, now=now):
        return None
    return opened, principal


async def touch_session(session: AsyncSession, session_id: UUID, now: datetime) -> None:
    """Writes down that a session was used; its idle time begins anew."""
    await session.execute(
        update(Session)
        .where(col(Session.id) == session_id, col(Session.seen_at) < now)
        .values(seen_at=now)
        .execution_options(synchronize_session=False)
    )


async def end_session(session: AsyncSession, session_id: UUID, now: datetime) -> None:
    """Ends a session; it does not come back."""
    await session.execute(
        update(Session)
        .where(col(Session.id) == session_id, col(Session.ended_at).is_(None))
        .values(ended_at=now)
        .execution_options(synchronize_session=False)
    )
