"""How partners and their staff are kept."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel

from core.database import Moment, impersonal, new_id


class Partner(SQLModel, table=True):
    """An organisation with one or more venues."""

    __tablename__ = "partners"
    __table_args__ = (
        CheckConstraint("length(name) > 0", name="has_a_name"),
        impersonal("an organisation, public by agreement"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    name: str = Field(max_length=200)
    joined_at: datetime = Field(sa_type=Moment)
    left_at: datetime | None = Field(default=None, sa_type=Moment)


class Member(SQLModel, table=True):
    """Who manages a partner: a principal, from a moment and perhaps until another."""

    __tablename__ = "partner_members"
    __table_args__ = (
        UniqueConstraint("partner_id", "principal_id"),
        impersonal("staff of a partner, by principal; who a principal is stands elsewhere"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    partner_id: UUID = Field(foreign_key="partners.id")
    principal_id: UUID = Field(foreign_key="principals.id", index=True)
    since: datetime = Field(sa_type=Moment)
    until: datetime | None = Field(default=None, sa_type=Moment)
