# ruff: noqa: INP001
"""Makes codes.json, the published vectors of the codes: `python docs/vectors/make.py`, byte for byte the same."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from core import cose, p256
from core.cose import KeyInHand, Value
from issuers.credentials.card import (
    CARD_AAD,
    CARD_TYPE,
    PRINTED_AAD,
    PRINTED_TYPE,
    PROOF_TYPE,
    Card,
    CardId,
    PrintedCard,
    sign_card,
    sign_printed,
)
from wallet.codes import base41
from wallet.codes.text import LIVE_AAD, Kind, live_text, make_live, prefix, printed_text

FILE = Path(__file__).with_name("codes.json")
HOST = "karte.example"
NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
EXP = int(datetime(2026, 6, 14, 22, 0, 0, tzinfo=UTC).timestamp())
VENUE = 40_017
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
STATUS = CardId(7, 91_442)
NAME = "MUELLER<<ANNA<MARIA"


def key(label: str) -> ec.EllipticCurvePrivateKey:
    """A key that everybody knows, made of its label: good for vectors and for nothing else."""
    number = int.from_bytes(sha256(f"citycard vectors: {label}".encode()).digest(), "big")
    return ec.derive_private_key(number % (ORDER - 1) + 1, ec.SECP256R1())


def signer(label: str) -> KeyInHand:
    """The key with its id: the first four bytes of the SHA-256 of its compressed point."""
    private = key(label)
    return KeyInHand(private, sha256(p256.point(private.public_key())).digest()[:4])


CARDS, OTHER_CARDS = signer("cards"), signer("other cards")
PRINTS, STATUS_LISTS, STRANGER = signer("printed cards"), signer("status lists"), signer("stranger")
GONE, TOMORROWS, YESTERDAYS = signer("withdrawn"), signer("tomorrow's"), signer("yesterday's")
PHONE, OTHER_PHONE = KeyInHand(key("phone")), KeyInHand(key("other phone"))

CARD = Card(CARDS.kid, EXP, 0b1, STATUS, p256.point(PHONE.key.public_key()))
NAMED = replace(CARD, status=CardId(7, 300), name=NAME)
PRINTED = PrintedCard(PRINTS.kid, EXP, 0b100_000_001, CardId(9, 12), NAME)


def moment(when: datetime) -> str:
    """A moment as the file writes it."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(n: int) -> str:
    """The moment so many seconds after the hour of the vectors."""
    return moment(NOW + timedelta(seconds=n))


def trusted(label: str, who: KeyInHand, use: str, **otherwise: Any) -> dict[str, Any]:
    """A line of the trust list."""
    return {
        "label": label,
        "kid": who.kid.hex(),
        "use": use,
        "point": p256.point(who.key.public_key()).hex(),
        "private": who.key.private_numbers().private_value.to_bytes(32, "big").hex(),
        "not_before": "2026-01-01T00:00:00Z",
        "not_after": "2027-01-01T00:00:00Z",
        "withdrawn": False,
        **otherwise,
    }


TRUST: dict[str, Any] = {
    "issued_at": "2026-06-01T06:00:00Z",
    "expires_at": "2026-06-02T06:00:00Z",
    "keys": [
        trusted("cards", CARDS, "card"),
        trusted("other cards", OTHER_CARDS, "card"),
        trusted("printed cards", PRINTS, "printed"),
        trusted("status lists", STATUS_LISTS, "status-list"),
        trusted("withdrawn", GONE, "card", withdrawn=True),
        trusted("tomorrow's", TOMORROWS, "card", not_before="2026-06-01T12:00:01Z"),
        trusted("yesterday's", YESTERDAYS, "card", not_after="2026-06-01T12:00:00Z"),
    ],
}
SHEET: dict[str, Any] = {
    "issued_at": "2026-06-01T11:00:00Z",
    "expires_at": "2026-06-01T23:00:00Z",
    "newest_seen": "2026-06-01T11:00:00Z",
    "size": 131_072,
    "values": {},
}
WORLD: dict[str, Any] = {
    "host": HOST,
    "now": moment(NOW),
    "floor": "2026-06-01T11:00:00Z",
    "place": {"venue": VENUE, "has_sign": False},
    "trust": TRUST,
    "status": {"7": SHEET, "9": SHEET},
    "last_accepted": [],
    "record": {},
}

# ---- Building blocks that let every byte be bent --------------------------------------------------------------


def bstr(data: bytes) -> bytes:
    """A byte string."""
    return cose.encode(data)


def header(kid: bytes | None = CARDS.kid, typ: int = CARD_TYPE, alg: int = -7) -> bytes:
    """A protected header."""
    fields: dict[int, Value] = {1: alg, 16: typ}
    return cose.encode(fields if kid is None else {**fields, 4: kid})


