"""Ask a wallet, hand it the request, say what came of it, and forget all of it."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core import jose
from core.access.rules import Caller, Role
from core.audit.service import note
from core.clock import day_of
from core.errors import NotAllowed, NotFound, Unprocessable
from core.settings import Settings
from core.vault import KeyUse, SealBroken, Vault, apart, open_sealed, seal
from entitlements.people import service as people
from entitlements.rulebook import service as rulebook
from issuers.authorities.certificates import Purpose, chain_for
from issuers.credentials.statement import type_of
from issuers.credentials.x5c import Break, read_chain
from issuers.openid.desk import Desk
from issuers.openid.issuer import NotReachable, is_reachable
from issuers.openid.offers import hashed
from verifiers.offers import service as offers
from verifiers.offers.service import UnknownTariff
from verifiers.presentations.asking import (
    REQUESTS,
    TYPE,
    Asked,
    Method,
    Scheme,
    authority_key_ids,
    card_query,
    client_id_of,
    link,
    new_secret,
    request_claims,
)
from verifiers.presentations.attestations import Attestation, attestations
from verifiers.presentations.dcql import Query
from verifiers.presentations.models import Flow, Presentation, State
from verifiers.scanners import service as scanners
from verifiers.venues import service as venues

LASTS: Final = timedelta(minutes=5)
"""How long a wallet has for its answer."""
COMES_BACK: Final = timedelta(minutes=2)
"""How long the browser has after it."""
KEPT: Final = timedelta(minutes=15)
"""How long the asker can read what came of it, counted from the question."""

_NAME = 43  # characters of 256 random bits
_SEALS, _WATCHERS = "presentations/1", "presentation-watchers/1"

log = structlog.get_logger("presentations")


class NoOffer(Unprocessable):
    """Nothing is offered at this venue that a wallet could be asked for."""

    slug, title = "nothing-to-ask-for", "There is no offer here that a card is needed for"


class OnlyHere(Unprocessable):
    """Whoever is at home is asked by their own browser: a code on a screen could be anybody's."""

    slug, title = "same-device-only", "From home, only a wallet on the same device can be asked"


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to see, and how."""

    venue_id: UUID | None = None
    offer_id: UUID | None = None
    tariffs: Sequence[str] = ()
    with_name: bool = False
    attestation: str | None = None
    flow: Flow | None = None
    return_to: str | None = None
    scheme: Scheme = Scheme.OPENID
    method: Method = Method.POST
    browser: str | None = None
    """What a browser with several questions under way is known by already."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A question on its way: what the wallet opens, and where the outcome is read."""

    link: str
    watch: str
    browser: str | None
    flow: Flow
    expires_at: datetime


async def ask(desk: Desk, caller: Caller | None, wish: Wish) -> Opened:
    """Puts a question to whichever wallet opens the link.

    For a venue it is about the tariffs of its offers; for a person (at the desk, or signed in) about an attestation
    of somebody else's. Without a caller (the command line) the wish names the venue.
    """
    if not is_reachable(desk.settings):
        raise NotReachable
    if wish.attestation is not None:
        return await _ask_person(desk, caller, wish, _attestation(desk.settings, wish.attestation))
    return await _ask_at_venue(desk, caller, wish)


def _attestation(settings: Settings, name: str) -> Attestation:
    known = attestations(settings.city).get(name)
    if known is None:
        raise NotFound("no such attestation is taken here")
    return known


async def _ask_at_venue(desk: Desk, caller: Caller | None, wish: Wish) -> Opened:
    session, now = desk.session, desk.now
    venue_id = await _venue(session, caller, wish.venue_id, now)
    tariffs, needs_name = await _tariffs(session, venue_id, wish, day_of(now, desk.settings.zone))
    with_name = wish.with_name or needs_name
    chain = await chain_for(session, desk.vault, desk.settings, Purpose.CREDENTIAL, now)
    query = card_query(
        type_of(desk.settings), tariffs, with_name=with_name, authorities=authority_key_ids(chain.x5c)
    )
    return await _open(desk, caller, wish, query, flow=wish.flow, venue_id=venue_id, with_name=with_name)


