"""What can be written, and what is said about what cannot."""

import time
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entitlements.language import Kind, RuleError, Speakable, Tree, Type, Vocabulary, parse
from entitlements.language import tree as t
from entitlements.language.interpreter import evaluate
from entitlements.language.values import Fault, Known, Subject

STAGE = Type(Kind.ENUM, "stage")
VOCABULARY = Vocabulary(
    facts={
        "a": Speakable(t.BOOL),
        "b": Speakable(t.BOOL),
        "n": Speakable(t.INT),
        "s": Speakable(t.STRING),
        "income": Speakable(t.CENTS),
        "left_on": Speakable(t.DAY),
        "birth_date": Speakable(t.DAY, latest="birth_date_latest"),
        "birth_date_latest": Speakable(t.DAY),
        "stage": Speakable(STAGE, ("primary", "sek1")),
        "form": Speakable(Type(Kind.ENUM, "form"), ("primary", "other")),
    },
    parameters={"limit": t.INT, "price": t.CENTS, "school_age": t.INT},
    households=frozenset({"registered_household"}),
)


def value(text: str) -> object:
    result = evaluate(parse(text, VOCABULARY), Subject("p", {}), {"limit": 7, "price": 150}, date(2026, 9, 1))
    return result.value if isinstance(result, Known) else result


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 3 - 2", 5),
        ("-3 + 1", -2),
        ("-(3 + 1)", -4),
        ("--3", 3),
        ("- -3", 3),
        ("-(-42)", 42),
        ("0x1F", 31),
        ("-0x10", -16),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("true || false && false", True),
        ("(true || false) && false", False),
        ("!true || true", True),
        ("!!true", True),
        ("1 + 1 == 2 && 2 < 3", True),
        ("1 < 2 == true", True),
        ("true ? 1 : true ? 2 : 3", 1),
        ("false ? 1 : false ? 2 : 3", 3),
        ("(false ? true : false) ? 1 : 2", 2),
        ("2 in [1, 2]", True),
        ("2 in [-2, 3,]", False),
        ("2 in []", False),
        ("'x' in ['y', \"x\"]", True),
        ("least(3, 1, 2)", 1),
        ("greatest(3, 1, param.limit)", 7),
        ('least(day("2026-09-02"), today) == today', True),
        ("2 * cents(150) == param.price * 2", True),
        ("cents(-5) < -cents(4)", True),
        ('today == day("2026-09-01")', True),
        (r"'a\n\x41\u0042\U00000043\101\"' == 'a' || true", True),
        (r"'\x41\u0042\U00000043\104' == 'ABCD'", True),
        (r"r'\n' == '\\n'", True),
        ("'''it's\nfine''' == 'it\\'s\\nfine'", True),
        ("true // the rest of the line is a remark\n && true", True),
    ],
)
def test_text_means_what_cel_says(text: str, expected: object) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "text",
    [
        "9223372036854775807 + 1",
        "-9223372036854775808 - 1",
        "-(-9223372036854775808)",
        "4611686018427387904 * 2",
        "cents(9223372036854775807) * 2",
    ],
)
def test_a_number_that_leaves_64_bits_is_a_fault_and_never_another_number(text: str) -> None:
    found = value(text)
    assert isinstance(found, Fault)
    assert found.code == "overflow"


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("", 1, 1, "a value is missing"),
        ("a &&", 1, 5, "a value is missing"),
        ("a b", 1, 3, "join conditions with && or ||"),
        ("a & b", 1, 3, "write && for and"),
        ("a | b", 1, 3, "write || for or"),
        ("n = 1", 1, 3, "write == to compare"),
        ("a &&\n  bb", 2, 3, "did you mean b?"),
        ("a &&\n  unheard_of", 2, 3, "there is no fact unheard_of"),
        ("income / 2 > cents(1)", 1, 8, "multiply the other side instead"),
        ("n > 1.5", 1, 5, "whole numbers only"),
        ("n > 9223372036854775808", 1, 5, "at most 64 bits"),
        ("income > 100", 1, 8, "write an amount of money as cents(1500)"),
        ("income + 1 > cents(1)", 1, 8, "mixes units"),
        ("income * income > cents(1)", 1, 8, "cents times cents"),
        ("left_on > '2026-01-01'", 1, 9, 'write a day as day("2026-01-31")'),
        ("day('2026-02-30') == today", 1, 5, "no such day"),
        ("day('tomorrow') == today", 1, 5, 'a day reads day("2026-01-31")'),
        ("stage == 'primry'", 1, 7, "is no member of stage; it has primary, sek1"),
        ("stage in ['primary', 'other']", 1, 22, "is no member of stage"),
        ("stage == form", 1, 7, "members of different enums are never the same"),
        ("stage < 'sek1'", 1, 7, "has no order"),
        ("s < 'x'", 1, 3, "has no order"),
        ("a < b", 1, 3, "bool has no order"),
        ("a == n", 1, 3, "bool and int cannot be compared"),
        ("n && a", 1, 3, "needs a condition (bool), but this is int; compare it"),
        ("!n", 1, 1, "needs a condition"),
        ("-a", 1, 1, "needs int or cents"),
        ("n ? 1 : 2", 1, 3, "needs a condition"),
        ("a ? 1 : cents(1)", 1, 3, "both outcomes of ?: must have one type"),
        ("a ? 1", 1, 6, "a choice reads condition ? value : other value"),
        ("(a", 1, 3, "the bracket is not closed"),
        ("[1]", 1, 1, "a list stands only after in"),
        ("n in [n]", 1, 7, "written values only"),
        ("n in 3", 1, 6, "in reads value in [a, b]"),
        ("n in ['x']", 1, 3, "cannot be found among"),
        ("birth_date < today", 1, 1, "ask under(birth_date, years)"),
        ("under(n, 18)", 1, 7, "needs a day of birth"),
        ("under(birth_date, n)", 1, 19, "a whole number or a parameter"),
        ("under(birth_date, 200)", 1, 19, "between 0 and 150"),
        ("under(birth_date, 18, tomorrow)", 1, 19, "today or month_start"),
        ("until(nothing)", 1, 7, "there is no fact nothing"),
        ("param.limt > 1", 1, 7, "did you mean limit?"),
        ("param > 1", 1, 7, "a parameter reads param.name"),
        ("any_member(family, a)", 1, 12, "there are registered_household"),
        ("any_member(registered_household, n)", 1, 34, "what is asked of each member"),
        ("any_member(registered_household, any_member(registered_household, a))", 1, 34, "cannot itself ask"),
        ("registered_household", 1, 1, "ask any_member(registered_household, condition)"),
        ("least", 1, 1, "is a function"),
        ("least(a)", 1, 1, "needs int, day or cents"),
        ("least(1, cents(1))", 1, 1, "one type throughout"),
        ("matches(s, 'x')", 1, 1, "there is no function matches"),
        ("a.b", 1, 1, "has no parts"),
        ("'open", 1, 1, "no closing quotation mark"),
        (r"'\q' == s", 1, 1, "means nothing in a text"),
        (r"'\ud800' == s", 1, 1, "no such character"),
        ("a ) ", 1, 3, "should end before"),
        ("a && && b", 1, 6, "a value is missing before it"),
        ("{a: 1}", 1, 1, "no maps or blocks"),
        ("a\u00a0&& b", 1, 2, "has no place in a rule"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_with_what_to_do(
    text: str, line: int, column: int, says: str
) -> None:
    with pytest.raises(RuleError) as caught:
        parse(text, VOCABULARY)
    assert says in caught.value.message
    assert (caught.value.line, caught.value.column) == (line, column)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000,
        "(" * 41 + "a" + ")" * 41,
        "!" * 5000 + "a",
        "-" * 5000 + "1 == 1",
        "a ? " * 3000,
        "least(" * 2000,
        "any_member(registered_household, " * 500,
        "a && " * 6000 + "a",
        " + ".join(["1"] * 200) + " == 1",
        "a" * 30_000,
        "'" + "x" * 30_000,
        "1" * 19_000,
        "'''" * 5001,
        "[" * 9000,
        "\\" * 100,
        "n in [" + "1," * 9000,
    ],
)
def test_hostile_text_ends_quickly_with_a_clear_error(text: str) -> None:
    begun = time.process_time()  # a busy machine is no slow parser
    with pytest.raises(RuleError):
        parse(text, VOCABULARY)
    assert time.process_time() - begun < 2