def signature(who: KeyInHand, protected: bytes, aad: bytes, payload: bytes) -> bytes:
    """The signature that belongs over these."""
    return who.sign(cose.encode(["Signature1", protected, aad, payload]))


def sealed(protected: bytes, payload: bytes, raw: bytes) -> bytes:
    """A COSE_Sign1 of these parts."""
    return b"\x84" + bstr(protected) + b"\xa0" + bstr(payload) + bstr(raw)


def bent_card(
    payload: bytes, protected: bytes | None = None, who: KeyInHand = CARDS, aad: bytes = CARD_AAD
) -> bytes:
    """A card with any payload, rightly signed."""
    protected = header(who.kid) if protected is None else protected
    return sealed(protected, payload, signature(who, protected, aad, payload))


def bent_proof(
    card: bytes,
    payload: bytes | None = None,
    protected: bytes | None = None,
    who: KeyInHand = PHONE,
    aad: bytes | None = None,
) -> bytes:
    """A proof with any payload, rightly signed."""
    protected = header(None, PROOF_TYPE) if protected is None else protected
    payload = cose.encode([AT]) if payload is None else payload
    aad = LIVE_AAD + sha256(card).digest() if aad is None else aad
    return sealed(protected, payload, signature(who, protected, aad, payload))


def shown(card: bytes, proof: bytes | None = None) -> str:
    """The text of a card and a proof."""
    return as_live(b"\x82" + card + (bent_proof(card) if proof is None else proof))


def as_live(body: bytes) -> str:
    """Any body behind the live prefix."""
    return prefix(HOST, Kind.LIVE) + base41.encode(body)


def as_printed(body: bytes) -> str:
    """Any body behind the printed prefix."""
    return prefix(HOST, Kind.PRINTED) + base41.encode(body)


def fields(**otherwise: Value | None) -> dict[int, Value]:
    """The payload of the nameless card, with fields changed (`k3=…`) or left out (`k3=None`)."""
    plain: dict[int, Value] = {
        1: CARD.exp,
        2: CARD.tariff_bits,
        3: [CARD.status.status_list, CARD.status.index],
        4: CARD.holder,
    }
    for name, value in otherwise.items():
        number = int(name[1:])
        if value is None:
            plain.pop(number, None)
        else:
            plain[number] = value
    return plain


def spelt(pairs: list[tuple[int, bytes]]) -> bytes:
    """A map with its keys in the order given, each value already in bytes."""
    return bytes((0xA0 | len(pairs),)) + b"".join(cose.encode(k) + v for k, v in pairs)


def pairs() -> list[tuple[int, bytes]]:
    """The payload of the nameless card as pairs."""
    return [(number, cose.encode(value)) for number, value in fields().items()]


def high(block: bytes) -> bytes:
    """The same signature with the other, higher s: as true mathematically, and refused."""
    s = ORDER - int.from_bytes(block[-32:], "big")
    return block[:-32] + s.to_bytes(32, "big")


def with_signature(block: bytes, r: int | None = None, s: int | None = None) -> bytes:
    """The same block with another r or s."""
    was = block[-64:-32], block[-32:]
    return (
        block[:-64]
        + (was[0] if r is None else r.to_bytes(32, "big"))
        + (was[1] if s is None else s.to_bytes(32, "big"))
    )


# ---- The vectors ----------------------------------------------------------------------------------------------


Made = tuple[str, str, str | None, dict[str, Any]]


def accepted() -> Iterator[Made]:
    """What must be accepted."""
    card, named, printed = sign_card(CARD, CARDS), sign_card(NAMED, CARDS), sign_printed(PRINTED, PRINTS)
    live = live_text(HOST, card, PHONE, AT)
    bound = live_text(HOST, named, PHONE, AT, VENUE)
    sign = {"place": {"venue": VENUE, "has_sign": True}}
    yield "nameless", live, None, {}
    yield "named", live_text(HOST, named, PHONE, AT), None, {}
    yield "bound to the venue whose sign is shown", bound, None, sign
    yield "bound to the venue, which shows no sign", bound, None, {}
    yield "printed", printed_text(HOST, printed), None, {}
    yield "printed, at a venue with a sign", printed_text(HOST, printed), None, sign
    yield "60 seconds old", live, None, {"now": seconds(60)}
    yield "60 seconds ahead", live, None, {"now": seconds(-60)}
    before = {"now": moment(datetime.fromtimestamp(EXP - 1, UTC)), **fresh(EXP - 1)}
    yield "live, one second before its end", live_text(HOST, card, PHONE, EXP - 1), None, before
    yield "printed, one second before its end", printed_text(HOST, printed), None, before
    yield "known by its hash", live, None, {"record": {sha256(card).hexdigest(): True}}
    bad = with_signature(card, r=1)
    yield (
        "known by its hash: the issuer's signature is not looked at",
        shown(bad),
        None,
        {"record": {sha256(bad).hexdigest(): True}},
    )


