import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import yaml
from sqlalchemy import literal, select

from entitlements.releases import gate
from entitlements.releases.models import State, Step
from entitlements.rulebook.compiled import compile_book
from entitlements.rulebook.drafting import Form
from entitlements.rulebook.programmes import Outcome
from entitlements.rulebook.rules import Ruling
from tests.entitlements.releases.making import CASE, NEXT_YEAR, RAISED, Office, karte, town_book

SOUND = karte(["sgb2", "wog", "kiz"]) + CASE


def codes(found: list[dict[str, object]]) -> set[object]:
    return {one["code"] for one in found}


# --- types --------------------------------------------------------------------------------------------------

UNREADABLE = {
    "no YAML": ("programmes: [", "expected"),
    "an unknown fact": (karte(["sgb3"]), "sgb3"),
    "a rule of another type": (karte(["household_need"]), "must answer with bool"),
    "an unknown section": ("rules: []", "means nothing here"),
    "a character that nobody sees": ('note: "a\\0b"', "control characters"),
    "a yes or no that is neither": ("note: !!bool perhaps", "is not what it calls itself"),
    "a reference": ("note: &a x\ncases: [*a]", "references to other places are not taken"),
    "an amount of another unit": (
        "parameters: {participation_monthly: {unit: int, values: [{from: 2027-01-01, value: 1, statute: §}]}}",
        "cannot become int",
    ),
    "a case of a person who cannot be": (
        "cases: [{programme: sozialpass, cases: [{name: x, day: 2027-02-01, facts: {wog: maybe}, expect: {}}]}]",
        "wog is true or false",
    ),
    "a charge on a ground that is no word": (
        karte(
            ["sgb2"], more="        charges: [{kind: c, monthly: cents(1), grounds: [[sgb2]], statute: x}]\n"
        ),
        "names grounds of its own rule",
    ),
    "a rule that nobody released": (
        "restore: [{programme: sozialpass, rule: abc, from: 2027-01-01}]",
        "never had the rule abc",
    ),
    "two rules of its own on one day": (
        karte(["sgb2"])
        + """
      - from: 2027-06-01
        statute: §
        grounds: [{name: a, when: sgb2, reason: {code: receives, fact: sgb2}, statute: §}]
        otherwise: no_ground
        validity: {}
""",
        "has two rules",
    ),
    "an amount without a value on its first day": (
        """
parameters: {late: {unit: cents, values: [{from: 2028-01-01, value: 1, statute: §}]}}
"""
        + karte(["sgb2"], more="        charges: [{kind: fee, monthly: param.late, statute: §}]"),
        "late has no value before 2028-01-01",
    ),
}


@pytest.mark.parametrize("wrong", UNREADABLE, ids=str)
async def test_a_draft_that_cannot_be_read_stops_at_its_types(office: Office, wrong: str) -> None:
    source, said = UNREADABLE[wrong]
    step, found = await office.stopped_at(source)
    assert step is Step.TYPES
    assert codes(found) == {"cannot-be-read"}
    assert said in str(found[0]["message"])
    assert "line " in str(found[0]["message"])


