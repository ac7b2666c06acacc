from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.bulk import among, insert_new
from entitlements.people.models import Person
from tests.conftest import NOON


async def some(session: AsyncSession, count: int) -> list[UUID]:
    ids = [uuid4() for _ in range(count)]
    await insert_new(session, Person, [{"id": one, "created_at": NOON} for one in ids])
    return ids


async def test_any_number_of_ids_is_asked_for_in_one_statement(session: AsyncSession) -> None:
    ids = await some(session, 40)
    wanted = [*ids[:7], uuid4()]
    asked = select(col(Person.id)).where(among(col(Person.id), wanted))
    assert set((await session.execute(asked)).scalars()) == set(ids[:7])
    others = select(func.count()).select_from(Person).where(~among(col(Person.id), wanted))
    assert (await session.execute(others)).scalar_one() == 33
    nobody = select(col(Person.id)).where(among(col(Person.id), []))
    assert (await session.execute(nobody)).all() == []


@pytest.mark.parametrize("count", [1, 5])
async def test_the_ids_can_be_given_later(session: AsyncSession, count: int) -> None:
    ids = await some(session, 5)
    asked = select(col(Person.id)).where(among(col(Person.id), "whom"))
    found = await session.execute(asked, {"whom": ids[:count]})
    assert set(found.scalars()) == set(ids[:count])


async def test_what_is_there_already_is_passed_over(session: AsyncSession) -> None:
    (first,) = await some(session, 1)
    new = uuid4()
    await insert_new(session, Person, [{"id": one, "created_at": NOON} for one in (first, new)])
    found = await session.execute(select(col(Person.id)).order_by(col(Person.created_at)))
    assert set(found.scalars()) == {first, new}


async def test_an_index_answers_for_a_list_of_ids(session: AsyncSession) -> None:
    if session.get_bind().dialect.name != "sqlite":
        pytest.skip("the other planner weighs costs, and a small table is read whole")
    asked = select(col(Person.id)).where(among(col(Person.id), [uuid4()]))
    compiled = asked.compile(dialect=session.get_bind().dialect)
    connection = await session.connection()
    plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", ("[]",))
    assert any("SEARCH persons" in row[3] for row in plan)
