"""A card on paper: every reader shows the same letters, and every scanner reads its code."""

import io
import re
import zlib
from datetime import date
from itertools import pairwise

import pytest

from tests.wallet.codes.test_picture import SHORT, printed
from tests.wallet.printing.makers import Opened
from wallet.codes.picture import read_picture
from wallet.printing import fonts
from wallet.printing.layout import LAYOUTS, Face, Size, compose
from wallet.printing.pdf import BLEED, book, pdf

TEXT = printed(SHORT)


def face(given: str = "Erika", family: str = "Musterfrau", language: str = "de") -> Face:
    return Face("Dortmund-Karte", given, family, "4821 0937 5516", date(2027, 2, 28), TEXT, language)


@pytest.mark.parametrize(("size", "millimetres"), [(Size.CARD, (85.6, 54.0)), (Size.LARGE, (210.0, 297.0))])
def test_a_card_is_as_large_as_it_should_be_and_its_code_is_read(
    size: Size, millimetres: tuple[float, float]
) -> None:
    opened = Opened(pdf(face(), SHORT, size))
    assert opened.millimetres == millimetres
    assert read_picture(opened.png()) == TEXT
    assert opened.title == "Dortmund-Karte"


@pytest.mark.parametrize("size", Size)
def test_the_code_is_at_least_thirty_millimetres_and_light_is_left_around_it(size: Size) -> None:
    layout = LAYOUTS[size]
    x, y, side = layout.code
    assert side * 53 / 61 >= 30
    assert layout.band + layout.stripe <= y
    assert x + side <= layout.width
    assert y + side <= layout.height
    if size is Size.CARD:
        assert layout.left + layout.column <= x + side * 4 / 61


@pytest.mark.parametrize(
    ("given", "family"),
    [
        ("Erika", "Müller-Lüdenscheidt"),
        ("Олена", "Шевченко"),
        ("Αλέξανδρος", "Παπαδόπουλος"),
        ("Nguyễn", "Thị Ánh"),
        ("Şükrü", "Çağlayan"),
    ],
)
def test_a_name_is_printed_in_its_own_letters(given: str, family: str) -> None:
    said = Opened(pdf(face(given, family), SHORT, Size.LARGE)).text.replace("\u200b", "")
    for word in (given, *family.rpartition("-")[2].split()):
        assert word in "".join(said.split())


def test_arabic_letters_join_and_run_from_right_to_left() -> None:
    runs = fonts.shape("محمد", True)
    assert len(runs) == 1
    alone = [fonts.shape(letter, True)[0].glyphs[0].number for letter in "محمد"]
    joined = [glyph.number for glyph in runs[0].glyphs]
    assert runs[0].glyphs[0].text == "د"
    assert set(joined) != set(alone)
    mixed = fonts.shape("ليلى Müller", True)
    assert [run.script for run in mixed] == [fonts.Script.LATIN, fonts.Script.ARABIC]
    assert b"/ActualText" in contents(pdf(face("محمد", "العبّاس"), SHORT, Size.CARD))
    assert b"/ActualText" not in contents(pdf(face(), SHORT, Size.CARD))


def test_a_name_that_no_font_of_ours_has_is_spelt_as_in_an_id() -> None:
    given = "Ｅｒｉｋａ"
    assert not fonts.has(given)
    said = Opened(pdf(face(given, "Müller"), SHORT, Size.CARD)).text
    assert "ERIKA MUELLER" in said
    assert "NINO BERIDZE" in Opened(pdf(face("ნინო", "ბერიძე"), SHORT, Size.CARD)).text


def test_every_name_that_a_code_can_spell_in_latin_greek_cyrillic_or_arabic_has_letters() -> None:
    from core.spelling import _TABLE

    assert [letter for letter in _TABLE if not fonts.has(letter)] == []


