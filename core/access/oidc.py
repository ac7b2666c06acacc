"""Signing in at the city's OpenID provider: where it is, what it says, and every doubt about that."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

import anyio

from core.access.policy import Policy
from core.access.rules import claim
from core.errors import DomainError
from core.http import Outgoing, OutOfReach, Reply
from core.jose import (
    Algorithm,
    Claims,
    KeyRefused,
    KeySet,
    Refusal,
    TokenRefused,
    Verified,
    check_claims,
    read_key_set,
    sign,
    verify,
    verify_access_token,
)
from core.settings import Mode, Settings
from core.texts import b64url, unb64url
from core.vault import KeyUse, SealBroken, Vault, apart, open_sealed, seal

CALLBACK = "/login/callback"

SIGNING = frozenset({Algorithm.RS256, Algorithm.PS256, Algorithm.ES256, Algorithm.EDDSA})
"""What the provider may sign with."""

ATTEMPT_LASTS = timedelta(minutes=15)
"""How long somebody may take at the provider's login page."""

FRESH = timedelta(hours=1)
"""How long the provider's description of itself is taken as read."""

KEYS_FRESH = timedelta(minutes=10)
"""How long its keys are: one that it withdraws is not believed for longer."""

PAUSE = timedelta(seconds=5)
"""How long to wait before asking the provider again for what it did not have."""

OLDEST_ID_TOKEN = timedelta(minutes=10)

OLDEST_LOGOUT_TOKEN = timedelta(minutes=5)
"""How long a logout token may take: one that somebody kept must not end the sessions of later days."""

LOGGED_OUT = "http://schemas.openid.net/event/backchannel-logout"
"""The event that a logout token reports."""

_LABEL = "sign-in/1"
_AAD = b"citycard/sign-in/1"


class SignInFailed(DomainError):
    """The sign-in did not come to its end; beginning again is the way."""

    status, slug, title = 400, "sign-in-failed", "The sign-in could not be completed"

    def __init__(self, why: "Failure") -> None:
        super().__init__(_SENTENCES[why], reason=why)
        self.why = why


class Failure(StrEnum):
    """Why a sign-in failed."""

    NOT_BEGUN_HERE = "not-begun-here"
    REFUSED_BY_PROVIDER = "refused-by-provider"
    OTHER_ISSUER = "other-issuer"
    NO_CODE = "no-code"
    CODE_REFUSED = "code-refused"
    TOKEN_REFUSED = "token-refused"  # noqa: S105
    UNKNOWN_SUBJECT = "unknown-subject"


_SENTENCES = {
    Failure.NOT_BEGUN_HERE: "it was not begun in this browser, or too long ago; begin again",
    Failure.REFUSED_BY_PROVIDER: "the provider did not let it happen",
    Failure.OTHER_ISSUER: "the answer is not from the provider that was asked",
    Failure.NO_CODE: "the provider's answer is incomplete",
    Failure.CODE_REFUSED: "the provider did not accept the code; begin again",
    Failure.TOKEN_REFUSED: "what the provider said of the sign-in does not hold",
    Failure.UNKNOWN_SUBJECT: "the provider did not say who signed in",
}


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where the provider's doors are."""

    authorization: str
    token: str
    jwks: str
    end_session: str | None
    states_issuer: bool
    """Whether it promises to name itself in every answer (RFC 9207)."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in that a browser has begun; travels sealed in that browser's own cookie."""

    state: str
    nonce: str
    verifier: str
    return_to: str
    begun: int

    def sealed(self, vault: Vault) -> str:
        return b64url(seal(vault.secret(_LABEL), json.dumps(asdict(self)).encode(), _AAD))

    @classmethod
    def opened(cls, vault: Vault, text: str, now: datetime) -> "Attempt | None":
        """The attempt that a cookie holds; None where we did not seal it, or too long ago."""
        try:
            attempt = cls(**json.loads(open_sealed(vault.secret(_LABEL), unb64url(text), _AAD)))
        except (SealBroken, ValueError, TypeError):
            return None
        begun = datetime.fromtimestamp(attempt.begun, UTC)
        return attempt if begun <= now + PAUSE and now < begun + ATTEMPT_LASTS else None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who signed in at the provider, how surely, and with what else it said."""

    subject: str
    claims: Claims
    authenticated_at: datetime
    provider_session: str | None


@dataclass(frozen=True, slots=True)
class SignedOut:
    """Whose sessions the provider says are over: one of its sessions, or all of a subject's."""

    subject: str | None
    provider_session: str | None


