"""Rules that a rulebook writes as forms and tables: the rules that words would say, and none that leaves anything out."""

from datetime import date
from pathlib import Path

import pytest

from entitlements.facts.catalogue import vocabulary
from entitlements.language import parse
from entitlements.language import tree as t
from entitlements.rulebook.cases import disagreements
from entitlements.rulebook.keeping import to_json, version_from_json
from entitlements.rulebook.programmes import RuleVersion
from entitlements.rulebook.rules import RulebookError, load_rulebook

FRONT = "city: Teststadt\ntariffs:\n  reduced: {bit: 0, label: {de: a, de-simple: a, en: a}}\n"
PROGRAMME = """\
programme: fahrt
label: {de: Fahrt, de-simple: Fahrt, en: Ride}
parameters:
  limit:
    unit: int
    values:
      - {from: 2020-01-01, value: 2000, statute: Rat}
      - {from: 2024-01-01, value: 3000, statute: Rat}
versions:
  - from: 2022-01-01
    statute: Rat
    requires:
      - when:
          form:
            all:
              - {kind: holds, fact: main_residence}
              - {kind: younger_than, fact: birth_date, years: 25}
        reason: no_main_residence
        statute: Rat
    grounds:
      table:
        hit: unique
        inputs: [school_stage, school_route_m, dangerous_route]
        rows:
          - {when: ['"primary"', "> param.limit", "-"], name: far, payer: city, reason: far, statute: § 5}
          - {when: ['not("primary", "none")', "> 5000", "-"], name: farther, payer: city, reason: far, statute: § 5}
          - {when: ['"primary"', "<= param.limit", true], name: danger, payer: city, reason: danger, statute: § 6}
    otherwise: no_ground
    validity: {ends_with: ground}
    tariffs:
      - name: reduced
    charges:
      - kind: ride
        monthly:
          table:
            hit: first
            inputs: [school_stage, school_route_m]
            rows:
              - {when: ['"primary"', "-"], then: cents(700)}
              - {when: ["-", "> param.limit"], then: cents(1400)}
              - {when: ["-", "<= 3000"], then: cents(2100)}
            otherwise: cents(4300)
        statute: § 97
"""
CASES = """\
programme: fahrt
cases:
  - name: a long way of a small child
    day: 2026-09-01
    facts: {main_residence: true, birth_date: 2018-01-01, school_stage: primary, school_route_m: 3001}
    expect: {outcome: granted, ground: far, charges: {ride: 700}}
  - name: a short and safe one
    day: 2026-09-01
    facts: {main_residence: true, birth_date: 2018-01-01, school_stage: primary, school_route_m: 3000, dangerous_route: false}
    expect: {outcome: refused, reasons: [no_ground]}
  - name: nobody knows how far
    day: 2026-09-01
    facts: {main_residence: true, birth_date: 2018-01-01, school_stage: primary, dangerous_route: false}
    expect: {outcome: undetermined, missing: {school_route_m: schulverwaltungsamt}}
  - name: the same way before the limit was raised
    day: 2023-09-01
    facts: {main_residence: true, birth_date: 2018-01-01, school_stage: primary, school_route_m: 3000}
    expect: {outcome: granted, ground: far}
"""


@pytest.fixture
def city(tmp_path: Path) -> Path:
    (tmp_path / "rulebook.yaml").write_text(FRONT, encoding="utf-8")
    return tmp_path


def write(city: Path, *changes: tuple[str, str]) -> Path:
    text = PROGRAMME
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (city / "fahrt.yaml").write_text(text, encoding="utf-8")
    return city


def version(city: Path) -> RuleVersion:
    return load_rulebook(city).programmes["fahrt"].versions[0]


def test_a_table_of_grounds_is_the_grounds_that_its_rows_are(city: Path) -> None:
    known = vocabulary({"limit": t.INT})
    rule = version(write(city))
    assert rule.hit == "first"
    assert {ground.name: str(ground.when) for ground in rule.grounds} == {
        "far": 'school_stage == "primary" && school_route_m > param.limit',
        "farther": '!(school_stage in ["primary", "none"]) && school_route_m > 5000',
        "danger": 'school_stage == "primary" && school_route_m <= param.limit && dangerous_route',
    }
    assert rule.requirements[0].when == parse("main_residence && under(birth_date, 25)", known)
    assert rule.charges[0].monthly == parse(
        'school_stage == "primary" ? cents(700) : school_route_m > param.limit ? cents(1400)'
        " : school_route_m <= 3000 ? cents(2100) : cents(4300)",
        known,
    )
    assert version_from_json(to_json(rule)).rule_hash == rule.rule_hash