def fresh(at: int) -> dict[str, Any]:
    """Trust list and status lists that hold at another second."""
    start, end = (moment(datetime.fromtimestamp(at + shift, UTC)) for shift in (-3600, 3600))
    sheet = {**SHEET, "issued_at": start, "newest_seen": start, "expires_at": end}
    return {
        "trust": {**TRUST, "issued_at": start, "expires_at": end},
        "status": {"7": sheet, "9": sheet},
    }


def time_and_venue() -> Iterator[Made]:
    """When and where."""
    card, printed = sign_card(CARD, CARDS), sign_printed(PRINTED, PRINTS)
    live, paper = live_text(HOST, card, PHONE, AT), printed_text(HOST, printed)
    yield "61 seconds old", live, "stale_code", {"now": seconds(61)}
    yield "61 seconds ahead", live, "code_clock_off", {"now": seconds(-61)}
    yield "a second less than an hour old", live, "stale_code", {"now": seconds(3599)}
    yield "an hour old", live, "code_clock_off", {"now": seconds(3600)}
    yield "an hour ahead", live, "code_clock_off", {"now": seconds(-3600)}
    end = {"now": moment(datetime.fromtimestamp(EXP, UTC)), **fresh(EXP)}
    yield "live, at its end", live_text(HOST, card, PHONE, EXP), "expired", end
    yield "printed, at its end", paper, "expired", end
    yield "scanner 61 seconds below its floor", live, "scanner_clock_behind", {"floor": seconds(61)}
    yield "scanner 61 seconds below its floor, printed", paper, "scanner_clock_behind", {"floor": seconds(61)}
    yield "scanner 60 seconds below its floor: judged at the floor", live, None, {"floor": seconds(60)}
    yield (
        "scanner below its floor, and the code too old at the floor",
        live_text(HOST, card, PHONE, AT - 1),
        "stale_code",
        {"floor": seconds(60)},
    )
    yield (
        "scanner 61 seconds below the issue of its trust list",
        live,
        "scanner_clock_behind",
        {"trust": {**TRUST, "issued_at": seconds(61)}},
    )
    bound = live_text(HOST, card, PHONE, AT, VENUE)
    elsewhere = {"place": {"venue": VENUE + 1, "has_sign": True}}
    yield "made for another venue's sign", bound, "wrong_venue", elsewhere
    yield (
        "made for a sign, at a venue without one",
        bound,
        "wrong_venue",
        {"place": {"venue": VENUE + 1, "has_sign": False}},
    )
    yield (
        "made for no sign, at a venue with one",
        live,
        "venue_missing",
        {"place": {"venue": VENUE, "has_sign": True}},
    )


