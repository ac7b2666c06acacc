"""Takes a wallet's answer: opened, claimed once, judged, its status asked for last; then what follows from it.

Works in transactions of its own. Another issuer's status list may take seconds to come, and nobody waits for it
meanwhile but the wallet.
"""

import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core import jose, p256, texts
from core.audit.service import note
from core.clock import day_of
from core.database import Database
from core.errors import NotFound
from core.settings import Settings
from core.vault import SealBroken, Vault, open_sealed, seal
from entitlements.people import service as people
from issuers.credentials.sdjwt.keybinding import Binding
from issuers.credentials.sdjwt.verify import Accepted, Anchored, Memory
from issuers.credentials.x5c import leaf_key
from issuers.openid.answers import OAuthError
from issuers.openid.encryption import unlock
from issuers.openid.foreign import ForeignLists, Standing
from issuers.openid.offers import hashed
from issuers.status.service import StatusMemory
from verifiers.checks.models import Counted
from verifiers.checks.service import count, hour_of
from verifiers.presentations import service, vouching
from verifiers.presentations.asking import CARD, RETURN, Asked, name_shown, tariffs_shown
from verifiers.presentations.attestations import QUERY_ID, Attestation, Fact, attestations, facts_in, is_about
from verifiers.presentations.dcql import read_query
from verifiers.presentations.judging import Accordingly, NotShown, judge
from verifiers.presentations.models import Flow, Presentation, State
from verifiers.presentations.statuses import own, own_number
from verifiers.presentations.trust import anchors, key_on_record, ours
from verifiers.venues.models import Venue

WALLET_ERRORS: Final = frozenset(
    {
        "access_denied",
        "invalid_request",
        "invalid_client",
        "vp_formats_not_supported",
        "invalid_request_uri_method",
        "invalid_transaction_data",
        "wallet_unavailable",
    }
)
"""What a wallet may say instead of an answer (OpenID4VP 1.0 section 8.5); anything else is told as `wallet-error`."""

STATE: Final = "state"
NOT_THE_PERSON: Final = "not-the-person"
NO_FACTS: Final = "no-facts"
OTHER_BROWSER: Final = "other-browser"

_PENDING = "presentation-facts/1"

log = structlog.get_logger("presentations")


@dataclass(frozen=True, slots=True)
class House:
    """What answering needs of the application; made once."""

    database: Database
    vault: Vault
    settings: Settings
    statuses: StatusMemory
    lists: ForeignLists
    memory: Memory = field(default_factory=Memory)


@dataclass(frozen=True, slots=True)
class Told:
    """What follows from a good answer."""

    tariffs: Sequence[str] = ()
    name: str | None = None
    facts: Sequence[Fact] = ()


async def answer(house: House, reference: str, form: Mapping[str, str], now: datetime) -> dict[str, str]:
    """What the wallet is told; OAuthError where its answer is none, comes too late or again, or does not hold.

    What cannot be read at all uses nothing up: it could be anybody's. Whatever was encrypted for this request, or is
    a wallet's refusal, is the one answer that the request gets.
    """
    async with house.database.reading() as session:
        row = await service.waiting(session, reference, now)
    if row is None:
        raise OAuthError(
            "invalid_request", "there is no such request, or it was answered, or its time is over"
        )
    asked = service.opened_request(house.vault, row, reference)
    said = _read(asked, form)
    back = await _claim(house.database, row, now)
    if "error" in said:
        error = str(said["error"])
        await _refuse(house, row, error if error in WALLET_ERRORS else "wallet-error", now)
        return back.body(house.settings)
    told = await _judged(house, row, asked, said, now)
    if isinstance(told, NotShown):
        await _refuse(house, row, told.reason, now)
        raise OAuthError("invalid_request", f"the presentation is not accepted: {told.reason}")
    if row.flow is Flow.SAME_DEVICE:
        await _hold(house, row, asked, told, back)
    else:
        await _accept(house, row, asked, told, now)
    return back.body(house.settings)


def _read(asked: Asked, form: Mapping[str, str]) -> Mapping[str, object]:
    """The parameters of the answer, decrypted; OAuthError where it is none that this request could get."""
    if "vp_token" in form or ("response" in form) == ("error" in form):
        raise OAuthError("invalid_request", "an answer is an encrypted response, or an error")
    if "error" in form:
        if not hmac.compare_digest(form.get("state", asked.state).encode(), asked.state.encode()):
            raise OAuthError("invalid_request", "state is not that of the request")
        return form
    private = asked.private
    try:
        return texts.read_object(unlock(form["response"], private, jose.thumbprint(private.public_key())))
    except ValueError:
        raise OAuthError("invalid_request", "the response was not encrypted as the request says") from None


