"""Puts the values of facts into words, as data says them; for explanations and for forms."""

from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from entitlements.facts.catalogue import CATALOGUE, RULEBOOKS
from entitlements.language import Kind, Value
from entitlements.notices.rules import cents_in_words, day_in_words, language_of

FILE = RULEBOOKS / "texts" / "explanations.yaml"


@cache
def _read(path: Path) -> Mapping[str, Any]:
    with path.open(encoding="utf-8") as file:
        # YAML reads yes and no as true and false, also where they are names.
        return {
            part: {_plain(key): value for key, value in entry.items()}
            for part, entry in yaml.safe_load(file).items()
        }


def _plain(key: object) -> str:
    return ("yes" if key else "no") if isinstance(key, bool) else str(key)


def texts() -> Mapping[str, Any]:
    """The texts by which decisions explain themselves, by what they are for and language."""
    return _read(FILE)


def value_in_words(fact: str, value: Value, language: str) -> str:
    """A fact's value as people say it."""
    language, kind = language_of(language), CATALOGUE.get(fact)
    if isinstance(value, bool):
        return str(texts()["values"]["yes" if value else "no"][language])
    if isinstance(value, date):
        return day_in_words(value, language)
    if isinstance(value, str):
        named = texts()["members"].get(fact, {}).get(value)
        return str(named[language]) if named else value
    unit = texts()["units"].get(kind.unit if kind else "")
    if unit is not None:
        return str(unit[language]).format(number=value, euros=cents_in_words(value, language))
    if kind is not None and kind.type is Kind.CENTS:
        return cents_in_words(value, language)
    return f"{value} {kind.unit}".strip() if kind else str(value)


def value_from_json(fact: str, stored: Any) -> Value:
    """A fact's value as it was stored in JSON."""
    kind = CATALOGUE.get(fact)
    typed: Value = date.fromisoformat(stored) if kind is not None and kind.type is Kind.DAY else stored
    return typed
