"""How the issuing authority and the public halves of its keys are kept."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index
from sqlmodel import Field, SQLModel

from core.database import Bytes, Moment, impersonal, new_id, word
from core.vault import KeyUse


class Authority(SQLModel, table=True):
    """The authority in whose name credentials are signed."""

    __tablename__ = "authorities"
    __table_args__ = (impersonal("an office of the city"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    name: str = Field(max_length=64, unique=True)
    """A word for it, as the settings name the city."""
    keys_changed_at: datetime = Field(sa_type=Moment)
    """Its keys change one at a time: who changes them holds this row until the commit."""
    created_at: datetime = Field(sa_type=Moment)


class IssuingKey(SQLModel, table=True):
    """The public half of a key, what it signs and since when; the private half stays in the vault."""

    __tablename__ = "issuing_keys"
    __table_args__ = (
        CheckConstraint("withdrawn_at IS NULL OR withdrawn_for IS NOT NULL", name="withdrawn_for_a_reason"),
        Index("ix_issuing_keys_use_not_before", "use", "not_before"),
        impersonal("public keys of an office"),
    )

    key_id: str = Field(primary_key=True, max_length=8)
    """The four bytes of the kid, in hexadecimal: unique in this house, because codes carry no more."""
    authority_id: UUID = Field(foreign_key="authorities.id", index=True)
    use: KeyUse = Field(sa_type=word(KeyUse))
    point: bytes = Field(sa_type=Bytes)
    """The compressed point, 33 bytes."""
    created_at: datetime = Field(sa_type=Moment)
    not_before: datetime = Field(sa_type=Moment)
    """From when on it signs; announced before, so that scanners without a network know it in time."""
    withdrawn_at: datetime | None = Field(default=None, sa_type=Moment)
    """From when on nothing that it signed counts."""
    withdrawn_for: str | None = Field(default=None, max_length=64)


class Certificate(SQLModel, table=True):
    """A certificate of the development authority: its own, or one for a key of ours."""

    __tablename__ = "certificates"
    __table_args__ = (
        CheckConstraint("not_after > not_before", name="begins_before_it_ends"),
        Index("ix_certificates_key_id_not_after", "key_id", "not_after"),
        impersonal("certificates of an office"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    key_id: str = Field(max_length=8)
    """The key that it is for."""
    digest: bytes = Field(sa_type=Bytes, unique=True)
    """SHA-256 over key, names and day: of two processes that renew at once, one does."""
    der: bytes = Field(sa_type=Bytes)
    not_before: datetime = Field(sa_type=Moment)
    not_after: datetime = Field(sa_type=Moment)
