"""The doors for wallets, where OpenID4VCI 1.0 and HAIP 1.0 want them; and one for offers, which is ours."""

from datetime import date, timedelta
from functools import partial
from typing import Any

from litestar import MediaType, Request, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from pydantic import BaseModel

from core import jose
from core.access.rules import Caller, Role, allow, anyone
from core.errors import NotFound, problems
from core.headers import FOR_WALLETS, PUBLIC_DOCUMENT
from core.idempotency import Answer
from core.limits.rules import Limit
from core.limits.service import limited
from core.settings import Settings
from core.vault import apart
from entitlements.people import service as people
from entitlements.rulebook import service as rulebook
from issuers.authorities.certificates import Purpose, chain_for
from issuers.openid import dpop, issuing, metadata, nonces, offers, pushing, tokens, wards
from issuers.openid.answers import OAuthError, answering, form_of, said
from issuers.openid.clients import authenticate, registered
from issuers.openid.desk import Desk, provide_desk
from issuers.openid.dpop import Gate
from issuers.openid.encryption import request_key
from issuers.openid.issuer import (
    CHALLENGE,
    CREDENTIAL,
    DEFERRED,
    ISSUER_METADATA,
    NONCE,
    NOTIFICATION,
    OFFERS,
    PAR,
    PRE_AUTHORIZED,
    SERVER_METADATA,
    TOKEN,
    reachable,
    well_known_path,
)
from issuers.openid.nonces import NonceKind
from issuers.openid.schemas import (
    ChallengeView,
    CredentialOfferView,
    NewCredentialOffer,
    NonceView,
    OAuthProblem,
    PushedView,
    TokensView,
)

LARGEST = 256 * 1024
"""Bytes of a request: a batch of proofs with their attestations fits."""

BUSY = Limit(6000, timedelta(minutes=1))
"""How often one address may knock where each knock is written down; many phones share one address."""

_KEPT = {"Cache-Control": "public, max-age=300"}


def _spoken(model: type[BaseModel], what: str, *refusals: int, status: int = 200) -> dict[int, ResponseSpec]:
    refused = ResponseSpec(OAuthProblem, description="A refusal, in OAuth's words", generate_examples=False)
    return {
        status: ResponseSpec(model, description=what, generate_examples=False),
        **dict.fromkeys(refusals, refused),
        **problems(413, 503),
    }


# ---- descriptions ----


@get(ISSUER_METADATA, operation_id="readIssuerMetadata", media_type=MediaType.JSON, responses=problems(503))
async def issuer_metadata(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
) -> Answer:
    """What this issuer gives and where; signed where the Accept header prefers application/jwt."""
    return await _described(request, desk)


@get(ISSUER_METADATA + "/{rest:path}", include_in_schema=False)
async def issuer_metadata_of_path(
    rest: FromPath[str],
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
) -> Answer:
    """The same for an issuer whose identifier has a path, which stands behind the well-known part."""
    if rest != well_known_path(desk.settings):
        raise NotFound
    return await _described(request, desk)


async def _described(request: Request[Any, Any, Any], desk: Desk) -> Answer:
    session, settings = desk.session, desk.settings
    programmes, tariffs = await rulebook.programmes(session), await rulebook.tariffs(session)
    city = programmes[0].city if programmes else settings.city.capitalize()
    described = metadata.issuer_metadata(settings, city, tariffs, request_key(desk.vault))
    headers = {**_KEPT, "Vary": "Accept"}
    if not metadata.wants_signed(request.headers.get("accept", "")):
        return Answer(described, media_type=MediaType.JSON, headers=headers)
    chain = await chain_for(session, desk.vault, settings, Purpose.METADATA, desk.now)
    claims = {"sub": settings.public_url, "iat": int(desk.now.timestamp()), **described}
    signing = partial(jose.sign, chain.signer, claims, typ=metadata.TYPE, protected=chain.header)
    token = await apart(chain.signer, signing)
    return Answer(token.encode(), media_type=metadata.SIGNED, headers=headers)


@get(SERVER_METADATA, operation_id="readServerMetadata", media_type=MediaType.JSON, responses=problems(503))
async def server_metadata(settings: NamedDependency[Settings]) -> Answer:
    """What the OAuth server of this issuer can do (RFC 8414)."""
    return _server(settings)


