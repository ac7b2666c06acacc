"""Draws a code as a picture, reads one from a picture, and says whether a host leaves room for it."""

import io
from dataclasses import dataclass
from typing import Any, Final
from xml.sax.saxutils import escape

import zxingcpp
from PIL import Image, UnidentifiedImageError
from qrcode.constants import ERROR_CORRECT_M
from qrcode.exceptions import DataOverflowError
from qrcode.main import QRCode
from qrcode.util import MODE_8BIT_BYTE, MODE_ALPHA_NUM, QRData

from core import cose
from issuers.credentials.card import (
    MOST_INDEX,
    MOST_LETTERS,
    MOST_LIST,
    MOST_SECONDS,
    MOST_TARIFF_BITS,
    Card,
    CardId,
    PrintedCard,
    sign_card,
    sign_printed,
)
from wallet.codes.text import MOST_VENUE, Kind, live_text, printed_text

# Beyond these, cameras of cheap phones begin to fail: at arm's length on a screen, at a thumb's breadth on paper.
LARGEST_LIVE: Final = 12
LARGEST_PRINTED: Final = 10
QUIET: Final = 4
_QR: Final = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])
_DIGITS: Final = bytes(b"1"[0] if byte == 0 else b"0"[0] for byte in range(256))
_MOST_PICTURE_BYTES: Final = 16 * 2**20
_MOST_PIXELS: Final = 50_000_000


class CodeTooLarge(ValueError):
    """The text does not fit a code of the size that scanners read; said at start-up, not at the turnstile."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The QR versions that hold every code of this host; all codes of a kind are drawn in the same one."""

    live: int
    printed: int

    def version(self, kind: Kind) -> int:
        """The version that codes of this kind are drawn in."""
        return self.live if kind is Kind.LIVE else self.printed


@dataclass(frozen=True, slots=True)
class Drawing:
    """A code's modules, row by row, dark ones true; without the quiet zone around them."""

    version: int
    rows: tuple[tuple[bool, ...], ...]

    def svg(self, label: str) -> str:
        """The code as SVG, one unit a module; the label is what a screen reader says."""
        side = len(self.rows) + 2 * QUIET
        bars = "".join(
            f"M{start + QUIET} {y + QUIET}h{length}v1h-{length}z"
            for y, row in enumerate(self.rows)
            for start, length in _runs(row)
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" role="img" '
            f'shape-rendering="crispEdges"><title>{escape(label)}</title>'
            f'<path fill="#fff" d="M0 0h{side}v{side}h-{side}z"/><path d="{bars}"/></svg>'
        )

    def png(self, scale: int = 8) -> bytes:
        """The code as PNG in black and white, `scale` pixels a module."""
        side = len(self.rows)
        picture = Image.new("1", (side + 2 * QUIET, side + 2 * QUIET), 1)
        for y, row in enumerate(self.rows):
            for x, dark in enumerate(row):
                if dark:
                    picture.putpixel((x + QUIET, y + QUIET), 0)
        picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
        out = io.BytesIO()
        picture.save(out, "PNG", optimize=True)
        return out.getvalue()

    def terminal(self) -> str:
        """The code in half blocks, two rows of modules a line: light is drawn, for terminals of dark ground."""
        empty = (False,) * (len(self.rows) + 2 * QUIET)
        padded = [(False,) * QUIET + row + (False,) * QUIET for row in self.rows]
        rows = [empty] * QUIET + padded + [empty] * QUIET
        if len(rows) % 2:
            rows.append(empty)
        blocks = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}
        lines = zip(rows[0::2], rows[1::2], strict=True)
        return "\n".join("".join(blocks[pair] for pair in zip(*line, strict=True)) for line in lines)


def budget(host: str, letters: int = MOST_LETTERS) -> Budget:
    """The versions that this host's codes need, with names of at most so many letters; refused if one is too large."""
    live, printed = _largest(host, letters)
    if live <= LARGEST_LIVE and printed <= LARGEST_PRINTED:
        return Budget(live, printed)
    room = next((n for n in range(len(host), 0, -1) if _fits("A" * n, letters)), 0)
    fewer = next((n for n in range(letters, 0, -1) if _fits(host, n)), 0)
    raise CodeTooLarge(
        f"{host!r} is too long a host for codes with names of up to {letters} letters: take a host of at most "
        f"{room} characters" + (f", or limit names to {fewer} letters." if fewer else ".")
    )


