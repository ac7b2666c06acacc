"""Exchange codes and refresh tokens for access tokens, and know an access token again."""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.oidc import challenge
from issuers.openid import offers
from issuers.openid.answers import NotAuthorized, OAuthError
from issuers.openid.clients import Client
from issuers.openid.desk import Desk
from issuers.openid.issuer import CONFIGURATION, IDENTIFIER, PRE_AUTHORIZED
from issuers.openid.models import AuthorizationCode, CredentialOffer, TokenKind, WalletGrant, WalletToken
from issuers.openid.offers import Redeemed, hashed
from issuers.openid.pushing import wished_details

ACCESS_LASTS: Final = timedelta(minutes=30)
"""Longer than five minutes only because it is bound to a key (HAIP 1.0 section 4.3)."""

REFRESH_LASTS: Final = timedelta(days=184)
"""Twice the life of a credential: the wallet comes back for the next one well before."""

GRANT_LASTS: Final = timedelta(days=731)
"""After two years the person is asked again."""

RETRY: Final = timedelta(seconds=60)
"""How long an exchanged refresh token can be exchanged again: an answer may be lost on its way."""

log = structlog.get_logger("openid")


@dataclass(frozen=True, slots=True)
class Asking:
    """Who stands at the token endpoint: the client as far as it proved itself, and the key of the DPoP proof."""

    client: Client | None
    jkt: str


async def exchange(desk: Desk, form: Mapping[str, str], asking: Asking) -> dict[str, Any]:
    """The token response; OAuthError where the grant is not good.

    Whatever was asked for before, a token request with authorization_details is answered with identifiers
    (OpenID4VCI 1.0 section 6.2). They are read first: a code is not used up by those that cannot be granted.
    """
    details = form.get("authorization_details")
    by_details = details is not None and wished_details(desk.issuer, details)
    match form.get("grant_type"):
        case "authorization_code":
            grant = await _by_code(desk, form, asking)
        case grant_type if grant_type == PRE_AUTHORIZED:
            grant = await _by_offer(desk, form, asking, by_details=by_details)
        case "refresh_token":
            grant = await _by_refresh(desk, form, asking)
        case None:
            raise OAuthError("invalid_request", "grant_type is missing")
        case _:
            raise OAuthError("unsupported_grant_type", "this grant is not known here")
    if by_details and not grant.by_details:
        grant.by_details = True
        desk.session.add(grant)
    return await _issue(desk, grant, asking)


async def _by_code(desk: Desk, form: Mapping[str, str], asking: Asking) -> WalletGrant:
    session, now = desk.session, desk.now
    if asking.client is None:
        raise OAuthError("invalid_client", "the client has to prove itself", status=HTTPStatus.UNAUTHORIZED)
    if "code" not in form:
        raise OAuthError("invalid_request", "code is missing")
    found = await session.execute(
        select(AuthorizationCode)
        .where(col(AuthorizationCode.code_hash) == hashed(form["code"]))
        .with_for_update()
    )
    code = found.scalar_one_or_none()
    grant = None if code is None else await session.get(WalletGrant, code.grant_id)
    if code is None or grant is None or not _is_same_client(grant, asking.client):
        raise _not_good()
    if code.used_at is not None:
        # Somebody else has it too; which of the two is the thief cannot be told (RFC 6749 section 4.1.2).
        await revoke(session, grant.id, now)
        log.warning("code.used_again", grant=str(grant.id))
        raise _not_good()
    verifier = form.get("code_verifier", "")
    if (
        now >= code.expires_at
        or form.get("redirect_uri") != code.redirect_uri
        or not 43 <= len(verifier) <= 128
        or not hmac.compare_digest(challenge(verifier).encode(), code.code_challenge.encode())
        or code.dpop_jkt not in {None, asking.jkt}
    ):
        raise _not_good()
    code.used_at = now
    session.add(code)
    await session.flush()
    return grant


async def _by_offer(desk: Desk, form: Mapping[str, str], asking: Asking, *, by_details: bool) -> WalletGrant:
    session, now = desk.session, desk.now
    code, pin = form.get("pre-authorized_code"), form.get("tx_code")
    if code is None:
        raise OAuthError("invalid_request", "pre-authorized_code is missing")
    outcome, offer = await offers.redeem(desk, code, pin)
    if outcome is Redeemed.USED and offer is not None and offer.grant_id is not None:
        await revoke(session, offer.grant_id, now)
        log.warning("code.used_again", grant=str(offer.grant_id))
    match outcome:
        case Redeemed.PIN_MISSING:
            raise OAuthError("invalid_request", "tx_code is missing")
        case Redeemed.PIN_UNASKED:
            raise OAuthError("invalid_request", "the offer announced no tx_code")
    if outcome is not Redeemed.TAKEN or offer is None:
        raise OAuthError("invalid_grant", _PIN_OR_CODE)
    named = form.get("client_id")
    if named is not None and len(named) > 256:
        raise OAuthError("invalid_request", "client_id is too long")
    grant = WalletGrant(
        person_id=offer.person_id,
        principal_id=offer.principal_id,
        guardian_id=offer.guardian_id,
        programme=offer.programme,
        client_id=asking.client.client_id if asking.client is not None else named,
        is_authenticated=asking.client is not None,
        instance=None if asking.client is None else asking.client.instance,
        scope=None if by_details else CONFIGURATION,
        by_details=by_details,
        granted_at=now,
        expires_at=now + GRANT_LASTS,
    )
    session.add(grant)
    await session.flush()
    await session.execute(
        update(CredentialOffer)
        .where(col(CredentialOffer.id) == offer.id)
        .values(grant_id=grant.id)
        .execution_options(synchronize_session=False)
    )
    return grant


