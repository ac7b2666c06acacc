"""The judgement of a scan, held to the published vectors and to its promises."""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import cbor2
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import cose, p256
from core.cose import KeyInHand
from issuers.credentials.card import Card, CardId, PrintedCard, sign_card, sign_printed
from verifiers.checks.rules import (
    Judgement,
    Offer,
    Outcome,
    Place,
    Reason,
    TrustedKey,
    applicable,
    judge,
    outcome_of,
)
from verifiers.offers.rules import OfferKind
from wallet.codes import base41
from wallet.codes.text import Kind, live_text, prefix, printed_text

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "vectors"
PUBLISHED: dict[str, Any] = json.loads((FOLDER / "codes.json").read_text())


# ---- A scanner's view, as the vectors write it -----------------------------------------------------------------


def moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


@dataclass(frozen=True)
class Trust:
    issued_at: datetime
    expires_at: datetime
    keys: dict[bytes, TrustedKey]

    def key(self, kid: bytes, /) -> TrustedKey | None:
        return self.keys.get(kid)


@dataclass(frozen=True)
class Sheet:
    issued_at: datetime
    expires_at: datetime
    size: int = 1000
    values: dict[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int, /) -> int:
        if not 0 <= index < self.size:
            raise IndexError
        return self.values.get(index, 0)


@dataclass(frozen=True)
class Sheets:
    sheets: dict[int, Sheet]
    newest: dict[int, datetime] = field(default_factory=dict)

    def sheet(self, status_list: int, /) -> Sheet | None:
        return self.sheets.get(status_list)

    def newest_seen(self, status_list: int, /) -> datetime | None:
        return self.newest.get(status_list)


def judge_vector(vector: dict[str, Any]) -> Judgement:
    world = {**PUBLISHED["world"], **vector["but"]}
    trust = Trust(
        moment(world["trust"]["issued_at"]),
        moment(world["trust"]["expires_at"]),
        {
            bytes.fromhex(line["kid"]): TrustedKey(
                bytes.fromhex(line["kid"]),
                line["use"],
                cose.point(bytes.fromhex(line["point"])),
                moment(line["not_before"]),
                moment(line["not_after"]),
                line["withdrawn"],
            )
            for line in world["trust"]["keys"]
        },
    )
    sheets = Sheets(
        {
            int(number): Sheet(
                moment(sheet["issued_at"]),
                moment(sheet["expires_at"]),
                sheet["size"],
                {int(index): value for index, value in sheet["values"].items()},
            )
            for number, sheet in world["status"].items()
        },
        {int(number): moment(sheet["newest_seen"]) for number, sheet in world["status"].items()},
    )
    last = {CardId(*entry["status"]): entry["at"] for entry in world["last_accepted"]}
    return judge(
        vector["text"],
        host=world["host"],
        trust=trust,
        status=sheets,
        now=moment(world["now"]),
        floor=moment(world["floor"]),
        place=Place(**world["place"]),
        last_accepted=last.get,
        recognise=lambda digest: world["record"].get(digest.hex()),
    )


@pytest.mark.parametrize(
    "vector", PUBLISHED["judgements"], ids=lambda vector: f"{vector['group']}: {vector['name']}"
)
def test_every_published_vector_is_judged_as_published(vector: dict[str, Any]) -> None:
    judged, expect = judge_vector(vector), vector["expect"]
    assert (judged.outcome, judged.reason, judged.alarm) == (
        expect["outcome"],
        expect["reason"],
        expect["alarm"],
    )
    if judged.outcome is Outcome.ACCEPTED:
        assert judged.card is not None
        assert judged.expires_at is not None
        assert {
            "kind": judged.kind,
            "tariff_bits": judged.tariff_bits,
            "name": judged.name,
            "status": [judged.card.status_list, judged.card.index],
            "exp": int(judged.expires_at.timestamp()),
            "compare_name": judged.compare_name,
        }.items() <= expect.items()
    else:
        assert (judged.tariff_bits, judged.name, judged.offers) == (0, None, ())