@get(SERVER_METADATA + "/{rest:path}", include_in_schema=False)
async def server_metadata_of_path(rest: FromPath[str], settings: NamedDependency[Settings]) -> Answer:
    """The same for an issuer whose identifier has a path."""
    if rest != well_known_path(settings):
        raise NotFound
    return _server(settings)


def _server(settings: Settings) -> Answer:
    with_keys = any(client.keys.keys for client in registered(settings).values())
    described = metadata.server_metadata(settings, registered_keys=with_keys)
    return Answer(described, media_type=MediaType.JSON, headers=_KEPT)


# ---- offers ----


@get(
    OFFERS + "/{reference:str}",
    operation_id="readCredentialOffer",
    media_type=MediaType.JSON,
    responses=problems(400, 404, 503),
)
async def read_offer(
    reference: FromPath[str],
    desk: NamedDependency[Desk],
) -> Answer:
    """The credential offer behind a reference, for the wallet that was given it."""
    return said(await offers.read(desk, reference))


@post(
    "/credential-offers",
    operation_id="offerCredential",
    responses=problems(400, 401, 403, 404, 409, 429, 503),
)
async def offer_credential(
    data: JSONBody[NewCredentialOffer],
    caller: NamedDependency[Caller],
    desk: NamedDependency[Desk],
    today: NamedDependency[date],
) -> CredentialOfferView:
    """Offer a credential for another wallet: to the caller, to a ward, or to whoever stands at the desk."""
    person_id = await people.subject_of(desk.session, caller, today)
    handed_to = await wards.at_desk(desk, caller, person_id, data.taken_by)
    made = await offers.offer(
        desk,
        caller,
        person_id,
        programme=data.programme,
        by_value=data.by_value,
        with_pin=data.with_tx_code,
        scheme=data.scheme,
        handed_to=handed_to,
    )
    return CredentialOfferView(offer=made.link, tx_code=made.tx_code, expires_at=made.expires_at)


# ---- the OAuth server ----


@post(
    PAR,
    operation_id="pushAuthorizationRequest",
    status_code=201,
    guards=[limited("par", BUSY)],
    responses={
        **_spoken(PushedView, "The name of the request", 400, 401, status=201),
        **problems(429),
    },
)
async def push_request(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
) -> Answer:
    """Take a wallet's authorization request (RFC 9126); the wallet proves itself by its attestation."""
    return await answering(_push(request, desk))


async def _push(request: Request[Any, Any, Any], desk: Desk) -> Answer:
    form = await form_of(request)
    client = await authenticate(desk, request, form)
    if client is None:
        raise OAuthError("invalid_client", "the client has to prove itself", status=401)
    jkt = None
    if "dpop" in request.headers:
        gate = Gate("POST", desk.issuer + PAR, nonce_required=False)
        jkt = await dpop.prove(desk, request, gate)
    uri = await pushing.push(desk, client, form, proven_jkt=jkt)
    answer = {"request_uri": uri, "expires_in": int(pushing.GOOD_FOR.total_seconds())}
    return said(answer, status=201, headers=dpop.fresh(desk))


@post(
    TOKEN,
    operation_id="issueWalletTokens",
    status_code=200,
    guards=[limited("wallet-token", BUSY)],
    responses={**_spoken(TokensView, "Tokens", 400, 401), **problems(429)},
)
async def issue_tokens(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
) -> Answer:
    """Exchange a code, a pre-authorized code or a refresh token; each request carries a DPoP proof."""
    return await answering(_exchange(request, desk))


async def _exchange(request: Request[Any, Any, Any], desk: Desk) -> Answer:
    form = await form_of(request)
    known = {"authorization_code", PRE_AUTHORIZED, "refresh_token"}
    if form.get("grant_type", PRE_AUTHORIZED) not in known:
        raise OAuthError("unsupported_grant_type", "this grant is not known here")
    # The proof of the key first: a client that still needs our nonce has nothing used up by asking.
    jkt = await dpop.prove(desk, request, Gate("POST", desk.issuer + TOKEN))
    client = await authenticate(desk, request, form)
    answer = await tokens.exchange(desk, form, tokens.Asking(client, jkt))
    return said(answer, headers={"Pragma": "no-cache", **dpop.fresh(desk)})


