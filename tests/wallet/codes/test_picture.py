"""A code fits its size, and a camera that shakes, tilts and blurs still reads it."""

import io
from xml.etree import ElementTree as ET

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from core import p256
from core.cose import KeyInHand
from issuers.credentials.card import Card, CardId, PrintedCard, sign_card, sign_printed
from wallet.codes.picture import (
    QUIET,
    Budget,
    CodeTooLarge,
    Drawing,
    bitmap,
    budget,
    draw,
    read_picture,
    smallest_version,
)
from wallet.codes.text import Kind, live_text, printed_text

SHORT, LONG = "karte.dortmund.de", "karte.kreisfreie-stadt.example"
AT = 1_780_000_000
ISSUER = KeyInHand(ec.derive_private_key(41, ec.SECP256R1()), b"\1\2\3\4")
PHONE = KeyInHand(ec.derive_private_key(42, ec.SECP256R1()))
HOLDER = p256.point(PHONE.key.public_key())
WIDEST = CardId(2**16 - 1, 2**32 - 1)


def live(host: str, letters: int = 23) -> str:
    card = Card(ISSUER.kid, 2**32 - 1, 2**16 - 1, WIDEST, HOLDER, "M" * letters)
    return live_text(host, sign_card(card, ISSUER), PHONE, AT, 2**32 - 1)


def nameless(host: str) -> str:
    card = Card(ISSUER.kid, 2**32 - 1, 2**16 - 1, WIDEST, HOLDER)
    return live_text(host, sign_card(card, ISSUER), PHONE, AT, 2**32 - 1)


def printed(host: str, letters: int = 23) -> str:
    card = PrintedCard(ISSUER.kid, 2**32 - 1, 2**16 - 1, WIDEST, "M" * letters)
    return printed_text(host, sign_printed(card, ISSUER))


CODES = {
    "live": draw(live(SHORT), 12),
    "live, long host": draw(live(LONG, 15), 12),
    "nameless, long host": draw(nameless(LONG), 12),
    "printed": draw(printed(SHORT), 9),
    "printed, long host": draw(printed(LONG), 10),
}
TEXTS = {
    "live": live(SHORT),
    "live, long host": live(LONG, 15),
    "nameless, long host": nameless(LONG),
    "printed": printed(SHORT),
    "printed, long host": printed(LONG),
}


def test_the_largest_codes_of_a_host_fit_the_sizes_that_cameras_read() -> None:
    assert len(SHORT) == 17
    assert len(LONG) == 30
    assert smallest_version(live(SHORT)) == 12
    assert smallest_version(printed(SHORT)) == 9
    assert smallest_version(nameless(LONG)) <= 12
    assert smallest_version(live(LONG, 15)) == 12
    assert smallest_version(printed(LONG)) <= 10


def test_the_budget_is_known_before_the_first_code() -> None:
    assert budget(SHORT) == Budget(live=12, printed=9)
    assert budget("localhost:8000") == Budget(live=12, printed=9)
    assert budget(LONG, letters=15).version(Kind.LIVE) == 12
    assert budget(LONG, letters=15).version(Kind.PRINTED) <= 10


def test_a_host_that_is_too_long_is_refused_with_both_ways_out() -> None:
    with pytest.raises(CodeTooLarge) as refused:
        budget(LONG)
    assert str(refused.value) == (
        f"{LONG!r} is too long a host for codes with names of up to 23 letters: "
        "take a host of at most 18 characters, or limit names to 15 letters."
    )
    budget("a" * 18)
    budget(LONG, letters=15)
    with pytest.raises(CodeTooLarge):
        budget("a" * 19)
    with pytest.raises(CodeTooLarge):
        budget(LONG, letters=16)


def test_a_host_without_any_room_is_told_so() -> None:
    with pytest.raises(CodeTooLarge, match=r"at most 18 characters\.$"):
        budget("a" * 60)


def test_all_codes_of_a_kind_have_the_same_size_whatever_they_say() -> None:
    small = live_text(SHORT, sign_card(Card(ISSUER.kid, AT, 1, CardId(0, 0), HOLDER), ISSUER), PHONE, AT)
    assert len(draw(small, 12).rows) == len(CODES["live"].rows) == 65


def test_a_text_that_does_not_fit_is_never_drawn_larger() -> None:
    with pytest.raises(CodeTooLarge, match="version 11"):
        draw(live(SHORT), 11)
    with pytest.raises(CodeTooLarge):
        smallest_version("A" * 5000)


@pytest.mark.parametrize("name", CODES)
def test_a_clean_picture_is_read(name: str) -> None:
    assert read_picture(CODES[name].png()) == TEXTS[name]


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("angle", [-15, 7, 45, 90, 180])
@pytest.mark.parametrize("blur", [1.2, 2.0])
def test_a_blurred_and_turned_picture_is_read(name: str, angle: int, blur: float) -> None:
    picture = Image.open(io.BytesIO(CODES[name].png(scale=6))).convert("L")
    turned = picture.rotate(angle, resample=Image.Resampling.BICUBIC, expand=True, fillcolor=255)
    assert read_picture(as_png(turned.filter(ImageFilter.GaussianBlur(blur)))) == TEXTS[name]


