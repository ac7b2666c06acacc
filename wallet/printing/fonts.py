"""The letters that a PDF brings: Noto Sans, regular and bold, for Latin, Greek, Cyrillic and Arabic names.

HarfBuzz chooses and places the glyphs, because Arabic letters join and marks stand above others. A text with
letters that no font has is told so by `has`, and the caller prints another spelling.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from unicodedata import bidirectional

import uharfbuzz as hb

_BOLD: Final = 700.0
_REGULAR: Final = 400.0
_FILES: Final = {
    "latin": ("fontpkg_noto_sans", "NotoSans[wdth,wght].ttf"),
    "arabic": ("fontpkg_noto_sans_arabic", "NotoSansArabic[wdth,wght].ttf"),
}
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})
_UNLETTERED: Final = frozenset(
    {"GSUB", "GPOS", "GDEF", "STAT", "name", "meta", "DSIG", "post", "OS/2", "cmap"}
)
"""Tables that a PDF does not read: it names glyphs, and has the words beside them."""


class Script(StrEnum):
    """Which of the two families has a letter."""

    LATIN = "latin"
    """With Greek and Cyrillic."""
    ARABIC = "arabic"


@dataclass(frozen=True, slots=True)
class Glyph:
    """One glyph of a line: measures in thousandths of the letters' height."""

    number: int
    advance: float
    dx: float
    dy: float
    text: str
    """What it stands for; nothing where another glyph of its group says that already."""


@dataclass(frozen=True, slots=True)
class Run:
    """Glyphs of one font, from left to right."""

    script: Script
    bold: bool
    glyphs: tuple[Glyph, ...]

    @property
    def width(self) -> float:
        return sum(glyph.advance for glyph in self.glyphs)


@dataclass(frozen=True, slots=True)
class Cut:
    """A font with only the glyphs that are used, and what a PDF says of it."""

    name: str
    file: bytes
    box: tuple[int, int, int, int]
    ascent: int
    descent: int
    widths: dict[int, int]


class _Font:
    """One weight of one family, ready to shape."""

    def __init__(self, script: Script, *, bold: bool) -> None:
        package, file = _FILES[script.value]
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise RuntimeError(f"the fonts of {package} are not installed")
        source = hb.Face((Path(spec.origin).parent / "files" / file).read_bytes())
        whole = hb.SubsetInput()
        whole.keep_everything()
        whole.pin_axis_location(source, "wght", _BOLD if bold else _REGULAR)
        whole.pin_axis_location(source, "wdth", 100.0)
        self.face = hb.subset(source, whole)
        self.font = hb.Font(self.face)
        self.letters = frozenset(self.face.unicodes)
        self.scale = 1000 / self.face.upem
        self.name = (
            f"Noto{'SansArabic' if script is Script.ARABIC else 'Sans'}-{'Bold' if bold else 'Regular'}"
        )


@cache
def _font(script: Script, bold: bool) -> _Font:
    return _Font(script, bold=bold)


@cache
def _advances(script: Script, bold: bool) -> Callable[[int], int]:
    font = _font(script, bold)

    @cache
    def advance(number: int) -> int:
        moved: float = font.font.get_glyph_h_advance(number) * font.scale
        return round(moved)

    return advance


def has(text: str) -> bool:
    """Whether there is a glyph for every letter of the text."""
    return all(any(ord(letter) in _font(script, False).letters for script in Script) for letter in text)


@lru_cache(maxsize=4096)
def shape(text: str, bold: bool) -> tuple[Run, ...]:
    """The text as runs of glyphs, in the order in which they stand on the line from left to right."""
    runs = _directed(text)
    shaped = [_shaped(part, script, bold) for part, script, _ in runs]
    # A line reads in the direction of its first strong letter; within a run HarfBuzz has turned the glyphs.
    return tuple(reversed(shaped)) if runs and runs[0][2] else tuple(shaped)


def width(text: str, bold: bool) -> float:
    """How wide the text is, in heights of its letters."""
    return sum(run.width for run in shape(text, bold)) / 1000


def advances(script: Script, bold: bool) -> Callable[[int], int]:
    """How far a glyph moves what follows by itself, in thousandths, as the PDF's table of widths says it."""
    return _advances(script, bold)


def cut(script: Script, bold: bool, numbers: Sequence[int]) -> Cut:
    """The font with these glyphs alone, under the numbers that they had."""
    font = _font(script, bold)
    wanted = hb.SubsetInput()
    wanted.sets(hb.SubsetInputSets.GLYPH_INDEX).update(numbers)
    wanted.sets(hb.SubsetInputSets.DROP_TABLE_TAG).update(
        int.from_bytes(tag.encode(), "big") for tag in _UNLETTERED
    )
    wanted.flags = hb.SubsetFlags.RETAIN_GIDS | hb.SubsetFlags.NO_HINTING | hb.SubsetFlags.NOTDEF_OUTLINE
    small = hb.subset(font.face, wanted)
    extents = font.font.get_font_extents("ltr")
    ascent, descent = round(extents.ascender * font.scale), round(extents.descender * font.scale)
    natural = advances(script, bold)
    widths = {number: natural(number) for number in numbers}
    # Subset fonts are marked by six capitals (ISO 32000-1, 9.6.4); which, means nothing.
    return Cut(
        f"CITYCA+{font.name}", small.blob.data, (-1000, descent, 3000, ascent), ascent, descent, widths
    )


def _directed(text: str) -> list[tuple[str, Script, bool]]:
    """The text in pieces of one font and direction; what has no direction goes with what stands before it."""
    pieces: list[tuple[str, Script, bool]] = []
    for letter in text:
        strong = bidirectional(letter)
        script = _script_of(letter, pieces[-1][1] if pieces else Script.LATIN)
        leftward = strong in _RIGHT_TO_LEFT or (strong not in {"L", "EN"} and bool(pieces) and pieces[-1][2])
        if pieces and pieces[-1][1:] == (script, leftward):
            pieces[-1] = (pieces[-1][0] + letter, script, leftward)
        else:
            pieces.append((letter, script, leftward))
    return pieces


def _script_of(letter: str, before: Script) -> Script:
    # A space or a hyphen stays in the font of the letters before it, as long as that has it.
    if ord(letter) in _font(before, False).letters:
        latin_letter = before is Script.ARABIC and bidirectional(letter) in {"L", "EN"}
        return Script.LATIN if latin_letter else before
    return next((each for each in Script if ord(letter) in _font(each, False).letters), before)


def _shaped(text: str, script: Script, bold: bool) -> Run:
    font = _font(script, bold)
    buffer = hb.Buffer()
    buffer.add_str(text)
    buffer.guess_segment_properties()
    hb.shape(font.font, buffer)
    infos, positions = buffer.glyph_infos, buffer.glyph_positions
    # A cluster is the letters that its glyphs stand for together; the first glyph says all of them.
    begins = sorted({info.cluster for info in infos})
    ends = dict(zip(begins, [*begins[1:], len(text)], strict=True))
    told: Counter[int] = Counter()
    glyphs: list[Glyph] = []
    for info, position in zip(infos, positions, strict=True):
        told[info.cluster] += 1
        said = text[info.cluster : ends[info.cluster]] if told[info.cluster] == 1 else ""
        glyphs.append(
            Glyph(
                info.codepoint,
                position.x_advance * font.scale,
                position.x_offset * font.scale,
                position.y_offset * font.scale,
                said,
            )
        )
    return Run(script, bold, tuple(glyphs))
