"""What stands in a code: a live code's card and proof, a printed code's card, an activation code's secret, and the text."""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Final

from core import cose
from core.cose import Malformed, Sign1, Signs, Value
from issuers.credentials.card import (
    MOST_SECONDS,
    PROOF_TYPE,
    Card,
    PrintedCard,
    WrongKind,
    read_card,
    read_printed,
)
from wallet.codes import base41

LIVE_AAD: Final = b"citycard/live/1"
ACTIVATION_TYPE: Final = 65004
SECRET_BYTES: Final = 16
MOST_VENUE: Final = 0xFFFFFFFF
MOST_CHARACTERS: Final = 1024

_HOST = re.compile(r"[A-Z0-9](?:[A-Z0-9.-]*[A-Z0-9])?(?::[0-9]{1,5})?")
_PAIR: Final = b"\x82"


class Kind(StrEnum):
    """The two kinds of code that are shown at a venue."""

    LIVE = "live"
    PRINTED = "printed"


class NotOurs(ValueError):
    """Some other text; nothing is known of it and nothing in it is opened."""


_LETTER: Final = {Kind.LIVE: "L", Kind.PRINTED: "P"}
_ACTIVATION: Final = "A"


@dataclass(frozen=True, slots=True)
class LiveCode:
    """A card and the device's word that it was shown at this second, perhaps at this venue; unbelieved as yet."""

    card: Card
    at: int
    venue: int | None
    digest: bytes
    signed_card: Sign1
    proof: Sign1

    def is_shown_by_its_holder(self) -> bool:
        """Did the key that the card names sign this second, for this very card?"""
        return cose.verify(cose.point(self.card.holder), self.proof, LIVE_AAD + self.digest)


@dataclass(frozen=True, slots=True)
class PrintedCode:
    """A card on paper; unbelieved as yet."""

    card: PrintedCard
    digest: bytes
    signed_card: Sign1


def make_live(card: bytes, device: Signs, at: int, venue: int | None = None) -> bytes:
    """The body of a live code: the signed card, and the device's signature over this second and that card."""
    if not 0 <= at <= MOST_SECONDS or (venue is not None and not 0 <= venue <= MOST_VENUE):
        raise ValueError("the time or the venue is out of bounds")
    shown: list[Value] = [at] if venue is None else [at, venue]
    proof = cose.sign(device, PROOF_TYPE, None, cose.encode(shown), LIVE_AAD + sha256(card).digest())
    return _PAIR + card + proof


def live_text(host: str, card: bytes, device: Signs, at: int, venue: int | None = None) -> str:
    """The text of the live code that a phone draws."""
    return prefix(host, Kind.LIVE) + base41.encode(make_live(card, device, at, venue))


def printed_text(host: str, card: bytes) -> str:
    """The text of the printed code of a signed card for paper."""
    return prefix(host, Kind.PRINTED) + base41.encode(card)


def prefix(host: str, kind: Kind) -> str:
    """The beginning by which a code of this kind is known as ours."""
    return f"{_origin(host)}{_LETTER[kind]}#"


def parse(text: str, host: str) -> tuple[Kind, bytes]:
    """The kind and body of one of our codes. The prefix is compared, never opened or resolved."""
    origin = _origin(host)
    if not text.startswith(origin):
        raise NotOurs("not a code of this city")
    letter, mark = text[len(origin) : len(origin) + 1], text[len(origin) + 1 : len(origin) + 2]
    kind = next((kind for kind, known in _LETTER.items() if known == letter), None)
    if kind is None or mark != "#":
        raise WrongKind("something of this city, but no code that is shown at a venue")
    body = text[len(origin) + 2 :]
    if len(body) > MOST_CHARACTERS:
        raise Malformed("more characters than any code has")
    try:
        return kind, base41.decode(body)
    except base41.NotBase41 as wrong:
        raise Malformed(str(wrong)) from None


def activation_text(host: str, secret: bytes) -> str:
    """The text of the code that a letter or the desk gives, to make whoever signs in and scans it this person.

    It is no token: the city knows its secret again by a keyed hash, and nobody else can do anything with it.
    """
    body = cose.encode([ACTIVATION_TYPE, secret])
    return f"{_origin(host)}{_ACTIVATION}#{base41.encode(body)}"


def read_activation(text: str, host: str) -> bytes:
    """The secret of an activation code; live and printed codes are never taken for one."""
    origin = _origin(host)
    if not text.startswith(origin):
        raise NotOurs("not a code of this city")
    if not text.startswith(f"{origin}{_ACTIVATION}#"):
        raise WrongKind("something of this city, but no activation code")
    letters = text[len(origin) + 2 :]
    if len(letters) > MOST_CHARACTERS:
        raise Malformed("more characters than any code has")
    try:
        body = base41.decode(letters)
    except base41.NotBase41 as wrong:
        raise Malformed(str(wrong)) from None
    match cose.decode(body):
        case [int(typ), bytes(secret)] if len(secret) == SECRET_BYTES:
            if typ != ACTIVATION_TYPE:
                raise WrongKind("another type than its place asks for")
            return secret
        case _:
            raise Malformed("an activation code is its type and 16 bytes")


def read_live(body: bytes) -> LiveCode:
    """Reads a live code's body, without believing it."""
    if body[:1] != _PAIR:
        raise _whatever_else(body)
    signed_card, middle = cose.read_sign1(body, 1)
    proof, end = cose.read_sign1(body, middle)
    if end != len(body):
        raise Malformed("bytes left over")
    card = read_card(signed_card)
    at, venue = _read_proof(proof)
    return LiveCode(card, at, venue, sha256(body[1:middle]).digest(), signed_card, proof)


def read_printed_code(body: bytes) -> PrintedCode:
    """Reads a printed code's body, without believing it."""
    if body[:1] == _PAIR:
        read_live(body)
        raise WrongKind("a live code in a printed code's place")
    signed_card, end = cose.read_sign1(body)
    if end != len(body):
        raise Malformed("bytes left over")
    return PrintedCode(read_printed(signed_card), sha256(body).digest(), signed_card)


def _read_proof(proof: Sign1) -> tuple[int, int | None]:
    header = cose.read_header(proof.protected)
    if header.typ != PROOF_TYPE:
        raise WrongKind("another type than its place asks for")
    if header.kid is not None:
        raise Malformed("a proof names no key: the card does")
    match cose.decode(proof.payload):
        case [int(at)] if 0 <= at <= MOST_SECONDS:
            return at, None
        case [int(at), int(venue)] if 0 <= at <= MOST_SECONDS and 0 <= venue <= MOST_VENUE:
            return at, venue
        case _:
            raise Malformed("a proof says when, and perhaps where")


def _whatever_else(body: bytes) -> Malformed:
    # A card without its proof and a printed card are one signed thing: well formed, but no live code.
    signed, end = cose.read_sign1(body)
    if end != len(body):
        return Malformed("bytes left over")
    cose.read_header(signed.protected)
    return WrongKind("one signed thing where a card and a proof belong")


@lru_cache(maxsize=8)
def _origin(host: str) -> str:
    shouted = host.upper()
    if not _HOST.fullmatch(shouted):
        raise ValueError("the host of the codes is a plain host name, perhaps with a port")
    return f"HTTPS://{shouted}/"
