"""The card as a picture: the same for everybody but for name, number, day and code.

Letters are left to whoever shows the SVG; the PDF (see `pdf`) brings its own.
"""

from functools import cache
from typing import Final
from xml.sax.saxutils import escape

from wallet.codes.picture import Drawing, budget, draw
from wallet.codes.text import Kind
from wallet.printing.layout import Block, Face, Size, compose

_SCALES: Final = {Size.CARD: 8, Size.LARGE: 20}
"""Pixels a module."""


def svg(face: Face, host: str, size: Size) -> bytes:
    """The card as SVG. Takes a millisecond or two: give it a thread."""
    sheet = compose(face, size, _reckoned)
    width, height = sheet.width, sheet.height
    x, y, side = sheet.code
    code = draw(face.text, code_version(host)).svg(sheet.code_label)
    placed = code.replace("<svg ", f'<svg x="{x:g}" y="{y:g}" width="{side:g}" height="{side:g}" ', 1)
    boxes = "".join(
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" fill="{box.colour}"/>'
        for box in sheet.boxes
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}mm" height="{height:g}mm" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" lang="{face.language.partition("-")[0]}">'
        f"<title>{escape(face.title)}</title>"
        f'<clipPath id="card"><rect width="{width:g}" height="{height:g}" rx="3"/></clipPath>'
        f'<g clip-path="url(#card)"><rect width="{width:g}" height="{height:g}" fill="#fff"/>{boxes}{placed}</g>'
        f'<rect x="0.1" y="0.1" width="{width - 0.2:g}" height="{height - 0.2:g}" rx="3" '
        f'fill="none" stroke="#888" stroke-width="0.2"/>'
        f'<g font-family="Noto Sans, Fira Sans, DejaVu Sans, sans-serif">'
        f"{''.join(_texts(block) for block in sheet.blocks)}</g></svg>"
    ).encode()


def png(face: Face, host: str, size: Size) -> bytes:
    """The card's code alone as PNG, to be set into a letter or shown on a screen."""
    drawing: Drawing = draw(face.text, code_version(host))
    return drawing.png(scale=_SCALES[size])


@cache
def code_version(host: str) -> int:
    """The one version of all printed codes of this host: a smaller code would tell that a name is short."""
    return budget(host).version(Kind.PRINTED)


def _texts(block: Block) -> str:
    return "".join(
        f'<text x="{line.x:g}" y="{line.y:.2f}" font-size="{line.height:g}" '
        f'font-weight="{"bold" if line.bold else "normal"}" fill="{line.ink}">{escape(line.text)}</text>'
        for line in block.lines
    )


def _reckoned(text: str, bold: bool) -> float:
    # Whoever shows the SVG chooses the font: a letter is reckoned at a little more than half its height.
    return len(text) * (0.6 if bold else 0.56)
