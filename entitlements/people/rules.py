"""What an identity consists of, how names are compared, how a one-time code reads, and who may act for whom."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import lru_cache

CODE_SIGNS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Thirty-two signs that nobody confuses on paper."""
SECRET_BYTES = 16
"""What a one-time code is: 128 random bits, printed as signs or drawn as a picture."""
CODE_LENGTH = 26
"""Signs of five bits each that hold them."""
CODE_DAYS = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class PersonIdentity:
    """What a person is called and where they are reached; empty where the city was not told."""

    given_name: str = ""
    family_name: str = ""
    birth_date: str = ""
    """As the register wrote it, possibly in part (`1990-05-00`); for reading, never for rules."""
    street: str = ""
    postcode: str = ""
    town: str = ""
    email: str = ""
    phone: str = ""
    language: str = ""
    birth_name: str = ""
    """The family name at birth, where it is another."""

    @property
    def name(self) -> str:
        """The full name in the order in which it is spoken."""
        return f"{self.given_name} {self.family_name}".strip()


IDENTITY_FIELDS = tuple(field.name for field in fields(PersonIdentity))


def name_words(name: str) -> frozenset[str]:
    """The words of a name as they are compared: without case, accents, hyphens; ü is found as u and as ue."""
    return frozenset().union(*map(_words, name.split()))


@lru_cache(maxsize=65_536)
def _words(part: str) -> frozenset[str]:
    # A city has many people and few names.
    return frozenset(word for spelling in _spellings(part) for word in spelling.split())


def matches(asked: str, name: str) -> bool:
    """Whether every word that was asked for is in the name, in one spelling or another."""
    known = name_words(name)
    return any(set(spelling.split()) <= known for spelling in _spellings(asked) if spelling.split())


def _spellings(name: str) -> Iterator[str]:
    folded = unicodedata.normalize("NFC", name).casefold()
    for sign in ("'", "’", "ʼ", "`", "·", "."):
        folded = folded.replace(sign, "")
    yield _plain(folded)
    yield _plain(folded.replace("ä", "ae").replace("ö", "oe").replace("ü", "ue"))


def _plain(text: str) -> str:
    kept = (sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return "".join(sign if sign.isalnum() or _spells(sign) else " " for sign in kept)


def _spells(sign: str) -> bool:
    # Vowel signs of Indic scripts are marks, not letters, and still spell the name.
    return unicodedata.category(sign) in {"Mc", "Mn"}


def code_as_read(written: str) -> bytes | None:
    """A one-time code as a person may write it, with or without spaces and hyphens; None where it cannot be one."""
    signs = "".join(sign for sign in written.upper() if sign not in " -\u2010\u2011\u2013")
    if len(signs) != CODE_LENGTH or not set(signs) <= set(CODE_SIGNS):
        return None
    number = 0
    for sign in signs:
        number = number * len(CODE_SIGNS) + CODE_SIGNS.index(sign)
    return number.to_bytes(SECRET_BYTES) if number < 1 << 8 * SECRET_BYTES else None


def code_as_printed(secret: bytes) -> str:
    """The code in signs that can be typed, in groups of four."""
    number = int.from_bytes(secret)
    places = (len(CODE_SIGNS) ** place for place in reversed(range(CODE_LENGTH)))
    signs = "".join(CODE_SIGNS[number // place % len(CODE_SIGNS)] for place in places)
    return "-".join(signs[at : at + 4] for at in range(0, len(signs), 4))