def test_the_published_file_is_what_its_maker_makes() -> None:
    assert maker().written() == (FOLDER / "codes.json").read_text()


def test_no_two_vectors_share_a_name() -> None:
    names = [(vector["group"], vector["name"]) for vector in PUBLISHED["judgements"]]
    assert len(names) == len(set(names))


def test_every_reason_but_those_of_offers_has_a_vector() -> None:
    shown = {vector["expect"]["reason"] for vector in PUBLISHED["judgements"]} - {None}
    assert shown == set(Reason) - {Reason.NO_OFFER, Reason.NAME_NEEDED}


def test_an_unrelated_decoder_agrees_with_the_parts_of_the_published_codes() -> None:
    inside = PUBLISHED["inside"]
    keys = {line["label"]: bytes.fromhex(line["point"]) for line in PUBLISHED["world"]["trust"]["keys"]}
    card, proof = cbor2.loads(bytes.fromhex(inside["live"]["bytes"]))
    holder = cbor2.loads(card[2])[4]
    printed = cbor2.loads(bytes.fromhex(inside["printed"]["bytes"]))
    for part, signed, point in (
        (inside["card"], card, keys["cards"]),
        (inside["proof"], proof, holder),
        (inside["printed"], printed, keys["printed cards"]),
    ):
        aad = bytes.fromhex(part["external_aad"])
        to_be_signed = cbor2.dumps(["Signature1", signed[0], aad, signed[2]])
        assert to_be_signed.hex() == part["to_be_signed"]
        assert signed[1] == {}
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        r, s = int.from_bytes(signed[3][:32], "big"), int.from_bytes(signed[3][32:], "big")
        key.verify(encode_dss_signature(r, s), to_be_signed, ec.ECDSA(SHA256()))
        with pytest.raises(InvalidSignature):
            key.verify(encode_dss_signature(r, s), to_be_signed + b"\0", ec.ECDSA(SHA256()))
    assert bytes.fromhex(inside["proof"]["external_aad"]).endswith(
        sha256(bytes.fromhex(inside["card"]["bytes"])).digest()
    )


def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vectors_maker", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- Promises beyond the vectors -------------------------------------------------------------------------------

HOST = "karte.example"
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
AT = int(NOON.timestamp())
HOUR = timedelta(hours=1)
ISSUER = KeyInHand(ec.derive_private_key(11, ec.SECP256R1()), b"\0\0\0\1")
PRINTER = KeyInHand(ec.derive_private_key(12, ec.SECP256R1()), b"\0\0\0\2")
PHONE = KeyInHand(ec.derive_private_key(13, ec.SECP256R1()))
CARD = Card(ISSUER.kid, AT + 86_400, 0b101, CardId(1, 5), p256.point(PHONE.key.public_key()))
PAPER = PrintedCard(PRINTER.kid, AT + 86_400, 0b101, CardId(1, 6), "MUELLER<<ANNA")
TRUST = Trust(
    NOON - HOUR,
    NOON + HOUR,
    {
        who.kid: TrustedKey(who.kid, use, who.key.public_key(), NOON - HOUR, NOON + HOUR)
        for who, use in ((ISSUER, "card"), (PRINTER, "printed"))
    },
)
STANDING = Sheets({1: Sheet(NOON - HOUR, NOON + HOUR)})
HALF = Offer("half", OfferKind.PERCENTAGE, 0b001, value=50)
SWIM = Offer("swim", OfferKind.FIXED_PRICE, 0b110, value=200)
NAMED_FREE = Offer("named", OfferKind.FREE, 0b100, asks_name=True)
ELSEWHO = Offer("elsewho", OfferKind.FREE, 0b010)


def live(card: Card = CARD, at: int = AT, venue: int | None = None) -> str:
    return live_text(HOST, sign_card(card, ISSUER), PHONE, at, venue)


