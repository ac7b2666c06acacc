"""What of a ruling is kept, when two rulings say the same, and what facts one was made from: values, no database."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID

from entitlements.language import Stated, Subject, Value, canonical_json
from entitlements.rulebook.programmes import Outcome, RuleVersion, parameters_hash
from entitlements.rulebook.rules import AllowanceGrant, Reason, Ruling

DAY_OF_DECISION = "on"
"""The parameter of a reason that only says for which day it was given; it makes no new decision."""

NO_REQUEST = "no_request"
"""The reason of a refusal where the law wants a request, and none was made."""
CONTRADICTION = "registers_contradict"
"""The reason of a referral where two registers state different things."""


@dataclass(frozen=True, slots=True)
class Said:
    """A ruling as it is kept: plain lists and mappings."""

    reasons: list[dict[str, Any]]
    missing: list[dict[str, Any]]
    brings: dict[str, Any]


def said(ruling: Ruling) -> Said:
    """A ruling's reasons, what is missing and what it brings, ready to be stored."""
    return Said(
        reasons=[{"code": r.code, "params": dict(r.params)} for r in ruling.reasons],
        missing=[{"fact": m.fact, "register": m.register} for m in ruling.missing],
        brings={
            "tariffs": list(ruling.tariffs),
            "allowances": [
                {
                    "kind": a.kind,
                    "monthly_cents": a.monthly_cents,
                    "since": _day(a.since),
                    "until": _day(a.until),
                    "statute": a.statute,
                    **_terms(a),
                }
                for a in ruling.allowances
            ],
            "amounts": [
                {"kind": a.kind, "cents": a.cents, "due": _day(a.due), "statute": a.statute}
                for a in ruling.amounts
            ],
            "charges": [{"kind": c.kind, "monthly_cents": c.monthly_cents} for c in ruling.charges],
        },
    )


def without_request(ruling: Ruling) -> Ruling:
    """What a ruling comes to for somebody who holds it on another ground, and has made no request for this one."""
    return Ruling(
        outcome=Outcome.REFUSED,
        reasons=(Reason(NO_REQUEST, {"statute": ruling.reasons[0].params["statute"]}),),
        changes_on=ruling.changes_on,
    )


def referred(ruling: Ruling, disputed: Collection[str], on: date) -> Ruling:
    """What is open because registers contradict each other is not for them to say once more, but for a human."""
    facts = sorted({one.fact for one in ruling.missing} & set(disputed))
    if ruling.outcome is not Outcome.UNDETERMINED or not facts:
        return ruling
    reasons = [
        Reason(CONTRADICTION, {"fact": fact, "on": on.isoformat(), "statute": "§ 20 SGB X"}) for fact in facts
    ]
    rest = [reason for reason in ruling.reasons if reason.params.get("fact") not in facts]
    return replace(ruling, outcome=Outcome.REFER, reasons=(*reasons, *rest))


def disputed(subject: Subject, contradicted: Mapping[UUID, Collection[str]]) -> frozenset[str]:
    """The facts about which registers differ, of the person or of somebody in a household of theirs."""
    return frozenset(fact for key in concerned(subject) for fact in contradicted.get(key, ()))


def concerned(subject: Subject) -> frozenset[UUID]:
    """The person and everybody in a household of theirs."""
    members = (member.key for members in subject.households.values() for member in members)
    return frozenset(UUID(key) for key in (subject.key, *members))


def reason_from(stored: Mapping[str, Any]) -> Reason:
    """A stored reason, to be worded."""
    return Reason(stored["code"], stored["params"])


def digest(ruling: Ruling) -> str:
    """Of everything that makes a decision another one.

    The day on which it was said is left out, and so are amounts that fall due once: each is kept by itself,
    and when it no longer falls due nothing has been decided.
    """
    kept = said(ruling)
    reasons = [
        [r["code"], {name: value for name, value in r["params"].items() if name != DAY_OF_DECISION}]
        for r in kept.reasons
    ]
    # How far back an approval reaches can be the very day of the decision, where no single fact carries it.
    allowances = [
        [a["kind"], a["monthly_cents"], a["until"], *_terms(grant).values()]
        for a, grant in zip(kept.brings["allowances"], ruling.allowances, strict=True)
    ]
    parts = [
        ruling.outcome,
        ruling.ground,
        ruling.payer,
        _day(ruling.until),
        reasons,
        kept.missing,
        kept.brings["tariffs"],
        allowances,
        kept.brings["charges"],
    ]
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()


