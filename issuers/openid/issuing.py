"""What a wallet gets for its access token: credentials, a promise of them, or the reason why not."""

import json
import secrets
from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from litestar import Request
from sqlalchemy import select, update
from sqlmodel import col

from core.access.rules import Caller
from core.audit.service import note
from core.database import new_id
from core.errors import Unavailable
from core.idempotency import Answer
from core.jose import jwk, read_jwk
from core.texts import read_object
from entitlements.people import service as people
from issuers.credentials.rules import WALLET_DAYS, Revocation
from issuers.credentials.service import NothingHeld, in_wallets, issue_for_wallet, revoke_batch
from issuers.openid import dpop, encryption, tokens, wards
from issuers.openid.answers import NO_STORE, NotAuthorized, OAuthError, said
from issuers.openid.desk import Desk
from issuers.openid.dpop import Gate
from issuers.openid.expecting import is_expected
from issuers.openid.issuer import CONFIGURATION, IDENTIFIER
from issuers.openid.models import Deferral, HandedOver, WalletGrant
from issuers.openid.offers import hashed
from issuers.openid.proofs import proven_keys
from issuers.openid.wards import NotTheirs

LATER: Final = timedelta(hours=1)
"""When to ask again for what waits for a decision."""
SOON: Final = timedelta(seconds=10)
"""When to ask again for what waits for a key that is out of reach."""
DEFERRED_FOR: Final = timedelta(days=92)

MOST_IN_WALLETS: Final = 500
"""Credentials of one person that run at once in wallets of others; more than that is not a wallet."""

EVENTS: Final = frozenset({"credential_accepted", "credential_failure", "credential_deleted"})

log = structlog.get_logger("openid")


