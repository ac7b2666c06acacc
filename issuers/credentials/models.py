"""How credentials are kept: written down before they are signed."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel

from core.database import Bytes, Moment, personal, word
from issuers.credentials.rules import CredentialKind, Revocation


class Holder(SQLModel, table=True):
    """A person for whom credentials are made. Who makes some, or takes some back, holds this row meanwhile."""

    __tablename__ = "holders"
    __table_args__ = (personal("person_id"),)

    person_id: UUID = Field(primary_key=True)
    touched_at: datetime = Field(sa_type=Moment)
    paused_at: datetime | None = Field(default=None, sa_type=Moment)
    """Since when the person's phones get no fresh cards: from the first suspension until the card is resumed."""


class Credential(SQLModel, table=True):
    """A signed statement of what a person holds: its place in a status list, and what it says."""

    __tablename__ = "credentials"
    __table_args__ = (
        UniqueConstraint("status_list", "status_index"),
        ForeignKeyConstraint(
            ["status_list", "status_index"], ["status_places.list_number", "status_places.position"]
        ),
        CheckConstraint("kind <> 'card' OR holder_point IS NOT NULL", name="a_card_is_bound"),
        CheckConstraint("kind <> 'printed' OR named", name="paper_is_named"),
        CheckConstraint("tariff_bits BETWEEN 1 AND 65535", name="some_tariff"),
        CheckConstraint("(revoked_at IS NULL) = (revoked_for IS NULL)", name="revoked_for_a_reason"),
        personal("person_id"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    person_id: UUID = Field(foreign_key="holders.person_id", index=True)
    kind: CredentialKind = Field(sa_type=word(CredentialKind))
    key_id: str = Field(max_length=8, foreign_key="issuing_keys.key_id", index=True)
    status_list: int
    status_index: int
    tariff_bits: int
    named: bool
    issued_at: datetime = Field(sa_type=Moment, index=True)
    expires_at: datetime = Field(sa_type=Moment, index=True)
    device_id: UUID | None = Field(default=None, index=True)
    """The phone that holds it; phones stand to the right of here, so this is their id and no more."""
    holder_point: bytes | None = Field(default=None, sa_type=Bytes, unique=True)
    """The key that the card is bound to; one key, one card, or two cards could be linked by it."""
    batch_id: UUID | None = Field(default=None, index=True)
    """Those that a wallet was given together; it speaks of them as one."""
    card_hash: bytes | None = Field(default=None, sa_type=Bytes, unique=True)
    """SHA-256 of the signed bytes; None until they are signed."""
    revoked_at: datetime | None = Field(default=None, sa_type=Moment)
    revoked_for: Revocation | None = Field(default=None, sa_type=word(Revocation))
