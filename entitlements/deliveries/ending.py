"""Finds out what a delivery would end before any of it is applied, and keeps what it speaks of without being understood."""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import CompoundSelect, Select, and_, func, or_, select, union, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col

from core.bulk import among, chunks
from entitlements.deliveries.models import (
    About,
    Delivery,
    DeliveryMember,
    DeliveryRow,
    DeliveryStatement,
    DeliverySubject,
    Mode,
)
from entitlements.deliveries.rules import ABOUT_ANYBODY, ABOUT_SOMEBODY, Result
from entitlements.deliveries.scope import said_rows
from entitlements.facts.models import Fact
from entitlements.people.models import Membership


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


# ---- who is mentioned by what is not taken ----


def _refused(delivery_id: UUID, subject: Any, *where: ColumnElement[bool]) -> Select[Any]:
    """Whom the rows that are refused speak of."""
    row, who = DeliveryRow, DeliverySubject
    return select(subject.label("subject")).where(
        col(row.delivery_id) == delivery_id,
        col(row.result).in_([result.value for result in ABOUT_SOMEBODY]),
        col(who.delivery_id) == delivery_id,
        col(who.place) == col(row.subject),
        subject.is_not(None),
        *where,
    )


def _persons(delivery_id: UUID) -> Select[Any]:
    # Behind the first part stands who belongs to a household: of their own facts such a row says nothing.
    return _refused(delivery_id, col(DeliverySubject.person_id), col(DeliveryRow.part) == 0).distinct()


def _households(delivery_id: UUID) -> Select[Any]:
    return _refused(delivery_id, col(DeliverySubject.household_id)).distinct()


def _at_home(delivery_id: UUID) -> CompoundSelect[Any]:
    """Whose home is spoken of, also by a list of members that waits for the link of one of them."""
    who, member, listing = DeliverySubject, DeliveryMember, aliased(DeliverySubject)
    waiting: Select[Any] = select(col(who.person_id).label("subject")).where(
        col(listing.delivery_id) == delivery_id,
        col(listing.about) == About.HOUSEHOLD,
        col(listing.result) == Result.NO_LINK.value,
        col(member.delivery_id) == delivery_id,
        col(member.listing) == col(listing.place),
        col(who.delivery_id) == delivery_id,
        col(who.place) == col(member.member),
        col(who.person_id).is_not(None),
    )
    return union(_refused(delivery_id, col(who.person_id)), waiting)


