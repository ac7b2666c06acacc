"""What follows from a person's answer to a wallet's wish: a code on the way back, or a word of refusal."""

import secrets
from datetime import timedelta
from typing import Final
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID

from sqlalchemy import exists, update
from sqlmodel import col

from core.access.rules import Caller
from core.audit.service import note
from core.clock import day_of
from entitlements.people import service as people
from issuers.openid.desk import Desk
from issuers.openid.models import AuthorizationCode, CredentialOffer, PushedRequest, WalletGrant
from issuers.openid.offers import hashed
from issuers.openid.tokens import GRANT_LASTS

CODE_LASTS: Final = timedelta(seconds=60)
"""As FAPI 2.0 section 5.3.2.1 asks: the wallet waits for it."""


def back(issuer: str, request: PushedRequest, **said: str) -> str:
    """The way back to the wallet, naming who answers, so that two servers are not mixed up (RFC 9207)."""
    query = {
        **said,
        **({} if request.state is None else {"state": request.state}),
        "iss": issuer,
    }
    joint = "&" if urlsplit(request.redirect_uri).query else "?"
    return request.redirect_uri.rstrip("?&") + joint + urlencode(query, quote_via=quote)


async def about(desk: Desk, person_id: UUID, offer: CredentialOffer) -> UUID | None:
    """Whom an offer is about, if that is this person or somebody for whom they may act today; None for anybody else."""
    meant = (await people.roots(desk.session, [offer.person_id])).get(offer.person_id)
    if meant == person_id:
        return meant
    wards = await people.wards_of(desk.session, person_id, day_of(desk.now, desk.settings.zone))
    return meant if meant in wards else None


async def allow(desk: Desk, caller: Caller, person_id: UUID, request: PushedRequest) -> str | None:
    """Grants the wallet what it wished for, and gives the way back with the code; None where it was decided before.

    It is the person's own card, or, with an offer for a ward, the ward's: the wallet then holds it as long as the
    guardianship lasts (see `wards`).
    """
    session, now = desk.session, desk.now
    if not await _decide(desk, request):
        again = await _another_code(desk, caller, request)
        return None if again is None else back(desk.issuer, request, code=again)
    programme, whose = None, person_id
    if request.offer_id is not None:
        offer = await session.get_one(CredentialOffer, request.offer_id)
        meant = await about(desk, person_id, offer)
        # The offer was made for somebody; whoever else signs in with it gets nothing of theirs.
        if meant is None:
            return refusal(desk.issuer, request, "the offer is for somebody else")
        programme, whose = offer.programme, meant
    grant = WalletGrant(
        # As the wish that it answers, which is answered once.
        id=request.id,
        person_id=whose,
        principal_id=caller.principal_id,
        programme=programme,
        client_id=request.client_id,
        is_authenticated=True,
        instance=request.instance,
        scope=request.scope,
        by_details=request.scope is None,
        granted_at=now,
        expires_at=now + GRANT_LASTS,
    )
    session.add(grant)
    await session.flush()
    code = secrets.token_urlsafe(32)
    session.add(
        AuthorizationCode(
            code_hash=hashed(code),
            grant_id=grant.id,
            redirect_uri=request.redirect_uri,
            code_challenge=request.code_challenge,
            dpop_jkt=request.dpop_jkt,
            expires_at=now + CODE_LASTS,
            kept_until=now + timedelta(days=1),
        )
    )
    note(session, caller, "wallet.allowed", ("grant", grant.id), now=now)
    await session.flush()
    return back(desk.issuer, request, code=code)


async def _another_code(desk: Desk, caller: Caller, request: PushedRequest) -> str | None:
    """A code in place of the one before, while nobody has used that; None for anybody but whoever allowed it.

    A browser in which the button was pressed twice follows the second answer only (RFC 9126 section 4 lets a server
    take a request_uri again for its sake). The code before is good no more, so that there is still one.
    """
    code = secrets.token_urlsafe(32)
    theirs = exists().where(
        col(WalletGrant.id) == request.id, col(WalletGrant.principal_id) == caller.principal_id
    )
    replaced = await desk.session.execute(
        update(AuthorizationCode)
        .where(
            col(AuthorizationCode.grant_id) == request.id,
            col(AuthorizationCode.used_at).is_(None),
            col(AuthorizationCode.expires_at) > desk.now,
            theirs,
        )
        .values(code_hash=hashed(code))
        .returning(col(AuthorizationCode.grant_id))
        .execution_options(synchronize_session=False)
    )
    return None if replaced.scalar_one_or_none() is None else code


async def deny(desk: Desk, request: PushedRequest, why: str) -> str | None:
    """Tells the wallet that it gets nothing; None where it was allowed before."""
    if not await _decide(desk, request) and await desk.session.get(WalletGrant, request.id) is not None:
        return None
    return refusal(desk.issuer, request, why)


def refusal(issuer: str, request: PushedRequest, why: str) -> str:
    """The way back with a refusal."""
    return back(issuer, request, error="access_denied", error_description=why)


async def _decide(desk: Desk, request: PushedRequest) -> bool:
    decided = await desk.session.execute(
        update(PushedRequest)
        .where(col(PushedRequest.id) == request.id, col(PushedRequest.decided_at).is_(None))
        .values(decided_at=desk.now)
        .returning(col(PushedRequest.id))
        .execution_options(synchronize_session=False)
    )
    return decided.scalar_one_or_none() is not None
