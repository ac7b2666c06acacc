"""What a register said and nobody could read: the decision stays open, says who knows, and ends nothing."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.access.rules import Role
from core.vault import Vault
from entitlements.decisions import everybody
from entitlements.facts import service as facts
from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS
from entitlements.facts.contradictions import contradictions
from entitlements.facts.history import Stating, learn
from entitlements.facts.rules import OPEN, UNREAD
from entitlements.grants.models import Standing
from entitlements.registers.service import lists_of
from entitlements.rulebook.programmes import Outcome
from tests.entitlements.decisions.making import LONG_AGO, TODAY, City
from tests.makers import sign_in

Client = AsyncTestClient[Litestar]
KARTE, BILDUNG = "dortmund-karte", "bildungskarte"
ADULT, CHILD = date(1990, 5, 4), date(2015, 3, 1)


async def unreadable(
    city: City, person: UUID, *kinds: str, by: str | None = None, since: date = LONG_AGO
) -> None:
    """A register's list named the person in rows about these facts or homes that nobody could read."""
    now = city.clock.now()
    async with city.database.writing() as session:
        for kind in kinds:
            suppliers = CATALOGUE[kind].suppliers if kind in CATALOGUE else HOUSEHOLDS[kind].suppliers
            register = city.registers[by or suppliers[0]]
            said = Stating(person, False, kind, UNREAD, since, OPEN, now)
            await learn(session, register.id, [said], await lists_of(session, register.id), now)


async def explained(client: Client, city: City, vault: Vault, person: UUID, programme: str) -> dict[str, Any]:
    headers = await sign_in(city.database, vault, city.clock.now(), Role.CITIZEN, person_id=person)
    decision = await city.decision(person, programme)
    answer = await client.get(f"/v1/decisions/{decision.id}/explanation?lang=de", headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_the_decision_stays_open_and_names_the_fact_and_who_knows_it(
    client: Client, city: City, vault: Vault
) -> None:
    person = await city.person(ADULT)
    await unreadable(city, person, "sgb2")
    await city.assess(person)
    decision = await city.decision(person, KARTE)
    assert decision.outcome is Outcome.UNDETERMINED
    assert decision.missing == [{"fact": "sgb2", "register": "jobcenter"}]
    said = await explained(client, city, vault, person, KARTE)
    assert (said["stands"], said["reproduced"]) == (True, True)
    shown = said["decision"]
    assert shown["outcome"] == "undetermined"
    assert [(one["fact"], one["register_kind"]) for one in shown["missing"]] == [("sgb2", "jobcenter")]
    assert await city.told(person) == []


async def test_a_home_that_could_not_be_read_leaves_open_what_hangs_on_it(city: City) -> None:
    child = await city.person(CHILD, school_stage="primary", kindergeld=True, wog=True)
    await city.assess(child)
    assert (await city.decision(child, BILDUNG)).outcome is Outcome.REFUSED
    await unreadable(city, child, *HOUSEHOLDS)
    await city.assess(child)
    decision = await city.decision(child, BILDUNG)
    assert decision.outcome is Outcome.UNDETERMINED
    assert {one["fact"] for one in decision.missing} <= set(HOUSEHOLDS)


async def test_what_another_register_says_of_the_same_counts(city: City) -> None:
    """Schools and their office may both state it: what one wrote badly, the other one knows."""
    pupil = await city.person(CHILD, sgb2=True, school_stage="primary")
    await unreadable(city, pupil, "school_stage", by="schulverwaltungsamt")
    await city.assess(pupil)
    assert (await city.decision(pupil, BILDUNG)).outcome is Outcome.GRANTED
    async with city.database.reading() as session:
        assert await contradictions(session, [pupil], TODAY) == {}


async def test_what_is_held_without_end_goes_on_as_long_as_nobody_can_read_it(city: City) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    await unreadable(city, person, "sgb2", since=TODAY)
    await city.assess(person)
    for _ in range(40):
        await city.night()
    held = await city.holds(person, KARTE)
    assert held is not None
    assert (held.status, held.ends_on) == (Standing.ACTIVE, None)
    assert (await city.decision(person, KARTE)).outcome is Outcome.UNDETERMINED


async def test_a_run_over_everybody_says_the_same(city: City) -> None:
    people = [await city.person(ADULT) for _ in range(3)]
    await unreadable(city, people[0], "sgb2", *HOUSEHOLDS)
    await unreadable(city, people[1], "sgb2", since=TODAY + timedelta(days=2))
    async with city.database.writing() as session:
        await facts.rebuild(session, city.today)
        run = await everybody.begin(session, cause="asked", now=city.clock.now(), settings=city.settings)
    for _ in range(3):
        more = True
        while more:
            async with city.database.writing() as session:
                more = await everybody.advance(session, run.id, now=city.clock.now(), settings=city.settings)
        assert (await city.assess(*people)).decisions == 0
        await city.night()
    said = [(await city.decision(person, KARTE)).outcome for person in people]
    assert said == [Outcome.UNDETERMINED, Outcome.UNDETERMINED, Outcome.REFUSED]
