from datetime import date

import pytest

from entitlements.facts.catalogue import LANGUAGES
from entitlements.releases.rules import (
    Change,
    change_from_json,
    change_to_json,
    changes_of,
    reason_text,
    sentence,
)
from entitlements.rulebook.changing import merged
from entitlements.rulebook.drafting import Form, read_changes
from tests.entitlements.releases.making import NEXT_YEAR, town_book

EVERYTHING = """
tariffs:
  gold: {bit: 9, label: {de: Gold, de-simple: Gold, en: gold}}
parameters:
  participation_monthly:
    unit: cents
    values: [{from: 2027-01-01, value: 2000, statute: § 28 Abs. 7 SGB II}]
programmes:
  - programme: bildungskarte
    versions:
      - from: 2027-01-01
        statute: §§ 28, 29 SGB II
        requires:
          - {when: main_residence, reason: no_main_residence, statute: Ratsbeschluss}
        hit: any
        grounds:
          - {name: G2, when: sgb2 || kiz, payer: jobcenter, reason: {code: receives, fact: sgb2}, statute: § 28 SGB II}
        otherwise: no_but_ground
        refer:
          - {when: bafoeg, reason: no_ground, statute: § 20 SGB X}
        validity: {length: P1Y}
        tariffs: [{name: gold}]
        allowances:
          - kind: participation
            monthly: param.participation_monthly
            accrual: upfront
            carry_over: within_approval
            grace: P3M
            statute: § 28 Abs. 7 SGB II
        after: [{programme: sozialpass, outcomes: [refused]}]
ends: [{programme: dortmund-karte, until: 2027-06-30}]
cases:
  - programme: bildungskarte
    cases:
      - {name: a child of a recipient, day: 2027-02-01, facts: {sgb2: true}, expect: {outcome: granted}}
      - {name: another, day: 2027-02-01, facts: {}, expect: {outcome: undetermined}}
drop_cases: [{programme: dortmund-karte, name: who receives nothing has none}]
"""


def told(source: str = EVERYTHING) -> tuple[Change, ...]:
    book = town_book()
    changes = read_changes(source, Form.YAML, book)
    return changes_of(book, merged(book, changes, {}), changes)


def test_every_part_that_is_another_is_told_once() -> None:
    said = [(c.programme, c.what, c.name, c.how.value) for c in told()]
    assert len(said) == len(set(said))
    assert set(said) == {
        ("", "card_tariff", "gold", "added"),
        ("", "parameter", "participation_monthly", "changed"),
        ("bildungskarte", "statute", "bildungskarte", "changed"),
        ("bildungskarte", "requirement", "no_main_residence", "added"),
        ("bildungskarte", "hit", "bildungskarte", "changed"),
        ("bildungskarte", "ground", "G2", "changed"),
        ("bildungskarte", "ground", "GW", "removed"),
        ("bildungskarte", "otherwise", "bildungskarte", "changed"),
        ("bildungskarte", "referral", "no_ground", "added"),
        ("bildungskarte", "validity", "bildungskarte", "changed"),
        ("bildungskarte", "tariff", "gold", "added"),
        ("bildungskarte", "tariff", "education", "removed"),
        ("bildungskarte", "allowance", "participation", "changed"),
        ("bildungskarte", "amount", "supplies", "removed"),
        ("bildungskarte", "charge", "ticket", "removed"),
        ("bildungskarte", "dependency", "sozialpass", "added"),
        ("dortmund-karte", "programme", "dortmund-karte", "removed"),
        ("bildungskarte", "case", "a child of a recipient", "changed"),
        ("bildungskarte", "case", "another", "added"),
        ("dortmund-karte", "case", "who receives nothing has none", "removed"),
    }


def test_what_is_said_before_and_after_stands_side_by_side() -> None:
    found = {(c.what, c.name): c for c in told()}
    ground = found["ground", "G2"]
    assert (ground.before, ground.after, ground.since) == (
        "sgb2; jobcenter; § 28 SGB II",
        "sgb2 || kiz; jobcenter; § 28 SGB II",
        NEXT_YEAR,
    )
    amount = found["parameter", "participation_monthly"]
    assert (amount.before, amount.after) == ("15,00 € (§ 28 Abs. 7 SGB II)", "20,00 € (§ 28 Abs. 7 SGB II)")
    assert found["programme", "dortmund-karte"].since == date(2027, 7, 1)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_change_is_a_sentence_in_every_language(language: str) -> None:
    for change in told():
        said = sentence(change, language)
        assert change.name in said
        assert "{" not in said
    requirement = next(c for c in told() if c.what == "requirement")
    assert reason_text(requirement, language)


def test_a_change_is_kept_and_read_again() -> None:
    for change in told():
        assert change_from_json(change_to_json(change)) == change


def test_the_same_rule_again_changes_nothing_but_its_day() -> None:
    again = """
programmes:
  - programme: sozialpass
    versions:
      - from: 2027-01-01
        statute: Tarif
        grounds:
          - {name: wog, when: wog, reason: {code: receives, fact: wog}, statute: § 1 WoGG}
        otherwise: no_ground
        validity: {ends_with: ground}
        tariffs: [{name: reduced}]
"""
    assert told(again) == ()
