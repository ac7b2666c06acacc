"""Where things stand on a card, also where a name is long."""

from dataclasses import replace
from datetime import date

import pytest

from wallet.printing import fonts
from wallet.printing.layout import Face, Part, Sheet, Size, compose, name_lines

FACE = Face("Dortmund-Karte", "Mia", "Öz", "1234 5678 9012", date(2027, 4, 30), "HTTPS://X/P#1", "de")
LONG = "Maria-Magdalena Wilhelmine Friederike von und zu Müller-Lüdenscheidt-Großkreutz-Oberhausen"
DESCENT, CAPITALS = 0.27, 0.72
"""Of a letter's height: how far g and p reach below their line, and capitals above it."""


def name_and_next(sheet: Sheet) -> tuple[float, float]:
    """How far down the name reaches, and how far up what stands below it, in millimetres."""
    name, until, *_ = [block for block in sheet.blocks if block.part is Part.PARAGRAPH]
    return (
        max(line.y + DESCENT * line.height for line in name.lines),
        min(line.y - CAPITALS * line.height for line in until.lines),
    )


@pytest.mark.parametrize("size", Size)
@pytest.mark.parametrize("language", ["de", "de-simple", "en"])
@pytest.mark.parametrize(
    "name", ["Mia Öz", "Maria Magdalena Großkreutz", LONG, LONG.replace("-", " "), "W" * 80]
)
def test_a_name_never_touches_what_stands_below_it(name: str, language: str, size: Size) -> None:
    face = replace(FACE, given=name, family="", language=language)
    reaches, begins = name_and_next(compose(face, size, fonts.width))
    assert begins - reaches > 0.5


def test_a_name_that_is_cut_off_gains_no_space_behind_a_hyphen() -> None:
    *_, last = name_lines(LONG, Size.CARD, fonts.width)
    assert last.startswith("Lüdenscheidt-Großkr")
    assert last.endswith("…")
