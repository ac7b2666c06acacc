"""Challenge a phone, enrol it, vouch for it, list and remove phones; a phone that goes loses its cards first."""

import secrets
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core import jose, p256
from core.access.rules import Caller, Channel
from core.audit.service import note
from core.clock import day_of
from core.errors import Conflict, NotAllowed, NotFound, Unprocessable
from core.settings import Settings
from entitlements.notices import service as notices
from entitlements.people import service as people
from issuers.credentials.rules import Revocation
from issuers.credentials.service import revoke_on_device
from wallet.devices.models import MOST_DEVICES, Challenge, Device
from wallet.devices.rules import CHALLENGE_FOR, DEVICE_TYPE, Fault, pays_from, proof_fault, read_proof
from wallet.devices.schemas import NewDevice, PublicKeyView

log = structlog.get_logger("devices")


class ProofRefused(Unprocessable):
    """The proof does not say what it should, or a challenge was used before or too late."""

    slug, title = "proof-refused", "The proof of possession was not accepted"

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"the {fault.value} does not fit", reason=fault.value)


class TooManyDevices(Conflict):
    """One of the others must go first."""

    slug, title = "too-many-devices", "There are as many phones as there can be; one of them must go first"


class DeviceKnown(Conflict):
    """The key stands for a phone already, or stood for one."""

    slug, title = "device-known", "This key was enrolled before; a phone comes back with a new one"


class DeviceReplaced(Conflict):
    """Another phone has taken its place."""

    slug, title = "device-replaced", "Another phone has taken this one's place; its cards have ended"


class DeviceRemoved(Conflict):
    """Its owner or the desk has removed it."""

    slug, title = "device-removed", "This phone was removed; its cards have ended"


class OwnCase(NotAllowed):
    """Nobody vouches for their own phone at the desk."""

    slug, title = "own-case", "Nobody decides in their own case"


class NotAtTheDesk(NotAllowed):
    """Over the telephone nobody shows their papers."""

    slug, title = "not-at-the-desk", "This needs the person at the desk, with their papers"


async def challenge(session: AsyncSession, caller: Caller, now: datetime) -> tuple[str, datetime]:
    """A fresh nonce for this caller, and until when it is good."""
    await session.execute(
        delete(Challenge).where(
            col(Challenge.principal_id) == caller.principal_id, col(Challenge.expires_at) <= now
        )
    )
    nonce, expires_at = secrets.token_urlsafe(16), now + CHALLENGE_FOR
    session.add(
        Challenge(
            principal_id=caller.principal_id,
            nonce_hash=sha256(nonce.encode()).digest(),
            expires_at=expires_at,
        )
    )
    await session.flush()
    return nonce, expires_at


async def forget_challenges(session: AsyncSession, _payload: dict[str, Any], now: datetime) -> None:
    """The nightly job: drops nonces that nobody used in time."""
    await session.execute(delete(Challenge).where(col(Challenge.expires_at) <= now))


async def spend(session: AsyncSession, caller: Caller, nonce: str, now: datetime) -> None:
    """Uses a nonce up; ProofRefused where it is not this caller's, too old, or used before."""
    spent = await session.execute(
        delete(Challenge)
        .where(
            col(Challenge.nonce_hash) == sha256(nonce.encode()).digest(),
            col(Challenge.principal_id) == caller.principal_id,
            col(Challenge.expires_at) > now,
        )
        .returning(col(Challenge.id))
    )
    if spent.scalar_one_or_none() is None:
        raise ProofRefused(Fault.NONCE)


def key_of(jwk: PublicKeyView) -> jose.Key:
    """The key that a phone names; KeyRefused where its point lies nowhere."""
    return jose.read_jwk(jwk.model_dump())


def settle(proof: str, key: jose.Key, typ: str, expected: dict[str, object]) -> None:
    """Makes sure that the holder of this key signed just this; ProofRefused otherwise."""
    try:
        claims = read_proof(proof, key, typ)
    except jose.TokenRefused:
        raise ProofRefused(Fault.SIGNATURE) from None
    fault = proof_fault(claims, expected)
    if fault is not None:
        raise ProofRefused(fault)


def point_of(key: jose.Key) -> bytes:
    """The compressed point of a phone's key."""
    return p256.point(key.public)  # type: ignore[arg-type]  # the schema takes P-256 only


async def enrol(
    session: AsyncSession, caller: Caller, new: NewDevice, *, settings: Settings, now: datetime
) -> Device:
    """Takes a phone in for the caller's own person, once it has proved that it holds its key."""
    person_id = await people.person_of(session, caller)
    key = key_of(new.key)
    settle(new.proof, key, DEVICE_TYPE, {"aud": settings.public_url, "nonce": new.nonce})
    await spend(session, caller, new.nonce, now)
    point = point_of(key)
    known = await session.execute(select(col(Device.id)).where(col(Device.point) == point))
    if known.scalar_one_or_none() is not None:
        raise DeviceKnown
    before = await session.execute(
        select(col(Device.id)).where(col(Device.person_id).in_(people.known_as(person_id))).limit(1)
    )
    first = before.scalar_one_or_none() is None
    replaced = None
    if new.replaces is not None:
        # The old cards end before there are new ones: at no time do both phones hold some.
        replaced = await _remove(session, new.replaces, person_id, Revocation.REPLACED, now)
    device = Device(
        person_id=person_id,
        principal_id=caller.principal_id,
        slot=await _free_slot(session, person_id),
        name=new.name or "",
        point=point,
        enrolled_at=now,
        pays_from=pays_from(
            now, first=first, level=caller.level, wait=timedelta(hours=settings.moved_phone_hours)
        ),
    )
    session.add(device)
    await session.flush()
    if replaced is not None:
        replaced.replaced_by = device.id
        session.add(replaced)
        await session.flush()
    note(
        session,
        caller,
        "device.enrolled",
        ("device", device.id),
        now=now,
        replaces=str(new.replaces) if new.replaces else None,
    )
    if not first:
        # The old phone reads it too: whoever did not do this themselves hears of it before any money goes.
        code = "device.added" if replaced is None else "device.moved"
        pays_on = day_of(device.pays_from, settings.zone)
        await notices.owe(session, person_id, code, {"pays_on": pays_on}, now=now)
    log.info("device.enrolled", device=str(device.id))
    return device