UNSOUND = {
    "not-in-future": karte(["sgb2"], since="2026-09-16"),
    "changes-nothing": "note: nothing",
    "tariff-beyond-card": "tariffs: {gold: {bit: 20, label: {de: a, de-simple: a, en: a}}}",
    "tariff-bit-taken": "tariffs: {gold: {bit: 0, label: {de: a, de-simple: a, en: a}}}",
    "tariff-moved": "tariffs: {reduced: {bit: 7, label: {de: a, de-simple: a, en: a}}}",
    "name-unfit": karte(["sgb2"]).replace(
        "programme: dortmund-karte", "programme: Karte'); --\n    label: {de: a, de-simple: a, en: a}"
    ),
    "too-long": karte(["sgb2"]).replace("statute: Ratsbeschluss\n", f"statute: {'§' * 401}\n", 1),
    "reason-without-text": karte(["sgb2"]).replace("otherwise: no_ground", "otherwise: because"),
    "no-payer": karte(
        ["sgb2"],
        more=(
            "        allowances: [{kind: fun, monthly: param.participation_monthly, accrual: monthly, "
            "carry_over: none, statute: §}]"
        ),
    ),
    "drops-nothing": "drop_cases: [{programme: sozialpass, name: nobody}]",
    "circle": """
programmes:
  - programme: dortmund-karte
    versions:
      - from: 2027-01-01
        statute: §
        after: [{programme: sozialpass, outcomes: [refused]}]
        grounds: [{name: a, when: sgb2, reason: {code: receives, fact: sgb2}, statute: §}]
        otherwise: no_ground
        validity: {}
  - programme: sozialpass
    versions:
      - from: 2027-01-01
        statute: §
        after: [{programme: dortmund-karte, outcomes: [refused]}]
        grounds: [{name: a, when: sgb2, reason: {code: receives, fact: sgb2}, statute: §}]
        otherwise: no_ground
        validity: {}
""",
    "waits-for-nothing": """
ends: [{programme: sozialpass, until: 2027-06-30}]
"""
    + karte(["sgb2"], more="        after: [{programme: sozialpass, outcomes: [refused]}]"),
}


@pytest.mark.parametrize("code", UNSOUND)
async def test_a_rulebook_that_cannot_stand_stops_at_its_types(office: Office, code: str) -> None:
    step, found = await office.stopped_at(UNSOUND[code])
    assert step is Step.TYPES
    assert code in codes(found), found


async def test_a_day_between_two_releases_without_a_rule_is_found(office: Office) -> None:
    await office.release(karte(["sgb2"], until="2027-06-30") + CASE)
    step, found = await office.stopped_at(karte(["sgb2", "wog"], since="2027-08-01"))
    assert step is Step.TYPES
    (one,) = [f for f in found if f["code"] == "no-rule-on-day"]
    assert "from 2027-07-01 to 2027-07-31" in str(one["message"])
    assert "begin on 2027-07-01" in str(one["message"])


async def test_what_has_ended_is_not_ended_again(office: Office) -> None:
    await office.release("ends: [{programme: sozialpass, until: 2027-01-31}]")
    _, found = await office.stopped_at("ends: [{programme: sozialpass, until: 2027-03-31}]")
    assert "ends-nothing" in codes(found)


async def test_json_says_the_same_as_yaml(office: Office) -> None:
    said = json.dumps(yaml.safe_load(SOUND), default=str, indent=1)
    release = await office.write(said, form=Form.JSON)
    check = await office.check(release)
    assert check.state is State.PASSED, {s: o.findings for s, o in (await office.steps(check)).items()}
    await office.approve(await office.get(release))
    by_json = (await office.book()).programmes["dortmund-karte"].versions[-1]
    assert by_json.since == NEXT_YEAR
    assert [ground.name for ground in by_json.grounds] == ["sgb2", "wog", "kiz"]
    step, found = await office.stopped_at(said.replace('"until": "2028-01-31"', '"until": '), form=Form.JSON)
    assert step is Step.TYPES
    assert "line" in str(found[0]["message"])


# --- cases --------------------------------------------------------------------------------------------------


async def test_a_case_of_the_draft_that_disagrees_stops_it(office: Office) -> None:
    step, found = await office.stopped_at(SOUND.replace("ground: sgb2, until", "ground: wog, until"))
    assert step is Step.CASES
    assert "a recipient keeps the card in the new year" in str(found[0]["message"])
    assert "ground is 'sgb2', expected 'wog'" in str(found[0]["message"])


def test_a_stored_case_whose_facts_are_called_otherwise_by_now_is_named() -> None:
    book = town_book()
    cases = tuple(replace(case, facts={"wog": "perhaps"}) for case in book.cases)
    found = gate.worked(replace(book, cases=cases), ["sozialpass"])
    [finding] = found.findings
    assert "Wohngeld suffices" in finding.message
    assert "it cannot be tried: wog is true or false" in finding.message


