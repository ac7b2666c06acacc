"""The card as a picture: the same for everybody but for name, number, day and code."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache, lru_cache
from typing import Final
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw, ImageFont

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
    Size.CARD: Layout(85.6, 53.98, 4.5, 41.0, 4.2, 3.9, 2.5),
    Size.LARGE: Layout(210.0, 148.0, 12.0, 100.0, 12.0, 11.0, 7.0),
}

_LABELS: Final = {
    "de": ("Gültig bis", "Kartennummer", "Gilt zusammen mit einem Ausweis", "Code der Karte"),
    "de-simple": ("Die Karte gilt bis", "Nummer", "Bitte Ausweis zeigen", "Code von der Karte"),
    "en": ("Valid until", "Card number", "Valid together with an ID", "Code of the card"),
}
_BREAKS: Final = re.compile(r"([^\s-]*-|[^\s-]+)(\s*)")
_DPI: Final = 300
_MILLIMETRES: Final = 25.4


@dataclass(frozen=True, slots=True)
class Face:
    """What is printed on one card."""

    title: str
    name: str
    plain_name: str
    """The name in an ID's letters, where a font lacks its own."""
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
    for line in _wrapped(face.title, _in_svg(column, layout.title)):
        written.add(line, layout.title, weight="bold")
    written.skip(layout.small)
    for line in _wrapped(face.name, _in_svg(column, layout.name)):
        written.add(line, layout.name)
    written.skip(layout.small)
    for head, value in ((until, day_in_words(face.last_day, face.language)), (number, face.number)):
        written.add(head, layout.small, fill="#444")
        written.add(value, layout.small * 1.25)
    for line in _wrapped(with_id, _in_svg(column, layout.small)):
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
    """The card as PNG, 300 dots an inch. Takes tens of milliseconds: give it a thread."""
    layout = LAYOUTS[size]
    until, number, with_id, _ = _LABELS[face.language]
    picture = Image.new("L", (_dots(layout.width), _dots(layout.height)), 255)
    pen = ImageDraw.Draw(picture)
    column = _dots(layout.width - layout.code - 2 * layout.margin)
    y = _dots(layout.margin)
    name = face.name if _has_all(face.name) else face.plain_name.replace("<", " ")
    blocks = [
        (face.title, layout.title, 0),
        (name, layout.name, 0),
        (until, layout.small, 70),
        (day_in_words(face.last_day, face.language), layout.small * 1.25, 0),
        (number, layout.small, 70),
        (face.number, layout.small * 1.25, 0),
        (with_id, layout.small, 70),
    ]
    for at, (text, height, grey) in enumerate(blocks):
        font = _font(_dots(height))
        for line in _wrapped(text, _in_dots(column, font)):
            pen.text((_dots(layout.margin), y), line, fill=grey, font=font)
            y += _dots(height * 1.3)
        if at < 2:
            y += _dots(layout.small)
    code = _code(face.text, host)
    # Whole dots a module, or the code is blurred before anybody has held a camera to it.
    modules = len(code.rows) + 8
    drawn = Image.open(io.BytesIO(code.png(scale=max(1, _dots(layout.code) // modules)))).convert("L")
    picture.paste(
        drawn,
        (picture.width - drawn.width - _dots(layout.margin / 2), (picture.height - drawn.height) // 2),
    )
    out = io.BytesIO()
    picture.save(out, "PNG", dpi=(_DPI, _DPI), optimize=True)
    return out.getvalue()


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


@lru_cache(maxsize=16)
def _font(dots: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(dots)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("pictures of cards need Pillow with FreeType")
    return font


def _has_all(text: str) -> bool:
    """Whether the font has a shape for every sign: one that is missing is drawn as the same empty box."""
    font = _font(40)
    missing = bytes(font.getmask("\U0010fffd"))
    return all(sign.isspace() or bytes(font.getmask(sign)) != missing for sign in text)


def _dots(millimetres: float) -> int:
    return round(millimetres / _MILLIMETRES * _DPI)


def _wrapped(text: str, fits: Callable[[str], bool]) -> list[str]:
    """The text in lines that fit, broken at spaces and behind hyphens; at most four, the rest is cut off."""
    lines: list[str] = []
    for part, after in _BREAKS.findall(text):
        # A part knows whether a space stood behind it; lines carry it until they end.
        if lines and fits((lines[-1] + part).strip()):
            lines[-1] += part + after
        else:
            lines.append(part + after)
    return [_cut(line.strip(), fits) for line in lines[:4]]


def _cut(line: str, fits: Callable[[str], bool]) -> str:
    if fits(line):
        return line
    while line and not fits(line + "…"):
        line = line[:-1]
    return line + "…"


def _in_svg(width: float, height: float) -> Callable[[str], bool]:
    # Whoever renders the SVG chooses the font: a letter is reckoned at a little more than half its height.
    return lambda line: len(line) * height * 0.57 <= width


def _in_dots(width: int, font: ImageFont.FreeTypeFont) -> Callable[[str], bool]:
    return lambda line: font.getlength(line) <= width
