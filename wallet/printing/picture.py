"""The card as a picture: the same for everybody but for name, number, day and code.

Letters are left to whoever shows or prints the SVG: names come in every script, and no font of ours has them all.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from typing import Final
from xml.sax.saxutils import escape

from entitlements.notices.rules import day_in_words
from wallet.codes.picture import Drawing, budget, draw
from wallet.codes.text import Kind


class Size(StrEnum):
    """How large the card is printed."""

    CARD = "card"
    """As a bank card."""
    LARGE = "large"
    """A5, in large type."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A card's measures in millimetres."""

    width: float
    height: float
    margin: float
    code: float
    title: float
    name: float
    small: float


LAYOUTS: Final = {
    Size.CARD: Layout(85.6, 53.98, 4.5, 41.0, 3.5, 3.9, 2.5),
    Size.LARGE: Layout(210.0, 148.0, 12.0, 100.0, 8.4, 9.5, 6.0),
}

_LABELS: Final = {
    "de": ("Gültig bis", "Kartennummer", "Nur mit Ausweis gültig", "Code der Karte"),
    "de-simple": ("Die Karte gilt bis", "Nummer", "Bitte Ausweis zeigen", "Code von der Karte"),
    "en": ("Valid until", "Card number", "Only valid with an ID", "Code of the card"),
}
_BREAKS: Final = re.compile(r"([^\s-]*-|[^\s-]+)(\s*)")
_BOLD: Final = 1.25
_SCALES: Final = {Size.CARD: 8, Size.LARGE: 20}
"""Pixels a module."""


@dataclass(frozen=True, slots=True)
class Face:
    """What is printed on one card."""

    title: str
    name: str
    number: str
    last_day: date
    text: str
    language: str


def last_day_of(first_day_without: date) -> date:
    """The day that is printed: a card that ends at midnight holds until the day before."""
    return first_day_without - timedelta(days=1)


def svg(face: Face, host: str, size: Size) -> bytes:
    """The card as SVG. Takes tens of milliseconds: give it a thread."""
    layout = LAYOUTS[size]
    until, number, with_id, label = _LABELS[face.language]
    column = layout.width - layout.code - 2 * layout.margin
    written = _Column(layout.margin)
    for line in _wrapped(face.title, _fits(column, layout.title * _BOLD)):
        written.add(line, layout.title, weight="bold")
    written.skip(layout.small)
    name, height = _lines_of_name(face.name, column, layout.name)
    for line in name:
        written.add(line, height)
    written.skip(layout.small)
    for head, value in ((until, day_in_words(face.last_day, face.language)), (number, face.number)):
        written.add(head, layout.small, fill="#444")
        written.add(value, layout.small * 1.25)
    for line in _wrapped(with_id, _fits(column, layout.small)):
        written.add(line, layout.small, fill="#444")
    code = _code(face.text, host).svg(label)
    x, y = layout.width - layout.code - layout.margin / 2, (layout.height - layout.code) / 2
    placed = code.replace(
        "<svg ", f'<svg x="{x:g}" y="{y:g}" width="{layout.code:g}" height="{layout.code:g}" ', 1
    )
    width, height = layout.width, layout.height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}mm" height="{height:g}mm" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" lang="{face.language.partition("-")[0]}">'
        f"<title>{escape(face.title)}</title>"
        f'<rect x="0.2" y="0.2" width="{width - 0.4:g}" height="{height - 0.4:g}" rx="3" '
        f'fill="#fff" stroke="#888" stroke-width="0.2"/>'
        f'<g font-family="Fira Sans, Noto Sans, DejaVu Sans, sans-serif">{"".join(written.texts)}</g>'
        f"{placed}</svg>"
    ).encode()


def png(face: Face, host: str, size: Size) -> bytes:
    """The card's code alone as PNG, to be set into a letter or shown on a screen."""
    return _code(face.text, host).png(scale=_SCALES[size])


class _Column:
    """Lines of text in SVG, one below the other."""

    def __init__(self, margin: float) -> None:
        self._x, self._y = margin, margin
        self.texts: list[str] = []

    def add(self, line: str, height: float, *, weight: str = "normal", fill: str = "#000") -> None:
        self._y += height * 1.3
        self.texts.append(
            f'<text x="{self._x:g}" y="{self._y:.2f}" font-size="{height:g}" font-weight="{weight}" '
            f'fill="{fill}">{escape(line)}</text>'
        )

    def skip(self, height: float) -> None:
        self._y += height


def _code(text: str, host: str) -> Drawing:
    return draw(text, _version(host))


@cache
def _version(host: str) -> int:
    # One version for all: a smaller code would tell that a name is short.
    return budget(host).version(Kind.PRINTED)


def _lines_of_name(name: str, width: float, height: float) -> tuple[list[str], float]:
    """The name in a few lines, in smaller letters where it is long; only the very longest are cut off."""
    for shrunk, most in ((height, 3), (height * 0.87, 4), (height * 0.75, 4)):
        lines = _wrapped(name, _fits(width, shrunk))
        if len(lines) <= most and not any(line.endswith("…") for line in lines):
            return lines, shrunk
    rest = lines[most - 1 :]
    return [*lines[: most - 1], rest[0] if len(rest) == 1 else rest[0].rstrip("…") + "…"], shrunk


def _wrapped(text: str, fits: Callable[[str], bool]) -> list[str]:
    """The text in lines that fit, broken at spaces and behind hyphens; a longer word is cut off."""
    lines: list[str] = []
    for part, after in _BREAKS.findall(text):
        # A part knows whether a space stood behind it; lines carry it until they end.
        if lines and fits((lines[-1] + part).strip()):
            lines[-1] += part + after
        else:
            lines.append(part + after)
    return [_cut(line.strip(), fits) for line in lines]


def _cut(line: str, fits: Callable[[str], bool]) -> str:
    if fits(line):
        return line
    while line and not fits(line + "…"):
        line = line[:-1]
    return line + "…"


def _fits(width: float, height: float) -> Callable[[str], bool]:
    # Whoever renders the SVG chooses the font: a letter is reckoned at a little more than half its height.
    return lambda line: len(line) * height * 0.57 <= width