async def test_a_stored_case_that_no_longer_holds_stops_it_until_it_is_written_anew(office: Office) -> None:
    everybody = karte(["sgb2", "main_residence"]) + CASE + STRANGER
    step, found = await office.stopped_at(everybody)
    assert step is Step.CASES
    assert "who receives nothing has none" in str(found[0]["message"])
    rewritten = (
        everybody
        + """
      - name: who receives nothing has none
        day: 2027-06-01
        rest_absent: true
        facts: {birth_date: 1980-05-05, main_residence: true}
        expect: {outcome: granted, ground: main_residence}
"""
    )
    await office.release(rewritten)
    book = await office.book()
    (now,) = [case for case in book.cases if case.name == "who receives nothing has none"]
    assert now.expect["outcome"] == "granted"


async def test_a_case_can_be_dropped(office: Office) -> None:
    dropped = "\ndrop_cases: [{programme: dortmund-karte, name: who receives nothing has none}]\n"
    await office.release(karte(["sgb2", "main_residence"]) + CASE + STRANGER + dropped)
    assert "who receives nothing has none" not in {case.name for case in (await office.book()).cases}


async def test_a_programme_without_a_case_is_not_released(office: Office) -> None:
    step, found = await office.stopped_at(
        karte(["sgb2"])
        + """
drop_cases:
  - {programme: dortmund-karte, name: a recipient has the card}
  - {programme: dortmund-karte, name: who receives nothing has none}
"""
    )
    assert (step, codes(found)) == (Step.CASES, {"no-case"})


async def test_who_changes_only_cases_leaves_some_and_such_as_hold(office: Office) -> None:
    wrong = """
cases:
  - programme: dortmund-karte
    cases:
      - name: who receives nothing has none
        day: 2026-06-01
        rest_absent: true
        facts: {birth_date: 1980-05-05, main_residence: true}
        expect: {outcome: granted}
"""
    step, found = await office.stopped_at(wrong)
    assert (step, codes(found)) == (Step.CASES, {"case-disagrees"})
    dropped = """
drop_cases:
  - {programme: dortmund-karte, name: a recipient has the card}
  - {programme: dortmund-karte, name: who receives nothing has none}
"""
    step, found = await office.stopped_at(dropped)
    assert (step, codes(found)) == (Step.CASES, {"no-case"})


@pytest.mark.parametrize(
    "source",
    [
        "ends: [{programme: sozialpass, until: 9999-12-31}]",
        "ends: [{programme: sozialpass, until: 0001-01-01}]",
        "? [a]\n: b",
        "? {a: b}\n: c",
        "note: !!timestamp x",
        RAISED.replace("2000", str(2**63 - 1)),
    ],
)
async def test_what_no_calendar_no_purse_and_no_reader_follows_is_refused_with_its_line(
    office: Office, source: str
) -> None:
    step, found = await office.stopped_at(source)
    assert (step, codes(found)) == (Step.TYPES, {"cannot-be-read"})
    assert "line" in str(found[0]["message"])


async def test_an_amount_calls_the_cases_of_whoever_uses_it(office: Office) -> None:
    late = """
cases:
  - programme: bildungskarte
    cases:
      - name: a child in the new year
        day: 2027-03-01
        rest_absent: true
        facts: {birth_date: 2015-05-05, sgb2: true}
        expect: {allowances: {participation: 1500}}
"""
    await office.release(late)
    step, found = await office.stopped_at(RAISED)
    assert step is Step.CASES
    assert "participation': 2000" in str(found[0]["message"])


async def test_a_rule_that_no_case_tries_on_a_day_of_its_own_is_not_released(office: Office) -> None:
    later = karte(["sgb2", "wog"], since="2027-07-01")
    step, found = await office.stopped_at(later)
    assert (step, codes(found)) == (Step.CASES, {"case-missing"})
    (said,) = (str(one["message"]) for one in found)
    assert "no worked case tries the rule of dortmund-karte from 2027-07-01 on" in said
    assert "one granted and one refused" in said
    # A case from before tries the rule of before.
    assert await office.stopped_at(later + CASE) == (step, found)
    in_force = CASE.replace("2027-02-01", "2027-07-01").replace("2028-01-31", "2028-06-30")
    _, found = await office.stopped_at(later + in_force)
    (said,) = (str(one["message"]) for one in found)
    assert "no worked case of dortmund-karte from 2027-07-01 on is refused" in said
    assert "by the condition `true`" in said
    await office.release(later + in_force + STRANGER.replace("2027-02-01", "2027-12-31"))


