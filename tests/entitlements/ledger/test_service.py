from uuid import UUID

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.database import Database, new_id
from entitlements.ledger import service
from entitlements.ledger.models import Account, AccountKind, EntryKind, Posting
from entitlements.ledger.service import KeyTaken, NewEntry, Outcome
from tests.conftest import NOON


async def a_pot(session: AsyncSession, cents: int = 0, owner: str | None = None) -> tuple[UUID, UUID]:
    """An allowance with some money on it, and the budget that the money came from."""
    pot = await service.account(session, AccountKind.ALLOWANCE, owner or str(new_id()), now=NOON)
    budget = await service.account(session, AccountKind.BUDGET, "city", now=NOON)
    if cents:
        await service.book(session, given_out(pot, budget, cents), now=NOON)
    return pot, budget


def given_out(pot: UUID, budget: UUID, cents: int, key: str | None = None) -> NewEntry:
    return NewEntry(key or str(new_id()), EntryKind.ACCRUAL, {pot: cents, budget: -cents})


def spent(pot: UUID, partner: UUID, cents: int, key: str | None = None) -> NewEntry:
    return NewEntry(key or str(new_id()), EntryKind.BOOKING, {pot: -cents, partner: cents})


async def test_money_given_out_is_missing_elsewhere(session: AsyncSession) -> None:
    pot, budget = await a_pot(session, 1500)
    assert await service.balances(session, [pot, budget]) == {pot: 1500, budget: -1500}


def test_an_entry_that_does_not_sum_to_zero_cannot_be_written() -> None:
    one, other = new_id(), new_id()
    for postings in ({one: 5, other: -4}, {one: 0, other: 0}, {one: 0}, {}):
        with pytest.raises(ValueError, match="sum to zero"):
            NewEntry("key", EntryKind.ACCRUAL, postings)


async def test_the_same_entry_is_booked_once(session: AsyncSession) -> None:
    pot, budget = await a_pot(session)
    entry = given_out(pot, budget, 700, "the-same")
    assert await service.book(session, entry, now=NOON) is Outcome.BOOKED
    assert await service.book(session, entry, now=NOON) is Outcome.ALREADY
    assert await service.balance(session, pot) == 700


async def test_a_key_stands_for_one_movement_only(session: AsyncSession) -> None:
    pot, budget = await a_pot(session)
    await service.book(session, given_out(pot, budget, 700, "key"), now=NOON)
    with pytest.raises(KeyTaken):
        await service.book(session, given_out(pot, budget, 701, "key"), now=NOON)


async def test_what_is_not_there_cannot_be_spent(session: AsyncSession) -> None:
    pot, _ = await a_pot(session, 1000)
    partner = await service.account(session, AccountKind.PAYABLE, "pool", now=NOON)
    assert await service.book(session, spent(pot, partner, 1001, "k"), now=NOON) is Outcome.SHORT
    assert await service.balances(session, [pot, partner]) == {pot: 1000, partner: 0}
    # The refusal left nothing behind: the key is free, and a smaller booking takes it.
    assert await service.book(session, spent(pot, partner, 1000, "k"), now=NOON) is Outcome.BOOKED
    assert await service.balance(session, pot) == 0


async def test_of_many_entries_all_are_booked_or_none(session: AsyncSession) -> None:
    pot, budget = await a_pot(session, 100)
    partner = await service.account(session, AccountKind.PAYABLE, "pool", now=NOON)
    many = [spent(pot, partner, 60), spent(pot, partner, 60)]
    assert await service.book_all(session, many, now=NOON) is Outcome.SHORT
    assert await service.balance(session, pot) == 100
    assert await service.book_all(session, [*many, given_out(pot, budget, 20)], now=NOON) is Outcome.BOOKED
    assert await service.balance(session, pot) == 0


async def test_more_entries_than_one_statement_holds(session: AsyncSession) -> None:
    pot, budget = await a_pot(session)
    many = [given_out(pot, budget, n + 1, f"month-{n}") for n in range(service.CHUNK * 2 + 3)]
    assert await service.book_all(session, many, now=NOON) is Outcome.BOOKED
    assert await service.book_all(session, many, now=NOON) is Outcome.ALREADY
    count = len(many)
    assert await service.balance(session, pot) == count * (count + 1) // 2


