"""One spelling for every signed thing, and none but its signer can have signed it."""

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

from core import cose, p256
from core.cose import Header, KeyInHand, Malformed, Sign1, Value

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
SIGNER = KeyInHand(ec.derive_private_key(7, ec.SECP256R1()), b"\1\2\3\4")
KEY = SIGNER.key.public_key()
EXAMPLES = settings(max_examples=300, deadline=None, derandomize=True)

SCALARS = st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(-300, 300), inner, max_size=4),
    max_leaves=12,
)


def depth(value: Value) -> int:
    match value:
        case list():
            return 1 + max(map(depth, value), default=0)
        case dict():
            return 1 + max(map(depth, value.values()), default=0)
        case _:
            return 0


@pytest.mark.parametrize(
    ("value", "spelt"),
    [
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (255, "18ff"),
        (256, "190100"),
        (65535, "19ffff"),
        (65536, "1a00010000"),
        (2**32 - 1, "1affffffff"),
        (2**32, "1b0000000100000000"),
        (2**64 - 1, "1bffffffffffffffff"),
        (-1, "20"),
        (-7, "26"),
        (-25, "3818"),
        (-(2**64), "3bffffffffffffffff"),
        (b"", "40"),
        (b"\1\2\3\4", "4401020304"),
        ("", "60"),
        ("ü", "62c3bc"),
        ([], "80"),
        ([1, [2, 3]], "8201820203"),
        ({}, "a0"),
        ({16: 1, 1: -7, 4: b"a"}, "a301260441611001"),
        ({-1: 0, 24: 0, 1: 0}, "a301001818002000"),
    ],
)
def test_there_is_one_spelling_and_it_is_read_back(value: Value, spelt: str) -> None:
    assert cose.encode(value).hex() == spelt
    assert cose.decode(bytes.fromhex(spelt)) == value


@pytest.mark.parametrize(
    "spelt",
    [
        "",
        "1800",
        "1817",
        "1900ff",
        "1a0000ffff",
        "1b00000000ffffffff",
        "3817",
        "5803010203",
        "780161",
        "980100",
        "b8010100",
        "1c",
        "1d",
        "1e",
        "1f",
        "5f4101ff",
        "7f6161ff",
        "9f01ff",
        "bf0101ff",
        "ff",
        "c001",
        "d8203f",
        "f4",
        "f5",
        "f6",
        "f7",
        "f93c00",
        "fa3f800000",
        "fb3ff0000000000000",
        "0000",
        "18",
        "19ff",
        "4101ff",
        "42ff",
        "61ff",
        "62c328",
        "8101ff",
        "8201",
        "a101",
        "a201000100",
        "a201010102",
        "a202000100",
        "a220000100",
        "a1616100",
        "a1410000",
        "a1800000",
        "818181818100",
        "9affffffff",
        "9bffffffffffffffff",
        "bbffffffffffffffff",
        "5bffffffffffffffff",
        "7bffffffffffffffff",
    ],
)
def test_any_other_spelling_is_refused(spelt: str) -> None:
    with pytest.raises(Malformed):
        cose.decode(bytes.fromhex(spelt))


def test_more_bytes_than_any_code_has_are_refused() -> None:
    largest = cose.encode(bytes(cose.MOST_BYTES - 3))
    assert len(largest) == cose.MOST_BYTES
    assert cose.decode(largest) == bytes(cose.MOST_BYTES - 3)
    with pytest.raises(Malformed):
        cose.decode(cose.encode(bytes(cose.MOST_BYTES - 2)))


@EXAMPLES
@given(VALUES)
def test_the_spelling_is_that_of_an_unrelated_encoder(value: Value) -> None:
    spelt = cose.encode(value)
    assert cbor2.loads(spelt) == value
    if depth(value) <= cose.MOST_DEPTH:
        assert cose.decode(spelt) == value
    else:
        with pytest.raises(Malformed):
            cose.decode(spelt)


@EXAMPLES
@given(
    st.binary(max_size=60) | VALUES.map(cose.encode).flatmap(lambda s: st.permutations(list(s)).map(bytes))
)
def test_what_is_read_would_be_spelt_the_same(data: bytes) -> None:
    try:
        value = cose.decode(data)
    except Malformed:
        return
    assert cose.encode(value) == data


