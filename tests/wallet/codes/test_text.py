"""A live code is this card, shown by its holder, at this second; and only our own texts are codes at all."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from core import cose, p256
from core.cose import KeyInHand, Malformed
from issuers.credentials.card import Card, CardId, PrintedCard, WrongKind, sign_card, sign_printed
from wallet.codes import base41
from wallet.codes.text import (
    Kind,
    NotOurs,
    activation_text,
    live_text,
    make_live,
    parse,
    prefix,
    printed_text,
    read_activation,
    read_live,
    read_printed_code,
)

HOST = "karte.example"
AT = 1_780_000_000
ISSUER = KeyInHand(ec.derive_private_key(31, ec.SECP256R1()), b"\1\2\3\4")
PHONE = KeyInHand(ec.derive_private_key(32, ec.SECP256R1()))
OTHER_PHONE = KeyInHand(ec.derive_private_key(33, ec.SECP256R1()))
CARD = Card(ISSUER.kid, AT + 600, 1, CardId(7, 91_442), p256.point(PHONE.key.public_key()))
NAMED = Card(ISSUER.kid, AT + 600, 2**16 - 1, CardId(77, 91_442), CARD.holder, "M" * 23)
PAPER = PrintedCard(ISSUER.kid, AT + 600, 2**16 - 1, CardId(77, 91_443), "M" * 23)


def test_codes_are_as_small_as_the_design_measured() -> None:
    assert len(make_live(sign_card(CARD, ISSUER), PHONE, AT)) == 221
    assert len(make_live(sign_card(NAMED, ISSUER), PHONE, AT, 2**32 - 1)) == 254
    assert len(sign_printed(PAPER, ISSUER)) <= 137


@pytest.mark.parametrize("venue", [None, 0, 40_017, 2**32 - 1])
def test_a_live_code_says_which_card_when_and_where(venue: int | None) -> None:
    kind, body = parse(live_text(HOST, sign_card(CARD, ISSUER), PHONE, AT, venue), HOST)
    code = read_live(body)
    assert kind is Kind.LIVE
    assert (code.card, code.at, code.venue) == (CARD, AT, venue)
    assert code.is_shown_by_its_holder()


def test_a_printed_code_says_which_card() -> None:
    kind, body = parse(printed_text(HOST, sign_printed(PAPER, ISSUER)), HOST)
    assert kind is Kind.PRINTED
    assert read_printed_code(body).card == PAPER


def test_another_phone_cannot_show_this_card() -> None:
    assert not read_live(make_live(sign_card(CARD, ISSUER), OTHER_PHONE, AT)).is_shown_by_its_holder()


def test_a_proof_belongs_to_one_card_even_of_the_same_phone() -> None:
    ours, other = sign_card(CARD, ISSUER), sign_card(NAMED, ISSUER)
    proof = make_live(ours, PHONE, AT)[1 + len(ours) :]
    assert read_live(b"\x82" + ours + proof).is_shown_by_its_holder()
    assert not read_live(b"\x82" + other + proof).is_shown_by_its_holder()


def test_the_prefix_is_the_configured_host_in_capitals() -> None:
    assert prefix("karte.example", Kind.LIVE) == "HTTPS://KARTE.EXAMPLE/L#"
    assert prefix("localhost:8000", Kind.PRINTED) == "HTTPS://LOCALHOST:8000/P#"


@pytest.mark.parametrize(
    "host", ["", "karte example", "karte.example/x", "a#b", "käse.example", "user@host", "-a"]
)
def test_a_host_is_a_plain_name(host: str) -> None:
    with pytest.raises(ValueError, match="plain host name"):
        prefix(host, Kind.LIVE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "L#000",
        "https://karte.example/L#000",
        "HTTP://KARTE.EXAMPLE/L#000",
        "HTTPS://KARTE.EXAMPLE.EVIL/L#000",
        "HTTPS://KARTE.EXAMPLE:443/L#000",
        "HTTPS://EVIL/HTTPS://KARTE.EXAMPLE/L#000",
    ],
)
def test_only_the_configured_prefix_is_ours(text: str) -> None:
    with pytest.raises(NotOurs):
        parse(text, HOST)


@pytest.mark.parametrize("tail", ["", "L", "L000", "A#000", "l#000", "LL#000", "Q#", "#000"])
def test_other_things_of_this_city_are_no_codes_for_a_venue(tail: str) -> None:
    with pytest.raises(WrongKind):
        parse("HTTPS://KARTE.EXAMPLE/" + tail, HOST)


def test_a_text_longer_than_any_code_is_not_even_decoded() -> None:
    assert parse(prefix(HOST, Kind.LIVE) + "000" * 341, HOST) == (Kind.LIVE, bytes(682))
    with pytest.raises(Malformed):
        parse(prefix(HOST, Kind.LIVE) + "000" * 342, HOST)


def test_the_kinds_never_stand_in_for_each_other() -> None:
    live, paper = make_live(sign_card(CARD, ISSUER), PHONE, AT), sign_printed(PAPER, ISSUER)
    with pytest.raises(WrongKind):
        read_live(paper)
    with pytest.raises(WrongKind):
        read_printed_code(live)
    with pytest.raises(WrongKind):
        read_live(sign_card(CARD, ISSUER))
    with pytest.raises(WrongKind):
        read_printed_code(sign_card(CARD, ISSUER))


@pytest.mark.parametrize(("at", "venue"), [(-1, None), (2**32, None), (0, -1), (0, 2**32)])
def test_no_code_is_made_beyond_its_bounds(at: int, venue: int | None) -> None:
    with pytest.raises(ValueError, match="out of bounds"):
        make_live(sign_card(CARD, ISSUER), PHONE, at, venue)


def test_the_body_is_in_letters_that_need_no_escape() -> None:
    body = live_text(HOST, sign_card(CARD, ISSUER), PHONE, AT).partition("#")[2]
    assert set(body) <= set(base41.ALPHABET)


def test_an_activation_code_reads_back_and_is_nothing_else() -> None:
    secret = bytes(range(16))
    text = activation_text(HOST, secret)
    assert text.startswith(f"HTTPS://{HOST.upper()}/A#")
    assert read_activation(text, HOST) == secret
    with pytest.raises(WrongKind):
        parse(text, HOST)
    for letter, read in (("L", read_live), ("P", read_printed_code)):
        _, body = parse(text.replace("/A#", f"/{letter}#"), HOST)
        with pytest.raises(Malformed):
            read(body)


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (cose.encode([65003, bytes(16)]), WrongKind),
        (cose.encode([65004, bytes(15)]), Malformed),
        (cose.encode([65004, bytes(17)]), Malformed),
        (cose.encode([65004, bytes(16), 0]), Malformed),
        (cose.encode([65004, bytes(16)]) + b"\0", Malformed),
        (bytes(16), Malformed),
        (b"", Malformed),
    ],
)
def test_what_is_not_just_an_activation_code_is_refused(body: bytes, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        read_activation(f"HTTPS://{HOST.upper()}/A#{base41.encode(body)}", HOST)


@pytest.mark.parametrize("text", ["HTTPS://EXAMPLE.ORG/A#ABC", "hello", ""])
def test_a_foreign_text_is_no_activation_code(text: str) -> None:
    with pytest.raises(NotOurs):
        read_activation(text, HOST)
