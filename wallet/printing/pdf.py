"""Cards as PDF: vector text in fonts of its own, codes as pictures of one bit a module, read aloud in order.

ISO 32000-1 in the little that a card needs of it. Pages are written as they come, so that a file of thousands of
cards costs the memory of one; the fonts follow at the end, cut down to the glyphs that were used. A single card is
tagged (14.8), with language and title; a print house's file is not, because nobody hears it.
"""

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import BinaryIO, Final
from xml.sax.saxutils import escape

from issuers.credentials.names import card_name
from wallet.codes.picture import QUIET, bitmap
from wallet.printing import fonts
from wallet.printing.fonts import Run, Script
from wallet.printing.layout import Block, Box, Face, Line, Sheet, Size, compose
from wallet.printing.picture import code_version

_POINTS: Final = 72 / 25.4
BLEED: Final = 3.0
"""Millimetres of colour beyond the cut, as print houses ask for."""
_FONT_NAMES: Final = {
    (script, bold): f"F{place}"
    for place, (script, bold) in enumerate((script, bold) for script in Script for bold in (False, True))
}
_UNCUT: Final = 1000
_NOTHING: Final = "\u200b"
_FontKey = tuple[Script, bool]


def pdf(face: Face, host: str, size: Size) -> bytes:
    """One card as PDF. Takes a few milliseconds: give it a thread."""
    out = BytesIO()
    book([face], host, size, out, title=face.title, language=face.language)
    return out.getvalue()


def book(
    faces: Iterable[Face],
    host: str,
    size: Size,
    out: BinaryIO,
    *,
    title: str,
    language: str,
    tagged: bool = True,
    bleed: float = 0.0,
) -> int:
    """Writes a card a page; gives how many. With `bleed`, the colour goes so many millimetres beyond the cut."""
    writer = _Writer(out, tagged=tagged, bleed=bleed)
    pages = 0
    version = code_version(host)
    for face in faces:
        writer.page(compose(printable(face), size, fonts.width), bitmap(face.text, version))
        pages += 1
    writer.close(title, language.partition("-")[0])
    return pages


def printable(face: Face) -> Face:
    """The face as our fonts can write it; else the name is spelt as in an ID, and as the code carries it."""
    if fonts.has(face.name):
        return face
    family, _, given = (card_name(face.family, face.given, _UNCUT) or "").replace("<<", "\n").partition("\n")
    return replace(face, given=given.replace("<", " "), family=family.replace("<", " "))


@dataclass
class _Used:
    """The glyphs of one font that a document uses, and the words they stand for."""

    number: int
    words: dict[int, str] = field(default_factory=dict)


