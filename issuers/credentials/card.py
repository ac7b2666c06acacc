"""The compact card of our own phone and paper: what it says, its bytes, and who signed them."""

import re
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from core import cose
from core.cose import Malformed, Sign1, Signer, Value

CARD_TYPE: Final = 65001
PROOF_TYPE: Final = 65002
PRINTED_TYPE: Final = 65003
CARD_AAD: Final = b"citycard/card/1"
PRINTED_AAD: Final = b"citycard/printed/1"

# The QR budget is reckoned with these bounds; a wider field would not fit every code any more.
MOST_TARIFF_BITS: Final = 0xFFFF
MOST_LIST: Final = 0xFFFF
MOST_INDEX: Final = 0xFFFFFFFF
MOST_SECONDS: Final = 0xFFFFFFFF
MOST_LETTERS: Final = 23

# As in the machine-readable line of an ID: FAMILY<NAME<<GIVEN<NAMES.
_NAME = re.compile(r"[A-Z]+(?:<[A-Z]+)*(?:<<[A-Z]+(?:<[A-Z]+)*)?")
_EXP, _TARIFF, _STATUS, _HOLDER, _NAMED = 1, 2, 3, 4, 5


class WrongKind(Malformed):
    """Well formed, but of another type than its place asks for."""


@dataclass(frozen=True, slots=True, order=True)
class CardId:
    """What a card is known by: its place in a status list. It never leaves the city's servers and scanners."""

    status_list: int
    index: int


@dataclass(frozen=True, slots=True)
class Card:
    """A card on a phone, bound to that phone's key; nameless, or with the name as an ID spells it."""

    kid: bytes
    exp: int
    tariff_bits: int
    status: CardId
    holder: bytes
    name: str | None = None

    def __post_init__(self) -> None:
        _check(self.kid, self.exp, self.tariff_bits, self.status, self.name)
        if len(self.holder) != cose.POINT_BYTES:
            raise Malformed("the holder's key is a compressed point")


@dataclass(frozen=True, slots=True)
class PrintedCard:
    """A card on paper: bound to no key, hence always with the name."""

    kid: bytes
    exp: int
    tariff_bits: int
    status: CardId
    name: str

    def __post_init__(self) -> None:
        _check(self.kid, self.exp, self.tariff_bits, self.status, self.name)


def sign_card(card: Card, signer: Signer) -> bytes:
    """Signs a card for a phone. Write its row first: what is signed must be revocable."""
    payload: dict[int, Value] = {
        _EXP: card.exp,
        _TARIFF: card.tariff_bits,
        _STATUS: [card.status.status_list, card.status.index],
        _HOLDER: card.holder,
    }
    if card.name is not None:
        payload[_NAMED] = card.name
    return _sign(card.kid, signer, CARD_TYPE, payload, CARD_AAD)


def sign_printed(card: PrintedCard, signer: Signer) -> bytes:
    """Signs a card for paper. Write its row first: what is signed must be revocable."""
    payload: dict[int, Value] = {
        _EXP: card.exp,
        _TARIFF: card.tariff_bits,
        _STATUS: [card.status.status_list, card.status.index],
        _NAMED: card.name,
    }
    return _sign(card.kid, signer, PRINTED_TYPE, payload, PRINTED_AAD)


def read_card(signed: Sign1) -> Card:
    """Reads what a phone's card claims, without believing it."""
    kid, payload = _open(signed, CARD_TYPE)
    holder, name = payload.get(_HOLDER), payload.get(_NAMED)
    if payload.keys() - {_NAMED} != {_EXP, _TARIFF, _STATUS, _HOLDER} or not isinstance(holder, bytes):
        raise Malformed("a card has an end, a tariff, a status, a holder and perhaps a name")
    if _NAMED in payload and not isinstance(name, str):
        raise Malformed("a name is text")
    exp, tariff_bits, status = _common(payload)
    return Card(kid, exp, tariff_bits, status, holder, name if isinstance(name, str) else None)


def read_printed(signed: Sign1) -> PrintedCard:
    """Reads what a printed card claims, without believing it."""
    kid, payload = _open(signed, PRINTED_TYPE)
    name = payload.get(_NAMED)
    if payload.keys() != {_EXP, _TARIFF, _STATUS, _NAMED} or not isinstance(name, str):
        raise Malformed("a printed card has an end, a tariff, a status and a name")
    exp, tariff_bits, status = _common(payload)
    return PrintedCard(kid, exp, tariff_bits, status, name)


def card_is_genuine(signed: Sign1, key: EllipticCurvePublicKey) -> bool:
    """Did this key sign this as a card for a phone?"""
    return cose.verify(key, signed, CARD_AAD)


def printed_is_genuine(signed: Sign1, key: EllipticCurvePublicKey) -> bool:
    """Did this key sign this as a card for paper?"""
    return cose.verify(key, signed, PRINTED_AAD)


def _check(kid: bytes, exp: int, tariff_bits: int, status: CardId, name: str | None) -> None:
    if len(kid) != cose.KID_BYTES:
        raise Malformed("a key id has four bytes")
    if not (0 <= exp <= MOST_SECONDS and 0 <= tariff_bits <= MOST_TARIFF_BITS):
        raise Malformed("the end or the tariff is out of bounds")
    if not (0 <= status.status_list <= MOST_LIST and 0 <= status.index <= MOST_INDEX):
        raise Malformed("the status is out of bounds")
    if name is not None and not (len(name) <= MOST_LETTERS and _NAME.fullmatch(name)):
        raise Malformed("a name has at most 23 letters A to Z")


def _sign(kid: bytes, signer: Signer, typ: int, payload: dict[int, Value], aad: bytes) -> bytes:
    if signer.kid != kid:
        raise ValueError("the card names another key than the one that signs it")
    return cose.sign(signer, typ, kid, cose.encode(payload), aad)


def _open(signed: Sign1, typ: int) -> tuple[bytes, dict[int, Value]]:
    header = cose.read_header(signed.protected)
    if header.typ != typ:
        raise WrongKind("another type than its place asks for")
    payload = cose.decode(signed.payload)
    if header.kid is None or not isinstance(payload, dict):
        raise Malformed("a card names its key and is a map")
    return header.kid, payload


def _common(payload: dict[int, Value]) -> tuple[int, int, CardId]:
    match payload[_EXP], payload[_TARIFF], payload[_STATUS]:
        case int(exp), int(tariff_bits), [int(number), int(index)]:
            return exp, tariff_bits, CardId(number, index)
        case _:
            raise Malformed("end and tariff are numbers, the status is two")
