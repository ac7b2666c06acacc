"""What a rule version says about one person on one day: outcome, ground, until when, what it brings, and why."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from entitlements.facts.catalogue import department_to_ask
from entitlements.language import (
    PRECISE,
    Fault,
    Known,
    Result,
    Subject,
    Tree,
    Unknown,
    Value,
    minimal_reasons,
)
from entitlements.language.closures import ready
from entitlements.language.days import ONE_DAY, last_day_of, month_end, next_day, period_end
from entitlements.language.interpreter import turning_of
from entitlements.language.tree import Fact

from .programmes import (
    AllowanceRule,
    AmountRule,
    Ground,
    Origin,
    Outcome,
    Param,
    Parameter,
    ProgrammeRules,
    ReasonTemplate,
    Rulebook,
    RuleVersion,
    Tariff,
    Terms,
    WorkedCase,
    parameters_hash,
)
from .reading import RulebookError, load_rulebook

__all__ = [
    "AllowanceGrant",
    "AmountDue",
    "Charge",
    "Missing",
    "Outcome",
    "Parameter",
    "ProgrammeRules",
    "Reason",
    "RuleVersion",
    "Rulebook",
    "RulebookError",
    "Ruling",
    "Tariff",
    "WorkedCase",
    "decide",
    "grace_end",
    "load_rulebook",
    "outcome_of",
    "parameters_hash",
]

TRUE, FALSE = Known(value=True), Known(value=False)
SYSTEM_REASONS = frozenset(
    {
        "deceased",
        "missing_fact",
        "known_in_part",
        "calculation_fault",
        "other_programme_first",
        "other_programme_needed",
        "other_programme_open",
        "no_request",
        "registers_contradict",
    }
)
"""The reasons that no rulebook words, because they hold for every rule."""
NOTHING_ELSE_DECIDED: Mapping[str, Outcome] = {}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, as a code with parameters; texts for people are made from it when they are shown."""

    code: str
    params: Mapping[str, Param] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Missing:
    """What would have to be known, and the register to ask for it."""

    fact: str
    register: str


@dataclass(frozen=True, slots=True)
class AllowanceGrant:
    """Money for one kind of use, from the start of the approval it rests on to the last day of the claim."""

    kind: str
    monthly_cents: int
    """0 where nothing comes by the month and the actual cost is paid."""
    accrual: str
    carry_over: str
    grace: str
    since: date | None
    until: date | None
    statute: str
    terms: Terms = "monthly"
    unit_ceiling_cents: int | None = None
    """The most that one meal or event may cost; None: whatever it costs."""
    ceiling_cents: int | None = None
    """The most that all of them may cost within the approval; None: whatever they cost."""


@dataclass(frozen=True, slots=True)
class AmountDue:
    """Money to be paid once; kind and day together name the payment, so that it is made once only."""

    kind: str
    cents: int
    due: date
    statute: str