class _Writer:
    """Writes objects one after the other and remembers where each begins."""

    def __init__(self, out: BinaryIO, *, tagged: bool, bleed: float) -> None:
        self._out, self._tagged, self._bleed = out, tagged, bleed
        self._at: dict[int, int] = {}
        self._written = 0
        self._next = 5
        self._pages: list[int] = []
        self._elements: list[list[int]] = []
        self._fonts: dict[_FontKey, _Used] = {}
        # The second line has four bytes above 127, so that nobody takes the file for text (7.5.2).
        self._put(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")

    _CATALOG, _PAGES, _RESOURCES, _DOCUMENT = 1, 2, 3, 4

    def page(self, sheet: Sheet, code: tuple[int, bytes]) -> None:
        """Writes a page with a card."""
        content = _Content(sheet, self._fonts, self._take, tagged=self._tagged, bleed=self._bleed)
        drawn = content.draw(code)
        stream, page = self._take(), self._take()
        self._stream(stream, drawn, b"")
        width, height, bleed = sheet.width * _POINTS, sheet.height * _POINTS, self._bleed * _POINTS
        around = f"[{-bleed:.2f} {-bleed:.2f} {width + bleed:.2f} {height + bleed:.2f}]"
        boxes = f"/MediaBox {around} /TrimBox [0 0 {width:.2f} {height:.2f}]"
        if bleed:
            boxes += f" /BleedBox {around}"
        tags = f" /StructParents {len(self._pages)} /Tabs /S" if self._tagged else ""
        self._object(
            page,
            f"<</Type/Page/Parent {self._PAGES} 0 R {boxes} /Resources {self._RESOURCES} 0 R "
            f"/Contents {stream} 0 R{tags}>>",
        )
        if self._tagged:
            self._elements.append(self._tag(page, sheet, content.tags))
        self._pages.append(page)

    def _tag(self, page: int, sheet: Sheet, tags: Sequence[str]) -> list[int]:
        elements = []
        for place, tag in enumerate(tags):
            number = self._take()
            said = ""
            if tag == "Figure":
                x, y, side = (part * _POINTS for part in sheet.code)
                top = sheet.height * _POINTS - y
                said = (
                    f"/Alt {_text(sheet.code_label)} "
                    f"/A<</O/Layout/BBox[{x:.2f} {top - side:.2f} {x + side:.2f} {top:.2f}]/Placement/Block>>"
                )
            self._object(
                number, f"<</Type/StructElem/S/{tag}/P {self._DOCUMENT} 0 R/Pg {page} 0 R/K {place}{said}>>"
            )
            elements.append(number)
        return elements

    def close(self, title: str, language: str) -> None:
        """Writes what belongs to all pages, and the table of where each object begins."""
        kids = " ".join(f"{page} 0 R" for page in self._pages)
        self._object(self._PAGES, f"<</Type/Pages/Kids[{kids}]/Count {len(self._pages)}>>")
        for (script, bold), used in self._fonts.items():
            self._font(script, bold, used)
        named = " ".join(f"/{_FONT_NAMES[key]} {used.number} 0 R" for key, used in self._fonts.items())
        self._object(self._RESOURCES, f"<</Font<<{named}>>>>")
        tags = ""
        if self._tagged:
            everything = " ".join(f"{one} 0 R" for some in self._elements for one in some)
            parents = " ".join(
                f"{place} [{' '.join(f'{one} 0 R' for one in some)}]"
                for place, some in enumerate(self._elements)
            )
            root, tree = self._take(), self._take()
            self._object(tree, f"<</Nums[{parents}]>>")
            self._object(self._DOCUMENT, f"<</Type/StructElem/S/Document/P {root} 0 R/K[{everything}]>>")
            self._object(
                root,
                f"<</Type/StructTreeRoot/K {self._DOCUMENT} 0 R/ParentTree {tree} 0 R"
                f"/ParentTreeNextKey {len(self._pages)}>>",
            )
            tags = f"/StructTreeRoot {root} 0 R/MarkInfo<</Marked true>>"
        metadata, info = self._take(), self._take()
        self._stream(metadata, _xmp(title, language), b"/Type/Metadata/Subtype/XML", packed=False)
        self._object(info, f"<</Title {_text(title)}>>")
        self._object(
            self._CATALOG,
            f"<</Type/Catalog/Pages {self._PAGES} 0 R/Lang({language})/Metadata {metadata} 0 R"
            f"/ViewerPreferences<</DisplayDocTitle true>>{tags}>>",
        )
        self._table(info)

    def _font(self, script: Script, bold: bool, used: _Used) -> None:
        cut = fonts.cut(script, bold, sorted(used.words))
        file, descriptor, descendant, words = (self._take() for _ in range(4))
        self._stream(file, cut.file, f"/Length1 {len(cut.file)}".encode())
        box = " ".join(map(str, cut.box))
        self._object(
            descriptor,
            f"<</Type/FontDescriptor/FontName/{cut.name}/Flags 4/FontBBox[{box}]/ItalicAngle 0"
            f"/Ascent {cut.ascent}/Descent {cut.descent}/CapHeight 714/StemV {140 if bold else 80}"
            f"/FontFile2 {file} 0 R>>",
        )
        widths = " ".join(f"{number}[{width}]" for number, width in sorted(cut.widths.items()))
        self._object(
            descendant,
            f"<</Type/Font/Subtype/CIDFontType2/BaseFont/{cut.name}/CIDToGIDMap/Identity"
            f"/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>"
            f"/FontDescriptor {descriptor} 0 R/W[{widths}]>>",
        )
        self._stream(words, _words(used.words), b"")
        self._object(
            used.number,
            f"<</Type/Font/Subtype/Type0/BaseFont/{cut.name}/Encoding/Identity-H"
            f"/DescendantFonts[{descendant} 0 R]/ToUnicode {words} 0 R>>",
        )

    def _table(self, info: int) -> None:
        start, count = self._written, self._next
        self._put(f"xref\n0 {count}\n0000000000 65535 f \n".encode())
        # A number that was kept for what this document does not have is free (7.5.4).
        self._put(
            b"".join(
                b"%010d 00000 n \n" % self._at[number] if number in self._at else b"0000000000 65535 f \n"
                for number in range(1, count)
            )
        )
        self._put(
            f"trailer\n<</Size {count}/Root {self._CATALOG} 0 R/Info {info} 0 R>>\n"
            f"startxref\n{start}\n%%EOF\n".encode()
        )

    def _take(self) -> int:
        self._next += 1
        return self._next - 1

    def _object(self, number: int, body: str) -> None:
        self._at[number] = self._written
        self._put(f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1"))

    def _stream(self, number: int, data: bytes, entries: bytes, *, packed: bool = True) -> None:
        self._at[number] = self._written
        if packed:
            data, entries = zlib.compress(data, 1), entries + b"/Filter/FlateDecode"
        self._put(
            b"%d 0 obj\n<<%b/Length %d>>\nstream\n%b\nendstream\nendobj\n"
            % (number, entries, len(data), data)
        )

    def _put(self, data: bytes) -> None:
        self._out.write(data)
        self._written += len(data)


class _Content:
    """What stands on one page, as a content stream; measures are turned into points from the lower left."""

    def __init__(
        self,
        sheet: Sheet,
        used: dict[_FontKey, _Used],
        take: Callable[[], int],
        *,
        tagged: bool,
        bleed: float,
    ) -> None:
        self._sheet, self._used, self._take, self._tagged, self._bleed = sheet, used, take, tagged, bleed
        self._parts: list[bytes] = []
        self.tags: list[str] = []

    def draw(self, code: tuple[int, bytes]) -> bytes:
        self._begin(None)
        for box in self._sheet.boxes:
            self._box(box)
        self._end()
        for block in self._sheet.blocks:
            self._begin(block.part.value)
            self._block(block)
            self._end()
        self._begin("Figure")
        self._code(code)
        self._end()
        return b"\n".join(self._parts)

    def _begin(self, tag: str | None) -> None:
        if not self._tagged:
            return
        if tag is None:
            self._parts.append(b"/Artifact BMC")
            return
        self._parts.append(f"/{tag} <</MCID {len(self.tags)}>> BDC".encode())
        self.tags.append(tag)

    def _end(self) -> None:
        if self._tagged:
            self._parts.append(b"EMC")

    def _y(self, y: float) -> float:
        return (self._sheet.height - y) * _POINTS

    def _box(self, box: Box) -> None:
        left, top, right, bottom = box.x, box.y, box.x + box.width, box.y + box.height
        # What touches the edge of the card goes beyond it, or a cut a hair off would show white.
        left, top = left - self._bleed * (left <= 0), top - self._bleed * (top <= 0)
        right += self._bleed * (right >= self._sheet.width)
        bottom += self._bleed * (bottom >= self._sheet.height)
        self._parts.append(
            f"{_colour(box.colour)} {left * _POINTS:.2f} {self._y(bottom):.2f} "
            f"{(right - left) * _POINTS:.2f} {(bottom - top) * _POINTS:.2f} re f".encode()
        )

    def _block(self, block: Block) -> None:
        for line in block.lines:
            self._line(line)

    def _line(self, line: Line) -> None:
        size = line.height * _POINTS
        runs = fonts.shape(line.text, line.bold)
        shown = [f"BT {_colour(line.ink)} {line.x * _POINTS:.2f} {self._y(line.y):.2f} Td"]
        for run in runs:
            shown.append(f"/{_FONT_NAMES[run.script, run.bold]} {size:.2f} Tf")
            shown += self._run(run, size)
        shown.append("ET")
        if any(run.script is Script.ARABIC for run in runs):
            # Glyphs stand from left to right here, and one may say two letters: the words are said beside them.
            shown = [f"/Span <</ActualText {_text(line.text)}>> BDC", *shown, "EMC"]
        self._parts.append(" ".join(shown).encode())

    def _run(self, run: Run, size: float) -> list[str]:
        used = self._used.get((run.script, run.bold))
        if used is None:
            used = self._used[run.script, run.bold] = _Used(self._take())
        natural = fonts.advances(run.script, run.bold)
        shown, row, rise, moved = list[str](), list[str](), 0.0, 0.0
        for glyph in run.glyphs:
            if glyph.text or glyph.number not in used.words:
                used.words[glyph.number] = glyph.text
            if glyph.dy != rise:
                if row:
                    shown.append(f"[{''.join(row)}] TJ")
                    row = []
                rise = glyph.dy
                shown.append(f"{rise * size / 1000:.3f} Ts")
            # TJ counts backwards: a positive number moves what follows to the left (9.4.3).
            before = glyph.dx + moved
            if abs(before) >= 0.5:
                row.append(f"{-before:.0f}")
            row.append(f"<{glyph.number:04X}>")
            moved = glyph.advance - natural(glyph.number) - glyph.dx
        if abs(moved) >= 0.5:
            row.append(f"{-moved:.0f}")
        if row:
            shown.append(f"[{''.join(row)}] TJ")
        if rise:
            shown.append("0 Ts")
        return shown

    def _code(self, code: tuple[int, bytes]) -> None:
        modules, bits = code
        x, y, side = self._sheet.code
        module = side / (modules + 2 * QUIET)
        drawn, inset = modules * module * _POINTS, QUIET * module
        self._parts.append(
            f"q 0 g {drawn:.3f} 0 0 {drawn:.3f} {(x + inset) * _POINTS:.3f} "
            f"{self._y(y + inset + modules * module):.3f} cm "
            f"BI /W {modules} /H {modules} /IM true /D [1 0] /BPC 1 /L {len(bits)} ID ".encode()
            + bits
            + b"\nEI Q"
        )


def _colour(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return f"{red:.3g} {green:.3g} {blue:.3g} rg"


def _text(said: str) -> str:
    """A text as PDF keeps it outside of pages: UTF-16 with its mark (7.9.2.2), in hexadecimal."""
    return f"<FEFF{said.encode('utf-16-be').hex().upper()}>"


def _words(words: dict[int, str]) -> bytes:
    """For whoever copies or searches: which letters a glyph stands for (9.10.3)."""
    # A mark whose letter says both stands for nothing; a reader that is told so of it guesses, hence the empty space.
    said = [
        f"<{number:04X}><{(text or _NOTHING).encode('utf-16-be').hex().upper()}>"
        for number, text in sorted(words.items())
    ]
    blocks = [said[at : at + 100] for at in range(0, len(said), 100)]
    listed = "\n".join(f"{len(some)} beginbfchar\n{chr(10).join(some)}\nendbfchar" for some in blocks)
    return (
        "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
        "/CIDSystemInfo <</Registry(Adobe)/Ordering(UCS)/Supplement 0>> def\n"
        "/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n"
        "1 begincodespacerange\n<0000><FFFF>\nendcodespacerange\n"
        f"{listed}\nendcmap\nCMapName currentdict /CMap defineresource pop\nend\nend"
    ).encode()


def _xmp(title: str, language: str) -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f'<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{escape(title)}</rdf:li></rdf:Alt></dc:title>'
        f"<dc:language><rdf:Bag><rdf:li>{escape(language)}</rdf:li></rdf:Bag></dc:language>"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()
