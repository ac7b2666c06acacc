"""The doors for phones, and the clock that everybody may ask."""

from datetime import date, datetime
from uuid import UUID

from litestar import Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow, anyone
from core.errors import problems
from core.settings import Settings
from wallet.devices import service, syncing
from wallet.devices.models import MOST_DEVICES
from wallet.devices.schemas import (
    ChallengeView,
    DevicesView,
    DeviceSyncView,
    DeviceView,
    EnrolledView,
    NewDevice,
    TimeView,
)

# One path has doors for several: each names its own guard.
HOLDERS = allow(Role.CITIZEN, Role.GUARDIAN)
DESK = allow(Role.CASE_WORKER)
SERVED = allow(Role.CITIZEN, Role.GUARDIAN, Role.CASE_WORKER)


@get("/time", operation_id="readTime", guards=[anyone])
async def read_time(now: NamedDependency[datetime]) -> TimeView:
    """What time it is here: phones and scanners correct their clocks by it."""
    return TimeView(now=now, unix=int(now.timestamp()))


@post("/devices/challenges", operation_id="challengeDevice", guards=[HOLDERS], responses=problems(401, 403))
async def challenge_device(
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> ChallengeView:
    """A nonce for a phone to sign: good for five minutes, for this caller, once."""
    nonce, expires_at = await service.challenge(session, caller, now)
    return ChallengeView(nonce=nonce, audience=settings.public_url, expires_at=expires_at, server_time=now)


@post(
    "/devices", operation_id="enrolDevice", guards=[HOLDERS], responses=problems(400, 401, 403, 404, 409, 422)
)
async def enrol_device(
    data: JSONBody[NewDevice],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> EnrolledView:
    """Take in a phone that proves to hold its key; it may take the place of another, whose cards end first."""
    device = await service.enrol(session, caller, data, settings=settings, now=now)
    return EnrolledView(
        id=device.id,
        name=device.name,
        enrolled_at=device.enrolled_at,
        topped_up_at=None,
        pays_from=device.pays_from,
        code_host=settings.code_host,
        server_time=now,
    )


@get("/devices", operation_id="listDevices", guards=[SERVED], responses=problems(401, 403, 404))
async def list_devices(
    caller: NamedDependency[Caller], session: NamedDependency[AsyncSession], today: NamedDependency[date]
) -> DevicesView:
    """The phones that hold cards: the caller's, or those of the person acted for."""
    devices = await service.list_for(session, caller, today)
    return DevicesView(devices=[DeviceView.model_validate(device) for device in devices], most=MOST_DEVICES)


@get(
    "/devices/{device_id:uuid}",
    operation_id="syncDevice",
    guards=[HOLDERS],
    responses=problems(400, 401, 403, 404),
)
async def sync_device(
    device_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> DeviceSyncView:
    """How things stand with a phone of the caller's: in use or replaced, what it holds, what it must not show any more.

    A phone asks when it has a network: it learns here that another has taken its place, and when it may pay.
    """
    return await syncing.sync(session, caller, device_id, settings=settings, now=now)


@post(
    "/devices/{device_id:uuid}/confirmation",
    operation_id="confirmDevice",
    status_code=200,
    guards=[DESK],
    responses=problems(400, 401, 403, 404),
)
async def confirm_device(
    device_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    today: NamedDependency[date],
    now: NamedDependency[datetime],
) -> DeviceView:
    """Vouch for the phone of whoever stands at the desk with their papers: it may pay without waiting a day."""
    device = await service.confirm(session, caller, device_id, today=today, now=now)
    return DeviceView.model_validate(device)


@delete(
    "/devices/{device_id:uuid}",
    operation_id="removeDevice",
    guards=[SERVED],
    responses=problems(400, 401, 403, 404),
)
async def remove_device(
    device_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    today: NamedDependency[date],
    now: NamedDependency[datetime],
) -> None:
    """Remove a phone, lost or given away; every card on it is taken back at once."""
    await service.remove(session, caller, device_id, today=today, now=now)


router = Router(
    path="/v1",
    route_handlers=[
        read_time,
        challenge_device,
        enrol_device,
        list_devices,
        sync_device,
        confirm_device,
        remove_device,
    ],
    tags=["Wallet"],
)