class Provider:
    """The city's OpenID provider as we know it; what it publishes is fetched once and kept for a while."""

    def __init__(self, settings: Settings, policy: Policy, vault: Vault, outgoing: Outgoing) -> None:
        self._settings, self._policy, self._vault, self._outgoing = settings, policy, vault, outgoing
        self.issuer = settings.oidc_issuer
        self._redirect = settings.public_url + CALLBACK
        self._alone = anyio.Lock()
        self._metadata: tuple[datetime, Metadata] | None = None
        self._keys: tuple[datetime, KeySet] | None = None
        self._asked_at: datetime | None = None

    # ---- signing in ----

    async def begin(self, return_to: str, now: datetime, languages: str) -> tuple[str, Attempt]:
        """Where to send the browser, and what it must bring back.

        `languages` is what its reader likes best, first to last (`ui_locales`, OpenID Connect Core 1.0 §3.1.2.1).
        """
        metadata = await self.metadata(now)
        attempt = Attempt(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            return_to=return_to,
            begun=int(now.timestamp()),
        )
        query = {
            "response_type": "code",
            "client_id": self._settings.oidc_client_id,
            "redirect_uri": self._redirect,
            "scope": self._policy.scope,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": challenge(attempt.verifier),
            "code_challenge_method": "S256",
            "ui_locales": languages,
        }
        return _with_query(metadata.authorization, query), attempt

    async def complete(self, answer: Mapping[str, str], attempt: Attempt, now: datetime) -> SignedIn:
        """Who signed in, by the provider's answer to this attempt; SignInFailed where any doubt is left."""
        if not hmac.compare_digest(answer.get("state", "").encode(), attempt.state.encode()):
            raise SignInFailed(Failure.NOT_BEGUN_HERE)
        metadata = await self.metadata(now)
        named = answer.get("iss")
        if named != self.issuer and (named is not None or metadata.states_issuer):
            raise SignInFailed(Failure.OTHER_ISSUER)
        if "error" in answer:
            raise SignInFailed(Failure.REFUSED_BY_PROVIDER)
        code = answer.get("code")
        if not code or len(code) > 2048:
            raise SignInFailed(Failure.NO_CODE)
        id_token, access_token = await self._exchange(metadata, code, attempt, now)
        try:
            verified = await self._verified(id_token, now)
            return self._settle(verified, attempt, access_token, now)
        except TokenRefused:
            raise SignInFailed(Failure.TOKEN_REFUSED) from None

    async def farewell(self, now: datetime) -> str | None:
        """Where a browser ends its session at the provider, too; None where the provider has no such place."""
        metadata = await self.metadata(now)
        if metadata.end_session is None:
            return None
        # By client, not by id_token_hint: an ID token names a person, and this is an address.
        query = {
            "client_id": self._settings.oidc_client_id,
            "post_logout_redirect_uri": self._settings.public_url + "/",
        }
        return _with_query(metadata.end_session, query)

    async def _exchange(
        self, metadata: Metadata, code: str, attempt: Attempt, now: datetime
    ) -> tuple[str, str | None]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect,
            "code_verifier": attempt.verifier,
        }
        headers = {}
        client_id, secret = (
            self._settings.oidc_client_id,
            self._settings.oidc_client_secret.get_secret_value(),
        )
        if secret:
            pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        else:
            form |= {
                "client_id": client_id,
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": await self._assertion(now),
            }
        reply = await self._outgoing.post_form(metadata.token, form, headers=headers)
        if 400 <= reply.status < 500:
            raise SignInFailed(Failure.CODE_REFUSED)
        tokens = _object(reply)
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(id_token, str):
            raise SignInFailed(Failure.TOKEN_REFUSED)
        return id_token, access_token if isinstance(access_token, str) else None

    async def _assertion(self, now: datetime) -> str:
        signer = self._vault.signer(self._vault.ensure(KeyUse.CLIENT_ASSERTION, now).key_id)
        client_id, issued = self._settings.oidc_client_id, int(now.timestamp())
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": self.issuer,
            "iat": issued,
            "exp": issued + 60,
            "jti": str(uuid4()),
        }
        return await apart(signer, partial(sign, signer, claims, typ="JWT"))

    def _settle(
        self, verified: Verified, attempt: Attempt, access_token: str | None, now: datetime
    ) -> SignedIn:
        claims, client_id = verified.claims, self._settings.oidc_client_id
        check_claims(claims, issuer=self.issuer, audience=client_id, now=now)
        meant_for = claims.get("aud")
        if claims.get("azp", client_id) != client_id or (
            isinstance(meant_for, list) and len(meant_for) > 1 and "azp" not in claims
        ):
            raise TokenRefused(Refusal.AUDIENCE, "the token was made for another client")
        nonce = claims.get("nonce")
        if not (isinstance(nonce, str) and hmac.compare_digest(nonce.encode(), attempt.nonce.encode())):
            raise TokenRefused(Refusal.CLAIMS, "the token is not the answer to this attempt")
        issued = _moment(claims.get("iat"))
        if issued is None or issued < now - OLDEST_ID_TOKEN:
            raise TokenRefused(Refusal.CLAIMS, "the token is not of now")
        if "at_hash" in claims and (
            access_token is None or claims["at_hash"] != _half_hash(access_token, verified.header.get("alg"))
        ):
            raise TokenRefused(Refusal.CLAIMS, "the two tokens do not belong together")
        return SignedIn(
            subject=subject_in(claims, self._settings.oidc_subject_claim),
            claims=claims,
            authenticated_at=min(_moment(claims.get("auth_time")) or issued, now),
            provider_session=_short(claims.get("sid")),
        )

    # ---- signing out, told by the provider ----

    async def read_logout_token(self, token: str, now: datetime) -> SignedOut:
        """What a logout token says (OpenID Connect Back-Channel Logout 1.0, section 2.6); TokenRefused where any
        of its checks fails.
        """
        claims = (await self._verified(token, now, types=("logout+jwt", "JWT", None))).claims
        check_claims(claims, issuer=self.issuer, audience=self._settings.oidc_client_id, now=now)
        issued, token_id, events = _moment(claims.get("iat")), claims.get("jti"), claims.get("events")
        if (
            issued is None
            or issued < now - OLDEST_LOGOUT_TOKEN
            or not (token_id and isinstance(token_id, str))
        ):
            raise TokenRefused(Refusal.CLAIMS, "the token is not of now")
        if not (isinstance(events, dict) and isinstance(events.get(LOGGED_OUT), dict)):
            raise TokenRefused(Refusal.CLAIMS, "the token does not say that somebody signed out")
        if "nonce" in claims:
            raise TokenRefused(Refusal.CLAIMS, "the token is the answer to a sign-in")
        # Where a login is known by another claim, `sub` names nobody here, and only the session counts.
        named = claims.get("sub") if self._settings.oidc_subject_claim == "sub" else None
        subject, provider_session = (_short(value) for value in (named, claims.get("sid")))
        if subject is None and provider_session is None:
            raise TokenRefused(Refusal.CLAIMS, "the token names no session and nobody")
        return SignedOut(subject, provider_session)

    # ---- access tokens ----

    async def read_access_token(self, token: str, now: datetime) -> Claims:
        """What an access token of this provider for this API says; TokenRefused where it does not hold."""
        types: tuple[str | None, ...] = ("at+jwt",)
        if self._policy.plain_access_tokens:
            types = ("at+jwt", "JWT", None)

        def check(keys: KeySet) -> Verified:
            return verify_access_token(
                token,
                keys,
                issuer=self.issuer,
                audience=self._settings.oidc_audience,
                now=now,
                typ=types,
                algorithms=SIGNING,
            )

        try:
            return check(await self._key_set(now)).claims
        except TokenRefused as refused:
            if refused.why is not Refusal.KEY:
                raise
            return check(await self._key_set(now, anew=True)).claims

    # ---- what the provider publishes ----

    async def metadata(self, now: datetime) -> Metadata:
        """The provider's doors; OutOfReach where it cannot say and never has."""
        kept = self._metadata
        if kept is not None and kept[0] <= now < kept[0] + FRESH:
            return kept[1]
        async with self._alone:
            kept = self._metadata
            if kept is not None and kept[0] <= now < kept[0] + FRESH:
                return kept[1]
            try:
                found = await self._discover()
            except OutOfReach:
                if kept is None:
                    raise
                # Its doors seldom move; that it does not answer this now must not lock everybody out.
                found = kept[1]
            self._metadata = now, found
            return found

    async def _discover(self) -> Metadata:
        address = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
        document = _object(await self._outgoing.get(address))
        if document.get("issuer") != self.issuer:
            raise OutOfReach("the provider goes by another name than the settings say")
        plain = self._settings.mode is not Mode.PRODUCTION

        def door(name: str) -> str:
            url = document.get(name)
            scheme = urlsplit(url).scheme if isinstance(url, str) else ""
            if not isinstance(url, str) or not (scheme == "https" or (plain and scheme == "http")):
                raise OutOfReach("the provider's description of itself is incomplete")
            return url

        return Metadata(
            authorization=door("authorization_endpoint"),
            token=door("token_endpoint"),
            jwks=door("jwks_uri"),
            end_session=door("end_session_endpoint") if "end_session_endpoint" in document else None,
            states_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        )

    async def _verified(
        self, token: str, now: datetime, types: tuple[str | None, ...] = ("JWT", None)
    ) -> Verified:
        def check(keys: KeySet) -> Verified:
            return verify(token, keys, typ=types, algorithms=SIGNING)

        try:
            return check(await self._key_set(now))
        except TokenRefused as refused:
            if refused.why is not Refusal.KEY:
                raise
            return check(await self._key_set(now, anew=True))

    async def _key_set(self, now: datetime, *, anew: bool = False) -> KeySet:
        """The provider's keys. A name that is not among them asks again, but not at every stranger's word."""
        kept = self._keys
        if not anew and kept is not None and kept[0] <= now < kept[0] + KEYS_FRESH:
            return kept[1]
        metadata = await self.metadata(now)
        async with self._alone:
            kept = self._keys
            if self._asked_at is not None and self._asked_at <= now < self._asked_at + PAUSE:
                if kept is None:
                    raise OutOfReach("the provider's keys could not be had")
                return kept[1]
            self._asked_at = now
            try:
                found = read_key_set(_object(await self._outgoing.get(metadata.jwks)))
            except (OutOfReach, KeyRefused):
                if kept is None:
                    raise OutOfReach("the provider's keys could not be had") from None
                return kept[1]
            self._keys = now, found
            return found


