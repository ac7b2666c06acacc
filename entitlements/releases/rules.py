"""What a draft changes, part by part, in words: pure, so that author and approver read the same."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from entitlements.facts.catalogue import RULEBOOKS
from entitlements.language import Kind, Type, Value, show
from entitlements.language import Tree as RuleTree
from entitlements.language.days import ONE_DAY
from entitlements.rulebook.changing import Changes
from entitlements.rulebook.keeping import case_to_json
from entitlements.rulebook.programmes import Origin, ReasonTemplate, Rulebook, RuleVersion
from entitlements.rulebook.rules import Reason
from entitlements.rulebook.texts import render, texts, word_of_day, word_of_money

NOTHING = "–"


class How(StrEnum):
    """What becomes of a part of a rule."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One part that is another than without the draft."""

    programme: str
    """Empty for amounts and tariffs, which belong to all."""
    what: str
    name: str
    how: How
    since: date | None
    before: str | None
    after: str | None
    reason: Reason | None = None
    """Of a requirement or referral: the reason that people are given."""


def changes_of(standing: Rulebook, merged: Rulebook, changes: Changes) -> tuple[Change, ...]:
    """Everything that a draft changes, against what would hold on the same days without it."""
    return (
        *_tariffs(standing, changes),
        *_parameters(standing, merged, changes),
        *(
            change
            for name in merged.order()
            if name in changes.touched()
            for change in _programme(standing, merged, changes, name)
        ),
        *_cases(standing, changes),
    )


def _tariffs(standing: Rulebook, changes: Changes) -> Iterator[Change]:
    for name, tariff in sorted(changes.tariffs.items()):
        before = standing.tariffs.get(name)
        how = How.ADDED if before is None else How.CHANGED
        said = f"bit {tariff.bit}, {tariff.label['de']}"
        was = f"bit {before.bit}, {before.label['de']}" if before else None
        if was != said:
            yield Change("", "card_tariff", name, how, None, was, said)


def _parameters(standing: Rulebook, merged: Rulebook, changes: Changes) -> Iterator[Change]:
    for name, changed in sorted(changes.parameters.items()):
        before, after = standing.parameters.get(name), merged.parameters[name]
        days = {dated.since for dated in changed.values}
        if before is not None:
            days |= {dated.since for dated in before.values if dated.since > min(days)}
        for day in sorted(days):
            was, will = before.on(day) if before else None, after.on(day)
            if will is None or (was is not None and (was.value, was.origin) == (will.value, will.origin)):
                continue
            how = How.ADDED if was is None else How.CHANGED
            said = _valued(after.type, will.value, will.origin)
            old = None if was is None else _valued(after.type, was.value, was.origin)
            yield Change("", "parameter", name, how, day, old, said)


def _valued(type_: Type, value: Value, origin: Origin) -> str:
    said = word_of_money(value, "de") if type_.kind is Kind.CENTS and isinstance(value, int) else str(value)
    return f"{said} ({origin.statute})"


def _programme(standing: Rulebook, merged: Rulebook, changes: Changes, name: str) -> Iterator[Change]:
    before, after = standing.programmes.get(name), merged.programmes[name]
    old = {v.rule_hash: v for v in before.versions} if before else {}
    for version in after.versions:
        if version.rule_hash in old:
            continue
        was = before.on(version.since) if before else None
        if was is None:
            yield Change(name, "programme", name, How.ADDED, version.since, None, version.origin.statute)
        yield from _parts(name, version.since, was, version)
    last = changes.ended.get(name)
    if before is not None and last is not None:
        yield Change(name, "programme", name, How.REMOVED, last + ONE_DAY, last.isoformat(), None)


def _parts(programme: str, since: date, was: RuleVersion | None, version: RuleVersion) -> Iterator[Change]:
    before, after = (_said(was) if was else {}), _said(version)
    for key in [*after, *(key for key in before if key not in after)]:
        what, name = key
        old, new = before.get(key), after.get(key)
        if old is not None and new is not None and old.text == new.text:
            continue
        how = How.ADDED if old is None else How.REMOVED if new is None else How.CHANGED
        part = new or old
        assert part is not None
        said = (old.text if old else None, new.text if new else None)
        yield Change(programme, what, name, how, since, *said, part.reason_on(since))


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    reason: ReasonTemplate | None = None
    statute: str = ""

    def reason_on(self, day: date) -> Reason | None:
        if self.reason is None:
            return None
        params = dict(self.reason.params) | {"statute": self.statute, "on": day.isoformat()}
        return Reason(self.reason.code, params)


