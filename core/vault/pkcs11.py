"""A machine behind PKCS#11: the token of a hardware security module, or of SoftHSM2."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pkcs11
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass
from pkcs11.exceptions import (
    EncryptedDataInvalid,
    KeyHandleInvalid,
    MultipleTokensReturned,
    NoSuchKey,
    NoSuchToken,
    ObjectHandleInvalid,
    PKCS11Error,
    UserAlreadyLoggedIn,
)
from pkcs11.util.ec import decode_ec_private_key, decode_ec_public_key, encode_named_curve_parameters

from core.vault.hsm import Kept
from core.vault.keys import UnknownKey, VaultDamaged, VaultMissing, VaultSilent

PREFIX: Final = "citycard/"
_ROOT: Final = "citycard-root"
_NEW: Final = "citycard-new"
"""The name of a pair until it has its own; a process that fell between left it, and nobody lists it."""

_NONCE: Final = 12
_POINT: Final = 65
_CURVE: Final = encode_named_curve_parameters("secp256r1")
_KEEPING: Final[dict[Attribute, Any]] = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
}

_one_at_a_time = threading.Lock()
"""The binding tells the library that one thread calls it; two sessions of one process take turns."""


class Pkcs11Machine:
    """One session with a token, signed in."""

    def __init__(self, module: Path, token: str, pin: str) -> None:
        with _asking():
            try:
                found = pkcs11.lib(str(module)).get_token(token_label=token)
            except (NoSuchToken, MultipleTokensReturned, PKCS11Error) as error:
                raise VaultMissing(f"there is no token {token!r} behind {module}") from error
            try:
                self._session = found.open(rw=True, user_pin=pin)
            except UserAlreadyLoggedIn:
                self._session = found.open(rw=True)
        self._handles: dict[bytes, Any] = {}

    @classmethod
    def reaching(cls, module: Path, token: str, pin: str) -> "Callable[[], Pkcs11Machine]":
        """What opens a session of this token, whenever one is needed."""
        return lambda: cls(module, token, pin)

    def close(self) -> None:
        """Ends the session."""
        with _asking():
            self._session.close()

    def listed(self) -> list[Kept]:
        """The key pairs whose name begins with ours."""
        with _asking():
            found = self._session.get_objects(
                {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.KEY_TYPE: KeyType.EC}
            )
            return [
                Kept(each[Attribute.ID], each[Attribute.LABEL], _point(each[Attribute.EC_POINT]))
                for each in found
                if each[Attribute.LABEL].startswith(PREFIX)
            ]

    def make(self, name: Callable[[bytes], tuple[bytes, str]]) -> Kept:
        """A new pair on P-256 whose private half never leaves the token."""
        with _asking():
            parameters = self._session.create_domain_parameters(
                KeyType.EC, {Attribute.EC_PARAMS: _CURVE}, local=True
            )
            public, private = parameters.generate_keypair(
                id=os.urandom(8),
                label=_NEW,
                store=True,
                mechanism=Mechanism.EC_KEY_PAIR_GEN,
                private_template={**_KEEPING, Attribute.SIGN: True},
            )
            point = _point(public[Attribute.EC_POINT])
            try:
                kid, own = name(point)
            except BaseException:
                private.destroy()
                public.destroy()
                raise
            # Its public half gets the name last: only a whole pair is listed.
            for half in (private, public):
                half[Attribute.ID] = kid
                half[Attribute.LABEL] = own
            return Kept(kid, own, point)

    def take_in(self, kid: bytes, name: str, private_key: ec.EllipticCurvePrivateKey) -> Kept:
        """Keeps a pair that was made elsewhere."""
        secret = private_key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        public = private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        named = {Attribute.ID: kid, Attribute.LABEL: name, Attribute.TOKEN: True}
        with _asking():
            private = decode_ec_private_key(secret)
            self._session.create_object({**private, **named, **_KEEPING, Attribute.SIGN: True})
            self._session.create_object({**decode_ec_public_key(public), **named, Attribute.VERIFY: True})
        point = private_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return Kept(kid, name, point)

    def sign(self, kid: bytes, digest: bytes) -> bytes:
        """ECDSA over a digest, raw r‖s."""
        with _asking():
            handle = self._handles.get(kid)
            if handle is not None:
                try:
                    return bytes(handle.sign(digest, mechanism=Mechanism.ECDSA))
                except (ObjectHandleInvalid, KeyHandleInvalid):
                    del self._handles[kid]  # removed by another, or the token was restored
            handle = self._handles[kid] = self._private(kid)
            return bytes(handle.sign(digest, mechanism=Mechanism.ECDSA))

    def drop(self, kid: bytes) -> None:
        """Removes a pair for good."""
        with _asking():
            self._handles.pop(kid, None)
            private = self._private(kid)
            for public in self._session.get_objects(
                {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.ID: kid}
            ):
                public.destroy()
            private.destroy()

    def seal(self, plain: bytes, *, aad: bytes) -> bytes:
        """Encrypts with AES-256-GCM under the token's own key, made at the first time."""
        with _asking():
            try:
                key = self._wrapping_key()
            except NoSuchKey:
                key = self._session.generate_key(
                    KeyType.AES,
                    256,
                    label=_ROOT,
                    store=True,
                    template={**_KEEPING, Attribute.ENCRYPT: True, Attribute.DECRYPT: True},
                )
            nonce = os.urandom(_NONCE)
            sealed: bytes = key.encrypt(
                plain, mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(nonce=nonce, aad=aad)
            )
            return nonce + sealed

    def open(self, sealed: bytes, *, aad: bytes) -> bytes:
        """What was sealed."""
        parameters = GCMParams(nonce=sealed[:_NONCE], aad=aad)
        with _asking():
            try:
                opened = self._wrapping_key().decrypt(
                    sealed[_NONCE:], mechanism=Mechanism.AES_GCM, mechanism_param=parameters
                )
            except (NoSuchKey, EncryptedDataInvalid):
                raise VaultDamaged("the root was sealed by another token") from None
            return bytes(opened)

    def _private(self, kid: bytes) -> Any:
        try:
            return self._session.get_key(ObjectClass.PRIVATE_KEY, KeyType.EC, id=kid)
        except NoSuchKey:
            raise UnknownKey(f"the token holds no key {kid.hex()}") from None

    def _wrapping_key(self) -> Any:
        return self._session.get_key(ObjectClass.SECRET_KEY, KeyType.AES, label=_ROOT)


@contextmanager
def _asking() -> Iterator[None]:
    with _one_at_a_time:
        try:
            yield
        except PKCS11Error as error:
            raise VaultSilent(f"the token answers {type(error).__name__}") from error


def _point(octets: bytes) -> bytes:
    # EC_POINT is a DER OCTET STRING around the point (PKCS #11 v2.40 section 2.3.3); some tokens leave it out.
    return octets[-_POINT:]
