"""Notes what a full delivery says of somebody and nobody can take: in that, silence about them does not mean no."""

from collections import defaultdict
from collections.abc import Collection
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select, true
from sqlalchemy.orm import aliased
from sqlmodel import col

from core.bulk import among, chunks
from entitlements.deliveries.models import DeliveryMember, DeliveryRow, DeliveryStatement, DeliverySubject
from entitlements.deliveries.rules import ABOUT_SOMEBODY, Result
from entitlements.deliveries.scope import Scope
from entitlements.facts.history import Stating, learn
from entitlements.facts.models import Fact
from entitlements.facts.rules import UNREAD, gaps
from entitlements.people.models import Membership


async def note_unread(scope: Scope) -> set[UUID]:
    """Notes of whom a full delivery says something that is not taken: in that, they are not left out.

    What stands about them stays (`checking.keep_mentioned`); of all other days nothing is known.
    """
    row, who, said = aliased(DeliveryRow), DeliverySubject, DeliveryStatement
    refused = select(
        col(who.person_id),
        col(said.kind),
        col(said.valid_from),
        col(said.valid_next),
        col(said.stated_at),
    ).where(
        scope.which,
        col(who.person_id).is_not(None),
        col(row.delivery_id) == scope.delivery_id,
        col(row.subject) == col(who.place),
        col(row.result).in_([result.value for result in ABOUT_SOMEBODY]),
        col(said.delivery_id) == scope.delivery_id,
        col(said.number) == col(row.statement),
    )
    listing, member = aliased(DeliverySubject), aliased(DeliveryMember)
    # A household that waits for the link of somebody else in it.
    awaited = select(
        col(who.person_id),
        col(listing.household_kind),
        col(said.valid_from),
        col(said.valid_next),
        col(said.stated_at),
    ).where(
        scope.which,
        col(who.person_id).is_not(None),
        col(member.delivery_id) == scope.delivery_id,
        col(member.member) == col(who.place),
        col(listing.delivery_id) == scope.delivery_id,
        col(listing.place) == col(member.listing),
        col(listing.result) == Result.NO_LINK.value,
        col(said.delivery_id) == scope.delivery_id,
        col(said.number) == col(listing.statement),
    )
    unread: dict[tuple[UUID, str], set[tuple[date, date, datetime]]] = defaultdict(set)
    for query in (refused, awaited):
        found: Any = await scope.session.execute(query)
        for person_id, kind, first, following, stated_at in found:
            unread[person_id, kind].add((first, following, stated_at))
    if not unread:
        return set()
    stands = await _stand(scope, {person_id for person_id, _ in unread})
    statements = [
        Stating(person_id, False, kind, UNREAD, *period, stated_at, scope.delivery_id)
        for (person_id, kind), said_of in unread.items()
        for first, following, stated_at in said_of
        for period in gaps(first, following, stands[person_id, kind])
    ]
    _, persons, _ = await learn(scope.session, scope.register_id, statements, scope.lists, scope.now)
    return {person for person, _ in persons}


async def _stand(scope: Scope, persons: Collection[UUID]) -> dict[tuple[UUID, str], list[tuple[date, date]]]:
    """On which days something of the register stands about these persons, by fact and kind of household."""
    found: dict[tuple[UUID, str], list[tuple[date, date]]] = defaultdict(list)
    for some in chunks(sorted(persons)):
        for model, counts in (
            (Fact, or_(col(Fact.withdrawn).is_(False), col(Fact.unread))),
            (Membership, true()),
        ):
            rows: Any = await scope.session.execute(
                select(
                    col(model.person_id), col(model.kind), col(model.valid_from), col(model.valid_next)
                ).where(
                    among(col(model.person_id), some),
                    col(model.register_id) == scope.register_id,
                    col(model.known_until).is_(None),
                    counts,
                )
            )
            for person_id, kind, first, following in rows:
                found[person_id, kind].append((first, following))
    return found
