"""One file of a batch for the print house: cards a page each, or a row each.

Drawing thousands of cards takes seconds of one core: give it a process of its own.
"""

import csv
import os
from collections.abc import Sequence
from enum import StrEnum
from io import BytesIO, StringIO
from pathlib import Path
from typing import Final

from wallet.printing import fonts
from wallet.printing.layout import Face, Size, name_lines
from wallet.printing.pdf import BLEED, book, printable

NAME_LINES: Final = 4
"""As many as a card has at most."""
HEAD: Final = ("number", *(f"name_{line}" for line in range(1, NAME_LINES + 1)), "valid_until", "code")


class Form(StrEnum):
    """What a print house takes."""

    PDF = "pdf"
    CSV = "csv"


MEDIA_TYPES: Final = {Form.PDF: "application/pdf", Form.CSV: "text/csv; charset=utf-8"}


def render(faces: Sequence[Face], host: str, form: Form) -> bytes:
    """The file with these cards."""
    return _pdf(faces, host) if form is Form.PDF else _csv(faces)


def _pdf(faces: Sequence[Face], host: str) -> bytes:
    out = BytesIO()
    title, language = (faces[0].title, faces[0].language) if faces else ("", "de")
    book(faces, host, Size.CARD, out, title=title, language=language, tagged=False, bleed=BLEED)
    return out.getvalue()


def _csv(faces: Sequence[Face]) -> bytes:
    """RFC 4180, UTF-8: the same lines as on the card, for a print house that sets the cards itself."""
    out = StringIO()
    rows = csv.writer(out)
    rows.writerow(HEAD)
    for face in faces:
        shown = printable(face)
        lines = name_lines(shown.name, Size.CARD, fonts.width)
        padded = [*lines, *[""] * (NAME_LINES - len(lines))]
        rows.writerow((shown.number, *padded, shown.last_day.isoformat(), shown.text))
    return out.getvalue().encode()


def write_files(faces: Sequence[Face], host: str, path: Path) -> int:
    """Writes one file in every form, the CSV last: where it stands, all do. Gives the number of its cards.

    It stands here and not with the command, so that a process that draws loads no more of the house than it needs.
    """
    for form in (Form.PDF, Form.CSV):
        put(path.with_suffix(f".{form.value}"), render(faces, host, form))
    return len(faces)


def put(path: Path, data: bytes) -> None:
    """Writes a file that only its owner may read, and that is there as a whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    part.replace(path)
