import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.vault import SealBroken, new_key, open_sealed, seal, unwrap_key, wrap_key

KEY = bytes(range(32))


@given(plaintext=st.binary(max_size=200), aad=st.binary(max_size=50))
def test_what_was_sealed_for_a_place_opens_there(plaintext, aad):
    assert open_sealed(KEY, seal(KEY, plaintext, aad), aad) == plaintext


@given(plaintext=st.binary(max_size=60), bit=st.integers(min_value=0))
def test_a_single_changed_bit_breaks_the_seal(plaintext, bit):
    sealed = bytearray(seal(KEY, plaintext, b"person 1"))
    bit %= len(sealed) * 8
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealBroken):
        open_sealed(KEY, bytes(sealed), b"person 1")


def test_a_value_carried_to_another_place_does_not_open():
    with pytest.raises(SealBroken):
        open_sealed(KEY, seal(KEY, b"Anna", b"person 1"), b"person 2")


def test_another_key_does_not_open():
    with pytest.raises(SealBroken):
        open_sealed(new_key(), seal(KEY, b"Anna", b"person 1"), b"person 1")


@pytest.mark.parametrize("length", [0, 1, 12, 13, 28])
def test_what_breaks_off_does_not_open(length):
    with pytest.raises(SealBroken):
        open_sealed(KEY, seal(KEY, b"", b"")[:length], b"")


def test_the_same_value_never_looks_the_same_twice():
    assert seal(KEY, b"Anna", b"") != seal(KEY, b"Anna", b"")


def test_a_wrapped_key_comes_back():
    key = new_key()
    wrapped = wrap_key(KEY, key)
    assert key not in wrapped
    assert unwrap_key(KEY, wrapped) == key


@pytest.mark.parametrize("at", [0, 7, 39])
def test_a_changed_wrapped_key_is_refused(at):
    wrapped = bytearray(wrap_key(KEY, new_key()))
    wrapped[at] ^= 1
    with pytest.raises(SealBroken):
        unwrap_key(KEY, bytes(wrapped))


@pytest.mark.parametrize("wrapped", [b"", b"short", bytes(40), bytes(41)])
def test_what_was_never_wrapped_is_refused(wrapped):
    with pytest.raises(SealBroken):
        unwrap_key(KEY, wrapped)


def test_a_key_wrapped_under_another_is_refused():
    with pytest.raises(SealBroken):
        unwrap_key(new_key(), wrap_key(KEY, new_key()))


def test_the_published_vector_of_rfc_3394_holds():
    # RFC 3394, section 4.6: 256 bits of key data with a 256-bit key.
    wrapping = bytes.fromhex("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F")
    key = bytes.fromhex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F")
    wrapped = "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"
    assert wrap_key(wrapping, key).hex().upper() == wrapped


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_only_keys_of_256_bits_are_used(length):
    key = os.urandom(length)
    with pytest.raises(ValueError, match="32 bytes"):
        seal(key, b"", b"")
    with pytest.raises(ValueError, match="32 bytes"):
        wrap_key(KEY, key)
