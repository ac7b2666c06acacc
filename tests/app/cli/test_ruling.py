"""What `citycard rules try` says, by hand and by the line."""

import json
import time

import pytest
from click.testing import CliRunner, Result

from app.cli.ruling import AT_ONCE, answers, rules
from entitlements.language.sql.together import Together

PERSON = {"birth_date": "2010-05-01", "sgb2": {"value": True, "since": "2026-01-01", "until": "2026-12-31"}}


def ask(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(rules, ["try", *arguments], input=given)


def told(result: Result) -> dict[str, object]:
    assert result.exit_code == 0, result.output
    lines = (line.split(maxsplit=1) for line in result.output.splitlines()[:2])
    return {back_end: json.loads(said) for back_end, said in lines}


def test_both_back_ends_answer_and_both_are_shown() -> None:
    result = ask(
        "--expr", "sgb2 && under(birth_date, 18)", "--facts", json.dumps(PERSON), "--on", "2026-09-16"
    )
    assert told(result) == {"interpreter": {"value": True}, "sql": {"value": True}}


def test_the_day_counts() -> None:
    result = ask("--expr", "sgb2", "--facts", json.dumps(PERSON), "--on", "2027-01-01")
    assert told(result) == {"interpreter": {"value": False}, "sql": {"value": False}}


def test_what_is_missing_is_named_with_the_register_to_ask() -> None:
    result = ask("--expr", "sgb2 || kiz", "--on", "2026-09-16")
    assert told(result)["sql"] == {"unknown": ["kiz", "sgb2"]}
    assert "sgb2: ask jobcenter" in result.output


def test_the_registers_complete_lists_can_be_taken_at_their_word() -> None:
    result = ask(
        "--expr", "sgb2 || any_member(wohngeld_household, wog)", "--rest-absent", "--on", "2026-09-16"
    )
    assert told(result)["sql"] == {"value": False}


def test_a_household_is_asked() -> None:
    others = {"registered_household": [{"kiz": True}, {"kiz": False}]}
    result = ask(
        "--expr", "count_members(registered_household, kiz)", "--facts", '{"kiz": true}',
        "--households", json.dumps(others), "--on", "2026-09-16",
    )  # fmt: skip
    assert told(result) == {"interpreter": {"value": 2}, "sql": {"value": 2}}


def test_the_amounts_are_those_of_the_day() -> None:
    for on, amount in (("2023-08-01", 11600), ("2026-08-01", 13000)):
        assert told(ask("--expr", "param.school_supplies_august", "--on", on))["sql"] == {"value": amount}


def test_facts_can_come_from_a_file(tmp_path) -> None:
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(PERSON), encoding="utf-8")
    assert told(ask("--expr", "sgb2", "--facts", f"@{path}", "--on", "2026-09-16"))["sql"] == {"value": True}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--expr", "sgb2 &&"], "line 1"),
        (["--expr", "sgb3"], "did you mean sgb2?"),
        (["--expr", "sgb2", "--facts", "{"], "cannot be read"),
        (["--expr", "sgb2", "--facts", "[]"], "is a JSON object"),
        (["--expr", "sgb2", "--facts", '{"sgb3": true}'], "there is no fact sgb3"),
        (["--expr", "sgb2", "--facts", '{"sgb2": "yes"}'], "sgb2 is true or false"),
        (
            ["--expr", "sgb2", "--facts", '{"sgb2": {"value": true, "until": "soon"}}'],
            "since and until are days",
        ),
        (["--expr", "sgb2", "--households", '{"flat": []}'], "no kind of household flat"),
        (["--expr", "sgb2", "--city", "nowhere"], "nowhere"),
        ([], "give one rule with --expr"),
    ],
)
def test_what_cannot_be_asked_is_said_plainly(arguments: list[str], complaint: str) -> None:
    result = ask(*arguments)
    assert result.exit_code != 0
    assert complaint in result.output
    assert "Traceback" not in result.output


def test_a_rule_can_be_given_as_a_form_or_as_a_table_and_is_shown_as_each() -> None:
    form = {
        "all": [
            {"kind": "holds", "fact": "sgb2"},
            {"kind": "younger_than", "fact": "birth_date", "years": 18},
        ]
    }
    table = {"hit": "first", "inputs": ["sgb2"], "rows": [{"when": [True], "then": 1}], "otherwise": 0}
    facts = ("--facts", json.dumps(PERSON), "--on", "2026-09-16", "--show")
    by_form = ask("--form", json.dumps(form), *facts)
    assert told(by_form) == {"interpreter": {"value": True}, "sql": {"value": True}}
    assert "text         sgb2 && under(birth_date, 18)" in by_form.output
    by_table = ask("--table", json.dumps(table), *facts)
    assert told(by_table)["sql"] == {"value": 1}
    assert "text         sgb2 ? 1 : 0" in by_table.output
    assert "form         cannot be" in by_table.output


