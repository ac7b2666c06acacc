"""Where everything stands on a printed card: one design for everybody, in millimetres, for whoever draws it.

A band with the city's name, the person's name, until when, the number, and a code as large as there is room. Nothing
on it differs with what its holder is entitled to.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from entitlements.notices.rules import day_in_words

INK: Final = "#111111"
QUIET_INK: Final = "#424242"
"""Of labels; nine to one against white."""
PAPER: Final = "#ffffff"
BAND: Final = "#14365d"
STRIPE: Final = "#f0b323"

Measure = Callable[[str, bool], float]
"""How wide a text is (bold or not), in heights of its letters."""


class Size(StrEnum):
    """How large the card is printed."""

    CARD = "card"
    """As a bank card (ISO/IEC 7810, ID-1)."""
    LARGE = "large"
    """A4, in large type."""


class Part(StrEnum):
    """What a block of text is to somebody who hears the card instead of seeing it."""

    HEADING = "H1"
    PARAGRAPH = "P"


@dataclass(frozen=True, slots=True)
class Layout:
    """A card's measures in millimetres."""

    width: float
    height: float
    band: float
    stripe: float
    left: float
    column: float
    """How wide lines of text may be below the band."""
    top: float
    """Where the name begins."""
    bottom: float
    """Where the last line stands."""
    code: tuple[float, float, float]
    """Left, top and side of the code, with the light around it."""
    title: float
    name: float
    label: float
    value: float


LAYOUTS: Final = {
    Size.CARD: Layout(85.6, 53.98, 11.4, 0.9, 4.6, 39.4, 15.0, 50.2, (44.4, 12.9, 40.2), 5.2, 4.7, 2.55, 3.5),
    Size.LARGE: Layout(
        210.0, 297.0, 40.0, 3.0, 16.0, 178.0, 50.0, 165.0, (44.0, 170.0, 122.0), 19.0, 15.0, 7.8, 11.0
    ),
}

_LABELS: Final = {
    "de": ("Gültig bis", "Kartennummer", "Nur mit Ausweis gültig", "Code der Karte"),
    "de-simple": ("Die Karte gilt bis", "Nummer", "Bitte Ausweis zeigen", "Code von der Karte"),
    "en": ("Valid until", "Card number", "Only valid with an ID", "Code of the card"),
}
_BREAKS: Final = re.compile(r"([^\s-]*-|[^\s-]+)(\s*)")
_LEADING: Final = 1.22
_SHRUNK: Final = ((1.0, 2), (0.86, 3), (0.65, 4))
"""How much smaller a name is set, and in how many lines at most."""


@dataclass(frozen=True, slots=True)
class Face:
    """What is printed on one card."""

    title: str
    given: str
    family: str
    number: str
    last_day: date
    text: str
    language: str

    @property
    def name(self) -> str:
        """The name in the order in which it is spoken."""
        return f"{self.given} {self.family}".strip()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text: where it begins, on which line it stands, how high its letters are."""

    x: float
    y: float
    height: float
    text: str
    bold: bool
    ink: str


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that belong together."""

    part: Part
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Box:
    """A coloured ground."""

    x: float
    y: float
    width: float
    height: float
    colour: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A card with everything in its place."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    blocks: tuple[Block, ...]
    code: tuple[float, float, float]
    code_label: str


def last_day_of(first_day_without: date) -> date:
    """The day that is printed: a card that ends at midnight holds until the day before."""
    return first_day_without - timedelta(days=1)


def compose(face: Face, size: Size, measure: Measure) -> Sheet:
    """Sets a card: the name at the top, until when and the number at the foot, the code beside or below."""
    layout = LAYOUTS[size]
    until, number, with_id, label = _LABELS[face.language]
    said = (
        ((until, False), (day_in_words(face.last_day, face.language), True)),
        ((number, False), (face.number, True)),
        ((with_id, False),),
    )
    return Sheet(
        layout.width,
        layout.height,
        (
            Box(0, 0, layout.width, layout.band, BAND),
            Box(0, layout.band, layout.width, layout.stripe, STRIPE),
        ),
        (
            Block(Part.HEADING, tuple(_heading(face.title, layout, measure))),
            Block(Part.PARAGRAPH, tuple(_name(face.name, layout, measure))),
            *_foot(said, layout, measure),
        ),
        layout.code,
        label,
    )


def name_lines(name: str, size: Size, measure: Measure) -> list[str]:
    """The lines in which a card says this name."""
    return _lines_of_name(name, LAYOUTS[size], measure)[0]


def _heading(title: str, layout: Layout, measure: Measure) -> Iterator[Line]:
    room = layout.width - 2 * layout.left
    height = min(layout.title, room / max(measure(title, True), 0.01))
    # Capitals are about seven tenths of a letter's height: so they stand in the middle of the band.
    yield Line(layout.left, (layout.band + 0.71 * height) / 2, height, title, True, PAPER)


def _name(name: str, layout: Layout, measure: Measure) -> Iterator[Line]:
    lines, height = _lines_of_name(name, layout, measure)
    for row, line in enumerate(lines):
        yield Line(layout.left, layout.top + height * (1 + _LEADING * row), height, line, True, INK)


def _foot(said: Sequence[Sequence[tuple[str, bool]]], layout: Layout, measure: Measure) -> tuple[Block, ...]:
    # From the last line upwards, so that what is left over lies between the name and these.
    blocks: list[Block] = []
    y = layout.bottom
    for group in reversed(said):
        lines: list[Line] = []
        for text, is_value in reversed(group):
            height = layout.value if is_value else layout.label
            for line in reversed(_wrapped(text, _fits(measure, layout.column, height, bold=is_value))):
                lines.append(Line(layout.left, y, height, line, is_value, INK if is_value else QUIET_INK))
                y -= height * _LEADING
        y -= layout.label * 0.5
        blocks.append(Block(Part.PARAGRAPH, tuple(reversed(lines))))
    return tuple(reversed(blocks))


def _lines_of_name(name: str, layout: Layout, measure: Measure) -> tuple[list[str], float]:
    """The name in a few lines, in smaller letters where it is long; only the very longest are cut off."""
    lines, shrunk, most = [name], layout.name, 1
    for share, most in _SHRUNK:
        shrunk = layout.name * share
        lines = _wrapped(name, _fits(measure, layout.column, shrunk, bold=True))
        if len(lines) <= most and not any(line.endswith("…") for line in lines):
            return lines, shrunk
    if len(lines) <= most:
        return lines, shrunk
    # Where a line ends with a hyphen, no space stood behind it.
    rest = "".join(line if line.endswith("-") else f"{line} " for line in lines[most - 1 :]).strip()
    return [*lines[: most - 1], _cut(rest, _fits(measure, layout.column, shrunk, bold=True))], shrunk


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


def _fits(measure: Measure, width: float, height: float, *, bold: bool) -> Callable[[str], bool]:
    return lambda line: measure(line, bold) * height <= width
