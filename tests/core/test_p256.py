import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from core import p256

PRIVATE = ec.derive_private_key(20_260_101, ec.SECP256R1())
PUBLIC = PRIVATE.public_key()


def _twin(raw):
    s = int.from_bytes(raw[32:], "big")
    return raw[:32] + (p256.ORDER - s).to_bytes(32, "big")


@given(data=st.binary(max_size=100))
def test_every_signature_has_low_s_and_verifies(data):
    raw = p256.sign(PRIVATE, data)
    assert len(raw) == 64
    assert p256.is_low_s(raw)
    assert p256.verify(PUBLIC, data, raw)
    assert not p256.verify(PUBLIC, data + b"x", raw)


@given(data=st.binary(max_size=100))
def test_the_twin_of_a_signature_verifies_and_is_told_from_it(data):
    twin = _twin(p256.sign(PRIVATE, data))
    assert p256.verify(PUBLIC, data, twin)
    assert not p256.is_low_s(twin)


def test_a_high_s_from_elsewhere_is_brought_to_its_low_twin():
    raw = p256.sign(PRIVATE, b"data")
    twin = _twin(raw)
    der = encode_dss_signature(int.from_bytes(twin[:32], "big"), int.from_bytes(twin[32:], "big"))
    assert p256.raw_low_s(der) == raw


def test_signing_the_same_twice_gives_the_same_signature():
    assert p256.sign(PRIVATE, b"data") == p256.sign(PRIVATE, b"data")


def test_the_published_vector_of_rfc_6979_holds_up_to_the_sign_of_s():
    # RFC 6979, A.2.5: P-256, SHA-256, message "sample".
    key = ec.derive_private_key(
        0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721, ec.SECP256R1()
    )
    r = "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
    s = "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
    raw = p256.sign(key, b"sample")
    assert raw[:32].hex().upper() == r
    assert _twin(raw)[32:].hex().upper() == s


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        bytes(64),
        bytes(63),
        bytes(65),
        bytes(32) + b"\x01".rjust(32, b"\0"),
        b"\x01".rjust(32, b"\0") + bytes(32),
        p256.ORDER.to_bytes(32, "big") * 2,
        b"\xff" * 64,
    ],
    ids=["empty", "zero", "short", "long", "r = 0", "s = 0", "order", "ones"],
)
def test_what_is_no_signature_does_not_verify(raw):
    assert not p256.verify(PUBLIC, b"data", raw)


def test_a_key_goes_into_33_bytes_and_back():
    octets = p256.point(PUBLIC)
    assert len(octets) == 33
    assert p256.from_point(octets) == PUBLIC


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x02" + b"\xff" * 32,
        b"\x04" + bytes(32),
        b"\x00",
        p256.point(PUBLIC)[:-1],
        p256.point(PUBLIC) + b"x",
    ],
)
def test_a_point_off_the_curve_or_of_another_length_is_refused(octets):
    with pytest.raises(ValueError):
        p256.from_point(octets)


def test_a_key_keeps_its_name():
    assert p256.kid_of(PUBLIC) == p256.kid_of(p256.from_point(p256.point(PUBLIC)))
    assert len(p256.kid_of(PUBLIC)) == 4
