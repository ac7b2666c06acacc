"""What is said of decisions and of what follows from them, in the reader's language."""

from collections.abc import Mapping
from datetime import date, datetime
from uuid import UUID

from pydantic import Field

from core.schema import Schema
from entitlements.allowances.rules import name_of
from entitlements.allowances.schemas import LumpSumView, PotView
from entitlements.decisions.models import Decision
from entitlements.decisions.rules import reason_from
from entitlements.decisions.service import Overview
from entitlements.facts.catalogue import REGISTERS, label_of
from entitlements.grants.models import EndReason, Entitlement, Standing
from entitlements.rulebook.models import TariffRow
from entitlements.rulebook.programmes import Outcome
from entitlements.rulebook.schemas import TariffView
from entitlements.rulebook.texts import render


class ReasonView(Schema):
    """Why, as a stable code and as a sentence."""

    code: str = Field(description="Stable code of the reason", examples=["receives"])
    text: str = Field(
        description="The reason in the language asked for, with the law it rests on",
        examples=["Sie erhalten: Grundsicherungsgeld. (§§ 19 ff. SGB II)"],
    )


class MissingView(Schema):
    """What would have to be known, and who can say it."""

    fact: str = Field(description="Stable name of the fact", examples=["school_stage"])
    label: str = Field(description="What it is called", examples=["die Schulform"])
    register_kind: str = Field(description="Stable name of the kind of register to ask", examples=["school"])
    department: str = Field(
        description="The department to ask", examples=["Schulen, über das Schulverwaltungsamt"]
    )


class ChargeView(Schema):
    """What the holder pays by the month."""

    kind: str = Field(examples=["school_ticket"])
    name: str = Field(examples=["DeutschlandTicket Schule"])
    monthly_cents: int = Field(examples=[1400])


class DecisionView(Schema):
    """What one rule version said about a person on one day."""

    id: UUID
    programme: str = Field(description="The programme decided on", examples=["dortmund-karte"])
    outcome: Outcome = Field(
        description="`undetermined`: facts are missing; `refer`: a human has to decide", examples=["granted"]
    )
    day: date = Field(description="The day for which it was decided")
    decided_at: datetime = Field(description="When it was decided; what was learned later had no part in it")
    ground: str | None = Field(description="The legal circle behind it", examples=["sgb2"])
    until: date | None = Field(description="The last day that facts and rule carry; null if open")
    reasons: list[ReasonView]
    missing: list[MissingView]
    changes_on: date | None = Field(
        description="The next day on which it can be another if nothing new is learned"
    )
    cause: str = Field(description="What occasioned the assessment", examples=["delivery"])
    rule_hash: str = Field(description="SHA-256 of the rule that decided")
    parameter_hash: str = Field(description="SHA-256 of the amounts that it used")
    previous_id: UUID | None = Field(description="The decision that stood before")

    @classmethod
    def of(cls, decision: Decision, language: str) -> "DecisionView":
        return cls(
            id=decision.id,
            programme=decision.programme,
            outcome=decision.outcome,
            day=decision.day,
            decided_at=decision.decided_at,
            ground=decision.ground,
            until=decision.until,
            reasons=reasons_of(decision, language),
            missing=missing_of(decision, language),
            changes_on=decision.changes_on,
            cause=decision.cause,
            rule_hash=decision.rule_hash,
            parameter_hash=decision.parameter_hash,
            previous_id=decision.previous_id,
        )


def reasons_of(decision: Decision, language: str) -> list[ReasonView]:
    """A decision's reasons, worded."""
    return [
        ReasonView(code=stored["code"], text=render(reason_from(stored), language))
        for stored in decision.reasons
    ]


def missing_of(decision: Decision, language: str) -> list[MissingView]:
    """What a decision lacked, and which department can say it."""
    return [
        MissingView(
            fact=stored["fact"],
            label=label_of(stored["fact"], language, decision.day),
            register_kind=stored["register"],
            department=REGISTERS[stored["register"]].department,
        )
        for stored in decision.missing
    ]


