"""The doors to scanners: a manager hands out codes and keeps the list; a device comes in with a code."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from litestar import Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow, anyone
from core.errors import problems
from core.limits.rules import Limit
from core.limits.service import limited
from core.vault import Vault
from verifiers.scanners import service
from verifiers.scanners.schemas import CodeView, EnrolledScanner, NewScanner, ScannerChange, ScannerView

# One path has doors for several: each names its own guard.
MANAGERS = allow(Role.OPERATOR, Role.PARTNER_MANAGER)
ATTEMPTS = Limit(20, timedelta(minutes=10))


@post(
    "/venues/{venue_id:uuid}/scanner-codes",
    operation_id="inviteScanner",
    guards=[MANAGERS],
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def invite_scanner(
    venue_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    now: NamedDependency[datetime],
) -> CodeView:
    """Get a code that lets one device in at a place that you manage. It works once, for a quarter of an hour."""
    code, expires_at = await service.invite(session, vault, caller, venue_id, now)
    return CodeView(code=code, expires_at=expires_at)


@post(
    "/scanners",
    operation_id="enrolScanner",
    guards=[anyone, limited("scanner.enrol", ATTEMPTS)],
    responses=problems(400, 409, 422, 429),
)
async def enrol_scanner(
    data: JSONBody[NewScanner],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    now: NamedDependency[datetime],
) -> EnrolledScanner:
    """Come in as a device: bring the code, your public key, and the proof that you hold its private half.

    From then on requests are signed with that key. Asking again with the same code and key gives the same answer.
    """
    return await service.enrol(session, vault, data, now)


@get("/scanners", operation_id="listScanners", guards=[MANAGERS], responses=problems(400, 401, 403, 404))
async def list_scanners(
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
    venue: Annotated[UUID, QueryParameter(description="Whose devices")],
) -> list[ScannerView]:
    """See the devices of a place that you manage."""
    return [ScannerView.model_validate(each) for each in await service.listed(session, caller, venue, now)]


@patch(
    "/scanners/{scanner_id:uuid}",
    operation_id="renameScanner",
    guards=[MANAGERS],
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def rename_scanner(
    scanner_id: FromPath[UUID],
    data: JSONBody[ScannerChange],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> ScannerView:
    """Give a device another name."""
    return ScannerView.model_validate(await service.rename(session, caller, scanner_id, data.name, now))


@delete(
    "/scanners/{scanner_id:uuid}",
    operation_id="removeScanner",
    guards=[MANAGERS],
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def remove_scanner(
    scanner_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> None:
    """Remove a device, at once and for good."""
    await service.remove(session, caller, scanner_id, now)


router = Router(
    "/v1",
    route_handlers=[invite_scanner, enrol_scanner, list_scanners, rename_scanner, remove_scanner],
    tags=["scanners"],
)
