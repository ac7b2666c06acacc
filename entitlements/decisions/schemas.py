"""What is said of decisions and of what follows from them, in the reader's language."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import Field

from core.schema import Schema
from entitlements.allowances.rules import name_of
from entitlements.allowances.schemas import LumpSumView, PotView
from entitlements.decisions.changing import Change, Way
from entitlements.decisions.explaining import Explanation, Replayed
from entitlements.decisions.models import Decision
from entitlements.decisions.resting import Rested
from entitlements.decisions.rules import reason_from
from entitlements.decisions.service import Overview
from entitlements.decisions.wording import (
    contradiction_in_words,
    in_order,
    member_in_words,
    next_in_words,
    stated_in_words,
    way_in_words,
)
from entitlements.facts.catalogue import REGISTERS, label_of
from entitlements.facts.contradictions import Contradiction
from entitlements.grants.models import EndReason, Entitlement, Standing
from entitlements.language import Value
from entitlements.notices.values import value_in_words
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
    known_by: str = Field(description="Who knows it, in the language asked for", examples=["die Schule"])
    department: str = Field(
        description="The department to ask, as the city calls it",
        examples=["Schulen, über das Schulverwaltungsamt"],
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
            known_by=label_of(stored["register"], language, decision.day),
            department=REGISTERS[stored["register"]].department,
        )
        for stored in decision.missing
    ]


def _written(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class RestedView(Schema):
    """A fact that a decision rests on."""

    fact: str = Field(
        description="Stable name of the fact; of the household, where it is kept back what is known of others there",
        examples=["sgb2"],
    )
    label: str = Field(description="What it was called on the day of the decision", examples=["Bürgergeld"])
    of_household: str | None = Field(
        description="The kind of household, where it is a fact of somebody else there; null: the person's own",
        examples=[None],
    )
    value: str | None = Field(
        description="What is stated, as registers write it; null: no member of the household has it, or not "
        "together with what else is asked, or it is kept back",
        examples=["true"],
    )
    value_text: str | None = Field(description="The same in words", examples=["ja"])
    register_kind: str | None = Field(
        description="Who stated it; of other members of the household for case workers only",
        examples=["jobcenter"],
    )
    register_label: str | None = Field(examples=["das Jobcenter"])
    since: date | None = Field(description="The first day; of others for case workers only")
    until: date | None = Field(description="The last day, if one was stated; of others for case workers only")
    learned_at: datetime | None = Field(
        description="Since when the city knows it; of others for case workers only"
    )
    member_id: UUID | None = Field(description="Whose it is, for case workers only")
    text: str = Field(
        description="All of this in a sentence",
        examples=[
            "Bürgergeld: ja (das Jobcenter; seit dem 1. Januar 2026; uns bekannt seit dem 3. Januar 2026)"
        ],
    )

    @classmethod
    def of(cls, rested: Rested, how: "Reading") -> "RestedView":
        stated, on, language = rested.stated, how.on, how.language
        told = stated if stated is not None and (how.inside or not rested.household) else None
        if rested.household:
            value = stated.value if stated is not None else None
            text = member_in_words(rested.fact, value, rested.household, language, on, partly=rested.partly)
        else:
            assert stated is not None
            text = stated_in_words(rested.fact, stated, language, on, how.zone)
        # Of our own making, and many of them: there is nothing left to check.
        return cls.model_construct(
            fact=rested.fact,
            label=label_of(rested.fact, language, on),
            of_household=rested.household or None,
            value=_written(stated.value) if stated is not None else None,
            value_text=value_in_words(rested.fact, stated.value, language) if stated is not None else None,
            register_kind=told.register if told else None,
            register_label=label_of(told.register, language, on) if told else None,
            since=told.since if told else None,
            until=told.until if told else None,
            learned_at=told.learned_at if told else None,
            member_id=UUID(rested.member) if rested.member and how.inside else None,
            text=text,
        )


class ChangeView(Schema):
    """One thing that a register would have to state."""

    fact: str = Field(description="Stable name of the fact", examples=["sgb2"])
    label: str = Field(examples=["Grundsicherungsgeld"])
    of_household: str | None = Field(
        description="The kind of household, where it would be a fact of somebody else there", examples=[None]
    )
    value: str = Field(description="What would have to be stated, as registers write it", examples=["true"])
    value_text: str = Field(examples=["ja"])
    register_kind: str = Field(examples=["jobcenter"])
    register_label: str = Field(examples=["das Jobcenter"])

    @classmethod
    def of(cls, change: Change, how: "Reading") -> "ChangeView":
        return cls.model_construct(
            fact=change.fact,
            label=label_of(change.fact, how.language, how.on),
            of_household=change.household or None,
            value=_written(change.value),
            value_text=value_in_words(change.fact, change.value, how.language),
            register_kind=change.register,
            register_label=label_of(change.register, how.language, how.on),
        )


class WayView(Schema):
    """Facts that together, if stated otherwise, would change the decision."""

    changes: list[ChangeView] = Field(
        description="What would have to be stated; what concerns others at the same address is not listed"
    )
    text: str = Field(
        description="All of them in a sentence",
        examples=["Der Anspruch entsteht, wenn das Jobcenter mitteilt: Grundsicherungsgeld – ja."],
    )

    @classmethod
    def of(cls, way: Way, how: "Reading", *, grants: bool) -> "WayView":
        # Who of a household it would be is nobody's business, and the same for each of them.
        shown = {(c.household, c.fact, c.value): c for c in in_order(way) if c.fact != c.household}
        return cls(
            changes=[ChangeView.of(change, how) for change in shown.values()],
            text=way_in_words(way, how.language, how.on, grants=grants),
        )


class StatementView(Schema):
    """What one register states."""

    register_kind: str = Field(examples=["school"])
    register_label: str = Field(examples=["die Schule"])
    value: str = Field(description="As registers write it", examples=["primary"])
    value_text: str = Field(examples=["Grundschule"])
    since: date
    until: date | None
    learned_at: datetime


class ContradictionView(Schema):
    """Two registers, or more, state different things about one fact."""

    fact: str = Field(examples=["school_stage"])
    label: str = Field(examples=["die besuchte Schulstufe"])
    of_household: bool = Field(description="Whether it is about somebody else in the household")
    member_id: UUID | None = Field(description="Whom it is about, for case workers only")
    statements: list[StatementView] = Field(
        description="What each of them states; about somebody else in the household for case workers only"
    )
    text: str = Field(description="As the person is told: neither is said to be wrong")

    @classmethod
    def of(cls, differs: Contradiction, person_id: UUID, how: "Reading") -> "ContradictionView":
        own = differs.person_id == person_id
        return cls(
            fact=differs.fact,
            label=label_of(differs.fact, how.language, how.on),
            of_household=not own,
            member_id=differs.person_id if how.inside else None,
            statements=[
                StatementView(
                    register_kind=one.register_kind,
                    register_label=label_of(one.register_kind, how.language, how.on),
                    value=_written(one.value),
                    value_text=value_in_words(differs.fact, one.value, how.language),
                    since=one.since,
                    until=one.until,
                    learned_at=one.known_from,
                )
                for one in differs.statements
                if own or how.inside
            ],
            text=contradiction_in_words(differs.fact, how.language, how.on),
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """Who reads an explanation, and how."""

    language: str
    on: date
    """The day of the decision: things are called as they were then."""
    zone: ZoneInfo
    inside: bool
    """Whether a case worker reads, who may know which member of a household a fact is about."""


class ExplanationView(Schema):
    """A decision with all that it rests on, and what would make it another."""

    decision: DecisionView
    programme_name: str = Field(examples=["Dortmund-Karte"])
    stands: bool = Field(description="Whether it is the decision that counts today")
    reproduced: bool = Field(
        description="Whether the very facts, rule and amounts of the decision were found again (by their "
        "hashes); if not, facts and ways are left out, because they would be about something else"
    )
    rests_on: list[RestedView] = Field(description="The fewest facts from which the outcome follows")
    what_would_grant: list[WayView] = Field(
        description="Where it is not granted: the smallest sets of facts, at most three, after which it would be"
    )
    what_would_end: list[WayView] = Field(
        description="Where it is granted: the smallest sets of facts, at most three, after which it would not be"
    )
    contradictions: list[ContradictionView] = Field(
        description="Where registers contradicted each other, and a human has to find out what is right"
    )
    next_on: date | None = Field(
        description="The next day on which it can be another if nothing new is learned; null: none"
    )
    next_text: str = Field(
        examples=["Am 1. August 2026 kann sich das ändern, auch wenn niemand etwas Neues mitteilt."]
    )

    @classmethod
    def of(
        cls, explanation: Explanation, language: str, zone: ZoneInfo, *, inside: bool
    ) -> "ExplanationView":
        asked = explanation.asked
        how = Reading(language, asked.decision.day, zone, inside)
        return cls(
            decision=DecisionView.of(asked.decision, language),
            programme_name=asked.names.get(language) or asked.names["de"],
            stands=asked.stands,
            reproduced=explanation.reproduced,
            rests_on=_rested(explanation, how),
            what_would_grant=[WayView.of(way, how, grants=True) for way in explanation.grants],
            what_would_end=[WayView.of(way, how, grants=False) for way in explanation.ends],
            contradictions=[
                ContradictionView.of(one, asked.decision.person_id, how) for one in explanation.differ
            ],
            next_on=asked.next_on,
            next_text=next_in_words(asked.next_on, language),
        )


def _rested(explanation: Explanation, how: Reading) -> list[RestedView]:
    views = [RestedView.of(rested, how) for rested in explanation.rests_on]
    if how.inside:
        return views
    # Of two members of whom the same is stated, a person hears once.
    return list({(view.of_household, view.fact, view.text): view for view in views}.values())


class ReplayView(Schema):
    """A stored decision, worked out again from what it names."""

    decision_id: UUID
    programme: str = Field(examples=["dortmund-karte"])
    day: date = Field(description="The day for which it was decided")
    decided_at: datetime = Field(description="The moment whose knowledge counts")
    same: bool = Field(description="Whether everything below is the same, bit for bit")
    same_rule: bool = Field(description="The stored rule still has the hash that the decision names")
    rule_hash: str
    same_parameters: bool = Field(description="The amounts of that day still have the hash it names")
    parameter_hash: str
    same_facts: bool = Field(
        description="The facts as known at that moment, of whom they were then taken to be about, "
        "still have the hash it names"
    )
    facts_hash: str
    same_ruling: bool = Field(
        description="Outcome, ground, payer, last day, reasons, what is missing, what it brings and the next "
        "day of change come out as they are stored"
    )
    outcome: Outcome = Field(description="What is stored", examples=["granted"])
    recomputed_outcome: Outcome = Field(description="What it comes to now", examples=["granted"])

    @classmethod
    def of(cls, replayed: Replayed) -> "ReplayView":
        decision = replayed.decision
        return cls(
            decision_id=decision.id,
            programme=decision.programme,
            day=decision.day,
            decided_at=decision.decided_at,
            same=replayed.same,
            same_rule=replayed.same_rule,
            rule_hash=decision.rule_hash,
            same_parameters=replayed.same_parameters,
            parameter_hash=decision.parameter_hash,
            same_facts=replayed.same_facts,
            facts_hash=decision.facts_hash,
            same_ruling=replayed.same_ruling,
            outcome=decision.outcome,
            recomputed_outcome=replayed.outcome,
        )


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
    explanation: ExplanationView | None = Field(
        default=None, description="The whole explanation, where `explain=true` asks for it"
    )

    @classmethod
    def of(
        cls,
        overview: Overview,
        tariffs: Mapping[str, TariffRow],
        language: str,
        today: date,
        explanation: ExplanationView | None = None,
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
            explanation=explanation,
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
    contradictions: list[ContradictionView] = Field(
        description="Where registers contradict each other today, with what each of them states"
    )


class ReferralsView(Schema):
    """Cases that wait, the oldest first."""

    referrals: list[ReferralView]
    next: UUID | None = Field(description="Hand in as `after` for the next page; null on the last one")
