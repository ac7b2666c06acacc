"""How the trail is kept: entries, and the signed checkpoints over them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import Field, SQLModel

from core.database import Bytes, Json, Moment, impersonal, new_id


class Entry(SQLModel, table=True):
    """One thing that was done; written unchained in the caller's transaction, sealed by a job in order."""

    __tablename__ = "audit_entries"
    __table_args__ = (impersonal("entries name ids, codes and counts, never a personal value"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    at: datetime = Field(sa_type=Moment)
    principal_id: UUID | None = None
    """Who did it; None is the system itself."""
    acting_for: UUID | None = None
    channel: str = Field(default="", max_length=16)
    action: str = Field(max_length=64)
    """What was done, as `noun.verb`: `delivery.applied`, `device.enrolled`."""
    subject: str = Field(default="", max_length=128)
    """The kind and id of what it was done to, as `entitlement:…`."""
    details: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    position: int | None = Field(default=None, unique=True)
    """Its place in the chain, from 1 without a gap; None until it is sealed."""
    chain_hash: bytes | None = Field(default=None, sa_type=Bytes)


class Checkpoint(SQLModel, table=True):
    """A signed statement of how far the chain reached and what its last hash was."""

    __tablename__ = "audit_checkpoints"
    __table_args__ = (impersonal("hashes over the trail"),)

    position: int = Field(primary_key=True)
    chain_hash: bytes = Field(sa_type=Bytes)
    at: datetime = Field(sa_type=Moment)
    signed: str
    """The checkpoint as a JWS, to be published outside."""