def scan(text: str, **otherwise: Any) -> Judgement:
    usual: dict[str, Any] = {
        "host": HOST,
        "trust": TRUST,
        "status": STANDING,
        "now": NOON,
        "floor": NOON - HOUR,
        "place": Place(7),
    }
    return judge(text, **{**usual, **otherwise})


@pytest.mark.parametrize(
    ("offers", "bits", "applying"),
    [
        ([HALF, SWIM, ELSEWHO], 0b101, [HALF, SWIM]),
        ([SWIM, HALF], 0b001, [HALF]),
        ([HALF, SWIM], 0b1000, []),
        ([HALF], 0, []),
        ([], 0b1, []),
    ],
)
def test_an_offer_applies_for_any_of_its_tariffs(
    offers: list[Offer], bits: int, applying: list[Offer]
) -> None:
    assert applicable(offers, bits) == tuple(applying)


def test_a_nameless_code_brings_what_needs_no_name_and_says_what_the_name_would_bring() -> None:
    judged = scan(live(), offers=[HALF, NAMED_FREE, ELSEWHO])
    assert judged.outcome is Outcome.ACCEPTED
    assert (judged.offers, judged.offers_with_name) == ((HALF,), (NAMED_FREE,))
    assert not judged.compare_name


def test_where_every_offer_asks_for_the_name_a_nameless_code_cannot_tell() -> None:
    judged = scan(live(), offers=[NAMED_FREE])
    assert (judged.outcome, judged.reason) == (Outcome.CANNOT_TELL, Reason.NAME_NEEDED)
    assert judged.offers_with_name == (NAMED_FREE,)


def test_a_named_code_brings_both_and_asks_for_the_comparison() -> None:
    judged = scan(live(replace(CARD, name="MUELLER<<ANNA")), offers=[HALF, NAMED_FREE])
    assert judged.outcome is Outcome.ACCEPTED
    assert (judged.offers, judged.offers_with_name) == ((HALF, NAMED_FREE), ())
    assert judged.compare_name
    assert judged.name == "MUELLER<<ANNA"


def test_a_named_code_is_not_compared_where_no_offer_asks() -> None:
    assert not scan(live(replace(CARD, name="MUELLER<<ANNA")), offers=[HALF]).compare_name


def test_paper_is_always_compared_with_an_id() -> None:
    judged = scan(printed_text(HOST, sign_printed(PAPER, PRINTER)), offers=[HALF])
    assert judged.outcome is Outcome.ACCEPTED
    assert judged.compare_name
    assert judged.at is None


def test_a_valid_card_that_brings_nothing_here_is_refused_as_such() -> None:
    judged = scan(live(), offers=[ELSEWHO])
    assert (judged.outcome, judged.reason) == (Outcome.REFUSED, Reason.NO_OFFER)


def test_without_offers_in_question_the_card_alone_is_judged() -> None:
    assert scan(live()).outcome is Outcome.ACCEPTED


def test_an_accepted_live_code_hands_over_its_replay_mark() -> None:
    first = scan(live())
    assert first.card == CardId(1, 5)
    assert first.at == AT
    again = scan(live(), last_accepted=lambda _: first.at)
    assert (again.outcome, again.reason) == (Outcome.REFUSED, Reason.REPLAYED)


def test_a_wrong_clock_is_named_with_its_error() -> None:
    assert scan(live(at=AT - 7200)).off_by == timedelta(hours=-2)
    assert scan(live(at=AT + 120)).off_by == timedelta(minutes=2)
    assert scan(live(), now=NOON - 2 * HOUR).off_by == -HOUR
    assert scan(live(at=AT - 61)).off_by is None


