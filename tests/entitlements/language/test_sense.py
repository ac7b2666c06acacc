"""What can be read and yet hardly be meant is doubted; what means something is left alone."""

from random import Random

import pytest

from entitlements.language import RuleError, parse
from tests.entitlements.language.worlds import VOCABULARY, Writer


def doubts(text: str) -> list[RuleError]:
    found: list[RuleError] = []
    parse(text, VOCABULARY, doubts=found)
    return found


@pytest.mark.parametrize(
    ("text", "column", "code"),
    [
        ("9223372036854775807 + 1 > n", 21, "overflow"),
        ("n > 9223372036854775807 * 2", 25, "overflow"),
        ("-(-9223372036854775808) > n", 1, "overflow"),
        ("cents(9223372036854775807) * 2 > income", 28, "overflow"),
        ("n > 1 / 0", 7, "divides-by-zero"),
        ("n / 0 > 1", 3, "divides-by-zero"),
        ("n % 0 > 1", 3, "divides-by-zero"),
        ("-9223372036854775808 / -1 > n", 22, "overflow"),
        ("1 > 2", 3, "never-true"),
        ('"x" == "x"', 5, "always-true"),
        ("n == n", 3, "always-true"),
        ("n < n", 3, "never-true"),
        ("n != n", 3, "never-true"),
        ("count_members(registered_household, a) < 0", 40, "never-true"),
        ("count_members(registered_household, a) >= 0", 40, "always-true"),
        ("rank_among(registered_household, a) == -1", 37, "never-true"),
        ("count_members(registered_household, a) + 2 > 1", 44, "always-true"),
        ("least(count_members(registered_household, a), 3) > 3", 50, "never-true"),
        ("(a ? 1 : 2) == 3", 13, "never-true"),
        ("n < -9223372036854775808", 3, "never-true"),
        ("n + 1 > 9223372036854775807", 7, "never-true"),
        ("n in []", 3, "never-true"),
        ("n in [1, 2, 1]", 3, "option-twice"),
        ("a && b && a", 3, "said-twice"),
        ("a || a", 3, "said-twice"),
        ("n > 5 && n < 3", 7, "never-together"),
        ("n > 5 && a && n <= 5", 7, "never-together"),
        ("n > 5 && n < 6", 7, "never-together"),
        ("n == 1 && n in [2, 3]", 8, "never-together"),
        ('stage == "sek1" && stage == "sek2"', 17, "never-together"),
        ('word == "x" && word != "x"', 13, "never-together"),
        ('left_on > day("2026-01-31") && left_on < day("2026-02-01")', 29, "never-together"),
        ("income > cents(100) && income < cents(100)", 21, "never-together"),
    ],
)
def test_what_cannot_be_meant_is_named_with_its_place(text: str, column: int, code: str) -> None:
    [doubt] = doubts(text)
    assert (doubt.code, doubt.column) == (code, column)


@pytest.mark.parametrize(
    "text",
    [
        "true",
        "n > 3 && n < 5",
        "n >= 5 && n <= 5",
        "n > 5 || n < 3",
        "n != 3 && n != 4",
        "n > m && n < m",
        'stage != "sek1" && stage != "sek2"',
        'left_on > day("2026-01-31") && left_on < day("2026-02-02")',
        "count_members(registered_household, a) > 0",
        "left_on < today",
        "n + 1 >= 9223372036854775807",
        "n / m > 1",
        "9223372036854775806 + 1 > n",
        "income * 100 <= need * 130",
        "n < 9223372036854775807",
        "param.limit > 3",
        "n in [1, 2]",
        "(a ? 1 : 2) == 2",
    ],
)
def test_what_means_something_is_left_alone(text: str) -> None:
    assert doubts(text) == []


def test_a_doubt_is_no_error() -> None:
    tree = parse("a || 1 / 0 > 0", VOCABULARY)
    assert str(tree) == "a || 1 / 0 > 0"
    assert [doubt.code for doubt in doubts("a || 1 / 0 > 0")] == ["divides-by-zero"]


def test_any_rule_can_be_doubted() -> None:
    writer, seen = Writer(Random(4)), set[str]()
    for _ in range(400):
        tree = writer.rule()
        found: list[RuleError] = []
        assert parse(str(tree), VOCABULARY, doubts=found) == tree
        seen |= {doubt.code for doubt in found}
    assert {"overflow", "always-true", "never-true", "option-twice"} <= seen
