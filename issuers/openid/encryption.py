"""Credential requests and responses encrypted on top of TLS (OpenID4VCI 1.0 section 10): ECDH-ES on P-256, AES-GCM."""

from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from core import jose, texts
from core.vault import Vault
from issuers.openid.answers import OAuthError

ALGORITHM: Final = "ECDH-ES"
ENCODINGS: Final = ("A128GCM", "A256GCM")
LONGEST: Final = 192 * 1024
"""Characters of an encrypted text: the longest presentation that is read fits into one."""

_LABEL = "openid-requests/1"
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256 (FIPS 186-5)
_NEVER = frozenset({"crit", "zip"})


class _Announced(jwe.JWERegistry):
    """What joserfc takes: texts as long as ours may be, and headers with parameters that nobody here knows.

    Those are passed over, as RFC 7516 section 4 asks; it would refuse them, and more than 64 KiB as well.
    """

    max_protected_header_length = 16 * 1024
    max_ciphertext_length = LONGEST


_ANNOUNCED = _Announced(algorithms=[ALGORITHM, *ENCODINGS], strict_check_header=False)


def request_key(vault: Vault) -> dict[str, str]:
    """The public key that wallets encrypt their requests for; it follows from the vault's root."""
    private = _private(vault)
    return {
        **jose.jwk(private.public_key(), kid=jose.thumbprint(private.public_key()), use="enc"),
        "alg": ALGORITHM,
    }


def decrypt(vault: Vault, token: str) -> bytes:
    """What a wallet encrypted for us; OAuthError where it is not of the one form that is announced."""
    private = _private(vault)
    try:
        return unlock(token, private, jose.thumbprint(private.public_key()))
    except ValueError:
        raise OAuthError(
            "invalid_encryption_parameters", "the request was not encrypted for this issuer as it announces"
        ) from None


def unlock(token: str, private: ec.EllipticCurvePrivateKey, kid: str) -> bytes:
    """What was encrypted for this key under this name; ValueError where it is not of the one form that is announced."""
    try:
        _check_header(token, kid)
        opened = jwe.decrypt_compact(token, ECKey.import_key(private), registry=_ANNOUNCED)
    except (JoseError, ValueError, TypeError, KeyError):
        raise ValueError("this was not encrypted for us as we announce") from None
    return opened.plaintext or b""


def _check_header(token: str, kid: str) -> None:
    header = texts.read_object(texts.unb64url(token.partition(".")[0]))
    announced = header.get("alg") == ALGORITHM and header.get("enc") in ENCODINGS and header.get("kid") == kid
    # Nothing is unpacked (`zip`): a small text can unfold into a very large one. No extension is known (`crit`).
    if len(token) > LONGEST or not announced or not _NEVER.isdisjoint(header):
        raise ValueError("not of the announced form")


class Envelope:
    """Where an encrypted answer goes: a wallet's key of the moment."""

    def __init__(self, wish: object) -> None:
        """Reads `credential_response_encryption`; OAuthError where it is not of the announced form."""
        if not isinstance(wish, dict) or "zip" in wish:
            raise OAuthError("invalid_encryption_parameters", "jwk and enc are needed, and zip is not known")
        members, self._encoding = wish.get("jwk"), wish.get("enc")
        if self._encoding not in ENCODINGS:
            raise OAuthError("invalid_encryption_parameters", "enc is A128GCM or A256GCM")
        if (
            not isinstance(members, dict)
            or members.get("alg") != ALGORITHM
            or members.get("use", "enc") != "enc"
        ):
            raise OAuthError("invalid_encryption_parameters", "jwk is a public key with alg ECDH-ES")
        self._kid = members.get("kid")
        shape = {name: members[name] for name in ("kty", "crv", "x", "y", "d") if name in members}
        try:
            public = jose.read_jwk(shape).public
        except jose.KeyRefused as refused:
            raise OAuthError("invalid_encryption_parameters", refused.detail or refused.title) from None
        if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != ec.SECP256R1.name:
            raise OAuthError("invalid_encryption_parameters", "the key is on P-256")
        if not (self._kid is None or (isinstance(self._kid, str) and len(self._kid) <= 256)):
            raise OAuthError("invalid_encryption_parameters", "kid is a short text")
        self._key = ECKey.import_key(public)

    def close(self, plaintext: bytes) -> str:
        """The answer as a JWE that only this wallet opens."""
        header: dict[str, Any] = {"alg": ALGORITHM, "enc": self._encoding}
        if self._kid is not None:
            header["kid"] = self._kid
        return jwe.encrypt_compact(header, plaintext, self._key, algorithms=[ALGORITHM, *ENCODINGS])


def _private(vault: Vault) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(vault.secret(_LABEL)) % (_ORDER - 1) + 1, ec.SECP256R1())