def signatures() -> Iterator[Made]:
    """Keys and signatures."""
    card, printed = sign_card(CARD, CARDS), sign_printed(PRINTED, PRINTS)
    proof = bent_proof(card)
    yield "high s on the card", shown(high(card)), "bad_signature", {}
    yield "high s on the proof", shown(card, high(proof)), "bad_signature", {}
    yield "high s on the printed card", as_printed(high(printed)), "bad_signature", {}
    for name, r, s in (
        ("r = 0", 0, None),
        ("s = 0", None, 0),
        ("r = the order", ORDER, None),
        ("s = the order", None, ORDER),
        ("r of all ones", 2**256 - 1, None),
    ):
        yield f"{name} on the card", shown(with_signature(card, r, s)), "bad_signature", {}
        yield f"{name} on the proof", shown(card, with_signature(proof, r, s)), "bad_signature", {}
    wrong_kid = header(OTHER_CARDS.kid)
    payload = cose.encode(fields())
    yield (
        "names another key than the one that signed",
        shown(bent_card(payload, wrong_kid)),
        "bad_signature",
        {},
    )
    yield "names a key that is on no list", shown(bent_card(payload, who=STRANGER)), "unknown_issuer", {}
    yield "signed by a key for status lists", shown(bent_card(payload, who=STATUS_LISTS)), "wrong_use", {}
    yield "signed by the key for printed cards", shown(bent_card(payload, who=PRINTS)), "wrong_use", {}
    yield (
        "printed, signed by the key for cards on phones",
        printed_text(HOST, sign_printed(replace(PRINTED, kid=CARDS.kid), CARDS)),
        "wrong_use",
        {},
    )
    yield "signed by a withdrawn key", shown(bent_card(payload, who=GONE)), "key_withdrawn", {}
    gone = bent_card(payload, who=GONE)
    yield (
        "signed by a withdrawn key, and known by its hash",
        shown(gone),
        "key_withdrawn",
        {"record": {sha256(gone).hexdigest(): True}},
    )
    yield "key not yet in force", shown(bent_card(payload, who=TOMORROWS)), "key_not_in_force", {}
    yield "key no longer in force", shown(bent_card(payload, who=YESTERDAYS)), "key_not_in_force", {}
    for name, alg in (("EdDSA", -8), ("ES384", -35), ("an HMAC", 5)):
        bent = bent_card(payload, header(alg=alg))
        yield f"card says {name}", shown(bent), "malformed", {}
        bent = bent_proof(card, protected=header(None, PROOF_TYPE, alg))
        yield f"proof says {name}", shown(card, bent), "malformed", {}
    yield (
        "card says no algorithm",
        shown(bent_card(payload, cose.encode({4: CARDS.kid, 16: CARD_TYPE}))),
        "malformed",
        {},
    )
    yield "card names no key", shown(bent_card(payload, header(None))), "malformed", {}
    yield "key id of three bytes", shown(bent_card(payload, header(CARDS.kid[:3]))), "malformed", {}
    yield (
        "proof names a key",
        shown(card, bent_proof(card, protected=header(CARDS.kid, PROOF_TYPE))),
        "malformed",
        {},
    )
    changed = sealed(header(), cose.encode(fields(k2=0b11)), card[-64:])
    yield "tariff changed after signing", shown(changed), "bad_signature", {}
    later = sealed(header(None, PROOF_TYPE), cose.encode([AT + 1]), proof[-64:])
    yield "time changed after signing", shown(card, later), "bad_signature", {}
    yield "proof of another phone", shown(card, bent_proof(card, who=OTHER_PHONE)), "bad_signature", {}
    off = b"\x02" + (5).to_bytes(32, "big")
    while on_curve(off):
        off = b"\x02" + (int.from_bytes(off[1:], "big") + 1).to_bytes(32, "big")
    for name, bad in (
        ("off the curve", off),
        ("at infinity", bytes(33)),
        ("with x above the field", b"\x03" + b"\xff" * 32),
        ("uncompressed in its first byte", b"\x04" + CARD.holder[1:]),
    ):
        yield f"holder's point {name}", shown(bent_card(cose.encode(fields(k4=bad)))), "malformed", {}
    yield (
        "holder's point a byte short",
        shown(bent_card(cose.encode(fields(k4=CARD.holder[:-1])))),
        "malformed",
        {},
    )
    missing = {"record": {sha256(card).hexdigest(): False}}
    yield "validly signed, but on no record", shown(card), "not_on_record", missing
    yield (
        "on no record, and not validly signed",
        shown(with_signature(card, r=1)),
        "bad_signature",
        {"record": {sha256(with_signature(card, r=1)).hexdigest(): False}},
    )


def on_curve(compressed: bytes) -> bool:
    """Whether a point exists for this x."""
    try:
        cose.point(compressed)
    except cose.Malformed:
        return False
    return True


def otherwise_unprotected(block: bytes, unprotected: bytes) -> bytes:
    """The same signed thing with something else for its empty unprotected map: no signature covers that."""
    at = 1 + len(bstr(header()))
    return block[:at] + unprotected + block[at + 1 :]


