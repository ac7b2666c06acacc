"""base64url and JSON, each read in one way only: what can be read in two says two things to two readers."""

import binascii
import json
import math
from typing import Never

import msgspec

# Of the two alphabets only the URL-safe one is read: its two letters are exchanged, the others' made unreadable.
_READING = bytes.maketrans(b"-_+/=", b"+/!!!")
_WRITING = bytes.maketrans(b"+/", b"-_")
# The last character carries bits beyond the last byte; only the one that has them all zero is canonical.
_LAST = {2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}
_PADDING = (b"", b"", b"==", b"=")


def b64url(octets: bytes) -> str:
    """base64url without padding."""
    return b64url_octets(octets).decode("ascii")


def b64url_octets(octets: bytes) -> bytes:
    """The same, as the bytes that are hashed and signed."""
    return binascii.b2a_base64(octets, newline=False).translate(_WRITING, b"=")


def unb64url(text: str) -> bytes:
    """The bytes of a base64url text; ValueError for padding, foreign characters and stray bits at the end."""
    octets = text.encode("ascii")
    rest = len(octets) % 4
    if rest and (rest == 1 or octets[-1] not in _LAST[rest]):
        raise ValueError("this is not base64url in its one form")
    return binascii.a2b_base64(octets.translate(_READING) + _PADDING[rest], strict_mode=True)


_QUICK = msgspec.json.Decoder()
_COMPACT = msgspec.json.Encoder()


def read_json(octets: bytes) -> object:
    """A JSON value; ValueError where it is none, is nested too deeply or could be read in two ways.

    Refused are a name that stands twice, NaN and Infinity, numbers too large, and halves of surrogate pairs. What comes
    out again letter by letter when it is written has none of these, and most tokens are written like that; all others
    are read once more and slowly.
    """
    try:
        quick: object = _QUICK.decode(octets)
        if _COMPACT.encode(quick) == octets:
            few = octets.count(b"[") + octets.count(b"{") <= DEEPEST
            return quick if few else _shallow(quick)
    except (ValueError, RecursionError):
        pass
    try:
        text = octets.decode()
        value: object = json.loads(
            text, object_pairs_hook=each_name_once, parse_constant=_no_constant, parse_float=_finite
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate has no encoding
    except RecursionError:
        raise ValueError("this is nested too deeply") from None
    return _shallow(value)


DEEPEST = 600
"""Levels of JSON within each other; how deep an interpreter itself can go is another matter in each of its versions."""


def _shallow(value: object) -> object:
    level = [value]
    for _ in range(DEEPEST):
        within = (
            one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)
        )
        level = [inner for some in within for inner in some if isinstance(inner, dict | list)]
        if not level:
            return value
    raise ValueError("this is nested too deeply")


def read_object(octets: bytes) -> dict[str, object]:
    """A JSON object; ValueError where it is none, or no JSON that can be read in one way only."""
    value = read_json(octets)
    if not isinstance(value, dict):
        raise ValueError("this is not an object")  # noqa: TRY004  (the text is wrong, not the argument's type)
    return value


def each_name_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The members of a JSON object; ValueError where a name stands twice, for nobody can say which one was meant."""
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a name stands twice")
    return read


def _no_constant(_name: str) -> Never:
    raise ValueError("this is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("this number is too large")
    return number