@dataclass(frozen=True, slots=True)
class Back:
    """The way back for a wallet whose browser asked; none for one on another device."""

    code: str | None

    def body(self, settings: Settings) -> dict[str, str]:
        if self.code is None:
            return {}
        return {"redirect_uri": f"{settings.public_url}{RETURN}?{urlencode({'response_code': self.code})}"}


async def _claim(database: Database, row: Presentation, now: datetime) -> Back:
    """Takes the one answer of a request; OAuthError where somebody else was first. Its key is gone from here on."""
    same = row.flow is Flow.SAME_DEVICE
    code = secrets.token_urlsafe(32) if same else None
    ends = max(row.expires_at, now + service.COMES_BACK) if same else row.expires_at

    async def claim(session: AsyncSession) -> bool:
        taken = await session.execute(
            update(Presentation)
            .where(
                col(Presentation.id) == row.id,
                col(Presentation.state) == State.WAITING,
                col(Presentation.expires_at) > now,
            )
            .values(
                state=State.RECEIVED,
                answered_at=now,
                sealed=None,
                code_hash=None if code is None else hashed(code),
                expires_at=ends,
            )
            .returning(col(Presentation.id))
            .execution_options(synchronize_session=False)
        )
        return taken.scalar_one_or_none() is not None

    if not await database.in_transaction(claim):
        raise OAuthError("invalid_request", "the request was answered before")
    return Back(code)


# ---- judging ----


async def _judged(
    house: House, row: Presentation, asked: Asked, said: Mapping[str, object], now: datetime
) -> Told | NotShown:
    state = said.get("state")
    if not isinstance(state, str) or not hmac.compare_digest(state.encode(), asked.state.encode()):
        return NotShown(STATE)
    attestation = None if row.attestation is None else attestations(house.settings.city).get(row.attestation)
    if attestation is None and row.attestation is not None:
        return NotShown(NO_FACTS)  # since the question, the city has stopped taking it
    if attestation is None:
        async with house.database.reading() as session:
            accordingly = {CARD: Accordingly(await ours(session, now), {house.settings.public_url})}
    else:
        trusted = Anchored(anchors(house.settings))
        accordingly = {QUERY_ID: Accordingly(trusted, attestation.issuers)}
    shown = judge(
        said.get("vp_token"),
        read_query(asked.query),
        binding=Binding(asked.client_id, asked.nonce),
        accordingly=accordingly,
        now=now,
        memory=house.memory,
    )
    if isinstance(shown, NotShown):
        return shown
    told = (
        _told(asked, row, shown.only(CARD))
        if attestation is None
        else await _stated(house, row, attestation, shown.only(QUERY_ID), now)
    )
    if isinstance(told, NotShown):
        return told
    # Last of all: whoever keeps a list learns nothing of presentations that do not hold.
    for credentials in shown.credentials.values():
        for credential in credentials:
            standing = await _standing(house, credential, now, is_ours=attestation is None)
            if standing is not Standing.VALID:
                return NotShown(standing.value)
    return told


def _told(asked: Asked, row: Presentation, card: Accepted) -> Told:
    tariffs = [
        str(claim["path"][1]) for claim in asked.query["credentials"][0]["claims"] if "values" in claim
    ]
    return Told(tariffs_shown(card.claims, tariffs), name_shown(card.claims) if row.with_name else None)


async def _stated(
    house: House, row: Presentation, attestation: Attestation, credential: Accepted, now: datetime
) -> Told | NotShown:
    async with house.database.reading() as session:
        person = await people.identity_of(session, house.vault, row.person_id or row.id)
    if person is None or not is_about(attestation, credential.claims, person):
        return NotShown(NOT_THE_PERSON)
    zone = house.settings.zone
    ends = credential.claims.get("exp")
    last = day_of(datetime.fromtimestamp(ends, UTC), zone) if isinstance(ends, int | float) else None
    facts = facts_in(attestation, credential.claims, today=day_of(now, zone), ends=last)
    return Told(facts=facts) if facts else NotShown(NO_FACTS)


async def _standing(house: House, credential: Accepted, now: datetime, *, is_ours: bool) -> Standing:
    reference = credential.status
    if not is_ours:
        if reference is None:
            # Without a list, only its own end limits it (HAIP 1.0 section 6.1).
            return Standing.VALID if "exp" in credential.claims else Standing.UNKNOWN
        return await house.lists.standing(reference, anchors(house.settings), now)
    number = None if reference is None else own_number(reference, house.settings)
    if reference is None or number is None:
        return Standing.UNKNOWN
    async with house.database.reading() as session:
        await house.statuses.follow(session, now)
        standing = own(house.statuses, number, reference.index)
        if standing is not Standing.VALID:
            return standing
        signed_by = await key_on_record(session, number, reference.index)
    leaf = leaf_key(credential.header["x5c"])
    if isinstance(leaf, EllipticCurvePublicKey) and signed_by == p256.kid_of(leaf).hex():
        return standing
    # No credential and no venue here: the operator looks at the keys.
    log.error("presentation.credential_not_on_record")
    return Standing.NOT_ON_RECORD