def test_what_is_just_within_the_limits_is_read() -> None:
    parse("(" * 39 + "a" + ")" * 39, VOCABULARY)
    parse(" && ".join(["a"] * 1500), VOCABULARY)
    parse("".join(f"n == {i} ? {i} : " for i in range(400)) + "0", VOCABULARY)


@given(st.text(max_size=60) | st.text("ab n1(),&|!=<>?:+-*[]'\".\n", max_size=60))
def test_any_text_is_a_rule_or_an_error_with_a_place(text: str) -> None:
    place = (1, 1)
    try:
        tree = parse(text, VOCABULARY)
        assert parse(str(tree), VOCABULARY) == tree
    except RuleError as error:
        place = (error.line, error.column)
    assert 1 <= place[0] <= text.count("\n") + 1
    assert place[1] >= 1


def test_spaces_and_remarks_do_not_change_the_hash() -> None:
    tight, loose = parse("a&&n>1", VOCABULARY), parse("a  &&\n  // more than one\n n > 1", VOCABULARY)
    assert tight.tree_hash == loose.tree_hash


def test_a_tree_names_what_it_looks_at() -> None:
    tree = parse(
        "a && under(birth_date, param.school_age) && any_member(registered_household, b)", VOCABULARY
    )
    assert tree.mentions() == {"a", "b", "birth_date", "registered_household"}
    assert tree.parameters() == {"school_age"}


def test_the_hash_of_a_rule_is_the_same_for_ever() -> None:
    tree = parse("a && n in [1, 2] || stage == 'sek1' && income >= 2 * param.price", VOCABULARY)
    assert Tree.from_json(tree.canonical) == tree
    assert tree.tree_hash == "9dd070c98fc42fabaab823219f8b2af489d0ed4b3e8c53847164a2d6d343eb75"
