"""Applies one part of a delivery: what it says of some subjects becomes persons, households and facts."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col

from core.bulk import among, chunks, insert_new, table_of
from core.vault import Vault
from entitlements.deliveries.models import About, Delivery, DeliveryMember, DeliverySubject, Mode
from entitlements.deliveries.persons import Persons
from entitlements.deliveries.results import Results
from entitlements.deliveries.rules import Result
from entitlements.deliveries.scope import Lists, Scope, waiting
from entitlements.deliveries.settling import Facts
from entitlements.deliveries.unread import note_unread, read_at_last
from entitlements.facts.belonging import Listing, learn_members
from entitlements.facts.history import deny
from entitlements.facts.models import Fact
from entitlements.facts.service import members
from entitlements.people.models import Household, Membership, Person
from entitlements.registers.models import Link, Register
from entitlements.registers.rules import Remit


class Part:
    """What is applied together, in one transaction."""

    def __init__(self, session: AsyncSession, vault: Vault, register: Register, now: datetime) -> None:
        self.session, self.vault, self.register, self.now = session, vault, register, now

    async def apply(
        self, delivery: Delivery, which: ColumnElement[bool], lists: Lists, *, waited: bool = False
    ) -> tuple[set[UUID], Counter[str]]:
        """Applies what is said of these subjects; gives the persons of whom something changed, and the results.

        What these persons are left without by a full delivery ends in the same transaction, unless they `waited`.
        """
        full = delivery.mode is Mode.FULL
        which = and_(waiting(delivery.id), which)
        scope = Scope(self.session, self.register.id, delivery.id, which, lists, self.now)
        await _resolve_again(scope)
        subjects = await _read(scope)
        results = Results(scope)
        persons = Persons(scope, results, self.vault, named=Remit.of(self.register.remit).identities)
        # A set of its own: who is new is asked again below.
        concerned = set(await persons.make_known(_explained(subjects, About.PERSON)))
        concerned |= await _households(scope, results, _explained(subjects, About.HOUSEHOLD))
        concerned |= await Facts(scope, results).write()
        if full and not waited:
            known = {one.person_id for one in subjects if one.person_id is not None} - persons.new
            concerned |= await _left_out(scope, known)
        if full:
            concerned |= await note_unread(scope)
        await persons.write_down_new()
        return concerned, await results.finish(subjects)


async def _resolve_again(scope: Scope) -> None:
    """Since the check, another delivery may have made the same person or household known."""
    one = DeliverySubject
    linked = (
        select(col(Link.person_id))
        .where(col(Link.register_id) == scope.register_id, col(Link.number_hash) == col(one.number_hash))
        .scalar_subquery()
    )
    known = (
        select(col(Household.id))
        .where(
            col(Household.register_id) == scope.register_id,
            col(Household.kind) == col(one.household_kind),
            col(Household.number_hash) == col(one.number_hash),
        )
        .scalar_subquery()
    )
    for about, mine, meant in (
        (About.PERSON, "person_id", linked),
        (About.HOUSEHOLD, "household_id", known),
    ):
        await scope.mark(
            col(one.about) == about,
            meant.is_not(None),
            meant.is_distinct_from(table_of(one).c[mine]),
            **{mine: meant},
        )


async def _read(scope: Scope) -> list[Any]:
    """Of whom this part speaks."""
    one = DeliverySubject
    found = await scope.session.execute(
        select(
            *(
                col(column)
                for column in (
                    one.place,
                    one.about,
                    one.explained_at,
                    one.statement,
                    one.number_hash,
                    one.household_kind,
                    one.person_id,
                    one.household_id,
                )
            )
        )
        .where(scope.which)
        .order_by(col(one.place))
    )
    return list(found)


def _explained(subjects: Sequence[Any], about: About) -> list[Any]:
    """Those of whom a row says who they are, or who belongs to them."""
    return [one for one in subjects if one.about is about and one.explained_at is not None]


async def _households(scope: Scope, results: Results, said: Sequence[Any]) -> set[UUID]:
    """Writes down who belongs to which household; gives whose household changed, and who is in it with them."""
    if not said:
        return set()
    days = await scope.statements(row.statement for row in said)
    heads, taken = [], set()
    for row in said:
        about = row.household_id, days[row.statement].valid_from
        # Of two that say who belongs to a household from the same day on, the first is taken.
        results.of_subject[row.place] = Result.DUPLICATE
        if about not in taken:
            taken.add(about)
            heads.append(row)
    fresh = {
        row.household_id: {
            "id": row.household_id,
            "kind": row.household_kind,
            "register_id": scope.register_id,
            "number_hash": row.number_hash,
        }
        for row in heads
    }
    await insert_new(scope.session, Household, list(fresh.values()))
    together = await _members(scope)
    listings = [
        Listing(
            row.household_id,
            row.household_kind,
            frozenset(together[row.place]),
            days[row.statement].valid_from,
            days[row.statement].valid_next,
            days[row.statement].stated_at,
            scope.delivery_id,
        )
        for row in heads
    ]
    outcomes, moved = await learn_members(scope.session, scope.register_id, listings, scope.lists, scope.now)
    for row, outcome in zip(heads, outcomes, strict=True):
        results.of_subject[row.place] = Result(outcome.value)
    await read_at_last(scope, listings)
    # Everybody in the household is judged by who else is in it.
    near = await members(scope.session, {one.household_id for one in listings}) if moved else set()
    return moved | near


async def _members(scope: Scope) -> dict[int, set[UUID]]:
    listing, member, who = DeliverySubject, aliased(DeliveryMember), aliased(DeliverySubject)
    rows = await scope.session.execute(
        select(col(listing.place), col(who.person_id)).where(
            scope.which,
            col(listing.about) == About.HOUSEHOLD,
            col(listing.explained_at).is_not(None),
            col(member.delivery_id) == scope.delivery_id,
            col(member.listing) == col(listing.place),
            col(who.delivery_id) == scope.delivery_id,
            col(who.place) == col(member.member),
        )
    )
    together: dict[int, set[UUID]] = defaultdict(set)
    for place, person_id in rows:
        if person_id is not None:
            together[place].add(person_id)
    return together


async def _left_out(scope: Scope, persons: Collection[UUID]) -> set[UUID]:
    """What a full delivery leaves these persons without ends with it."""
    listed: set[UUID] = set()
    for some in chunks(sorted(persons)):
        stands = or_(
            exists().where(
                col(Fact.person_id) == col(Person.id),
                col(Fact.register_id) == scope.register_id,
                col(Fact.known_until).is_(None),
                col(Fact.confirmed_at) < scope.newest,
            ),
            exists().where(
                col(Membership.person_id) == col(Person.id),
                col(Membership.register_id) == scope.register_id,
                col(Membership.known_until).is_(None),
                col(Membership.confirmed_at) < scope.newest,
            ),
        )
        found = await scope.session.execute(select(col(Person.id)).where(among(col(Person.id), some), stands))
        listed.update(found.scalars())
    if not listed:
        return set()
    changed, _, moved = await deny(
        scope.session,
        scope.register_id,
        person_ids=listed,
        household_ids=(),
        lists=scope.lists,
        now=scope.now,
    )
    return {person for person, _ in changed} | moved
