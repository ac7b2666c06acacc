"""Take a wallet's authorization request over its own connection, and give it a name that a browser can bring."""

import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from issuers.openid import offers
from issuers.openid.answers import OAuthError
from issuers.openid.clients import Client, may_return_to
from issuers.openid.desk import Desk
from issuers.openid.issuer import CONFIGURATION
from issuers.openid.models import PushedRequest
from issuers.openid.offers import hashed

GOOD_FOR: Final = timedelta(minutes=10)
"""Between the push and the person's answer lies a sign-in; a wallet that pushed in vain pushes again."""

PREFIX: Final = "urn:ietf:params:oauth:request_uri:"

_B64URL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


async def push(desk: Desk, client: Client, form: Mapping[str, str], *, proven_jkt: str | None) -> str:
    """The request_uri under which the wallet's wish is kept; OAuthError where it is not one that can be granted."""
    if "request_uri" in form:
        raise OAuthError("invalid_request", "request_uri is what this endpoint gives out")
    if "request" in form:
        raise OAuthError("request_not_supported", "requests are pushed as parameters, not as an object")
    if form.get("client_id") != client.client_id:
        raise OAuthError("invalid_request", "client_id is missing")
    if "response_type" not in form:
        raise OAuthError("invalid_request", "response_type is missing")
    if form["response_type"] != "code":
        raise OAuthError("unsupported_response_type", "only code is given here")
    if form.get("response_mode", "query") != "query":
        raise OAuthError("invalid_request", "answers are given in the query")
    redirect = form.get("redirect_uri", "")
    if not may_return_to(desk.settings, client.client_id, redirect):
        raise OAuthError("invalid_request", "redirect_uri is missing, or not one that may be used")
    challenge = form.get("code_challenge", "")
    if form.get("code_challenge_method") != "S256" or not is_thumbprint(challenge):
        raise OAuthError("invalid_request", "PKCE with S256 is required")
    if len(form.get("state", "")) > 2048:
        raise OAuthError("invalid_request", "state is too long")
    jkt = form.get("dpop_jkt", proven_jkt)
    if jkt is not None and (not is_thumbprint(jkt) or (proven_jkt is not None and jkt != proven_jkt)):
        raise OAuthError("invalid_request", "dpop_jkt is not the thumbprint of the proof's key")
    if form.get("resource", desk.issuer).rstrip("/") != desk.issuer:
        raise OAuthError("invalid_target", "no such resource is known here")
    uri = PREFIX + secrets.token_urlsafe(32)
    desk.session.add(
        PushedRequest(
            uri_hash=hashed(uri),
            client_id=client.client_id,
            client_name=client.name,
            instance=client.instance,
            redirect_uri=redirect,
            state=form.get("state"),
            code_challenge=challenge,
            scope=_wished(desk.issuer, form),
            dpop_jkt=jkt,
            offer_id=await _offer(desk, form.get("issuer_state")),
            expires_at=desk.now + GOOD_FOR,
        )
    )
    await desk.session.flush()
    return uri


async def pushed(
    session: AsyncSession, client_id: str, uri: str, now: datetime, *, decided: bool = False
) -> PushedRequest | None:
    """What a wallet pushed under this name and nobody has decided yet; None where there is nothing of that kind.

    With `decided` also what was decided already.
    """
    found = await session.execute(
        select(PushedRequest).where(
            col(PushedRequest.uri_hash) == hashed(uri),
            col(PushedRequest.client_id) == client_id,
            col(PushedRequest.expires_at) > now,
            true() if decided else col(PushedRequest.decided_at).is_(None),
        )
    )
    request: PushedRequest | None = found.scalar_one_or_none()
    return request


def wished_details(issuer: str, text: str) -> bool:
    """Whether authorization_details (RFC 9396) ask for the one credential there is; OAuthError where for another."""
    try:
        details: Any = json.loads(text)
    except (ValueError, RecursionError):
        details = None
    if not isinstance(details, list) or not 1 <= len(details) <= 10:
        raise OAuthError("invalid_authorization_details", "authorization_details is a list of objects")
    for detail in details:
        if (
            not isinstance(detail, dict)
            or detail.get("type") != "openid_credential"
            or detail.get("credential_configuration_id") != CONFIGURATION
            or detail.get("locations", [issuer]) != [issuer]
        ):
            raise OAuthError("invalid_authorization_details", "no such credential is given here")
    return True


def is_thumbprint(text: str) -> bool:
    """Whether a text can be a SHA-256 in base64url."""
    return len(text) == 43 and _B64URL.issuperset(text)


def _wished(issuer: str, form: Mapping[str, str]) -> str | None:
    if "authorization_details" in form:
        wished_details(issuer, form["authorization_details"])
        return None
    # Scopes that are not known mean nothing (OpenID4VCI 1.0 section 5.1.2); one that is must be among them.
    if CONFIGURATION not in form.get("scope", "").split(" "):
        raise OAuthError("invalid_scope", "the scope names no credential that is given here")
    return CONFIGURATION


async def _offer(desk: Desk, issuer_state: str | None) -> UUID | None:
    if issuer_state is None:
        return None
    offer = await offers.by_state(desk, issuer_state)
    if offer is None:
        raise OAuthError("invalid_request", "issuer_state is of no offer, or of one that has ended")
    return offer.id
