"""What every page shares: the language a reader asked for, and the texts in it."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from litestar import Request

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


def language_of(request: Request[Any, Any, Any]) -> str:
    """The language to answer in: `?lang=`, else the first of Accept-Language that we speak, else German."""
    asked = request.query_params.get("lang")
    if asked in LANGUAGES:
        return str(asked)
    for part in request.headers.get("accept-language", "").split(","):
        code = part.split(";")[0].strip().lower()
        for known in (code, code.split("-")[0]):
            if known in LANGUAGES:
                return known
    return "de"


@cache
def texts(path: Path) -> Mapping[str, Mapping[str, str]]:
    """Texts of a page by language, from a YAML file that has every key in every language."""
    with path.open(encoding="utf-8") as file:
        loaded: dict[str, dict[str, str]] = yaml.safe_load(file)
    return {code: {**SHARED[code], **loaded[code]} for code in LANGUAGES}