# ---- what follows ----


async def _refuse(house: House, row: Presentation, reason: str, now: datetime) -> None:
    async def refuse(session: AsyncSession) -> None:
        await _settle(session, row, state=State.REFUSED, reason=reason, sealed_pending=None)
        await _count(session, row, Counted.REFUSED, now)

    await house.database.in_transaction(refuse)
    log.info("presentation.refused", reason=reason)


async def _accept(house: House, row: Presentation, asked: Asked, told: Told, now: datetime) -> None:
    if told.facts and not await _deliver(house, row, told.facts, now):
        await _refuse(house, row, NO_FACTS, now)
        raise OAuthError("invalid_request", f"the presentation is not accepted: {NO_FACTS}")
    outcome = service.sealed_outcome(asked, row, tariffs=told.tariffs, name=told.name)

    async def accept(session: AsyncSession) -> None:
        await _settle(session, row, state=State.VERIFIED, sealed_outcome=outcome)
        await _taken(session, row, now)

    await house.database.in_transaction(accept)
    log.info("presentation.verified")


async def _hold(house: House, row: Presentation, asked: Asked, told: Told, back: Back) -> None:
    """Keeps what came of it until the browser is back; till then it is neither told nor acted upon."""
    outcome = service.sealed_outcome(asked, row, tariffs=told.tariffs, name=told.name)
    pending = seal(_code_key(house.vault, back.code or ""), msgspec.json.encode(told.facts), row.id.bytes)

    async def hold(session: AsyncSession) -> None:
        await _settle(session, row, state=State.RECEIVED, sealed_outcome=outcome, sealed_pending=pending)

    await house.database.in_transaction(hold)


async def come_back(house: House, code: str, browser: str | None, now: datetime) -> str | None:
    """Where the browser goes on: a presentation counts once the browser that asked for it is back (HAIP 1.0 §5.1).

    None where no answer has this code, or its time is over. In any other browser it is refused for good: whoever
    opened a stranger's link has been lured into it; such a browser hears None, too.
    """
    async with house.database.reading() as session:
        row = await service.by_code(session, hashed(code), now)
    if row is None:
        return None
    if browser is None or not hmac.compare_digest(hashed(browser), row.browser_hash or b""):
        if row.state is State.RECEIVED:
            await _refuse(house, row, OTHER_BROWSER, now)
        return None
    if row.state is State.RECEIVED and row.sealed_pending is not None:
        await _complete(house, row, code, now)
    return row.return_to or "/"


async def _complete(house: House, row: Presentation, code: str, now: datetime) -> None:
    try:
        plain = open_sealed(_code_key(house.vault, code), row.sealed_pending or b"", row.id.bytes)
    except SealBroken:
        raise NotFound from None
    facts = msgspec.json.decode(plain, type=list[Fact])
    if facts and not await _deliver(house, row, facts, now):
        await _refuse(house, row, NO_FACTS, now)
        return

    async def complete(session: AsyncSession) -> None:
        if await _settle(session, row, state=State.VERIFIED, sealed_pending=None):
            await _taken(session, row, now)

    await house.database.in_transaction(complete)
    log.info("presentation.verified")


async def _settle(session: AsyncSession, row: Presentation, **values: Any) -> bool:
    """Writes what became of a request that was received; what is settled stays as it is."""
    settled = await session.execute(
        update(Presentation)
        .where(col(Presentation.id) == row.id, col(Presentation.state) == State.RECEIVED)
        .values(values)
        .returning(col(Presentation.id))
        .execution_options(synchronize_session=False)
    )
    return settled.scalar_one_or_none() is not None


async def _taken(session: AsyncSession, row: Presentation, now: datetime) -> None:
    if row.person_id is not None:
        about = ("person", row.person_id)
        note(session, None, "attestation.taken", about, now=now, attestation=row.attestation)
    await _count(session, row, Counted.ACCEPTED, now)


async def _count(session: AsyncSession, row: Presentation, what: Counted, now: datetime) -> None:
    if row.venue_id is not None:
        venue = await session.get_one(Venue, row.venue_id)
        await count(session, Counter({(venue.number, hour_of(now), what): 1}))


async def _deliver(house: House, row: Presentation, facts: Sequence[Fact], now: datetime) -> bool:
    attestation = attestations(house.settings.city).get(row.attestation or "")
    if attestation is None or row.person_id is None:
        return False
    return await vouching.deliver_facts(
        house.database,
        house.vault,
        house.settings,
        attestation,
        person_id=row.person_id,
        name=f"presentation {row.id}",
        facts=facts,
        now=now,
    )


def _code_key(vault: Vault, code: str) -> bytes:
    return hmac.digest(vault.secret(_PENDING), code.encode(), hashlib.sha256)
