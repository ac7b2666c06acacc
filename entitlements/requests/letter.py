"""The request as a letter: everything filled in, to be printed and signed."""

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from entitlements.facts.catalogue import RULEBOOKS
from entitlements.notices.rules import day_in_words, language_of
from entitlements.people.rules import PersonIdentity
from entitlements.requests.schemas import RequestView

FILE = RULEBOOKS / "texts" / "requests.yaml"


@cache
def _texts(path: Path) -> Mapping[str, Any]:
    with path.open(encoding="utf-8") as file:
        return dict(yaml.safe_load(file))


def texts() -> Mapping[str, Any]:
    """The letter in every language, and what stands where something is not known."""
    return _texts(FILE)


def letter(view: RequestView, identity: PersonIdentity | None, language: str) -> str:
    """The text of the letter; what the city does not know is left to be written by hand."""
    language = language_of(language)
    blank, who = str(texts()["unknown"][language]), identity or PersonIdentity()
    address = f"{who.street}, {who.postcode} {who.town}".strip(", ")
    return str(texts()["letter"][language]).format(
        programme=view.name,
        name=who.name or blank,
        born=_born(who.birth_date, language) or blank,
        address=address or blank,
        why=_list(view.why),
        brings=_list(view.brings),
        facts=_list(f"{one.label}: {one.value} ({one.register_label})" for one in view.filled_in),
        expires_on=day_in_words(view.expires_on, language),
        number=view.id,
    )


def _born(written: str, language: str) -> str:
    """A birth date in words; one that is known in part stays as it was written."""
    try:
        return day_in_words(date.fromisoformat(written), language)
    except ValueError:
        return written


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines) or "-"
