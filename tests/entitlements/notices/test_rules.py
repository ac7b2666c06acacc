from datetime import date
from pathlib import Path

import pytest
import yaml

from entitlements.notices.rules import (
    FILE,
    LANGUAGES,
    TEXTS,
    Mismatched,
    Param,
    TextsError,
    cents_in_words,
    day_in_words,
    language_of,
    read_texts,
    render,
)

SAMPLE = {
    Param.PROGRAMME: "dortmund-karte",
    Param.ALLOWANCE: "participation",
    Param.DAY: "2026-10-04",
    Param.CENTS: 4500,
    Param.FACT: "sgb2",
    Param.REGISTER: "jobcenter",
    Param.CARRIER: "paper",
}
NAMES = {"dortmund-karte": "Dortmund-Karte", "participation": "Teilhabe"}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", sorted(TEXTS))
def test_every_notice_reads_whole_in_every_language(code: str, language: str) -> None:
    params = {name: SAMPLE[kind] for name, kind in TEXTS[code].params.items()}
    text = render(code, params, language, NAMES)
    assert text.title
    assert text.body
    assert "{" not in text.title + text.body
    if TEXTS[code].params.get("programme"):
        assert "Dortmund-Karte" in text.body
    assert len(text.title) <= 120


def test_an_end_names_its_day() -> None:
    text = render("entitlement.ending", {"programme": "dortmund-karte", "ends_on": "2026-10-04"}, "de", NAMES)
    assert text.title == "Dortmund-Karte endet am 4. Oktober 2026"
    assert "Bis einschließlich 4. Oktober 2026" in text.body


def test_a_language_that_we_do_not_have_is_german() -> None:
    assert language_of("tlh") == "de"
    assert render("entitlement.continues", {"programme": "x"}, "tlh", {}).title == "x läuft weiter"


def test_days_and_amounts_are_written_as_people_write_them() -> None:
    assert day_in_words(date(2026, 3, 1), "de") == "1. März 2026"
    assert day_in_words(date(2026, 3, 1), "en") == "1 March 2026"
    assert [cents_in_words(c, "de") for c in (1500, 123456, 5, -250)] == [
        "15 Euro",
        "1.234,56 Euro",
        "0,05 Euro",
        "-2,50 Euro",
    ]
    assert cents_in_words(123456, "en") == "1,234.56 euros"


def test_a_notice_with_other_parameters_than_its_text_is_refused() -> None:
    with pytest.raises(Mismatched):
        TEXTS["entitlement.ending"].require({"programme": "dortmund-karte"})
    with pytest.raises(Mismatched):
        TEXTS["entitlement.continues"].require({"programme": "x", "name": "somebody"})


@pytest.mark.parametrize(
    "broken",
    [
        lambda entry: entry["text"].pop("de-simple"),
        lambda entry: entry["title"].update(en="{unknown} ends"),
        lambda entry: entry["params"].update(programme="programm"),
        lambda entry: entry.pop("title"),
    ],
)
def test_texts_that_lack_a_language_or_name_a_stranger_are_refused(tmp_path: Path, broken: object) -> None:
    source = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    broken(source["entitlement.ending"])  # type: ignore[operator]
    (tmp_path / "notices.yaml").write_text(yaml.safe_dump(source), encoding="utf-8")
    with pytest.raises(TextsError):
        read_texts(tmp_path / "notices.yaml")