def spellings() -> Iterator[Made]:
    """CBOR in any but the one spelling. Where it can be, the bent bytes are rightly signed."""
    card = sign_card(CARD, CARDS)
    proof = bent_proof(card)
    whole = b"\x82" + card + proof
    long_exp = b"\x1b" + CARD.exp.to_bytes(8, "big")
    bent_payloads = {
        "integer longer than needed": spelt([(1, long_exp), *pairs()[1:]]),
        "small integer longer than needed": spelt([pairs()[0], (2, b"\x18\x01"), *pairs()[2:]]),
        "length longer than needed": spelt([*pairs()[:3], (4, b"\x59\x00\x21" + CARD.holder)]),
        "map of indefinite length": b"\xbf" + spelt(pairs())[1:] + b"\xff",
        "list of indefinite length": spelt(
            [*pairs()[:2], (3, b"\x9f" + pairs()[2][1][1:] + b"\xff"), pairs()[3]]
        ),
        "bytes of indefinite length": spelt([*pairs()[:3], (4, b"\x5f" + pairs()[3][1] + b"\xff")]),
        "key twice": spelt([pairs()[0], pairs()[0], *pairs()[1:]]),
        "key twice, with two values": spelt([pairs()[0], (1, cose.encode(EXP + 1)), *pairs()[1:]]),
        "keys out of order": spelt([pairs()[1], pairs()[0], *pairs()[2:]]),
        "unknown key": cose.encode(fields(k6=1)),
        "negative key": cose.encode({**fields(), -1: 1}),
        "text as key": b"\xa5" + spelt(pairs())[1:] + b"\x61a\x01",
        "field missing": cose.encode(fields(k2=None)),
        "byte left over": cose.encode(fields()) + b"\x00",
        "tag around a value": spelt([(1, b"\xc1" + cose.encode(CARD.exp)), *pairs()[1:]]),
        "tag around the map": b"\xd8\x3d" + cose.encode(fields()),
        "float": spelt([(1, b"\xfb" + bytes(8)), *pairs()[1:]]),
        "boolean": spelt([pairs()[0], (2, b"\xf5"), *pairs()[2:]]),
        "null as name": spelt([*pairs(), (5, b"\xf6")]),
        "text that is not UTF-8": spelt([*pairs(), (5, b"\x61\xff")]),
        "negative end": cose.encode(fields(k1=-1)),
        "end beyond 32 bits": cose.encode(fields(k1=2**32)),
        "tariff beyond 16 bits": cose.encode(fields(k2=2**16)),
        "list beyond 16 bits": cose.encode(fields(k3=[2**16, 1])),
        "index beyond 32 bits": cose.encode(fields(k3=[7, 2**32])),
        "index missing": cose.encode(fields(k3=[7])),
        "index twice": cose.encode(fields(k3=[7, 1, 1])),
        "nested deeply": cose.encode(fields(k3=[7, [[[[1]]]]])),
        "name empty": cose.encode(fields(k5="")),
        "name in lower case": cose.encode(fields(k5="Mueller")),
        "name of 24 letters": cose.encode(fields(k5="A" * 24)),
        "name as bytes": cose.encode(fields(k5=b"MUELLER")),
        "empty": b"",
        "no map": cose.encode([1, 2, 3]),
    }
    for name, payload in bent_payloads.items():
        yield f"card's payload: {name}", shown(bent_card(payload)), "malformed", {}
    bent_headers = {
        "unknown key": cose.encode({1: -7, 4: CARDS.kid, 16: CARD_TYPE, 33: 1}),
        "keys out of order": spelt([(4, bstr(CARDS.kid)), (1, b"\x26"), (16, cose.encode(CARD_TYPE))]),
        "key twice": spelt([(1, b"\x26"), (1, b"\x26"), (4, bstr(CARDS.kid)), (16, cose.encode(CARD_TYPE))]),
        "integer longer than needed": spelt(
            [(1, b"\x38\x06"), (4, bstr(CARDS.kid)), (16, cose.encode(CARD_TYPE))]
        ),
        "byte left over": header() + b"\x00",
        "no type": cose.encode({1: -7, 4: CARDS.kid}),
        "empty": b"",
    }
    for name, protected in bent_headers.items():
        bent = bent_card(cose.encode(fields()), protected)
        yield f"card's header: {name}", shown(bent), "malformed", {}
    bent_proofs = {
        "no time": cose.encode([]),
        "three values": cose.encode([AT, VENUE, 1]),
        "venue beyond 32 bits": cose.encode([AT, 2**32]),
        "negative time": cose.encode([-AT]),
        "time as text": cose.encode([str(AT)]),
        "time not in a list": cose.encode(AT),
        "integer longer than needed": b"\x81\x1b" + AT.to_bytes(8, "big"),
        "byte left over": cose.encode([AT]) + b"\x00",
    }
    for name, payload in bent_proofs.items():
        yield f"proof's payload: {name}", shown(card, bent_proof(card, payload)), "malformed", {}
    filled = otherwise_unprotected(card, cose.encode({4: CARDS.kid}))
    bodies = {
        "empty": b"",
        "last byte missing": whole[:-1],
        "byte left over": whole + b"\x00",
        "list of indefinite length": b"\x9f" + whole[1:] + b"\xff",
        "list longer spelt than needed": b"\x98\x02" + whole[1:],
        "list of three": b"\x83" + card + proof + proof,
        "card in a tag": b"\x82\xd2" + card + proof,
        "all in a tag": b"\xd2" + whole,
        "proof in a tag": b"\x82" + card + b"\xd2" + proof,
        "unprotected map not empty": b"\x82" + filled + bent_proof(filled),
        "unprotected map is an empty list": b"\x82"
        + (empty := otherwise_unprotected(card, b"\x80"))
        + bent_proof(empty),
        "unprotected map is null": b"\x82"
        + (null := otherwise_unprotected(card, b"\xf6"))
        + bent_proof(null),
        "card as a list of five": b"\x82\x85" + card[1:] + b"\x00" + proof,
        "header's length longer spelt than needed": b"\x82\x84\x58"
        + bytes((card[1] & 31,))
        + card[2:]
        + proof,
        "signature of 63 bytes": b"\x82" + card[:-66] + bstr(card[-63:]) + proof,
        "signature in DER": b"\x82"
        + card[:-66]
        + bstr(b"\x30\x44\x02\x20" + card[-64:-32] + b"\x02\x20" + card[-32:])
        + proof,
        "nested two hundred deep": b"\x81" * 200 + b"\x00",
        "a length beyond everything": b"\x82\x84\x5b" + b"\xff" * 8,
    }
    for name, body in bodies.items():
        yield f"live body: {name}", as_live(body), "malformed", {}
    printed = sign_printed(PRINTED, PRINTS)
    yield "printed body: byte left over", as_printed(printed + b"\x00"), "malformed", {}
    yield "printed body: in a tag", as_printed(b"\xd2" + printed), "malformed", {}
    with_holder = bent_card(
        cose.encode({**fields(), 5: NAME}), header(PRINTS.kid, PRINTED_TYPE), PRINTS, PRINTED_AAD
    )
    yield "printed body: with a holder's point", as_printed(with_holder), "malformed", {}
    nameless = bent_card(cose.encode(fields(k4=None)), header(PRINTS.kid, PRINTED_TYPE), PRINTS, PRINTED_AAD)
    yield "printed body: without a name", as_printed(nameless), "malformed", {}


