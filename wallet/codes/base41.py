"""Bytes as letters that a QR code packs tightly: RFC 9285's arithmetic over 41 characters."""

from typing import Final

# Of the 45 characters of a QR code's alphanumeric mode, those that also live unescaped behind a URL's `#`;
# a character's value is its place in this line.
ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ$*-/:"

_BASE: Final = len(ALPHABET)
_FOREIGN: Final = 255
_LETTERS: Final = ALPHABET.encode()
_VALUES: Final = bytes(_LETTERS.find(bytes((byte,))) & _FOREIGN for byte in range(256))


class NotBase41(ValueError):
    """The text does not stand for bytes."""


def encode(data: bytes) -> str:
    """Two bytes become three characters, the lowest digit first; a last single byte becomes two."""
    letters = bytearray()
    for at in range(0, len(data) - 1, 2):
        n = data[at] << 8 | data[at + 1]
        letters += bytes((_LETTERS[n % _BASE], _LETTERS[n // _BASE % _BASE], _LETTERS[n // _BASE**2]))
    if len(data) % 2:
        letters += bytes((_LETTERS[data[-1] % _BASE], _LETTERS[data[-1] // _BASE]))
    return letters.decode()


def decode(text: str) -> bytes:
    """The bytes that `encode` made this text of; any other text is refused."""
    if not text.isascii():
        raise NotBase41("a foreign character")
    digits = text.encode().translate(_VALUES)
    if _FOREIGN in digits:
        raise NotBase41("a foreign character")
    odd = len(digits) % 3
    if odd == 1:
        raise NotBase41("no bytes have this many characters")
    tail = b""
    if odd:
        last = digits[-2] + _BASE * digits[-1]
        if last > 0xFF:
            raise NotBase41("more than a byte can hold")
        tail = bytes((last,))
        digits = digits[:-2]
    return _pairs(digits) + tail


def _pairs(digits: bytes) -> bytes:
    # All groups of three are reckoned at once as one long number with four bytes for each: no group can reach
    # its neighbour, since 40 + 41·40 + 41²·40 < 2³². Half the time of a loop, in the path of every scan.
    groups = len(digits) // 3
    total = 0
    for place in range(3):
        lanes = bytearray(4 * groups)
        lanes[0::4] = digits[place::3]
        total += _BASE**place * int.from_bytes(lanes, "little")
    sums = total.to_bytes(4 * groups, "little")
    if any(sums[2::4]):
        raise NotBase41("more than two bytes can hold")
    data = bytearray(2 * groups)
    data[0::2] = sums[1::4]
    data[1::2] = sums[0::4]
    return bytes(data)
