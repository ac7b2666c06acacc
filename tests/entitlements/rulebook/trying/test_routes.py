"""Trying rules by API: both back ends, the reasons, the three ways to write a rule, and what a page is built from."""

from datetime import timedelta
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.access.rules import Role
from core.database import Database
from core.vault import Vault
from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS, vocabulary
from entitlements.language import Tree, parse
from entitlements.language.forms import CONDITIONS, read_form
from entitlements.language.tables import read_table
from entitlements.rulebook import service
from tests.conftest import NOON
from tests.makers import sign_in
from tests.rulebooks import dortmund

Client = AsyncTestClient[Litestar]
CHILD = {"birth_date": "2010-05-01", "sgb2": {"value": True, "since": "2026-01-01", "until": "2026-12-31"}}


@pytest.fixture(autouse=True)
async def rules(database: Database) -> None:
    async with database.writing() as session:
        await service.load(session, dortmund(), NOON - timedelta(days=1))


@pytest.fixture
async def author(database: Database, vault: Vault) -> dict[str, str]:
    return await sign_in(database, vault, NOON, Role.RULE_AUTHOR)


async def tried(client: Client, author: dict[str, str], lang: str = "", **trial: Any) -> dict[str, Any]:
    path = f"/v1/rules/trials?lang={lang}" if lang else "/v1/rules/trials"
    answer = await client.post(path, json=trial, headers=author)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    assert said["agree"]
    return said


async def refused(client: Client, author: dict[str, str], lang: str = "", **trial: Any) -> dict[str, Any]:
    answer = await client.post("/v1/rules/trials", json=trial, headers=author | {"Accept-Language": lang})
    assert answer.status_code == 422, answer.text
    assert answer.json()["type"] == "urn:citycard:problem:rule-not-readable"
    mistake: dict[str, Any] = answer.json()["errors"][0]
    return mistake


async def test_both_back_ends_answer_with_the_reasons_and_the_next_day_of_change(
    client: Client, author: dict[str, str]
) -> None:
    said = await tried(client, author, expression="sgb2 && under(birth_date, 18)", facts=CHILD)
    assert (
        said["interpreter"] == said["sql"] == {"says": "value", "value": True, "unknown": [], "error": None}
    )
    assert [reason["rule"] for reason in said["reasons"]] == ["sgb2", "under(birth_date, 18)"]
    assert said["reasons"][1]["labels"] == ["das Geburtsdatum"]
    assert said["changes_on"] == "2027-01-01"
    assert Tree.from_json(said["tree"]).tree_hash == said["tree_hash"]


async def test_a_rule_comes_back_as_text_as_form_and_as_table(client: Client, author: dict[str, str]) -> None:
    known = vocabulary({})
    text = "sgb2 || kiz"
    by_text = await tried(client, author, expression=text)
    assert (
        read_form(by_text["form"], known) == read_table(by_text["table"], known).tree() == parse(text, known)
    )
    by_form = await tried(client, author, form=by_text["form"])
    by_table = await tried(client, author, table=by_text["table"])
    assert by_form["tree_hash"] == by_table["tree_hash"] == by_text["tree_hash"]
    assert by_form["text"] == by_table["text"] == text
    assert (await tried(client, author, expression="school_route_m + 1 > 3"))["form"] is None


async def test_what_is_missing_is_named_with_whom_to_ask(client: Client, author: dict[str, str]) -> None:
    said = await tried(client, author, expression="sgb2 && kiz", facts={"sgb2": True}, lang="en")
    assert said["sql"]["unknown"] == ["kiz"]
    assert said["missing"] == [
        {"fact": "kiz", "label": "child supplement (Kinderzuschlag)", "ask": "familienkasse"}
    ]


async def test_households_amounts_and_the_day_count(client: Client, author: dict[str, str]) -> None:
    rule = "count_members(registered_household, kindergeld) * param.school_supplies_august"
    household = {"registered_household": [{"kindergeld": True}, {"kindergeld": False}]}
    for day, amount in (("2023-09-01", 11_600), ("2026-09-01", 13_000)):
        said = await tried(
            client, author, expression=rule, facts={"kindergeld": True}, households=household, day=day
        )
        assert said["sql"]["value"] == 2 * amount
        assert said["parameters"] == {"school_supplies_august": amount}
        assert said["type"] == "cents"


async def test_silence_can_be_read_as_the_complete_lists_mean_it(
    client: Client, author: dict[str, str]
) -> None:
    assert (await tried(client, author, expression="sgb2"))["sql"]["says"] == "unknown"
    assert (await tried(client, author, expression="sgb2", rest_absent=True))["sql"]["value"] is False


async def test_a_calculation_without_a_result_says_so(client: Client, author: dict[str, str]) -> None:
    said = await tried(client, author, expression="1 / school_route_m", facts={"school_route_m": 0})
    assert (said["interpreter"]["error"], said["sql"]["error"]) == ("divide_by_zero", "divide_by_zero")


