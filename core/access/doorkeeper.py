"""Establishes who calls, from whatever proof a request brings: a signature, a token, or a session's cookie."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from cryptography.hazmat.primitives.asymmetric import ec
from litestar import Request
from litestar.datastructures import State
from sqlalchemy.ext.asyncio import AsyncSession

from core.access import cookies, oidc, service, tokens
from core.access.models import Principal
from core.access.oidc import Provider, SignedIn, SignedOut, SignInFailed
from core.access.policy import Policy
from core.access.rules import (
    Caller,
    Errand,
    Method,
    PrincipalKind,
    Role,
    errand,
    is_forged,
    known_roles,
    roles_in,
)
from core.access.service import Known
from core.access.signatures import Message, SignatureRefused, check_signature, read_signature
from core.database import Database, Look
from core.errors import NotAllowed, NotSignedIn
from core.http import Outgoing
from core.jose import Claims, TokenRefused, claimed_client, read_jwk
from core.settings import DEFAULT_SECRET, Mode, Settings
from core.vault import Vault

REMEMBERED = timedelta(seconds=2)
"""How long a principal or a key is taken as it was last seen in the database."""

MOST_REMEMBERED = 10_000

log = structlog.get_logger("access")

Found = TypeVar("Found")

Welcome = Callable[[AsyncSession, UUID, SignedIn, datetime], Awaitable[None]]
"""What happens with a login at each sign-in, in its transaction; packages to the right link persons here."""


class Forged(NotAllowed):
    """The browser says that another site made it send this."""

    slug, title = "cross-site", "This request came from another site"


class TokenNotTaken(NotSignedIn):
    """The access token does not hold."""

    slug, title = "access-token-refused", "The access token was not accepted"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


class UnsafeSettings(ValueError):
    """The settings would leave a door open."""


class Memory(Generic[Found]):
    """What the database said a moment ago; nothing is believed for longer than two seconds."""

    def __init__(self) -> None:
        self._seen: dict[object, tuple[datetime, Found]] = {}

    def recall(self, key: object, now: datetime) -> Found | None:
        seen = self._seen.get(key)
        # A clock that was set back must not keep old news alive.
        if seen is None or not seen[0] <= now < seen[0] + REMEMBERED:
            return None
        return seen[1]

    def keep(self, key: object, found: Found, now: datetime) -> None:
        if len(self._seen) >= MOST_REMEMBERED:
            self._seen.clear()
        self._seen[key] = now, found


class Doorkeeper:
    """Knows the proofs; one for the application."""

    def __init__(
        self,
        settings: Settings,
        vault: Vault,
        database: Database,
        *,
        policy: Policy | None = None,
        outgoing: Outgoing | None = None,
        welcome: Welcome | None = None,
    ) -> None:
        refuse_unsafe(settings)
        self.settings, self.vault, self.database = settings, vault, database
        self.policy = policy or Policy()
        self.outgoing = outgoing or Outgoing()
        self.provider = (
            Provider(settings, self.policy, vault, self.outgoing) if settings.oidc_issuer else None
        )
        self._welcome = welcome
        self._cookie = cookies.name(settings, cookies.SESSION)
        self._origin = _origin(settings.public_url)
        self._signers = Memory[tuple[Known, ec.EllipticCurvePublicKey]]()
        self._principals = Memory[Known]()

    async def close(self) -> None:
        await self.outgoing.close()

    async def establish(self, request: Request[Any, Any, Any], look: Look, now: datetime) -> Caller | None:
        """Who calls; None where the request brings no proof, or a session that is over.

        One proof is looked at, and one that does not hold is answered by an error: a request that was meant to be
        signed must not get in by a cookie that happens to be there.
        """
        headers = request.headers
        if "signature-input" in headers or "signature" in headers:
            return await self._by_signature(request, now)
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return await self._by_token(credentials.strip(), errand(headers), now)
        cookie = request.cookies.get(self._cookie)
        return await self._by_session(request, look, cookie, now) if cookie else None

    # ---- sessions ----

    async def sign_in(self, signed_in: SignedIn, now: datetime, *, before: UUID | None = None) -> str:
        """Opens a session for who has just signed in, ends the one `before`, and gives the new cookie's value."""
        issuer = self.settings.oidc_issuer
        level = self.policy.level(signed_in.claims.get(self.settings.oidc_level_claim))
        async with self.database.writing() as session:
            principal = await service.login(session, self.vault, issuer, signed_in.subject, now)
            if principal.disabled_at is not None:
                raise NotAllowed
            if before is not None:
                await service.end_session(session, before, now)
            if self._welcome is not None:
                await self._welcome(session, principal.id, signed_in, now)
            log.info("session.opened", principal=str(principal.id), level=level.value)
            return await service.open_session(
                session,
                principal.id,
                self._roles(signed_in.claims),
                level,
                now,
                provider_session=signed_in.provider_session,
                authenticated_at=signed_in.authenticated_at,
                ceilings=self.policy.ceiling,
            )

    async def sign_out(self, session_id: UUID, now: datetime) -> None:
        """Ends a session."""
        async with self.database.writing() as session:
            await service.end_session(session, session_id, now)

    async def signed_out(self, said: SignedOut, now: datetime) -> None:
        """Ends the sessions that the provider says are over; nothing to end is no error."""
        async with self.database.writing() as session:
            principal_id = None
            if said.subject is not None:
                login = await service.find_login(session, self.vault, self.settings.oidc_issuer, said.subject)
                if login is None:
                    return
                principal_id = login.id
            ended = await service.end_sessions(
                session, now, principal_id=principal_id, provider_session=said.provider_session
            )
            log.info("sessions.ended_by_provider", count=ended)

    async def _by_session(
        self, request: Request[Any, Any, Any], look: Look, token: str, now: datetime
    ) -> Caller | None:
        found = await service.find_session(await look.session(), token, now, ceilings=self.policy.ceiling)
        if found is None:
            return None
        headers = request.headers
        host = headers.get("host")
        if is_forged(
            request.method,
            fetch_site=headers.get("sec-fetch-site"),
            origin=headers.get("origin"),
            ours=(self._origin, None if host is None else f"{request.url.scheme}://{host}"),
        ):
            raise Forged
        opened, principal = found
        if opened.seen_at + service.TOUCH_AFTER <= now:
            async with self.database.writing() as session:
                await service.touch_session(session, opened.id, now)
        why = errand(headers)
        return Caller(
            principal_id=principal.id,
            kind=principal.kind,
            roles=known_roles(opened.roles),
            method=Method.SESSION,
            level=opened.level,
            authenticated_at=opened.authenticated_at,
            acting_for=why.acting_for,
            channel=why.channel,
            reason=why.reason,
            session_id=opened.id,
        )

    # ---- access tokens ----

    async def _by_token(self, token: str, why: Errand, now: datetime) -> Caller:
        try:
            # Who the token says it is from only decides whose keys it is held against.
            if claimed_client(token) == self.settings.public_url:
                return await self._machine(token, why, now)
            if self.provider is None:
                raise TokenNotTaken
            return await self._person(await self.provider.read_access_token(token, now), why, now)
        except (TokenRefused, SignInFailed) as refused:
            raise TokenNotTaken(refused.detail) from None

    async def _machine(self, token: str, why: Errand, now: datetime) -> Caller:
        machine_id = tokens.read_token(self.vault, self.settings, token, now)
        known = self._principals.recall(machine_id, now)
        if known is None:
            async with self.database.reading() as session:
                row = await session.get(Principal, machine_id)
            if row is None or row.disabled_at is not None:
                raise TokenNotTaken("the client is not known, or no longer")
            known = Known(row.id, row.kind, known_roles(row.roles))
            self._principals.keep(machine_id, known, now)
        return Caller(
            principal_id=known.principal_id,
            kind=known.kind,
            roles=known.roles,
            method=Method.TOKEN,
            acting_for=why.acting_for,
            channel=why.channel,
            reason=why.reason,
        )

    async def _person(self, claims: Claims, why: Errand, now: datetime) -> Caller:
        subject = oidc.subject_in(claims, self.settings.oidc_subject_claim)
        return Caller(
            principal_id=await self._login(subject, now),
            kind=PrincipalKind.LOGIN,
            roles=self._roles(claims),
            method=Method.TOKEN,
            level=self.policy.level(claims.get(self.settings.oidc_level_claim)),
            authenticated_at=oidc.authenticated_at(claims),
            acting_for=why.acting_for,
            channel=why.channel,
            reason=why.reason,
        )

    async def _login(self, subject: str, now: datetime) -> UUID:
        issuer = self.settings.oidc_issuer
        known = self._principals.recall((issuer, subject), now)
        if known is None:
            async with self.database.reading() as session:
                row = await service.find_login(session, self.vault, issuer, subject)
            if row is None:
                async with self.database.writing() as session:
                    row = await service.login(session, self.vault, issuer, subject, now)
            if row.disabled_at is not None:
                raise TokenNotTaken("this login is closed")
            known = Known(row.id, row.kind, frozenset())
            self._principals.keep((issuer, subject), known, now)
        return known.principal_id

    def _roles(self, claims: Claims) -> frozenset[Role]:
        stated = roles_in(claims, self.settings.oidc_roles_claim, self.policy.roles)
        return stated | frozenset(self.policy.every_login)

    # ---- signed requests ----

    async def _by_signature(self, request: Request[Any, Any, Any], now: datetime) -> Caller:
        headers = request.headers
        claimed = read_signature(headers)
        signer = self._signers.recall(claimed.key_id, now)
        if signer is None:
            signer = await self._signer(claimed.key_id)
            self._signers.keep(claimed.key_id, signer, now)
        known, key = signer
        scope = request.scope
        message = Message(
            method=request.method,
            path=scope["raw_path"].partition(b"?")[0].decode("latin-1"),
            query=scope["query_string"].decode("latin-1"),
            idempotency_key=headers.get("idempotency-key"),
            # Kept with the connection, up to the door's limit: the handler reads the same bytes again.
            body=await request.body(),
        )
        check_signature(claimed, message, key, digest=headers.get("content-digest"), now=now)
        # For whom, how and why are not covered by the signature, and so are not heard.
        return Caller(
            principal_id=known.principal_id, kind=known.kind, roles=known.roles, method=Method.SIGNATURE
        )

    async def _signer(self, name: str) -> tuple[Known, ec.EllipticCurvePublicKey]:
        async with self.database.reading() as session:
            found = await service.holder_of(session, name)
        if found is None or found[0].kind is not PrincipalKind.SCANNER:
            raise SignatureRefused("the key is not known, or no longer")
        known, members = found
        key = read_jwk(members).public
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise SignatureRefused("the key is not of the kind that signs requests")
        return known, key


