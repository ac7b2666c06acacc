"""Open accounts, book entries whole and once, read balances, prove the books."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import islice
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Select, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.database import new_id
from core.errors import Conflict
from entitlements.ledger.models import Account, AccountKind, Entry, EntryKind, Posting

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")

CHUNK = 500
"""Rows of one statement; both databases take a few thousand bound values with ease."""


def in_chunks(things: Iterable[T]) -> Iterator[list[T]]:
    """The same things in lists, each small enough for one statement."""
    rest = iter(things)
    while some := list(islice(rest, CHUNK)):
        yield some


class Outcome(StrEnum):
    """What became of an entry that was to be booked."""

    BOOKED = "booked"
    ALREADY = "already"
    """The very same entry stands under its key; nothing was booked again."""
    SHORT = "short"
    """A guarded account would have fallen below zero; nothing was booked at all."""


class KeyTaken(Conflict):
    """The key of an entry stands for another movement of money."""

    slug, title = "entry-key-taken", "This key stands for another entry"


@dataclass(frozen=True, slots=True)
class NewEntry:
    """A movement of money as it is to be booked: cents by account, summing to zero."""

    key: str
    kind: EntryKind
    postings: Mapping[UUID, int]
    service_month: date | None = None

    def __post_init__(self) -> None:
        if len(self.postings) < 2 or sum(self.postings.values()) != 0 or 0 in self.postings.values():
            raise ValueError("the postings of an entry are two or more, move something, and sum to zero")

    @property
    def content_hash(self) -> bytes:
        legs = sorted(f"{account}:{cents}" for account, cents in self.postings.items())
        said = "\n".join([self.kind, self.service_month.isoformat() if self.service_month else "", *legs])
        return hashlib.sha256(said.encode()).digest()


class _Short(Exception):
    """Rolls the savepoint back when a guarded account does not suffice."""


async def account(session: AsyncSession, kind: AccountKind, owner: str, *, now: datetime) -> UUID:
    """The account of this kind and owner, opened when it is asked for the first time."""
    return (await accounts(session, kind, [owner], now=now))[owner]


async def accounts(
    session: AsyncSession, kind: AccountKind, owners: Iterable[str], *, now: datetime
) -> dict[str, UUID]:
    """The accounts of these owners, opened where they do not exist yet."""
    found: dict[str, UUID] = {}
    add = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    for some in in_chunks(sorted(set(owners))):
        wanted = select(col(Account.owner), col(Account.id)).where(
            col(Account.kind) == kind, col(Account.owner).in_(some)
        )
        here = await _pairs(session, wanted)
        missing = [owner for owner in some if owner not in here]
        if missing:
            balance = 0 if kind is AccountKind.ALLOWANCE else None
            await session.execute(
                add(Account)
                .values(
                    [
                        {"id": new_id(), "kind": kind, "owner": o, "balance_cents": balance, "opened_at": now}
                        for o in missing
                    ]
                )
                .on_conflict_do_nothing()
            )
            here = await _pairs(session, wanted)
        found |= here
    return found


async def _pairs(session: AsyncSession, wanted: Select[K, V]) -> dict[K, V]:
    return {row[0]: row[1] for row in await session.execute(wanted)}


async def book(session: AsyncSession, entry: NewEntry, *, now: datetime) -> Outcome:
    """Books one entry once: whole, or not at all where an account that may not fall below zero would."""
    return await book_all(session, [entry], now=now)


async def book_all(session: AsyncSession, entries: Sequence[NewEntry], *, now: datetime) -> Outcome:
    """Books many entries in one go: all that are not booked yet, or none of them.

    ALREADY when each of them stood already; raises KeyTaken when a key stands for something else.
    """
    booked = False
    try:
        async with session.begin_nested():
            for some in in_chunks(entries):
                booked = await _book(session, some, now) or booked
    except _Short:
        return Outcome.SHORT
    return Outcome.BOOKED if booked else Outcome.ALREADY


async def _book(session: AsyncSession, entries: Sequence[NewEntry], now: datetime) -> bool:
    rows = {
        entry.key: {
            "id": new_id(),
            "key": entry.key,
            "content_hash": entry.content_hash,
            "kind": entry.kind,
            "service_month": entry.service_month,
            "booked_at": now,
        }
        for entry in entries
    }
    if len(rows) < len(entries):
        raise ValueError("each entry has a key of its own")
    add = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    # In the order of their keys, so that two callers with the same entries wait and do not deadlock.
    fresh = set(
        (
            await session.execute(
                add(Entry)
                .values([rows[key] for key in sorted(rows)])
                .on_conflict_do_nothing()
                .returning(col(Entry.key))
            )
        ).scalars()
    )
    await _same_content(session, [entry for entry in entries if entry.key not in fresh])
    if not fresh:
        return False
    ids = [rows[key]["id"] for key in fresh]
    await session.execute(
        insert(Posting),
        [
            {"id": new_id(), "entry_id": rows[entry.key]["id"], "account_id": account_id, "cents": cents}
            for entry in entries
            if entry.key in fresh
            for account_id, cents in entry.postings.items()
        ],
    )
    await _move_balances(session, ids)
    return True


async def _same_content(session: AsyncSession, entries: Sequence[NewEntry]) -> None:
    if not entries:
        return
    keys = [entry.key for entry in entries]
    standing = await _pairs(
        session, select(col(Entry.key), col(Entry.content_hash)).where(col(Entry.key).in_(keys))
    )
    if any(standing.get(entry.key) != entry.content_hash for entry in entries):
        raise KeyTaken


async def _move_balances(session: AsyncSession, entry_ids: Sequence[object]) -> None:
    """Moves the guarded balances by what these entries post, or raises when one would fall below zero."""
    touched = (
        select(col(Posting.account_id))
        .where(col(Posting.entry_id).in_(entry_ids))
        .distinct()
        .scalar_subquery()
    )
    # Without the key: the postings of others, which refer to the account, need not wait and cannot deadlock.
    guarded = (
        (
            await session.execute(
                select(col(Account.id))
                .where(col(Account.id).in_(touched), col(Account.balance_cents).is_not(None))
                .order_by(col(Account.id))
                .with_for_update(key_share=True)
            )
        )
        .scalars()
        .all()
    )
    if not guarded:
        return
    moved = (
        select(func.sum(col(Posting.cents)))
        .where(col(Posting.account_id) == Account.id, col(Posting.entry_id).in_(entry_ids))
        .correlate(Account)
        .scalar_subquery()
    )
    after = col(Account.balance_cents) + moved
    done = await session.execute(
        update(Account)
        .where(col(Account.id).in_(guarded), after >= 0)
        .values(balance_cents=after)
        .returning(col(Account.id))
        .execution_options(synchronize_session=False)
    )
    if len(done.scalars().all()) < len(guarded):
        raise _Short


async def balance(session: AsyncSession, account_id: UUID) -> int:
    """What stands on an account now, in cents."""
    return (await balances(session, [account_id])).get(account_id, 0)


async def balances(session: AsyncSession, account_ids: Iterable[UUID]) -> dict[UUID, int]:
    """What stands on these accounts now, in cents: the guarded balance, or the sum of the postings."""
    found: dict[UUID, int] = {}
    for some in in_chunks(sorted(set(account_ids))):
        total = func.coalesce(func.sum(col(Posting.cents)), 0)
        rows = await session.execute(
            select(col(Account.id), func.coalesce(col(Account.balance_cents), total))
            .outerjoin(Posting, col(Posting.account_id) == col(Account.id))
            .where(col(Account.id).in_(some))
            .group_by(col(Account.id), col(Account.balance_cents))
        )
        found |= {id_: int(cents) for id_, cents in rows.all()}
    return found


@dataclass(frozen=True, slots=True)
class Proof:
    """What the books say of themselves; in order when both are empty."""

    unbalanced: tuple[UUID, ...]
    """Entries whose postings do not sum to zero."""
    adrift: tuple[UUID, ...]
    """Guarded accounts whose balance is not the sum of their postings."""

    @property
    def in_order(self) -> bool:
        return not self.unbalanced and not self.adrift


async def prove(session: AsyncSession) -> Proof:
    """Adds up every entry and every guarded account: what an auditor asks of the books."""
    unbalanced = (
        await session.execute(
            select(col(Entry.id))
            .outerjoin(Posting, col(Posting.entry_id) == col(Entry.id))
            .group_by(col(Entry.id))
            .having(or_(func.count(col(Posting.id)) < 2, func.sum(col(Posting.cents)) != 0))
        )
    ).scalars()
    adrift = (
        await session.execute(
            select(col(Account.id))
            .outerjoin(Posting, col(Posting.account_id) == col(Account.id))
            .where(col(Account.balance_cents).is_not(None))
            .group_by(col(Account.id), col(Account.balance_cents))
            .having(col(Account.balance_cents) != func.coalesce(func.sum(col(Posting.cents)), 0))
        )
    ).scalars()
    return Proof(tuple(unbalanced), tuple(adrift))