async def test_the_database_itself_keeps_an_allowance_above_zero(database: Database) -> None:
    async with database.writing() as session:
        pot, _ = await a_pot(session, 5)
    with pytest.raises(IntegrityError):
        async with database.writing() as session:
            await session.execute(update(Account).where(col(Account.id) == pot).values(balance_cents=-1))


async def test_the_proof_names_what_was_changed_behind_the_books(session: AsyncSession) -> None:
    pot, _ = await a_pot(session, 500)
    assert (await service.prove(session)).in_order
    await session.execute(update(Account).where(col(Account.id) == pot).values(balance_cents=600))
    assert (await service.prove(session)).adrift == (pot,)
    await session.execute(update(Account).where(col(Account.id) == pot).values(balance_cents=500))
    await session.execute(update(Posting).where(col(Posting.account_id) == pot).values(cents=501))
    proof = await service.prove(session)
    assert len(proof.unbalanced) == 1
    assert not proof.in_order


async def test_two_clubs_at_once_cannot_spend_the_same_fifteen_euros(database: Database) -> None:
    async with database.writing() as session:
        pot, _ = await a_pot(session, 1500)
        clubs = [
            await service.account(session, AccountKind.PAYABLE, f"club-{n}", now=NOON) for n in range(12)
        ]
    outcomes: list[Outcome] = []

    async def take(club: UUID) -> None:
        async def once(session: AsyncSession) -> Outcome:
            return await service.book(session, spent(pot, club, 400), now=NOON)

        outcomes.append(await database.in_transaction(once))

    async with anyio.create_task_group() as tasks:
        for club in clubs:
            tasks.start_soon(take, club)
    assert outcomes.count(Outcome.BOOKED) == 3
    assert outcomes.count(Outcome.SHORT) == 9
    async with database.reading() as session:
        assert await service.balance(session, pot) == 300
        assert (await service.prove(session)).in_order


async def test_a_booking_that_is_retried_at_once_happens_once(database: Database) -> None:
    async with database.writing() as session:
        pot, _ = await a_pot(session, 1500)
        club = await service.account(session, AccountKind.PAYABLE, "club", now=NOON)
    outcomes: list[Outcome] = []

    async def take() -> None:
        async def once(session: AsyncSession) -> Outcome:
            return await service.book(session, spent(pot, club, 400, "one-booking"), now=NOON)

        outcomes.append(await database.in_transaction(once))

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(take)
    assert outcomes.count(Outcome.BOOKED) == 1
    assert outcomes.count(Outcome.ALREADY) == 9
    async with database.reading() as session:
        assert await service.balances(session, [pot, club]) == {pot: 1100, club: 400}


async def test_two_may_ask_for_the_same_account_at_once(database: Database) -> None:
    found: list[UUID] = []

    async def ask() -> None:
        found.append(
            await database.in_transaction(
                lambda session: service.account(session, AccountKind.BUDGET, "jobcenter", now=NOON)
            )
        )

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(ask)
    assert len(found) == 6
    assert len(set(found)) == 1


steps = st.lists(
    st.tuples(st.sampled_from(["give", "spend", "again"]), st.integers(0, 2), st.integers(1, 3000)),
    max_size=25,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps)
async def test_whatever_is_booked_sums_are_exact_and_nothing_falls_below_zero(
    database: Database, steps: list[tuple[str, int, int]]
) -> None:
    async with database.writing() as session:
        pots = [(await a_pot(session))[0] for _ in range(3)]
        budget = await service.account(session, AccountKind.BUDGET, "city", now=NOON)
        partner = await service.account(session, AccountKind.PAYABLE, str(new_id()), now=NOON)
        expected, owed, last = [0, 0, 0], 0, None
        for what, which, cents in steps:
            if what == "again" and last is not None:
                assert await service.book(session, last, now=NOON) is Outcome.ALREADY
                continue
            give = what == "give"
            entry = given_out(pots[which], budget, cents) if give else spent(pots[which], partner, cents)
            enough = give or expected[which] >= cents
            assert await service.book(session, entry, now=NOON) is (
                Outcome.BOOKED if enough else Outcome.SHORT
            )
            if enough:
                expected[which] += cents if give else -cents
                owed += 0 if give else cents
                last = entry
        found = await service.balances(session, [*pots, partner])
        assert [found[pot] for pot in pots] == expected
        assert found[partner] == owed
        assert (await service.prove(session)).in_order
