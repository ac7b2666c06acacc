"""Which wallet asks: wallet attestations with their proof, and the few clients that the settings name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from litestar import Request

from core.jose import (
    Claims,
    Key,
    KeyRefused,
    KeySet,
    TokenRefused,
    check_stated,
    claimed_client,
    read_jwk,
    read_key_set,
    thumbprint,
    verify,
    verify_client_assertion,
)
from core.settings import Settings
from core.texts import read_object as read_json
from core.texts import unb64url
from issuers.credentials.x5c import Anchors, Break
from issuers.openid import nonces
from issuers.openid.answers import OAuthError
from issuers.openid.desk import Desk
from issuers.openid.issuer import PAR, TOKEN, is_loopback
from issuers.openid.nonces import NonceKind

ATTESTATION_TYPE: Final = "oauth-client-attestation+jwt"
POP_TYPE: Final = "oauth-client-attestation-pop+jwt"
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST: Final = 16 * 1024

_PAST, _AHEAD = timedelta(minutes=5), timedelta(seconds=60)
_VISIBLE = frozenset(map(chr, range(0x20, 0x7F)))  # what a client_id is made of (RFC 6749 appendix A.1)


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A client that the settings name: where its users may be sent back to, and its keys if it proves itself by them."""

    client_id: str
    redirect_uris: tuple[str, ...]
    keys: KeySet = field(default_factory=KeySet)


@dataclass(frozen=True, slots=True)
class Client:
    """A client that proved who it is."""

    client_id: str
    instance: str | None = None
    """Thumbprint of the wallet instance's key; None for a client with keys of its own."""
    name: str | None = None


class ClientsUnreadable(ValueError):
    """CITYCARD_OAUTH_CLIENTS or CITYCARD_WALLET_PROVIDER_ANCHORS is not of the described form."""


# ---- what the settings name ----


def registered(settings: Settings) -> Mapping[str, RegisteredClient]:
    """The clients of the settings; ClientsUnreadable where they are not of the described form."""
    text = settings.oauth_clients.strip()
    return _registered(text, _stamp(Path(text)) if text and not text.startswith("[") else None)


def check_settings(settings: Settings) -> None:
    """Reads what the settings name, before anything starts; ClientsUnreadable says what does not fit."""
    registered(settings)
    provider_anchors(settings)


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise ClientsUnreadable(f"there is no file {path}") from error


@lru_cache(maxsize=8)
def _registered(text: str, stamp: int | None) -> Mapping[str, RegisteredClient]:
    if not text:
        return {}
    try:
        listed: list[Any] = json.loads(text if stamp is None else Path(text).read_text(encoding="utf-8"))
        clients = [_client(entry) for entry in listed]
    except (ValueError, KeyError, TypeError, AttributeError, KeyRefused) as error:
        raise ClientsUnreadable("the clients are a JSON list of {client_id, redirect_uris, jwks}") from error
    return {client.client_id: client for client in clients}


def _client(entry: Any) -> RegisteredClient:
    keys = read_key_set(entry["jwks"]) if "jwks" in entry else KeySet()
    return RegisteredClient(str(entry["client_id"]), tuple(map(str, entry.get("redirect_uris", ()))), keys)


def provider_anchors(settings: Settings) -> Anchors:
    """The wallet providers whose word is taken, for wallets and for keys."""
    path = settings.wallet_provider_anchors
    return _anchors(path, None if path is None else _stamp(path))


@lru_cache(maxsize=8)
def _anchors(path: Path | None, _changed: int | None) -> Anchors:
    if path is None:
        return Anchors(())
    try:
        return Anchors(x509.load_pem_x509_certificates(path.read_bytes()))
    except ValueError as error:
        raise ClientsUnreadable(f"{path} is not a PEM file with certificates") from error


# ---- proving oneself ----


async def authenticate(desk: Desk, request: Request[Any, Any, Any], form: Mapping[str, str]) -> Client | None:
    """The client that proved itself; None where none tried to. OAuthError where a proof does not hold."""
    headers = request.headers
    attestation = headers.getall("oauth-client-attestation", [])
    proof = headers.getall("oauth-client-attestation-pop", [])
    tried = [bool(attestation or proof), "client_assertion" in form or "client_assertion_type" in form]
    if "client_secret" in form or headers.get("authorization", "").lower().startswith("basic"):
        # Who came with that header hears which scheme was refused (RFC 6749 section 5.2).
        raise OAuthError(
            "invalid_client",
            "secrets are not taken here",
            status=HTTPStatus.UNAUTHORIZED,
            headers={"WWW-Authenticate": 'Basic realm="citycard"'},
        )
    if not any(tried):
        return None
    if all(tried):
        raise OAuthError("invalid_request", "a client proves itself in one way")
    if tried[0]:
        if len(attestation) != 1 or len(proof) != 1:
            raise _refused("an attestation comes with one proof of possession")
        client = await _attested(desk, attestation[0], proof[0])
    else:
        client = await _asserted(desk, form)
    if form.get("client_id", client.client_id) != client.client_id:
        raise _refused("client_id is not the client that proved itself")
    return client


