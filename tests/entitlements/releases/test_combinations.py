"""Nobody can be told by the tariffs on their card: a combination that few would show is not released."""

from collections import Counter

import pytest
from sqlalchemy import select

from core.settings import Mode
from entitlements.facts import service as facts
from entitlements.facts.models import CURRENT
from entitlements.releases import combinations
from entitlements.releases.gate import judged
from entitlements.releases.models import Step
from entitlements.simulations.statements import side_of
from tests.entitlements.releases.making import CASE, NEXT_YEAR, Office, karte
from tests.entitlements.releases.test_service import LIBRARY


@pytest.fixture
def few(town: Office) -> Office:
    """A town in which no combination has as many holders as are asked for."""
    town.settings = town.settings.model_copy(update={"tariff_holders": 1_000_000})
    return town


async def _counted(office: Office) -> Counter[frozenset[str]]:
    async with office.database.reading() as session:
        side = side_of(await office.book(), NEXT_YEAR)
        return await combinations.shown(session, side, on=NEXT_YEAR, today=office.today)


async def test_they_are_counted_as_the_interpreter_would(town: Office) -> None:
    side, wanted = side_of(await town.book(), NEXT_YEAR), Counter[frozenset[str]]()
    async with town.database.reading() as session:
        people = list((await session.execute(select(CURRENT.c.person_id))).scalars())
        subjects = await facts.subjects(session, people, town.today)
    for subject in subjects.values():
        names = {name for _, ruling in judged(side, subject, NEXT_YEAR) for name in ruling.tariffs}
        if names:
            wanted[frozenset(names)] += 1
    assert await _counted(town) == wanted
    assert len(wanted) > 1


async def test_a_tariff_that_few_would_show_is_not_released(few: Office) -> None:
    step, found = await few.stopped_at(LIBRARY)
    assert step is Step.INVARIANTS
    assert {one["code"] for one in found} == {"rare-tariffs"}
    assert any("library and reduced" in str(one["message"]) for one in found)


async def test_in_production_a_thousand_have_to_show_it_unless_the_city_says_another_number(
    town: Office,
) -> None:
    town.settings = town.settings.model_copy(update={"mode": Mode.PRODUCTION})
    step, found = await town.stopped_at(LIBRARY)
    assert (step, {one["code"] for one in found}) == (Step.INVARIANTS, {"rare-tariffs"})
    assert "fewer than 1000 persons" in str(found[0]["message"])
    town.settings = town.settings.model_copy(update={"tariff_holders": 0})
    await town.ready(LIBRARY, whole=True)


async def test_where_enough_show_it_it_passes(town: Office) -> None:
    town.settings = town.settings.model_copy(update={"tariff_holders": 1})
    await town.ready(LIBRARY, whole=True)


async def test_what_was_rare_before_holds_no_other_draft_up(few: Office) -> None:
    check = await few.check(await few.write(karte(["sgb2", "wog", "kiz"]) + CASE))
    assert (await few.steps(check))[Step.INVARIANTS].findings == []