def test_its_worked_cases_come_out_as_a_clerk_would_read_the_table(city: Path) -> None:
    write(city)
    (city / "fahrt.cases.yaml").write_text(CASES, encoding="utf-8")
    book = load_rulebook(city)
    assert len(book.cases) == 4
    assert [(case.name, found) for case in book.cases if (found := disagreements(book, case))] == []


def test_grounds_of_which_all_that_hold_are_collected_are_any_grounds(city: Path) -> None:
    assert version(write(city, ("        hit: unique\n", "        hit: collect\n"))).hit == "any"


def test_the_same_rules_in_words_have_the_same_hash(city: Path) -> None:
    tables = version(write(city))
    table = PROGRAMME[
        PROGRAMME.index("      table:\n        hit: unique") : PROGRAMME.index("    otherwise: no_ground")
    ]
    words = "".join(
        f"      - {{name: {g.name}, when: '{g.when}', payer: city, reason: {g.reason.code}, statute: {g.origin.statute}}}\n"
        for g in tables.grounds
    )
    assert version(write(city, (table, words))).rule_hash == tables.rule_hash


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (('"> 5000", "-"]', '"> 50000"]'), 26, "rows[1].when: a row has when with a cell for each input (3)"),
        (('"<= param.limit", true', '"<= param.limt", true'), 27, "rows[2].when[1]: there is no parameter limt; write a parameter of the city, or the value itself; did you mean limit?"),
        (('"<= param.limit", true', '"-", true'), 27, 'row 1 and row 3 both count for school_stage: "primary"; school_route_m: [2001..5000]; dangerous_route: true'),
        (("> 5000", "> param.lim"), 26, "there is no parameter lim; write a parameter of the city, or the value itself; did you mean limit?"),
        (('"<= 3000"], then', '"<= 2500"], then'), None, ""),
        (('["-", "<= 3000"], then: cents(2100)', '["-", "> 4000"], then: cents(2100)'), 41, "row 3 never counts"),
        (("then: cents(2100)", "then: 2100"), 41, "rows[2].then: all outputs of a table have one type, but these are cents and int"),
        (("hit: unique", "hit: last"), 22, "hit is first, unique or collect"),
        (("    grounds:\n      table:", "    hit: first\n    grounds:\n      table:"), 20, "the table of grounds says itself which hit counts"),
        (("name: danger,", "name: far,"), 21, "two grounds have the same name"),
        (("name: danger,", "nam: danger,"), 27, "nam means nothing here"),
        (("years: 25", "years: 250"), 17, "all[1].years: an age lies between 0 and 150 years"),
        (("fact: main_residence", "fact: main_residenze"), 16, "all[0].fact: there is no fact main_residenze"),
        (("          form:\n", "          formular:\n"), 14, "when must be a rule: a text, a form or a table"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(
    city: Path, change: tuple[str, str], line: int | None, says: str
) -> None:
    write(city, change)
    if line is None:
        version(city)
        return
    with pytest.raises(RulebookError) as caught:
        load_rulebook(city)
    assert says in caught.value.message
    assert caught.value.line == line


def test_a_table_holds_on_every_day_of_its_rule(city: Path) -> None:
    """Complete while the limit is 2000, and with a gap from the day on which it is raised."""
    changed = write(
        city,
        ('["-", "> param.limit"]', '["-", "<= 2500"]'),
        ('["-", "<= 3000"]', '["-", "> param.limit"]'),
        ("            otherwise: cents(4300)\n", ""),
    )
    with pytest.raises(RulebookError, match=r"\[2501\.\.3000\].*\(from 2024-01-01 on\)"):
        load_rulebook(changed)
    write(
        city,
        ('["-", "> param.limit"]', '["-", "<= 2500"]'),
        ('["-", "<= 3000"]', '["-", "> param.limit"]'),
        ("            otherwise: cents(4300)\n", ""),
        ("  - from: 2022-01-01\n", "  - from: 2022-01-01\n    until: 2023-12-31\n"),
    )
    assert version(city).until == date(2023, 12, 31)


def test_a_rule_that_can_hardly_be_meant_is_refused(city: Path) -> None:
    with pytest.raises(RulebookError, match=r"this can never hold; check the values \(column 3 of when\)"):
        load_rulebook(
            write(
                city,
                (
                    "      - name: reduced\n",
                    "      - name: reduced\n        when: 1 > 2\n",
                ),
            )
        )