async def test_a_mistake_says_where_and_what_to_write_instead(client: Client, author: dict[str, str]) -> None:
    mistake = await refused(client, author, expression="kiz &&\n  sgb12_gsy")
    assert mistake["code"] == "unknown-fact"
    assert (mistake["line"], mistake["column"], mistake["length"]) == (2, 3, 9)
    assert mistake["params"]["suggestion"] == "sgb12_gsi"
    assert mistake["text"] == "es gibt kein Merkmal sgb12_gsy; meinten Sie sgb12_gsi?"
    assert mistake["excerpt"] == "  sgb12_gsy\n  ^~~~~~~~~"
    english = await refused(client, author, expression="household_need > 100", lang="en")
    assert english["text"] == "cents and int cannot be compared; write an amount of money as cents(1500)"


async def test_a_mistake_in_a_form_or_table_names_its_field(client: Client, author: dict[str, str]) -> None:
    form = {"all": [{"kind": "holds", "fact": "kiz"}, {"kind": "holds", "fact": "school_stage"}]}
    assert (await refused(client, author, form=form))["place"] == "all[1].fact"
    table = {"inputs": ["school_stage"], "rows": [{"when": ['"sek3"'], "then": "1"}], "otherwise": "2"}
    cell = await refused(client, author, table=table)
    assert (cell["place"], cell["code"]) == ("rows[0].when[0]", "not-a-member")
    assert (await refused(client, author, expression="kiz", facts={"kizz": True}))["place"] == "facts"
    flat = {"flat": [{"kiz": True}]}
    assert (await refused(client, author, expression="kiz", households=flat))["code"] == "unknown-household"


async def test_what_can_hardly_be_meant_is_doubted_and_still_tried(
    client: Client, author: dict[str, str]
) -> None:
    said = await tried(client, author, expression="school_route_m > 5 && school_route_m < 3")
    assert [doubt["code"] for doubt in said["doubts"]] == ["never-together"]
    table = {"inputs": ["kiz"], "rows": [{"when": ["true"], "then": "1"}]}
    said = await tried(client, author, table=table)
    assert [(doubt["code"], doubt["params"]["missing"]) for doubt in said["doubts"]] == [
        ("table-gap", "kiz: false")
    ]


@pytest.mark.parametrize(
    "trial",
    [
        {},
        {"expression": "kiz", "form": {"kind": "holds", "fact": "kiz"}},
        {"expression": "kiz", "day": "tomorrow"},
        {"expression": "x" * 20_001},
        {"expression": "kiz", "households": {"registered_household": [{}] * 31}},
        {"expression": "kiz", "facts": {"kiz": [1]}},
    ],
)
async def test_a_trial_has_one_rule_and_a_person_of_bounded_size(
    client: Client, author: dict[str, str], trial: dict[str, Any]
) -> None:
    assert (await client.post("/v1/rules/trials", json=trial, headers=author)).status_code == 400


async def test_half_a_character_is_no_text(client: Client, author: dict[str, str]) -> None:
    body = b"{\"expression\": \"'\\ud800' == 'x'\"}"
    sent = author | {"Content-Type": "application/json"}
    assert (await client.post("/v1/rules/trials", content=body, headers=sent)).status_code == 400


async def test_a_value_of_another_type_is_refused_without_repeating_it(
    client: Client, author: dict[str, str]
) -> None:
    answer = await client.post(
        "/v1/rules/trials", json={"expression": "kiz", "facts": {"kiz": "perhaps"}}, headers=author
    )
    assert answer.status_code == 422
    assert "perhaps" not in answer.text


async def test_a_page_can_be_built_from_the_vocabulary(client: Client, author: dict[str, str]) -> None:
    answer = await client.get("/v1/rules/vocabulary?lang=en&on=2026-09-01", headers=author)
    assert answer.status_code == 200
    said = answer.json()
    facts = {fact["name"]: fact for fact in said["facts"]}
    assert facts.keys() == CATALOGUE.keys()
    assert facts["school_stage"]["members"] == list(CATALOGUE["school_stage"].members)
    assert facts["birth_date"]["kinds"] == ["younger_than", "has_reached", "stated_until"]
    assert "share" in facts["household_need"]["kinds"]
    assert {kind["name"] for kind in said["conditions"]} == CONDITIONS.keys()
    assert {household["name"] for household in said["households"]} == HOUSEHOLDS.keys()
    limits = {parameter["name"]: parameter for parameter in said["parameters"]}
    assert limits["route_limit_sek1"]["value"] == 3500
    assert {sign["name"]: sign["label"] for sign in said["operators"]}["<="] == "is at most"
    for language in ("de", "de-simple"):
        assert (await client.get(f"/v1/rules/vocabulary?lang={language}", headers=author)).status_code == 200


async def test_only_those_who_write_or_approve_rules_try_them(
    client: Client, database: Database, vault: Vault
) -> None:
    for role, status in ((Role.RULE_APPROVER, 200), (Role.CITIZEN, 403), (Role.OPERATOR, 403)):
        who = await sign_in(database, vault, NOON, role)
        trial = await client.post("/v1/rules/trials", json={"expression": "true"}, headers=who)
        words = await client.get("/v1/rules/vocabulary", headers=who)
        assert (trial.status_code, words.status_code) == (status, status)
    assert (await client.get("/v1/rules/vocabulary")).status_code == 401