def confusions() -> Iterator[Made]:
    """One kind of thing in the place of another."""
    card, printed = sign_card(CARD, CARDS), sign_printed(PRINTED, PRINTS)
    proof = bent_proof(card)
    other = sign_card(NAMED, CARDS)
    payload = cose.encode(fields())
    live = live_text(HOST, card, PHONE, AT)
    body = live.partition("#")[2]
    yield "live code behind the printed prefix", as_printed(make_live(card, PHONE, AT)), "wrong_kind", {}
    yield "printed code behind the live prefix", as_live(printed), "wrong_kind", {}
    yield "card without proof behind the live prefix", as_live(card), "wrong_kind", {}
    yield "card without proof behind the printed prefix", as_printed(card), "wrong_kind", {}
    yield "proof alone behind the live prefix", as_live(proof), "wrong_kind", {}
    yield "printed card with a proof", shown(printed, bent_proof(printed)), "wrong_kind", {}
    yield "card twice, no proof", shown(card, card), "wrong_kind", {}
    yield "proof before the card", as_live(b"\x82" + proof + card), "wrong_kind", {}
    for typ in (PROOF_TYPE, PRINTED_TYPE, 65004):
        yield f"card of type {typ}", shown(bent_card(payload, header(typ=typ))), "wrong_kind", {}
    for typ in (CARD_TYPE, PRINTED_TYPE):
        bent = bent_proof(card, protected=header(None, typ))
        yield f"proof of type {typ}", shown(card, bent), "wrong_kind", {}
    for typ in (CARD_TYPE, PROOF_TYPE):
        bent = bent_card(
            cose.encode({1: EXP, 2: 1, 3: [9, 12], 5: NAME}), header(PRINTS.kid, typ), PRINTS, PRINTED_AAD
        )
        yield f"printed card of type {typ}", as_printed(bent), "wrong_kind", {}
    yield "card signed as a printed one", shown(bent_card(payload, aad=PRINTED_AAD)), "bad_signature", {}
    yield "card signed for nothing in particular", shown(bent_card(payload, aad=b"")), "bad_signature", {}
    yield (
        "printed card signed as one for a phone",
        as_printed(
            bent_card(
                cose.encode({1: EXP, 2: 1, 3: [9, 12], 5: NAME}),
                header(PRINTS.kid, PRINTED_TYPE),
                PRINTS,
                CARD_AAD,
            )
        ),
        "bad_signature",
        {},
    )
    for name, aad in (
        ("for a card", CARD_AAD),
        ("without the card's hash", LIVE_AAD),
        ("with the hash alone", sha256(card).digest()),
        ("with the hash of the card's payload", LIVE_AAD + sha256(payload).digest()),
    ):
        yield f"proof signed {name}", shown(card, bent_proof(card, aad=aad)), "bad_signature", {}
    yield "proof of one card on another", shown(other, proof), "bad_signature", {}
    for name, text, reason in (
        ("of an activation code", f"HTTPS://KARTE.EXAMPLE/A#{body}", "wrong_kind"),
        ("without the mark", f"HTTPS://KARTE.EXAMPLE/L{body}", "wrong_kind"),
        ("and nothing behind it", "HTTPS://KARTE.EXAMPLE/", "wrong_kind"),
        ("in lower case", f"https://karte.example/L#{body}", "not_ours"),
        ("without encryption", f"HTTP://KARTE.EXAMPLE/L#{body}", "not_ours"),
        ("of another host", f"HTTPS://KARTE.EXAMPLE.ORG/L#{body}", "not_ours"),
        ("with a user before the host", f"HTTPS://KARTE.EXAMPLE@EVIL.EXAMPLE/L#{body}", "not_ours"),
        ("behind a space", " " + live, "not_ours"),
    ):
        yield f"prefix {name}", text, reason, {}
    yield "no text at all", "", "not_ours", {}
    yield "some other code", "https://www.example.org/menu", "not_ours", {}


