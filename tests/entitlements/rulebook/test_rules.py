"""Rulebooks as a whole: what is refused when they are read, and what they say about people."""

import re
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS, LANGUAGES
from entitlements.language import Known, Stated, Subject, Unknown, Value, evaluate
from entitlements.rulebook.cases import disagreements
from entitlements.rulebook.keeping import to_json, version_from_json
from entitlements.rulebook.programmes import plain
from entitlements.rulebook.rules import (
    SYSTEM_REASONS,
    Missing,
    Outcome,
    Reason,
    Rulebook,
    RulebookError,
    RuleVersion,
    Ruling,
    decide,
    grace_end,
    load_rulebook,
    parameters_hash,
)
from entitlements.rulebook.texts import reason_codes, render, texts
from tests.rulebooks import cities, dortmund

DORTMUND = dortmund()
CITIES = cities()
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = date(2026, 9, 15)

FRONT = """\
    city: Teststadt
    tariffs:
      reduced: {bit: 0, label: {de: x, de-simple: x, en: x}}
    parameters:
      price:
        unit: cents
        values:
          - {from: 2020-01-01, value: 100, statute: Satzung}
          - {from: 2025-01-01, value: 200, statute: Satzung}
    """
PASS = """\
    programme: pass
    label: {de: Pass, de-simple: Pass, en: Pass}
    versions:
      - from: 2020-01-01
        until: 2024-12-31
        statute: Satzung § 1
        grounds: [{name: sgb2, when: sgb2, reason: no_ground, statute: SGB II}]
        otherwise: no_ground
        validity: {length: P1Y}
      - from: 2025-01-01
        statute: Satzung § 1
        requires:
          - when: main_residence
            reason: no_main_residence
            statute: Satzung § 2
        grounds:
          - {name: sgb2, when: sgb2, payer: jobcenter, reason: {code: receives, fact: sgb2}, statute: SGB II}
          - {name: wog, when: wog, reason: {code: receives, fact: wog}, statute: WoGG}
        otherwise: no_ground
        validity: {ends_with: ground}
        tariffs: [{name: reduced}]
        charges: [{kind: fee, monthly: param.price, statute: Satzung § 3}]
    """


def make_rulebook(folder: Path, programme: str = PASS, front: str = FRONT, **others: str) -> Rulebook:
    for name, content in {"rulebook": front, "pass": programme, **others}.items():
        (folder / f"{name}.yaml").write_text(textwrap.dedent(content), encoding="utf-8")
    return load_rulebook(folder)


def person(**facts: Value | tuple[Value, date | None]) -> Subject:
    def stated(entry: Value | tuple[Value, date | None]) -> Stated:
        value, until = entry if isinstance(entry, tuple) else (entry, None)
        return Stated(value, date(2000, 1, 1), until, "jobcenter", NOON)

    nobody = {kind.name: kind.absent for kind in CATALOGUE.values() if kind.absent is not None}
    return Subject("p", {n: stated(e) for n, e in {**nobody, **facts}.items()}, dict.fromkeys(HOUSEHOLDS, ()))


def rule(book: Rulebook, subject: Subject, on: date = DAY, *, held_since: date | None = None) -> Ruling:
    version = book.programmes["pass"].on(on)
    assert version is not None
    return decide(version, subject, book.parameters_on(on), on, held_since=held_since)


