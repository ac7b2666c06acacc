"""What authors of rules read: codes that stay, in German and English, with the place and the nearest name."""

import re
import string
from pathlib import Path
from typing import Any

import pytest

from entitlements.language import RuleError, Speakable, Vocabulary, parse
from entitlements.language import tree as t
from entitlements.language.messages import LANGUAGES, Mismatch, catalogue, text_of
from tests.entitlements.language.worlds import FACTS, KINDS, PARAMETERS

VOCABULARY = Vocabulary(FACTS | {"sgb12_gsi": Speakable(t.BOOL)}, PARAMETERS, frozenset(KINDS))
SOURCES = [
    *Path(t.__file__).parent.glob("*.py"),
    Path(t.__file__).parents[1] / "rulebook" / "tables.py",
    Path(t.__file__).parents[1] / "rulebook" / "trying" / "rules.py",
]


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def wrong(text: str) -> RuleError:
    with pytest.raises(RuleError) as caught:
        parse(text, VOCABULARY)
    return caught.value


def test_every_text_says_the_same_in_every_language() -> None:
    for section in ("errors", "advice"):
        for code, texts in catalogue()[section].items():
            assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
            assert set(texts) == set(LANGUAGES), code
            assert fields(texts["de"]) == fields(texts["en"]), code
            assert len({texts[language] for language in LANGUAGES}) == len(LANGUAGES), code


def test_every_code_has_a_text_and_every_text_is_said_somewhere() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    written = set(re.findall(r'"([a-z]+(?:-[a-z]+)+|overflow)"', source))
    known: set[str] = set(catalogue()["errors"]) | set(catalogue()["advice"])
    assert known - written == set()
    called = set(
        re.findall(
            r'(?:Mismatch|fail|_need|expect|_alike|_boolean|known)\([^"()]*"([a-z]+(?:-[a-z]+)+)"', source
        )
    )
    assert called - known == set()
    assert len(called) > 60


@pytest.mark.parametrize(
    ("text", "english", "german"),
    [
        ("sgb12_gsy", "there is no fact sgb12_gsy; did you mean sgb12_gsi?", "es gibt kein Merkmal sgb12_gsy; meinten Sie sgb12_gsi?"),
        ("SGB12_GSI", "there is no fact SGB12_GSI; did you mean sgb12_gsi?", None),
        ("limit > 3", "there is no fact limit; did you mean param.limit?", None),
        ("stage == sek1", 'there is no fact sek1; did you mean "sek1"?', None),
        ("any_membr(registered_household, a)", "there is no function any_membr; did you mean any_member?", None),
        ("any_member(registered_houshold, a)", "registered_houshold is no kind of household; there are registered_household, wohngeld_household; did you mean registered_household?", None),
        ('stage == "sekk1"', "'sekk1' is no member of stage; it has none, primary, sek1, sek2; did you mean \"sek1\"?", "'sekk1' ist kein Wert von stage; es hat none, primary, sek1, sek2; meinten Sie \"sek1\"?"),
        ("n == 'x'", "int and string cannot be compared; a number stands without quotation marks", None),
        ("left_on < 18", "day and int cannot be compared; ask for an age with under(birth_date, 18)", None),
        ("income > 100", "cents and int cannot be compared; write an amount of money as cents(1500)", "cents und int lassen sich nicht vergleichen; schreiben Sie einen Geldbetrag als cents(1500)"),
        ("income / 2 > income", "/ does not divide money, for cents would be lost; multiply the other side instead", None),
        ("a ≠ b", "'≠' has no place in a rule; write != for unequal", None),
        ("stage == „sek1“", "'„' has no place in a rule; use straight quotation marks as in \"sek1\"", None),
        ("(a", "the bracket is not closed; expected ')' before the end", "die Klammer ist nicht geschlossen; erwartet wird ')' vor dem Ende"),
        ("a &&", "the rule stops here, but a value is missing", "die Regel hört hier auf, aber es fehlt ein Wert"),
    ],
)  # fmt: skip
def test_a_mistake_says_what_to_do(text: str, english: str, german: str | None) -> None:
    error = wrong(text)
    assert error.text("en") == error.message == english
    if german is not None:
        assert error.text("de") == error.text("de-simple") == german
    assert error.text("de") != english


def test_a_mistake_is_data() -> None:
    error = wrong("a && stage in ['none', 'sekk1']")
    told: dict[str, Any] = {"code": error.code, "advice": error.advice, **error.params}
    assert told == {
        "code": "not-a-member",
        "advice": "did-you-mean",
        "found": "sekk1",
        "enum": "stage",
        "allowed": ("none", "primary", "sek1", "sek2"),
        "suggestion": '"sek1"',
    }
    assert (error.line, error.column, error.length) == (1, 24, 7)


@pytest.mark.parametrize(
    ("text", "excerpt"),
    [
        ("a && sgb12_gsy && b", "a && sgb12_gsy && b\n     ^~~~~~~~~"),
        ("a &&\n\tsgb12_gsy", "\tsgb12_gsy\n\t^~~~~~~~~"),
        ("a &&", "a &&\n    ^"),
        ("a b", "a b\n  ^"),
        ("word == '''x\ny''' + 1", "word == '''x"),
    ],
)
def test_a_caret_stands_under_what_is_meant(text: str, excerpt: str) -> None:
    assert wrong(text).excerpt(text).startswith(excerpt) or "y''' + 1" in wrong(text).excerpt(text)


def test_a_long_name_is_not_repeated_in_full() -> None:
    assert len(wrong("x" * 10_000).message) < 250


def test_texts_of_others_are_never_taken_for_templates() -> None:
    assert text_of("unknown-fact", {"found": "{0.__class__}"}) == "there is no fact {0.__class__}"
    assert str(Mismatch("nothing that the catalogue has: {x}")) == "nothing that the catalogue has: {x}"
