import json
import random
import secrets
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from core import jose, p256, texts
from core.jose import Key
from core.vault import SoftwareSigner
from issuers.status.rules import (
    TYPE,
    Freshness,
    ListFull,
    Reference,
    Status,
    StatusList,
    StatusListRefused,
    StatusListToken,
    draw,
    freshness,
    goes_back,
    read,
    read_reference,
)

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
URI = "https://karte.example/status/1"
BITS = st.sampled_from([1, 2, 4, 8])

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "tsl" / "vectors.json").read_text())
SMALL = {f"small, {vector['bits']} bits": vector for vector in VECTORS["small"]}
LONG = {f"2^20 entries, {vector['bits']} bits": vector for vector in VECTORS["long"]}


def _named(vectors):
    return pytest.mark.parametrize("vector", vectors.values(), ids=vectors.keys())


def _token(statuses=None, **changes):
    issued = {
        "uri": URI,
        "issued_at": NOON,
        "expires_at": NOON + timedelta(days=7),
        "ttl": timedelta(minutes=1),
    }
    return StatusListToken(statuses=statuses or StatusList.blank(64), **(issued | changes))


# ---- the published vectors ----


@_named(SMALL)
def test_the_small_lists_of_the_draft_read_as_published(vector):
    statuses = StatusList.unpack(vector["bits"], texts.unb64url(vector["lst"]))
    assert statuses.octets().hex() == vector["bytes_hex"]
    assert [statuses.get(index) for index in range(statuses.size)] == vector["statuses"]


@_named(SMALL)
def test_the_small_lists_of_the_draft_are_packed_as_published(vector):
    statuses = StatusList.blank(len(vector["statuses"]), vector["bits"])
    for index, status in enumerate(vector["statuses"]):
        statuses.set(index, status)
    assert statuses.octets().hex() == vector["bytes_hex"]
    assert zlib.decompress(statuses.packed()).hex() == vector["bytes_hex"]


@_named(LONG)
@pytest.mark.parametrize("form", ["json", "cbor"])
def test_the_long_lists_of_the_draft_say_what_is_published_and_nothing_else(vector, form):
    if form == "json":
        packed = texts.unb64url(vector["lst"])
    else:
        encoded = cbor2.loads(bytes.fromhex(vector["cbor_hex"]))
        assert encoded["bits"] == vector["bits"]
        packed = encoded["lst"]
    expected = StatusList.blank(vector["size"], vector["bits"])
    for index, status in vector["statuses"].items():
        expected.set(int(index), status)
    statuses = StatusList.unpack(vector["bits"], packed)
    assert statuses == expected
    assert {index: statuses.get(int(index)) for index in vector["statuses"]} == vector["statuses"]


PUBLISHED_KEY = jose.read_jwk(VECTORS["verify_jwk"])


def test_the_signed_status_list_jwt_of_the_draft_verifies_and_reads():
    verified = jose.verify(VECTORS["status_list_jwt"], PUBLISHED_KEY, typ=TYPE)
    token = read(verified.claims, "https://example.com/statuslists/1")
    assert token.statuses.octets().hex() == "b9a3"
    assert token.issued_at == datetime.fromtimestamp(1686920170, UTC)
    assert token.expires_at == datetime.fromtimestamp(2291720170, UTC)
    assert token.ttl == timedelta(seconds=43200)


def _published_cwt(name):
    protected, _, payload, signature = cbor2.loads(bytes.fromhex(VECTORS[name])).value
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    assert p256.verify(PUBLISHED_KEY.public, signed, signature)
    return cbor2.loads(payload)


