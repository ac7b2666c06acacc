"""Decision tables: they mean what their rows say, leave nothing out and say nothing twice, and come back as they went."""

import time
from collections.abc import Mapping
from datetime import date
from itertools import product
from random import Random
from typing import Any

import pytest

from entitlements.language import (
    Known,
    RuleError,
    Stated,
    Subject,
    Unknown,
    Value,
    Vocabulary,
    evaluate,
    parse,
)
from entitlements.language.cells import read_cell
from entitlements.language.grid import gaps, overlaps, unreachable
from entitlements.language.tables import Collect, Table, as_table, faults, read_table
from tests.entitlements.language.worlds import FACTS, LEARNED, VOCABULARY, Writer

ON = date(2026, 9, 16)
NUMBERS = range(-3, 9)
STAGES = FACTS["stage"].members
AMOUNTS: Mapping[str, Value] = {"limit": 3, "price": 150, "large": 5}


def table(*rows: tuple[Any, ...], inputs: list[str], hit: str = "first", **more: Any) -> dict[str, Any]:
    """Rows as cells and, at the end, what the row comes to."""
    written = [
        {"when": list(row[: len(inputs)]), **({"then": row[-1]} if len(row) > len(inputs) else {})}
        for row in rows
    ]
    return {"hit": hit, "inputs": inputs, "rows": written, **more}


def read(source: dict[str, Any]) -> Table:
    return read_table(source, VOCABULARY)


def person(**facts: Value) -> Subject:
    return Subject("p", {name: Stated(value, date.min, None, "", LEARNED) for name, value in facts.items()})


# --- what a table is as a rule --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (table(("> 3", "1"), inputs=["n"], otherwise="0"), "n > 3 ? 1 : 0"),
        (table((3, 1), inputs=["n"], otherwise=0), "n == 3 ? 1 : 0"),
        (table(("[2..5]", "1"), inputs=["n"], otherwise="0"), "n >= 2 && n <= 5 ? 1 : 0"),
        (table(("(2..param.limit)", "1"), inputs=["n"], otherwise="0"), "n > 2 && n < param.limit ? 1 : 0"),
        (table(("1, 2", "1"), inputs=["n"], otherwise="0"), "n in [1, 2] ? 1 : 0"),
        (table(("1, >= 5", "1"), inputs=["n"], otherwise="0"), "n == 1 || n >= 5 ? 1 : 0"),
        (table(("not(1, 2)", "1"), inputs=["n"], otherwise="0"), "!(n in [1, 2]) ? 1 : 0"),
        (table(("!= -3", "1"), inputs=["n"], otherwise="0"), "n != -3 ? 1 : 0"),
        (table((True, "1"), (False, "2"), inputs=["a"], otherwise="3"), "a ? 1 : !a ? 2 : 3"),
        (table(('"sek1", "sek2"', "1"), inputs=["stage"], otherwise="0"), 'stage in ["sek1", "sek2"] ? 1 : 0'),
        (
            table(('"sek1"', "> 3", "cents(5)"), ('"sek2"', "-", "param.price"), ("-", "-", "cents(0)"), inputs=["stage", "n"]),
            'stage == "sek1" && n > 3 ? cents(5) : stage == "sek2" ? param.price : cents(0)',
        ),
        (
            table(('< day("2026-01-31")', "a"), inputs=["left_on"], otherwise="b"),
            'left_on < day("2026-01-31") ? a : b',
        ),
        (table(("true", "-"), ("-", "> 3"), inputs=["a", "n"], hit="collect"), "a || n > 3"),
        (
            table(("true", "1"), ("-", "2"), inputs=["a"], hit="collect", collect="sum"),
            "(a ? 1 : 0) + (true ? 2 : 0)",
        ),
        (
            table(("true", "n"), inputs=["a"], hit="collect", collect="greatest", otherwise="0"),
            "greatest(a ? n : 0)",
        ),
        (table(("-", "n"), inputs=["a"]), "n"),
    ],
)  # fmt: skip
def test_a_table_is_the_rule_that_its_rows_say(source: dict[str, Any], text: str) -> None:
    assert read(source).tree() == parse(text, VOCABULARY)


