"""Checks a delivery by set statements: whom its numbers mean, what cannot be taken, and how much it would end."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import String, Uuid, and_, cast, exists, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import SQLModel, col

from core.bulk import among, chunks, table_of
from core.vault import Vault
from entitlements.deliveries.ending import ends, standing
from entitlements.deliveries.linking import identity_in, link_by_likeness, opened
from entitlements.deliveries.models import (
    STAGING,
    About,
    Delivery,
    DeliveryMember,
    DeliveryRow,
    DeliveryStatement,
    DeliverySubject,
)
from entitlements.deliveries.rules import SMALL, Result
from entitlements.deliveries.scope import waiting
from entitlements.people.models import Household, Identification, Membership, Person
from entitlements.registers.models import Link
from entitlements.registers.rules import Remit
from entitlements.registers.service import open_reviews


async def check(
    session: AsyncSession, vault: Vault, delivery: Delivery, *, remit: Remit, day: date, now: datetime
) -> tuple[int, int]:
    """Finds whom every row means, sorts out what cannot be taken, and puts together what is applied together.

    Gives how many standing statements the delivery would end, and how many of the register stand.
    """
    if delivery.rows > SMALL:
        # The rows have just come in: a planner that thinks there are none would go through them again and again.
        await statistics(session, *STAGING)
    await resolve_persons(session, vault, delivery.id, delivery.register_id, remit)
    await _resolve_households(session, delivery.id, delivery.register_id)
    await _refuse_unlinked(session, delivery.id)
    await _refuse_listed_again(session, delivery.id)
    await _gather(session, delivery.id)
    await _ask_for_links(session, vault, delivery, now)
    stands = await standing(session, delivery.register_id, day)
    return await ends(session, delivery, day) if stands else 0, stands


async def statistics(session: AsyncSession, *tables: type[SQLModel]) -> None:
    """Lets PostgreSQL count these tables, after much has come in or gone."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(text(f"ANALYZE {', '.join(table_of(table).name for table in tables)}"))


async def _set(session: AsyncSession, *where: ColumnElement[bool], **values: Any) -> None:
    await session.execute(
        update(DeliverySubject).where(*where).values(values).execution_options(synchronize_session=False)
    )


async def resolve_persons(
    session: AsyncSession, vault: Vault, delivery_id: UUID, register_id: UUID, remit: Remit
) -> None:
    """Finds the persons behind the register's numbers: by link, by identification number, by likeness, as new ones."""
    one, other = DeliverySubject, aliased(DeliverySubject)
    person = and_(col(one.delivery_id) == delivery_id, col(one.about) == About.PERSON)
    linked = (
        select(col(Link.person_id))
        .where(col(Link.register_id) == register_id, col(Link.number_hash) == col(one.number_hash))
        .scalar_subquery()
    )
    # Who is mentioned by a refused row only is found as well: whoever is mentioned is not left out.
    await _set(session, person, linked.is_not(None), person_id=linked)
    await _refuse_repeated(session, delivery_id)
    unknown = and_(waiting(delivery_id), col(one.about) == About.PERSON, col(one.person_id).is_(None))
    explained = col(one.explained_at).is_not(None)
    identified = (
        select(col(Identification.person_id))
        .where(col(Identification.number_hash) == col(one.identification_hash))
        .scalar_subquery()
    )
    await _set(session, unknown, explained, col(one.identification_hash).is_not(None), person_id=identified)
    if remit.may_name:
        await link_by_likeness(session, vault, delivery_id, register_id)
    if remit.identities:
        # Two numbers with one identification number in one delivery are one person, too.
        same = (
            select(col(other.item_id))
            .where(
                col(other.delivery_id) == delivery_id,
                col(other.identification_hash) == col(one.identification_hash),
                col(other.result).is_(None),
            )
            .order_by(col(other.item_id))
            .limit(1)
            .scalar_subquery()
        )
        await _set(session, unknown, explained, person_id=func.coalesce(same, col(one.item_id)))
    said = (
        select(col(other.person_id))
        .where(
            col(other.delivery_id) == delivery_id,
            col(other.number_hash) == col(one.number_hash),
            col(other.explained_at).is_not(None),
            col(other.result).is_(None),
        )
        .limit(1)
        .scalar_subquery()
    )
    await _set(session, unknown, person_id=said)
    gone = exists().where(col(Person.id) == col(one.person_id), col(Person.forgotten_at).is_not(None))
    await _set(session, waiting(delivery_id), gone, result=Result.FORGOTTEN.value, sealed=None)


