"""What is said about a rule that cannot be read: a stable code with parameters, a place, and texts that are data."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

TEXTS = Path(__file__).parents[2] / "rulebooks" / "texts" / "language.yaml"
LANGUAGES = ("de", "en")
MOST_LISTED = 30
"""So many names a message lists; of more it only says that there is a list."""
MOST_QUOTED, MOST_SHOWN = 60, 400
"""So much a message repeats of a word that somebody wrote, and of anything else."""

Detail = str | int | tuple[str, ...]


@cache
def catalogue() -> Mapping[str, Mapping[str, Any]]:
    """The texts by section, code and language."""
    with TEXTS.open(encoding="utf-8") as file:
        found: Mapping[str, Mapping[str, Any]] = yaml.safe_load(file)
    return found


def text_of(code: str, params: Mapping[str, Detail], advice: str = "", language: str = "en") -> str:
    """The sentence for a code, followed by what to do about it."""
    said = _filled("errors", code, params, language)
    return f"{said}; {_filled('advice', advice, params, language)}" if advice else said


def _filled(section: str, code: str, params: Mapping[str, Detail], language: str) -> str:
    texts = catalogue()[section].get(code)
    if texts is None:
        return code
    words = catalogue()["words"]
    shown = {
        name: _shown(value, words, language, MOST_QUOTED if name == "found" else MOST_SHOWN)
        for name, value in params.items()
    }
    return str(texts[language]).format(**shown)


def _known(language: str) -> str:
    """The nearest language that the catalogue has: authors of rules read German where others read plain German."""
    return next((known for known in LANGUAGES if language.startswith(known)), "en")


def _shown(value: Detail, words: Mapping[str, Any], language: str, most: int) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    text = str(value)
    if text in words:
        return str(words[text][language])
    return text if len(text) <= most else text[:most] + "…"


class Mismatch(ValueError):
    """A rule cannot be put together like this; the message says what to write instead."""

    def __init__(self, code: str, *, advice: str = "", **params: Detail) -> None:
        super().__init__(text_of(code, params, advice))
        self.code, self.advice, self.params = code, advice, params


class RuleError(ValueError):
    """A rule that cannot be read: what is wrong, where, and what to write instead.

    `line` and `column` count from 1 within the text, and are 0 where no text is meant; `place` names the field of
    a form or the cell of a table.
    """

    def __init__(self, wrong: Mismatch, line: int = 0, column: int = 0, length: int = 0) -> None:
        self.code, self.advice, self.params = wrong.code, wrong.advice, wrong.params
        self.message = str(wrong)
        self.line, self.column, self.length = line, column, length
        self.place = ""
        super().__init__(self.message)

    def at(self, place: str) -> "RuleError":
        """The same, in this field of a form or cell of a table."""
        self.place = f"{place}.{self.place}" if self.place else place
        return self

    def __str__(self) -> str:
        return self.complaint("en")

    def where(self, language: str) -> str:
        """The field or cell, and the line and column in its text; empty where the whole is meant."""
        written = str(catalogue()["words"]["@place"][_known(language)]).format(
            line=self.line, column=self.column
        )
        return ", ".join(part for part in (self.place, written if self.line else "") if part)

    def complaint(self, language: str) -> str:
        """Where, what is wrong and what to do, in one line."""
        where, said = self.where(language), self.text(language)
        return f"{where}: {said}" if where else said

    def text(self, language: str) -> str:
        """What is wrong and what to do, in the nearest language of the catalogue."""
        return text_of(self.code, self.params, self.advice, _known(language))

    def excerpt(self, source: str) -> str:
        """The line of the text, and below it a caret under what is meant."""
        if not self.line:
            return ""
        lines = source.split("\n")
        line = lines[self.line - 1] if self.line <= len(lines) else ""
        reach = max(1, min(self.length, len(line) - self.column + 1))
        # Tabs stay tabs, so that the caret stands where the reader sees the word.
        indent = "".join(c if c == "\t" else " " for c in line[: self.column - 1])
        return f"{line}\n{indent}^{'~' * (reach - 1)}"
