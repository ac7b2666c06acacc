"""Who somebody is and for whom they may act, as they are told."""

from datetime import date
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.vault import Vault
from entitlements.people import service
from entitlements.people.schemas import PersonsView, WardView


async def persons_of(session: AsyncSession, vault: Vault, own: UUID | None, today: date) -> PersonsView:
    """The person that a login is, and those for whom they may act today; None for a login that is nobody yet."""
    if own is None:
        return PersonsView(person_id=None, wards=())
    held = await service.guardianships_of(session, own, today)
    named = await service.identities_of(session, vault, [row.child_id for row in held])
    meant = await service.roots(session, [row.child_id for row in held])
    wards = {
        meant[row.child_id]: WardView(
            person_id=meant[row.child_id],
            given_name=named[row.child_id].given_name if row.child_id in named else "",
            until=row.until,
        )
        for row in held
    }
    return PersonsView(person_id=own, wards=tuple(wards.values()))