def test_the_last_row_of_a_complete_table_needs_no_condition_of_its_own() -> None:
    source = table(("<= 3", "1"), ("> 3", "2"), inputs=["n"])
    assert faults(read(source), {}) == []
    assert str(read(source).tree()) == "n <= 3 ? 1 : 2"


# --- completeness ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        (table(("> 3", "1"), ("< 3", "2"), inputs=["n"]), ["n: 3"]),
        (table(("[1..3]", "1"), ("(5..9)", "2"), inputs=["n"]), ["n: <= 0, [4..5], >= 9"]),
        (table(("<= param.limit", "1"), ("> 5", "2"), inputs=["n"]), ["n: [4..5]"]),
        (table(("<= param.limit", "1"), ("> param.limit", "2"), inputs=["n"]), []),
        (table(("not(3)", "1"), inputs=["n"]), ["n: 3"]),
        (table(("true", "1"), inputs=["a"]), ["a: false"]),
        (table(('"none", "sek1"', "1"), inputs=["stage"]), ['stage: "primary", "sek2"']),
        (table(('"x"', "1"), inputs=["word"]), ["word: any other"]),
        (table(("< cents(100)", "1"), inputs=["income"]), ["income: >= cents(100)"]),
        (table(('>= day("2026-01-31")', "1"), inputs=["left_on"]), ['left_on: <= day("2026-01-30")']),
        (table((">= 1", "1"), inputs=["count_members(registered_household, a)"]), ["count_members(registered_household, a): 0"]),
        (table(("true", "-", "1"), ("false", "> 0", "2"), inputs=["a", "n"]), ["a: false; n: <= 0"]),
        (table(("true", "true", "1"), ("false", "false", "2"), inputs=["a", "b"]), ["a: true; b: false", "a: false; b: true"]),
        (table(("> 3", "1"), inputs=["n"], otherwise="2"), []),
        (table(("> 3", "1"), inputs=["n"], hit="collect", collect="sum"), []),
        (table(("< -9223372036854775807", "1"), ("> -9223372036854775807", "1"), inputs=["n"]), ["n: -9223372036854775807"]),
    ],
)  # fmt: skip
def test_a_combination_without_a_row_is_named(source: dict[str, Any], missing: list[str]) -> None:
    found = [fault for fault in faults(read(source), AMOUNTS) if fault.code == "table-gap"]
    assert [fault.params["missing"] for fault in found] == missing


@pytest.mark.parametrize(
    ("rows", "pairs"),
    [
        ([("<= 3",), ("> 3",)], []),
        ([("<= 3",), (">= 3",)], [(1, 2, "n: 3")]),
        ([("[1..5]",), ("[4..9]",), ("> 9",)], [(1, 2, "n: [4..5]")]),
        ([("1, 2",), ("2",)], [(1, 2, "n: 2")]),
        ([("< param.limit",), ("> 1",)], [(1, 2, "n: 2")]),
    ],
)
def test_two_rows_for_one_combination_are_named_where_only_one_may_hold(
    rows: list[tuple[str]], pairs: list[tuple[int, int, str]]
) -> None:
    source = table(*((*row, "1") for row in rows), inputs=["n"], hit="unique", otherwise="0")
    found = [f.params for f in faults(read(source), AMOUNTS) if f.code == "table-overlap"]
    assert [(params["first"], params["second"], params["both"]) for params in found] == pairs


def test_a_row_that_never_counts_is_named() -> None:
    source = table(("<= 5", "1"), ("> 2", "2"), ("4", "3"), inputs=["n"])
    assert [(f.code, f.params["row"]) for f in faults(read(source), {})] == [("table-row-never", 3)]
    empty = table(("[5..2]", "1"), inputs=["n"], otherwise="0")
    assert [f.code for f in faults(read(empty), {})] == ["table-row-never"]