def test_the_signed_status_list_cwt_of_the_draft_verifies_and_says_what_we_would_say():
    claims = _published_cwt("status_list_cwt_hex")
    listed = claims[65533]
    token = StatusListToken(
        uri=claims[2],
        statuses=StatusList.unpack(listed["bits"], listed["lst"]),
        issued_at=datetime.fromtimestamp(claims[6], UTC),
        expires_at=datetime.fromtimestamp(claims[4], UTC),
        ttl=timedelta(seconds=claims[65534]),
    )
    assert token.statuses.octets().hex() == "b9a3"
    ours = cbor2.loads(token.cwt_claims())
    assert ours | {65533: None} == claims | {65533: None}
    assert StatusList.unpack(ours[65533]["bits"], ours[65533]["lst"]) == token.statuses


def test_the_referenced_token_of_the_draft_verifies_and_names_its_place():
    claims = _published_cwt("referenced_token_cwt_hex")
    assert read_reference(claims[65535]) == Reference("https://example.com/statuslists/1", 0)


# ---- entries ----


@given(bits=BITS, data=st.data())
def test_an_entry_that_was_written_is_read_and_its_neighbours_stay(bits, data):
    octets = data.draw(st.binary(min_size=1, max_size=40))
    statuses, before = StatusList(bits, octets), StatusList(bits, octets)
    index = data.draw(st.integers(0, statuses.size - 1))
    status = data.draw(st.integers(0, 2**bits - 1))
    statuses.set(index, status)
    assert statuses.get(index) == status
    others = [at for at in range(statuses.size) if at != index]
    assert [statuses.get(at) for at in others] == [before.get(at) for at in others]


@given(bits=BITS, octets=st.binary(max_size=200))
def test_a_list_survives_packing(bits, octets):
    statuses = StatusList(bits, octets)
    assert StatusList.unpack(bits, statuses.packed()) == statuses


@given(bits=BITS, index=st.integers())
def test_a_number_outside_the_list_is_never_answered(bits, index):
    statuses = StatusList.blank(16, bits)
    if 0 <= index < 16:
        assert statuses.get(index) == Status.VALID
    else:
        with pytest.raises(IndexError):
            statuses.get(index)
        with pytest.raises(IndexError):
            statuses.set(index, 1)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_last_number_is_in_the_list_and_the_next_is_not(bits):
    statuses = StatusList.blank(2**10, bits)
    statuses.set(2**10 - 1, 1)
    assert statuses.get(2**10 - 1) == Status.INVALID
    for outside in (2**10, -1):
        with pytest.raises(IndexError):
            statuses.get(outside)


@pytest.mark.parametrize(("bits", "status"), [(1, 2), (2, 4), (4, 16), (8, 256), (8, -1)])
def test_a_status_that_does_not_fit_is_not_written(bits, status):
    statuses = StatusList.blank(8, bits)
    with pytest.raises(ValueError, match="fit"):
        statuses.set(3, status)
    assert statuses == StatusList.blank(8, bits)


@pytest.mark.parametrize("bits", [0, 3, 5, 16, -1, True])
def test_a_width_that_the_format_does_not_have_is_refused(bits):
    with pytest.raises(StatusListRefused):
        StatusList(bits, b"\0")


@pytest.mark.parametrize(("size", "bits"), [(0, 1), (-8, 1), (7, 1), (9, 1), (3, 2), (1, 4)])
def test_a_list_fills_whole_bytes(size, bits):
    with pytest.raises(ValueError, match="whole bytes"):
        StatusList.blank(size, bits)


# ---- reading what others publish ----


def test_a_bomb_is_refused_without_being_unpacked():
    bomb = zlib.compress(bytes(64 * 1024 * 1024), 9)
    assert len(bomb) < 100_000
    with pytest.raises(StatusListRefused, match="larger"):
        StatusList.unpack(1, bomb)


def test_the_largest_list_is_taken_and_one_byte_more_is_not():
    assert StatusList.unpack(8, zlib.compress(bytes(1000)), largest=1000).size == 1000
    with pytest.raises(StatusListRefused, match="larger"):
        StatusList.unpack(8, zlib.compress(bytes(1001)), largest=1000)


