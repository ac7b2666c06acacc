"""Begin a print batch, make its cards step by step, draw its files, activate them, close it.

Each step is a transaction of its own: a batch that was broken off goes on where it was, and no card is made twice.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import structlog
from sqlalchemy import Select, delete, exists, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.audit.service import note
from core.bulk import among, insert_rows, table_of, update_rows
from core.clock import day_of
from core.errors import Conflict, NotFound, Unprocessable
from core.jobs.service import enqueue
from core.settings import Settings
from core.vault import Vault
from entitlements.grants.models import Entitlement
from entitlements.grants.service import is_held
from entitlements.notices import service as notices
from entitlements.people import service as people
from entitlements.people.models import Person
from entitlements.people.rules import PersonIdentity
from issuers.credentials.models import Credential
from issuers.credentials.names import card_name
from issuers.credentials.paper import Paper, issue_printed_to_all
from issuers.credentials.rules import Revocation, card_number
from issuers.credentials.service import draw_digits, revoke
from issuers.status.rules import Status
from issuers.status.service import set_status
from wallet.batches.models import BatchPlace, BatchState, PrintBatch
from wallet.cards.service import title
from wallet.codes.text import printed_text
from wallet.printing.layout import Face
from wallet.printing.models import PrintedCard
from wallet.printing.service import face_of, seal_face

STEP: Final = "print-batches.step"
NOTICE: Final = "card.printed"
AT_ONCE: Final = 1_000
"""Cards that are made in one transaction."""
FILE: Final = 5_000
"""Places of a batch that one file holds."""
OPEN_FOR: Final = timedelta(days=30)
"""How long files can be drawn of a batch that nobody closes."""

log = structlog.get_logger("batches")


class NobodyDue(Unprocessable):
    """There is nobody for whom a card would be made."""

    slug, title = "nobody-due", "There is nobody for whom a card would be printed"


class BatchNotReady(Conflict):
    """Its cards are still being made, or it is closed."""

    slug, title = "batch-not-ready", "Of this batch no file can be drawn now"


# ---- beginning, and seeing how far it is ----


async def begin(
    session: AsyncSession,
    caller: Caller | None,
    *,
    language: str,
    active_from: date | None = None,
    person_ids: Collection[UUID] | None = None,
    settings: Settings,
    now: datetime,
) -> PrintBatch:
    """Begins a batch: for everybody who holds something and has no card on paper in force, or for these persons.

    Who is named gets a new card in place of an earlier one. NobodyDue where that would be nobody.
    """
    batch = PrintBatch(
        language=language,
        active_from=active_from,
        replacing=person_ids is not None,
        asked_by=caller.principal_id if caller else None,
        started_at=now,
        moved_at=now,
    )
    session.add(batch)
    await session.flush()
    due: Select[UUID] = (
        select(col(Entitlement.person_id)).where(is_held(day_of(now, settings.zone))).distinct()
    )
    if person_ids is None:
        due = due.where(~_has_one(now))
    else:
        due = due.where(among(col(Entitlement.person_id), list(await _meant(session, person_ids))))
    everybody = due.subquery()
    position = func.row_number().over(order_by=everybody.c.person_id)
    placed = await session.execute(
        insert(BatchPlace).from_select(
            ["batch_id", "position", "person_id"],
            select(literal(batch.id, table_of(BatchPlace).c.batch_id.type), position, everybody.c.person_id),
        )
    )
    batch.total = int(getattr(placed, "rowcount", 0))
    if batch.total == 0:
        raise NobodyDue
    session.add(batch)
    await session.flush()
    await _owe(session, batch, now)
    note(session, caller, "print-batch.begun", ("print-batch", batch.id), now=now, persons=batch.total)
    return batch


async def _meant(session: AsyncSession, person_ids: Collection[UUID]) -> set[UUID]:
    return set((await people.roots(session, person_ids)).values())


def _has_one(now: datetime) -> Any:
    return exists(
        select(col(PrintedCard.id))
        .join(Credential, col(Credential.id) == col(PrintedCard.credential_id))
        .where(
            col(PrintedCard.person_id) == col(Entitlement.person_id),
            col(PrintedCard.ended_at).is_(None),
            col(PrintedCard.expires_at) > now,
            col(Credential.revoked_at).is_(None),
        )
    )


async def _owe(session: AsyncSession, batch: PrintBatch, now: datetime) -> None:
    await enqueue(
        session, STEP, {"batch_id": str(batch.id)}, run_at=now, once=f"{STEP}:{batch.id}:{batch.done}"
    )


async def batches(session: AsyncSession) -> Sequence[PrintBatch]:
    """The latest batches."""
    rows = await session.execute(select(PrintBatch).order_by(col(PrintBatch.started_at).desc()).limit(50))
    return rows.scalars().all()


async def get(session: AsyncSession, batch_id: UUID) -> PrintBatch:
    """One batch."""
    batch = await session.get(PrintBatch, batch_id, populate_existing=True)
    if batch is None:
        raise NotFound
    return batch


def files_of(batch: PrintBatch) -> int:
    """How many files the batch has."""
    return -(-batch.total // FILE)


# ---- making ----


async def step_job(
    session: AsyncSession, payload: dict[str, Any], now: datetime, *, settings: Settings, vault: Vault
) -> None:
    """The job: makes the next thousand cards, and owes the next step."""
    batch = await step(session, vault, UUID(str(payload["batch_id"])), settings=settings, now=now)
    if batch is not None and batch.state is BatchState.MAKING:
        await _owe(session, batch, now)


async def step(
    session: AsyncSession, vault: Vault, batch_id: UUID, *, settings: Settings, now: datetime
) -> PrintBatch | None:
    """Makes the next cards of a batch; None where there is no such batch any more."""
    batch = (
        await session.execute(
            select(PrintBatch)
            .where(col(PrintBatch.id) == batch_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).scalar_one_or_none()
    if batch is None or batch.state is not BatchState.MAKING:
        return batch
    rows = await session.execute(
        select(col(BatchPlace.position), col(BatchPlace.person_id))
        .where(
            col(BatchPlace.batch_id) == batch_id,
            col(BatchPlace.position) > batch.done,
            col(BatchPlace.position) <= batch.done + AT_ONCE,
        )
        .order_by(col(BatchPlace.position))
    )
    places = {person_id: position for position, person_id in rows}
    made = await _make(session, vault, batch, list(places), settings=settings, now=now)
    await update_rows(
        session,
        table_of(BatchPlace),
        ("batch_id", "position"),
        ("card_id",),
        [(batch_id, places[person_id], card_id) for person_id, card_id in made.items()],
    )
    batch.done = min(batch.done + AT_ONCE, batch.total)
    # A place can have gone with its person: then it is passed over like everybody who got none.
    batch.passed_over = batch.done - await _made_until(session, batch)
    batch.moved_at = now
    if batch.done == batch.total:
        batch.state, batch.finished_at = BatchState.READY, now
    session.add(batch)
    note(session, None, "print-batch.made", ("print-batch", batch_id), now=now, cards=len(made))
    await session.flush()
    return batch


async def _made_until(session: AsyncSession, batch: PrintBatch) -> int:
    made = await session.execute(
        select(func.count())
        .select_from(BatchPlace)
        .where(col(BatchPlace.batch_id) == batch.id, col(BatchPlace.card_id).is_not(None))
    )
    return made.scalar_one()


async def _make(
    session: AsyncSession,
    vault: Vault,
    batch: PrintBatch,
    person_ids: Sequence[UUID],
    *,
    settings: Settings,
    now: datetime,
) -> dict[UUID, UUID]:
    """Makes cards for these; gives each person's card. Who became somebody else, has one, or no name, gets none."""
    roots = await people.roots(session, person_ids)
    due = {person_id for person_id in person_ids if roots.get(person_id) == person_id}
    due -= await _forgotten(session, due)
    if not batch.replacing:
        due -= await _supplied(session, due, now)
    identities = await people.identities_of(session, vault, due)
    names = {
        person_id: name
        for person_id, one in identities.items()
        if (name := card_name(one.family_name, one.given_name))
    }
    papers = await issue_printed_to_all(session, vault, settings, names, now=now)
    if not papers:
        return {}
    cards = await _keep(session, vault, papers, identities, settings=settings, now=now)
    today = day_of(now, settings.zone)
    if batch.active_from is not None and batch.active_from > today:
        places = [(paper.place.status_list, paper.place.index) for paper in papers.values()]
        await set_status(session, places, Status.SUSPENDED, now=now)
    counts_from = max(batch.active_from or today, today)
    written = [notices.write(person_id, NOTICE, {"day": counts_from}, now=now) for person_id in cards]
    await notices.owe_all(session, written, now=now)
    return cards


