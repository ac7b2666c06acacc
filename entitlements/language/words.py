"""Cuts rule text into words, and reads what is written in quotation marks; every word knows its place."""

import re
from dataclasses import dataclass

from .messages import Mismatch, RuleError

MAX_LENGTH = 20_000


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a rule, with the line and column where it begins, both from 1."""

    kind: str
    text: str
    line: int
    column: int


_WORDS = re.compile(
    r"""(?P<space>[ \t\r\n\f]+|//[^\n]*)
    |(?P<bytes>[rR]?[bB][rR]?["'])
    |(?P<raw>[rR](?:'''.*?'''|\"\"\".*?\"\"\"|'[^'\r\n]*'|"[^"\r\n]*"))
    |(?P<string>'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"|'(?:\\.|[^'\\\r\n])*'|"(?:\\.|[^"\\\r\n])*")
    |(?P<float>[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
    |(?P<uint>(?:0x[0-9a-fA-F]+|[0-9]+)[uU])
    |(?P<int>0x[0-9a-fA-F]+|[0-9]+)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||==|!=|<=|>=|\.\.|[-+*/%!<>?:.,()\[\]])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = re.compile(
    r"\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))", re.DOTALL
)
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"} | {
    c: c for c in "\\\"'`?"
}
_ADVICE = {
    "&": "write-and",
    "|": "write-or",
    "=": "write-equals",
    "≠": "write-inequality",
    "'": "close-quotes",
    '"': "close-quotes",
    "{": "no-blocks",
} | dict.fromkeys("„“”‚‘’«»", "plain-quotes")
_PLAIN = frozenset("\t\n\r\f")


def words(text: str) -> list[Word]:
    """The words of a rule, and at last one of the kind `end`."""
    if len(text) > MAX_LENGTH:
        raise RuleError(Mismatch("too-long", most=MAX_LENGTH), 1, 1)
    found: list[Word] = []
    at, line, begin = 0, 1, 0
    while at < len(text):
        match = _WORDS.match(text, at)
        column = at - begin + 1
        if match is None:
            sign = text[at]
            shown = sign if sign.isprintable() or sign in _PLAIN else f"U+{ord(sign):04X}"
            strange = Mismatch("strange-character", advice=_ADVICE.get(sign, "remove-it"), found=shown)
            raise RuleError(strange, line, column, 1)
        kind = match.lastgroup or ""
        if kind != "space":
            found.append(Word(kind, match.group(), line, column))
        if kind == "bytes":
            raise RuleError(Mismatch("no-bytes"), line, column, len(match.group()))
        breaks = match.group().count("\n")
        if breaks:
            line, begin = line + breaks, at + match.group().rindex("\n") + 1
        at = match.end()
    found.append(Word("end", "", line, at - begin + 1))
    return found


def unquote(word: Word) -> str:
    """What a word in quotation marks says; Mismatch where an escape means nothing."""
    raw = word.kind == "raw"
    body = word.text[1:] if raw else word.text
    width = 3 if body[:3] in {"'''", '"""'} and len(body) > 5 else 1
    # A line ends with \n however the text was written down, as in CEL; what is escaped stays as it is.
    body = body[width:-width].replace("\r\n", "\n").replace("\r", "\n")
    return body if raw else _ESCAPES.sub(_escape, body)


def _escape(match: re.Match[str]) -> str:
    letter = match.group(5)
    if letter is not None:
        if letter not in _LETTERS:
            raise Mismatch("unknown-escape", found=letter)
        return _LETTERS[letter]
    octal = match.group(4)
    code = int(octal, 8) if octal else int(match.group(1) or match.group(2) or match.group(3), 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise Mismatch("no-such-character")
    return chr(code)
