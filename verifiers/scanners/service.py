"""Let devices in, once per code; name, list and remove them."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core import jose, texts
from core.access import service as access
from core.access.models import PrincipalKey
from core.access.rules import Caller, PrincipalKind, Role
from core.audit.service import note
from core.errors import NotFound, Unprocessable
from core.schema import slots
from core.vault import Label, Vault
from verifiers.partners.models import Partner
from verifiers.scanners import rules
from verifiers.scanners.models import Scanner, ScannerCode
from verifiers.scanners.schemas import EnrolledScanner, NewScanner
from verifiers.venues import service as venues
from verifiers.venues.models import Venue

log = structlog.get_logger("scanners")

KEPT_CODES = timedelta(days=1)
"""How long a code stays known as used or expired, so that a device that asks again hears the same."""


class CodeRefused(Unprocessable):
    """The code was never given, is used up, or its time is over."""

    slug, title = "code-refused", "This code lets nobody in"


class ProofRefused(Unprocessable):
    """The device does not hold the key it brings."""

    slug, title = "proof-refused", "The proof of possession does not hold"


async def invite(
    session: AsyncSession, vault: Vault, caller: Caller, venue_id: UUID, now: datetime
) -> tuple[str, datetime]:
    """A code that lets one device in at a venue that the caller manages, and when it ends."""
    await venues.managed(session, caller, venue_id, now)
    code, expires_at = rules.new_code(), now + rules.CODE_LIFE
    row = ScannerCode(
        venue_id=venue_id, code_hash=_code_hash(vault, code), created_at=now, expires_at=expires_at
    )
    session.add(row)
    await session.flush()
    note(session, caller, "scanner.invited", ("venue", venue_id), now=now, code=str(row.id))
    return rules.written(code), expires_at


async def enrol(session: AsyncSession, vault: Vault, new: NewScanner, now: datetime) -> EnrolledScanner:
    """Lets a device in; the same device with the same code is told the same again."""
    code = rules.understood(new.code)
    key = rules.device_key(slots(new.key))
    if code is None:
        raise CodeRefused
    try:
        proof = texts.unb64url(new.proof)
    except ValueError:
        raise ProofRefused from None
    if not rules.proves(key, code, proof):
        raise ProofRefused
    found = await session.execute(
        select(ScannerCode, Venue)
        .join(Venue, col(Venue.id) == col(ScannerCode.venue_id))
        .join(Partner, col(Partner.id) == col(Venue.partner_id))
        .where(
            col(ScannerCode.code_hash) == _code_hash(vault, code),
            col(ScannerCode.expires_at) > now,
            col(Venue.closed_at).is_(None),
            col(Partner.left_at).is_(None),
        )
    )
    row = found.one_or_none()
    if row is None:
        raise CodeRefused
    invitation, venue = row
    thumbprint = jose.thumbprint(key)
    scanner = (
        await _add(session, new.name, venue, key_members=jose.jwk(key), now=now)
        if invitation.used_at is None
        else await _same_again(session, invitation, thumbprint)
    )
    if invitation.used_at is None:
        # Two devices with one code: the rows of the second go with its transaction.
        taken = await session.execute(
            update(ScannerCode)
            .where(col(ScannerCode.id) == invitation.id, col(ScannerCode.used_at).is_(None))
            .values(used_at=now, scanner_id=scanner.id)
            .returning(col(ScannerCode.id))
            .execution_options(synchronize_session=False)
        )
        if taken.scalar_one_or_none() is None:
            raise CodeRefused
        note(session, None, "scanner.enrolled", ("scanner", scanner.id), now=now, venue=str(venue.id))
        await venues.changed(session)
        log.info("scanner.enrolled", scanner=str(scanner.id), venue=str(venue.id))
    return EnrolledScanner(
        id=scanner.id,
        key_id=thumbprint,
        venue_id=venue.id,
        venue_number=venue.number,
        name=scanner.name,
    )


async def listed(session: AsyncSession, caller: Caller, venue_id: UUID, now: datetime) -> Sequence[Scanner]:
    """The devices of a venue that the caller manages, the removed ones last."""
    await venues.managed(session, caller, venue_id, now)
    found = await session.execute(
        select(Scanner)
        .where(col(Scanner.venue_id) == venue_id)
        .order_by(col(Scanner.removed_at).is_not(None), col(Scanner.enrolled_at), col(Scanner.id))
    )
    return found.scalars().all()


async def rename(
    session: AsyncSession, caller: Caller, scanner_id: UUID, name: str, now: datetime
) -> Scanner:
    """Gives a device of a venue that the caller manages another name."""
    scanner = await _managed(session, caller, scanner_id, now)
    scanner.name = name
    session.add(scanner)
    note(session, caller, "scanner.renamed", ("scanner", scanner.id), now=now)
    return scanner


async def remove(session: AsyncSession, caller: Caller, scanner_id: UUID, now: datetime) -> None:
    """Removes a device: its key opens no door any more, and it does not come back."""
    scanner = await _managed(session, caller, scanner_id, now)
    scanner.removed_at = now
    session.add(scanner)
    await access.disable(session, scanner.principal_id, now)
    note(session, caller, "scanner.removed", ("scanner", scanner.id), now=now)
    await venues.changed(session)


async def of(session: AsyncSession, caller: Caller) -> tuple[Scanner, Venue]:
    """The device that calls, and where it stands; NotFound where its venue has closed."""
    found = await session.execute(
        select(Scanner, Venue)
        .join(Venue, col(Venue.id) == col(Scanner.venue_id))
        .where(
            col(Scanner.principal_id) == caller.principal_id,
            col(Scanner.removed_at).is_(None),
            col(Venue.closed_at).is_(None),
        )
    )
    row = found.one_or_none()
    if row is None:
        raise NotFound
    scanner, venue = row
    return scanner, venue


async def forget_codes(session: AsyncSession, _payload: dict[str, object], now: datetime) -> None:
    """The nightly job: drops codes whose time is long over."""
    await session.execute(delete(ScannerCode).where(col(ScannerCode.expires_at) <= now - KEPT_CODES))


async def _add(
    session: AsyncSession,
    name: str,
    venue: Venue,
    *,
    key_members: dict[str, str],
    now: datetime,
) -> Scanner:
    principal = await access.enrol(
        session, PrincipalKind.SCANNER, name, now, roles=[Role.SCANNER], public_jwk=key_members
    )
    scanner = Scanner(venue_id=venue.id, principal_id=principal.id, name=name, enrolled_at=now)
    session.add(scanner)
    await session.flush()
    return scanner


async def _same_again(session: AsyncSession, invitation: ScannerCode, thumbprint: str) -> Scanner:
    # The answer to the first request was lost on the way: the same device may hear it again.
    found = await session.execute(
        select(Scanner)
        .join(PrincipalKey, col(PrincipalKey.principal_id) == col(Scanner.principal_id))
        .where(
            col(Scanner.id) == invitation.scanner_id,
            col(Scanner.removed_at).is_(None),
            col(PrincipalKey.thumbprint) == thumbprint,
        )
    )
    scanner: Scanner | None = found.scalar_one_or_none()
    if scanner is None:
        raise CodeRefused
    return scanner


async def _managed(session: AsyncSession, caller: Caller, scanner_id: UUID, now: datetime) -> Scanner:
    scanner = await session.get(Scanner, scanner_id)
    if scanner is None or scanner.removed_at is not None:
        raise NotFound
    await venues.managed(session, caller, scanner.venue_id, now)
    return scanner


def _code_hash(vault: Vault, code: str) -> bytes:
    return hmac.digest(vault.secret(Label.ONE_TIME_CODES), b"scanner:" + code.encode(), hashlib.sha256)