async def _forgotten(session: AsyncSession, person_ids: Collection[UUID]) -> set[UUID]:
    rows = await session.execute(
        select(col(Person.id)).where(
            among(col(Person.id), list(person_ids)), col(Person.forgotten_at).is_not(None)
        )
    )
    return set(rows.scalars())


async def _supplied(session: AsyncSession, person_ids: Collection[UUID], now: datetime) -> set[UUID]:
    rows = await session.execute(
        select(col(PrintedCard.person_id))
        .join(Credential, col(Credential.id) == col(PrintedCard.credential_id))
        .where(
            among(col(PrintedCard.person_id), list(person_ids)),
            col(PrintedCard.ended_at).is_(None),
            col(PrintedCard.expires_at) > now,
            col(Credential.revoked_at).is_(None),
        )
    )
    return set(rows.scalars())


async def _keep(
    session: AsyncSession,
    vault: Vault,
    papers: Mapping[UUID, Paper],
    identities: Mapping[UUID, PersonIdentity],
    *,
    settings: Settings,
    now: datetime,
) -> dict[UUID, UUID]:
    """Keeps the cards; earlier ones of the same persons end with that."""
    cards = {person_id: uuid4() for person_id in papers}
    earlier = await session.execute(
        update(PrintedCard)
        .where(among(col(PrintedCard.person_id), list(papers)), col(PrintedCard.ended_at).is_(None))
        .values(ended_at=now)
        .returning(col(PrintedCard.id), col(PrintedCard.person_id), col(PrintedCard.credential_id))
        .execution_options(synchronize_session=False)
    )
    before = earlier.all()
    await revoke(session, [row[2] for row in before], Revocation.REPLACED, now=now)
    keys = await people.keys_of(session, vault, list(papers), make=True)
    numbers = await _numbers(session, len(papers))
    rows = [
        (
            cards[person_id],
            person_id,
            paper.credential_id,
            number,
            seal_face(
                cards[person_id],
                keys[person_id],
                printed_text(settings.code_host, paper.signed),
                identities[person_id],
            ),
            now,
            paper.expires_at,
        )
        for (person_id, paper), number in zip(papers.items(), numbers, strict=True)
    ]
    columns = ("id", "person_id", "credential_id", "number", "sealed", "printed_at", "expires_at")
    await insert_rows(session, table_of(PrintedCard), columns, rows)
    await update_rows(
        session,
        table_of(PrintedCard),
        ("id",),
        ("replaced_by",),
        [(card_id, cards[person_id]) for card_id, person_id, _ in before],
    )
    return cards