def challenge(verifier: str) -> str:
    """The PKCE challenge of a verifier (S256)."""
    return b64url(hashlib.sha256(verifier.encode()).digest())


def subject_in(claims: Claims, path: str) -> str:
    """Who the claims are about; SignInFailed where they do not say."""
    subject = claim(claims, path)
    if not (isinstance(subject, str) and 1 <= len(subject) <= 255):
        raise SignInFailed(Failure.UNKNOWN_SUBJECT)
    return subject


def authenticated_at(claims: Claims) -> datetime | None:
    """When the person last proved who they are, as far as the provider says."""
    return _moment(claims.get("auth_time"))


def _short(value: object) -> str | None:
    return value if isinstance(value, str) and 1 <= len(value) <= 255 else None


def _with_query(url: str, query: Mapping[str, str]) -> str:
    return url + ("&" if urlsplit(url).query else "?") + urlencode(query)


def _object(reply: Reply) -> dict[str, Any]:
    if reply.status != 200:
        raise OutOfReach("the provider did not answer as it should")
    try:
        document = reply.json()
    except ValueError:
        raise OutOfReach("the provider did not answer as it should") from None
    if not isinstance(document, dict):
        raise OutOfReach("the provider did not answer as it should")
    return document


def _moment(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**35:
        return None
    return datetime.fromtimestamp(value, UTC)


def _half_hash(token: str, algorithm: object) -> str:
    digest = hashlib.sha512 if algorithm == Algorithm.EDDSA else hashlib.sha256
    octets = digest(token.encode("ascii", "replace")).digest()
    return b64url(octets[: len(octets) // 2])