async def authorized(desk: Desk, request: Request[Any, Any, Any], path: str) -> WalletGrant:
    """The grant behind a request with a DPoP-bound access token; NotAuthorized otherwise."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        # RFC 9449 section 7.2: who could show it alone could show a stolen one.
        raise NotAuthorized("invalid_token", "the access token is bound to a key", headers=dpop.fresh(desk))
    if scheme.lower() != "dpop" or not token:
        raise NotAuthorized(None, headers=dpop.fresh(desk))
    grant, jkt = await tokens.holder_of(desk.session, token.strip(), desk.now)
    gate = Gate("POST", desk.issuer + path, refuse=NotAuthorized, access_token=token.strip())
    if await dpop.prove(desk, request, gate) != jkt:
        raise NotAuthorized("invalid_dpop_proof", "the access token is bound to another key")
    return grant


# ---- credentials ----


async def credential(desk: Desk, request: Request[Any, Any, Any], path: str) -> Answer:
    """The answer of the credential endpoint (OpenID4VCI 1.0 section 8)."""
    grant = await authorized(desk, request, path)
    asked = await _body(desk, request, "invalid_credential_request")
    envelope = _envelope(request, asked)
    _check_wish(grant, asked)
    if "proofs" not in asked:
        raise OAuthError("invalid_proof", "proofs is missing")
    keys = await proven_keys(desk, grant, asked["proofs"])
    waits = await _give(desk, grant, keys)
    if isinstance(waits, timedelta):
        transaction = secrets.token_urlsafe(32)
        desk.session.add(
            Deferral(
                transaction_hash=hashed(transaction),
                grant_id=grant.id,
                keys=[jwk(key) for key in keys],
                expires_at=desk.now + DEFERRED_FOR,
            )
        )
        await desk.session.flush()
        return _later(envelope, transaction, waits)
    return _sealed(envelope, waits, HTTPStatus.OK)


async def deferred(desk: Desk, request: Request[Any, Any, Any], path: str) -> Answer:
    """The answer of the deferred credential endpoint (OpenID4VCI 1.0 section 9)."""
    grant = await authorized(desk, request, path)
    asked = await _body(desk, request, "invalid_credential_request")
    envelope = _envelope(request, asked)
    transaction = asked.get("transaction_id")
    if not isinstance(transaction, str):
        raise OAuthError("invalid_credential_request", "transaction_id is missing")
    # Taken at once: of two requests that come together, one gets the credentials.
    taken = await desk.session.execute(
        update(Deferral)
        .where(
            col(Deferral.transaction_hash) == hashed(transaction),
            col(Deferral.grant_id) == grant.id,
            col(Deferral.expires_at) > desk.now,
            col(Deferral.done_at).is_(None),
        )
        .values(done_at=desk.now)
        .returning(col(Deferral.id), col(Deferral.keys))
        .execution_options(synchronize_session=False)
    )
    found = taken.one_or_none()
    if found is None:
        raise OAuthError("invalid_transaction_id", "no such transaction is open")
    keys = [
        key for members in found[1] if isinstance(key := read_jwk(members).public, EllipticCurvePublicKey)
    ]
    waits = await _give(desk, grant, keys)
    if isinstance(waits, timedelta):
        await desk.session.execute(
            update(Deferral)
            .where(col(Deferral.id) == found[0])
            .values(done_at=None)
            .execution_options(synchronize_session=False)
        )
        return _later(envelope, transaction, waits)
    return _sealed(envelope, waits, HTTPStatus.OK)


def _check_wish(grant: WalletGrant, asked: dict[str, object]) -> None:
    if grant.scope not in {None, CONFIGURATION}:
        # Granted for a configuration that has been retired since.
        raise NotAuthorized(
            "insufficient_scope", "the access token is for another credential", status=HTTPStatus.FORBIDDEN
        )
    configuration, identifier = asked.get("credential_configuration_id"), asked.get("credential_identifier")
    if (configuration is None) == (identifier is None):
        raise OAuthError(
            "invalid_credential_request",
            "either credential_configuration_id or credential_identifier is needed",
        )
    if identifier is not None and identifier != IDENTIFIER:
        raise OAuthError("unknown_credential_identifier", "no such credential_identifier was given out")
    if configuration is not None and configuration != CONFIGURATION:
        raise OAuthError("unknown_credential_configuration", "no such configuration is known here")
    if grant.by_details != (identifier is not None):
        raise OAuthError(
            "invalid_credential_request",
            "credential_identifier goes with authorization_details, and nothing else does",
        )


async def _give(
    desk: Desk, grant: WalletGrant, keys: Sequence[EllipticCurvePublicKey]
) -> dict[str, Any] | timedelta:
    """The credentials as the response carries them, or how long to wait for them."""
    meant = (await people.roots(desk.session, [grant.person_id])).get(grant.person_id)
    if meant is None:
        raise _denied("there is nobody whom the credential could be for")
    try:
        last_day = await wards.last_day(desk, grant, meant)
    except NotTheirs:
        raise _denied("whoever took the offer may not act for this person any more") from None
    if await in_wallets(desk.session, meant, desk.now) + len(keys) > MOST_IN_WALLETS:
        raise _denied("there are more credentials than any wallet needs")
    batch_id, notification = new_id(), secrets.token_urlsafe(24)
    try:
        # Of a batch that fails half-way, nothing stays.
        async with desk.session.begin_nested():
            issued = await issue_for_wallet(
                desk.session,
                desk.vault,
                desk.settings,
                person_id=meant,
                keys=keys,
                programme=grant.programme,
                batch_id=batch_id,
                last_day=last_day,
                now=desk.now,
            )
    except NothingHeld:
        if await is_expected(desk.session, meant, grant.programme):
            return LATER
        raise _denied("there is nothing that a credential could say now") from None
    except Unavailable:
        log.warning("credential.deferred", grant=str(grant.id))
        return SOON
    desk.session.add(
        HandedOver(
            batch_id=batch_id,
            notification_hash=hashed(notification),
            grant_id=grant.id,
            handed_at=desk.now,
            kept_until=desk.now + timedelta(days=WALLET_DAYS + 1),
        )
    )
    note(
        desk.session, _NOBODY, "credentials.handed-over", ("grant", grant.id), now=desk.now, count=len(issued)
    )
    await desk.session.flush()
    return {
        "credentials": [{"credential": one.signed.decode("ascii")} for one in issued],
        "notification_id": notification,
    }


_NOBODY: Caller | None = None  # a wallet is no caller of this house; the grant says for whom it came


def _denied(why: str) -> OAuthError:
    return OAuthError("credential_request_denied", why)


def _later(envelope: encryption.Envelope | None, transaction: str, waits: timedelta) -> Answer:
    body = {"transaction_id": transaction, "interval": int(waits.total_seconds())}
    return _sealed(envelope, body, HTTPStatus.ACCEPTED)


def _sealed(envelope: encryption.Envelope | None, body: dict[str, Any], status: HTTPStatus) -> Answer:
    if envelope is None:
        return said(body, status=status)
    closed = envelope.close(json.dumps(body, separators=(",", ":")).encode())
    return Answer(closed.encode(), status_code=int(status), media_type="application/jwt", headers=NO_STORE)


def _envelope(request: Request[Any, Any, Any], asked: dict[str, object]) -> encryption.Envelope | None:
    wish = asked.get("credential_response_encryption")
    if wish is None:
        return None
    # Whoever stands between could put a key of their own in the place of the wallet's (sections 8.2 and 9.1).
    if request.content_type[0] != "application/jwt":
        raise OAuthError(
            "invalid_encryption_parameters",
            "an encrypted answer is given to an encrypted request only: see credential_request_encryption",
        )
    return encryption.Envelope(wish)


async def _body(desk: Desk, request: Request[Any, Any, Any], error: str) -> dict[str, object]:
    """The JSON object of a request, encrypted or not; what is not known in it is passed over."""
    kind = request.content_type[0]
    octets = await request.body()
    if kind == "application/jwt":
        try:
            octets = encryption.decrypt(desk.vault, octets.decode("ascii"))
        except UnicodeDecodeError:
            raise OAuthError(error, "an encrypted request is ASCII") from None
    elif kind != "application/json":
        raise OAuthError(error, "the request is application/json, or application/jwt where it is encrypted")
    try:
        return read_object(octets)
    except ValueError:
        raise OAuthError(error, "the request is not a JSON object that can be read in one way") from None


# ---- notifications ----


async def notify(desk: Desk, request: Request[Any, Any, Any], path: str) -> Answer:
    """Takes note of what became of credentials (OpenID4VCI 1.0 section 11); those that were deleted are taken back."""
    grant = await authorized(desk, request, path)
    told = await _body(desk, request, "invalid_notification_request")
    notification, event = told.get("notification_id"), told.get("event")
    if not isinstance(notification, str) or not isinstance(event, str) or event not in EVENTS:
        raise OAuthError("invalid_notification_request", "notification_id and a known event are needed")
    description = told.get("event_description")
    if description is not None and not (isinstance(description, str) and description.isascii()):
        raise OAuthError("invalid_notification_request", "event_description is an ASCII text")
    batch_id = await _heard(desk, grant, notification, event)
    if batch_id is None:
        raise OAuthError("invalid_notification_id", "no credentials were handed over under this name")
    if event == "credential_deleted":
        await revoke_batch(desk.session, batch_id, Revocation.DELETED, now=desk.now)
    return Answer(b"", status_code=HTTPStatus.NO_CONTENT, headers=NO_STORE)


async def _heard(desk: Desk, grant: WalletGrant, notification: str, event: str) -> UUID | None:
    found = await desk.session.execute(
        select(HandedOver).where(
            col(HandedOver.notification_hash) == hashed(notification), col(HandedOver.grant_id) == grant.id
        )
    )
    row = found.scalar_one_or_none()
    if row is None:
        return None
    row.last_event = event
    desk.session.add(row)
    await desk.session.flush()
    return row.batch_id