def test_recognition_spares_only_the_issuers_signature() -> None:
    known: dict[str, Callable[[bytes], bool]] = {"recognise": lambda _: True}
    assert scan(live(), **known).outcome is Outcome.ACCEPTED
    gone = replace(TRUST, keys={ISSUER.kid: replace(TRUST.keys[ISSUER.kid], withdrawn=True)})
    revoked = Sheets({1: Sheet(NOON - HOUR, NOON + HOUR, values={5: 1})})
    for otherwise, reason in (
        ({"trust": gone}, Reason.KEY_WITHDRAWN),
        ({"status": revoked}, Reason.REVOKED),
        ({"now": NOON + timedelta(seconds=61)}, Reason.STALE_CODE),
    ):
        assert scan(live(), **otherwise, **known).reason is reason
    paper_in_its_place = prefix(HOST, Kind.LIVE) + base41.encode(sign_printed(PAPER, PRINTER))
    assert scan(paper_in_its_place, **known).reason is Reason.WRONG_KIND
    other_phone = live_text(HOST, sign_card(CARD, ISSUER), ISSUER, AT)
    assert scan(other_phone, **known).reason is Reason.BAD_SIGNATURE


def test_nothing_is_said_of_a_card_whose_signature_is_false() -> None:
    forged = live_text(HOST, sign_card(CARD, KeyInHand(PHONE.key, ISSUER.kid)), PHONE, AT)
    assert scan(forged) == Judgement(Outcome.REFUSED, Reason.BAD_SIGNATURE)


def test_what_the_scanner_lacks_is_never_called_invalid() -> None:
    lacking = {
        Reason.TRUST_LIST_STALE,
        Reason.STATUS_MISSING,
        Reason.STATUS_STALE,
        Reason.STATUS_ROLLED_BACK,
        Reason.NAME_NEEDED,
    }
    clocks = {Reason.CODE_CLOCK_OFF, Reason.SCANNER_CLOCK_BEHIND}
    for reason in Reason:
        expected = (
            Outcome.CANNOT_TELL
            if reason in lacking
            else Outcome.CHECK_THE_CLOCK
            if reason in clocks
            else Outcome.REFUSED
        )
        assert outcome_of(reason) is expected


# ---- Hostile text ----------------------------------------------------------------------------------------------

GENUINE = base41.decode(live().partition("#")[2])
PREFIXES = st.sampled_from([prefix(HOST, Kind.LIVE), prefix(HOST, Kind.PRINTED)])
EXAMPLES = settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


@EXAMPLES
@given(st.text(max_size=200))
def test_any_text_is_refused_and_nothing_breaks(text: str) -> None:
    assert scan(text).outcome is Outcome.REFUSED


@EXAMPLES
@given(PREFIXES, st.text(max_size=400) | st.text(alphabet=base41.ALPHABET, max_size=400))
def test_any_text_behind_our_prefix_is_refused_and_nothing_breaks(start: str, text: str) -> None:
    assert scan(start + text).outcome is Outcome.REFUSED


@EXAMPLES
@given(PREFIXES, st.binary(max_size=400))
def test_any_bytes_are_refused_and_nothing_breaks(start: str, body: bytes) -> None:
    assert scan(start + base41.encode(body)).outcome is Outcome.REFUSED


@EXAMPLES
@given(st.integers(0, len(GENUINE) * 8 - 1))
def test_a_code_with_one_bit_turned_is_refused(bit: int) -> None:
    bent = bytearray(GENUINE)
    bent[bit // 8] ^= 1 << bit % 8
    assert scan(prefix(HOST, Kind.LIVE) + base41.encode(bytes(bent))).outcome is Outcome.REFUSED


@EXAMPLES
@given(
    st.integers(0, len(GENUINE)),
    st.integers(0, 12),
    st.binary(max_size=12),
    st.binary(min_size=32, max_size=32),
)
def test_a_code_with_a_piece_cut_out_or_put_in_is_refused(
    start: int, length: int, piece: bytes, noise: bytes
) -> None:
    bent = GENUINE[:start] + piece + GENUINE[start + length :]
    if bent == GENUINE:
        bent = GENUINE[:-32] + noise
    if bent != GENUINE:
        assert scan(prefix(HOST, Kind.LIVE) + base41.encode(bent)).outcome is Outcome.REFUSED