def test_a_mistake_is_shown_under_its_word_and_in_german_if_so_wished() -> None:
    result = ask("--expr", "sgb2 &&\n  under(birth_dat, 18)", "--lang", "de")
    assert "Zeile 2, Spalte 9: es gibt kein Merkmal birth_dat; meinten Sie birth_date?" in result.output
    assert "\n  under(birth_dat, 18)\n        ^~~~~~~~~" in result.output


def test_what_can_hardly_be_meant_is_doubted_and_still_answered() -> None:
    result = ask(
        "--expr", "school_route_m > 5000 && school_route_m < 2000", "--facts", '{"school_route_m": 1}'
    )
    assert told(result)["sql"] == {"value": False}
    assert (
        "doubt        line 1, column 23: these conditions on school_route_m can never hold together"
        in result.output
    )


# --- by the line ------------------------------------------------------------------------------------------------


def by_line(*texts: str | bytes) -> list[dict[str, dict[str, object]]]:
    with Together() as together:
        return answers([text if isinstance(text, bytes) else text.encode() for text in texts], together)


def line(expr: str, **variables: tuple[str, object]) -> dict[str, object]:
    known = {name: {"type": type_, "value": value} for name, (type_, value) in variables.items()}
    [said] = by_line(json.dumps({"expr": expr, "vars": known}))
    assert said["interpreter"] == said["sql"]
    return said["sql"]


