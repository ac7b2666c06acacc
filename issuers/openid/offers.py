"""Offer a person their credential: a code for the wallet, and a transaction code that only the person has."""

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlmodel import col

from core.access.rules import Caller, Channel, Role
from core.audit.service import note
from core.clock import day_of
from core.errors import Conflict, NotFound
from core.settings import Settings
from core.vault import SealBroken, Vault, open_sealed, seal
from entitlements.grants import service as grants
from entitlements.rulebook import service as rulebook
from issuers.openid.desk import Desk
from issuers.openid.expecting import is_expected
from issuers.openid.issuer import CONFIGURATION, OFFERS, PRE_AUTHORIZED, NotReachable, is_reachable
from issuers.openid.models import MOST_WRONG_PINS, CredentialOffer

LASTS: Final = timedelta(days=1)
LASTS_OPENLY: Final = timedelta(minutes=5)
"""Without a transaction code, whoever sees the offer can take it; so it is for the device in hand, at once."""
PIN_LENGTH: Final = 6

_SEALS, _PINS = "openid-offers/1", "openid-pins/1"


class Scheme(StrEnum):
    """What a wallet listens to: the one of OpenID4VCI, or the one of HAIP."""

    OPENID = "openid-credential-offer"
    HAIP = "haip-vci"


class NothingToOffer(Conflict):
    """The person holds nothing that a credential could say, and no decision is open that could change it."""

    slug, title = "nothing-to-offer", "There is nothing that a credential could say now"


@dataclass(frozen=True, slots=True)
class Offered:
    """An offer on its way out: as a link for the wallet, and the code that the person types there."""

    link: str
    tx_code: str | None
    expires_at: datetime


async def offer(
    desk: Desk,
    caller: Caller | None,
    person_id: UUID,
    *,
    programme: str | None = None,
    by_value: bool = False,
    with_pin: bool = True,
    scheme: Scheme = Scheme.OPENID,
    handed_to: UUID | None = None,
) -> Offered:
    """Makes an offer for this person; NothingToOffer where no wallet would get anything for it.

    What the city makes for a child goes into the wallet of a guardian, `handed_to` (see `wards`), and ends there with
    the guardianship.

    It names both grants: the pre-authorized code with the transaction code, and the code flow, in which the same
    person signs in instead.
    """
    session, vault, settings, now = desk.session, desk.vault, desk.settings, desk.now
    if not is_reachable(settings):
        raise NotReachable
    await _promise(desk, person_id, programme)
    offer_id = uuid4()
    reference, code, state = (secrets.token_urlsafe(32) for _ in range(3))
    pin = "".join(secrets.choice("0123456789") for _ in range(PIN_LENGTH)) if with_pin else None
    document = _document(settings, code, state, with_pin=with_pin)
    expires_at = now + (LASTS if with_pin else LASTS_OPENLY)
    session.add(
        CredentialOffer(
            id=offer_id,
            person_id=person_id,
            principal_id=None if caller is None or is_by_city(caller) else caller.principal_id,
            guardian_id=handed_to,
            programme=programme,
            reference_hash=hashed(reference),
            sealed=seal(_seal_key(vault, reference), json.dumps(document).encode(), offer_id.bytes),
            code_hash=hashed(code),
            state_hash=hashed(state),
            pin_hash=None if pin is None else _pin_hash(vault, offer_id, pin),
            made_at=now,
            expires_at=expires_at,
        )
    )
    note(session, caller, "credential.offered", ("person", person_id), now=now)
    await session.flush()
    query = (
        {"credential_offer": json.dumps(document, separators=(",", ":"))}
        if by_value
        else {"credential_offer_uri": f"{settings.public_url}{OFFERS}/{reference}"}
    )
    # %20 for a space: wallets on Apple's URLComponents and the like read a plus sign as itself.
    return Offered(f"{scheme}://?{urlencode(query, quote_via=quote)}", pin, expires_at)


async def read(desk: Desk, reference: str) -> dict[str, Any]:
    """The offer that stands behind a reference; NotFound where there is none, or none any more."""
    found = await desk.session.execute(
        select(CredentialOffer).where(
            col(CredentialOffer.reference_hash) == hashed(reference),
            col(CredentialOffer.expires_at) > desk.now,
        )
    )
    row = found.scalar_one_or_none()
    if row is None:
        raise NotFound
    try:
        document: dict[str, Any] = json.loads(
            open_sealed(_seal_key(desk.vault, reference), row.sealed, row.id.bytes)
        )
    except SealBroken:
        raise NotFound from None
    return document


