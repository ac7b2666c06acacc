"""A card says what it was made to say, is signed under its own name, and has bounds."""

from dataclasses import replace

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from core import cose, p256
from core.cose import KeyInHand, Malformed, Sign1
from issuers.credentials.card import (
    Card,
    CardId,
    PrintedCard,
    WrongKind,
    card_is_genuine,
    printed_is_genuine,
    read_card,
    read_printed,
    sign_card,
    sign_printed,
)

ISSUER = KeyInHand(ec.derive_private_key(21, ec.SECP256R1()), b"\1\2\3\4")
KEY = ISSUER.key.public_key()
HOLDER = p256.point(ec.derive_private_key(22, ec.SECP256R1()).public_key())
CARD = Card(ISSUER.kid, 1_780_000_000, 0b11, CardId(7, 91_442), HOLDER)
PRINTED = PrintedCard(ISSUER.kid, 1_780_000_000, 0b11, CardId(7, 91_443), "MUELLER<<ANNA")


def read(data: bytes) -> Sign1:
    signed, end = cose.read_sign1(data)
    assert end == len(data)
    return signed


@pytest.mark.parametrize("card", [CARD, replace(CARD, name="MUELLER<<ANNA"), replace(CARD, tariff_bits=0)])
def test_a_card_is_read_as_it_was_signed(card: Card) -> None:
    signed = read(sign_card(card, ISSUER))
    assert read_card(signed) == card
    assert card_is_genuine(signed, KEY)


def test_a_printed_card_is_read_as_it_was_signed() -> None:
    signed = read(sign_printed(PRINTED, ISSUER))
    assert read_printed(signed) == PRINTED
    assert printed_is_genuine(signed, KEY)


def test_the_wire_is_what_the_design_says() -> None:
    protected, unprotected, payload, _ = cbor2.loads(sign_card(replace(CARD, name="A"), ISSUER))
    assert cbor2.loads(protected) == {1: -7, 4: ISSUER.kid, 16: 65001}
    assert unprotected == {}
    assert cbor2.loads(payload) == {1: CARD.exp, 2: 3, 3: [7, 91_442], 4: HOLDER, 5: "A"}
    protected, unprotected, payload, _ = cbor2.loads(sign_printed(PRINTED, ISSUER))
    assert cbor2.loads(protected) == {1: -7, 4: ISSUER.kid, 16: 65003}
    assert unprotected == {}
    assert cbor2.loads(payload) == {1: CARD.exp, 2: 3, 3: [7, 91_443], 5: "MUELLER<<ANNA"}


def test_a_nameless_card_carries_no_field_for_a_name() -> None:
    assert 5 not in cbor2.loads(read(sign_card(CARD, ISSUER)).payload)


def test_neither_kind_stands_in_for_the_other() -> None:
    card, printed = read(sign_card(CARD, ISSUER)), read(sign_printed(PRINTED, ISSUER))
    with pytest.raises(WrongKind):
        read_printed(card)
    with pytest.raises(WrongKind):
        read_card(printed)
    assert not printed_is_genuine(card, KEY)
    assert not card_is_genuine(printed, KEY)


def test_a_card_is_signed_by_the_key_that_it_names() -> None:
    with pytest.raises(ValueError, match="another key"):
        sign_card(CARD, KeyInHand(ISSUER.key, b"\4\3\2\1"))
    with pytest.raises(ValueError, match="another key"):
        sign_printed(PRINTED, KeyInHand(ISSUER.key, b"\4\3\2\1"))


@pytest.mark.parametrize(
    "bad",
    [
        {"kid": b"abc"},
        {"exp": -1},
        {"exp": 2**32},
        {"tariff_bits": -1},
        {"tariff_bits": 2**16},
        {"status": CardId(2**16, 0)},
        {"status": CardId(-1, 0)},
        {"status": CardId(0, 2**32)},
        {"status": CardId(0, -1)},
        {"holder": HOLDER[:-1]},
        {"name": ""},
        {"name": "A" * 24},
        {"name": "Anna"},
        {"name": "ANNA "},
        {"name": "ANNA\n"},
        {"name": "<ANNA"},
        {"name": "ANNA<"},
        {"name": "A<<<B"},
        {"name": "A<<B<<C"},
        {"name": "ÄNNE"},
        {"name": "A1"},
    ],
)
def test_no_card_is_made_beyond_its_bounds(bad: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        replace(CARD, **bad)
    if "holder" not in bad:
        with pytest.raises(Malformed):
            replace(PRINTED, **bad)


def test_cards_at_their_bounds_are_made() -> None:
    widest = replace(
        CARD, exp=2**32 - 1, tariff_bits=2**16 - 1, status=CardId(2**16 - 1, 2**32 - 1), name="A" * 23
    )
    assert read_card(read(sign_card(widest, ISSUER))) == widest