@pytest.mark.parametrize(
    ("expr", "variables", "expected"),
    [
        ("x > 1", {"x": ("int", 2)}, {"value": True}),
        ("x", {"x": ("int", "-9223372036854775808")}, {"value": -(2**63)}),
        ("-x", {"x": ("int", -(2**63))}, {"error": "overflow"}),
        ("x / y", {"x": ("int", 7), "y": ("int", -2)}, {"value": -3}),
        ("x % y", {"x": ("int", -7), "y": ("int", 2)}, {"value": -1}),
        ("x / y", {"x": ("int", 7), "y": ("int", 0)}, {"error": "divide_by_zero"}),
        ("x % y", {"x": ("int", -(2**63)), "y": ("int", -1)}, {"error": "overflow"}),
        ("x / y > 0 || true", {"x": ("int", 7), "y": ("int", 0)}, {"value": True}),
        ("x / y", {"x": ("int", None), "y": ("int", 0)}, {"unknown": ["x"]}),
        ("x + 1", {"x": ("int", 2**63 - 1)}, {"error": "overflow"}),
        ("x - 1", {"x": ("int", -(2**63))}, {"error": "overflow"}),
        ("x * x", {"x": ("int", 3037000500)}, {"error": "overflow"}),
        ("x * x", {"x": ("int", 3037000499)}, {"value": 3037000499**2}),
        ("x * -1", {"x": ("int", -(2**63))}, {"error": "overflow"}),
        ("0 * (x * 0)", {"x": ("int", 2**63 - 1)}, {"value": 0}),
        ("x * (y * 0)", {"x": ("int", 2**40), "y": ("int", 2**40)}, {"value": 0}),
        ("x + 1 > 0 || y", {"x": ("int", 2**63 - 1), "y": ("bool", True)}, {"value": True}),
        ("x + 1 > 0 && y", {"x": ("int", 2**63 - 1), "y": ("bool", False)}, {"value": False}),
        ("x + 1 > 0 || y", {"x": ("int", 2**63 - 1), "y": ("bool", None)}, {"unknown": ["y"]}),
        ("x + 1 > 0 || y", {"x": ("int", 2**63 - 1), "y": ("bool", False)}, {"error": "overflow"}),
        ("x || y", {"x": ("bool", None), "y": ("bool", True)}, {"value": True}),
        ("x && y", {"x": ("bool", None), "y": ("bool", None)}, {"unknown": ["x", "y"]}),
        ("x ? 'a' : 'b'", {"x": ("bool", None)}, {"unknown": ["x"]}),
        ("x ? y : 'b'", {"x": ("bool", True), "y": ("string", "ä\U0001f3ab")}, {"value": "ä\U0001f3ab"}),
        ("true ? x : y", {"x": ("int", 1), "y": ("int", None)}, {"value": 1}),
        ("x == 'a' + 1", {"x": ("string", "a")}, None),
        ("x == '\\u00e4'", {"x": ("string", "ä")}, {"value": True}),
        ("x == 'A'", {"x": ("string", "a")}, {"value": False}),
        ("x == r'\\n'", {"x": ("string", "\\n")}, {"value": True}),
        ("x", {"x": ("string", "'; DROP TABLE tried; --")}, {"value": "'; DROP TABLE tried; --"}),
        ("x in ['a', 'b']", {"x": ("string", "b")}, {"value": True}),
        ("x in []", {"x": ("string", "b")}, {"value": False}),
        ("x in [1, 2]", {"x": ("int", None)}, {"unknown": ["x"]}),
        ("x == 'sek1'", {"x": ("enum(primary, sek1)", "sek1")}, {"value": True}),
        ("x == 'none'", {"x": ("enum(primary, sek1)", "sek1")}, None),
        ("x < day('2026-01-31')", {"x": ("day", "2026-01-30")}, {"value": True}),
        ("greatest(x, day('2026-01-31'))", {"x": ("day", "2026-01-30")}, {"value": "2026-01-31"}),
        ("x * 100 <= cents(15000)", {"x": ("cents", 150)}, {"value": True}),
        ("2 * 3 + 4", {}, {"value": 10}),
        ("-(-9223372036854775808)", {}, {"error": "overflow"}),
        ("true", {}, {"value": True}),
    ],
)
def test_a_case_is_answered_by_both(
    expr: str, variables: dict[str, tuple[str, object]], expected: object
) -> None:
    said = line(expr, **variables)
    if expected is None:
        assert said.keys() == {"error"}
        assert str(said["error"]).startswith("line 1, column")
    else:
        assert said == expected
        assert type(said.get("value")) is type(expected.get("value"))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        "{}",
        '{"expr": 1}',
        '{"expr": "x", "vars": []}',
        '{"expr": "x", "vars": {"x": 1}}',
        '{"expr": "x", "vars": {"x": {"value": 1}}}',
        '{"expr": "x", "vars": {"x": {"type": "double", "value": 1}}}',
        '{"expr": "x", "vars": {"x": {"type": "int", "value": true}}}',
        '{"expr": "x", "vars": {"x": {"type": "int", "value": 9223372036854775808}}}',
        '{"expr": "x", "vars": {"x": {"type": "int", "value": 1.5}}}',
        '{"expr": "x", "vars": {"x": {"type": "bool", "value": 1}}}',
        '{"expr": "x", "vars": {"x": {"type": "day", "value": "2026-02-30"}}}',
        '{"expr": "x", "vars": {"x": {"type": "string", "value": "\\ud800"}}}',
        '{"expr": "x", "vars": {"x": {"type": "enum(a, b)", "value": "c"}}}',
        '{"expr": "' + "(" * 5_000 + '"}',
        "[" * 100_000,
        b'{"expr": "x == \xff"}',
        '{"expr": "a.b", "vars": {"a.b": {"type": "int", "value": 1}}}',
        '{"expr": "in", "vars": {"in": {"type": "int", "value": 1}}}',
        '{"expr": "x", "vars": {"x": {"type": "int", "value": NaN}}}',
        '{"expr": "x", "vars": {"x": {"type": "day", "value": "20260131"}}}',
        *(
            json.dumps({"expr": "x == x", "vars": {"x": {"type": kind, "value": None}}})
            for kind in (
                "uint",
                "bytes",
                "list",
                "map",
                "timestamp",
                "duration",
                "null_type",
                "enum",
                "enum:x",
            )
        ),
    ],
)
def test_a_line_that_is_no_case_is_an_error_to_both_and_to_no_other_line(text: str | bytes) -> None:
    good = '{"expr": "1 + 1"}'
    before, said, after = by_line(good, text, good)
    assert said["interpreter"] == said["sql"]
    assert said["sql"].keys() == {"error"}
    assert before == after == {"interpreter": {"value": 2}, "sql": {"value": 2}}


def test_each_line_has_its_answer_and_empty_ones_have_none() -> None:
    cases = '{"expr": "1 + 1"}\n\nnonsense\n{"expr": "x", "vars": {"x": {"type": "bool", "value": null}}}\n'
    result = ask("--json", given=cases)
    assert result.exit_code == 0
    answers = [json.loads(text) for text in result.output.splitlines()]
    assert answers[0] == {"interpreter": {"value": 2}, "sql": {"value": 2}}
    assert "error" in answers[1]["sql"]
    assert answers[2]["sql"] == {"unknown": ["x"]}


def test_variables_with_the_same_members_are_of_one_enum() -> None:
    stage = {"type": "enum(primary, sek1)", "value": "sek1"}
    (same,) = by_line(json.dumps({"expr": "x == y", "vars": {"x": stage, "y": stage}}))
    assert same == {"interpreter": {"value": True}, "sql": {"value": True}}
    other = {"type": "enum(sek1, sek2)", "value": "sek1"}
    (apart,) = by_line(json.dumps({"expr": "x == y", "vars": {"x": stage, "y": other}}))
    assert "error" in apart["interpreter"]