def _said(version: RuleVersion) -> dict[tuple[str, str], _Part]:
    """What a version says, part by part; two of one name are told apart by their number."""
    found: dict[tuple[str, str], _Part] = {}

    def add(what: str, name: str, part: _Part) -> None:
        key, number = (what, name), 2
        while key in found:
            key, number = (what, f"{name} ({number})"), number + 1
        found[key] = part

    add("statute", version.programme, _Part(version.origin.statute))
    for rule in version.requirements:
        add("requirement", rule.reason.code, _reasoned(rule.when, rule.reason, rule.origin))
    for ground in version.grounds:
        extra = [ground.payer or "", "on request" if ground.on_request else ""]
        add("ground", ground.name, _reasoned(ground.when, ground.reason, ground.origin, *extra))
    add("hit", version.programme, _Part(version.hit))
    add("otherwise", version.programme, _Part(version.otherwise.code))
    for referral in version.referrals:
        always = "even if granted" if referral.even_if_granted else ""
        add(
            "referral",
            referral.reason.code,
            _reasoned(referral.when, referral.reason, referral.origin, always),
        )
    validity = version.validity
    length = f"P{validity.months}M" if validity.months is not None else ""
    given = {"length": length, "ends_with": validity.ends_with, "round_up": validity.round_up}
    add("validity", version.programme, _Part(_listed(given)))
    for tariff in version.tariffs:
        add("tariff", tariff.name, _Part(_when(tariff.when)))
    for allowance in version.allowances:
        said = {
            "monthly": show(allowance.monthly.root),
            "terms": allowance.terms,
            "unit_ceiling": _shown(allowance.unit_ceiling),
            "ceiling": _shown(allowance.ceiling),
            "accrual": allowance.accrual,
            "carry_over": allowance.carry_over,
            "grace": allowance.grace,
            "when": _shown(allowance.when),
            "statute": allowance.origin.statute,
        }
        add("allowance", allowance.kind, _Part(_listed(said)))
    for amount in version.amounts:
        said = {
            "cents": show(amount.cents.root),
            "due": f"{amount.month:02}-{amount.day:02}",
            "when": _shown(amount.when),
            "statute": amount.origin.statute,
        }
        add("amount", amount.kind, _Part(_listed(said)))
    for charge in version.charges:
        said = {
            "monthly": show(charge.monthly.root),
            "grounds": ", ".join(charge.grounds),
            "when": _shown(charge.when),
            "statute": charge.origin.statute,
        }
        add("charge", charge.kind, _Part(_listed(said)))
    for needed in version.depends_on:
        add("dependency", needed.programme, _Part(", ".join(needed.outcomes)))
    return found


def _reasoned(when: RuleTree, reason: ReasonTemplate, origin: Origin, *extra: str) -> _Part:
    said = "; ".join(part for part in (show(when.root), *extra, origin.statute) if part)
    return _Part(said, reason, origin.statute)


def _when(when: RuleTree | None) -> str:
    return _shown(when) or "always"


def _shown(tree: RuleTree | None) -> str | None:
    return None if tree is None else show(tree.root)


def _listed(said: Mapping[str, str | None]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in said.items() if value) or NOTHING


def _cases(standing: Rulebook, changes: Changes) -> Iterator[Change]:
    known = {(case.programme, case.name): case for case in standing.cases}
    for case in changes.cases:
        before = known.get((case.programme, case.name))
        if before is None:
            yield Change(case.programme, "case", case.name, How.ADDED, None, None, None)
        elif (before.day, case_to_json(before)) != (case.day, case_to_json(case)):
            yield Change(case.programme, "case", case.name, How.CHANGED, None, None, None)
    for programme, name in changes.dropped:
        yield Change(programme, "case", name, How.REMOVED, None, None, None)


def change_to_json(change: Change) -> dict[str, Any]:
    """A change as it is kept with its release."""
    reason = change.reason and {"code": change.reason.code, "params": dict(change.reason.params)}
    return {
        "programme": change.programme,
        "what": change.what,
        "name": change.name,
        "how": change.how.value,
        "since": change.since and change.since.isoformat(),
        "before": change.before,
        "after": change.after,
        "reason": reason,
    }


def change_from_json(kept: Mapping[str, Any]) -> Change:
    """A change that was kept."""
    since, reason = kept["since"], kept["reason"]
    return Change(
        programme=kept["programme"],
        what=kept["what"],
        name=kept["name"],
        how=How(kept["how"]),
        since=since and date.fromisoformat(since),
        before=kept["before"],
        after=kept["after"],
        reason=reason and Reason(reason["code"], reason["params"]),
    )


# --- in words -----------------------------------------------------------------------------------------------


@cache
def _texts(path: Path) -> Mapping[str, Any]:
    with path.open(encoding="utf-8") as file:
        return dict(yaml.safe_load(file))


def sentence(change: Change, language: str) -> str:
    """One change as a sentence."""
    known = _texts(RULEBOOKS / "texts" / "changes.yaml")
    pattern = known["case" if change.what == "case" else "how"][change.how.value][language]
    said: str = pattern.format(
        what=known["what"][change.what][language],
        name=change.name,
        since=word_of_day(change.since, language) if change.since else NOTHING,
        before=change.before or NOTHING,
        after=change.after or NOTHING,
    )
    return said


def reason_text(change: Change, language: str) -> str | None:
    """What people are told where this part decides; None where it gives no reason, or one without a text."""
    if change.reason is None or change.reason.code not in texts()["reasons"]:
        return None
    return render(change.reason, language)
