"""What outcomes and reasons are called in the languages of the people at the till and before it."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import yaml

from core.languages import Language

Words = Mapping[str, Mapping[str, Mapping[str, str]]]


@lru_cache(maxsize=8)
def words(file: Path) -> Words:
    """The texts of a file, by group, code and language."""
    read: Words = yaml.safe_load(file.read_text("utf-8"))
    return read


def complete(texts: Words, group: str, codes: Iterable[str]) -> bool:
    """Whether each of these codes, and no other, has words in every language."""
    said = texts[group]
    return set(said) == set(codes) and all(
        set(by_language) == set(Language) and all(by_language.values()) for by_language in said.values()
    )