@post(
    CHALLENGE,
    operation_id="challengeWallet",
    status_code=200,
    responses={
        200: ResponseSpec(ChallengeView, description="A challenge", generate_examples=False),
        **problems(503),
    },
)
async def challenge_wallet(desk: NamedDependency[Desk]) -> Answer:
    """A challenge for the proof that goes with a wallet attestation; good for five minutes."""
    return said({"attestation_challenge": nonces.give(desk.vault, NonceKind.CHALLENGE, desk.now)})


# ---- the issuer ----


@post(
    NONCE,
    operation_id="giveNonce",
    status_code=200,
    responses={200: ResponseSpec(NonceView, description="A nonce", generate_examples=False), **problems(503)},
)
async def give_nonce(desk: NamedDependency[Desk]) -> Answer:
    """A nonce for proofs of possession, and one for DPoP in the header; both good for five minutes."""
    nonce = nonces.give(desk.vault, NonceKind.PROOF, desk.now)
    return said({"c_nonce": nonce}, headers=dpop.fresh(desk))


_ISSUED = ResponseSpec(
    dict[str, Any],
    description="Credentials; encrypted (application/jwt) where asked",
    generate_examples=False,
)
_DEFERRED = ResponseSpec(dict[str, Any], description="Not yet: when to ask for them", generate_examples=False)
_REFUSED = ResponseSpec(
    OAuthProblem, description="A refusal, in the words of OpenID4VCI", generate_examples=False
)
_HEARD = ResponseSpec(None, description="Heard", generate_examples=False)
_BEHIND_TOKEN = {400: _REFUSED, 401: _REFUSED, 403: _REFUSED, **problems(413, 503)}


@post(
    CREDENTIAL,
    operation_id="issueCredential",
    status_code=200,
    responses={200: _ISSUED, 202: _DEFERRED, **_BEHIND_TOKEN},
)
async def issue_credential(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
) -> Answer:
    """Give a wallet a credential for each key that it proves (OpenID4VCI 1.0 section 8)."""
    return await answering(issuing.credential(desk, request, CREDENTIAL))


@post(
    DEFERRED,
    operation_id="issueDeferredCredential",
    status_code=200,
    responses={200: _ISSUED, 202: _DEFERRED, **_BEHIND_TOKEN},
)
async def issue_deferred(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
) -> Answer:
    """Give a wallet what could not be made when it asked (OpenID4VCI 1.0 section 9)."""
    return await answering(issuing.deferred(desk, request, DEFERRED))


@post(
    NOTIFICATION,
    operation_id="notifyIssuer",
    # Litestar takes no body, and so no refusal, from a door of 204; the answer itself says 204.
    status_code=200,
    responses={204: _HEARD, **_BEHIND_TOKEN},
)
async def notify_issuer(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
) -> Answer:
    """Hear from a wallet what became of its credentials; the same news twice changes nothing."""
    return await answering(issuing.notify(desk, request, NOTIFICATION))


_AT_HAND = {"desk": Provide(provide_desk, sync_to_thread=False)}

documents = Router(
    "/",
    route_handlers=[
        issuer_metadata,
        issuer_metadata_of_path,
        server_metadata,
        server_metadata_of_path,
        read_offer,
    ],
    guards=[reachable, anyone],
    opt=PUBLIC_DOCUMENT,
    dependencies=_AT_HAND,
    tags=["OpenID4VCI"],
)
wallets = Router(
    "/",
    route_handlers=[
        push_request,
        issue_tokens,
        challenge_wallet,
        give_nonce,
        issue_credential,
        issue_deferred,
        notify_issuer,
    ],
    guards=[reachable, anyone],
    opt=FOR_WALLETS,
    request_max_body_size=LARGEST,
    dependencies=_AT_HAND,
    tags=["OpenID4VCI"],
)
offering = Router(
    "/v1",
    route_handlers=[offer_credential],
    guards=[
        allow(Role.CITIZEN, Role.GUARDIAN, Role.CASE_WORKER),
        limited("credential-offers", Limit(60, timedelta(hours=1))),
    ],
    dependencies=_AT_HAND,
    tags=["OpenID4VCI"],
)
ROUTERS = [documents, wallets, offering]
