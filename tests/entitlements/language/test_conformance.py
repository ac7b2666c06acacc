"""What CEL promises, as far as rules can say it: value by value, with CEL's own implementation as the judge."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from itertools import product
from typing import Any

import pytest

from entitlements.language import (
    Fault,
    Known,
    Result,
    RuleError,
    Speakable,
    Stated,
    Subject,
    Type,
    Unknown,
    Value,
    Vocabulary,
    evaluate,
    parse,
)
from entitlements.language import tree as t
from entitlements.language.sql.together import Case, Together

cel = pytest.importorskip("cel_expr_python.cel")

ON, LEARNED = date(2026, 9, 16), datetime(2026, 1, 1, tzinfo=UTC)
MIN, MAX = -(2**63), 2**63 - 1
ERROR = object()
KINDS: Mapping[type, tuple[Type, Any]] = {
    bool: (t.BOOL, cel.Type.BOOL),
    int: (t.INT, cel.Type.INT),
    str: (t.STRING, cel.Type.STRING),
}

ITSELF = [
    ("true", True), ("false", False), ("0", 0), ("42", 42), ("-1", -1), ("007", 7),
    ("0x0", 0), ("0xFF", 255), ("0xaB", 171), ("-0x1", -1),
    ("0x7FFFFFFFFFFFFFFF", MAX), ("-0x8000000000000000", MIN),
    ("9223372036854775807", MAX), ("-9223372036854775808", MIN), ("- 9223372036854775808", MIN),
    ("9223372036854775808", ERROR), ("-9223372036854775809", ERROR), ("0x8000000000000000", ERROR),
    ("--9223372036854775808", ERROR),
    ("''", ""), ('""', ""), ("'a'", "a"), ("'✌'", "✌"), ("'\U0001f431'", "\U0001f431"),
]  # fmt: skip
STRINGS = [
    ("'\"'", '"'), ('"\'"', "'"), (r"'\''", "'"), (r'"\""', '"'), (r"'\\'", "\\"), (r"'\`\?'", "`?"),
    (r"'\a\b\f\n\r\t\v'", "\a\b\f\n\r\t\v"),
    (r"'\x41\X41'", "AA"), (r"'\xff'", "ÿ"), (r"'\101'", "A"), (r"'\303\277'", "Ã¿"), (r"'\377'", "ÿ"),
    (r"'\u270c'", "✌"), (r"'\U0001f431'", "\U0001f431"), (r"'\uFFFD'", "\ufffd"), (r"'\U0010FFFF'", "\U0010ffff"),
    (r"'\u0041\u030a' == '\u00c5'", False),
    (r"r'\n'", r"\n"), (r"R'\x41'", r"\x41"), (r'r"\u0041"', r"\u0041"),
    ("'''a'b\"c'''", "a'b\"c"), ('"""a\'b"c"""', "a'b\"c"), ("'''\na\n'''", "\na\n"), ("''''a'''", "'a"),
    ("''''''", ""), ('""""""', ""), ("'''a\\'''b'''", "a'''b"),
    ("'''a\r\nb\rc\n\rd'''", "a\nb\nc\n\nd"), ('r"""a\r\n"""', "a\n"), ("'''a\\r\\n'''", "a\r\n"),
    (r"'\400'", ERROR), (r"'\8'", ERROR), (r"'\1'", ERROR), (r"'\x4'", ERROR), (r"'\u004'", ERROR),
    (r"'\U0011FFFF'", ERROR), (r"'\ud800'", ERROR), (r"'\U0000d800'", ERROR), (r"'\s'", ERROR), (r"'\ '", ERROR),
    ("'a\nb'", ERROR), ("'a\rb'", ERROR), ("'a\\\nb'", ERROR), ("'a", ERROR), ("'a\"", ERROR), ("`a`", ERROR),
    ("r'a\nb'", ERROR),
]  # fmt: skip
ARITHMETIC = [
    ("1 + 2", 3), ("1 - 2", -1), ("2 * -3", -6), ("6 / 2", 3), ("7 / 2", 3), ("-7 / 2", -3), ("7 / -2", -3),
    ("-7 / -2", 3), ("1 / 2", 0), ("0 / 5", 0), ("7 % 3", 1), ("-7 % 3", -1), ("7 % -3", 1), ("-7 % -3", -1),
    ("43 % 1", 0), ("0 % 7", 0),
    ("10 - 3 - 2", 5), ("24 / 4 / 2", 3), ("24 / (4 / 2)", 12), ("7 % 4 % 2", 1), ("2 * 7 % 4", 2), ("2 + 7 % 4", 5),
    ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("-(1 + 2)", -3), ("--1", 1), ("---1", -1), ("-(-(1))", 1), ("2 - -2", 4),
    ("2--2", 4), ("1 / 0", ERROR), ("0 / 0", ERROR), ("1 % 0", ERROR), ("0 * (1 / 0)", ERROR),
    (f"{MAX} + 1", ERROR), (f"{MIN} - 1", ERROR), (f"{MIN} + -1", ERROR), (f"{MAX} * 2", ERROR), (f"{MIN} * -1", ERROR),
    (f"-({MIN})", ERROR), (f"{MIN} / -1", ERROR), (f"{MIN} % -1", ERROR), (f"{MIN} / 1", MIN), (f"{MIN} % 1", 0),
    (f"{MAX} + 0", MAX), (f"{MAX} - {MAX}", 0), (f"{MIN} + {MAX}", -1), (f"{MAX} / {MIN}", 0), (f"{MIN} / {MAX}", -1),
    (f"0 - {MIN}", ERROR), (f"-1 - {MIN}", MAX), ("3037000500 * 3037000500", ERROR),
    ("3037000499 * 3037000499", 3037000499**2), ("4294967296 * -2147483648", MIN), ("4294967296 * 2147483648", ERROR),
]  # fmt: skip
LOGIC = [
    ("true && true", True), ("true && false", False), ("false || true", True), ("false || false", False),
    ("!true", False), ("!!true", True), ("!false && true", True), ("!(true && false)", True),
    ("true || false && false", True), ("(true || false) && false", False), ("false && false || true", True),
    ("false && (1 / 0 > 0)", False), ("(1 / 0 > 0) && false", False),
    ("true || (1 / 0 > 0)", True), ("(1 / 0 > 0) || true", True),
    ("true && (1 / 0 > 0)", ERROR), ("(1 / 0 > 0) && true", ERROR), ("false || (1 % 0 > 0)", ERROR),
    ("(1 / 0 > 0) || (1 / 0 > 0)", ERROR), ("(1 / 0 > 0) && (1 / 0 > 0) && false", False),
    ("(1 / 0 > 0) || (1 / 0 > 0) || true", True), ("!(1 / 0 > 0)", ERROR), ("!(1 / 0 > 0) || true", True),
    ("(1 / 0 > 0) == (1 / 0 > 0)", ERROR), ("1 == 1 == true", True), ("1 < 2 == true", True), ("true == true != false", True),
    ("true ? 1 : 2", 1), ("false ? 1 : 2", 2), ("true ? 1 : 1 / 0", 1), ("false ? 1 / 0 : 2", 2),
    ("true ? 1 / 0 : 2", ERROR), ("1 / 0 > 0 ? 1 : 2", ERROR), ("false ? 1 : true ? 2 : 3", 2),
    ("true ? false ? 1 : 2 : 3", ERROR), ("true ? (false ? 1 : 2) : 3", 2), ("true || false ? 1 : 2", 1),
    ("true?1:2", 1), ("(true ? false : true) ? 'a' : 'b'", "b"), ("false ? 'a' : '' == 'x' ? 'b' : 'c'", "c"),
    ("true && 1", ERROR), ("1 || true", ERROR), ("!1", ERROR), ("1 ? 2 : 3", ERROR), ("true ? 1 : 'a'", ERROR),
    ("-true", ERROR), ("!'a'", ERROR), ("1 + 'a'", ERROR), ("true + true", ERROR), ("1 == 'a'", ERROR),
]  # fmt: skip
COMPARISONS = [
    *(
        (f"{a} {sign} {b}", {"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[sign])
        for a, b in ((1, 1), (1, 2), (2, 1), (-1, 0), (MIN, MAX), (MAX, MAX), (MIN, MIN), (0, MIN))
        for sign in ("==", "!=", "<", "<=", ">", ">=")
    ),
    ("true == true", True), ("true == false", False), ("true != false", True), ("false != false", False),
    ("'' == ''", True), ("'a' == \"a\"", True), ("'a' == 'A'", False), ("'a' != 'A'", True), ("'ÿ' == '\\xff'", True),
    ("'a ' == 'a'", False), ("'1' != '01'", True), ("'abc' != 'ABC'", True), ("'Σ' == 'σ'", False),
    ("1 + 1 == 2", True), ("2 == 1 + 1", True), ("1 < 2 && 2 < 3", True), ("1 < 2 < 3", ERROR),
    ("1 in [1, 2, 3]", True), ("4 in [1, 2, 3]", False), ("1 in []", False), ("'b' in ['a', 'b']", True),
    ("'B' in ['a', 'b']", False), ("true in [false]", False), ("!(1 in [2])", True), ("1 + 1 in [2]", True),
    ("1 in [1, 2,]", True), ("1 in [,]", False), ("1 in [,1]", ERROR), ("1 in [1,,]", ERROR), ("-1 in [-1]", True), ("1 in [1] == true", True), ("'a' in [1]", ERROR), ("1 in 1", ERROR),
]  # fmt: skip
SHAPES = [
    ("1 +\n2", 3), ("1\t+\f2\r\n", 3), ("// a remark\n1", 1), ("1 // a remark", 1), ("1 + // a\n// b\n 2", 3),
    ("'a // b'", "a // b"), ("((((((1))))))", 1), ("( 1 )", 1),
    ("", ERROR), (" ", ERROR), ("1 +", ERROR), ("+ 1", ERROR), ("1 2", ERROR), ("(1", ERROR), ("1)", ERROR), ("()", ERROR),
    ("1 = 1", ERROR), ("1 === 1", ERROR), ("true & true", ERROR), ("true | true", ERROR), ("true and true", ERROR),
    ("not true", ERROR), ("1 <> 2", ERROR), ("1 ** 2", ERROR), ("1 // 2 * 0", 1), ("0xg", ERROR), ("0X1", ERROR), ("1a", ERROR),
    ("@", ERROR), ("1;", ERROR), ("#1", ERROR), ("True", ERROR), ("\ufeff1", ERROR), ("1\u00a0+ 1", ERROR),
    *((word, ERROR) for word in (
        "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
        "namespace", "return", "var", "void", "while", "in",
    )),
]  # fmt: skip
EVERY = [*ITSELF, *STRINGS, *ARITHMETIC, *LOGIC, *COMPARISONS, *SHAPES]


def ours(cases: list[tuple[str, Mapping[str, Value | None]]]) -> list[tuple[Result | RuleError, ...]]:
    """What the interpreter and SQL say of each."""
    read: list[Case | RuleError] = []
    for text, given in cases:
        types = {
            name: KINDS[type(value)][0] if value is not None else t.BOOL for name, value in given.items()
        }
        known = Vocabulary({name: Speakable(type_) for name, type_ in types.items()})
        stated = {
            name: Stated(value, date.min, None, "", LEARNED)
            for name, value in given.items()
            if value is not None
        }
        try:
            read.append(Case(parse(text, known), Subject("p", stated)))
        except RuleError as error:
            read.append(error)
    with Together() as together:
        by_sql = iter(together.answers([case for case in read if isinstance(case, Case)], {}, ON))
        return [
            (case, case)
            if isinstance(case, RuleError)
            else (evaluate(case.tree, case.subject, {}, ON), next(by_sql))
            for case in read
        ]


def theirs(text: str, given: Mapping[str, Value]) -> object:
    """What CEL says; a text that it refuses is an error like one that fails."""
    try:
        env = cel.NewEnv(variables={name: KINDS[type(value)][1] for name, value in given.items()})
        said = env.compile(text).eval(data=dict(given))
    except Exception:  # noqa: BLE001  (whatever it refuses, it refuses)
        return ERROR
    return ERROR if said.type() == cel.Type.ERROR else said.value()


def plain(said: Result | RuleError) -> object:
    return said.value if isinstance(said, Known) else ERROR if isinstance(said, Fault | RuleError) else said


def same(one: object, other: object) -> bool:
    return one is other if ERROR in (one, other) else one == other and type(one) is type(other)


def test_every_case_comes_out_as_cel_promises() -> None:
    said = ours([(text, {}) for text, _ in EVERY])
    wrong = [
        (text, expected, results)
        for (text, expected), results in zip(EVERY, said, strict=True)
        if not all(same(plain(result), expected) for result in results)
    ]
    assert wrong == []
    assert len(EVERY) > 250


def test_cel_itself_promises_the_same() -> None:
    assert [(text, expected) for text, expected in EVERY if not same(theirs(text, {}), expected)] == []


def test_variables_take_the_place_of_written_values() -> None:
    """What is not the same for everybody goes another way through SQL, and comes out alike."""
    edges = (MIN, MIN + 1, -7, -1, 0, 1, 2, 2**32, MAX)
    asked = [
        (f"x {sign} y", {"x": x, "y": y})
        for sign in ("+", "-", "*", "/", "%", "<", "==")
        for x, y in product(edges, edges)
    ]
    asked += [(f"x {sign} {y}", {"x": x}) for sign in "/%" for x, y in product(edges, edges)]
    asked += [(f"{x} {sign} y", {"y": y}) for sign in "/%" for x, y in product(edges, (-7, -1, 0, 1))]
    asked += [("-x", {"x": x}) for x in edges]
    asked += [
        (f"x == '{word}' ? x : 'other'", {"x": x})
        for word in ("", "a", "ä")
        for x in ("", "a", "A", "ä", "a\u0308")
    ]
    for (text, given), results in zip(asked, ours(asked), strict=True):  # type: ignore[arg-type]
        expected = theirs(text, given)  # type: ignore[arg-type]
        assert all(same(plain(result), expected) for result in results), f"{text} with {given}: {results}"


FAILS, MISSING = "1 / z > 0", "x"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{MISSING} || true", True),
        (f"true || {MISSING}", True),
        (f"{MISSING} && false", False),
        (f"false && {MISSING}", False),
        (f"{MISSING} && true", {"x"}),
        (f"{MISSING} || false", {"x"}),
        (f"!{MISSING}", {"x"}),
        (f"{MISSING} && y", {"x", "y"}),
        (f"{MISSING} || y", {"x", "y"}),
        (f"{MISSING} == y", {"x", "y"}),
        (f"{MISSING} && {FAILS}", {"x"}),
        (f"{FAILS} || {MISSING}", {"x"}),
        (f"({FAILS}) == {MISSING}", {"x"}),
        (f"({FAILS} || {MISSING}) && false", False),
        (f"({FAILS}) && {MISSING} || true", True),
        (f"{MISSING} ? 1 : 2", {"x"}),
        (f"{MISSING} ? 1 : 1", {"x"}),
        (f"true ? 1 : {MISSING} ? 2 : 3", 1),
        (f"false ? {MISSING} : true", True),
        (f"{MISSING} in [true, false]", {"x"}),
        (f"{MISSING} in []", {"x"}),
        (f"({FAILS}) ? {MISSING} : y", ERROR),
        (f"{FAILS} || false", ERROR),
    ],
)
def test_errors_and_what_is_missing_are_absorbed_in_either_order(text: str, expected: object) -> None:
    given: dict[str, Value | None] = {"x": None, "y": None, "z": 0}
    [results] = ours([(text, given)])
    for result in results:
        if isinstance(expected, set):
            assert result == Unknown(frozenset(expected))
        else:
            assert same(plain(result), expected)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("b'a' == b'a'", "no bytes"),
        ('rb"a"', "no bytes"),
        ("1u", "write 1"),
        ("1.5 > 1.0", "whole numbers only"),
        ("1e3", "whole numbers only"),
        (".5", "whole numbers only"),
        ("null", "no null"),
        ("x == null", "no null"),
        ("[1, 2]", "a list stands only after in"),
        ("[1][0]", "a list stands only after in"),
        ("{'a': 1}", "no maps"),
        ("size('a')", "no function size"),
        ("'a'.size()", "should end before '.'"),
        ("[1].exists(e, e > 0)", "a list stands only after in"),
        ("has(x.y)", "no function has"),
        ("timestamp('2026-01-01T00:00:00Z')", "no function timestamp"),
        ("duration('1s')", "no function duration"),
        ("int('1')", "no function int"),
        ("type(1)", "no function type"),
        ("dyn(1)", "no function dyn"),
        ("'a' < 'b'", "has no order"),
        ("x[0]", "should end before '['"),
        ("x.y", "has no parts"),
        ("if", "reserved word"),
    ],
)
def test_what_cel_has_and_rules_do_not_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse(text, Vocabulary({"x": Speakable(t.INT)}))
    assert says in caught.value.message
    assert caught.value.line == 1
