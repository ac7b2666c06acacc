"""The numbers that wait for a case worker: shown with whom they may mean, and decided."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.audit.service import note
from core.errors import Conflict, NotFound, Unprocessable
from core.vault import Vault, open_sealed
from entitlements.people.matching import Judged, Verdict
from entitlements.people.rules import PersonIdentity
from entitlements.people.service import identities_of, make_person, roots
from entitlements.registers.linking import judge_numbers
from entitlements.registers.models import LinkMade, Register, Review, ReviewState
from entitlements.registers.rules import Remit
from entitlements.registers.service import REVIEWS, link

KEPT = timedelta(days=365)
"""How long a number waits, as its rows do; a register that still means it delivers it again."""
LATER = timedelta(days=14)
"""How long a number waits that was put off."""


class ReviewDecided(Conflict):
    """Somebody has decided it already."""

    slug, title = "review-decided", "This review has been decided already"


class MakesNobodyKnown(Unprocessable):
    """The register may not say who people are, so nobody becomes known by its word alone."""

    slug, title = "register-makes-nobody-known", "This register may not make a person known"


def number_of(vault: Vault, review: Review) -> str:
    """The number as the register writes it, as long as the review is open."""
    if not review.sealed_number:
        return ""
    return open_sealed(vault.secret(REVIEWS), review.sealed_number, review.id.bytes).decode()


def identity_said(vault: Vault, review: Review) -> PersonIdentity | None:
    """What the register calls whoever is behind the number, as long as the review is open."""
    if not review.sealed_identity:
        return None
    aad = b"identity:" + review.id.bytes
    return PersonIdentity(**json.loads(open_sealed(vault.secret(REVIEWS), review.sealed_identity, aad)))


async def reviews(
    session: AsyncSession, *, after: UUID | None, limit: int, now: datetime, put_off: bool = False
) -> list[Review]:
    """Numbers that wait for a case worker, oldest first; those that were put off only if asked for."""
    query = select(Review).where(col(Review.state) == ReviewState.OPEN)
    if not put_off:
        query = query.where(or_(col(Review.later_until).is_(None), col(Review.later_until) <= now))
    if after is not None:
        query = query.where(col(Review.id) > after)
    rows = await session.execute(query.order_by(col(Review.id)).limit(limit))
    return list(rows.scalars())


@dataclass(frozen=True, slots=True)
class Shown:
    """A number that waits, with both sides: what the register said, and whom it may mean."""

    review: Review
    number: str
    said: PersonIdentity | None
    judged: Judged[UUID]
    known: Mapping[UUID, PersonIdentity]
    """What each of those who may be meant is called."""


async def show(session: AsyncSession, vault: Vault, caller: Caller, review_id: UUID, now: datetime) -> Shown:
    """Both sides of a doubt, as they stand today; that somebody looked is written down."""
    review = await session.get(Review, review_id)
    if review is None:
        raise NotFound
    said = identity_said(vault, review)
    judged: Judged[UUID] = Judged(Verdict.NOBODY)
    if said is not None:
        hashed = review.number_hash
        judged = (await judge_numbers(session, vault, review.register_id, {hashed: said}))[hashed]
    known = await identities_of(session, vault, [one.who for one in judged.candidates])
    note(
        session,
        caller,
        "review.seen",
        ("review", review_id),
        now=now,
        candidates=len(judged.candidates),
    )
    return Shown(review, number_of(vault, review), said, judged, known)


async def decide_review(
    session: AsyncSession,
    vault: Vault,
    caller: Caller | None,
    review_id: UUID,
    *,
    person_id: UUID | None = None,
    new: bool = False,
    made_by: LinkMade = LinkMade.REVIEW,
    now: datetime,
) -> Review:
    """Says whom a waiting number means: somebody, somebody new, or (neither) nobody here. ReviewDecided if it was.

    Whatever is decided is not asked again.
    """
    review = await session.get(Review, review_id)
    if review is None:
        raise NotFound
    number = number_of(vault, review)
    meant = None
    if person_id is not None:
        meant = (await roots(session, [person_id])).get(person_id)
        if meant is None:
            raise NotFound
    elif new:
        register = await session.get_one(Register, review.register_id)
        if not Remit.of(register.remit).identities:
            raise MakesNobodyKnown
        meant = (await make_person(session, now)).id
    taken = await session.execute(
        update(Review)
        .where(col(Review.id) == review_id, col(Review.state) == ReviewState.OPEN)
        .values(
            state=ReviewState.LINKED if meant else ReviewState.DISMISSED,
            person_id=meant,
            sealed_number=b"",
            sealed_identity=None,
            decided_at=now,
            decided_by=caller.principal_id if caller else None,
        )
        .returning(col(Review.id))
        .execution_options(synchronize_session=False)
    )
    if taken.scalar_one_or_none() is None:
        raise ReviewDecided
    await session.refresh(review)
    if meant is not None:
        await link(session, vault, review.register_id, {review.number_hash: (meant, number, made_by)}, now)
    action = "review.dismissed" if meant is None else "review.made-known" if new else "review.linked"
    note(session, caller, action, ("review", review_id), now=now, by=made_by.value)
    return review


async def put_off(session: AsyncSession, caller: Caller, review_id: UUID, now: datetime) -> Review:
    """Lets a number wait: somebody is being asked. ReviewDecided if there is nothing to decide any more."""
    taken = await session.execute(
        update(Review)
        .where(col(Review.id) == review_id, col(Review.state) == ReviewState.OPEN)
        .values(later_until=now + LATER)
        .returning(col(Review.id))
        .execution_options(synchronize_session=False)
    )
    review = await session.get(Review, review_id, populate_existing=True)
    if review is None:
        raise NotFound
    if taken.scalar_one_or_none() is None:
        raise ReviewDecided
    note(session, caller, "review.put-off", ("review", review_id), now=now)
    return review


async def forget_old(session: AsyncSession, now: datetime) -> None:
    """Drops what waited too long, with what the register called whoever it was."""
    await session.execute(
        delete(Review).where(col(Review.state) == ReviewState.OPEN, col(Review.opened_at) < now - KEPT)
    )


async def settled_since(
    session: AsyncSession, vault: Vault, some: Sequence[Review]
) -> list[tuple[Review, UUID]]:
    """Of numbers that wait, those that have become sure: whoever they mean was not known when they came."""
    found: list[tuple[Review, UUID]] = []
    by_register: dict[UUID, dict[bytes, Review]] = {}
    for review in some:
        by_register.setdefault(review.register_id, {})[review.number_hash] = review
    for register_id, waiting in by_register.items():
        said = {
            hashed: identity
            for hashed, review in waiting.items()
            if (identity := identity_said(vault, review)) is not None
        }
        judged = await judge_numbers(session, vault, register_id, said)
        found += [(waiting[hashed], one.meant) for hashed, one in judged.items() if one.meant is not None]
    return found
