"""What every page shares: the languages it can be read in, and the texts in them."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml

LANGUAGES: Mapping[str, str] = {"de": "Deutsch", "de-simple": "Leichte Sprache", "en": "English"}
"""Every language that pages are written in, German first."""

SHARED: Mapping[str, Mapping[str, str]] = {
    "de": {
        "skip": "Zum Inhalt",
        "languages": "Sprache",
        "name": "Stadtkarte",
        "footer": "Diese Seite lädt nichts von anderen Anbietern und setzt ohne Anmeldung kein Cookie.",
    },
    "de-simple": {
        "skip": "Zum Text",
        "languages": "Sprache",
        "name": "Stadt-Karte",
        "footer": "Diese Seite gibt Ihre Daten nicht an andere weiter.",
    },
    "en": {
        "skip": "Skip to content",
        "languages": "Language",
        "name": "City card",
        "footer": "This page loads nothing from third parties and sets no cookie before you sign in.",
    },
}


@cache
def texts(path: Path) -> Mapping[str, Mapping[str, str]]:
    """Texts of a page by language, from a YAML file that has every key in every language."""
    with path.open(encoding="utf-8") as file:
        loaded: dict[str, dict[str, str]] = yaml.safe_load(file)
    return {code: {**SHARED[code], **loaded[code]} for code in LANGUAGES}