def refuse_unsafe(settings: Settings) -> None:
    """Raises UnsafeSettings where production would start with a demo's provider, secrets or plain connections."""
    if settings.oidc_issuer and settings.oidc_audience == settings.oidc_client_id:
        raise UnsafeSettings(
            "CITYCARD_OIDC_AUDIENCE must differ from the client id: ID tokens carry that one"
        )
    if settings.mode is not Mode.PRODUCTION:
        return
    if settings.vault_secret.get_secret_value() == DEFAULT_SECRET:
        raise UnsafeSettings("CITYCARD_VAULT_SECRET is the one that everybody knows")
    if not settings.public_url.startswith("https://"):
        raise UnsafeSettings("CITYCARD_PUBLIC_URL must be https: cookies and tokens travel there")
    if settings.oidc_issuer and not settings.oidc_issuer.startswith("https://"):
        raise UnsafeSettings("CITYCARD_OIDC_ISSUER must be https")
    if DEMO_PROVIDER in settings.oidc_issuer:
        raise UnsafeSettings(
            "CITYCARD_OIDC_ISSUER is the demo's own provider, which knows everybody's password"
        )
    if settings.oidc_client_secret.get_secret_value() == DEMO_CLIENT_SECRET:
        raise UnsafeSettings("CITYCARD_OIDC_CLIENT_SECRET is the demo's")


DEMO_PROVIDER = "/demo/op"
"""Where the demo's own OpenID provider stands."""

DEMO_CLIENT_SECRET = "demo-client-secret"  # noqa: S105  (refused in production mode above)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def doorkeeper_of(state: State) -> Doorkeeper:
    """The application's doorkeeper, made at the first request unless `create_app` set one."""
    keeper: Doorkeeper | None = state.get("doorkeeper")
    if keeper is None:
        keeper = state["doorkeeper"] = Doorkeeper(state.settings, state.vault, state.database)
    return keeper


__all__ = ["DEMO_CLIENT_SECRET", "DEMO_PROVIDER", "Doorkeeper", "doorkeeper_of", "refuse_unsafe"]
