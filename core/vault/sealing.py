"""Encryption of single values and of keys, under a key that the caller got from the vault."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

KEY_LENGTH = 32
_NONCE_LENGTH = 12
_FORM = b"\x01"  # AES-256-GCM, random nonce; another form gets another first byte


class SealBroken(ValueError):
    """What should be opened was not sealed with this key for this place, or was changed since."""


def new_key() -> bytes:
    """A random key to seal with or to wrap."""
    return os.urandom(KEY_LENGTH)


def seal(key: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """Encrypts for one place: `aad` names it (a row, a column), and only there can it be opened again."""
    nonce = os.urandom(_NONCE_LENGTH)
    return _FORM + nonce + _cipher(key).encrypt(nonce, plaintext, _FORM + aad)


def open_sealed(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """What was sealed; SealBroken if key, place or a single bit differ."""
    if sealed[:1] != _FORM:
        raise SealBroken("this was not sealed here")
    nonce, ciphertext = sealed[1 : 1 + _NONCE_LENGTH], sealed[1 + _NONCE_LENGTH :]
    if len(nonce) < _NONCE_LENGTH:
        raise SealBroken("this was not sealed here")
    try:
        return _cipher(key).decrypt(nonce, ciphertext, _FORM + aad)
    except InvalidTag:
        raise SealBroken("the seal does not match key, place or content") from None


def wrap_key(wrapping_key: bytes, key: bytes) -> bytes:
    """A key as it may stand in a row (RFC 3394); what it seals names its own place, so rows cannot be swapped."""
    _check(wrapping_key)
    _check(key)
    return aes_key_wrap(wrapping_key, key)


def unwrap_key(wrapping_key: bytes, wrapped: bytes) -> bytes:
    """The key again; SealBroken if it was wrapped with another key or changed since."""
    _check(wrapping_key)
    try:
        return aes_key_unwrap(wrapping_key, wrapped)
    except InvalidUnwrap:
        raise SealBroken("the wrapped key was not wrapped with this key") from None


def _cipher(key: bytes) -> AESGCM:
    _check(key)
    return AESGCM(key)


def _check(key: bytes) -> None:
    if len(key) != KEY_LENGTH:
        raise ValueError("a key to seal or wrap with has 32 bytes")
