"""Notes what a full delivery says of somebody and nobody can take: in that, silence about them does not mean no."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select, true
from sqlalchemy.orm import aliased
from sqlmodel import col

from core.bulk import among, chunks
from entitlements.deliveries.models import DeliveryMember, DeliveryRow, DeliveryStatement, DeliverySubject
from entitlements.deliveries.rules import ABOUT_SOMEBODY, Result
from entitlements.deliveries.scope import Scope
from entitlements.facts.belonging import Listing
from entitlements.facts.catalogue import CATALOGUE, settled_by_silence
from entitlements.facts.history import Stating, learn
from entitlements.facts.models import Fact
from entitlements.facts.rules import UNREAD, gaps
from entitlements.people.models import Membership

REPEATED = Result.DUPLICATE
"""A row beside which another was taken may say more of its subject than that one does: other days, other members."""
_SETTLED = frozenset(settled_by_silence(CATALOGUE))


async def note_unread(scope: Scope) -> set[UUID]:
    """Notes of whom a full delivery says something that is not taken: in that, they are not left out.

    What stands about them stays (`ending.keep_mentioned`); of all other days nothing is known.
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
        col(row.result).in_([result.value for result in ABOUT_SOMEBODY | {REPEATED}]),
        or_(col(row.result) != REPEATED.value, col(said.kind).in_(_SETTLED)),
        col(said.delivery_id) == scope.delivery_id,
        col(said.number) == col(row.statement),
    )
    unread: dict[tuple[UUID, str], set[tuple[date, date, datetime]]] = defaultdict(set)
    for query in (refused, _listings(scope, taken=False)):
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
    # One in which the delivery itself lists them may be taken later.
    for person_id, kind, first, following, _ in await scope.session.execute(_listings(scope, taken=True)):
        found[person_id, kind].append((first, following))
    return found


def _listings(scope: Scope, *, taken: bool) -> Any:
    """In which households the delivery lists these persons, on which days and when: those that are taken, or those
    that wait for the link of somebody else in them or were listed otherwise before.
    """
    who, member, listing = DeliverySubject, aliased(DeliveryMember), aliased(DeliverySubject)
    said = DeliveryStatement
    waits = func.coalesce(col(listing.result), "").in_([Result.NO_LINK.value, REPEATED.value])
    return select(
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
        ~waits if taken else waits,
        col(said.delivery_id) == scope.delivery_id,
        col(said.number) == col(listing.statement),
    )


async def read_at_last(scope: Scope, listings: Sequence[Listing]) -> None:
    """Lets households that were taken say of their members what could not be read before.

    On their days it is known then that there is one: whoever leaves it later is in none.
    """
    persons = {person_id for one in listings for person_id in one.members}
    marked: dict[tuple[UUID, str], list[Any]] = defaultdict(list)
    for some in chunks(sorted(persons)):
        rows: Any = await scope.session.execute(
            select(
                col(Fact.person_id),
                col(Fact.kind),
                col(Fact.valid_from),
                col(Fact.valid_next),
                col(Fact.confirmed_at),
            ).where(
                among(col(Fact.person_id), some),
                col(Fact.register_id) == scope.register_id,
                col(Fact.known_until).is_(None),
                col(Fact.unread),
            )
        )
        for person_id, kind, *said in rows:
            marked[person_id, kind].append(said)
    statements = [
        Stating(person_id, False, one.kind, None, one.first, one.following, one.stated_at, one.delivery_id)
        for one in listings
        for person_id in sorted(one.members)
        if any(
            first < one.following and one.first < following and confirmed_at <= one.stated_at
            for first, following, confirmed_at in marked.get((person_id, one.kind), ())
        )
    ]
    if statements:
        await learn(scope.session, scope.register_id, statements, scope.lists, scope.now)