# --- what is refused when a rulebook is read ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("until: 2024-12-31", "until: 2025-01-01", 10, "2025-01-01 has two rules of pass"),
        ("until: 2024-12-31", "until: 2024-12-30", 10, "pass has no rule from 2024-12-31 to 2024-12-31"),
        ("        until: 2024-12-31\n", "", 9, "has two rules"),
        ("until: 2024-12-31", "until: 2019-12-31", 5, "ends on or after its first day"),
        ("when: main_residence", "when: main_residenze", 13, "did you mean main_residence?"),
        ("when: main_residence", "when: school_route_m", 13, "must answer with bool, but this is int"),
        ("monthly: param.price", "monthly: '1500'", 22, "must answer with cents, but this is int"),
        ("monthly: param.price", "monthly: param.prize", 22, "did you mean price?"),
        ("tariffs: [{name: reduced}]", "tariffs: [{name: cheap}]", 21, "name is one of reduced"),
        ("requires:", "require:", 13, "require means nothing here"),
        ("validity: {ends_with: ground}", "validity: {ends_with: never}", 20, "ends_with is one of"),
        ("validity: {length: P1Y}", "validity: {length: one year}", 9, "a period such as P3M or P1Y"),
        ("name: wog, when", "name: sgb2, when", 17, "two grounds have the same name"),
        ("            statute: Satzung § 2\n", "", 13, "statute is missing"),
        ("programme: pass", "programme: 7", 1, "programme must be a str"),
        ("programme: pass", "programme: pass\n    programme: pass", 2, "programme stands here twice"),
        ("programme: pass", "programme: [pass", 2, "expected"),
        ("tariffs: [", "after: [{programme: other, outcomes: [refused]}]\n        tariffs: [", 21, "no such"),
        (
            "tariffs: [",
            "after: [{programme: pass, outcomes: [{}]}]\n        tariffs: [",
            21,
            "outcomes lists",
        ),
        (
            "monthly: param.price",
            "monthly: param.price, grounds: [[sgb2]]",
            22,
            "names grounds of its own rule",
        ),
    ],
)
def test_a_rulebook_with_a_mistake_is_refused_with_file_and_line(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    assert old in PASS
    with pytest.raises(RulebookError) as caught:
        make_rulebook(tmp_path, PASS.replace(old, new, 1))
    assert says in caught.value.message
    assert (caught.value.file, caught.value.line) == ("pass.yaml", line)


def test_a_rule_cannot_count_from_a_day_on_which_an_amount_has_no_value(tmp_path: Path) -> None:
    early = PASS.replace("from: 2020-01-01", "from: 2019-12-31").replace(
        "when: sgb2", "when: param.price > cents(1)", 1
    )
    with pytest.raises(RulebookError) as caught:
        make_rulebook(tmp_path, early)
    assert (
        caught.value.message == "price has no value before 2020-01-01, but this rule counts from 2019-12-31"
    )


def test_a_mistake_inside_a_long_rule_names_its_own_line(tmp_path: Path) -> None:
    block = "when: |\n              main_residence\n              && nonsense\n"
    with pytest.raises(RulebookError) as caught:
        make_rulebook(tmp_path, PASS.replace("when: main_residence\n", block, 1))
    assert caught.value.line == 15
    assert "there is no fact nonsense" in caught.value.message


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("sgb2: true", "sgb2: yes please", "sgb2 is true or false"),
        ("sgb2: true", "sgb2: [true]", "sgb2 is true or false"),
        ("sgb2: true", "sgb2: {since: 2026-01-01}", "sgb2 is true or false"),
        ("sgb2: true", "sgb2: {value: true, since: soon}", "since must be a date"),
        ("sgb2: true", "sgb2: {value: true, since: null}", "since must be a date"),
        (
            "sgb2: true",
            "sgb2: {value: true, since: 2026-02-01, until: 2026-01-31}",
            "on or after its first day",
        ),
        ("sgb2: true", "sgb2: {value: true, till: 2026-02-01}", "till means nothing here"),
        ("wog: true", "wog: 1", "wog is true or false"),
        ("wog: true", "sgb3: true", "sgb3 means nothing here"),
    ],
)
def test_a_worked_case_that_states_what_no_register_could_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    (tmp_path / "pass.cases.yaml").write_text(WORKED.replace(old, new))
    with pytest.raises(RulebookError, match=says) as caught:
        make_rulebook(tmp_path)
    line = 6 if old.startswith("sgb2") else 8
    assert (caught.value.file, caught.value.line) == ("pass.cases.yaml", line)


def test_a_worked_case_may_say_how_long_a_fact_holds(tmp_path: Path) -> None:
    (tmp_path / "pass.cases.yaml").write_text(
        WORKED.replace("sgb2: true", "sgb2: {value: true, since: 2026-01-01, until: null}")
    )
    [case] = make_rulebook(tmp_path).cases
    assert disagreements(make_rulebook(tmp_path), case) == ()