def letters() -> Iterator[Made]:
    """Text that stands for no bytes."""
    live = live_text(HOST, sign_card(CARD, CARDS), PHONE, AT)
    start = prefix(HOST, Kind.LIVE)
    yield "three characters above two bytes", start + ":::" + live[len(start) + 3 :], "malformed", {}
    yield "two characters above one byte", start + ":" * 2, "malformed", {}
    yield (
        "a character left over",
        live + "0" * (1 if len(live[len(start) :]) % 3 == 0 else 2),
        "malformed",
        {},
    )
    yield "lower case", start + live[len(start) :].lower(), "malformed", {}
    for name, foreign in (
        ("space", " "),
        ("percent", "%"),
        ("plus", "+"),
        ("full stop", "."),
        ("ı", "ı"),
        ("NUL", "\0"),
    ):
        yield f"foreign character: {name}", live[:-1] + foreign, "malformed", {}
    yield "line feed at the end", live + "\n", "malformed", {}
    yield "a second mark", live + "#", "malformed", {}
    yield "longer than any code", live + "000" * 300, "malformed", {}
    yield "nothing behind the prefix", start, "malformed", {}


def status() -> Iterator[Made]:
    """Whether the card still stands."""
    live = live_text(HOST, sign_card(CARD, CARDS), PHONE, AT)
    paper = printed_text(HOST, sign_printed(PRINTED, PRINTS))
    index = str(STATUS.index)

    def sheet(**otherwise: Any) -> dict[str, Any]:
        return {"status": {"7": {**SHEET, **otherwise}}}

    yield "revoked", live, "revoked", sheet(values={index: 1})
    yield "suspended", live, "suspended", sheet(values={index: 2})
    yield "a value that only its issuer understands", live, "revoked", sheet(values={index: 3})
    yield "the neighbour revoked", live, None, sheet(values={str(STATUS.index + 1): 1})
    yield "printed, revoked", paper, "revoked", {"status": {"9": {**SHEET, "values": {"12": 1}}}}
    yield "the last index of the list", live, None, sheet(size=STATUS.index + 1)
    yield "an index behind the list", live, "status_out_of_range", sheet(size=STATUS.index)
    yield "list at its end", live, "status_stale", sheet(expires_at=seconds(0))
    yield "list one second before its end", live, None, sheet(expires_at=seconds(1))
    yield (
        "revoked on a list at its end: cannot tell",
        live,
        "status_stale",
        sheet(values={index: 1}, expires_at=seconds(0)),
    )
    yield (
        "list older than one seen before",
        live,
        "status_rolled_back",
        sheet(newest_seen="2026-06-01T11:00:01Z"),
    )
    yield "no list", live, "status_missing", {"status": {}}
    yield (
        "known by its hash, and revoked",
        live,
        "revoked",
        {**sheet(values={index: 1}), "record": {sha256(sign_card(CARD, CARDS)).hexdigest(): True}},
    )
    stale = {"trust": {**TRUST, "expires_at": seconds(0)}}
    yield "trust list at its end", live, "trust_list_stale", stale
    yield "trust list at its end, printed", paper, "trust_list_stale", stale


def replay() -> Iterator[Made]:
    """The same code, and the next."""
    live = live_text(HOST, sign_card(CARD, CARDS), PHONE, AT)

    def last(at: int, index: int = STATUS.index) -> dict[str, Any]:
        return {"last_accepted": [{"status": [7, index], "at": at}]}

    yield "the same second again", live, "replayed", last(AT)
    yield "an earlier second", live, "replayed", last(AT + 1)
    yield "the next second", live, None, last(AT - 1)
    yield "the same second of another card", live, None, last(AT, STATUS.index + 1)
    paper = printed_text(HOST, sign_printed(PRINTED, PRINTS))
    yield "paper again", paper, None, {"last_accepted": [{"status": [9, 12], "at": AT}]}