async def _venue(session: AsyncSession, caller: Caller | None, venue_id: UUID | None, now: datetime) -> UUID:
    if caller is not None and caller.has(Role.SCANNER):
        _, venue = await scanners.of(session, caller)
        if venue_id not in {None, venue.id}:
            raise NotFound
        return venue.id
    if venue_id is None:
        raise Unprocessable("which venue asks?")
    if caller is None:
        return (await venues.get(session, venue_id)).id
    if not caller.has(Role.VENUE_STAFF, Role.PARTNER_MANAGER, Role.OPERATOR):
        raise NotAllowed
    return (await venues.managed(session, caller, venue_id, now)).id


async def _tariffs(
    session: AsyncSession, venue_id: UUID, wish: Wish, today: date
) -> tuple[Sequence[str], bool]:
    """The tariffs that are asked for, and whether the offer that was named is one for which names are compared."""
    if wish.tariffs:
        if unknown := sorted(set(wish.tariffs) - (await rulebook.tariff_bits(session)).keys()):
            raise UnknownTariff(f"no card carries {', '.join(unknown)}")
        return list(dict.fromkeys(wish.tariffs)), False
    given = await offers.listed(session, today, venue_id=venue_id)
    if wish.offer_id is not None:
        given = [offer for offer in given if offer.id == wish.offer_id]
        if not given:
            raise NotFound
    known = await rulebook.tariff_bits(session)
    named = dict.fromkeys(tariff for offer in given for tariff in offer.tariffs if tariff in known)
    if not named:
        raise NoOffer
    return list(named), wish.offer_id is not None and given[0].needs_name


async def _ask_person(desk: Desk, caller: Caller | None, wish: Wish, attestation: Attestation) -> Opened:
    if caller is None or not caller.has(Role.CITIZEN, Role.GUARDIAN, Role.CASE_WORKER):
        raise NotAllowed
    person_id = await people.subject_of(desk.session, caller, day_of(desk.now, desk.settings.zone))
    at_desk = caller.has(Role.CASE_WORKER) and caller.acting_for is not None
    if not at_desk and wish.flow is Flow.CROSS_DEVICE:
        raise OnlyHere
    flow = wish.flow or (Flow.CROSS_DEVICE if at_desk else Flow.SAME_DEVICE)
    return await _open(
        desk,
        caller,
        wish,
        attestation.query(),
        flow=flow,
        person_id=person_id,
        attestation=attestation.name,
    )


async def _open(
    desk: Desk, caller: Caller | None, wish: Wish, query: Query, *, flow: Flow | None, **about: Any
) -> Opened:
    session, vault, now = desk.session, desk.vault, desk.now
    chain = await chain_for(session, vault, desk.settings, Purpose.REQUEST, now)
    leaf = read_chain(list(chain.x5c))
    if isinstance(leaf, Break):
        raise NotReachable
    reference, watch, nonce, state = (secrets.token_urlsafe(32) for _ in range(4))
    flow = flow or Flow.CROSS_DEVICE
    browser = None
    if flow is Flow.SAME_DEVICE:
        browser = wish.browser if len(wish.browser or "") == _NAME else secrets.token_urlsafe(32)
    asked = Asked(
        client_id=client_id_of(leaf[0]),
        key_id=chain.key_id,
        x5c=list(chain.x5c),
        nonce=nonce,
        state=state,
        secret=new_secret(),
        query=query.as_json(),
        made_at=int(now.timestamp()),
        answer_key=secrets.token_bytes(32),
    )
    row = Presentation(
        reference_hash=hashed(reference),
        watch_hash=hashed(watch),
        flow=flow,
        sealed_key=b"",
        browser_hash=None if browser is None else hashed(browser),
        return_to=wish.return_to,
        made_at=now,
        expires_at=now + LASTS,
        kept_until=now + KEPT,
        **about,
    )
    row.sealed = seal(_key(vault, _SEALS, reference), msgspec.json.encode(asked), row.id.bytes)
    row.sealed_key = seal(_key(vault, _WATCHERS, watch), asked.answer_key, row.id.bytes)
    session.add(row)
    subject = ("venue", row.venue_id) if row.venue_id is not None else ("person", row.person_id or row.id)
    note(session, caller, "presentation.asked", subject, now=now, attestation=row.attestation)
    await session.flush()
    request_uri = f"{desk.settings.public_url}{REQUESTS}/{reference}"
    opened = link(wish.scheme, asked.client_id, request_uri, wish.method)
    return Opened(opened, watch, browser, flow, row.expires_at)


def _key(vault: Vault, label: str, name: str) -> bytes:
    return hmac.digest(vault.secret(label), name.encode(), hashlib.sha256)


