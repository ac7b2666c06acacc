"""How approvals, the months credited for them, and lump sums are kept."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from core.database import Moment, new_id, personal, word


class Accrual(StrEnum):
    """When the months of an approval are credited."""

    MONTHLY = "monthly"
    UPFRONT = "upfront"


class CarryOver(StrEnum):
    """What becomes of money that is not used at once."""

    NONE = "none"
    """It lapses when the next month is credited."""
    WITHIN_APPROVAL = "within_approval"
    TO_NEXT_APPROVAL = "to_next_approval"


class Terms(StrEnum):
    """How an approval pays."""

    MONTHLY = "monthly"
    """So much is credited each month."""
    PER_EVENT = "per_event"
    """What each trip, journey or the like costs, when it arises; nothing is credited before."""
    PER_MEAL = "per_meal"
    BY_DECISION = "by_decision"
    """What a case worker approved, as it is spent."""


class ApprovalState(StrEnum):
    """How an approval stands."""

    ACTIVE = "active"
    ENDED = "ended"
    """Nothing more is credited; what stands on the account can be used until `usable_until`."""
    LAPSED = "lapsed"


_ACTIVE = text("state = 'active'")


class Approval(SQLModel, table=True):
    """Money for one person and kind of use, under one ground and payer, for at most a year."""

    __tablename__ = "approvals"
    __table_args__ = (
        Index(
            "uq_approvals_active",
            "person_id",
            "kind",
            unique=True,
            sqlite_where=_ACTIVE,
            postgresql_where=_ACTIVE,
        ),
        Index("ix_approvals_state_until", "state", "until"),
        CheckConstraint("until >= since", name="until_after_since"),
        CheckConstraint("usable_until >= until", name="usable_to_the_end"),
        CheckConstraint(
            "(terms = 'monthly' AND monthly_cents > 0) OR (terms <> 'monthly' AND monthly_cents = 0)",
            name="brings_something",
        ),
        CheckConstraint("unit_ceiling_cents >= 0 AND ceiling_cents >= 0", name="ceilings_not_below_zero"),
        personal("person_id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    person_id: UUID = Field(foreign_key="persons.id", index=True)
    programme: str = Field(foreign_key="programmes.slug", max_length=64)
    kind: str = Field(max_length=64)
    ground: str | None = Field(default=None, max_length=64)
    payer: str = Field(max_length=64)
    terms: Terms = Field(default=Terms.MONTHLY, sa_type=word(Terms))
    monthly_cents: int
    """0 where nothing comes by the month."""
    unit_ceiling_cents: int | None = None
    """The most that one meal or event may cost."""
    ceiling_cents: int | None = None
    """The most that all of them may cost within this approval."""
    accrual: Accrual = Field(sa_type=word(Accrual))
    carry_over: CarryOver = Field(sa_type=word(CarryOver))
    grace: str = Field(max_length=8)
    since: date
    until: date
    usable_until: date
    state: ApprovalState = Field(default=ApprovalState.ACTIVE, sa_type=word(ApprovalState))
    account_id: UUID = Field(foreign_key="ledger_accounts.id", unique=True)
    credited_through: date | None = None
    """The last month that was credited, by its first day."""
    notice_id: UUID | None = None
    """The notice that announced the lapse."""
    decision_id: UUID = Field(index=True)
    approved_at: datetime = Field(sa_type=Moment)


_KEPT = text("moved_at IS NULL")


class CreditedMonth(SQLModel, table=True):
    """A month that was credited: for a person and kind only once, whatever the ground."""

    __tablename__ = "credited_months"
    __table_args__ = (
        Index(
            "uq_credited_months_kept",
            "person_id",
            "kind",
            "month",
            unique=True,
            sqlite_where=_KEPT,
            postgresql_where=_KEPT,
        ),
        CheckConstraint("cents > 0", name="credits_something"),
        personal("person_id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    approval_id: UUID = Field(foreign_key="approvals.id", index=True)
    person_id: UUID = Field(foreign_key="persons.id")
    kind: str = Field(max_length=64)
    month: date
    cents: int
    credited_at: datetime = Field(sa_type=Moment)
    moved_at: datetime | None = Field(default=None, sa_type=Moment)
    """When it passed to another payer, unspent, because the ground changed."""


class LumpSum(SQLModel, table=True):
    """Money due once on a day; kind and day make it due once only."""

    __tablename__ = "lump_sums"
    __table_args__ = (
        UniqueConstraint("person_id", "kind", "due"),
        CheckConstraint("cents > 0", name="brings_something"),
        personal("person_id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    person_id: UUID = Field(foreign_key="persons.id")
    programme: str = Field(foreign_key="programmes.slug", max_length=64)
    kind: str = Field(max_length=64)
    ground: str | None = Field(default=None, max_length=64)
    payer: str | None = Field(default=None, max_length=64)
    cents: int
    due: date
    statute: str = Field(max_length=400)
    decision_id: UUID = Field(index=True)
    recorded_at: datetime = Field(sa_type=Moment)