@pytest.mark.parametrize("value", [True, 1.5, None, {1: None}, [False], (1, 2), 2**64])
def test_what_no_code_carries_is_not_written(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        cose.encode(value)  # type: ignore[arg-type]


# ---- Signed things ---------------------------------------------------------------------------------------------


def signed(payload: bytes = b"hello", aad: bytes = b"test/1", typ: int = 65001) -> Sign1:
    thing, end = cose.read_sign1(whole := cose.sign(SIGNER, typ, SIGNER.kid, payload, aad))
    assert end == len(whole)
    return thing


def test_a_signed_thing_is_an_untagged_sign1_of_exactly_these_bytes() -> None:
    made = cose.sign(SIGNER, 65001, SIGNER.kid, b"hello", b"test/1")
    protected = bytes.fromhex("a301260444010203041019fde9")
    assert made[:-64] == b"\x84\x4d" + protected + b"\xa0\x45hello\x58\x40"
    to_be_signed = cbor2.dumps(["Signature1", protected, b"test/1", b"hello"])
    r, s = int.from_bytes(made[-64:-32], "big"), int.from_bytes(made[-32:], "big")
    KEY.verify(encode_dss_signature(r, s), to_be_signed, ec.ECDSA(SHA256()))


def test_a_signature_holds_for_its_key_its_purpose_and_its_bytes_only() -> None:
    thing = signed()
    assert cose.verify(KEY, thing, b"test/1")
    assert not cose.verify(KEY, thing, b"test/2")
    assert not cose.verify(ec.derive_private_key(8, ec.SECP256R1()).public_key(), thing, b"test/1")
    assert not cose.verify(KEY, Sign1(thing.protected, b"hullo", thing.signature), b"test/1")
    assert not cose.verify(
        KEY, Sign1(thing.protected[:-1] + b"\xea", thing.payload, thing.signature), b"test/1"
    )


def test_of_two_equivalent_signatures_only_the_lower_counts() -> None:
    thing = signed()
    s = int.from_bytes(thing.signature[32:], "big")
    twin = thing.signature[:32] + (ORDER - s).to_bytes(32, "big")
    assert not cose.verify(KEY, Sign1(thing.protected, thing.payload, twin), b"test/1")
    assert p256.low_s(twin) == thing.signature == p256.low_s(thing.signature)


@pytest.mark.parametrize("n", [0, ORDER, ORDER + 1, 2**256 - 1])
def test_numbers_outside_the_group_sign_nothing(n: int) -> None:
    thing = signed()
    outside = n.to_bytes(32, "big")
    for signature in (outside + thing.signature[32:], thing.signature[:32] + outside, outside * 2):
        assert not cose.verify(KEY, Sign1(thing.protected, thing.payload, signature), b"test/1")


class HighAndLow:
    """A signer that prefers the higher s, as a token of hardware may."""

    kid = SIGNER.kid

    def sign(self, data: bytes, /) -> bytes:
        low = SIGNER.sign(data)
        return low[:32] + (ORDER - int.from_bytes(low[32:], "big")).to_bytes(32, "big")


def test_whatever_a_signer_returns_the_lower_s_goes_out() -> None:
    assert cose.sign(HighAndLow(), 1, None, b"x", b"") == cose.sign(SIGNER, 1, None, b"x", b"")


def test_signing_twice_gives_the_same_bytes() -> None:
    assert signed() == signed()


@EXAMPLES
@given(st.binary(max_size=100))
def test_signatures_with_short_numbers_verify_too(payload: bytes) -> None:
    assert cose.verify(KEY, signed(payload), b"test/1")


def test_the_header_says_type_and_key() -> None:
    assert cose.read_header(signed(typ=65002).protected) == Header(65002, SIGNER.kid)
    assert cose.read_header(cose.encode({1: -7, 16: 5})) == Header(5, None)


@pytest.mark.parametrize(
    "header",
    [
        {1: -7},
        {16: 1},
        {1: -8, 16: 1},
        {1: b"\xf9", 16: 1},
        {1: -7, 16: "cose"},
        {1: -7, 16: 1, 4: b"abc"},
        {1: -7, 16: 1, 4: b"abcde"},
        {1: -7, 16: 1, 4: "abcd"},
        {1: -7, 16: 1, 4: 1},
        {1: -7, 2: [1], 16: 1},
        {1: -7, 3: 1, 16: 1},
        [1, -7],
        b"",
    ],
)
def test_a_header_that_says_less_more_or_otherwise_is_refused(header: Value) -> None:
    with pytest.raises(Malformed):
        cose.read_header(cose.encode(header))


def test_a_key_id_has_four_bytes() -> None:
    with pytest.raises(ValueError, match="four bytes"):
        cose.sign(SIGNER, 1, b"abc", b"", b"")


# ---- Points ----------------------------------------------------------------------------------------------------


def test_a_key_goes_through_its_33_bytes() -> None:
    compressed = p256.point(KEY)
    assert len(compressed) == 33
    assert p256.point(cose.point(compressed)) == compressed


def test_points_off_the_curve_and_in_other_spellings_are_refused() -> None:
    compressed = p256.point(KEY)
    x_without_point = b"\2" + (5).to_bytes(32, "big")
    with pytest.raises(ValueError):
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\2" + (1).to_bytes(32, "big"))
    for bad in (
        b"",
        compressed[:-1],
        compressed + b"\0",
        b"\4" + compressed[1:],
        b"\0" * 33,
        b"\3" + b"\xff" * 32,
        b"\2" + (1).to_bytes(32, "big"),
    ):
        with pytest.raises(Malformed):
            cose.point(bad)
    assert cose.point(x_without_point)


def test_keys_of_other_curves_have_no_place() -> None:
    with pytest.raises(ValueError, match="P-256"):
        p256.point(ec.generate_private_key(ec.SECP384R1()).public_key())


@pytest.mark.parametrize(
    ("at", "instead"),
    [
        (0, b"\x83"),
        (0, b"\x9f"),
        (0, b"\xd2\x84"),
        (1, b"\x6d"),
        (15, b"\x80"),
        (15, b"\x40"),
        (15, b"\xf6"),
        (15, b"\xa1\x01\x02"),
        (16, b"\x65"),
        (16, b"\x58\x05"),
        (22, b"\x78"),
        (23, b"\x3f"),
    ],
)
def test_a_signed_thing_of_any_other_shape_is_refused(at: int, instead: bytes) -> None:
    made = cose.sign(SIGNER, 65001, SIGNER.kid, b"hello", b"test/1")
    assert made[15:17] == b"\xa0\x45"
    assert made[22:24] == b"\x58\x40"
    with pytest.raises(Malformed):
        cose.read_header(cose.read_sign1(made[:at] + instead + made[at + 1 :])[0].protected)


def test_a_signed_thing_cut_short_anywhere_is_refused() -> None:
    made = cose.sign(SIGNER, 65001, SIGNER.kid, b"hello", b"test/1")
    for length in range(len(made)):
        with pytest.raises(Malformed):
            cose.read_sign1(made[:length])
