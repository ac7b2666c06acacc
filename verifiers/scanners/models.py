"""How scanners and the codes that let them in are kept."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from core.database import Bytes, Moment, impersonal


class Scanner(SQLModel, table=True):
    """A device of a venue. Who it is to the doors is its principal, with its key."""

    __tablename__ = "scanners"
    __table_args__ = (impersonal("a device of a venue"),)

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    venue_id: UUID = Field(foreign_key="venues.id", index=True)
    principal_id: UUID = Field(foreign_key="principals.id", unique=True)
    name: str = Field(max_length=200)
    enrolled_at: datetime = Field(sa_type=Moment)
    removed_at: datetime | None = Field(default=None, sa_type=Moment)


class ScannerCode(SQLModel, table=True):
    """A code that lets one device in, once and soon; only its HMAC is kept."""

    __tablename__ = "scanner_codes"
    __table_args__ = (
        CheckConstraint("(used_at IS NULL) = (scanner_id IS NULL)", name="used_by_a_scanner"),
        impersonal("a one-time code of a venue"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    venue_id: UUID = Field(foreign_key="venues.id", index=True)
    code_hash: bytes = Field(sa_type=Bytes, unique=True)
    created_at: datetime = Field(sa_type=Moment)
    expires_at: datetime = Field(sa_type=Moment, index=True)
    used_at: datetime | None = Field(default=None, sa_type=Moment)
    scanner_id: UUID | None = Field(default=None, foreign_key="scanners.id")