async def _numbers(session: AsyncSession, count: int) -> list[str]:
    """So many card numbers that no card has: among 190,000 of eleven digits, two alike are to be expected."""
    found: set[str] = set()
    while len(found) < count:
        drawn = {card_number(draw_digits()) for _ in range(count - len(found))}
        taken = await session.execute(
            select(col(PrintedCard.number)).where(among(col(PrintedCard.number), list(drawn)))
        )
        found |= drawn - set(taken.scalars())
    return sorted(found)


# ---- drawing ----


async def faces(
    session: AsyncSession,
    vault: Vault,
    caller: Caller | None,
    batch: PrintBatch,
    number: int,
    *,
    settings: Settings,
    now: datetime,
) -> list[Face]:
    """What is printed in one file, in the order of its places; cards that no longer count are left out.

    BatchNotReady until the places of this file have been made, and once the batch is closed.
    """
    first, last = (number - 1) * FILE + 1, min(number * FILE, batch.total)
    if not 1 <= number <= files_of(batch):
        raise NotFound
    if batch.state is BatchState.CLOSED or batch.done < last:
        raise BatchNotReady
    rows = await session.execute(
        select(PrintedCard)
        .join(BatchPlace, col(BatchPlace.card_id) == col(PrintedCard.id))
        .join(Credential, col(Credential.id) == col(PrintedCard.credential_id))
        .where(
            col(BatchPlace.batch_id) == batch.id,
            col(BatchPlace.position).between(first, last),
            col(PrintedCard.ended_at).is_(None),
            col(Credential.revoked_at).is_(None),
            col(PrintedCard.expires_at) > now,
        )
        .order_by(col(BatchPlace.position))
    )
    cards = rows.scalars().all()
    keys = await people.keys_of(session, vault, [card.person_id for card in cards])
    said = await title(session)
    drawn = [
        face_of(card, keys[card.person_id], title=said, language=batch.language, zone=settings.zone)
        for card in cards
        if card.person_id in keys
    ]
    note(
        session,
        caller,
        "print-batch.file-drawn",
        ("print-batch", batch.id),
        now=now,
        file=number,
        cards=len(drawn),
    )
    return drawn


