"""Whoever is alike in everything that a rule looks at is told the same; nobody is told what another is told."""

from datetime import date
from random import Random

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from entitlements.decisions.alike import Docket
from entitlements.facts import service as facts
from entitlements.facts.models import CURRENT
from entitlements.rulebook.programmes import Outcome
from entitlements.rulebook.rules import decide
from tests.entitlements.facts.making import a_register
from tests.entitlements.language.citizens import settle_in, wide_rows
from tests.rulebooks import dortmund


@pytest.mark.parametrize("on", [date(2026, 9, 16), date(2026, 8, 20), date(2027, 2, 1)], ids=str)
async def test_a_docket_tells_everybody_what_the_rule_tells_them(session: AsyncSession, on: date) -> None:
    book, random = dortmund(), Random(5)
    register = await a_register(session)
    await settle_in(await session.connection(), list(wide_rows(400, on, register.id, seed=on.month)))
    ids = (await session.execute(select(CURRENT.c.person_id))).scalars().all()
    subjects, parameters = await facts.subjects(session, ids, on), book.parameters_on(on)
    same, asked = 0, 0
    for name in book.order():
        version = book.programmes[name].on(on)
        assert version is not None
        docket = Docket(version, parameters, on)
        for subject in subjects.values():
            held = random.choice([None, None, date(2026, 2, 2), on])
            others = {d.programme: random.choice(list(Outcome)) for d in version.depends_on}
            told = docket.weigh(subject, held_since=held, others=others).ruling
            assert told == decide(version, subject, parameters, on, held_since=held, others=others)
            asked += 1
        same += asked - docket.size
    assert same > 0
