"""How principals, their keys and their sessions are kept."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from core.access.rules import PrincipalKind
from core.database import Bytes, Json, Moment, impersonal, new_id, word


class Principal(SQLModel, table=True):
    """Anyone or anything that authenticates."""

    __tablename__ = "principals"
    __table_args__ = (impersonal("a pseudonymous id; which person a login is stands in `logins`"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    kind: PrincipalKind = Field(sa_type=word(PrincipalKind))
    label: str = Field(default="", max_length=200)
    """What a machine is called; empty for logins, whose names are nobody's business here."""
    client_id: str | None = Field(default=None, max_length=128, unique=True)
    """A machine's OAuth client id."""
    subject_hash: bytes | None = Field(default=None, sa_type=Bytes, unique=True)
    """HMAC over issuer and subject of a login: enough to recognise it, useless to anybody else."""
    roles: list[str] = Field(default_factory=list, sa_type=Json)
    """Roles of a machine; a login's roles come from its provider at every sign-in."""
    created_at: datetime = Field(sa_type=Moment)
    disabled_at: datetime | None = Field(default=None, sa_type=Moment)


class PrincipalKey(SQLModel, table=True):
    """A public key by which a machine proves who it is."""

    __tablename__ = "principal_keys"
    __table_args__ = (impersonal("public keys of machines"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    principal_id: UUID = Field(foreign_key="principals.id", index=True)
    thumbprint: str = Field(max_length=64, unique=True)
    """RFC 7638, SHA-256."""
    jwk: dict[str, Any] = Field(sa_type=Json)
    added_at: datetime = Field(sa_type=Moment)
    removed_at: datetime | None = Field(default=None, sa_type=Moment)


class Session(SQLModel, table=True):
    """A browser that signed in; only the hash of its cookie is kept, and every login makes a new one."""

    __tablename__ = "sessions"
    __table_args__ = (impersonal("keyed by principal"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    token_hash: bytes = Field(sa_type=Bytes, unique=True)
    principal_id: UUID = Field(foreign_key="principals.id", index=True)
    roles: list[str] = Field(default_factory=list, sa_type=Json)
    level: str = Field(default="", max_length=128)
    provider_session: str | None = Field(default=None, max_length=255, index=True)
    authenticated_at: datetime = Field(sa_type=Moment)
    seen_at: datetime = Field(sa_type=Moment)
    expires_at: datetime = Field(sa_type=Moment)
    ended_at: datetime | None = Field(default=None, sa_type=Moment)


class UsedAssertion(SQLModel, table=True):
    """An assertion that a machine has used; each is good once."""

    __tablename__ = "used_assertions"
    __table_args__ = (
        UniqueConstraint("principal_id", "jti_hash"),
        impersonal("hashes of what machines made up, gone within minutes"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    principal_id: UUID = Field(foreign_key="principals.id")
    jti_hash: bytes = Field(sa_type=Bytes)
    kept_until: datetime = Field(sa_type=Moment, index=True)