# ---- closing, activating ----


async def close(session: AsyncSession, caller: Caller | None, batch_id: UUID, now: datetime) -> PrintBatch:
    """Says that the print house has its files, or gives a batch up; what is made stays made."""
    closed = await session.execute(
        update(PrintBatch)
        .where(col(PrintBatch.id) == batch_id, col(PrintBatch.state) != BatchState.CLOSED)
        .values(state=BatchState.CLOSED, closed_at=now, moved_at=now)
        .returning(col(PrintBatch.id))
        .execution_options(synchronize_session=False)
    )
    if closed.scalar_one_or_none() is not None:
        note(session, caller, "print-batch.closed", ("print-batch", batch_id), now=now)
    return await get(session, batch_id)


async def turn(session: AsyncSession, _payload: dict[str, Any], now: datetime, *, settings: Settings) -> None:
    """The nightly job: activates cards whose day has come, closes what nobody closed, forgets who was in it."""
    today = day_of(now, settings.zone)
    due = await session.execute(
        select(PrintBatch)
        .where(
            col(PrintBatch.active_from) <= today,
            col(PrintBatch.activated_at).is_(None),
            col(PrintBatch.state) != BatchState.MAKING,
        )
        .with_for_update()
    )
    for batch in due.scalars().all():
        await _activate(session, batch, now)
    old = await session.execute(
        select(col(PrintBatch.id)).where(
            col(PrintBatch.state) == BatchState.READY, col(PrintBatch.finished_at) <= now - OPEN_FOR
        )
    )
    for batch_id in old.scalars().all():
        await close(session, None, batch_id, now)
    over = select(col(PrintBatch.id)).where(
        col(PrintBatch.state) == BatchState.CLOSED,
        col(PrintBatch.active_from).is_(None) | col(PrintBatch.activated_at).is_not(None),
    )
    await session.execute(delete(BatchPlace).where(col(BatchPlace.batch_id).in_(over)))


async def _activate(session: AsyncSession, batch: PrintBatch, now: datetime) -> None:
    rows = await session.execute(
        select(col(Credential.status_list), col(Credential.status_index))
        .join(PrintedCard, col(PrintedCard.credential_id) == col(Credential.id))
        .join(BatchPlace, col(BatchPlace.card_id) == col(PrintedCard.id))
        # What was taken back in the meantime stays so: the lists know no way back from invalid.
        .where(col(BatchPlace.batch_id) == batch.id, col(Credential.revoked_at).is_(None))
    )
    changed = await set_status(session, [(row[0], row[1]) for row in rows], Status.VALID, now=now)
    batch.activated_at = now
    session.add(batch)
    note(
        session,
        None,
        "print-batch.activated",
        ("print-batch", batch.id),
        now=now,
        cards=len(changed),
    )
    await session.flush()