class EntitlementView(Schema):
    """One programme as it stands for a person: what is held of it, what it brings, and why or why not."""

    programme: str = Field(examples=["dortmund-karte"])
    name: str = Field(description="What it is called in the language asked for", examples=["Dortmund-Karte"])
    held: bool = Field(description="Whether it is held today")
    id: UUID | None = Field(
        description="The entitlement that is held, or was last held; null if none ever was"
    )
    status: Standing | None = Field(description="`ending`: still held in full; its end has been announced")
    since: date | None = Field(description="The first day on which it is or was held")
    until: date | None = Field(
        description="The last day on which it is held, as far as that is known; null if open",
        examples=["2027-02-28"],
    )
    end_reason: EndReason | None = Field(description="Why it ends or ended")
    tariffs: list[TariffView] = Field(description="What a card carries because of it")
    outcome: Outcome | None = Field(description="What the latest decision says")
    decision_id: UUID | None
    reasons: list[ReasonView] = Field(description="Why it is held, or why not")
    missing: list[MissingView] = Field(
        description="What would have to be known for a decision, or for all that it could bring"
    )
    allowances: list[PotView] = Field(description="Money by the month that it brings")
    lump_sums: list[LumpSumView] = Field(description="Lump sums that became due because of it")
    charges: list[ChargeView] = Field(description="What the holder pays by the month")

    @classmethod
    def of(
        cls, overview: Overview, tariffs: Mapping[str, TariffRow], language: str, today: date
    ) -> "EntitlementView":
        decision, entitlement = overview.decision, overview.entitlement
        held = entitlement is not None and holds(entitlement, today)
        brings = decision.brings if decision is not None and held else {}
        return cls(
            programme=overview.programme,
            name=overview.names.get(language, overview.names["de"]),
            held=held,
            id=entitlement.id if entitlement else None,
            status=entitlement.status if entitlement else None,
            since=entitlement.since if entitlement else None,
            until=_last_day(entitlement) if entitlement else None,
            end_reason=entitlement.end_reason if entitlement else None,
            tariffs=[TariffView.of(tariffs[name], language) for name in entitlement.tariffs]
            if entitlement and held
            else [],
            outcome=decision.outcome if decision else None,
            decision_id=decision.id if decision else None,
            reasons=reasons_of(decision, language) if decision else [],
            missing=missing_of(decision, language) if decision else [],
            allowances=[PotView.of(pot, language) for pot in overview.pots],
            lump_sums=[LumpSumView.of(row, language) for row in overview.lump_sums],
            charges=[
                ChargeView(
                    kind=charge["kind"],
                    name=name_of(charge["kind"], language),
                    monthly_cents=charge["monthly_cents"],
                )
                for charge in brings.get("charges", ())
            ],
        )


def holds(entitlement: Entitlement, today: date) -> bool:
    """Whether it is held on this day."""
    standing = entitlement.status in {Standing.ACTIVE, Standing.ENDING}
    return standing and (entitlement.ends_on is None or today <= entitlement.ends_on)


def _last_day(entitlement: Entitlement) -> date | None:
    if entitlement.status is Standing.REVOKED:
        return None
    return entitlement.ends_on or (None if entitlement.renewable else entitlement.until)


class NewAssessment(Schema):
    """Whom to assess."""

    person_id: UUID = Field(description="The person; everybody in a common household is assessed as well")


class AssessmentView(Schema):
    """What an assessment did."""

    persons: int = Field(description="How many persons were judged", examples=[5])
    decisions: int = Field(
        description="Decisions that differ from the ones that stood; zero when nothing changed", examples=[4]
    )
    granted: int = Field(description="Entitlements given", examples=[2])
    ending: int = Field(description="Entitlements whose end was announced", examples=[0])
    revoked: int = Field(description="Entitlements that ended at once because of a death", examples=[0])


class ReferralView(Schema):
    """A case that waits for a human."""

    person_id: UUID
    held: bool = Field(
        description="Whether the person holds it meanwhile; nothing ends because a register is silent"
    )
    decision: DecisionView


class ReferralsView(Schema):
    """Cases that wait, the oldest first."""

    referrals: list[ReferralView]
    next: UUID | None = Field(description="Hand in as `after` for the next page; null on the last one")
