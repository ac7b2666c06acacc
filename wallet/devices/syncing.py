"""Tells a phone how things stand: whether it is still the one, what it holds, and which cards it must drop."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.errors import NotFound
from core.settings import Settings
from core.texts import b64url
from entitlements.people import service as people
from issuers.credentials import pausing
from issuers.credentials.models import Credential
from wallet.devices.models import Device
from wallet.devices.rules import DeviceState
from wallet.devices.schemas import DeviceSyncView, HeldView
from wallet.devices.service import may_pay


async def sync(
    session: AsyncSession, caller: Caller, device_id: UUID, *, settings: Settings, now: datetime
) -> DeviceSyncView:
    """How things stand with a phone of the caller's own, in use or not; NotFound for anybody else's."""
    own = await people.person_of(session, caller)
    device = await session.get(Device, device_id, populate_existing=True)
    if device is None or (await people.roots(session, [device.person_id])).get(device.person_id) != own:
        raise NotFound
    successor = await session.get(Device, device.replaced_by) if device.replaced_by is not None else None
    on_it = (col(Credential.device_id) == device_id, col(Credential.expires_at) > now)
    held = await session.execute(
        select(col(Credential.person_id), col(Credential.named), func.count())
        .where(*on_it, col(Credential.revoked_at).is_(None))
        .group_by(col(Credential.person_id), col(Credential.named))
        .order_by(col(Credential.person_id), col(Credential.named))
    )
    holds = held.all()
    paused = {who: await pausing.are_phones_paused(session, who) for who in {who for who, _, _ in holds}}
    taken_back = await session.execute(
        select(col(Credential.card_hash)).where(
            *on_it, col(Credential.revoked_at).is_not(None), col(Credential.card_hash).is_not(None)
        )
    )
    return DeviceSyncView(
        id=device.id,
        name=device.name,
        enrolled_at=device.enrolled_at,
        topped_up_at=device.topped_up_at,
        pays_from=device.pays_from,
        state=state_of(device),
        ended_at=device.removed_at,
        replaced_by=None if successor is None else successor.name,
        may_pay=may_pay(device, now),
        holds=[
            HeldView(person_id=who, named=named, cards=count, paused=paused[who])
            for who, named, count in holds
        ],
        taken_back=sorted(b64url(digest) for digest in taken_back.scalars() if digest is not None),
        batch=settings.card_batch,
        code_host=settings.code_host,
        server_time=now,
    )


def state_of(device: Device) -> DeviceState:
    """What has become of a phone."""
    if device.removed_at is None:
        return DeviceState.IN_USE
    return DeviceState.REMOVED if device.replaced_by is None else DeviceState.REPLACED