async def _refuse_repeated(session: AsyncSession, delivery_id: UUID) -> None:
    """A number that is explained twice: the first explanation counts, and the facts of both."""
    one, other, row = DeliverySubject, aliased(DeliverySubject), DeliveryRow
    again = and_(
        col(one.delivery_id) == delivery_id,
        col(one.about) == About.PERSON,
        col(one.explained_at).is_not(None),
        exists().where(
            col(other.delivery_id) == delivery_id,
            col(other.number_hash) == col(one.number_hash),
            col(other.explained_at) < col(one.explained_at),
        ),
    )
    found = (await session.execute(select(col(one.place), col(one.explained_at)).where(again))).all()
    for some in chunks(found):
        await session.execute(
            update(row)
            .where(
                col(row.delivery_id) == delivery_id, among(col(row.position), [place[1] for place in some])
            )
            .values(result=Result.DUPLICATE.value)
            .execution_options(synchronize_session=False)
        )
        places = among(col(one.place), [place for place, _ in some])
        await _set(session, col(one.delivery_id) == delivery_id, places, explained_at=None)


async def _resolve_households(session: AsyncSession, delivery_id: UUID, register_id: UUID) -> None:
    one, other = DeliverySubject, aliased(DeliverySubject)
    house = and_(waiting(delivery_id), col(one.about) == About.HOUSEHOLD)
    known = (
        select(col(Household.id))
        .where(
            col(Household.register_id) == register_id,
            col(Household.kind) == col(one.household_kind),
            col(Household.number_hash) == col(one.number_hash),
        )
        .scalar_subquery()
    )
    await _set(session, house, known.is_not(None), household_id=known, anchor=known)
    # Grouped, and not looked up for each row: of one household there may be many.
    new = (
        select(
            col(other.number_hash),
            col(other.household_kind),
            func.min(cast(col(other.item_id), String(36))).label("home"),
        )
        .where(
            col(other.delivery_id) == delivery_id,
            col(other.about) == About.HOUSEHOLD,
            col(other.explained_at).is_not(None),
        )
        .group_by(col(other.number_hash), col(other.household_kind))
        .subquery("new")
    )
    homeless = col(one.household_id).is_(None)
    same = and_(col(one.number_hash) == new.c.number_hash, col(one.household_kind) == new.c.household_kind)
    home = cast(new.c.home, Uuid())
    await _set(session, house, homeless, same, household_id=home, anchor=home)
    await _set(session, house, homeless, result=Result.NO_HOUSEHOLD.value)


def incomplete(listing: Any) -> ColumnElement[bool]:
    """Whether a listed household has a member of whom nobody knows who it is."""
    member, who = aliased(DeliveryMember), aliased(DeliverySubject)
    return exists().where(
        col(member.delivery_id) == col(listing.delivery_id),
        col(member.listing) == col(listing.place),
        col(who.delivery_id) == col(member.delivery_id),
        col(who.place) == col(member.member),
        col(who.person_id).is_(None),
    )


async def _refuse_unlinked(session: AsyncSession, delivery_id: UUID) -> None:
    one, other = DeliverySubject, aliased(DeliverySubject)
    nobody = and_(col(one.about) == About.PERSON, col(one.person_id).is_(None))
    # A household is taken whole or not at all: a member who is missing would seem to have moved out.
    listed = and_(col(one.about) == About.HOUSEHOLD, col(one.explained_at).is_not(None))
    await _set(
        session, waiting(delivery_id), or_(nobody, and_(listed, incomplete(one))), result=Result.NO_LINK.value
    )
    # What is said of a household waits with it, if this delivery alone makes it known.
    there = exists().where(col(Household.id) == col(one.household_id))
    taken = exists().where(
        col(other.delivery_id) == delivery_id,
        col(other.household_id) == col(one.household_id),
        col(other.explained_at).is_not(None),
        col(other.result).is_(None),
    )
    house = and_(waiting(delivery_id), col(one.about) == About.HOUSEHOLD)
    await _set(session, house, ~there, ~taken, result=Result.NO_LINK.value)