def test_the_card_is_tagged_with_language_title_and_what_the_code_is() -> None:
    made = pdf(face(language="en"), SHORT, Size.CARD)
    assert b"/Lang(en)" in made
    assert b"/MarkInfo<</Marked true>>" in made
    assert b"/DisplayDocTitle true" in made
    assert re.findall(rb"/S/(\w+)/P", made) == [b"H1", b"P", b"P", b"P", b"P", b"Figure", b"Document"]
    assert "Code of the card".encode("utf-16-be").hex().upper().encode() in made
    drawn = contents(made)
    assert drawn.count(b"BDC") + drawn.count(b"BMC") == drawn.count(b"EMC")
    # Nothing is painted outside of a tag or an artifact.
    outside = re.sub(rb"/(Artifact BMC|\w+ <<.*?>> BDC).*?\nEMC", b"", drawn, flags=re.DOTALL)
    assert outside.strip() == b""


def test_letters_are_in_the_file_and_only_those_that_are_used() -> None:
    made = pdf(face(), SHORT, Size.CARD)
    assert made.count(b"/FontFile2") == 2
    assert len(made) < 20_000
    assert len(pdf(face("محمد", "العبّاس"), SHORT, Size.CARD)) < 25_000


def test_the_same_card_is_the_same_file() -> None:
    assert pdf(face(), SHORT, Size.CARD) == pdf(face(), SHORT, Size.CARD)


def test_cards_differ_in_name_number_day_and_code_alone() -> None:
    one, other = (
        compose(face(given), Size.CARD, fonts.width) for given in ("Erika", "Olena Kateryna Maria Theresia")
    )
    assert (one.boxes, one.code, one.blocks[0]) == (other.boxes, other.code, other.blocks[0])
    assert one.blocks[2:] == other.blocks[2:]


@pytest.mark.parametrize("language", ["de", "de-simple", "en"])
@pytest.mark.parametrize("size", Size)
def test_nothing_runs_into_anything_else(size: Size, language: str) -> None:
    layout = LAYOUTS[size]
    for name in (
        "Li",
        "Wolfeschlegelsteinhausenbergerdorff",
        "Maria-Theresia Anna von und zu Hohenlohe-Langenburg",
    ):
        sheet = compose(face(name, name, language), size, fonts.width)
        tops = []
        for block in sheet.blocks[1:]:
            for line in block.lines:
                assert fonts.width(line.text, line.bold) * line.height <= layout.column + 0.01
                tops.append((line.y - 0.75 * line.height, line.y))
        assert all(before[1] < after[0] for before, after in pairwise(tops))
        assert tops[0][0] >= layout.band + layout.stripe
        assert tops[-1][1] < (layout.height if size is Size.CARD else layout.code[1])


def test_letters_stand_out_from_their_ground() -> None:
    def light(colour: str) -> float:
        parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    sheet = compose(face(), Size.CARD, fonts.width)
    for block in sheet.blocks:
        for line in block.lines:
            ground = sheet.boxes[0].colour if line.y < LAYOUTS[Size.CARD].band else "#ffffff"
            lighter, darker = sorted((light(line.ink), light(ground)), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 7  # WCAG 2.2, 1.4.6


def test_a_print_houses_file_has_a_card_a_page_and_colour_beyond_the_cut() -> None:
    out = io.BytesIO()
    faces = (face(f"Vorname {number}") for number in range(3))
    made = book(faces, SHORT, Size.CARD, out, title="Karten", language="de", tagged=False, bleed=BLEED)
    assert made == 3
    opened = Opened(out.getvalue(), 2)
    assert opened.pages == 3
    assert "Vorname 2" in opened.text
    assert opened.millimetres == (91.6, 60.0)
    assert opened.colour(0, 0) == opened.colour(0.5, 0.05) != (255, 255, 255)
    assert out.getvalue().count(b"/FontFile2") == 2
    assert b"/TrimBox [0 0 242.65 153.01]" in out.getvalue()


def contents(pdf: bytes) -> bytes:
    """The content stream of the first page."""
    for found in re.finditer(rb"<</Filter/FlateDecode/Length (\d+)>>\nstream\n", pdf):
        drawn = zlib.decompress(pdf[found.end() : found.end() + int(found[1])])
        if b"BI /W" in drawn:
            return drawn
    raise AssertionError