PACKED = zlib.compress(b"\xb9\xa3", 9)


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        PACKED[:-1],
        PACKED[:-4],
        PACKED + b"\0",
        PACKED + PACKED,
        b"\xb9\xa3",
        PACKED[2:-4],
        PACKED[:-1] + b"\0",
    ],
    ids=["empty", "short", "no checksum", "longer", "two", "plain", "raw deflate", "wrong checksum"],
)
def test_what_is_not_exactly_one_zlib_stream_is_refused(packed):
    with pytest.raises(StatusListRefused):
        StatusList.unpack(1, packed)


@given(packed=st.binary(max_size=60), bits=st.integers(-2, 10))
def test_no_bytes_whatever_break_the_reader(packed, bits):
    try:
        assert StatusList.unpack(bits, packed).bits == bits
    except StatusListRefused:
        return


def test_a_signed_list_comes_back_as_it_was_published():
    signer = SoftwareSigner(ec.generate_private_key(ec.SECP256R1()))
    token = _token()
    token.statuses.set(17, Status.INVALID)
    signed = jose.sign(signer, token.claims(), typ=TYPE)
    claims = jose.verify(signed, Key(signer.public_key), typ=TYPE, low_s=True).claims
    assert read(claims, URI) == token


def test_expiry_and_ttl_may_be_missing():
    token = _token(expires_at=None, ttl=None)
    assert token.claims().keys() == {"sub", "iat", "status_list"}
    assert cbor2.loads(token.cwt_claims()).keys() == {2, 6, 65533}
    assert read(token.claims(), URI) == token


def test_the_list_of_another_address_is_refused():
    with pytest.raises(StatusListRefused, match="another list"):
        read(_token().claims(), URI + "0")


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": None},
        {"iat": None},
        {"iat": "1"},
        {"iat": True},
        {"iat": -1},
        {"iat": 2**40},
        {"exp": None},
        {"exp": "never"},
        {"ttl": 0},
        {"ttl": -1},
        {"ttl": 0.0},
        {"ttl": float("nan")},
        {"ttl": False},
        {"status_list": None},
        {"status_list": []},
        {"status_list": {}},
        {"status_list": {"bits": 1}},
        {"status_list": {"bits": 1, "lst": None}},
        {"status_list": {"bits": "1", "lst": "eNrbuRgAAhcBXQ"}},
        {"status_list": {"bits": 3, "lst": "eNrbuRgAAhcBXQ"}},
        {"status_list": {"bits": True, "lst": "eNrbuRgAAhcBXQ"}},
        {"status_list": {"bits": 1.0, "lst": "eNrbuRgAAhcBXQ"}},
        {"status_list": {"bits": 1, "lst": "eNrbuRgAAhcBXQ=="}},
        {"status_list": {"bits": 1, "lst": "eNrbuRgAAhcBXR"}},
        {"status_list": {"bits": 1, "lst": "eNrbuRgAAhcB\nXQ"}},
    ],
)
def test_claims_of_another_form_are_refused(changes):
    with pytest.raises(StatusListRefused):
        read(_token().claims() | changes, URI)


def test_parts_of_seconds_are_as_good_as_whole_ones():
    """RFC 7519 section 2 for moments; `ttl` is any positive number (Token Status List section 5.1)."""
    issued = NOON.timestamp()
    token = read(_token().claims() | {"iat": issued + 0.5, "exp": issued + 60.25, "ttl": 1.5}, URI)
    assert token.issued_at == NOON + timedelta(seconds=0.5)
    assert token.expires_at == NOON + timedelta(seconds=60.25)
    assert token.ttl == timedelta(seconds=1.5)


@pytest.mark.parametrize("missing", ["sub", "iat", "status_list"])
def test_claims_that_lack_something_are_refused(missing):
    claims = _token().claims()
    del claims[missing]
    with pytest.raises(StatusListRefused):
        read(claims, URI)