async def _refuse_listed_again(session: AsyncSession, delivery_id: UUID) -> None:
    """Of two rows that say who belongs to a household from the same day on, the first is taken."""
    one, said = DeliverySubject, DeliveryStatement
    listed = and_(waiting(delivery_id), col(one.about) == About.HOUSEHOLD, col(one.explained_at).is_not(None))
    several = (
        select(col(one.household_id)).where(listed).group_by(col(one.household_id)).having(func.count() > 1)
    )
    for some in chunks((await session.execute(several)).scalars().all()):
        found = await session.execute(
            select(col(one.household_id), col(said.valid_from), col(one.place))
            .join(said, and_(col(said.delivery_id) == delivery_id, col(said.number) == col(one.statement)))
            .where(listed, among(col(one.household_id), some))
            .order_by(col(one.place))
        )
        taken: dict[tuple[Any, Any], int] = {}
        again = [place for home, first, place in found if taken.setdefault((home, first), place) != place]
        if again:
            await _set(session, listed, among(col(one.place), again), result=Result.DUPLICATE.value)


async def _gather(session: AsyncSession, delivery_id: UUID) -> None:
    """What belongs to one household is applied in one transaction; who lives alone is a household of one."""
    one, who, member, listing = (
        DeliverySubject,
        aliased(DeliverySubject),
        aliased(DeliveryMember),
        aliased(DeliverySubject),
    )
    # Written down as a list of homes first: of many joins, no planner finds the way that begins with the person.
    homes = (
        select(col(who.person_id), func.min(cast(col(listing.household_id), String(36))).label("home"))
        .select_from(member)
        .join(who, and_(col(who.delivery_id) == delivery_id, col(who.place) == col(member.member)))
        .join(
            listing, and_(col(listing.delivery_id) == delivery_id, col(listing.place) == col(member.listing))
        )
        .where(col(member.delivery_id) == delivery_id, col(listing.result).is_(None))
        .group_by(col(who.person_id))
        .subquery("homes")
    )
    homeless = and_(waiting(delivery_id), col(one.anchor).is_(None))
    await _set(session, homeless, col(one.person_id) == homes.c.person_id, anchor=cast(homes.c.home, Uuid()))
    stands = (
        select(col(Membership.household_id))
        .where(col(Membership.person_id) == col(one.person_id), col(Membership.known_until).is_(None))
        .order_by(col(Membership.household_id))
        .limit(1)
        .scalar_subquery()
    )
    await _set(session, homeless, anchor=func.coalesce(stands, col(one.person_id)))


async def _ask_for_links(session: AsyncSession, vault: Vault, delivery: Delivery, now: datetime) -> None:
    one, after = DeliverySubject, 0
    while True:
        found = await session.execute(
            select(col(one.place), col(one.number_hash), col(one.sealed))
            .where(
                col(one.delivery_id) == delivery.id,
                col(one.result) == Result.NO_LINK.value,
                col(one.person_id).is_(None),
                col(one.sealed).is_not(None),
                col(one.place) > after,
            )
            .order_by(col(one.place))
            .limit(500)
        )
        some = found.all()
        if not some:
            return
        said = [(hashed, opened(vault, hashed, sealed)) for _, hashed, sealed in some if sealed]
        numbers = {hashed: str(content["number"]) for hashed, content in said}
        named = {hashed: identity for hashed, one in said if (identity := identity_in(one)) is not None}
        await open_reviews(session, vault, delivery.register_id, numbers, now, identities=named)
        after = some[-1][0]
