"""What an approver has acknowledged ends without being asked once more; anything beyond it waits for a person."""

from datetime import date, timedelta
from uuid import UUID

import pytest

from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from entitlements.decisions import everybody
from entitlements.decisions.everybody import Meant, nothing_meant
from entitlements.decisions.models import Run, RunState
from entitlements.facts import service as facts
from entitlements.grants.models import Standing
from entitlements.releases import service
from entitlements.releases.models import Release
from tests.entitlements.decisions.making import City
from tests.entitlements.releases.making import Office

ADULT = date(1990, 5, 4)
TOMORROW = date(2026, 9, 17)
PASS = "sozialpass"
TWELVE, EIGHT = 12, 8

NARROWER = f"""
programmes:
  - programme: {PASS}
    versions:
      - from: {TOMORROW}
        statute: Tarifbestimmungen
        hit: any
        grounds: [{{name: sgb2, when: sgb2, reason: {{code: receives, fact: sgb2}}, statute: §§ 19 ff. SGB II}}]
        otherwise: no_ground
        validity: {{ends_with: condition}}
        tariffs: [{{name: social_ticket}}]
cases:
  - programme: {PASS}
    cases:
      - {{name: sgb2 stays, day: {TOMORROW}, rest_absent: true, facts: {{sgb2: true}}, expect: {{outcome: granted}}}}
      - {{name: wog goes, day: {TOMORROW}, rest_absent: true, facts: {{wog: true}}, expect: {{outcome: refused}}}}
"""
"""The pass without housing benefit."""


class Town:
    """Twelve who live on housing benefit and eight on another; each holds the card and the pass."""

    def __init__(self, city: City) -> None:
        self.city, self.on_wog, self.on_sgb2 = city, list[UUID](), list[UUID]()
        self.office = Office(city.database, city.settings, city.clock)

    async def settle(self) -> None:
        await self.city.found()
        self.on_wog = [await self.city.person(ADULT, wog=True) for _ in range(TWELVE)]
        self.on_sgb2 = [await self.city.person(ADULT, sgb2=True) for _ in range(EIGHT)]
        assert (await self.night(days=0)).state is RunState.FINISHED

    async def release(self, source: str = NARROWER) -> Release:
        release = await self.office.ready(source, whole=True)
        check = await self.office.checked(release)
        assert check.ends_many
        assert {name: said["persons"] for name, said in check.endings.items()} == {PASS: TWELVE}
        return await self.office.approve(release, acknowledge=True)

    async def night(self, *, days: int = 1, meant: Meant = service.meant_endings) -> Run:
        """Everybody is looked at, as far as it goes without a person."""
        self.city.clock.forward(timedelta(days=days))
        now, database = self.city.clock.now(), self.city.database
        async with database.writing() as session:
            await facts.refresh(session, [*self.on_wog, *self.on_sgb2], self.city.today)
            run = await everybody.begin(session, cause="night", now=now, settings=self.city.settings)
        for _ in range(20):
            async with database.writing() as session:
                if not await everybody.advance(
                    session, run.id, now=now, settings=self.city.settings, meant=meant
                ):
                    break
        async with database.reading() as session:
            return await everybody.get(session, run.id)

    async def let_go(self, run: Run) -> None:
        """A person releases what is held, and it goes to its end."""
        async with self.city.database.writing() as session:
            await everybody.release(session, self.office.approver, run.id, self.city.clock.now())
        for _ in range(20):
            async with self.city.database.writing() as session:
                now, settings = self.city.clock.now(), self.city.settings
                if not await everybody.advance(session, run.id, now=now, settings=settings):
                    break


@pytest.fixture
async def town(
    database: Database, settings: Settings, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> Town:
    monkeypatch.setattr(everybody, "FEW", 2)
    town = Town(City(database, settings, clock))
    await town.settle()
    return town


async def test_what_was_acknowledged_is_carried_out_in_the_night_of_its_day(town: Town) -> None:
    await town.release()
    run = await town.night()
    assert (run.ends, run.state, run.released_by) == (TWELVE, RunState.FINISHED, None)
    assert (await town.city.latest(town.on_wog[0], PASS)).status is Standing.ENDING
    assert (await town.city.latest(town.on_sgb2[0], PASS)).status is Standing.ACTIVE
    assert await town.office.noted("assessment-run.as-meant") == 1


async def test_without_that_word_the_same_night_waits_for_a_person(town: Town) -> None:
    await town.release()
    run = await town.night(meant=nothing_meant)
    assert (run.ends, run.state) == (TWELVE, RunState.HELD)


async def test_more_than_was_acknowledged_waits_for_a_person(town: Town) -> None:
    await town.release()
    for person in town.on_sgb2[:4]:
        await town.city.state(person, sgb2=False)
    # Of the pass a few more than meant, and of the card as many, which nobody has spoken of.
    run = await town.night()
    assert (run.ends, run.state) == (TWELVE + 8, RunState.HELD)


async def test_it_is_meant_for_the_rule_that_was_approved_and_for_no_other(town: Town) -> None:
    await town.release()
    # Another release replaces the rule before its day has come; its endings nobody was asked to acknowledge.
    other = NARROWER.replace("statute: Tarifbestimmungen", "statute: Tarifbestimmungen 2027")
    await town.office.approve(await town.office.ready(other), acknowledge=True)
    run = await town.night()
    assert (run.ends, run.state) == (TWELVE, RunState.HELD)


async def test_it_is_meant_once(town: Town) -> None:
    await town.release()
    async with town.city.database.reading() as session:
        before = await service.meant_endings(session, TOMORROW, town.city.today)
        after = await service.meant_endings(session, TOMORROW + timedelta(days=1), TOMORROW)
        too_early = await service.meant_endings(session, town.city.today, None)
    assert (before, after, too_early) == ({PASS: TWELVE}, {}, {})
    assert (await town.night()).state is RunState.FINISHED
    # The day after, a register takes back from as many what they live on: that is another matter.
    for person in town.on_sgb2:
        await town.city.state(person, sgb2=False)
    run = await town.night()
    assert (run.ends, run.state) == (2 * EIGHT, RunState.HELD)
    await town.let_go(run)


async def test_a_release_that_nobody_acknowledged_lets_nothing_pass(town: Town) -> None:
    release = await town.release()
    release.acknowledged = False
    async with town.city.database.writing() as session:
        await session.merge(release)
    async with town.city.database.reading() as session:
        assert await service.meant_endings(session, TOMORROW, None) == {}
