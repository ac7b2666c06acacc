"""What begins later, and so is not in the wide rows that a look ahead reads: of whom."""

from collections.abc import Collection
from datetime import date
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, select, union
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS
from entitlements.facts.deriving import VALUES
from entitlements.facts.models import Fact
from entitlements.people.models import Membership, Person


async def beginnings(
    session: AsyncSession, after: date, until: date, kinds: Collection[str]
) -> dict[str, set[UUID]]:
    """Of whom something begins after a day and until another, by its kind.

    A period that carries on the one before, with the same value and without a gap, is known: it begins nothing.
    """
    facts, homes = sorted(kinds & CATALOGUE.keys()), sorted(kinds & HOUSEHOLDS.keys())
    living = aliased(Membership)
    fresh = and_(
        col(Fact.kind).in_(facts),
        col(Fact.known_until).is_(None),
        col(Fact.withdrawn).is_(False),
        col(Fact.valid_from) > after,
        col(Fact.valid_from) <= until,
    )
    own: Select[str, UUID] = select(
        col(Fact.kind).label("kind"), col(Fact.person_id).label("person_id")
    ).where(fresh, col(Fact.person_id).is_not(None), ~_carries_on("person_id"))
    shared = (
        select(col(Fact.kind), col(living.person_id))
        .join(Fact, col(Fact.household_id) == col(living.household_id))
        .where(
            fresh,
            ~_carries_on("household_id"),
            col(living.known_until).is_(None),
            col(living.valid_from) <= col(Fact.valid_from),
            col(living.valid_next) > col(Fact.valid_from),
        )
    )
    joined = select(col(Membership.kind), col(Membership.person_id)).where(
        col(Membership.kind).in_(homes),
        col(Membership.known_until).is_(None),
        col(Membership.valid_from) > after,
        col(Membership.valid_from) <= until,
    )
    some = union(own, shared, joined).subquery("some")
    meant = func.coalesce(col(Person.merged_into), col(Person.id))
    rows = await session.execute(
        select(some.c.kind, meant).join(some, some.c.person_id == col(Person.id)).distinct()
    )
    found: dict[str, set[UUID]] = {}
    for kind, person_id in rows:
        found.setdefault(kind, set()).add(person_id)
    return found


def _carries_on(subject: str) -> ColumnElement[bool]:
    """Whether the period before it, of the same value, reaches up to it."""
    before = aliased(Fact)
    return exists().where(
        # An equality, so that the few that begin are looked up and not held against everything.
        getattr(before, subject) == getattr(Fact, subject),
        col(before.kind) == col(Fact.kind),
        *(getattr(before, name).is_not_distinct_from(getattr(Fact, name)) for name in VALUES),
        col(before.known_until).is_(None),
        col(before.valid_from) < col(Fact.valid_from),
        col(before.valid_next) >= col(Fact.valid_from),
    )
