"""What is said of allowances."""

from datetime import date

from pydantic import Field

from core.schema import Schema
from entitlements.allowances.models import Accrual, ApprovalState, LumpSum, Terms
from entitlements.allowances.rules import name_of
from entitlements.allowances.service import Pot


class ComingView(Schema):
    """A month that will be credited."""

    month: date = Field(description="The first day of the month", examples=["2026-10-01"])
    cents: int = Field(description="What it will bring, in cents", examples=[1500])


class PotView(Schema):
    """One approval of money, and what stands there."""

    kind: str = Field(description="What the money is for", examples=["participation"])
    name: str = Field(
        description="What that is called in the language asked for",
        examples=["Soziale und kulturelle Teilhabe"],
    )
    programme: str = Field(description="The programme that brings it", examples=["bildungskarte"])
    terms: Terms = Field(
        description="`monthly`: so much is credited each month; otherwise the actual cost of each event or meal, "
        "or what a case worker approved, is paid when it arises"
    )
    monthly_cents: int = Field(
        description="What each month brings, in cents; 0 where the actual cost is paid", examples=[1500]
    )
    unit_ceiling_cents: int | None = Field(
        description="The most that one event or meal may cost, in cents; null: whatever it costs"
    )
    ceiling_cents: int | None = Field(
        description="The most that all of them may cost within this approval, in cents; null: whatever they cost"
    )
    accrual: Accrual = Field(description="Whether months are credited one by one or all at once")
    since: date = Field(description="The first day of the approval", examples=["2026-09-01"])
    until: date = Field(description="Its last day, as far as it is known", examples=["2027-02-28"])
    usable_until: date = Field(
        description="The last day on which what stands here can be used; then the rest lapses",
        examples=["2027-05-31"],
    )
    state: ApprovalState = Field(description="`ended`: nothing more is credited, the rest can still be used")
    balance_cents: int = Field(description="What can be used now, in cents", examples=[1500])
    coming: list[ComingView] = Field(description="What is still to be credited if nothing changes")

    @classmethod
    def of(cls, pot: Pot, language: str) -> "PotView":
        approval = pot.approval
        return cls(
            kind=approval.kind,
            name=name_of(approval.kind, language),
            programme=approval.programme,
            terms=approval.terms,
            monthly_cents=approval.monthly_cents,
            unit_ceiling_cents=approval.unit_ceiling_cents,
            ceiling_cents=approval.ceiling_cents,
            accrual=approval.accrual,
            since=approval.since,
            until=approval.until,
            usable_until=approval.usable_until,
            state=approval.state,
            balance_cents=pot.balance_cents,
            coming=[ComingView(month=month, cents=approval.monthly_cents) for month in pot.coming],
        )


class LumpSumView(Schema):
    """Money that was due once, paid out by the office in charge."""

    kind: str = Field(description="What the money is for", examples=["school_supplies"])
    name: str = Field(description="What that is called in the language asked for", examples=["Schulbedarf"])
    programme: str = Field(description="The programme that brings it", examples=["bildungskarte"])
    cents: int = Field(description="How much, in cents", examples=[13000])
    due: date = Field(description="The day on which it became due", examples=["2026-08-01"])
    statute: str = Field(description="What it rests on", examples=["§ 28 Abs. 3 SGB II"])

    @classmethod
    def of(cls, row: LumpSum, language: str) -> "LumpSumView":
        return cls(
            kind=row.kind,
            name=name_of(row.kind, language),
            programme=row.programme,
            cents=row.cents,
            due=row.due,
            statute=row.statute,
        )


class AllowancesView(Schema):
    """A person's money: pots that are filled by the month, and lump sums."""

    pots: list[PotView]
    lump_sums: list[LumpSumView]