async def _by_refresh(desk: Desk, form: Mapping[str, str], asking: Asking) -> WalletGrant:
    session, now = desk.session, desk.now
    if "refresh_token" not in form:
        raise OAuthError("invalid_request", "refresh_token is missing")
    found = await session.execute(
        select(WalletToken)
        .where(
            col(WalletToken.token_hash) == hashed(form["refresh_token"]),
            col(WalletToken.kind) == TokenKind.REFRESH,
            col(WalletToken.expires_at) > now,
        )
        .with_for_update()
    )
    token = found.scalar_one_or_none()
    grant = None if token is None else await session.get(WalletGrant, token.grant_id)
    if token is None or grant is None or not is_good(grant, now):
        raise _not_good()
    if grant.is_authenticated:
        if asking.client is None:
            raise OAuthError(
                "invalid_client", "the client has to prove itself", status=HTTPStatus.UNAUTHORIZED
            )
        bound = _is_same_client(grant, asking.client)
    else:
        bound = asking.client is None and token.jkt == asking.jkt
    if not bound:
        raise _not_good()
    if not set(form.get("scope", "").split()) <= {grant.scope}:
        raise OAuthError("invalid_scope", "no more can be asked for than was granted")
    if token.used_at is not None and now >= token.used_at + RETRY:
        await revoke(session, grant.id, now)
        log.warning("refresh.used_again", grant=str(grant.id))
        raise _not_good()
    if token.used_at is None:
        token.used_at = now
        session.add(token)
        await session.flush()
    return grant


async def _issue(desk: Desk, grant: WalletGrant, asking: Asking) -> dict[str, Any]:
    session, now = desk.session, desk.now
    access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    for text, kind, lasts in (
        (access, TokenKind.ACCESS, ACCESS_LASTS),
        (refresh, TokenKind.REFRESH, REFRESH_LASTS),
    ):
        session.add(
            WalletToken(
                token_hash=hashed(text),
                kind=kind,
                grant_id=grant.id,
                jkt=asking.jkt,
                expires_at=min(now + lasts, grant.expires_at),
            )
        )
    await session.flush()
    granted: dict[str, Any] = {"scope": grant.scope} if grant.scope is not None else {}
    if grant.by_details:
        granted["authorization_details"] = [
            {
                "type": "openid_credential",
                "credential_configuration_id": CONFIGURATION,
                "credential_identifiers": [IDENTIFIER],
            }
        ]
    return {
        "access_token": access,
        "token_type": "DPoP",
        "expires_in": int(ACCESS_LASTS.total_seconds()),
        "refresh_token": refresh,
        **granted,
    }


async def holder_of(session: AsyncSession, access_token: str, now: datetime) -> tuple[WalletGrant, str]:
    """The grant behind an access token, and the key that it is bound to; NotAuthorized where it is good no more."""
    found = await session.execute(
        select(WalletGrant, col(WalletToken.jkt))
        .join(WalletToken, col(WalletToken.grant_id) == col(WalletGrant.id))
        .where(
            col(WalletToken.token_hash) == hashed(access_token),
            col(WalletToken.kind) == TokenKind.ACCESS,
            col(WalletToken.expires_at) > now,
        )
    )
    row = found.one_or_none()
    if row is None or not is_good(row[0], now):
        raise NotAuthorized("invalid_token", "the access token is not known, or not any more")
    return row[0], row[1]


def is_good(grant: WalletGrant, now: datetime) -> bool:
    """Whether a grant still opens anything."""
    return grant.revoked_at is None and now < grant.expires_at


async def revoke(session: AsyncSession, grant_id: UUID, now: datetime) -> None:
    """Ends a grant with every token of it; credentials that were handed over stay good."""
    await session.execute(
        update(WalletGrant)
        .where(col(WalletGrant.id) == grant_id, col(WalletGrant.revoked_at).is_(None))
        .values(revoked_at=now)
        .execution_options(synchronize_session=False)
    )


def _is_same_client(grant: WalletGrant, client: Client) -> bool:
    # The instance too: an attestation is for one installation, and tokens are not handed on between two.
    return grant.client_id == client.client_id and grant.instance == client.instance


_PIN_OR_CODE = "the code is not good, not any more, or the transaction code is wrong"


def _not_good() -> OAuthError:
    return OAuthError("invalid_grant", "the grant is not good, or not any more, or for somebody else")