@pytest.mark.parametrize("name", CODES)
def test_a_grey_and_compressed_picture_is_read(name: str) -> None:
    picture = Image.open(io.BytesIO(CODES[name].png(scale=5))).convert("L")
    pale = picture.point(lambda value: 90 + value * 100 // 255).filter(ImageFilter.GaussianBlur(1))
    out = io.BytesIO()
    pale.save(out, "JPEG", quality=70)
    assert read_picture(out.getvalue()) == TEXTS[name]


@pytest.mark.parametrize("name", ["live", "printed"])
def test_the_svg_shows_the_same_modules(name: str) -> None:
    svg = CODES[name].svg("Karte & <Code>")
    root = ET.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    assert root.findtext(space + "title") == "Karte & <Code>"
    side = int(str(root.get("viewBox")).split()[2])
    picture = Image.new("L", (side, side), 255)
    path = str(root.findall(space + "path")[1].get("d"))
    for bar in path.split("M")[1:]:
        start, _, length = bar.partition("h")
        x, y = map(int, start.split())
        for step in range(int(length.partition("v")[0])):
            picture.putpixel((x + step, y), 0)
    assert read_picture(as_png(picture.resize((side * 6, side * 6), Image.Resampling.NEAREST))) == TEXTS[name]


@pytest.mark.parametrize("name", ["live", "printed"])
def test_the_terminal_shows_a_code_that_a_camera_reads(name: str) -> None:
    lines = CODES[name].terminal().splitlines()
    lit = {"█": (255, 255), "▀": (255, 0), "▄": (0, 255), " ": (0, 0)}
    assert len({len(line) for line in lines}) == 1
    picture = Image.new("L", (len(lines[0]), 2 * len(lines)))
    for y, line in enumerate(lines):
        for x, block in enumerate(line):
            upper, lower = lit[block]
            picture.putpixel((x, 2 * y), upper)
            picture.putpixel((x, 2 * y + 1), lower)
    larger = picture.resize((picture.width * 6, picture.height * 6), Image.Resampling.NEAREST)
    assert read_picture(as_png(larger)) == TEXTS[name]


def test_the_quiet_zone_is_four_modules_wide() -> None:
    drawing: Drawing = CODES["printed"]
    picture = Image.open(io.BytesIO(drawing.png(scale=1)))
    side = len(drawing.rows) + 2 * QUIET
    assert picture.size == (side, side)
    assert picture.crop((0, 0, side, QUIET)).getextrema() == (255, 255)
    assert picture.getpixel((QUIET, QUIET)) == 0


def test_a_picture_without_a_code_has_no_text() -> None:
    assert read_picture(as_png(Image.new("L", (200, 200), 255))) is None


def test_what_is_no_picture_has_no_text() -> None:
    good = CODES["printed"].png()
    for bad in (b"", b"GIF89a", good[:100], good[: len(good) // 2], b"\x89PNG\r\n\x1a\n" + bytes(50)):
        assert read_picture(bad) is None


def test_a_picture_that_would_fill_the_memory_is_not_opened() -> None:
    assert read_picture(as_png(Image.new("1", (10_000, 6_000)))) is None
    assert read_picture(bytes(17 * 2**20)) is None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2000), st.binary(min_size=1, max_size=8))
def test_a_damaged_picture_is_read_or_not_and_nothing_breaks(at: int, noise: bytes) -> None:
    good = CODES["printed"].png(scale=3)
    at %= len(good)
    read_picture(good[:at] + noise + good[at + len(noise) :])


def as_png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("name", CODES)
def test_the_fast_encoder_needs_no_larger_code_than_the_slow_one(name: str) -> None:
    needed = smallest_version(TEXTS[name])
    drawn = draw(TEXTS[name], needed)
    assert len(drawn.rows) == 17 + 4 * needed
    assert read_picture(drawn.png()) == TEXTS[name]
    with pytest.raises(CodeTooLarge):
        draw(TEXTS[name], needed - 1)


@pytest.mark.parametrize("name", ["live", "printed"])
def test_the_code_for_print_has_the_same_modules(name: str) -> None:
    drawn = CODES[name]
    side, bits = bitmap(TEXTS[name], drawn.version)
    assert side == len(drawn.rows)
    width = (side + 7) // 8
    rows = (bits[at : at + width] for at in range(0, len(bits), width))
    assert drawn.rows == tuple(
        tuple(bool(row[x // 8] >> (7 - x % 8) & 1) for x in range(side)) for row in rows
    )