async def keep_mentioned(session: AsyncSession, delivery: Delivery, day: date) -> None:
    """What stands about whom a refused row speaks of counts as said again: a complete list does not leave them out.

    So does a home of which the list waits for the link of somebody else in it. Written down with what stands,
    because whatever the register says later is settled with all its lists.
    """
    persons = (await session.execute(_persons(delivery.id))).scalars().all()
    households = (await session.execute(_households(delivery.id))).scalars().all()
    at_home = (await session.execute(_at_home(delivery.id))).scalars().all()
    for table, about, whose in (
        (Fact, col(Fact.person_id), persons),
        (Fact, col(Fact.household_id), households),
        (Membership, col(Membership.person_id), at_home),
        # Whom a list that waits does not name is gone; of one that is refused, nobody knows whom it would name.
        (Membership, col(Membership.household_id), households),
    ):
        for some in chunks(sorted(whose)):
            await session.execute(
                update(table)
                .where(
                    among(about, some),
                    col(table.register_id) == delivery.register_id,
                    col(table.known_until).is_(None),
                    col(table.valid_next) > day,
                    col(table.confirmed_at) < delivery.as_of,
                )
                .values(confirmed_at=delivery.as_of)
                .execution_options(synchronize_session=False)
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


async def standing(session: AsyncSession, register_id: UUID, day: date) -> int:
    """How many statements of a register stand from a day on."""
    stands = _standing_facts(register_id, day)
    facts = [
        select(func.count()).select_from(Fact).where(stands, subject.is_not(None)).scalar_subquery()
        for subject in (col(Fact.person_id), col(Fact.household_id))
    ]
    members = (
        select(func.count())
        .select_from(Membership)
        .where(_standing_members(register_id, day))
        .scalar_subquery()
    )
    found = await session.execute(select(facts[0] + facts[1] + members))
    return int(found.scalar_one())


async def ends(session: AsyncSession, delivery: Delivery, day: date) -> int:
    """How many standing statements would not stand any more, as far as one can see before applying."""
    ended = await _ended_by_word(session, delivery, day)
    if delivery.mode is not Mode.FULL:
        return ended
    silent = select(_left_out(delivery, day) + _moved_out(delivery, day))
    return ended + int((await session.execute(silent)).scalar_one())


async def _ended_by_word(session: AsyncSession, delivery: Delivery, day: date) -> int:
    """What the rows themselves end."""
    row, who, said = aliased(DeliveryRow), aliased(DeliverySubject), aliased(DeliveryStatement)
    together = said_rows(delivery.id, row, who, said)
    ended = 0
    for whose in (
        col(Fact.person_id) == col(who.person_id),
        col(Fact.household_id) == col(who.household_id),
    ):
        hit = select(func.count()).where(
            together,
            whose,
            col(Fact.kind) == col(said.kind),
            _standing_facts(delivery.register_id, day),
            col(Fact.confirmed_at) < col(said.stated_at),
            or_(
                # taken back to the end
                and_(
                    col(said.withdrawn),
                    col(said.valid_from) < col(Fact.valid_next),
                    col(said.valid_next) >= col(Fact.valid_next),
                ),
                # shortened
                and_(
                    col(said.withdrawn).is_(False),
                    col(Fact.stated_from) == col(said.valid_from),
                    col(said.valid_next) < col(Fact.valid_next),
                ),
                # from now on the opposite
                and_(
                    col(Fact.value_int) == 1,
                    col(said.value_int) == 0,
                    col(said.valid_from) < col(Fact.valid_next),
                    col(said.valid_next) > col(Fact.valid_from),
                ),
            ),
        )
        ended += int((await session.execute(hit)).scalar_one())
    return ended


def _left_out(delivery: Delivery, day: date) -> Any:
    """The facts of whom a full delivery says nothing of that kind, not even in a row that is refused.

    What it says is put together once, and not looked up for each fact: without statistics no planner knows with what
    to begin.
    """
    row, who, said = aliased(DeliveryRow), aliased(DeliverySubject), aliased(DeliveryStatement)
    together = said_rows(delivery.id, row, who, said)
    query = select(func.count()).select_from(Fact)
    for name, whose, of_fact, mentioned in (
        ("persons", col(who.person_id), col(Fact.person_id), _persons(delivery.id)),
        ("households", col(who.household_id), col(Fact.household_id), _households(delivery.id)),
    ):
        stated = (
            select(whose.label("subject"), col(said.kind).label("kind"))
            .where(together, whose.is_not(None))
            .distinct()
            .subquery(name)
        )
        kept = mentioned.subquery(f"{name}_mentioned")
        query = (
            query.outerjoin(stated, and_(stated.c.subject == of_fact, stated.c.kind == col(Fact.kind)))
            .outerjoin(kept, kept.c.subject == of_fact)
            .where(stated.c.subject.is_(None), kept.c.subject.is_(None))
        )
    return query.where(
        _standing_facts(delivery.register_id, day), col(Fact.confirmed_at) < delivery.as_of
    ).scalar_subquery()


def _moved_out(delivery: Delivery, day: date) -> Any:
    """The homes of whom a full delivery lists in none of that kind."""
    member, belongs, listing = aliased(DeliveryMember), aliased(DeliverySubject), aliased(DeliverySubject)
    listed = (
        select(col(belongs.person_id).label("subject"), col(listing.household_kind).label("kind"))
        .where(
            col(belongs.delivery_id) == delivery.id,
            col(belongs.person_id).is_not(None),
            col(member.delivery_id) == delivery.id,
            col(member.member) == col(belongs.place),
            col(listing.delivery_id) == delivery.id,
            col(listing.place) == col(member.listing),
            col(listing.result).is_(None),
        )
        .distinct()
        .subquery("listed")
    )
    at_home = _at_home(delivery.id).subquery("at_home")
    households = _households(delivery.id).subquery("of_household")
    return (
        select(func.count())
        .select_from(Membership)
        .outerjoin(
            listed,
            and_(listed.c.subject == col(Membership.person_id), listed.c.kind == col(Membership.kind)),
        )
        .outerjoin(at_home, at_home.c.subject == col(Membership.person_id))
        .outerjoin(households, households.c.subject == col(Membership.household_id))
        .where(
            _standing_members(delivery.register_id, day),
            col(Membership.confirmed_at) < delivery.as_of,
            listed.c.subject.is_(None),
            at_home.c.subject.is_(None),
            households.c.subject.is_(None),
        )
        .scalar_subquery()
    )
