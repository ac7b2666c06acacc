"""For which keys a wallet wants its credentials, and whether it holds them (OpenID4VCI 1.0 appendices D and F)."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from core.jose import (
    Algorithm,
    Claims,
    Key,
    KeyRefused,
    TokenRefused,
    Verified,
    check_stated,
    read_jwk,
    thumbprint,
    verify,
    verify_proof,
)
from core.settings import Settings
from core.texts import read_object, unb64url
from issuers.openid import nonces
from issuers.openid.answers import OAuthError
from issuers.openid.clients import anchored_key, provider_anchors
from issuers.openid.desk import Desk
from issuers.openid.foreign import Standing
from issuers.openid.models import WalletGrant
from issuers.openid.nonces import GOOD_FOR, NonceKind
from issuers.status.rules import StatusListRefused, read_reference

PROOF_TYPE: Final = "openid4vci-proof+jwt"
ATTESTATION_TYPE: Final = "key-attestation+jwt"
LONGEST: Final = 64 * 1024

_PAST, _AHEAD = timedelta(minutes=5), timedelta(seconds=60)


async def proven_keys(desk: Desk, grant: WalletGrant, proofs: object) -> list[EllipticCurvePublicKey]:
    """The keys that the proofs are for, each once; OAuthError `invalid_proof` or `invalid_nonce` otherwise.

    The nonces in them are used up, in whatever way the request goes on.
    """
    kind, tokens = _listed(desk.settings, proofs)
    if kind == "jwt":
        keys = [key for token in tokens for key in _of_jwt(desk, grant, token)]
        attestations = [one for token in tokens if (one := _attestation_in(token)) is not None]
    else:
        keys = _of_attestation(desk, tokens[0])
        attestations = list(tokens)
    if len(keys) > desk.settings.wallet_batch:
        raise _refused("there are more keys than credentials are given at once")
    if len({thumbprint(key) for key, _ in keys}) != len(keys):
        raise _refused("two credentials for one key could be linked by it")
    # Last of all: nobody is asked of what does not hold by itself.
    for attestation in dict.fromkeys(attestations):
        await _check_standing(desk, _claims_of(attestation))
    for nonce in sorted({nonce for _, nonce in keys}):
        if not await nonces.use(desk, "c_nonce", nonce, until=desk.now + GOOD_FOR + _AHEAD):
            raise OAuthError("invalid_nonce", "the nonce was used before")
    return [key for key, _ in keys]


_Found = tuple[EllipticCurvePublicKey, str]
"""A key, and the nonce that vouches for the proof of it being fresh."""


def _listed(settings: Settings, proofs: object) -> tuple[str, Sequence[str]]:
    if not isinstance(proofs, dict) or len(proofs) != 1:
        raise _refused("proofs is an object with one proof type")
    kind, tokens = next(iter(proofs.items()))
    if kind not in {"jwt", "attestation"}:
        raise _refused("the proof type is not known here")
    most = settings.wallet_batch if kind == "jwt" else 1
    if not isinstance(tokens, list) or not 1 <= len(tokens) <= most:
        raise _refused(f"of this proof type, 1 to {most} are taken at once")
    if not all(isinstance(token, str) for token in tokens):
        raise _refused("a proof is a text")
    return kind, tokens


def _of_jwt(desk: Desk, grant: WalletGrant, token: str) -> list[_Found]:
    attestation = _attestation_in(token)
    attested = [] if attestation is None else _attested(desk, attestation, must_end=True)
    by_name = {str(at): key for at, key in enumerate(attested)} | {
        key.kid: key for key in attested if key.kid is not None
    }
    try:
        proof = verify_proof(token, typ=PROOF_TYPE, lone=True, named=by_name.get, longest=LONGEST)
        check_stated(proof.claims, now=desk.now)
    except TokenRefused as refused:
        raise _refused(refused.detail or refused.title) from None
    nonce = _judged(desk, grant, proof)
    if attestation is None:
        return [(_p256(proof.key), nonce)]
    # The first one signs for all of them (TS3 of the EUDI Wallet).
    if thumbprint(proof.key.public) != thumbprint(attested[0].public):
        raise _refused("the proof is not signed by the first key that the attestation names")
    stated = _claims_of(attestation).get("nonce")
    if stated is not None and stated != nonce:
        raise OAuthError("invalid_nonce", "the attestation was made for another nonce than the proof")
    return [(_p256(key), nonce) for key in attested]


def _judged(desk: Desk, grant: WalletGrant, proof: Verified) -> str:
    claims = proof.claims
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if audience != desk.issuer:
        raise _refused("aud is not this issuer")
    # Without a client there is nobody whom iss could name (OpenID4VCI 1.0 appendix F.1).
    if "iss" in claims and (grant.client_id is None or claims["iss"] != grant.client_id):
        raise _refused("iss is not the client of the access token")
    issued = claims.get("iat")
    if isinstance(issued, bool) or not isinstance(issued, int | float) or not 0 <= issued < 2**35:
        raise _refused("iat is missing")
    if not desk.now - _PAST <= datetime.fromtimestamp(issued, UTC) <= desk.now + _AHEAD:
        raise _refused("iat is not of now")
    return _live(desk, claims)


def _of_attestation(desk: Desk, token: str) -> list[_Found]:
    keys = _attested(desk, token, must_end=False)
    nonce = _live(desk, _claims_of(token))
    return [(_p256(key), nonce) for key in keys]


def _live(desk: Desk, claims: Claims) -> str:
    nonce = claims.get("nonce")
    if nonce is None:
        raise _refused("the proof has no nonce")
    if not nonces.is_live(desk.vault, NonceKind.PROOF, nonce, desk.now):
        raise OAuthError("invalid_nonce", "the nonce is not one of ours, or too old")
    return str(nonce)


def _attestation_in(token: str) -> str | None:
    """The key attestation in a proof's header; nothing is settled yet."""
    if len(token) > LONGEST:
        raise _refused("the proof is too long")
    try:
        attestation = read_object(unb64url(token.partition(".")[0])).get("key_attestation")
    except ValueError:
        raise _refused("the proof is not well formed") from None
    if not (attestation is None or isinstance(attestation, str)):
        raise _refused("key_attestation is a text")
    return attestation


