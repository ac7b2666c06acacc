"""The stored form of a rule: it comes back as it went, and nothing else gets in."""

import json
from random import Random

import pytest

from entitlements.language import Kind, Mismatch, Speakable, Tree, Type, Vocabulary, check, parse
from entitlements.language import tree as t
from tests.entitlements.language.worlds import VOCABULARY as RANDOM
from tests.entitlements.language.worlds import Writer

VOCABULARY = Vocabulary(
    facts={
        "a": Speakable(t.BOOL),
        "n": Speakable(t.INT),
        "left_on": Speakable(t.DAY),
        "birth_date": Speakable(t.DAY, latest="birth_date_latest"),
        "stage": Speakable(Type(Kind.ENUM, "stage"), ("primary", "sek1")),
    },
    parameters={"limit": t.INT},
    households=frozenset({"registered_household"}),
)
A = {"node": "fact", "name": "a", "type": "bool"}
N = {"node": "fact", "name": "n", "type": "int"}


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "!a || n + 1 > param.limit * 2 - -n",
        'today >= day("2026-01-31") && until(a) < left_on',
        'stage in ["primary"] ? 1 == 2 : stage != "sek1"',
        "under(birth_date, 18, month_start) || least(n, 2) == greatest(1, n)",
        "any_member(registered_household, a) && count_members(registered_household, !a) > 1",
        "rank_among(registered_household, under(birth_date, 18)) == 1",
        "n / 2 % 3 * (n / 3) > 7 % n",
        'member(stage, "sek1")',
        'a ? "sek1" : n > 1 ? stage : "primary"',
        'a ? "sek1" : member(stage, "primary")',
        'member(stage, "sek1") == "primary" || member(stage, "sek1") in ["sek1"]',
        '(a ? "sek1" : member(stage, "primary")) == "sek1"',
    ],
)
def test_a_tree_survives_its_json_and_its_text(text: str) -> None:
    tree = parse(text, VOCABULARY)
    assert Tree.from_json(tree.canonical) == tree
    assert Tree.from_json(json.loads(tree.canonical)).tree_hash == tree.tree_hash
    assert parse(str(tree), VOCABULARY) == tree
    assert check(tree, VOCABULARY) == ()


@pytest.mark.parametrize(
    "source",
    [
        "not json",
        "[]",
        "1",
        "null",
        {"node": "call", "name": "eval"},
        {"node": "fact", "name": "a"},
        {"node": "fact", "name": "", "type": "bool"},
        {"node": "fact", "name": 7, "type": "bool"},
        {"node": "fact", "name": "a", "type": "float"},
        {"node": "fact", "name": "a", "type": "enum"},
        {"node": "fact", "name": "a", "type": "bool:x"},
        {"node": "fact", "name": "a", "type": "bool", "text": "a"},
        {"node": "literal", "type": "int", "value": True},
        {"node": "literal", "type": "int", "value": 1.5},
        {"node": "literal", "type": "int", "value": 2**63},
        {"node": "literal", "type": "bool", "value": 1},
        {"node": "literal", "type": "day", "value": "soon"},
        {"node": "and", "terms": []},
        {"node": "and", "terms": [A]},
        {"node": "and", "terms": [A, N]},
        {"node": "and", "terms": A},
        {"node": "and", "terms": [A, 1]},
        {"node": "compare", "operator": "=~", "left": N, "right": N},
        {"node": "compare", "operator": "<", "left": A, "right": A},
        {"node": "compare", "operator": "==", "left": A, "right": N},
        {"node": "arithmetic", "operator": "**", "left": N, "right": N},
        {"node": "choose", "cases": [], "otherwise": N},
        {"node": "choose", "cases": [[A]], "otherwise": N},
        {"node": "one_of", "item": N, "options": [N]},
        {"node": "extreme", "operator": "most", "terms": [N]},
        {"node": "under", "born": "birth_date", "latest": "", "years": N, "at": "today"},
        {"node": "any_member", "household": "registered_household", "term": N},
        {"node": ["and"], "terms": [A, A]},
        {"node": "compare", "operator": [], "left": N, "right": N},
        {"node": "arithmetic", "operator": [], "left": N, "right": N},
        {"node": "extreme", "operator": [], "terms": [N]},
        {"node": "under", "born": "birth_date", "latest": "", "years": N, "at": []},
    ],
)
def test_a_stored_tree_that_no_text_could_have_made_is_refused(source: object) -> None:
    with pytest.raises(Mismatch):
        Tree.from_json(source)


def test_a_stored_tree_has_the_same_limits_as_a_text() -> None:
    deep: dict[str, object] = A
    for _ in range(101):
        deep = {"node": "not", "term": deep}
    with pytest.raises(Mismatch, match="nested deeper"):
        Tree.from_json(deep)
    with pytest.raises(Mismatch, match="nested deeper"):
        Tree.from_json('{"node":"not","term":' * 100_000)
    with pytest.raises(Mismatch, match="more than"):
        Tree.from_json({"node": "and", "terms": [A] * 4001})


def test_what_the_vocabulary_no_longer_knows_is_named() -> None:
    tree = parse(
        'a && n > param.limit && stage == "sek1" && until(left_on) > today && under(birth_date, 18)'
        " && any_member(registered_household, a)",
        VOCABULARY,
    )
    poorer = Vocabulary({"a": Speakable(t.INT), "stage": Speakable(Type(Kind.ENUM, "stage"), ("primary",))})
    assert len(set(check(tree, poorer))) == 7


def test_and_and_or_of_the_same_terms_differ() -> None:
    assert parse("a && n > 1", VOCABULARY) != parse("a || n > 1", VOCABULARY)
    assert parse("a && n > 1", VOCABULARY).tree_hash != parse("a || n > 1", VOCABULARY).tree_hash


def test_any_tree_comes_back_from_its_text() -> None:
    writer = Writer(Random(3))
    for tree in (writer.rule() for _ in range(600)):
        assert parse(str(tree), RANDOM) == tree
