"""A rule as a form: it becomes the tree that text becomes, comes back as it went, and names the field that is wrong."""

from random import Random
from typing import Any

import pytest

from entitlements.language import Kind, RuleError, parse
from entitlements.language.forms import CONDITIONS, MAX_DEPTH, ORDER, Form, as_form, read_form
from entitlements.language.messages import LANGUAGES, catalogue
from tests.entitlements.language.worlds import FACTS, KINDS, PARAMETERS, VOCABULARY, Writer


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("a", {"kind": "holds", "fact": "a"}),
        ("!a", {"kind": "does_not_hold", "fact": "a"}),
        ("n >= 3", {"kind": "compares", "fact": "n", "operator": ">=", "value": 3}),
        ("n >= m", {"kind": "compares", "fact": "n", "operator": ">=", "value": {"fact": "m"}}),
        (
            "income <= param.price",
            {"kind": "compares", "fact": "income", "operator": "<=", "value": {"parameter": "price"}},
        ),
        ("came_on < today", {"kind": "compares", "fact": "came_on", "operator": "<", "value": "today"}),
        (
            'left_on == day("2026-01-31")',
            {"kind": "compares", "fact": "left_on", "operator": "==", "value": "2026-01-31"},
        ),
        ('stage != "none"', {"kind": "compares", "fact": "stage", "operator": "!=", "value": "none"}),
        ('stage in ["sek1", "sek2"]', {"kind": "is_one_of", "fact": "stage", "values": ["sek1", "sek2"]}),
        (
            "under(birth_date, 18, month_start)",
            {"kind": "younger_than", "fact": "birth_date", "years": 18, "at": "month_start"},
        ),
        (
            "!under(birth_date, param.limit)",
            {"kind": "has_reached", "fact": "birth_date", "years": {"parameter": "limit"}},
        ),
        ("until(a) >= today", {"kind": "stated_until", "fact": "a", "operator": ">=", "value": "today"}),
        (
            "income * 100 <= need * 130",
            {"kind": "share", "fact": "income", "operator": "<=", "percent": 130, "of": "need"},
        ),
        (
            "any_member(wohngeld_household, a && b)",
            {
                "kind": "any_member",
                "household": "wohngeld_household",
                "condition": {"all": [{"kind": "holds", "fact": "a"}, {"kind": "holds", "fact": "b"}]},
            },
        ),
        (
            "count_members(registered_household, a) > 2",
            {
                "kind": "count_members",
                "household": "registered_household",
                "condition": {"kind": "holds", "fact": "a"},
                "operator": ">",
                "value": 2,
            },
        ),
        (
            "rank_among(registered_household, under(birth_date, 18)) == 1",
            {
                "kind": "rank_among",
                "household": "registered_household",
                "condition": {"kind": "younger_than", "fact": "birth_date", "years": 18},
                "operator": "==",
                "value": 1,
            },
        ),
        ("true", {"kind": "always"}),
        ("false || a", {"any": [{"kind": "never"}, {"kind": "holds", "fact": "a"}]}),
        ("!(a || b)", {"not": {"any": [{"kind": "holds", "fact": "a"}, {"kind": "holds", "fact": "b"}]}}),
    ],
)
def test_a_form_and_a_text_become_the_same_tree(text: str, form: Form) -> None:
    tree = parse(text, VOCABULARY)
    assert read_form(form, VOCABULARY) == tree
    assert as_form(tree) == form


@pytest.mark.parametrize(
    "text",
    [
        "n + 1 > 2",
        "3 < n",
        "a == b",
        "a ? b : c",
        "least(n, 2) == 1",
        "n",
        "today > left_on",
        "a && n + 1 > 2",
    ],
)
def test_what_no_form_can_say_stays_text(text: str) -> None:
    assert as_form(parse(text, VOCABULARY)) is None