def draw(text: str, version: int) -> Drawing:
    """Draws a code in this version, error correction M. Takes a millisecond or two."""
    side, modules = _modules(text, version)
    rows = (modules[at : at + side] for at in range(0, side * side, side))
    return Drawing(version, tuple(tuple(not light for light in row) for row in rows))


def bitmap(text: str, version: int) -> tuple[int, bytes]:
    """The same code for print: modules a side, and a bit for each, dark ones 1, every row in whole bytes."""
    side, modules = _modules(text, version)
    digits, spare = modules.translate(_DIGITS), -side % 8
    size = (side + spare) // 8
    rows = (int(digits[at : at + side], 2) << spare for at in range(0, side * side, side))
    return side, b"".join(row.to_bytes(size, "big") for row in rows)


def _modules(text: str, version: int) -> tuple[int, bytes]:
    """Modules a side, and a byte for each module: 0 is dark."""
    try:
        code = zxingcpp.create_barcode(
            text, zxingcpp.BarcodeFormat.QRCode, options=f"ecLevel=M,version={version}"
        )
    except ValueError:
        raise CodeTooLarge(f"the text does not fit a code of version {version}") from None
    drawn: Any = zxingcpp.write_barcode_to_image(code, scale=1, add_quiet_zones=False)
    picture = memoryview(drawn)
    side = 17 + 4 * version
    modules = picture.tobytes()
    # What does not fit, the writer puts in with less to correct errors by, and says nothing. The code itself says so:
    # the first two bits of its format are 11 for L, 10 for M (ISO/IEC 18004, 7.9.1). Where there is room to spare, it
    # corrects more than M, and that is welcome.
    if picture.shape != (side, side) or (modules[8 * side] == 0 and modules[8 * side + 1] == 0):
        raise CodeTooLarge(f"the text does not fit a code of version {version}")
    return side, modules


def smallest_version(text: str) -> int:
    """The smallest version that holds the text with error correction M."""
    try:
        return int(_segments(text, None).best_fit())
    except (DataOverflowError, ValueError):  # qrcode 8.2 trips over its own version 41 before it says so
        raise CodeTooLarge("the text does not fit any code") from None


def read_picture(picture: bytes) -> str | None:
    """The text of the QR code in a PNG or JPEG, or None where there is none to read."""
    if len(picture) > _MOST_PICTURE_BYTES:
        return None
    try:
        with Image.open(io.BytesIO(picture), formats=("PNG", "JPEG")) as image:
            # A small file can unfold into more pixels than there is memory for.
            if image.width * image.height > _MOST_PIXELS:
                return None
            grey = image.convert("L")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError):
        return None
    found = zxingcpp.read_barcodes(grey, formats=_QR, text_mode=zxingcpp.TextMode.Plain)
    return str(found[0].text) if found else None


def _segments(text: str, version: int | None) -> QRCode:
    # Only `#` needs a byte of its own: before and behind it, letters go two to eleven bits.
    code = QRCode(version=version, error_correction=ERROR_CORRECT_M)
    before, mark, behind = text.partition("#")
    for part, mode in ((before, MODE_ALPHA_NUM), (mark, MODE_8BIT_BYTE), (behind, MODE_ALPHA_NUM)):
        if part:
            code.add_data(QRData(part.encode(), mode=mode), optimize=0)
    return code


def _runs(row: tuple[bool, ...]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for x, dark in enumerate(row):
        if dark and runs and sum(runs[-1]) == x:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        elif dark:
            runs.append((x, 1))
    return runs


class _Blank:
    """Signs nothing; a blank signature is as long as a real one."""

    kid = bytes(cose.KID_BYTES)

    def sign(self, _data: bytes, /) -> bytes:
        return bytes(64)


def _fits(host: str, letters: int) -> bool:
    live, printed = _largest(host, letters)
    return live <= LARGEST_LIVE and printed <= LARGEST_PRINTED


def _largest(host: str, letters: int) -> tuple[int, int]:
    # Made as real codes are made, every field at its bound, so that budget and format cannot drift apart.
    blank, status = _Blank(), CardId(MOST_LIST, MOST_INDEX)
    name = "A" * letters
    card = Card(blank.kid, MOST_SECONDS, MOST_TARIFF_BITS, status, bytes(cose.POINT_BYTES), name)
    printed = PrintedCard(blank.kid, MOST_SECONDS, MOST_TARIFF_BITS, status, name)
    return (
        smallest_version(live_text(host, sign_card(card, blank), blank, MOST_SECONDS, MOST_VENUE)),
        smallest_version(printed_text(host, sign_printed(printed, blank))),
    )
