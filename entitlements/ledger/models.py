"""How accounts, entries and postings are kept."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel

from core.database import Bytes, Moment, impersonal, new_id, word


class AccountKind(StrEnum):
    """Whose money an account stands for."""

    ALLOWANCE = "allowance"
    """What one approval still lets a person use; never below zero."""
    BUDGET = "budget"
    """A payer's public money, one account for each payer; runs below zero by what was given out."""
    PAYABLE = "payable"
    """What the city owes a partner."""


class EntryKind(StrEnum):
    """Why money moved."""

    ACCRUAL = "accrual"
    LAPSE = "lapse"
    CARRY_OVER = "carry-over"
    TRANSFER = "transfer"
    """Credited months that pass from one payer to another, because the ground changed."""
    TWICE = "twice"
    """What was credited twice for one month, because one person was kept as two, back to its payer."""
    BOOKING = "booking"
    REVERSAL = "reversal"


class Account(SQLModel, table=True):
    """A place where cents stand, owned by something outside that the ledger does not ask about."""

    __tablename__ = "ledger_accounts"
    __table_args__ = (
        UniqueConstraint("kind", "owner"),
        CheckConstraint("balance_cents IS NULL OR balance_cents >= 0", name="never_below_zero"),
        CheckConstraint("(kind = 'allowance') = (balance_cents IS NOT NULL)", name="allowances_are_guarded"),
        impersonal("the owner is an approval, a payer or a partner; money outlives the person's data"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    kind: AccountKind = Field(sa_type=word(AccountKind))
    owner: str = Field(max_length=80)
    balance_cents: int | None = Field(default=None, sa_type=BigInteger)
    """Kept only where it must not fall below zero; elsewhere it is the sum of the postings, so that no
    payer's account becomes the one row for which everybody waits."""
    opened_at: datetime = Field(sa_type=Moment)


class Entry(SQLModel, table=True):
    """One movement of money, whole: its postings sum to zero, and its key makes it happen once."""

    __tablename__ = "ledger_entries"
    __table_args__ = (impersonal("names kinds, months and opaque keys"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    key: str = Field(max_length=160, unique=True)
    content_hash: bytes = Field(sa_type=Bytes)
    """Of kind, month and postings: the same key for something else is refused."""
    kind: EntryKind = Field(sa_type=word(EntryKind))
    service_month: date | None = None
    """The month for which the money is, its first day; the month of booking is in `booked_at`."""
    booked_at: datetime = Field(sa_type=Moment)


class Posting(SQLModel, table=True):
    """One leg of an entry: cents that come to (or leave, when negative) an account."""

    __tablename__ = "ledger_postings"
    __table_args__ = (
        UniqueConstraint("entry_id", "account_id"),
        CheckConstraint("cents <> 0", name="moves_something"),
        impersonal("accounts are opaque"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    entry_id: UUID = Field(foreign_key="ledger_entries.id")
    account_id: UUID = Field(foreign_key="ledger_accounts.id", index=True)
    cents: int = Field(sa_type=BigInteger)
