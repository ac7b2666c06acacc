"""What notices say: texts as data, checked when they are read, and rendered without a database."""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from entitlements.facts.catalogue import label_of

FILE = Path(__file__).parents[2] / "rulebooks" / "texts" / "notices.yaml"
LANGUAGES = ("de", "de-simple", "en")

_MONTHS = {
    "de": (
        "Januar", "Februar", "März", "April", "Mai", "Juni",
        "Juli", "August", "September", "Oktober", "November", "Dezember",
    ),
    "en": (
        "January", "February", "March", "April", "May", "June",
        "July", "August", "September", "October", "November", "December",
    ),
}  # fmt: skip

_CARRIERS = {
    "phone": {"de": "auf dem Telefon", "de-simple": "auf dem Telefon", "en": "on your phone"},
    "paper": {"de": "auf Papier", "de-simple": "aus Papier", "en": "on paper"},
    "wallet": {
        "de": "in Ihrer digitalen Brieftasche",
        "de-simple": "in Ihrer digitalen Brief-Tasche",
        "en": "in your digital wallet",
    },
}


class Param(StrEnum):
    """What a placeholder stands for, and so how it is written."""

    PROGRAMME = "programme"
    ALLOWANCE = "allowance"
    DAY = "day"
    CENTS = "cents"
    FACT = "fact"
    REGISTER = "register"
    CARRIER = "carrier"
    """What a card is on: the phone, paper, a wallet of others."""


class TextsError(ValueError):
    """The file of texts says something that cannot be."""


class Mismatched(ValueError):
    """A notice was owed with other parameters than its text names."""


@dataclass(frozen=True, slots=True)
class Text:
    """A notice as a person reads it."""

    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Template:
    """A notice's texts in every language, and what their placeholders stand for."""

    params: Mapping[str, Param]
    texts: Mapping[str, Text]

    def require(self, given: Mapping[str, object]) -> None:
        """Raises unless exactly the parameters that the text names are given."""
        if set(given) != set(self.params):
            raise Mismatched(f"this notice needs {sorted(self.params)}, not {sorted(given)}")


def language_of(wanted: str) -> str:
    """The language that we have for one that was asked for; German where we have none."""
    return wanted if wanted in LANGUAGES else "de"


def day_in_words(day: date, language: str) -> str:
    """A day as people write it: 4. Oktober 2026, 4 October 2026."""
    if language == "en":
        return f"{day.day} {_MONTHS['en'][day.month - 1]} {day.year}"
    return f"{day.day}. {_MONTHS['de'][day.month - 1]} {day.year}"


def cents_in_words(cents: int, language: str) -> str:
    """An amount as people write it: 1.234,50 Euro, 1,234.50 euros."""
    whole, rest = divmod(abs(cents), 100)
    sign = "-" if cents < 0 else ""
    if language == "en":
        return f"{sign}{whole:,}.{rest:02d} euros"
    grouped = f"{whole:,}".replace(",", ".")
    return f"{sign}{grouped},{rest:02d} Euro" if rest else f"{sign}{grouped} Euro"


def render(code: str, params: Mapping[str, Any], language: str, names: Mapping[str, str]) -> Text:
    """What a notice says: `names` are the names of programmes and allowances in that language."""
    template, language = TEXTS[code], language_of(language)
    written: dict[str, str] = {}
    # Things are called as they will be on the day that the notice speaks of.
    on = next(
        (date.fromisoformat(params[n]) for n, kind in template.params.items() if kind is Param.DAY), None
    )
    for name, kind in template.params.items():
        match kind:
            case Param.DAY:
                written[name] = day_in_words(date.fromisoformat(params[name]), language)
            case Param.CENTS:
                written[name] = cents_in_words(int(params[name]), language)
            case Param.FACT | Param.REGISTER:
                written[name] = label_of(params[name], language, on)
            case Param.CARRIER:
                written[name] = _CARRIERS[params[name]][language]
            case Param.PROGRAMME | Param.ALLOWANCE:
                written[name] = names.get(params[name], params[name])
    text = template.texts[language]
    return Text(text.title.format_map(written), text.body.format_map(written))


def read_texts(path: Path) -> Mapping[str, Template]:
    """Reads the texts, and refuses the file as a whole if a language or a placeholder is missing."""
    with path.open(encoding="utf-8") as file:
        source = yaml.safe_load(file)
    return {code: _template(code, entry) for code, entry in source.items()}


def _template(code: str, entry: Mapping[str, Any]) -> Template:
    try:
        params = {name: Param(kind) for name, kind in entry.get("params", {}).items()}
        texts = {
            language: Text(entry["title"][language].strip(), entry["text"][language].strip())
            for language in LANGUAGES
        }
    except (KeyError, ValueError, AttributeError) as error:
        raise TextsError(f"{code} lacks or misnames {error}") from error
    for language, text in texts.items():
        named = {
            field
            for part in (text.title, text.body)
            for _, field, _, _ in string.Formatter().parse(part)
            if field
        }
        if named - set(params):
            raise TextsError(
                f"{code} in {language} names {sorted(named - set(params))}, which is no parameter"
            )
    return Template(params, texts)


TEXTS: Mapping[str, Template] = read_texts(FILE)
