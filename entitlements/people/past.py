"""Who was who at a moment: as merges stood then, and not as they stand today."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.bulk import chunks
from entitlements.people.models import Merge
from entitlements.people.service import aliases


async def aliases_at(
    session: AsyncSession, person_ids: Iterable[UUID], at: datetime | None
) -> dict[UUID, UUID]:
    """Every id under which something was kept about these persons at a moment, each with the person it meant then.

    Without a moment, as it stands today.
    """
    if at is None:
        return await aliases(session, person_ids)
    joined: dict[UUID, UUID] = {}
    seen, fresh = set[UUID](), set(person_ids)
    while fresh:
        seen |= fresh
        found = set[UUID]()
        for some in chunks(sorted(fresh)):
            rows = await session.execute(
                select(col(Merge.gone_id), col(Merge.kept_id))
                .where(
                    or_(col(Merge.gone_id).in_(some), col(Merge.kept_id).in_(some)),
                    col(Merge.merged_at) <= at,
                    or_(col(Merge.undone_at).is_(None), col(Merge.undone_at) > at),
                    or_(col(Merge.undone_at).is_(None), col(Merge.undone_at) > at),
                )
                .order_by(col(Merge.merged_at), col(Merge.id))
            )
            for gone, kept in rows:
                joined[gone] = kept
                found |= {gone, kept}
        fresh = found - seen
    return {person_id: _root(person_id, joined) for person_id in seen}


def _root(person_id: UUID, joined: dict[UUID, UUID]) -> UUID:
    while person_id in joined:
        person_id = joined[person_id]
    return person_id