async def _attested(desk: Desk, attestation: str, proof: str) -> Client:
    """By draft-ietf-oauth-attestation-based-client-auth, -07 and later: with and without `iss`."""
    vault, now = desk.vault, desk.now
    claims = _attestation(desk.settings, attestation, now)
    key = _confirmed(claims)
    try:
        stated = verify(proof, key, typ=POP_TYPE, longest=LONGEST).claims
        check_stated(stated, now=now)
    except TokenRefused as refused:
        raise _refused(f"the proof of possession: {refused.detail or refused.title}") from None
    client_id = str(claims["sub"])
    audience = stated.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if audience != desk.issuer:
        raise _refused("the proof of possession is for another server")
    if stated.get("iss", client_id) != client_id:
        raise _refused("the proof of possession is another client's")
    jti, issued = stated.get("jti"), _moment(stated, "iat")
    if not (isinstance(jti, str) and 1 <= len(jti) <= 256):
        raise _refused("the proof of possession has no jti")
    if issued is None or not now - _PAST <= issued <= now + _AHEAD:
        raise _refused("the proof of possession is not of now")
    challenge = stated.get("challenge", stated.get("nonce"))  # its name until -06
    if challenge is not None and not nonces.is_live(vault, NonceKind.CHALLENGE, challenge, now):
        raise OAuthError(
            "use_attestation_challenge",
            "the challenge is not one of ours, or too old",
            headers={"OAuth-Client-Attestation-Challenge": nonces.give(vault, NonceKind.CHALLENGE, now)},
        )
    instance = thumbprint(key.public)
    if not await nonces.use(desk, "pop", f"{instance} {jti}", until=now + _PAST + _AHEAD):
        raise _refused("the proof of possession was used before")
    name = claims.get("wallet_name")
    return Client(client_id, instance, name[:100] if isinstance(name, str) and name.isprintable() else None)


def _attestation(settings: Settings, attestation: str, now: datetime) -> Claims:
    key = anchored_key(settings, attestation, now)
    if key is None:
        raise _refused("no wallet provider that is trusted here signed the attestation")
    try:
        claims = verify(attestation, key, typ=ATTESTATION_TYPE, longest=LONGEST).claims
    except TokenRefused as refused:
        raise _refused(f"the attestation: {refused.detail or refused.title}") from None
    subject, expires = claims.get("sub"), _moment(claims, "exp")
    if not (isinstance(subject, str) and 1 <= len(subject) <= 256 and _VISIBLE.issuperset(subject)):
        raise _refused("the attestation names no client")
    if expires is None:
        raise _refused("the attestation does not say until when it holds")
    if now >= expires + _AHEAD:
        raise OAuthError(
            "use_fresh_attestation", "the attestation has expired", status=HTTPStatus.UNAUTHORIZED
        )
    for name in ("nbf", "iat"):
        begins = _moment(claims, name)
        if begins is not None and begins > now + _AHEAD:
            raise _refused("the attestation is not valid yet")
    return claims


def anchored_key(settings: Settings, token: str, now: datetime) -> Key | None:
    """The key of the chain in this token's header, where one of the configured anchors stands behind it."""
    if len(token) > LONGEST:
        return None
    try:
        header = read_json(unb64url(token.partition(".")[0]))
    except ValueError:
        return None
    path = provider_anchors(settings).trace(header.get("x5c"), now)
    return None if isinstance(path, Break) else Key(path.key)


def _confirmed(claims: Claims) -> Key:
    cnf = claims.get("cnf")
    try:
        return read_jwk(cnf.get("jwk") if isinstance(cnf, dict) else None)
    except KeyRefused as refused:
        raise _refused(f"the key of the wallet instance: {refused.detail or refused.title}") from None


async def _asserted(desk: Desk, form: Mapping[str, str]) -> Client:
    if form.get("client_assertion_type") != ASSERTION_TYPE or "client_assertion" not in form:
        raise _refused("a registered client proves itself by private_key_jwt")
    try:
        claimed = claimed_client(form["client_assertion"])
        known = registered(desk.settings).get(claimed)
        if known is None or not known.keys.keys:
            raise _refused("the client is not known")
        issuer = desk.issuer
        assertion = verify_client_assertion(
            form["client_assertion"],
            known.keys,
            client_id=claimed,
            audiences=(issuer, issuer + TOKEN, issuer + PAR),
            now=desk.now,
        )
    except TokenRefused as refused:
        raise _refused(refused.detail or refused.title) from None
    until = assertion.expires_at + _AHEAD
    if not await nonces.use(desk, "assertion", f"{claimed} {assertion.jti}", until=until):
        raise _refused("the assertion was used before")
    return Client(claimed)


def _refused(why: str) -> OAuthError:
    return OAuthError("invalid_client", why, status=HTTPStatus.UNAUTHORIZED)


def _moment(claims: Claims, name: str) -> datetime | None:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**35:
        return None
    return datetime.fromtimestamp(value, UTC)


# ---- where users are sent back to ----

# Schemes that a browser acts upon itself; what is sent there would not reach a wallet.
_NEVER = frozenset(
    {
        "javascript",
        "data",
        "vbscript",
        "file",
        "blob",
        "about",
        "filesystem",
        "view-source",
        "ws",
        "wss",
        "ftp",
    }
)


def may_return_to(settings: Settings, client_id: str, redirect_uri: str) -> bool:
    """Whether this client's users may be sent there.

    A client of the settings has its own addresses, compared sign by sign. The address of a wallet that proved itself
    is pushed by it alone, over its own authenticated connection (RFC 9126 section 2.4), so any address of a form
    that reaches a wallet is taken: https, an app's own scheme, and plain http on loopback (RFC 8252 section 7).
    """
    known = registered(settings).get(client_id)
    if known is not None and known.redirect_uris:
        return redirect_uri in known.redirect_uris
    if not 1 <= len(redirect_uri) <= 2048 or not all("!" <= sign <= "~" for sign in redirect_uri):
        return False
    if "\\" in redirect_uri or "#" in redirect_uri:
        return False
    try:
        parts = urlsplit(redirect_uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not parts.scheme or parts.username is not None or parts.password is not None:
        return False
    match parts.scheme.lower():
        case "https":
            return bool(host)
        case "http":
            return settings.loopback_http and is_loopback(host)
        case scheme:
            return scheme not in _NEVER