async def test_each_of_two_new_rules_is_tried(office: Office) -> None:
    second = """
      - from: 2028-01-01
        statute: Ratsbeschluss
        grounds: [{name: sgb2, when: sgb2, reason: {code: receives, fact: sgb2}, statute: §}]
        otherwise: no_ground
        validity: {ends_with: condition}
"""
    _, found = await office.stopped_at(karte(["sgb2"], until="2027-12-31") + second + CASE)
    assert [str(one["message"]).split(";")[0] for one in found] == [
        "no worked case tries the rule of dortmund-karte from 2028-01-01 on"
    ]


@pytest.mark.parametrize(("condition", "outcome"), [("true", "granted"), ("false", "refused")])
async def test_what_a_rule_cannot_come_to_is_not_asked_for(
    office: Office, condition: str, outcome: str
) -> None:
    source = f"""
programmes:
  - programme: sozialpass
    versions:
      - from: 2027-01-01
        statute: Tarif
        grounds: [{{name: all, when: "{condition}", reason: {{code: receives, fact: wog}}, statute: §}}]
        otherwise: no_ground
        validity: {{ends_with: condition}}
        tariffs: [{{name: reduced}}]
cases:
  - programme: sozialpass
    cases:
      - name: anybody
        day: 2027-01-01
        facts: {{}}
        expect: {{outcome: {outcome}}}
"""
    await office.release(source)


async def test_a_rule_that_comes_back_is_tried_by_the_cases_of_its_first_days(office: Office) -> None:
    (before,) = (await office.book()).programmes["sozialpass"].versions
    await office.release("ends: [{programme: sozialpass, until: 2027-01-31}]")
    back = f"restore: [{{programme: sozialpass, rule: {before.rule_hash}, from: 2027-02-01}}]"
    _, found = await office.stopped_at(back)
    # It was granted in a case of 2026; that it is refused nobody has tried yet.
    assert [str(one["message"]).split(";")[0] for one in found] == [
        "no worked case of sozialpass from 2027-02-01 on is refused"
    ]


async def test_an_amount_that_no_case_reckons_with_is_named_and_let_pass(office: Office) -> None:
    check = await office.checked(await office.ready(RAISED))
    (said,) = (await office.steps(check))[Step.CASES].findings
    assert (said["code"], said["stops"], said["programme"]) == ("amount-not-tried", False, "bildungskarte")
    assert "none reckons with the new participation_monthly" in said["message"]


# --- what must never be -------------------------------------------------------------------------------------


async def test_an_end_before_the_day_of_the_grant_is_found(town: Office) -> None:
    source = karte(["sgb2"]).replace("length: P1Y", "length: P0M") + CASE.replace(", until: 2028-01-31", "")
    step, found = await town.stopped_at(source + STRANGER + DROPPED)
    assert step is Step.INVARIANTS
    assert "end" in codes(found)
    assert "look at its validity" in str(found[0]["message"])


STRANGER = """
      - name: who lives elsewhere has none in the new year either
        day: 2027-02-01
        rest_absent: true
        facts: {birth_date: 1980-05-05, main_residence: false, sgb2: true}
        expect: {outcome: refused, reasons: [no_main_residence]}
"""
DROPPED = "\ndrop_cases: [{programme: dortmund-karte, name: who receives nothing has none}]\n"


async def test_an_amount_below_zero_is_found_in_everybody(town: Office) -> None:
    town.settings = town.settings.model_copy(update={"release_sample": 1})
    step, found = await town.stopped_at(RAISED.replace("2000", "-2000"))
    assert (step, codes(found)) == (Step.INVARIANTS, {"money"})
    # Whoever writes rules chooses of whom this is said, and so does not learn how few they are.
    assert "about 10 persons" in str(found[0]["message"]) or "a few persons" in str(found[0]["message"])


