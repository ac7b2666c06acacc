import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from entitlements.decisions.changing import Change
from entitlements.decisions.wording import change_in_words, next_in_words, stated_in_words, way_in_words
from entitlements.facts.catalogue import CATALOGUE
from entitlements.language import Stated
from entitlements.notices import rules as notices
from entitlements.notices.values import texts, value_from_json, value_in_words
from entitlements.requests import letter
from entitlements.rulebook.rules import SYSTEM_REASONS
from entitlements.rulebook.texts import texts as reason_texts

LANGUAGES = ("de", "de-simple", "en")
BERLIN = ZoneInfo("Europe/Berlin")
SUBJUNCTIVE = re.compile(r"\b(wäre|wären|würde|würden|hätte|hätten|könnte|könnten|müsste|sollte|dürfte)\b")
SHORTENED = re.compile(r"\b(z\. ?B\.|bzw\.|ggf\.|usw\.|d\. ?h\.|u\. ?a\.)")


def by_language(part: Any, path: str = "") -> Iterator[tuple[str, dict[str, str]]]:
    if isinstance(part, dict) and "de" in part:
        yield path, part
    elif isinstance(part, dict):
        for key, below in part.items():
            yield from by_language(below, f"{path}/{key}")


def everything() -> list[tuple[str, dict[str, str]]]:
    found = [*by_language(texts(), "explanations"), *by_language(letter.texts(), "letter")]
    found += [(f"reasons/{code}", said) for code, said in reason_texts()["reasons"].items()]
    for code, template in notices.TEXTS.items():
        found.append((f"notices/{code}", {lang: f"{t.title} {t.body}" for lang, t in template.texts.items()}))
    return found


@pytest.mark.parametrize(("where", "said"), everything(), ids=lambda one: one if isinstance(one, str) else "")
def test_every_text_is_there_in_every_language_and_plain_german_is_plain(
    where: str, said: dict[str, str]
) -> None:
    assert set(said) >= set(LANGUAGES), where
    assert all(said[language].strip() for language in LANGUAGES), where
    plain = said["de-simple"]
    assert not SUBJUNCTIVE.search(plain), where
    assert not SHORTENED.search(plain), where
    for sentence in re.split(r"[.!?:\n]", plain):
        assert len(sentence.split()) <= 15, f"{where}: {sentence}"


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=lambda kind: kind.name)
def test_every_value_that_a_register_can_state_has_words(kind: Any) -> None:
    for member in kind.members:
        words = {language: value_in_words(kind.name, member, language) for language in LANGUAGES}
        assert all(words.values())
        assert words["de"] != member or member.isdecimal(), f"{kind.name}: {member} has no word"
    if kind.unit:
        assert kind.unit in texts()["units"], f"{kind.name}: {kind.unit} has no words"


def test_every_reason_of_the_house_itself_has_words() -> None:
    assert set(reason_texts()["reasons"]) >= SYSTEM_REASONS


def test_a_language_that_we_do_not_have_is_german() -> None:
    change = Change("sgb2", value=True)
    on = date(2026, 9, 16)
    assert change_in_words(change, "tr", on) == change_in_words(change, "de", on)
    assert way_in_words(frozenset({change}), "tr", on, grants=True).startswith("Der Anspruch entsteht")
    assert value_in_words("sgb2", True, "tr") == "ja"
    assert next_in_words(None, "tr") == next_in_words(None, "de")


def test_things_are_called_as_they_were_on_the_day_and_numbers_carry_their_units() -> None:
    learned = datetime(2026, 3, 31, 23, 30, tzinfo=UTC)
    stated = Stated(True, date(2026, 1, 1), date(2026, 6, 15), "jobcenter", learned)
    assert stated_in_words("sgb2", stated, "de", date(2026, 6, 1), BERLIN) == (
        "Bürgergeld: ja (das Jobcenter; vom 1. Januar 2026 bis zum 15. Juni 2026; uns bekannt seit dem 1. April 2026)"
    )
    assert "; bis zum 15. Juni 2026;" in stated_in_words("sgb2", stated, "de", date(2026, 6, 20), BERLIN)
    assert value_in_words("school_route_m", 3501, "en") == "3501 metres"
    assert value_in_words("household_net_income", 123450, "de") == "1.234,50 Euro im Monat"
    assert value_in_words("birth_date", value_from_json("birth_date", "2015-03-01"), "de") == "1. März 2015"


def test_nobody_is_told_a_first_day_of_what_never_began() -> None:
    born = Stated(
        date(1992, 8, 17), date(1900, 1, 1), None, "melderegister", datetime(2026, 9, 16, tzinfo=UTC)
    )
    for language in LANGUAGES:
        said = stated_in_words("birth_date", born, language, date(2026, 9, 16), BERLIN)
        assert "1992" in said
        assert "1900" not in said
