"""Opens a PDF as a reader does."""

import io

import pypdfium2


class Opened:
    """The first page (or another) of a PDF, by PDFium."""

    def __init__(self, pdf: bytes, page: int = 0) -> None:
        document = pypdfium2.PdfDocument(pdf)
        try:
            self.pages = len(document)
            shown = document[page]
            letters = shown.get_textpage()
            self.text = letters.get_text_bounded()
            self.millimetres = tuple(round(points / 72 * 25.4, 1) for points in shown.get_size())
            self._picture = shown.render(scale=6 if self.millimetres[0] < 120 else 2).to_pil()
            self.title = document.get_metadata_value("Title")
            letters.close()
            shown.close()
        finally:
            document.close()

    def png(self) -> bytes:
        out = io.BytesIO()
        self._picture.convert("L").save(out, "PNG")
        return out.getvalue()

    def colour(self, x: float, y: float) -> tuple[int, ...]:
        """The colour at a share of the page's width and height."""
        at = (int(x * (self._picture.width - 1)), int(y * (self._picture.height - 1)))
        found: tuple[int, ...] = self._picture.getpixel(at)
        return found
