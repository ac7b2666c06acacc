"""In which language somebody is answered: one rule for every page and every door."""

from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any

from litestar import Request
from litestar.params import QueryParameter


class Language(StrEnum):
    """The languages in which texts for people exist, German first."""

    DE = "de"
    DE_SIMPLE = "de-simple"
    """Plain German (Leichte Sprache)."""
    EN = "en"


@lru_cache(maxsize=256)
def preferred(header: str | None) -> Language:
    """What an Accept-Language header likes best of what we speak (RFC 9110 §12.5.4); German where it names none.

    Of two that it likes alike, the first. `de-AT` is answered in German, `de-simple` and its relatives in plain German.
    """
    best, liked = Language.DE, 0.0
    for wish in (header or "").lower().split(","):
        tag, *parameters = (part.strip() for part in wish.split(";"))
        spoken, weight = _spoken(tag), _weight(parameters)
        if spoken is not None and weight > liked:
            best, liked = spoken, weight
    return best


def _spoken(tag: str) -> Language | None:
    if tag.startswith("de-simple") or (tag.startswith("de-") and tag.endswith("-simple")):
        return Language.DE_SIMPLE
    primary = tag.partition("-")[0]
    return Language(primary) if primary in {Language.DE, Language.EN} else None


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def language_of(request: Request[Any, Any, Any]) -> Language:
    """For pages and pictures: `?lang=` where we speak it, else what Accept-Language likes best."""
    if request.scope["query_string"]:
        asked = request.query_params.get("lang")
        if asked in set(Language):
            return Language(asked)
    return preferred(request.headers.get("accept-language"))


def provide_language(
    request: Request[Any, Any, Any],
    lang: Annotated[
        Language | None,
        QueryParameter(
            description="The language of the texts in the answer. Without it, what Accept-Language likes best of "
            "these; German where it names none of them."
        ),
    ] = None,
) -> Language:
    """For doors of the API, by the name `language`: as pages have it, and 400 for a language that we do not speak."""
    return lang or preferred(request.headers.get("accept-language"))
