"""Checks a delivery's rows by set statements: whom they mean, what they repeat, and how much they would end."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, exists, func, or_, select, text, true, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col

from core.vault import Vault, open_sealed
from entitlements.deliveries.models import Delivery, DeliveryRow, Mode
from entitlements.deliveries.receiving import ROWS
from entitlements.deliveries.rules import ABOUT_ANYBODY, ABOUT_SOMEBODY, SMALL, Result
from entitlements.facts.models import Fact
from entitlements.people.models import Household, Identification, Membership, Person
from entitlements.registers.models import Link
from entitlements.registers.rules import Remit
from entitlements.registers.service import open_reviews


def waiting(delivery_id: UUID) -> ColumnElement[bool]:
    """The rows of a delivery that have no result yet."""
    return and_(col(DeliveryRow.delivery_id) == delivery_id, col(DeliveryRow.result).is_(None))


async def check(
    session: AsyncSession, vault: Vault, delivery: Delivery, *, remit: Remit, day: date, now: datetime
) -> tuple[int, int]:
    """Finds whom every row means, sorts out what cannot be taken, and puts together what is applied together.

    Gives how many standing statements the delivery would end, and how many of the register stand.
    """
    if delivery.rows > SMALL and session.get_bind().dialect.name == "postgresql":
        # The rows have just come in: a planner that thinks there are none would go through them again and again.
        await session.execute(text("ANALYZE delivery_rows"))
    await resolve_persons(session, delivery.id, delivery.register_id, remit)
    await _resolve_households(session, delivery.id, delivery.register_id)
    await _refuse_unlinked(session, delivery.id)
    await _refuse_repeated(session, delivery.id)
    await _gather(session, delivery.id)
    await _ask_for_links(session, vault, delivery, now)
    return await _ends(session, delivery, day), await _standing(session, delivery.register_id, day)


async def _set(session: AsyncSession, *where: ColumnElement[bool], **values: Any) -> None:
    await session.execute(
        update(DeliveryRow).where(*where).values(values).execution_options(synchronize_session=False)
    )


async def resolve_persons(session: AsyncSession, delivery_id: UUID, register_id: UUID, remit: Remit) -> None:
    """Finds the persons behind the register's numbers: by link, by identification number, as new ones."""
    linked = (
        select(col(Link.person_id))
        .where(col(Link.register_id) == register_id, col(Link.number_hash) == col(DeliveryRow.number_hash))
        .scalar_subquery()
    )
    numbered = col(DeliveryRow.number_hash).is_not(None)
    # Rows that were refused are resolved as well: whoever they mention is not left out.
    await _set(session, col(DeliveryRow.delivery_id) == delivery_id, numbered, person_id=linked)
    # A number that is explained twice: the first explanation counts.
    await _refuse_later(session, delivery_id, "person", (col(DeliveryRow.number_hash),))
    persons = and_(waiting(delivery_id), col(DeliveryRow.form) == "person")
    identified = (
        select(col(Identification.person_id))
        .where(col(Identification.number_hash) == col(DeliveryRow.identification_hash))
        .scalar_subquery()
    )
    unknown = col(DeliveryRow.person_id).is_(None)
    await _set(
        session,
        persons,
        unknown,
        col(DeliveryRow.identification_hash).is_not(None),
        person_id=identified,
    )
    if remit.identities:
        # Two numbers with one identification number in one delivery are one person, too.
        twin = aliased(DeliveryRow)
        same = (
            select(col(twin.item_id))
            .where(
                col(twin.delivery_id) == delivery_id,
                col(twin.form) == "person",
                col(twin.part) == 0,
                col(twin.result).is_(None),
                col(twin.identification_hash) == col(DeliveryRow.identification_hash),
            )
            .order_by(col(twin.item_id))
            .limit(1)
            .scalar_subquery()
        )
        await _set(session, persons, unknown, person_id=func.coalesce(same, col(DeliveryRow.item_id)))
    first = aliased(DeliveryRow)
    explained = (
        select(col(first.person_id))
        .where(
            col(first.delivery_id) == delivery_id,
            col(first.form) == "person",
            col(first.part) == 0,
            col(first.number_hash) == col(DeliveryRow.number_hash),
            col(first.result).is_(None),
        )
        .order_by(col(first.item_id))
        .limit(1)
        .scalar_subquery()
    )
    await _set(session, waiting(delivery_id), numbered, unknown, person_id=explained)
    gone = exists().where(col(Person.id) == col(DeliveryRow.person_id), col(Person.forgotten_at).is_not(None))
    await _set(
        session,
        waiting(delivery_id),
        col(DeliveryRow.form) != "member",
        gone,
        result=Result.FORGOTTEN.value,
    )


