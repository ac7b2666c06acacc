"""What a guardian's wallet holds for somebody else, and how it ends with the guardianship."""

from collections.abc import Collection
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.clock import day_of
from core.errors import BadRequest, Conflict, NotFound
from entitlements.people import service as people
from entitlements.people.models import Login
from issuers.credentials.rules import Revocation
from issuers.credentials.service import revoke_batch
from issuers.openid import tokens
from issuers.openid.desk import Desk
from issuers.openid.models import CredentialOffer, HandedOver, WalletGrant
from issuers.openid.offers import is_by_city


class NotTheirs(Exception):
    """Whoever took an offer may not act for the person whom it is about."""


class WhoseWallet(Conflict):
    """The city offers what is a child's, and several may act for that child."""

    slug, title = "whose-wallet", "Several may act for this person; say whose wallet takes it"


async def handed_to(desk: Desk, person_id: UUID, taken_by: UUID | None) -> UUID | None:
    """The guardian into whose wallet goes what the city offers; None where the person takes it themself.

    Whoever takes it is named by `taken_by`: the person, or one who may act for them today; NotFound for anybody else.
    Where nobody is named it is the only guardian, so that nothing stays in a wallet when the guardianship has ended;
    the person where there is none, and WhoseWallet where there are several.
    """
    today = day_of(desk.now, desk.settings.zone)
    rows = await people.guardianships_about(desk.session, person_id, today)
    meant = await people.roots(desk.session, [one for row in rows for one in (row.guardian_id, row.child_id)])
    guardians = {
        meant[row.guardian_id] for row in rows if meant[row.child_id] == person_id and row.since <= today
    }
    if taken_by is None:
        if len(guardians) > 1:
            raise WhoseWallet(guardians=[str(one) for one in sorted(guardians)])
        return next(iter(guardians), None)
    taker = (await people.roots(desk.session, [taken_by])).get(taken_by)
    if taker == person_id:
        return None
    if taker not in guardians:
        raise NotFound("who takes it may not act for the person")
    return taker


async def at_desk(desk: Desk, caller: Caller, person_id: UUID, taken_by: UUID | None) -> UUID | None:
    """The same for an offer that a caller asks for; for themselves or a ward they take it by their login."""
    if is_by_city(caller):
        return await handed_to(desk, person_id, taken_by)
    if taken_by is not None:
        raise BadRequest("whose wallet takes it is said at the desk alone")
    return None


async def last_day(desk: Desk, grant: WalletGrant, person_id: UUID) -> date | None:
    """The last day on which this grant's wallet may hold what is this person's; None where it is the person's own.

    NotTheirs where there is no such day any more.
    """
    if grant.guardian_id is not None:
        own = (await people.roots(desk.session, [grant.guardian_id])).get(grant.guardian_id)
    elif grant.principal_id is not None:
        own = await people.who_is(desk.session, grant.principal_id)
    else:
        return None
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

    Both by every id that they have. What the desk handed them is found by their id, what they took by their logins.
    """
    logins = await people.logins_of(session, guardian_ids)
    granted = await session.execute(
        select(col(WalletGrant.id), col(HandedOver.batch_id))
        .outerjoin(HandedOver, col(HandedOver.grant_id) == col(WalletGrant.id))
        .where(
            or_(col(WalletGrant.principal_id).in_(logins), col(WalletGrant.guardian_id).in_(guardian_ids)),
            col(WalletGrant.person_id).in_(child_ids),
        )
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
            or_(
                col(CredentialOffer.principal_id).in_(logins),
                col(CredentialOffer.guardian_id).in_(guardian_ids),
            ),
            col(CredentialOffer.person_id).in_(child_ids),
            col(CredentialOffer.expires_at) > now,
        )
        .values(expires_at=now)
        .execution_options(synchronize_session=False)
    )


async def held_for_others(session: AsyncSession) -> set[tuple[UUID, UUID]]:
    """Who took what is another's into a wallet, and whose it is: each as they stand, aliases among them."""
    by_login = await session.execute(
        select(col(Login.person_id), col(WalletGrant.person_id))
        .join(Login, col(Login.principal_id) == col(WalletGrant.principal_id))
        .where(col(Login.person_id) != col(WalletGrant.person_id))
        .distinct()
    )
    from_desk = await session.execute(
        select(col(WalletGrant.guardian_id), col(WalletGrant.person_id))
        .where(col(WalletGrant.guardian_id).is_not(None))
        .distinct()
    )
    taken = {(guardian_id, child_id) for guardian_id, child_id in by_login.all()}
    handed = {(guardian_id, child_id) for guardian_id, child_id in from_desk.all() if guardian_id is not None}
    return taken | handed
