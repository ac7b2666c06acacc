"""Of two statements of the same moment the one that arrived later counts, however often they are settled again."""

from datetime import date, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from entitlements.facts.history import Stating, learn
from entitlements.facts.rules import OPEN
from entitlements.facts.service import subjects_on
from tests.entitlements.facts.making import NOON, a_register, some_persons, state

DAY = date(2026, 9, 17)


def day(number: int) -> date:
    return DAY + timedelta(days=number)


async def test_the_later_of_two_in_one_delivery_stays_the_later_one(session: AsyncSession) -> None:
    register = await a_register(session)
    (person,) = await some_persons(session, 1)
    both = [
        Stating(person, False, "sgb2", False, day(2), day(4), NOON),
        Stating(person, False, "sgb2", True, day(0), day(6), NOON),
    ]
    await learn(session, register.id, both, [], NOON)
    before = (await subjects_on(session, [person], day(3)))[person].facts["sgb2"]
    # Of other days: what was said of these must not turn over.
    await state(session, register, person, "sgb2", True, day(20), None, at=NOON + timedelta(hours=1))
    after = (await subjects_on(session, [person], day(3)))[person].facts["sgb2"]
    assert (before.value, after.value) == (True, True)


async def test_the_one_that_was_cut_does_not_count_as_newly_arrived(session: AsyncSession) -> None:
    register = await a_register(session)
    (person,) = await some_persons(session, 1)
    hour = timedelta(hours=1)
    for at, (value, first, following) in enumerate(((True, day(0), OPEN), (False, day(5), day(9)))):
        said = Stating(person, False, "sgb2", value, first, following, NOON)
        await learn(session, register.id, [said], [], NOON + at * hour)
    await state(
        session, register, person, "sgb2", True, day(20), None, at=NOON + 2 * hour, known=NOON + 2 * hour
    )
    for on, value in ((day(4), True), (day(5), False), (day(8), False), (day(9), True)):
        assert (await subjects_on(session, [person], on))[person].facts["sgb2"].value is value
