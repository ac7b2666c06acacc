"""Let organisations in, say who manages them, and hold everybody else off."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.models import Principal
from core.access.rules import Caller, PrincipalKind, Role
from core.audit.service import note
from core.database import new_id
from core.errors import NotFound
from verifiers.partners.models import Member, Partner
from verifiers.partners.schemas import NewPartner


async def join(session: AsyncSession, caller: Caller, new: NewPartner, now: datetime) -> Partner:
    """Lets an organisation in."""
    partner = Partner(name=new.name, joined_at=now)
    session.add(partner)
    await session.flush()
    note(session, caller, "partner.joined", ("partner", partner.id), now=now)
    return partner


async def managed_by(session: AsyncSession, caller: Caller, now: datetime) -> Sequence[Partner]:
    """The partners whose things the caller may manage, by name."""
    query = _managed(caller, now).order_by(col(Partner.name), col(Partner.id))
    return (await session.execute(query)).scalars().all()


async def managed(session: AsyncSession, caller: Caller, partner_id: UUID, now: datetime) -> Partner:
    """The partner, if the caller may manage it; a stranger's partner is not found."""
    found = await session.execute(_managed(caller, now).where(col(Partner.id) == partner_id))
    partner: Partner | None = found.scalar_one_or_none()
    if partner is None:
        raise NotFound
    return partner


async def appoint(
    session: AsyncSession, caller: Caller, partner_id: UUID, principal_id: UUID, now: datetime
) -> Member:
    """Makes somebody a manager of this partner; twice is once, and who left may come back."""
    await managed(session, caller, partner_id, now)
    principal = await session.get(Principal, principal_id)
    if principal is None or principal.kind is not PrincipalKind.LOGIN or principal.disabled_at is not None:
        raise NotFound
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    await session.execute(
        insert(Member)
        .values(id=new_id(), partner_id=partner_id, principal_id=principal_id, since=now)
        .on_conflict_do_update(
            index_elements=["partner_id", "principal_id"],
            set_={"since": now, "until": None},
            where=col(Member.until).is_not(None),
        )
    )
    note(
        session,
        caller,
        "partner.member_appointed",
        ("partner", partner_id),
        now=now,
        member=str(principal_id),
    )
    found = await session.execute(
        select(Member).where(col(Member.partner_id) == partner_id, col(Member.principal_id) == principal_id)
    )
    member: Member = found.scalar_one()
    return member


async def dismiss(
    session: AsyncSession, caller: Caller, partner_id: UUID, principal_id: UUID, now: datetime
) -> None:
    """Takes the management of this partner from somebody, from their next request on."""
    await managed(session, caller, partner_id, now)
    ended = await session.execute(
        update(Member)
        .where(
            col(Member.partner_id) == partner_id,
            col(Member.principal_id) == principal_id,
            col(Member.until).is_(None),
        )
        .values(until=now)
        .returning(col(Member.id))
    )
    if ended.scalar_one_or_none() is None:
        raise NotFound
    note(
        session,
        caller,
        "partner.member_dismissed",
        ("partner", partner_id),
        now=now,
        member=str(principal_id),
    )


async def members(session: AsyncSession, caller: Caller, partner_id: UUID, now: datetime) -> Sequence[Member]:
    """Who manages this partner now."""
    await managed(session, caller, partner_id, now)
    found = await session.execute(
        select(Member)
        .where(col(Member.partner_id) == partner_id, col(Member.until).is_(None))
        .order_by(col(Member.since), col(Member.id))
    )
    return found.scalars().all()


def _managed(caller: Caller, now: datetime) -> Select[Partner]:
    query = select(Partner)
    if caller.has(Role.OPERATOR):
        return query
    return query.join(Member, col(Member.partner_id) == col(Partner.id)).where(
        col(Member.principal_id) == caller.principal_id,
        col(Member.since) <= now,
        col(Member.until).is_(None),
        col(Partner.left_at).is_(None),
    )