async def _resolve_households(session: AsyncSession, delivery_id: UUID, register_id: UUID) -> None:
    housed = col(DeliveryRow.household_hash).is_not(None)
    known = (
        select(col(Household.id))
        .where(
            col(Household.register_id) == register_id,
            col(Household.kind) == col(DeliveryRow.household_kind),
            col(Household.number_hash) == col(DeliveryRow.household_hash),
        )
        .scalar_subquery()
    )
    await _set(session, waiting(delivery_id), housed, household_id=known)
    first = aliased(DeliveryRow)
    new = (
        select(col(first.item_id))
        .where(
            col(first.delivery_id) == delivery_id,
            col(first.form) == "household",
            col(first.household_hash) == col(DeliveryRow.household_hash),
            col(first.household_kind) == col(DeliveryRow.household_kind),
        )
        .order_by(col(first.item_id))
        .limit(1)
        .scalar_subquery()
    )
    homeless = col(DeliveryRow.household_id).is_(None)
    await _set(session, waiting(delivery_id), housed, homeless, household_id=new)
    await _set(session, waiting(delivery_id), housed, homeless, result=Result.NO_HOUSEHOLD.value)


async def _refuse_unlinked(session: AsyncSession, delivery_id: UUID) -> None:
    nobody = and_(col(DeliveryRow.number_hash).is_not(None), col(DeliveryRow.person_id).is_(None))
    other = aliased(DeliveryRow)
    # A household is taken whole or not at all: a member who is missing would seem to have moved out.
    of_unlinked = col(DeliveryRow.position).in_(
        select(col(other.position)).where(
            col(other.delivery_id) == delivery_id,
            col(other.form) == "member",
            col(other.number_hash).is_not(None),
            col(other.person_id).is_(None),
        )
    )
    in_household = col(DeliveryRow.form).in_(["household", "member"])
    await _set(
        session,
        waiting(delivery_id),
        or_(nobody, and_(in_household, of_unlinked)),
        result=Result.NO_LINK.value,
    )


async def _refuse_repeated(session: AsyncSession, delivery_id: UUID) -> None:
    row = DeliveryRow
    of_fact = (col(row.person_id), col(row.household_id), col(row.kind), col(row.valid_from))
    await _refuse_later(session, delivery_id, "fact", of_fact)
    await _refuse_later(session, delivery_id, "household", (col(row.household_id), col(row.valid_from)))


async def _refuse_later(session: AsyncSession, delivery_id: UUID, form: str, about: Sequence[Any]) -> None:
    """Of the rows that say something about the same, the first is taken."""
    numbered = (
        select(
            col(DeliveryRow.position),
            func.row_number().over(partition_by=about, order_by=(col(DeliveryRow.position),)).label("place"),
        )
        .where(waiting(delivery_id), col(DeliveryRow.form) == form)
        .subquery()
    )
    later = select(numbered.c.position).where(numbered.c.place > 1)
    # A household is refused with its members, and a person with the birth date.
    whole = col(DeliveryRow.form) == "fact" if form == "fact" else true()
    await _set(
        session,
        waiting(delivery_id),
        whole,
        col(DeliveryRow.position).in_(later),
        result=Result.DUPLICATE.value,
    )