def test_variables_of_one_name_and_different_types_do_not_meet() -> None:
    values = [
        ("int", 1),
        ("string", "1"),
        ("bool", True),
        ("day", "2026-01-31"),
        ("cents", 1),
        ("enum(1)", "1"),
    ]
    cases = [
        json.dumps({"expr": "x", "vars": {"x": {"type": type_, "value": value}}})
        for type_, value in values * 30
    ]
    said = by_line(*cases)
    assert [answer["sql"]["value"] for answer in said] == [value for _, value in values] * 30
    assert [answer["interpreter"] for answer in said] == [answer["sql"] for answer in said]


def test_thousands_of_lines_are_answered_in_their_order() -> None:
    cases = [f'{{"expr": "{n} * 2"}}' for n in range(4 * AT_ONCE)]
    result = ask("--json", given="\n".join(cases))
    assert [json.loads(text)["sql"]["value"] for text in result.output.splitlines()] == [
        2 * n for n in range(4 * AT_ONCE)
    ]


def test_a_case_costs_less_than_a_statement_of_its_own() -> None:
    cases = [
        json.dumps(
            {"expr": f"x + {n} > {n} || y", "vars": {"x": {"type": "int", "value": n}, "y": {"type": "bool"}}}
        )
        for n in range(320)
    ]
    by_line(*cases[:AT_ONCE])
    begun = time.process_time()
    by_line(*cases[:AT_ONCE])
    by_line(*cases[AT_ONCE : 2 * AT_ONCE])
    spent = time.process_time() - begun
    assert len(cases) / spent > 250, "a busy machine reaches a fraction of what a quiet one does"


def test_a_rule_of_any_size_that_can_be_read_is_answered() -> None:
    wide = " || ".join(f"x == {n}" for n in range(900))
    deep = "(x > 0 ? " * 25 + "1" + " : 2)" * 25
    tall = "!" * 39 + "(" * 30 + "x > 1" + ")" * 30
    for expr, expected in ((wide, True), (deep, 1), (tall, True)):
        assert line(expr, x=("int", 1)) == {"value": expected}


HOSTILE = [
    (b"{", "column 1: this is no JSON"),
    (b'{"expr": "true"} {}', "column 18: this is no JSON (Extra data)"),
    (b"[]", 'a case is an object with "expr", a text; write {"expr"'),
    (b'{"expr": "true", "vars": []}', '"vars" is an object of variables'),
    (b'{"expr": "true", "expr": "false"}', "'expr' stands here twice; leave one of them out"),
    (
        b'{"expr": "x", "vars": {"x": {"type": "int", "value": 1}, "x": {"type": "int", "value": 2}}}',
        "'x' stands here twice",
    ),
    (b'{"expr": "x", "vars": {"x": {"type": "int", "value": NaN}}}', "write a whole number from -9223372036854775808"),
    (b'{"expr": "x", "vars": {"x": {"type": "int", "value": %s}}}' % (b"9" * 5000), "whole numbers have at most 64 bits"),
    (b'{"expr": "x", "vars": {"x": {"type": "bool", "value": 1}}}', "write true or false, or null for unknown"),
    (b'{"expr": "x", "vars": {"x": {"type": "day", "value": "2026-02-30"}}}', 'write a day of the calendar such as "2026'),
    (b'{"expr": "x", "vars": {"x": {"type": "enum(a, b)", "value": "c"}}}', "write one of a, b"),
    (b'{"expr": "x", "vars": {"x": {"type": "enum()", "value": ""}}}', "an enum has members, each once"),
    (b'{"expr": "x", "vars": {"x": {"type": "enum(a, a)", "value": "a"}}}', "let x be of type enum(a, b)"),
    (b'{"expr": "x", "vars": {"x": 1}}', 'x needs a "type" and a "value"'),
    (b'{"expr": "\xff"}', "byte 11 of this line is no UTF-8"),
    (b"[" * 100_000, "brackets are nested deeper than any case needs"),
    (b'{"expr": "x%s", "vars": {"x": {"type": "int", "value": 1}}}' % (b" + x" * 4_900), "line 1, column 403: the rule is"),
    (b'{"expr": "9223372036854775808"}', "write one from -9223372036854775808 to 9223372036854775807"),
]  # fmt: skip


def test_a_line_that_nobody_can_answer_says_what_to_do_and_stops_no_other() -> None:
    good = b'{"expr": "1 + 1"}'
    lines = [line for bad, _ in HOSTILE for line in (bad, b"", good)]
    result = CliRunner().invoke(rules, ["try", "--json"], input=b"\n".join(lines))
    assert result.exit_code == 0, result.output
    said = [json.loads(line) for line in result.output.splitlines()]
    assert said[1::2] == [{"interpreter": {"value": 2}, "sql": {"value": 2}}] * len(HOSTILE)
    for (_, wanted), both in zip(HOSTILE, said[::2], strict=True):
        assert both["interpreter"] == both["sql"]
        assert wanted in both["interpreter"]["error"], both