async def by_state(desk: Desk, issuer_state: str) -> CredentialOffer | None:
    """The offer from which a wallet has this issuer_state."""
    found = await desk.session.execute(
        select(CredentialOffer).where(
            col(CredentialOffer.state_hash) == hashed(issuer_state),
            col(CredentialOffer.expires_at) > desk.now,
        )
    )
    offer: CredentialOffer | None = found.scalar_one_or_none()
    return offer


class Redeemed(StrEnum):
    """What became of a pre-authorized code."""

    TAKEN = "taken"
    UNKNOWN = "unknown"
    """No such code, an expired one, or one that died of wrong transaction codes."""
    PIN_MISSING = "pin-missing"
    PIN_UNASKED = "pin-unasked"
    """A transaction code came with a code that has none."""
    WRONG_PIN = "wrong-pin"
    USED = "used"
    """It was exchanged before, and comes again with the right transaction code."""


async def redeem(desk: Desk, code: str, pin: str | None) -> tuple[Redeemed, CredentialOffer | None]:
    """Takes the one use of a code. Every try takes one of five places first, so that guesses at once are counted too."""
    asked = await desk.session.execute(
        select(col(CredentialOffer.pin_hash).is_not(None)).where(
            col(CredentialOffer.code_hash) == hashed(code), col(CredentialOffer.expires_at) > desk.now
        )
    )
    has_pin = asked.scalar_one_or_none()
    if has_pin is None:
        return Redeemed.UNKNOWN, None
    if has_pin != (pin is not None):
        return (Redeemed.PIN_MISSING if has_pin else Redeemed.PIN_UNASKED), None
    tried = await desk.session.execute(
        update(CredentialOffer)
        .where(
            col(CredentialOffer.code_hash) == hashed(code),
            col(CredentialOffer.wrong_pins) < MOST_WRONG_PINS,
        )
        .values(wrong_pins=CredentialOffer.wrong_pins + 1)
        .returning(CredentialOffer)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    row = tried.scalar_one_or_none()
    if row is None:
        return Redeemed.UNKNOWN, None
    if pin is not None and not hmac.compare_digest(row.pin_hash or b"", _pin_hash(desk.vault, row.id, pin)):
        return Redeemed.WRONG_PIN, row
    used_before = row.used_at is not None
    # The row is held since the try: nobody else changes it before the commit.
    await desk.session.execute(
        update(CredentialOffer)
        .where(col(CredentialOffer.id) == row.id)
        .values(wrong_pins=CredentialOffer.wrong_pins - 1, used_at=row.used_at or desk.now)
        .execution_options(synchronize_session=False)
    )
    return (Redeemed.USED if used_before else Redeemed.TAKEN), row


def hashed(text: str) -> bytes:
    """A random text as it is kept; 256 bits need no salt and no stretching."""
    return hashlib.sha256(text.encode()).digest()


def is_by_city(caller: Caller | None) -> bool:
    """Whether an offer is the city's: handed out for whoever stands at the desk, and not for the member of staff."""
    return caller is None or (
        caller.has(Role.CASE_WORKER) and caller.channel in {Channel.DESK, Channel.PHONE}
    )


async def _promise(desk: Desk, person_id: UUID, programme: str | None) -> None:
    if programme is not None:
        names = {row.slug for row in await rulebook.programmes(desk.session)}
        if programme not in names:
            raise NotFound("there is no such programme")
    today = day_of(desk.now, desk.settings.zone)
    held = await grants.tariffs_of(desk.session, person_id, today, programme=programme)
    if held.tariff_bits == 0 and not await is_expected(desk.session, person_id, programme):
        raise NothingToOffer


def _document(settings: Settings, code: str, state: str, *, with_pin: bool) -> dict[str, Any]:
    pre_authorized: dict[str, Any] = {"pre-authorized_code": code}
    if with_pin:
        pre_authorized["tx_code"] = {
            "input_mode": "numeric",
            "length": PIN_LENGTH,
            "description": "The six digits that the city gave you with this offer",
        }
    return {
        "credential_issuer": settings.public_url,
        "credential_configuration_ids": [CONFIGURATION],
        "grants": {PRE_AUTHORIZED: pre_authorized, "authorization_code": {"issuer_state": state}},
    }


def _seal_key(vault: Vault, reference: str) -> bytes:
    return hmac.digest(vault.secret(_SEALS), reference.encode(), hashlib.sha256)


def _pin_hash(vault: Vault, offer_id: UUID, pin: str) -> bytes:
    # Six digits are soon guessed by whoever has the table, so the hash needs the vault as well.
    return hmac.digest(vault.secret(_PINS), offer_id.bytes + pin.encode(), hashlib.sha256)