async def _gather(session: AsyncSession, delivery_id: UUID) -> None:
    """What belongs to one household is applied in one transaction; who lives alone is a household of one."""
    await _set(
        session,
        waiting(delivery_id),
        col(DeliveryRow.household_id).is_not(None),
        anchor=col(DeliveryRow.household_id),
    )
    member = aliased(DeliveryRow)
    here = (
        select(col(member.household_id))
        .where(
            col(member.delivery_id) == delivery_id,
            col(member.form) == "member",
            col(member.number_hash) == col(DeliveryRow.number_hash),
            col(member.result).is_(None),
        )
        .order_by(col(member.household_id))
        .limit(1)
        .scalar_subquery()
    )
    stands = (
        select(col(Membership.household_id))
        .where(col(Membership.person_id) == col(DeliveryRow.person_id), col(Membership.known_until).is_(None))
        .order_by(col(Membership.household_id))
        .limit(1)
        .scalar_subquery()
    )
    await _set(
        session,
        waiting(delivery_id),
        col(DeliveryRow.anchor).is_(None),
        anchor=func.coalesce(here, stands, col(DeliveryRow.person_id)),
    )


async def _ask_for_links(session: AsyncSession, vault: Vault, delivery: Delivery, now: datetime) -> None:
    rows = await session.execute(
        select(col(DeliveryRow.number_hash), func.min(col(DeliveryRow.position)))
        .where(
            col(DeliveryRow.delivery_id) == delivery.id,
            col(DeliveryRow.result) == Result.NO_LINK.value,
            col(DeliveryRow.number_hash).is_not(None),
            col(DeliveryRow.person_id).is_(None),
            col(DeliveryRow.sealed).is_not(None),
        )
        .group_by(col(DeliveryRow.number_hash))
    )
    places = sorted((position, hashed) for hashed, position in rows)
    for some in _pieces(places, 500):
        found = await session.execute(
            select(col(DeliveryRow.number_hash), col(DeliveryRow.sealed)).where(
                col(DeliveryRow.delivery_id) == delivery.id,
                tuple_(col(DeliveryRow.position), col(DeliveryRow.number_hash)).in_(some),
                col(DeliveryRow.sealed).is_not(None),
            )
        )
        sealed = {hashed: opened(vault, hashed, content) for hashed, content in found if hashed and content}
        numbers = {hashed: str(sealed[hashed]["number"]) for _, hashed in some}
        await open_reviews(session, vault, delivery.register_id, numbers, now)


def _pieces(items: list[Any], size: int) -> list[list[Any]]:
    return [items[at : at + size] for at in range(0, len(items), size)]


def opened(vault: Vault, number_hash: bytes, sealed: bytes) -> Mapping[str, Any]:
    """What a row says of a number: the number itself and, in a row about a person, the identity."""
    content: Mapping[str, Any] = json.loads(open_sealed(vault.secret(ROWS), sealed, number_hash))
    return content


# ---- how much it would end ----


def _standing_facts(register_id: UUID, day: date) -> ColumnElement[bool]:
    return and_(
        col(Fact.register_id) == register_id,
        col(Fact.known_until).is_(None),
        col(Fact.withdrawn).is_(False),
        col(Fact.valid_next) > day,
    )


def _standing_members(register_id: UUID, day: date) -> ColumnElement[bool]:
    return and_(
        col(Membership.register_id) == register_id,
        col(Membership.known_until).is_(None),
        col(Membership.valid_next) > day,
    )


def mentioned(delivery_id: UUID, person_id: Any) -> ColumnElement[bool]:
    """Whether a refused row of the delivery was about the person."""
    row = aliased(DeliveryRow)
    return exists().where(
        col(row.delivery_id) == delivery_id,
        col(row.person_id) == person_id,
        col(row.form) == "none",
        col(row.result).in_([result.value for result in ABOUT_SOMEBODY]),
    )