async def devices_of(session: AsyncSession, person_id: UUID) -> Sequence[Device]:
    """The phones of a person that were not removed, the oldest first."""
    ids = list(await people.aliases(session, [person_id]))
    found = await session.execute(
        select(Device)
        .where(col(Device.person_id).in_(ids), col(Device.removed_at).is_(None))
        .order_by(col(Device.enrolled_at), col(Device.id))
    )
    return found.scalars().all()


async def list_for(session: AsyncSession, caller: Caller, today: date) -> Sequence[Device]:
    """The phones of whoever the request is about."""
    return await devices_of(session, await people.subject_of(session, caller, today))


async def remove(
    session: AsyncSession, caller: Caller, device_id: UUID, *, today: date, now: datetime
) -> None:
    """Removes a phone of whoever the request is about, and takes back every card on it; NotFound otherwise."""
    person_id = await people.subject_of(session, caller, today)
    await _remove(session, device_id, person_id, Revocation.DEVICE_REMOVED, now)
    note(session, caller, "device.removed", ("device", device_id), now=now)


async def confirm(
    session: AsyncSession, caller: Caller, device_id: UUID, *, today: date, now: datetime
) -> Device:
    """Vouches at the desk for the phone of whoever stands there: money may be spent with it from now on."""
    if caller.acting_for is None:
        raise NotFound
    person_id = await people.subject_of(session, caller, today)
    if caller.channel is not Channel.DESK:
        raise NotAtTheDesk
    if await people.whoami(session, caller) == person_id:
        raise OwnCase
    device = await _of(session, device_id, person_id, col(Device.removed_at).is_(None))
    device.pays_from = min(device.pays_from, now)
    session.add(device)
    await session.flush()
    note(session, caller, "device.confirmed", ("device", device_id), now=now)
    return device


def may_pay(device: Device, now: datetime) -> bool:
    """Whether money may be spent with this phone: it is in use, and has waited if it had to (`rules.pays_from`)."""
    return device.removed_at is None and now >= device.pays_from


async def may_pay_with(session: AsyncSession, device_id: UUID | None, now: datetime) -> bool:
    """The same for the phone that a card is on (`Credential.device_id`); a card on paper is on none, and may."""
    if device_id is None:
        return True
    device = await session.get(Device, device_id)
    return device is not None and may_pay(device, now)


async def take_in_hand(session: AsyncSession, device_id: UUID, person_id: UUID, now: datetime) -> Device:
    """A phone of this person, held to the end of the transaction: it is not removed while it gets cards."""
    ids = list(await people.aliases(session, [person_id]))
    held = await session.execute(
        update(Device)
        .where(col(Device.id) == device_id, col(Device.person_id).in_(ids), col(Device.removed_at).is_(None))
        .values(topped_up_at=now)
        .returning(Device)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    device = held.scalar_one_or_none()
    if device is None:
        gone = await _of(session, device_id, person_id)
        raise DeviceRemoved if gone.replaced_by is None else DeviceReplaced
    return device


async def _of(session: AsyncSession, device_id: UUID, person_id: UUID, *where: ColumnElement[bool]) -> Device:
    ids = list(await people.aliases(session, [person_id]))
    found = await session.execute(
        select(Device)
        .where(col(Device.id) == device_id, col(Device.person_id).in_(ids), *where)
        .execution_options(populate_existing=True)
    )
    device = found.scalar_one_or_none()
    if device is None:
        raise NotFound
    return device


async def _remove(
    session: AsyncSession, device_id: UUID, person_id: UUID, reason: Revocation, now: datetime
) -> Device:
    ids = list(await people.aliases(session, [person_id]))
    removed = await session.execute(
        update(Device)
        .where(col(Device.id) == device_id, col(Device.person_id).in_(ids), col(Device.removed_at).is_(None))
        .values(removed_at=now, slot=None)
        .returning(Device)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    device = removed.scalar_one_or_none()
    if device is None:
        raise NotFound
    flipped = await revoke_on_device(session, device_id, reason, now=now)
    log.info("device.removed", device=str(device_id), cards=len(flipped), why=reason.value)
    return device


async def _free_slot(session: AsyncSession, person_id: UUID) -> int:
    taken = {device.slot for device in await devices_of(session, person_id)}
    free = next((slot for slot in range(1, MOST_DEVICES + 1) if slot not in taken), None)
    if free is None:
        raise TooManyDevices
    return free