@dataclass(frozen=True, slots=True)
class Charge:
    """What the holder pays by the month."""

    kind: str
    monthly_cents: int


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one rule version says about one person on one day."""

    outcome: Outcome
    ground: str | None = None
    payer: str | None = None
    until: date | None = None
    tariffs: tuple[str, ...] = ()
    allowances: tuple[AllowanceGrant, ...] = ()
    amounts: tuple[AmountDue, ...] = ()
    charges: tuple[Charge, ...] = ()
    reasons: tuple[Reason, ...] = ()
    missing: tuple[Missing, ...] = ()
    """What keeps it undetermined; where it is granted, what keeps a part of what it brings undetermined."""
    changes_on: date | None = None
    on_request: bool = False
    """The law wants a request on this ground: it is an offer until the person accepts."""
    reaches_back: int | None = None
    """For how many months before the request it can be made good; None: no matter."""


@dataclass(frozen=True, slots=True)
class _Case:
    """One version asked about one person, with the parameters of one day."""

    version: RuleVersion
    subject: Subject
    parameters: Mapping[str, Value]
    others: Mapping[str, Outcome]

    def ask(self, tree: Tree, on: date) -> Result:
        return ready(tree)(self.subject, self.parameters, on)


@dataclass(frozen=True, slots=True)
class _Verdict:
    outcome: Outcome
    ground: Ground | None = None
    reasons: tuple[Reason, ...] = ()
    missing: frozenset[str] = frozenset()


def decide(
    version: RuleVersion,
    subject: Subject,
    parameters: Mapping[str, Value],
    on: date,
    *,
    held_since: date | None = None,
    others: Mapping[str, Outcome] = NOTHING_ELSE_DECIDED,
) -> Ruling:
    """What the version says about the person on this day.

    `held_since` is the first day of the entitlement the person holds already: a fixed length counts from it
    until it has run out. `others` holds the outcomes of the programmes that this one depends on.
    """
    case = _Case(version, subject, parameters, others)
    verdict = _judge(case, on)
    if verdict.outcome is not Outcome.GRANTED or verdict.ground is None:
        return Ruling(
            outcome=verdict.outcome,
            reasons=verdict.reasons,
            missing=_missing(verdict.missing),
            changes_on=_changes_on(case, on, _essence_of(verdict, None), None),
        )
    until = _until(case, verdict.ground, on, held_since)
    brought = _brings(case, verdict.ground, on)
    return Ruling(
        outcome=Outcome.GRANTED,
        ground=verdict.ground.name,
        payer=verdict.ground.payer,
        until=until,
        tariffs=brought.tariffs,
        allowances=brought.allowances,
        amounts=brought.amounts,
        charges=brought.charges,
        reasons=verdict.reasons,
        missing=_missing(brought.missing),
        changes_on=_changes_on(case, on, _essence_of(verdict, brought), until, granted=True),
        on_request=verdict.ground.on_request,
        reaches_back=verdict.ground.reaches_back,
    )


def outcome_of(
    version: RuleVersion,
    subject: Subject,
    parameters: Mapping[str, Value],
    on: date,
    others: Mapping[str, Outcome] = NOTHING_ELSE_DECIDED,
) -> Outcome:
    """The outcome alone, where nobody asks until when, what it brings, or when it can change."""
    return _judge(_Case(version, subject, parameters, others), on).outcome


# --- outcome ------------------------------------------------------------------------------------------------


def _judge(case: _Case, on: date) -> _Verdict:
    version = case.version
    # Nobody is presumed dead: only a stated death counts, whatever else is missing.
    death = case.subject.facts.get("deceased")
    if death is not None and death.value is True and death.holds(on):
        return _Verdict(Outcome.REFUSED, reasons=(Reason("deceased", {"statute": "§ 39 Abs. 2 SGB X"}),))
    waiting = _dependencies(case)
    if waiting is not None:
        return waiting
    for referral in version.referrals:
        if referral.even_if_granted and case.ask(referral.when, on) == TRUE:
            return _Verdict(Outcome.REFER, reasons=(_reason(referral.reason, referral.origin, on),))

    required = [(requirement, case.ask(requirement.when, on)) for requirement in version.requirements]
    failing = [_reason(r.reason, r.origin, on) for r, result in required if result == FALSE]
    ground, grounds = _find_ground(case, on)
    if failing or grounds == FALSE:
        if grounds == FALSE:
            failing.append(_reason(version.otherwise, version.origin, on))
        if all(result == TRUE for _, result in required):
            for referral in version.referrals:
                if case.ask(referral.when, on) == TRUE:
                    return _Verdict(Outcome.REFER, reasons=(_reason(referral.reason, referral.origin, on),))
        return _Verdict(Outcome.REFUSED, reasons=tuple(failing))

    results = [*(result for _, result in required), grounds]
    missing = _unknown_facts(results)
    if missing:
        return _undetermined(missing, on)
    if ground is None or any(isinstance(result, Fault) for result in results):
        return _Verdict(
            Outcome.REFER, reasons=(Reason("calculation_fault", {"statute": version.origin.statute}),)
        )
    return _Verdict(Outcome.GRANTED, ground, (_reason(ground.reason, ground.origin, on),))


def _find_ground(case: _Case, on: date) -> tuple[Ground | None, Result]:
    """The ground that counts, and what is known of there being one."""
    open_results: list[Result] = []
    for ground in case.version.grounds:
        result = case.ask(ground.when, on)
        if result == TRUE:
            return ground, TRUE
        if result != FALSE:
            open_results.append(result)
            if case.version.hit == "first":
                return None, result
    missing = _unknown_facts(open_results)
    if missing:
        return None, Unknown(missing)
    return None, open_results[0] if open_results else FALSE


def _dependencies(case: _Case) -> _Verdict | None:
    for needed in case.version.depends_on:
        outcome = case.others.get(needed.programme)
        params: dict[str, Param] = {"programme": needed.programme, "statute": case.version.origin.statute}
        if outcome in needed.outcomes:
            continue
        if outcome in {Outcome.GRANTED, Outcome.REFUSED}:
            code = "other_programme_first" if outcome is Outcome.GRANTED else "other_programme_needed"
            return _Verdict(Outcome.REFUSED, reasons=(Reason(code, params),))
        return _Verdict(Outcome.UNDETERMINED, reasons=(Reason("other_programme_open", params),))
    return None


def _undetermined(missing: frozenset[str], on: date) -> _Verdict:
    # No register can supply what nobody recorded: a birth date known in part is for a person to judge.
    partly = all(name.endswith(PRECISE) for name in missing)
    code, statute = ("known_in_part", "§ 20 SGB X") if partly else ("missing_fact", "§ 20 SGB X")
    reasons = tuple(
        Reason(code, {"fact": m.fact, "register": m.register, "on": on.isoformat(), "statute": statute})
        for m in _missing(missing)
    )
    return _Verdict(Outcome.REFER if partly else Outcome.UNDETERMINED, reasons=reasons, missing=missing)


def _reason(template: ReasonTemplate, origin: Origin, on: date) -> Reason:
    return Reason(template.code, {**dict(template.params), "statute": origin.statute, "on": on.isoformat()})


def _unknown_facts(results: Iterable[Result]) -> frozenset[str]:
    return frozenset(name for result in results if isinstance(result, Unknown) for name in result.facts)


def _missing(names: frozenset[str]) -> tuple[Missing, ...]:
    return tuple(Missing(name, department_to_ask(name)) for name in sorted(names))


# --- until when ---------------------------------------------------------------------------------------------


def _until(case: _Case, ground: Ground, on: date, held_since: date | None) -> date | None:
    validity = case.version.validity
    ends: list[date] = []
    if validity.ends_with is not None:
        rests_on = (
            case.version.condition if validity.ends_with == "condition" else case.version.resting_on(ground)
        )
        end = _holds_until(case, rests_on, on)
        ends += [end] if end else []
    if validity.months is not None:
        running = held_since is not None and held_since <= on <= last_day_of(held_since, validity.months)
        ends.append(last_day_of(held_since if running and held_since else on, validity.months))
    if not ends:
        return None
    return period_end(min(ends), validity.round_up) if validity.round_up else min(ends)


def _holds_until(case: _Case, tree: Tree, on: date) -> date | None:
    """See `entitlements.language.holds_until`."""
    later = sorted(day for day in turning_of(tree.moments, case.subject, case.parameters, on) if day > on)
    broken = next((day for day in later if case.ask(tree, day) != TRUE), None)
    return broken and broken - ONE_DAY


def grace_end(until: date, grace: str) -> date:
    """The last day on which money may still be drawn after an approval ended, for a grace such as P3M."""
    months = int(grace[1:-1]) * (12 if grace.endswith("Y") else 1)
    return last_day_of(next_day(until), months) if months else until


# --- what it brings -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Brought:
    tariffs: tuple[str, ...]
    allowances: tuple[AllowanceGrant, ...]
    amounts: tuple[AmountDue, ...]
    charges: tuple[Charge, ...]
    missing: frozenset[str]


def _brings(case: _Case, ground: Ground, on: date) -> _Brought:
    version, missing = case.version, set[str]()

    def applies(when: Tree | None, day: date = on) -> bool:
        result = TRUE if when is None else case.ask(when, day)
        missing.update(_unknown_facts([result]))
        return result == TRUE

    def cents(tree: Tree, day: date = on) -> int | None:
        result = case.ask(tree, day)
        missing.update(_unknown_facts([result]))
        return result.value if isinstance(result, Known) and isinstance(result.value, int) else None

    tariffs = tuple(rule.name for rule in version.tariffs if applies(rule.when))

    def allowed(rule: AllowanceRule) -> AllowanceGrant | None:
        costs = [cents(tree) for tree in rule.costs() if tree is not None]
        known = [cost for cost in costs if cost is not None]
        return _allowance(case, rule, ground, known, on) if len(known) == len(costs) else None

    allowances = tuple(
        grant for rule in version.allowances if applies(rule.when) and (grant := allowed(rule)) is not None
    )
    charges = tuple(
        Charge(rule.kind, monthly)
        for rule in version.charges
        if (not rule.grounds or ground.name in rule.grounds)
        and applies(rule.when)
        and (monthly := cents(rule.monthly)) is not None
    )
    amounts = tuple(
        AmountDue(rule.kind, paid, due, rule.origin.statute)
        for rule, due in _due(version.amounts, on)
        if applies(version.condition, due)
        and applies(rule.when, due)
        and (paid := cents(rule.cents, due)) is not None
    )
    return _Brought(tariffs, allowances, amounts, charges, frozenset(missing))


def _allowance(
    case: _Case, rule: AllowanceRule, ground: Ground, costs: Sequence[int], on: date
) -> AllowanceGrant:
    """`costs` holds the amounts of `AllowanceRule.costs`, without those that the rule leaves out."""
    rests_on, (monthly, *most) = case.version.resting_on(ground), costs
    ends = [_holds_until(case, tree, on) for tree in (rests_on, rule.when) if tree is not None]
    return AllowanceGrant(
        kind=rule.kind,
        monthly_cents=monthly,
        accrual=rule.accrual,
        carry_over=rule.carry_over,
        grace=rule.grace,
        since=_approval_start(case, ground, on),
        until=min((end for end in ends if end), default=None),
        statute=rule.origin.statute,
        terms=rule.terms,
        unit_ceiling_cents=most.pop(0) if rule.unit_ceiling is not None else None,
        ceiling_cents=most.pop(0) if rule.ceiling is not None else None,
    )


def _approval_start(case: _Case, ground: Ground, on: date) -> date | None:
    """The day since which the facts that make the ground hold have all held."""
    because = minimal_reasons(ground.when, case.subject, case.parameters, on)
    stated = (case.subject.facts.get(part.node.name) for part in because if isinstance(part.node, Fact))
    return max((fact.since for fact in stated if fact is not None), default=None)


def _due(rules: tuple[AmountRule, ...], on: date) -> Iterator[tuple[AmountRule, date]]:
    """What fell due this month: a night that was missed, or facts that came days late, cost nobody the money."""
    for rule in rules:
        due = date(on.year, rule.month, rule.day)
        if due <= on <= month_end(due):
            yield rule, due


# --- when it can change -------------------------------------------------------------------------------------


def _changes_on(
    case: _Case, on: date, now: object, until: date | None, *, granted: bool = False
) -> date | None:
    """The next day on which something in the ruling is another if nothing new is learned."""
    # What is paid once changes nothing where nothing is granted; and before something turns, nothing is.
    days = _turning(case, on) | _paying(case.version, on) if granted else _turning(case, on)
    change = next((day for day in sorted(days) if day > on and _essence(case, day) != now), None)
    ends = [change, next_day(until) if until else None]
    return min((day for day in ends if day), default=None)


def _turning(case: _Case, on: date) -> set[date]:
    """Every later day on which anything that the version asks could turn merely because time passes."""
    days = turning_of(case.version.moments, case.subject, case.parameters, on)
    death = case.subject.facts.get("deceased")
    return days if death is None else days | {death.since}


def _paying(version: RuleVersion, on: date) -> set[date]:
    """The days on which what is paid once falls due, and no longer does."""
    dues = {date(year, rule.month, rule.day) for rule in version.amounts for year in (on.year, on.year + 1)}
    return dues | {next_day(month_end(due)) for due in dues}


def _essence(case: _Case, on: date) -> object:
    verdict = _judge(case, on)
    return _essence_of(verdict, _brings(case, verdict.ground, on) if verdict.ground is not None else None)


def _essence_of(verdict: _Verdict, brought: _Brought | None) -> object:
    if brought is None or verdict.ground is None:
        return verdict.outcome, tuple(reason.code for reason in verdict.reasons), verdict.missing
    allowances = tuple(
        (grant.kind, grant.monthly_cents, grant.unit_ceiling_cents, grant.ceiling_cents)
        for grant in brought.allowances
    )
    return verdict.ground.name, brought.tariffs, allowances, brought.amounts, brought.charges, brought.missing
