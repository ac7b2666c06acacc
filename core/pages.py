"""What every page shares: the languages it can be read in, the texts in them, and how a problem is told on a page."""

from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml
from litestar import Request
from litestar.response import Template

from core.errors import PREFIX, ProblemResponse
from core.languages import language_of

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


PROBLEMS = Path(__file__).parent / "problems.yaml"

_KINDS: Mapping[int, str] = {
    401: "unknown",
    403: "foreign",
    404: "nowhere",
    429: "slowly",
}

Handler = Callable[[Request[Any, Any, Any], Any], ProblemResponse]


def told_to_people(handlers: Mapping[int | type[Exception], Handler]) -> dict[int | type[Exception], Any]:
    """The same handlers, which answer a person's browser with a page in words, and everybody else as before."""
    return {kind: _told(handler) for kind, handler in handlers.items()}


def _told(handler: Handler) -> Callable[[Request[Any, Any, Any], Exception], ProblemResponse | Template]:
    def answer(request: Request[Any, Any, Any], error: Exception) -> ProblemResponse | Template:
        problem = handler(request, error)
        # Programs ask for anything or for JSON; what lies under /v1 speaks JSON to everybody.
        reads = "text/html" in request.headers.get("accept", "")
        return _page(request, problem) if reads and not request.scope["path"].startswith("/v1/") else problem

    return answer


def _page(request: Request[Any, Any, Any], problem: ProblemResponse) -> Template:
    language, status = language_of(request), problem.content["status"]
    kind = _KINDS.get(status, "ours" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "failed")
    if problem.content["type"] == f"{PREFIX}sign-in-failed":
        kind = "unfinished"
    words, wait = texts(PROBLEMS)[language], problem.headers.get("Retry-After", "")
    return Template(
        "problem.html",
        status_code=status,
        headers=problem.headers,
        context={
            "language": language,
            "languages": LANGUAGES,
            "t": words,
            # What was asked for may be no page at all: another language begins at the start.
            "here": "/",
            "heading": words[kind],
            "what": words[f"{kind}_what"],
            "minutes": -(-int(wait) // 60) if wait.isdecimal() else None,
            "sign_in": kind in {"unknown", "unfinished"},
        },
    )