def _attested(desk: Desk, token: str, *, must_end: bool) -> list[Key]:
    """The keys that a trusted wallet provider attests; OAuthError where the attestation does not hold."""
    now = desk.now
    signer = anchored_key(desk.settings, token, now)
    if signer is None:
        raise _refused("no wallet provider that is trusted here signed the key attestation")
    try:
        claims = verify(token, signer, typ=ATTESTATION_TYPE, longest=LONGEST).claims
        check_stated(claims, now=now, leeway=_AHEAD)
    except TokenRefused as refused:
        raise _refused(f"the key attestation: {refused.detail or refused.title}") from None
    issued = _seconds(claims, "iat")
    if issued is None or issued > (now + _AHEAD).timestamp():
        raise _refused("the key attestation does not say since when it holds")
    if must_end and "exp" not in claims:
        raise _refused("the key attestation does not say until when it holds")
    listed = claims.get("attested_keys")
    if not isinstance(listed, list) or not 1 <= len(listed) <= desk.settings.wallet_batch:
        raise _refused("the number of attested keys is not one that is taken")
    try:
        return [read_jwk(members) for members in listed]
    except KeyRefused as refused:
        raise _refused(f"an attested key: {refused.detail or refused.title}") from None


async def _check_standing(desk: Desk, claims: Claims) -> None:
    """Refuses keys of whose storage the wallet provider says that it counts no more (TS3, OpenID4VCI 1.0 appendix D).

    Where the provider's list cannot be had, or none is named that we can read, the key counts: its attestation lives for hours, what is issued for it
    can be revoked by us, and a provider that is out of reach must not keep people from their card.
    """
    storage = claims.get("key_storage_status")
    for status in (claims.get("status"), storage.get("status") if isinstance(storage, dict) else storage):
        if not isinstance(status, dict) or "status_list" not in status:
            continue  # none, or of a mechanism that nobody here can read
        try:
            reference = read_reference(status)
        except StatusListRefused:
            raise _refused("the status of the key attestation is not of a form that is known") from None
        if desk.lists is None:
            continue
        standing = await desk.lists.standing(reference, provider_anchors(desk.settings), desk.now)
        if standing not in {Standing.VALID, Standing.OUT_OF_REACH}:
            raise _refused("the wallet provider has taken the key attestation back")


def _claims_of(verified: str) -> Claims:
    return read_object(unb64url(verified.split(".")[1]))


def _seconds(claims: Claims, name: str) -> float | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**35:
        raise _refused(f"{name} of the key attestation is not a moment")
    return value


def _p256(key: Key) -> EllipticCurvePublicKey:
    if not isinstance(key.public, EllipticCurvePublicKey) or not key.fits(Algorithm.ES256):
        raise _refused("a credential is bound to a key on P-256")
    return key.public


def _refused(why: str) -> OAuthError:
    return OAuthError("invalid_proof", why)