WORKED = """\
programme: pass
cases:
  - name: of two in a household
    day: 2026-09-01
    facts:
      sgb2: true
      main_residence: true
    households: {registered_household: [{wog: true}]}
    expect: {outcome: granted}
"""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("value: 200", "value: '200'", "must be cents"),
        ("from: 2025-01-01", "from: 2020-01-01", "in the order of their days"),
        ("unit: cents", "unit: euro", "unit is one of"),
        ("bit: 0", "bit: 32", "a bit of its own"),
        ("en: x", "fr: x", "fr means nothing here"),
    ],
)
def test_the_front_page_is_checked_too(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(RulebookError, match=says) as caught:
        make_rulebook(tmp_path, front=FRONT.replace(old, new, 1))
    assert caught.value.file == "rulebook.yaml"


def test_programmes_may_wait_for_one_another_but_not_in_a_circle(tmp_path: Path) -> None:
    def waiting(name: str, other: str) -> str:
        after = f"        after: [{{programme: {other}, outcomes: [refused]}}]\n        otherwise:"
        return PASS.replace("programme: pass", f"programme: {name}").replace("        otherwise:", after)

    book = make_rulebook(tmp_path, transport=waiting("transport", "pass"))
    assert book.order() == ("pass", "transport")
    version = book.programmes["transport"].on(DAY)
    assert version is not None

    def ruling(**others: Outcome) -> Ruling:
        return decide(version, person(main_residence=True, sgb2=True), {"price": 1}, DAY, others=others)

    assert ruling(**{"pass": Outcome.REFUSED}).outcome is Outcome.GRANTED
    assert ruling(**{"pass": Outcome.GRANTED}).reasons[0].code == "other_programme_first"
    assert ruling(**{"pass": Outcome.GRANTED}).outcome is Outcome.REFUSED
    assert ruling().outcome is ruling(**{"pass": Outcome.REFER}).outcome is Outcome.UNDETERMINED
    with pytest.raises(RulebookError, match="wait for one another"):
        make_rulebook(tmp_path, waiting("pass", "transport"), transport=waiting("transport", "pass"))


def test_the_hash_of_a_rule_knows_its_meaning_and_not_its_layout(tmp_path: Path) -> None:
    def newest(programme: str) -> str:
        version = make_rulebook(tmp_path, programme).programmes["pass"].on(DAY)
        assert version is not None
        return version.rule_hash

    same = newest(PASS)
    assert newest(PASS.replace("when: main_residence", "when: '( main_residence )'")) == same
    assert newest(PASS.replace("when: main_residence", "when: '! main_residence'")) != same
    assert newest(PASS.replace("Satzung § 2", "Satzung § 4")) != same
    assert parameters_hash({"a": 1, "b": date(2026, 1, 1)}) == parameters_hash(
        {"b": date(2026, 1, 1), "a": 1}
    )
    assert parameters_hash({"a": 1}) != parameters_hash({"a": 2})


def test_amounts_change_on_their_days(tmp_path: Path) -> None:
    book = make_rulebook(tmp_path)
    assert book.parameters_on(date(2019, 12, 31)) == {}
    assert book.parameters_on(date(2024, 12, 31)) == {"price": 100}
    assert book.parameters_on(date(2025, 1, 1)) == {"price": 200}
    assert book.next_change("pass", date(2019, 1, 1)) == date(2020, 1, 1)
    assert book.next_change("pass", date(2020, 1, 1)) == date(2025, 1, 1)
    assert book.next_change("pass", date(2025, 1, 1)) is None
    assert book.programmes["pass"].on(date(2019, 12, 31)) is None


# --- what a rule says ---------------------------------------------------------------------------------------


def test_a_ruling_says_who_pays_what_it_brings_and_why(tmp_path: Path) -> None:
    ruling = rule(make_rulebook(tmp_path), person(main_residence=True, sgb2=(True, date(2026, 12, 31))))
    assert (ruling.outcome, ruling.ground, ruling.payer) == (Outcome.GRANTED, "sgb2", "jobcenter")
    assert ruling.until == date(2026, 12, 31)
    assert ruling.tariffs == ("reduced",)
    assert [(charge.kind, charge.monthly_cents) for charge in ruling.charges] == [("fee", 200)]
    assert ruling.reasons == (Reason("receives", {"fact": "sgb2", "statute": "SGB II", "on": "2026-09-15"}),)
    assert ruling.changes_on == date(2027, 1, 1)


def test_a_row_of_the_table_counts_only_if_none_above_it_is_in_doubt(tmp_path: Path) -> None:
    known = person(main_residence=True, wog=True)
    silent = Subject("p", {name: fact for name, fact in known.facts.items() if name != "sgb2"}, {})
    first = rule(make_rulebook(tmp_path), silent)
    assert first.outcome is Outcome.UNDETERMINED
    assert first.missing == (Missing("sgb2", "jobcenter"),)
    any_ = rule(make_rulebook(tmp_path, PASS.replace("requires:", "hit: any\n        requires:")), silent)
    assert (any_.outcome, any_.ground) == (Outcome.GRANTED, "wog")


def test_one_failed_requirement_refuses_whatever_else_is_missing(tmp_path: Path) -> None:
    facts = {"main_residence": Stated(value=False, since=DAY, until=None, register="x", learned_at=NOON)}
    ruling = rule(make_rulebook(tmp_path), Subject("p", facts))
    assert (ruling.outcome, ruling.missing) == (Outcome.REFUSED, ())
    assert [reason.code for reason in ruling.reasons] == ["no_main_residence"]


def test_nobody_who_died_is_granted_anything_and_nobody_is_presumed_dead(tmp_path: Path) -> None:
    book = make_rulebook(tmp_path)
    alive = person(main_residence=True, sgb2=True)
    death = Stated(value=True, since=date(2026, 9, 20), until=None, register="melderegister", learned_at=NOON)
    mortal = Subject("p", {**alive.facts, "deceased": death}, {})
    assert rule(book, mortal).outcome is Outcome.GRANTED
    assert rule(book, mortal).changes_on == date(2026, 9, 20)
    assert rule(book, mortal, date(2026, 9, 20)).reasons[0].code == "deceased"
    unsaid = Subject("p", {n: f for n, f in alive.facts.items() if n != "deceased"}, {})
    assert rule(book, unsaid).outcome is Outcome.GRANTED


POLICIES = [
    ("{length: P1Y}", date(2026, 12, 31), date(2027, 9, 14)),
    ("{length: P3M}", None, date(2026, 12, 14)),
    ("{ends_with: ground}", date(2026, 11, 10), date(2026, 11, 10)),
    ("{ends_with: ground}", None, None),
    ("{length: P1Y, ends_with: ground}", date(2026, 11, 10), date(2026, 11, 10)),
    ("{length: P1Y, ends_with: ground}", date(2028, 11, 10), date(2027, 9, 14)),
    ("{ends_with: ground, round_up: month}", date(2026, 11, 10), date(2026, 11, 30)),
    ("{ends_with: ground, round_up: quarter}", date(2026, 11, 10), date(2026, 12, 31)),
    ("{length: P1Y, round_up: quarter}", None, date(2027, 9, 30)),
    ("{ends_with: ground, round_up: year}", None, None),
]


@pytest.mark.parametrize(("policy", "benefit_until", "until"), POLICIES)
def test_an_entitlement_lasts_as_its_policy_says(
    tmp_path: Path, policy: str, benefit_until: date | None, until: date | None
) -> None:
    book = make_rulebook(tmp_path, PASS.replace("{ends_with: ground}", policy))
    assert rule(book, person(main_residence=True, sgb2=(True, benefit_until))).until == until


def test_a_card_with_a_fixed_length_does_not_grow_by_a_day_each_night(tmp_path: Path) -> None:
    book = make_rulebook(tmp_path, PASS.replace("{ends_with: ground}", "{length: P1Y}"))
    holder, start = person(main_residence=True, sgb2=True), date(2026, 3, 1)
    assert rule(book, holder, date(2026, 3, 2), held_since=start).until == date(2027, 2, 28)
    assert rule(book, holder, date(2027, 2, 28), held_since=start).until == date(2027, 2, 28)
    assert rule(book, holder, date(2027, 3, 1), held_since=start).until == date(2028, 2, 29)


def test_the_end_of_the_ground_is_not_the_end_of_the_whole_condition(tmp_path: Path) -> None:
    holder = person(main_residence=True, sgb2=(True, date(2026, 10, 31)), wog=(True, date(2026, 12, 31)))
    assert rule(make_rulebook(tmp_path), holder).until == date(2026, 10, 31)
    whole = make_rulebook(tmp_path, PASS.replace("ends_with: ground", "ends_with: condition"))
    assert rule(whole, holder).until == date(2026, 12, 31)


def test_a_case_for_a_person_is_referred_instead_of_refused_or_always(tmp_path: Path) -> None:
    def referring(extra: str) -> Rulebook:
        refer = (
            f"refer: [{{when: kiz, reason: known_in_part, statute: § 20 SGB X{extra}}}]\n        otherwise:"
        )
        before, _, after = PASS.rpartition("otherwise:")
        return make_rulebook(tmp_path, before + refer + after)

    poor, holder = person(main_residence=True, kiz=True), person(main_residence=True, kiz=True, sgb2=True)
    away = person(kiz=True)
    assert rule(referring(""), poor).outcome is Outcome.REFER
    assert rule(referring(""), holder).outcome is Outcome.GRANTED
    assert rule(referring(""), away).outcome is Outcome.REFUSED
    assert rule(referring(", even_if_granted: true"), holder).outcome is Outcome.REFER


def test_a_calculation_that_fails_is_for_a_person_and_never_yes_or_no(tmp_path: Path) -> None:
    poor = "when: household_net_income * 9223372036854775807 <= household_need, reason"
    book = make_rulebook(tmp_path, PASS.replace("when: wog, reason", poor))
    ruling = rule(book, person(main_residence=True, household_net_income=2, household_need=1))
    assert (ruling.outcome, ruling.reasons[0].code) == (Outcome.REFER, "calculation_fault")


@pytest.mark.parametrize(
    ("until", "grace", "end"),
    [
        (date(2026, 8, 31), "P3M", date(2026, 11, 30)),
        (date(2026, 11, 30), "P3M", date(2027, 2, 28)),
        (date(2026, 8, 31), "P1Y", date(2027, 8, 31)),
        (date(2026, 8, 31), "P0M", date(2026, 8, 31)),
    ],
)
def test_money_can_be_drawn_until_the_grace_is_over(until: date, grace: str, end: date) -> None:
    assert grace_end(until, grace) == end


# --- Dortmund -----------------------------------------------------------------------------------------------


def test_school_supplies_have_their_history() -> None:
    history = {
        date(2019, 7, 31): (7000, 3000),
        date(2019, 8, 1): (10000, 5000),
        date(2021, 1, 1): (10300, 5150),
        date(2023, 1, 1): (11600, 5800),
        date(2024, 1, 1): (13000, 6500),
        date(2026, 8, 1): (13000, 6500),
    }
    for day, amounts in history.items():
        values = DORTMUND.parameters_on(day)
        assert (values["school_supplies_august"], values["school_supplies_february"]) == amounts


def test_assumptions_keep_their_mark() -> None:
    def assumed(programme: str) -> bool:
        return DORTMUND.programmes[programme].versions[-1].origin.assumption

    assert assumed("dortmund-karte")
    assert assumed("sozialpass")
    price = DORTMUND.parameters["school_ticket_self_payer"].on(date(2026, 1, 1))
    assert price is not None
    assert (price.value, price.origin.assumption) == (4300, True)


def test_each_tariff_has_a_place_of_its_own_on_the_card() -> None:
    assert {name: tariff.bit for name, tariff in DORTMUND.tariffs.items()} == {
        "reduced": 0,
        "reduced_youth": 1,
        "social_ticket": 2,
        "education": 3,
        "school_ticket": 4,
    }


def test_a_worked_case_that_expects_something_else_is_reported() -> None:
    case = next(case for case in DORTMUND.cases if case.expect.get("outcome") == "granted")
    wrong = type(case)(
        **{
            **{name: getattr(case, name) for name in case.__slots__},
            "expect": {**case.expect, "outcome": "refused", "tarifs": []},
        }
    )
    said = disagreements(DORTMUND, wrong)
    assert len(said) == 2
    assert "outcome is 'granted', expected 'refused'" in said


# --- texts --------------------------------------------------------------------------------------------------


ALL_CODES = frozenset[str]().union(*(reason_codes(book) for book in CITIES))


def _possible_reasons() -> list[Reason]:
    general: Mapping[str, str] = {
        "fact": "sgb2",
        "register": "jobcenter",
        "on": "2026-09-15",
        "programme": "x",
    }
    own = [
        Reason(template.code, {**dict(template.params), "statute": origin.statute, "on": "2026-09-15"})
        for book in CITIES
        for rules in book.programmes.values()
        for version in rules.versions
        for template, origin in version.reasons()
    ]
    return own + [Reason(code, {**general, "statute": "§ 20 SGB X"}) for code in sorted(SYSTEM_REASONS)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_that_a_rule_can_give_is_a_sentence_with_its_law(language: str) -> None:
    reasons = _possible_reasons()
    assert {reason.code for reason in reasons} == ALL_CODES
    for reason in reasons:
        text = render(reason, language)
        assert reason.params["statute"], reason.code
        assert str(reason.params["statute"]) in text
        assert "{" not in text


def test_no_text_stands_for_a_reason_that_nothing_gives() -> None:
    assert set(texts()["reasons"]) == ALL_CODES


@pytest.mark.parametrize(
    ("fact", "on", "called"),
    [
        ("sgb2", "2022-12-31", "Arbeitslosengeld II oder Sozialgeld"),
        ("sgb2", "2023-01-01", "Bürgergeld"),
        ("sgb2", "2026-06-30", "Bürgergeld"),
        ("sgb2", "2026-07-01", "Grundsicherungsgeld"),
        ("sgb14", "2023-12-31", "ergänzende Hilfe zum Lebensunterhalt nach dem BVG"),
        ("sgb14", "2024-01-01", "Leistungen zum Lebensunterhalt nach SGB XIV"),
    ],
)
def test_a_reason_is_told_in_the_words_of_its_day(fact: str, on: str, called: str) -> None:
    told = render(Reason("receives", {"fact": fact, "statute": "§ 19 SGB II", "on": on}), "de")
    assert told == f"Sie erhalten: {called}. (§ 19 SGB II)"


def test_what_is_missing_is_told_with_the_place_to_ask() -> None:
    ruling = decide(
        DORTMUND.programmes["sozialpass"].versions[-1],
        Subject("p", {}, {}),
        DORTMUND.parameters_on(DAY),
        DAY,
    )
    told = [render(reason, "de") for reason in ruling.reasons]
    assert "Es fehlt eine Angabe: Wohngeld. Auskunft gibt die Wohngeldstelle. (§ 20 SGB X)" in told


# --- what rules could not say at first ----------------------------------------------------------------------


AT_COST = """        allowances:
          - {kind: lunch, terms: per_meal, unit_ceiling: cents(500), ceiling: "cents(400) * 10", grace: P3M, statute: Satzung § 4}
"""


def test_what_a_rule_does_not_say_leaves_its_hash_as_it_was(tmp_path: Path) -> None:
    version = make_rulebook(tmp_path).programmes["pass"].versions[-1]
    said = plain(version)
    assert not {"on_request", "reaches_back"} & set(said["grounds"][0])
    asked = replace(version, grounds=tuple(replace(g, on_request=True) for g in version.grounds))
    assert asked.rule_hash != version.rule_hash
    assert plain(asked)["grounds"][0]["on_request"] is True


def test_a_rule_stored_before_it_could_be_said_is_read_without_it(tmp_path: Path) -> None:
    content = PASS.rstrip(" ") + AT_COST
    version = make_rulebook(tmp_path, content).programmes["pass"].versions[-1]
    assert version_from_json(to_json(version)) == version
    assert version_from_json(to_json(version)).rule_hash == version.rule_hash
    old = to_json(make_rulebook(tmp_path).programmes["pass"].versions[-1])
    assert all(ground.on_request is False for ground in version_from_json(old).grounds)


def test_actual_costs_are_granted_with_their_limits(tmp_path: Path) -> None:
    book = make_rulebook(tmp_path, PASS.rstrip(" ") + AT_COST)
    (grant,) = rule(book, person(main_residence=True, wog=(True, date(2026, 12, 31)))).allowances
    assert (grant.terms, grant.monthly_cents, grant.unit_ceiling_cents, grant.ceiling_cents) == (
        "per_meal",
        0,
        500,
        4000,
    )
    assert (grant.until, grant.grace) == (date(2026, 12, 31), "P3M")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("grace: ", "monthly: cents(1), grace: ", "monthly means nothing where the terms are per_meal"),
        (
            "terms: per_meal, unit_ceiling: cents(500), ",
            "monthly: cents(1), accrual: monthly, carry_over: none, ",
            "ceiling means nothing where the terms are monthly",
        ),
        ("per_meal", "per_mile", "terms is one of monthly, per_event, per_meal, by_decision"),
        ("unit_ceiling: cents(500)", "unit_ceiling: '500'", "must answer with cents, but this is int"),
    ],
)
def test_terms_and_amounts_go_together(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in AT_COST
    with pytest.raises(RulebookError, match=re.escape(says)):
        make_rulebook(tmp_path, PASS.rstrip(" ") + AT_COST.replace(old, new))


def test_a_table_of_grounds_is_written_once_for_several_programmes(tmp_path: Path) -> None:
    shared = "    grounds:\n      all: [{name: sgb2, when: sgb2, reason: no_ground, statute: SGB II}]\n"
    old = "grounds: [{name: sgb2, when: sgb2, reason: no_ground, statute: SGB II}]"
    assert old in PASS
    first, asked = (
        make_rulebook(tmp_path, PASS.replace(old, new), FRONT.rstrip(" ") + shared)
        .programmes["pass"]
        .versions[0]
        .grounds
        for new in ("grounds: all", "grounds: all\n        on_request: true")
    )
    assert [g.name for g in first] == ["sgb2"]
    assert first == make_rulebook(tmp_path).programmes["pass"].versions[0].grounds
    assert asked == tuple(replace(ground, on_request=True) for ground in first)
    unasked = PASS.replace(old, "grounds: all\n        on_request: false")
    gift = shared.replace("statute: SGB II}", "statute: SGB II, on_request: true}")
    (ground,) = (
        make_rulebook(tmp_path, unasked, FRONT.rstrip(" ") + gift).programmes["pass"].versions[0].grounds
    )
    assert not ground.on_request
    with pytest.raises(RulebookError, match="grounds is one of all"):
        make_rulebook(tmp_path, PASS.replace(old, "grounds: some"), FRONT.rstrip(" ") + shared)


def test_a_ruling_says_whether_its_ground_wants_a_request(tmp_path: Path) -> None:
    old = "- {name: wog, when: wog,"
    assert old in PASS
    book = make_rulebook(tmp_path, PASS.replace(old, old + " on_request: true, reaches_back: P1Y,"))
    ruling = rule(book, person(main_residence=True, wog=True))
    assert (ruling.ground, ruling.on_request, ruling.reaches_back) == ("wog", True, 12)
    ruling = rule(book, person(main_residence=True, wog=True, sgb2=True))
    assert (ruling.ground, ruling.on_request, ruling.reaches_back) == ("sgb2", False, None)


def test_what_comes_only_with_another_programme_says_so() -> None:
    version = DORTMUND.programmes["lernfoerderung"].versions[-1]
    told = {
        outcome: [
            r.code for r in decide(version, person(), {}, DAY, others={"bildungskarte": outcome}).reasons
        ]
        for outcome in (Outcome.REFUSED, Outcome.UNDETERMINED, Outcome.REFER)
    }
    assert told == {
        Outcome.REFUSED: ["other_programme_needed"],
        Outcome.UNDETERMINED: ["other_programme_open"],
        Outcome.REFER: ["other_programme_open"],
    }


# --- laws, over many people ---------------------------------------------------------------------------------


@st.composite
def _people(draw: st.DrawFn) -> Subject:
    def facts() -> Mapping[str, Stated]:
        found: dict[str, Stated] = {}
        for name, kind in CATALOGUE.items():
            if name.startswith("birth") or not draw(st.integers(0, 3)):
                continue
            values: st.SearchStrategy[Value] = (
                st.sampled_from(kind.members)
                if kind.members
                else st.booleans()
                if kind.type == "bool"
                else st.sampled_from([1999, 2001, 3501, 5001])
            )
            value = draw(values)
            if name in {"deceased", "training_pay"}:
                value = value is True and draw(st.integers(0, 5)) == 0
            since = draw(st.sampled_from([date(2020, 1, 1), date(2026, 9, 16)]))
            until = draw(st.sampled_from([None, date(2026, 9, 30), date(2026, 12, 31)]))
            found[name] = Stated(value, since, until, kind.suppliers[0], NOON)
        birth = draw(
            st.sampled_from(["", "2008-09-15", "2008-09-16", "2008-00-00", "2001-10-01", "2012-02-29"])
        )
        if birth:
            read = CATALOGUE["birth_date"].read(birth)
            found |= {n: Stated(v, date(2008, 1, 1), None, "melderegister", NOON) for n, v in read.items()}
        return found

    me = Subject("me", facts())
    other = Subject("other", facts()) if draw(st.booleans()) else None
    kinds = [kind for kind in HOUSEHOLDS if draw(st.booleans())]
    return Subject("me", me.facts, dict.fromkeys(kinds, (me, other) if other else ()))


VERSIONS = [rules.versions[-1] for rules in DORTMUND.programmes.values()]


def decided(version: RuleVersion, subject: Subject, on: date = DAY) -> Ruling:
    """What the version says, once the programmes before it have been decided as it needs them."""
    others = {needed.programme: needed.outcomes[0] for needed in version.depends_on}
    return decide(version, subject, DORTMUND.parameters_on(on), on, others=others)


def referred(ruling: Ruling, version: RuleVersion) -> bool:
    """Whether the rule itself sends the case to a person, for another reason than what is missing."""
    return {reason.code for reason in ruling.reasons} <= {r.reason.code for r in version.referrals}


@given(st.sampled_from(VERSIONS), _people())
@settings(max_examples=300)
def test_the_outcome_is_what_the_condition_as_a_whole_says(version: RuleVersion, subject: Subject) -> None:
    ruling = decided(version, subject)
    if ruling.reasons[0].code == "deceased":
        return
    expected = evaluate(version.condition, subject, DORTMUND.parameters_on(DAY), DAY)
    if referred(ruling, version):
        assert ruling.outcome is Outcome.REFER
        assert expected != Known(value=True) or any(r.even_if_granted for r in version.referrals)
        return
    match ruling.outcome:
        case Outcome.GRANTED:
            assert expected == Known(value=True)
        case Outcome.REFUSED:
            assert expected == Known(value=False)
        case _:
            assert isinstance(expected, Unknown)
            assert expected.facts == {missing.fact for missing in ruling.missing}


@given(st.sampled_from(VERSIONS), _people())
@settings(max_examples=200)
def test_what_is_granted_ends_on_or_after_today_and_what_is_open_names_what_is_missing(
    version: RuleVersion, subject: Subject
) -> None:
    ruling = decided(version, subject)
    assert ruling.reasons
    if ruling.outcome is Outcome.GRANTED:
        assert ruling.ground
        assert ruling.until is None or ruling.until >= DAY
        assert all(grant.until is None or grant.until >= DAY for grant in ruling.allowances)
    else:
        assert (ruling.ground, ruling.payer, ruling.until) == (None, None, None)
        assert not ruling.on_request
        assert not (ruling.tariffs)
        assert not (ruling.allowances)
        assert not (ruling.amounts)
        assert not (ruling.charges)
    if ruling.outcome in {Outcome.UNDETERMINED, Outcome.REFER}:
        assert bool(ruling.missing) is not referred(ruling, version)
    for language in LANGUAGES:
        assert all(render(reason, language) for reason in ruling.reasons)


@given(st.sampled_from(VERSIONS), _people())
@settings(max_examples=60, deadline=None)
def test_no_ruling_changes_before_the_day_it_names(version: RuleVersion, subject: Subject) -> None:
    def essence(on: date) -> object:
        said = decided(version, subject, on)
        grants = [(grant.kind, grant.monthly_cents, grant.ceiling_cents) for grant in said.allowances]
        return said.outcome, said.ground, said.tariffs, grants, said.amounts, said.charges, said.missing

    now, change = essence(DAY), decided(version, subject).changes_on
    last = min(change or date.max, DAY + timedelta(days=180))
    day = DAY
    while day < last:
        assert essence(day) == now
        day += timedelta(days=1)
