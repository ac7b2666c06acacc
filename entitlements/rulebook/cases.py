"""Runs the worked cases that stand beside the rules, and says in words where a rule and its case disagree."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS, FactKind
from entitlements.language import Stated, Subject, Value

from .programmes import Outcome, Rulebook, WorkedCase
from .rules import Ruling, decide

LONG_AGO = date(2000, 1, 1)


def disagreements(rulebook: Rulebook, case: WorkedCase) -> tuple[str, ...]:
    """What the rule says other than the case expects; empty if they agree."""
    if rulebook.programmes[case.programme].on(case.day) is None:
        return (f"no rule of {case.programme} is in force on {case.day}",)
    said = said_by(ruling_of(rulebook, case))
    return tuple(
        f"{what} is {said.get(what, 'nothing that a ruling says')!r}, expected {wanted!r}"
        for what, wanted in case.expect.items()
        if what not in said or said[what] != wanted
    )


def ruling_of(rulebook: Rulebook, case: WorkedCase) -> Ruling:
    """What the rule in force on the day of the case says; what it waits for is decided first, for the same person."""
    subject, parameters = subject_of(case), rulebook.parameters_on(case.day)
    outcomes: dict[str, Outcome] = {}
    for programme in rulebook.order():
        version = rulebook.programmes[programme].on(case.day)
        if version is None:
            continue
        others = {d.programme: outcomes[d.programme] for d in version.depends_on if d.programme in outcomes}
        ruling = decide(version, subject, parameters, case.day, others=others)
        if programme == case.programme:
            return ruling
        outcomes[programme] = ruling.outcome
    raise LookupError(case.programme)


def said_by(ruling: Ruling) -> Mapping[str, Any]:
    """A ruling in the words of a worked case; what comes by the month apart from what is paid as it arises."""
    by_month = [grant for grant in ruling.allowances if grant.terms == "monthly"]
    at_cost = [grant for grant in ruling.allowances if grant.terms != "monthly"]
    return {
        "outcome": str(ruling.outcome),
        "ground": ruling.ground,
        "payer": ruling.payer,
        "until": ruling.until,
        "tariffs": list(ruling.tariffs),
        "allowances": {grant.kind: grant.monthly_cents for grant in by_month},
        "allowances_since": {grant.kind: grant.since for grant in by_month},
        "allowances_until": {grant.kind: grant.until for grant in by_month},
        "costs": {grant.kind: grant.terms for grant in at_cost},
        "costs_until": {grant.kind: grant.until for grant in at_cost},
        "ceilings": {grant.kind: grant.ceiling_cents for grant in at_cost},
        "unit_ceilings": {grant.kind: grant.unit_ceiling_cents for grant in at_cost},
        "amounts": {due.kind: due.cents for due in ruling.amounts},
        "charges": {charge.kind: charge.monthly_cents for charge in ruling.charges},
        "reasons": [reason.code for reason in ruling.reasons],
        "missing": {missing.fact: missing.register for missing in ruling.missing},
        "changes_on": ruling.changes_on,
        "on_request": ruling.on_request,
        "reaches_back": ruling.reaches_back,
    }


def subject_of(case: WorkedCase) -> Subject:
    """The person of the case, with the members of each household beside them."""
    person = Subject("person", _facts(case, case.facts))
    households = {
        kind: (person, *(Subject(f"member {n}", _facts(case, facts)) for n, facts in enumerate(members, 1)))
        for kind, members in case.households.items()
    }
    if case.rest_absent:
        households = dict.fromkeys(HOUSEHOLDS, ()) | households
    return Subject(person.key, person.facts, households)


def _facts(case: WorkedCase, given: Mapping[str, Any]) -> Mapping[str, Stated]:
    absent = {
        kind.name: _stated(kind, kind.absent, {}, case.day)
        for kind in CATALOGUE.values()
        if case.rest_absent and kind.absent is not None
    }
    return absent | {name: stated for key, entry in given.items() for name, stated in _read(case, key, entry)}


def _read(case: WorkedCase, name: str, entry: object) -> Iterator[tuple[str, Stated]]:
    kind = CATALOGUE[name]
    details = entry if isinstance(entry, dict) else {"value": entry}
    for filled, value in kind.read(details["value"]).items():
        yield filled, _stated(kind, value, details, case.day)


def _stated(kind: FactKind, value: Value, details: Mapping[str, Any], day: date) -> Stated:
    return Stated(
        value=value,
        since=details.get("since", LONG_AGO),
        until=details.get("until"),
        register=details.get("register", kind.suppliers[0]),
        learned_at=datetime.combine(day, time(), UTC),
    )