def test_the_amounts_of_a_day_decide_whether_a_table_is_complete() -> None:
    source = read(table(("<= param.limit", "1"), ("> 3", "2"), inputs=["n"]))
    assert faults(source, {"limit": 3}) == []
    assert [f.code for f in faults(source, {"limit": 2})] == ["table-gap"]


def test_a_large_table_is_checked_and_one_beyond_measure_refused() -> None:
    names = ["a", "b", "c", "sure", "n > 1", "m > 1", "n > 2", "m > 2", "n > 3", "m > 3"]
    every = [(*row, "1") for row in product(["true", "false"], repeat=8)]
    assert faults(read(table(*every, inputs=names[:8])), {}) == []
    short = [fault.code for fault in faults(read(table(*every[:-1], inputs=names[:8])), {})]
    assert short == ["table-gap"]


# --- at random ------------------------------------------------------------------------------------------------


class Scribe:
    """Writes tables at random over a number, a word of a list and a truth value."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def number(self) -> str:
        return self.random.choice([str(self.random.randrange(-2, 7)), "param.limit"])

    def cell(self, name: str) -> str:
        if self.random.random() < 0.25:
            return "-"
        match name:
            case "n":
                one = self.random.choice([self.number, self.compared, self.interval, self.interval])()
                two = self.random.choice([self.number, self.compared])()
                return self.random.choice([one, one, f"{one}, {two}", f"not({one})"])
            case "stage":
                some = self.random.sample(STAGES, self.random.choice([1, 1, 2, 3]))
                listed = ", ".join(f'"{stage}"' for stage in some)
                return self.random.choice([listed, f"not({listed})"])
        return self.random.choice(["true", "false"])

    def compared(self) -> str:
        return f"{self.random.choice(['<', '<=', '>', '>=', '!='])} {self.number()}"

    def interval(self) -> str:
        return f"{self.random.choice('[(')}{self.number()}..{self.number()}{self.random.choice('])')}"

    def table(self) -> dict[str, Any]:
        names = self.random.sample(["n", "stage", "a"], self.random.choice([1, 2, 3]))
        rows = [tuple(self.cell(name) for name in names) for _ in range(self.random.choice([1, 2, 3, 5]))]
        hit = self.random.choice(["first", "first", "unique", "collect"])
        if hit != "collect":
            return table(
                *((*row, str(n)) for n, row in enumerate(rows)), inputs=names, hit=hit, otherwise="99"
            )
        collect = self.random.choice(list(Collect))
        if collect is Collect.ANY:
            return table(*rows, inputs=names, hit=hit)
        more = {} if collect is Collect.SUM else {"otherwise": "99" if collect is Collect.LEAST else "-1"}
        return table(
            *((*row, str(n)) for n, row in enumerate(rows)),
            inputs=names,
            hit=hit,
            collect=str(collect),
            **more,
        )


def scribbled(count: int, seed: int) -> list[tuple[dict[str, Any], Table]]:
    scribe = Scribe(Random(seed))
    return [(source, read(source)) for source in (scribe.table() for _ in range(count))]


def everybody(names: list[str]) -> list[dict[str, Value]]:
    domains: Mapping[str, Any] = {"n": NUMBERS, "stage": STAGES, "a": (True, False)}
    return [dict(zip(names, values, strict=True)) for values in product(*(domains[name] for name in names))]


def holding(source: dict[str, Any], facts: Mapping[str, Value]) -> list[int]:
    """The rows that hold, told cell by cell from what is written there."""
    found = []
    for number, row in enumerate(source["rows"]):
        cells = zip(row["when"], source["inputs"], strict=True)
        if all(
            read_cell(text, parse(name, VOCABULARY).root, VOCABULARY).fits(facts[name], AMOUNTS)
            for text, name in cells
        ):
            found.append(number)
    return found


def expected(source: dict[str, Any], rows: list[int]) -> Value:
    match source["hit"], source.get("collect", "any"):
        case "collect", "any":
            return bool(rows)
        case "collect", "sum":
            return sum(rows)
        case "collect", "least":
            return min([*rows, 99])
        case "collect", "greatest":
            return max([*rows, -1])
    return rows[0] if rows else 99


def test_a_table_says_of_everybody_what_its_rows_say() -> None:
    for source, made in scribbled(40, seed=1):
        tree = made.tree()
        for facts in everybody(source["inputs"]):
            said = evaluate(tree, person(**facts), AMOUNTS, ON)
            assert said == Known(expected(source, holding(source, facts))), f"{source} for {facts}"


def test_what_is_unknown_never_falls_through_to_another_row() -> None:
    for source, made in scribbled(40, seed=2):
        tree, names = made.tree(), source["inputs"]
        possible = [(facts, expected(source, holding(source, facts))) for facts in everybody(names)]
        for hidden in names:
            for facts in everybody([name for name in names if name != hidden]):
                said = evaluate(tree, person(**facts), AMOUNTS, ON)
                could = {v for whole, v in possible if facts.items() <= whole.items()}
                if isinstance(said, Known):
                    assert could == {said.value}, f"{source} for {facts}"
                else:
                    assert said == Unknown(frozenset({hidden}))


def test_gaps_and_overlaps_are_those_that_trying_everything_finds() -> None:
    for source, made in scribbled(80, seed=3):
        held = [holding(source, facts) for facts in everybody(source["inputs"])]
        assert bool(gaps(made.grid, AMOUNTS)) == any(not rows for rows in held), source
        pairs = {(one, two) for rows in held for one in rows for two in rows if one < two}
        assert {(one, two) for one, two, _ in overlaps(made.grid, AMOUNTS)} == pairs, source
        first = {rows[0] for rows in held if rows}
        assert unreachable(made.grid, AMOUNTS) == [n for n in range(len(source["rows"])) if n not in first], (
            source
        )


def test_a_table_comes_back_as_a_table_of_the_same_tree() -> None:
    back = 0
    for _, made in scribbled(150, seed=4):
        tree = made.tree()
        again = as_table(tree)
        if again is not None:
            back += 1
            assert again.tree() == tree
            assert read(again.to_json()).tree() == tree
        assert read(made.to_json()).tree() == tree
    assert back > 100


def test_any_tree_is_a_table_of_itself_or_none() -> None:
    writer, back = Writer(Random(5)), 0
    for _ in range(500):
        tree = writer.rule()
        made = as_table(tree)
        if made is not None:
            back += 1
            assert made.tree() == tree
            assert read(made.to_json()).tree() == tree
    assert back > 50


# --- mistakes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "place", "code"),
    [
        ([], "", "table-shape"),
        ({"inputs": ["n"], "rows": [], "colour": 1}, "", "table-shape"),
        ({"inputs": ["n"], "rows": []}, "", "table-empty"),
        ({"inputs": [], "rows": [{"when": [], "then": "1"}]}, "", "table-empty"),
        ({"inputs": ["n"], "rows": {}}, "rows", "table-empty"),
        ({"inputs": ["n"], "rows": [1]}, "rows[0]", "table-row-shape"),
        ({"inputs": [3], "rows": [{"when": ["-"], "then": "1"}]}, "inputs[0]", "table-shape"),
        (table(("-", "1"), inputs=["n"], hit="last"), "hit", "table-hit"),
        (table(("-", "1"), inputs=["n"], hit="collect", collect="list"), "collect", "table-collect"),
        (table(("-", "1"), inputs=["n"], collect="sum"), "collect", "table-shape"),
        (table(("-", "1"), inputs=["nn"]), "inputs[0]", "unknown-fact"),
        (table(("-", "-", "1"), inputs=["n", " n "]), "inputs[1]", "table-input-twice"),
        ({"inputs": ["n", "a"], "rows": [{"when": ["-"], "then": "1"}]}, "rows[0].when", "table-row"),
        (table(("", "1"), inputs=["n"]), "rows[0].when[0]", "cell-missing"),
        (table((None, "1"), inputs=["n"]), "rows[0].when[0]", "cell-form"),
        (table(("> > 1", "1"), inputs=["n"]), "rows[0].when[0]", "value-missing"),
        (table(("1 2", "1"), inputs=["n"]), "rows[0].when[0]", "cell-form"),
        (table(("+ 2", "1"), inputs=["n"]), "rows[0].when[0]", "cell-form"),
        (table(("[1..2", "1"), inputs=["n"]), "rows[0].when[0]", "cell-interval"),
        (table(("[1, 2]", "1"), inputs=["n"]), "rows[0].when[0]", "cell-interval"),
        (table(("> m", "1"), inputs=["n"]), "rows[0].when[0]", "cell-constant"),
        (table(("> 1 + 1", "1"), inputs=["n"]), "rows[0].when[0]", "cell-form"),
        (table(("not(1", "1"), inputs=["n"]), "rows[0].when[0]", "function-open"),
        (table(("true", "1"), inputs=["n"]), "rows[0].when[0]", "not-comparable"),
        (table(("> 100", "1"), inputs=["income"]), "rows[0].when[0]", "not-comparable"),
        (table(('["none".."sek1"]', "1"), inputs=["stage"]), "rows[0].when[0]", "no-order"),
        (table(('"sek3"', "1"), inputs=["stage"]), "rows[0].when[0]", "not-a-member"),
        (table(("-",), inputs=["n"]), "rows[0]", "table-output-missing"),
        (table(("-", "1 +"), inputs=["n"]), "rows[0].then", "value-missing-at-end"),
        (table(("1", "1"), ("-", "cents(1)"), inputs=["n"]), "rows[1].then", "table-output-types"),
        (table(("1", "1"), inputs=["n"], otherwise="a"), "otherwise", "table-output-types"),
        (table(("1", "a"), inputs=["n"], hit="collect"), "", "table-output-of-any"),
        (table(("1", "a"), inputs=["n"], hit="collect", collect="sum"), "rows[0].then", "table-sum-of"),
        (table(("1", "1"), inputs=["n"], hit="collect", collect="sum", otherwise="1"), "otherwise", "table-otherwise-of-sum"),
        (table(("1", "1"), inputs=["n"], hit="collect", collect="least"), "", "table-otherwise-needed"),
        (table(("1", "a"), inputs=["n"], hit="collect", collect="least", otherwise="b"), "", "extreme-of"),
        (table(*(("1", "1"),) * 301, inputs=["n"]), "", "table-too-large"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_cell(source: object, place: str, code: str) -> None:
    with pytest.raises(RuleError) as caught:
        read_table(source, VOCABULARY)
    assert (caught.value.place, caught.value.code) == (place, code)


def test_a_mistake_in_a_cell_has_its_column_in_the_cell() -> None:
    with pytest.raises(RuleError) as caught:
        read(table(('"none", "sek3"', "1"), inputs=["stage"]))
    assert (caught.value.line, caught.value.column, caught.value.length) == (1, 9, 6)
    assert caught.value.text("de").endswith('meinten Sie "sek1"?') or "es hat none" in caught.value.text("de")


def test_a_table_of_what_the_vocabulary_lacks_is_refused() -> None:
    with pytest.raises(RuleError):
        read_table(table(("-", "1"), inputs=["n"]), Vocabulary({"a": FACTS["a"]}))


def test_a_table_beyond_measure_is_refused_before_it_is_checked() -> None:
    every = ", ".join(str(n) for n in range(0, 1_000, 4))
    wide = read(table(*((every, str(n)) for n in range(50)), inputs=["n"], hit="unique", otherwise="0"))
    begun = time.process_time()
    with pytest.raises(RuleError, match="too many combinations"):
        faults(wide, {})
    assert time.process_time() - begun < 2