@given(uri=st.text(min_size=1), index=st.integers(min_value=0))
def test_a_reference_goes_into_a_claim_and_back(uri, index):
    reference = Reference(uri, index)
    assert read_reference(reference.claim()) == reference


@pytest.mark.parametrize(
    "status",
    [
        None,
        [],
        {},
        {"status_list": None},
        {"status_list": {"idx": 0}},
        {"status_list": {"uri": URI}},
        {"status_list": {"idx": -1, "uri": URI}},
        {"status_list": {"idx": True, "uri": URI}},
        {"status_list": {"idx": "0", "uri": URI}},
        {"status_list": {"idx": 0.0, "uri": URI}},
        {"status_list": {"idx": 0, "uri": ""}},
        {"status_list": {"idx": 0, "uri": 1}},
    ],
)
def test_a_status_that_names_no_place_is_refused(status):
    with pytest.raises(StatusListRefused):
        read_reference(status)


# ---- time ----


@pytest.mark.parametrize(
    ("after", "worth"),
    [
        (timedelta(hours=-5), Freshness.FRESH),
        (timedelta(0), Freshness.FRESH),
        (timedelta(seconds=59), Freshness.FRESH),
        (timedelta(seconds=60), Freshness.DUE),
        (timedelta(days=7) - timedelta(seconds=1), Freshness.DUE),
        (timedelta(days=7), Freshness.TOO_OLD),
    ],
)
def test_a_copy_is_fresh_then_due_then_too_old(after, worth):
    assert freshness(_token(), NOON + after) is worth


def test_a_list_that_says_nothing_of_its_age_stays_fresh():
    assert freshness(_token(expires_at=None, ttl=None), NOON + timedelta(days=4000)) is Freshness.FRESH


def test_an_older_list_never_replaces_a_newer_one():
    older, newer = _token(), _token(issued_at=NOON + timedelta(seconds=1))
    assert goes_back(newer, older)
    assert not goes_back(older, newer)
    assert not goes_back(older, older)


# ---- numbers ----


@given(size=st.integers(1, 200), seed=st.integers(), data=st.data())
def test_drawn_numbers_are_free_different_and_in_the_list(size, seed, data):
    taken = data.draw(st.sets(st.integers(0, size - 1), max_size=size - 1))
    count = data.draw(st.integers(1, size - len(taken)))
    drawn = draw(size, taken, count, random.Random(seed).randrange)
    assert len(set(drawn)) == len(drawn) == count
    assert not set(drawn) & taken
    assert all(0 <= index < size for index in drawn)


def test_the_last_free_number_is_found_and_then_the_list_is_full():
    taken = set(range(1000)) - {417}
    assert draw(1000, taken, 1, secrets.randbelow) == [417]
    with pytest.raises(ListFull):
        draw(1000, taken, 2, secrets.randbelow)
    with pytest.raises(ListFull):
        draw(1000, taken | {417}, 1, secrets.randbelow)


@pytest.mark.parametrize(
    "taken", [set(), set(range(0, 1000, 2)), set(range(900))], ids=["empty", "half", "nearly full"]
)
def test_every_free_number_comes_up_as_often_as_any_other(taken):
    below = random.Random(20_260_105).randrange
    free = sorted(set(range(1000)) - taken)
    seen = [index for _ in range(1000) for index in draw(1000, taken, 20, below)]
    counts = [seen.count(index) for index in free]
    expected = len(seen) / len(free)
    # Chi-square over the free numbers: its mean is their count, its spread the root of twice that.
    chi_square = sum((count - expected) ** 2 / expected for count in counts)
    assert abs(chi_square - len(free)) < 6 * (2 * len(free)) ** 0.5


def test_numbers_come_in_no_order_so_that_one_card_does_not_tell_of_the_next():
    below = random.Random(7).randrange
    rising = sum(1 for _ in range(400) if (pair := draw(2**17, set(), 2, below))[0] < pair[1])
    assert 140 < rising < 260