async def unreadable(session: AsyncSession, delivery_id: UUID) -> int:
    """How many rows of a delivery may be about anybody."""
    found = await session.execute(
        select(func.count())
        .select_from(DeliveryRow)
        .where(
            col(DeliveryRow.delivery_id) == delivery_id,
            col(DeliveryRow.result).in_([result.value for result in ABOUT_ANYBODY]),
        )
    )
    return found.scalar_one()


async def _standing(session: AsyncSession, register_id: UUID, day: date) -> int:
    facts = select(func.count()).select_from(Fact).where(_standing_facts(register_id, day)).scalar_subquery()
    members = (
        select(func.count())
        .select_from(Membership)
        .where(_standing_members(register_id, day))
        .scalar_subquery()
    )
    found = await session.execute(select(facts + members))
    return int(found.scalar_one())


async def _ends(session: AsyncSession, delivery: Delivery, day: date) -> int:
    """How many standing statements would not stand any more, as far as one can see before applying."""
    row = aliased(DeliveryRow)
    of_delivery = (col(row.delivery_id) == delivery.id, col(row.result).is_(None), col(row.form) == "fact")
    ends = 0
    for about, whose in (
        (col(row.person_id).is_not(None), col(Fact.person_id) == col(row.person_id)),
        (col(row.person_id).is_(None), col(Fact.household_id) == col(row.household_id)),
    ):
        hit = (
            select(func.count())
            .select_from(Fact)
            .where(
                whose,
                col(Fact.kind) == col(row.kind),
                _standing_facts(delivery.register_id, day),
                col(Fact.confirmed_at) < col(row.stated_at),
                or_(
                    # taken back to the end
                    and_(
                        col(row.withdrawn),
                        col(row.valid_from) < col(Fact.valid_next),
                        col(row.valid_next) >= col(Fact.valid_next),
                    ),
                    # shortened
                    and_(
                        col(row.withdrawn).is_(False),
                        col(Fact.stated_from) == col(row.valid_from),
                        col(row.valid_next) < col(Fact.valid_next),
                    ),
                    # from now on the opposite
                    and_(
                        col(Fact.value_int) == 1,
                        col(row.value_int) == 0,
                        col(row.valid_from) < col(Fact.valid_next),
                        col(row.valid_next) > col(Fact.valid_from),
                    ),
                ),
            )
            .correlate(row)
            .scalar_subquery()
        )
        found = await session.execute(select(func.coalesce(func.sum(hit), 0)).where(*of_delivery, about))
        ends += int(found.scalar_one())
    if delivery.mode is not Mode.FULL:
        return ends
    left_out = (
        select(func.count())
        .select_from(Fact)
        .where(
            _standing_facts(delivery.register_id, day),
            col(Fact.confirmed_at) < delivery.as_of,
            ~exists().where(
                *of_delivery, col(row.person_id) == col(Fact.person_id), col(row.kind) == col(Fact.kind)
            ),
            ~exists().where(
                *of_delivery, col(row.household_id) == col(Fact.household_id), col(row.kind) == col(Fact.kind)
            ),
        )
        .scalar_subquery()
    )
    listed = exists().where(
        col(row.delivery_id) == delivery.id,
        col(row.form) == "member",
        col(row.result).is_(None),
        col(row.person_id) == col(Membership.person_id),
        col(row.household_kind) == col(Membership.kind),
    )
    moved_out = (
        select(func.count())
        .select_from(Membership)
        .where(
            _standing_members(delivery.register_id, day),
            col(Membership.confirmed_at) < delivery.as_of,
            ~listed,
        )
        .scalar_subquery()
    )
    more = await session.execute(select(left_out + moved_out))
    return ends + int(more.scalar_one())
