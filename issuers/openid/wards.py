"""What a guardian's wallet holds for somebody else, and how it ends with the guardianship."""

from collections.abc import Collection
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.clock import day_of
from entitlements.people import service as people
from entitlements.people.models import Login
from issuers.credentials.rules import Revocation
from issuers.credentials.service import revoke_batch
from issuers.openid import tokens
from issuers.openid.desk import Desk
from issuers.openid.models import CredentialOffer, HandedOver, WalletGrant


class NotTheirs(Exception):
    """The login that took an offer may not act for the person whom it is about."""


async def last_day(desk: Desk, grant: WalletGrant, person_id: UUID) -> date | None:
    """The last day on which this grant's wallet may hold what is this person's; None where it is the person's own.

    NotTheirs where there is no such day any more.
    """
    if grant.principal_id is None:
        return None
    own = await people.who_is(desk.session, grant.principal_id)
    if own is None or own == person_id:
        return None
    wardships = await people.guardianships_of(desk.session, own, day_of(desk.now, desk.settings.zone))
    children = await people.roots(desk.session, [wardship.child_id for wardship in wardships])
    until = [wardship.until for wardship in wardships if children[wardship.child_id] == person_id]
    if not until:
        raise NotTheirs
    return max(until)


async def take_back(
    session: AsyncSession, guardian_ids: Collection[UUID], child_ids: Collection[UUID], *, now: datetime
) -> None:
    """Ends what wallets of these guardians were given for these children: credentials, grants and open offers.

    Both by every id that they have.
    """
    logins = await people.logins_of(session, guardian_ids)
    granted = await session.execute(
        select(col(WalletGrant.id), col(HandedOver.batch_id))
        .outerjoin(HandedOver, col(HandedOver.grant_id) == col(WalletGrant.id))
        .where(col(WalletGrant.principal_id).in_(logins), col(WalletGrant.person_id).in_(child_ids))
    )
    found = granted.all()
    for grant_id in sorted({grant_id for grant_id, _ in found}):
        await tokens.revoke(session, grant_id, now)
    # A grant that ended otherwise left its credentials standing; with the guardianship, they go.
    for batch_id in sorted({batch_id for _, batch_id in found if batch_id is not None}):
        await revoke_batch(session, batch_id, Revocation.GUARDIANSHIP_ENDED, now=now)
    await session.execute(
        update(CredentialOffer)
        .where(
            col(CredentialOffer.principal_id).in_(logins),
            col(CredentialOffer.person_id).in_(child_ids),
            col(CredentialOffer.expires_at) > now,
        )
        .values(expires_at=now)
        .execution_options(synchronize_session=False)
    )


async def held_for_others(session: AsyncSession) -> set[tuple[UUID, UUID]]:
    """Who took what is another's into a wallet, and whose it is: each as they stand, aliases among them."""
    rows = await session.execute(
        select(col(Login.person_id), col(WalletGrant.person_id))
        .join(Login, col(Login.principal_id) == col(WalletGrant.principal_id))
        .where(col(Login.person_id) != col(WalletGrant.person_id))
        .distinct()
    )
    return {(guardian_id, child_id) for guardian_id, child_id in rows.all()}