GROUPS = {
    "accepted": accepted,
    "time and venue": time_and_venue,
    "signature": signatures,
    "cbor": spellings,
    "confusion": confusions,
    "text": letters,
    "status": status,
    "replay": replay,
}
CANNOT_TELL = {"trust_list_stale", "status_missing", "status_stale", "status_rolled_back"}
CHECK_THE_CLOCK = {"code_clock_off", "scanner_clock_behind"}


def expectation(name: str, text: str, reason: str | None) -> dict[str, Any]:
    """What a scanner has to answer."""
    if reason is not None:
        outcome = "refused"
        if reason in CANNOT_TELL:
            outcome = "cannot_tell"
        elif reason in CHECK_THE_CLOCK:
            outcome = "check_the_clock"
        return {"outcome": outcome, "reason": reason, "alarm": reason == "not_on_record"}
    paper = text.startswith(prefix(HOST, Kind.PRINTED))
    named = paper or name == "named" or name.startswith("bound to")
    shown_card: Card | PrintedCard = PRINTED if paper else NAMED if named else CARD
    return {
        "outcome": "accepted",
        "reason": None,
        "alarm": False,
        "kind": "printed" if paper else "live",
        "tariff_bits": shown_card.tariff_bits,
        "name": shown_card.name,
        "status": [shown_card.status.status_list, shown_card.status.index],
        "exp": shown_card.exp,
        "compare_name": paper,
    }


def alphabet() -> dict[str, Any]:
    """Bytes and their letters."""
    samples = [
        b"",
        b"\x00",
        b"\xff",
        b"\x00\x00",
        b"\xff\xff",
        b"\x01\x02\x03",
        b"citycard",
        bytes(range(255)),
    ]
    refused = {
        "one character": "0",
        "four characters": "0000",
        "two characters above one byte": "A6",
        "three characters above two bytes": "I:-",
        "the highest two characters": "::",
        "the highest three characters": ":::",
        "lower case": "abc",
        "space": "00 ",
        "percent": "00%",
        "plus": "00+",
        "full stop": "00.",
        "number sign": "00#",
        "not ASCII": "00Ä",
        "a digit of another script": "00٣",
    }
    return {
        "alphabet": base41.ALPHABET,
        "accept": [{"bytes": data.hex(), "text": base41.encode(data)} for data in samples],
        "refuse": [{"why": why, "text": text} for why, text in refused.items()],
    }


def inside() -> dict[str, Any]:
    """The accepted codes taken apart, for whoever writes the encoder."""
    card, printed = sign_card(CARD, CARDS), sign_printed(PRINTED, PRINTS)
    payload, proven = cose.encode(fields()), cose.encode([AT])
    paper = cose.encode({1: EXP, 2: PRINTED.tariff_bits, 3: [9, 12], 5: NAME})
    aad = LIVE_AAD + sha256(card).digest()
    return {
        "card": {
            "bytes": card.hex(),
            "protected": header().hex(),
            "payload": payload.hex(),
            "external_aad": CARD_AAD.hex(),
            "to_be_signed": cose.encode(["Signature1", header(), CARD_AAD, payload]).hex(),
        },
        "proof": {
            "bytes": bent_proof(card).hex(),
            "protected": header(None, PROOF_TYPE).hex(),
            "payload": proven.hex(),
            "external_aad": aad.hex(),
            "to_be_signed": cose.encode(["Signature1", header(None, PROOF_TYPE), aad, proven]).hex(),
            "private": PHONE.key.private_numbers().private_value.to_bytes(32, "big").hex(),
        },
        "live": {
            "bytes": make_live(card, PHONE, AT).hex(),
            "text": live_text(HOST, card, PHONE, AT),
        },
        "printed": {
            "bytes": printed.hex(),
            "protected": header(PRINTS.kid, PRINTED_TYPE).hex(),
            "payload": paper.hex(),
            "external_aad": PRINTED_AAD.hex(),
            "to_be_signed": cose.encode(
                ["Signature1", header(PRINTS.kid, PRINTED_TYPE), PRINTED_AAD, paper]
            ).hex(),
            "text": printed_text(HOST, printed),
        },
    }


def vectors() -> dict[str, Any]:
    """Everything that the file says."""
    return {
        "format": "citycard codes, version 1",
        "base41": alphabet(),
        "inside": inside(),
        "world": WORLD,
        "judgements": [
            {
                "group": group,
                "name": name,
                "text": text,
                "but": but,
                "expect": expectation(name, text, reason),
            }
            for group, made in GROUPS.items()
            for name, text, reason, but in made()
        ],
    }


def written() -> str:
    """The file's contents."""
    return json.dumps(vectors(), indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(written())