def facts_hash(version: RuleVersion, subject: Subject) -> str:
    """Of every fact that a rule looks at, of the person and of those in the households that it asks about: with
    its days, its source and when it was learned.

    What the rule does not look at has no part in it: another fact in the catalogue, years later, leaves the
    decisions of today reproducible.
    """
    return Fragments().hash(version, subject)


class Fragments:
    """Facts as canonical JSON, of which the hashes of many decisions are made: each is written once."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[Subject, dict[str, str]]] = {}
        self._joined: dict[tuple[int, str], str] = {}
        self._one: dict[tuple[str, Stated], str] = {}

    def hash(self, version: RuleVersion, subject: Subject) -> str:
        """See `facts_hash`."""
        names, by = version.looks_at, version.rule_hash
        homes = ",".join(
            f"{_quoted(kind)}:[{self._members(members, names, by)}]"
            for kind, members in sorted(subject.households.items())
            if kind in names
        )
        said = f'{{"facts":{self._facts(subject, names, by)},"households":{{{homes}}}}}'
        return hashlib.sha256(said.encode()).hexdigest()

    def _members(self, members: tuple[Subject, ...], names: Collection[str], by: str) -> str:
        ordered = sorted(members, key=lambda member: member.key)
        return ",".join(f"[{_quoted(member.key)},{self._facts(member, names, by)}]" for member in ordered)

    def _facts(self, subject: Subject, names: Collection[str], by: str) -> str:
        # Members of a household are given their facts by the same mapping as when they are asked themselves.
        known = (id(subject.facts), by)
        joined = self._joined.get(known)
        if joined is None:
            kept = self._of.get(id(subject.facts))
            if kept is None:
                written = {name: self._fragment(name, subject.facts[name]) for name in sorted(subject.facts)}
                kept = self._of[id(subject.facts)] = (subject, written)
            joined = "{" + ",".join([text for name, text in kept[1].items() if name in names]) + "}"
            self._joined[known] = joined
        return joined

    def _fragment(self, name: str, stated: Stated) -> str:
        text = self._one.get((name, stated))
        if text is None:
            text = self._one[name, stated] = f"{_quoted(name)}:{canonical_json(_fact(stated))}"
        return text


def _quoted(text: str) -> str:
    return canonical_json(text)


def facts_of(version: RuleVersion, subject: Subject) -> list[dict[str, Any]]:
    """The person's own facts that a rule looks at and that say something, as a form would have them filled in."""
    return [
        {"fact": name, "value": value, "since": since, "until": until, "register": register}
        for name, (value, since, until, register, _) in sorted(_facts(subject, version.looks_at).items())
        if value not in {False, "none"}
    ]


def used_parameters(version: RuleVersion, parameters: Mapping[str, Value]) -> str:
    """The hash of the amounts that a version uses: others may change without making a decision irreproducible."""
    used = {name for tree in version.trees() for name in tree.parameters()}
    return parameters_hash({name: value for name, value in parameters.items() if name in used})


def _facts(subject: Subject, names: Collection[str]) -> dict[str, list[Any]]:
    return {name: _fact(fact) for name, fact in subject.facts.items() if name in names}


def _fact(fact: Stated) -> list[Any]:
    return [
        fact.value.isoformat() if isinstance(fact.value, date) else fact.value,
        _day(fact.since),
        _day(fact.until),
        fact.register,
        fact.learned_at.isoformat(),
    ]


def _terms(grant: AllowanceGrant) -> dict[str, Any]:
    """How a grant pays, where it is not by the month."""
    if grant.terms == "monthly":
        return {}
    return {
        "terms": grant.terms,
        "unit_ceiling_cents": grant.unit_ceiling_cents,
        "ceiling_cents": grant.ceiling_cents,
    }


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None