def status_url(settings: Settings, watch: str) -> str:
    """Where the asker reads what came of it."""
    return f"{settings.public_url}/v1/presentations/{watch}"


# ---- the wallet's side ----


async def waiting(session: AsyncSession, reference: str, now: datetime) -> Presentation | None:
    """The question of this name, as long as a wallet can answer it."""
    row = await by_reference(session, reference)
    return row if row is not None and row.state is State.WAITING and now < row.expires_at else None


async def by_reference(session: AsyncSession, reference: str) -> Presentation | None:
    """The question of this name, however it stands."""
    found = await session.execute(
        select(Presentation)
        .where(col(Presentation.reference_hash) == hashed(reference))
        .execution_options(populate_existing=True)
    )
    row: Presentation | None = found.scalar_one_or_none()
    return row


async def by_code(session: AsyncSession, code_hash: bytes, now: datetime) -> Presentation | None:
    """The question whose browser comes back with this code, as long as it may."""
    found = await session.execute(
        select(Presentation).where(
            col(Presentation.code_hash) == code_hash, col(Presentation.expires_at) > now
        )
    )
    row: Presentation | None = found.scalar_one_or_none()
    return row


def opened_request(vault: Vault, row: Presentation, reference: str) -> Asked:
    """The request behind its name; NotFound where it is gone."""
    try:
        plain = open_sealed(_key(vault, _SEALS, reference), row.sealed or b"", row.id.bytes)
    except SealBroken:
        raise NotFound from None
    return msgspec.json.decode(plain, type=Asked)


async def request_object(desk: Desk, reference: str, *, wallet_nonce: str | None = None) -> bytes:
    """The signed request; NotFound once it was answered or is too old."""
    row = await waiting(desk.session, reference, desk.now)
    if row is None:
        raise NotFound
    asked = opened_request(desk.vault, row, reference)
    claims = request_claims(
        asked,
        response_uri=f"{desk.settings.public_url}{REQUESTS}/{reference}/response",
        now=desk.now,
        expires_at=row.expires_at,
        wallet_nonce=wallet_nonce,
        registration=registration(desk.settings),
    )
    signer = desk.vault.signer(asked.key_id, KeyUse.CREDENTIAL)
    signing = partial(jose.sign, signer, claims, typ=TYPE, protected={"x5c": asked.x5c})
    return (await apart(signer, signing)).encode("ascii")


def registration(settings: Settings) -> str | None:
    """The registration certificate that goes with every request, where the operator has one."""
    path = settings.registration_certificate
    if path is None:
        return None
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        log.warning("presentation.registration_unreadable", file=path.name)
        return None


# ---- the asker's side ----


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a question so far, for whoever asked it."""

    row: Presentation
    status: str
    tariffs: Sequence[str] = ()
    name: str | None = None


async def outcome(desk: Desk, watch: str) -> Outcome:
    """How a question stands; NotFound where there is none, or none any more."""
    found = await desk.session.execute(
        select(Presentation).where(
            col(Presentation.watch_hash) == hashed(watch), col(Presentation.kept_until) > desk.now
        )
    )
    row = found.scalar_one_or_none()
    if row is None:
        raise NotFound
    if row.state in {State.WAITING, State.RECEIVED} and desk.now >= row.expires_at:
        return Outcome(row, "expired")
    if row.state is not State.VERIFIED or row.sealed_outcome is None:
        return Outcome(row, row.state.value)
    try:
        key = open_sealed(_key(desk.vault, _WATCHERS, watch), row.sealed_key, row.id.bytes)
        said: Mapping[str, Any] = msgspec.json.decode(open_sealed(key, row.sealed_outcome, row.id.bytes))
    except SealBroken:
        raise NotFound from None
    return Outcome(row, row.state.value, said["tariffs"], said["name"])


def sealed_outcome(
    asked: Asked, row: Presentation, *, tariffs: Sequence[str] = (), name: str | None = None
) -> bytes:
    """What the asker may know, in a form that nobody else opens."""
    return seal(asked.answer_key, msgspec.json.encode({"tariffs": list(tariffs), "name": name}), row.id.bytes)


async def forget_ended(session: AsyncSession, _payload: dict[str, Any], now: datetime) -> None:
    """The job that drops questions whose time is over, with whatever came of them."""
    await session.execute(delete(Presentation).where(col(Presentation.kept_until) <= now))