async def test_each_invariant_of_one_ruling_can_be_broken() -> None:
    book, on = town_book(), NEXT_YEAR
    whole = Ruling(Outcome.GRANTED, ground="a", payer="city", until=on, tariffs=("reduced",), changes_on=None)
    assert list(gate.broken_by(whole, book, on)) == []
    eve = on - timedelta(days=1)
    money: Any = (object(),)
    for name, broken in {
        "end": replace(whole, until=eve),
        "payer": replace(whole, payer=None, allowances=money),
        "tariffs": replace(whole, tariffs=("gold",)),
        "later": replace(whole, changes_on=on),
    }.items():
        assert list(gate.broken_by(broken, book, on)) == [name]


@pytest.mark.parametrize("name", ["ground", "dead"])
async def test_the_dead_and_the_groundless_are_found_in_everybody(
    town: Office, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A fault of the database's own back end, which no draft could make, is found too."""

    def faulty(versions: Any, rows: Any) -> Any:
        compiled = compile_book(versions, rows)
        told = compiled.select.subquery("inner_told")
        columns = []
        for column in told.c:
            made: Any = column
            if column.name.endswith("__outcome") and name == "dead":
                made = literal("granted").label(column.name)
            if column.name.endswith("__ground") and name == "ground":
                made = literal(None).label(column.name)
            columns.append(made)
        return replace(compiled, select=select(*columns))

    monkeypatch.setattr(gate, "compile_book", faulty)
    step, found = await town.stopped_at(SOUND)
    assert step is Step.INVARIANTS
    assert name in codes(found)


# --- two back ends ------------------------------------------------------------------------------------------


async def test_a_back_end_that_says_something_else_is_found(
    town: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = await town.write(SOUND)
    check = await town.check(release, steps=3)

    def faulty(versions: Any, rows: Any) -> Any:
        # It has overlooked the first ground.
        return compile_book([replace(v, grounds=v.grounds[1:]) for v in versions], rows)

    monkeypatch.setattr(gate, "compile_book", faulty)
    await town.go_on(check)
    steps = await town.steps(check)
    assert steps[Step.INVARIANTS].state is State.PASSED
    assert steps[Step.DIFFERENTIAL].state is State.FAILED
    assert codes(steps[Step.DIFFERENTIAL].findings) == {"back-ends-differ"}
    assert steps[Step.SIMULATION].state is State.NOT_REACHED


# --- simulation ---------------------------------------------------------------------------------------------


async def test_the_gate_says_that_many_would_lose_it_and_lets_it_pass(town: Office) -> None:
    release = await town.ready(karte(["sgb2"]) + CASE, whole=True)
    check = await town.checked(release)
    step = (await town.steps(check))[Step.SIMULATION]
    assert check.ends_many
    assert codes(step.findings) == {"ends-many"}
    assert "more than 5%" in str(step.findings[0]["message"])
    assert step.findings[0]["stops"] is False
    # An amount that rises ends nothing.
    assert not (await town.checked(await town.ready(RAISED, whole=True))).ends_many


async def test_every_step_says_how_much_it_looked_at(town: Office) -> None:
    steps = await town.steps(await town.checked(await town.ready(SOUND, whole=True)))
    assert steps[Step.CASES].counts == {"cases": 3}
    assert steps[Step.INVARIANTS].counts == {"persons": 300, "sampled": 300}
    assert steps[Step.DIFFERENTIAL].counts == {"persons": 300}
    assert steps[Step.SIMULATION].counts == {"persons": 300}


async def test_a_sample_is_drawn_once_for_each_content(town: Office) -> None:
    async with town.database.reading() as session:
        first = await gate.sample(session, "a", 50, town.today)
        again = await gate.sample(session, "a", 50, town.today)
        other = await gate.sample(session, "b", 50, town.today)
    assert first == again != other
    assert len(first) == 50
