"""Night by night, or everybody anew: whichever way a city is assessed, everybody ends with the same."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlmodel import col

from entitlements.allowances.models import Approval, CreditedMonth, LumpSum
from entitlements.decisions import service as decisions
from entitlements.decisions.models import Decision, Verdict
from entitlements.facts import service as facts
from entitlements.facts.models import CURRENT
from entitlements.grants.models import Entitlement
from entitlements.rulebook import service as rulebook
from tests.entitlements.decisions.making import LONG_AGO, City
from tests.rulebooks import dortmund

BORN = (date(1990, 5, 4), date(2008, 9, 19), date(2001, 9, 18), date(2015, 3, 1), date(1961, 1, 1))
CHANGES: tuple[dict[str, Any], ...] = (
    {"sgb2": True},
    {"sgb2": False},
    {"wog": True},
    {"kindergeld": True},
    {"school_stage": "sek1"},
    {"main_residence": False},
    {"sgb2": None},
    {"deceased": True},
)


async def standing(city: City) -> dict[str, list[Any]]:
    """Everything that says how people stand, without the ids and moments of the way there."""
    async with city.database.reading() as session:

        async def rows(*columns: Any) -> list[Any]:
            return sorted(map(repr, (await session.execute(select(*columns))).all()))

        v, e, a = Verdict, Entitlement, Approval
        return {
            "verdicts": await rows(
                col(v.person_id),
                col(v.programme),
                col(v.outcome),
                col(v.digest),
                col(v.timeline_hash),
                col(v.next_change_on),
                col(v.look_on),
            ),
            "entitlements": await rows(
                col(e.person_id),
                col(e.programme),
                col(e.ground),
                col(e.payer),
                col(e.tariffs),
                col(e.since),
                col(e.until),
                col(e.status),
                col(e.ends_on),
                col(e.end_reason),
                col(e.renewable),
            ),
            "approvals": await rows(
                col(a.person_id), col(a.kind), col(a.payer), col(a.since), col(a.until), col(a.state)
            ),
            "months": await rows(
                col(CreditedMonth.person_id), col(CreditedMonth.kind), col(CreditedMonth.month)
            ),
            "sums": await rows(col(LumpSum.person_id), col(LumpSum.kind), col(LumpSum.due)),
            "decisions": await rows(
                col(Decision.person_id), col(Decision.programme), col(Decision.outcome), col(Decision.until)
            ),
        }


async def everybody_anew(city: City) -> None:
    """Judges every person by the interpreter, whatever day they would be looked at next."""
    async with city.database.writing() as session:
        await facts.rebuild(session, city.today)
        people: Iterable[UUID] = (await session.execute(select(CURRENT.c.person_id))).scalars().all()
        await decisions.assess(
            session, people, now=city.clock.now(), settings=city.settings, cause="night", alone=True
        )


async def change(city: City, random: Random, people: list[UUID]) -> None:
    """Something is learned of somebody, now or for some days to come; whoever shares a home is judged too."""
    person, stated = random.choice(people), random.choice(CHANGES)
    since = city.today + timedelta(days=random.choice([-200, -3, 0, 0, 1, 2]))
    until = random.choice([None, None, city.today + timedelta(days=random.choice([0, 1, 19, 20]))])
    if "deceased" in stated or (until is not None and until < since):
        until = None
    await city.state(person, since=max(since, LONG_AGO), until=until, **stated)
    await city.assess(person)


@pytest.mark.parametrize("seed", range(4))
async def test_every_night_alone_leads_to_where_everybody_anew_leads(city: City, seed: int) -> None:
    random = Random(seed)
    people = [
        await city.person(random.choice(BORN), sgb2=random.random() < 0.4, kindergeld=random.random() < 0.3)
        for _ in range(7)
    ]
    await city.household("bedarfsgemeinschaft", *people[:3])
    await city.household("registered_household", *people[2:5])
    async with city.database.writing() as session:
        await facts.refresh(session, people, city.today)
    for day in range(4):
        await city.night()
        city.clock.forward(timedelta(hours=1))
        for _ in range(random.randint(0, 2)):
            await change(city, random, people)
            city.clock.forward(timedelta(minutes=1))
        if day == 1:
            await another_rule(city)
    await city.night()
    by_night = await standing(city)
    # Everybody anew on the same day: whatever the nights had left out would now be another.
    await everybody_anew(city)
    assert await standing(city) == by_night


async def another_rule(city: City) -> None:
    """From tomorrow on, the pass is given on two grounds less."""
    book = dortmund()
    rules = book.programmes["sozialpass"]
    last = rules.versions[-1]
    from_tomorrow = city.today + timedelta(days=1)
    newer = replace(last, since=from_tomorrow, grounds=last.grounds[:-2])
    changed = replace(rules, versions=(*rules.versions[:-1], replace(last, until=city.today), newer))
    programmes = {**book.programmes, "sozialpass": changed}
    async with city.database.writing() as session:
        await rulebook.load(session, replace(book, programmes=programmes), city.clock.now())
