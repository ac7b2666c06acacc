"""Turns a reason, kept as code and parameters, into a sentence in the reader's language."""

from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from entitlements.facts.catalogue import RULEBOOKS, label_of

from .programmes import Param, Rulebook
from .rules import SYSTEM_REASONS, Reason

NAMES_OF_THINGS = ("fact", "register", "household")
DAYS = ("on", "since", "until")


@cache
def _texts(path: Path) -> Mapping[str, Any]:
    with path.open(encoding="utf-8") as file:
        return dict(yaml.safe_load(file))


def texts() -> Mapping[str, Any]:
    """The texts of all reasons, by code and language."""
    return _texts(RULEBOOKS / "texts" / "reasons.yaml")


def render(reason: Reason, language: str) -> str:
    """The reason as a sentence with the law it rests on; things are called as they were on the day decided for."""
    given = reason.params.get("on")
    on = date.fromisoformat(given) if isinstance(given, str) else None
    words = {name: _word(name, value, language, on) for name, value in reason.params.items()}
    text = texts()["reasons"][reason.code][language].format_map(words)
    return str(texts()["with_statute"][language].format(text=text, statute=words["statute"]))


def _word(name: str, value: Param, language: str, on: date | None) -> str:
    if name in NAMES_OF_THINGS:
        return label_of(str(value), language, on)
    if name in DAYS and isinstance(value, str):
        return word_of_day(date.fromisoformat(value), language)
    if name.endswith("cents") and isinstance(value, int):
        return word_of_money(value, language)
    return str(value)


def word_of_day(day: date, language: str) -> str:
    """A day as it is written in a language."""
    return day.isoformat() if language == "en" else f"{day.day}.{day.month}.{day.year}"


def word_of_money(cents: int, language: str) -> str:
    """An amount in euros."""
    euros = f"{cents // 100}.{cents % 100:02}"
    return f"€{euros}" if language == "en" else f"{euros.replace('.', ',')} €"


def reason_codes(rulebook: Rulebook) -> frozenset[str]:
    """Every reason code that some rule of the rulebook can give."""
    own = {
        template.code
        for rules in rulebook.programmes.values()
        for version in rules.versions
        for template, _ in version.reasons()
    }
    return frozenset(own | SYSTEM_REASONS)
