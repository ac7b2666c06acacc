"""Makes two persons one, and two again: who is read as whom, and the record of each such act."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.audit.service import note
from core.errors import Conflict, NotFound
from entitlements.people.models import Guardianship, Merge, Person
from entitlements.people.service import NotTwoPersons, aliases, roots


class AlreadyMerged(Conflict):
    """One of the two is no person of its own any more."""

    slug, title = "person-already-merged", "One of the two was merged into another person already"


class ActForEachOther(Conflict):
    """One of the two acts for the other, so they are two."""

    slug, title = "act-for-each-other", "One of the two is the other's guardian; end that first"


class AlreadyUndone(Conflict):
    """The act was undone before."""

    slug, title = "already-undone", "This was undone already"


class LaterFirst(Conflict):
    """What was done later rests on it."""

    slug, title = "later-act-first", "A later act rests on this one; undo that one first"


async def two_persons(session: AsyncSession, gone_id: UUID, kept_id: UUID) -> None:
    """Makes sure that these are two who can become one; NotTwoPersons, NotFound, AlreadyMerged, ActForEachOther."""
    if gone_id == kept_id:
        raise NotTwoPersons
    found = await roots(session, [gone_id, kept_id])
    if len(found) < 2:
        raise NotFound
    if found[kept_id] != kept_id or found[gone_id] != gone_id:
        raise AlreadyMerged
    known_as = await aliases(session, [gone_id, kept_id])
    gone = [alias for alias, root in known_as.items() if root == gone_id]
    kept = [alias for alias, root in known_as.items() if root == kept_id]
    joined = await session.execute(
        select(col(Guardianship.id))
        .where(
            or_(
                col(Guardianship.guardian_id).in_(gone) & col(Guardianship.child_id).in_(kept),
                col(Guardianship.guardian_id).in_(kept) & col(Guardianship.child_id).in_(gone),
            )
        )
        .limit(1)
    )
    if joined.first() is not None:
        raise ActForEachOther


async def merge(
    session: AsyncSession, caller: Caller | None, gone_id: UUID, kept_id: UUID, now: datetime
) -> Merge:
    """Two persons turn out to be one; what was kept about either is read as the one that stays.

    Whoever calls this also joins what they hold and re-assesses whom it concerns (see `entitlements.joining`).
    """
    await two_persons(session, gone_id, kept_id)
    if any(into is not None for into in await _hold(session, gone_id, kept_id)):
        raise AlreadyMerged
    # Chains are kept flat: whoever was merged into the one that goes is merged into the one that stays.
    await session.execute(
        update(Person)
        .where(or_(col(Person.id) == gone_id, col(Person.merged_into) == gone_id))
        .values(merged_into=kept_id)
    )
    act = Merge(
        gone_id=gone_id,
        kept_id=kept_id,
        merged_at=now,
        merged_by=caller.principal_id if caller else None,
    )
    session.add(act)
    note(session, caller, "person.merged", ("person", kept_id), now=now, gone=str(gone_id))
    await session.flush()
    return act


async def _hold(session: AsyncSession, *two: UUID) -> list[UUID | None]:
    """Holds both, in one order for everybody: nobody joins one of them with a third meanwhile, or derives their rows.

    Gives into whom each of them was merged.
    """
    held = await session.execute(
        select(col(Person.merged_into))
        .where(col(Person.id).in_(two))
        .order_by(col(Person.id))
        .with_for_update()
    )
    return list(held.scalars())


async def part(session: AsyncSession, caller: Caller | None, merge_id: UUID, now: datetime) -> Merge:
    """The one that went is a person of its own again. AlreadyUndone; LaterFirst where a later act rests on it."""
    act = await session.get(Merge, merge_id, populate_existing=True)
    if act is None:
        raise NotFound
    later = await session.execute(
        select(col(Merge.id))
        .where(
            col(Merge.undone_at).is_(None),
            or_(col(Merge.gone_id) == act.kept_id, col(Merge.kept_id) == act.kept_id),
            tuple_(col(Merge.merged_at), col(Merge.id)) > tuple_(act.merged_at, act.id),
        )
        .limit(1)
    )
    if later.first() is not None:
        raise LaterFirst
    taken = await session.execute(
        update(Merge)
        .where(col(Merge.id) == merge_id, col(Merge.undone_at).is_(None))
        .values(undone_at=now, undone_by=caller.principal_id if caller else None)
        .returning(col(Merge.id))
        .execution_options(synchronize_session=False)
    )
    if taken.scalar_one_or_none() is None:
        raise AlreadyUndone
    await _hold(session, act.gone_id, act.kept_id)
    with_them = await _came_with(session, act.gone_id)
    await session.execute(update(Person).where(col(Person.id) == act.gone_id).values(merged_into=None))
    await session.execute(update(Person).where(col(Person.id).in_(with_them)).values(merged_into=act.gone_id))
    note(session, caller, "person.parted", ("person", act.kept_id), now=now, gone=str(act.gone_id))
    await session.refresh(act)
    return act


async def _came_with(session: AsyncSession, person_id: UUID) -> list[UUID]:
    """Whoever had been merged into this person before."""
    found: list[UUID] = []
    some = [person_id]
    while some:
        rows = await session.execute(
            select(col(Merge.gone_id)).where(col(Merge.kept_id).in_(some), col(Merge.undone_at).is_(None))
        )
        some = list(rows.scalars())
        found += some
    return found


async def merges_of(session: AsyncSession, person_id: UUID) -> Sequence[Merge]:
    """The acts by which this person became one with another, undone ones too, the latest first."""
    ids = list(await aliases(session, [person_id])) or [person_id]
    rows = await session.execute(
        select(Merge)
        .where(or_(col(Merge.gone_id).in_(ids), col(Merge.kept_id).in_(ids)))
        .order_by(col(Merge.merged_at).desc(), col(Merge.id).desc())
    )
    return rows.scalars().all()