class Clerk:
    """Fills in forms at random."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def fill(self, depth: int, *, of_member: bool = False) -> Form:
        pick = self.random.random()
        if depth > 0 and pick < 0.5:
            parts = [self.fill(depth - 1, of_member=of_member) for _ in range(self.random.choice([2, 2, 3]))]
            group = self.random.choice(["all", "any", "not"])
            return {"not": parts[0]} if group == "not" else {group: parts}
        names = [name for name in CONDITIONS if not (of_member and "household" in self.fields(name))]
        return self.condition(self.random.choice(names), depth)

    def fields(self, name: str) -> set[str]:
        return {field.name for field in CONDITIONS[name].fields}

    def fact(self, *kinds: Kind) -> str:
        return self.random.choice([n for n, f in FACTS.items() if f.type.kind in kinds and not f.latest])

    def condition(self, name: str, depth: int) -> Form:
        form: Form = {"kind": name}
        match name:
            case "holds" | "does_not_hold":
                form["fact"] = self.fact(Kind.BOOL)
            case "compares":
                fact = self.fact(*(kind for kind in Kind if kind is not Kind.BOOL))
                ordered = FACTS[fact].type.kind in {Kind.INT, Kind.CENTS, Kind.DAY}
                form |= {"fact": fact, "operator": self.random.choice(ORDER if ordered else ORDER[:2])}
                form["value"] = self.value(fact)
            case "is_one_of":
                fact = self.fact(Kind.INT, Kind.ENUM, Kind.STRING, Kind.DAY)
                form |= {
                    "fact": fact,
                    "values": [self.literal(fact) for _ in range(self.random.randrange(4))],
                }
            case "younger_than" | "has_reached":
                years: Any = self.random.choice([0, 18, {"parameter": "limit"}])
                form |= {"fact": self.random.choice(["birth_date", "came_on"]), "years": years}
                form |= self.random.choice([{}, {"at": "month_start"}])
            case "stated_until":
                form |= {"fact": self.fact(*Kind), "operator": self.random.choice(ORDER)}
                form["value"] = self.value("left_on")
            case "share":
                form |= {"fact": "income", "operator": self.random.choice(ORDER), "of": "need"}
                form["percent"] = self.random.choice([1, 130, {"parameter": "large"}])
            case "any_member" | "count_members" | "rank_among":
                form["household"] = self.random.choice(KINDS)
                form["condition"] = self.fill(min(depth, 1), of_member=True)
                if name != "any_member":
                    form |= {"operator": self.random.choice(ORDER), "value": self.value("n")}
        return form

    def value(self, fact: str) -> Any:
        others = [name for name, type_ in PARAMETERS.items() if type_ == FACTS[fact].type]
        if others and self.random.random() < 0.3:
            return {"parameter": self.random.choice(others)}
        if FACTS[fact].type.kind is Kind.DAY and self.random.random() < 0.3:
            return "today"
        return self.literal(fact)

    def literal(self, fact: str) -> Any:
        match FACTS[fact].type.kind:
            case Kind.INT | Kind.CENTS:
                return self.random.randrange(-5, 5)
            case Kind.DAY:
                return f"2026-0{self.random.randrange(1, 9)}-15"
            case Kind.ENUM:
                return self.random.choice(FACTS[fact].members)
        return self.random.choice(["", "x", "ä"])


def test_any_form_comes_back_as_a_form_of_the_same_tree() -> None:
    clerk, seen = Clerk(Random(1)), set[str]()
    for _ in range(400):
        tree = read_form(clerk.fill(3), VOCABULARY)
        form = as_form(tree)
        assert form is not None, str(tree)
        assert read_form(form, VOCABULARY) == tree
        assert parse(str(tree), VOCABULARY) == tree
        seen |= {kind for kind in CONDITIONS if f"'{kind}'" in str(form)}
    assert seen == CONDITIONS.keys()


def test_any_tree_is_a_form_of_itself_or_none() -> None:
    writer = Writer(Random(2))
    forms = [(tree, as_form(tree)) for tree in (writer.rule() for _ in range(500))]
    for tree, form in forms:
        assert form is None or read_form(form, VOCABULARY) == tree
    assert sum(form is not None for _, form in forms) > 20


HOLDS = {"kind": "holds", "fact": "a"}


@pytest.mark.parametrize(
    ("form", "place", "code"),
    [
        (1, "form", "form-shape"),
        ({}, "form", "form-shape"),
        ({"all": [HOLDS]}, "all", "form-empty"),
        ({"all": HOLDS}, "all", "form-empty"),
        ({"all": [HOLDS, 1]}, "all[1]", "form-shape"),
        ({"not": [HOLDS]}, "not", "form-shape"),
        ({"all": [HOLDS, HOLDS], "any": []}, "form", "form-shape"),
        ({"kind": "matches"}, "kind", "form-kind"),
        ({"kind": ["holds"]}, "form", "form-shape"),
        ({"kind": "holds"}, "fact", "form-field-missing"),
        (HOLDS | {"value": 1}, "value", "form-field"),
        (HOLDS | {"fact": "zz"}, "fact", "unknown-fact"),
        (HOLDS | {"fact": ["a"]}, "fact", "unknown-fact"),
        (HOLDS | {"fact": "n"}, "fact", "form-fact-type"),
        (
            {"kind": "compares", "fact": "birth_date", "operator": "<", "value": "today"},
            "fact",
            "known-in-part",
        ),
        (
            {"kind": "compares", "fact": "stage", "operator": "<", "value": "none"},
            "operator",
            "form-operator",
        ),
        ({"kind": "compares", "fact": "n", "operator": [], "value": 1}, "operator", "form-operator"),
        ({"kind": "compares", "fact": "n", "operator": "<", "value": "1"}, "value", "form-value"),
        ({"kind": "compares", "fact": "n", "operator": "<", "value": True}, "value", "form-value"),
        ({"kind": "compares", "fact": "n", "operator": "<", "value": 2**63}, "value", "number-too-long"),
        (
            {"kind": "compares", "fact": "n", "operator": "<", "value": {"parameter": "x"}},
            "value",
            "unknown-parameter",
        ),
        (
            {"kind": "compares", "fact": "n", "operator": "<", "value": {"parameter": "price"}},
            "value",
            "not-comparable",
        ),
        (
            {"kind": "compares", "fact": "n", "operator": "<", "value": {"fact": "zz"}},
            "value",
            "unknown-fact",
        ),
        ({"kind": "compares", "fact": "stage", "operator": "==", "value": "sek3"}, "value", "not-a-member"),
        ({"kind": "compares", "fact": "stage", "operator": "==", "value": ["sek1"]}, "value", "not-a-member"),
        (
            {"kind": "compares", "fact": "left_on", "operator": "==", "value": "2026-02-30"},
            "value",
            "no-such-day",
        ),
        (
            {"kind": "compares", "fact": "left_on", "operator": "==", "value": "20260230"},
            "value",
            "form-value",
        ),
        ({"kind": "is_one_of", "fact": "n", "values": 1}, "values", "form-values"),
        ({"kind": "is_one_of", "fact": "n", "values": [1, "x"]}, "values[1]", "form-value"),
        ({"kind": "younger_than", "fact": "n", "years": 18}, "fact", "under-of"),
        ({"kind": "younger_than", "fact": "birth_date", "years": 200}, "years", "age-range"),
        ({"kind": "younger_than", "fact": "birth_date", "years": {"fact": "n"}}, "years", "age-form"),
        ({"kind": "younger_than", "fact": "birth_date", "years": 18, "at": "noon"}, "years", "age-day"),
        ({"kind": "younger_than", "fact": "birth_date", "years": 18, "at": {}}, "years", "age-day"),
        (
            {"kind": "share", "fact": "income", "operator": "<", "percent": 0, "of": "need"},
            "percent",
            "form-percent",
        ),
        (
            {"kind": "share", "fact": "income", "operator": "<", "percent": 10, "of": "n"},
            "of",
            "not-comparable",
        ),
        ({"kind": "any_member", "household": "flat", "condition": HOLDS}, "household", "unknown-household"),
        (
            {
                "kind": "any_member",
                "household": KINDS[0],
                "condition": {"kind": "any_member", "household": KINDS[0], "condition": HOLDS},
            },
            "condition",
            "household-in-household",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_field(form: object, place: str, code: str) -> None:
    with pytest.raises(RuleError) as caught:
        read_form(form, VOCABULARY)
    assert (caught.value.place, caught.value.code) == (place, code)
    assert caught.value.line == 0


def test_a_form_is_no_deeper_than_a_page_can_show() -> None:
    deep: Form = HOLDS
    for _ in range(MAX_DEPTH + 1):
        deep = {"not": deep}
    with pytest.raises(RuleError, match="nested deeper"):
        read_form(deep, VOCABULARY)


def test_every_kind_of_condition_has_a_name_in_every_language() -> None:
    assert catalogue()["conditions"].keys() == CONDITIONS.keys()
    for language in (*LANGUAGES, "de-simple"):
        labels = [kind.label(language) for kind in CONDITIONS.values()]
        assert len(set(labels)) == len(labels)
