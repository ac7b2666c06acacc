"""How knocks are counted."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from core.database import Bytes, Moment, impersonal


class Count(SQLModel, table=True):
    """How often one caller did one thing in one window."""

    __tablename__ = "limit_counts"
    __table_args__ = (impersonal("a keyed hash of who and what, gone soon after its window"),)

    key: bytes = Field(sa_type=Bytes, primary_key=True)
    """HMAC over purpose and caller: no address can be read from it."""
    window: int
    times: int
    ends_at: datetime = Field(sa_type=Moment, index=True)
