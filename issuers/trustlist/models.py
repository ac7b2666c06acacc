"""How published trust lists are kept."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from core.database import Bytes, Moment, impersonal


class PublishedTrustList(SQLModel, table=True):
    """A trust list as it was signed: scanners compare versions, so each is kept and none is signed twice."""

    __tablename__ = "trust_lists"
    __table_args__ = (impersonal("public keys of an office"),)

    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    issued_at: datetime = Field(sa_type=Moment)
    expires_at: datetime = Field(sa_type=Moment)
    digest: bytes = Field(sa_type=Bytes)
    """Over all that the list says."""
    token: str
