"""Cuts a stream of bytes into lines and records, in bounded memory, whatever comes."""

import csv
from collections.abc import Iterator

MAX_RECORD = 64 * 1024
"""Bytes of one record; a longer one is passed over, and only it."""


class TooLong:
    """Stands for a record that was passed over because of its length."""


TOO_LONG = TooLong()


class Lines:
    """Lines out of pieces of a stream, without their ends; empty ones are left out."""

    def __init__(self, limit: int = MAX_RECORD) -> None:
        self._limit, self._rest, self._skipping, self._begun = limit, b"", False, False

    def feed(self, piece: bytes) -> Iterator[bytes | TooLong]:
        """The lines that end in this piece."""
        if not self._begun and len(self._rest) + len(piece) >= 3:
            piece, self._rest, self._begun = (self._rest + piece).removeprefix(b"\xef\xbb\xbf"), b"", True
        first, *others = piece.split(b"\n")
        if not others:
            self._keep(self._rest + first)
            return
        yield from self._line(self._rest + first)
        for line in others[:-1]:
            yield from self._line(line)
        self._rest = b""
        self._keep(others[-1])

    def close(self) -> Iterator[bytes | TooLong]:
        """The last line, if nothing ended it."""
        yield from self._line(self._rest)
        self._rest = b""

    def _keep(self, rest: bytes) -> None:
        if len(rest) > self._limit:
            # Not a byte more of it is kept; its end will be recognised all the same.
            self._skipping, rest = True, b""
        self._rest = rest if not self._skipping else b""

    def _line(self, line: bytes) -> Iterator[bytes | TooLong]:
        if self._skipping or len(line) > self._limit:
            self._skipping = False
            yield TOO_LONG
            return
        line = line.removesuffix(b"\r")
        if line.strip():
            yield line


class Records:
    """Records of a CSV stream (RFC 4180, UTF-8, comma), each as a list of cells; line breaks may stand in quotes."""

    def __init__(self, limit: int = MAX_RECORD) -> None:
        self._lines, self._limit = Lines(limit), limit
        self._start()

    def _start(self) -> None:
        self._open: list[bytes] = []
        self._size = self._quotes = 0

    def feed(self, piece: bytes) -> Iterator[list[str] | TooLong | None]:
        """The records that end in this piece; None for one that cannot be read."""
        for line in self._lines.feed(piece):
            yield from self._record(line)

    def close(self) -> Iterator[list[str] | TooLong | None]:
        """The last record, if nothing ended it."""
        for line in self._lines.close():
            yield from self._record(line)
        if self._open:
            self._start()
            yield None

    def _record(self, line: bytes | TooLong) -> Iterator[list[str] | TooLong | None]:
        if isinstance(line, TooLong):
            self._start()
            yield line
            return
        self._open.append(line)
        self._size += len(line)
        if self._size > self._limit:
            self._start()
            yield TOO_LONG
            return
        self._quotes += line.count(b'"')
        if self._quotes % 2:
            return  # a cell in quotes goes on in the next line
        whole = b"\n".join(self._open)
        self._start()
        try:
            rows = list(csv.reader([whole.decode()], strict=True))
        except (UnicodeDecodeError, csv.Error):
            yield None
            return
        yield rows[0] if rows else None
