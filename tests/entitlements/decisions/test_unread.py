"""What a register said and nobody could read: the decision stays open, says who knows, and ends nothing."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.access.rules import Role
from core.vault import Vault
from entitlements.decisions import everybody
from entitlements.decisions.models import RunState
from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS
from entitlements.facts.history import Stating, learn
from entitlements.facts.rules import OPEN, UNREAD
from entitlements.grants.models import Standing
from entitlements.registers.service import lists_of
from entitlements.rulebook.programmes import Outcome
from tests.entitlements.decisions.making import LONG_AGO, TODAY, City
from tests.makers import sign_in

Client = AsyncTestClient[Litestar]
KARTE, PASS, BILDUNG = "dortmund-karte", "sozialpass", "bildungskarte"
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
    assert decision.missing == [{"fact": "sgb2", "department": "jobcenter"}]
    said = await explained(client, city, vault, person, KARTE)
    assert (said["stands"], said["reproduced"]) == (True, True)
    print(said)


async def test_a_home_that_could_not_be_read_leaves_open_what_hangs_on_it(city: City) -> None:
    child = await city.person(CHILD, school_stage="primary")
    await city.assess(child)
    before = await city.decision(child, BILDUNG)
    await unreadable(city, child, "registered_household", "bedarfsgemeinschaft", "wohngeld_household")
    await city.assess(child)
    after = await city.decision(child, BILDUNG)
    print(before.outcome, before.missing, after.outcome, after.missing)


async def test_what_is_held_goes_on(city: City) -> None:
    person = await city.person(ADULT)
    until = TODAY + timedelta(days=5)
    await city.state(person, until=until, sgb2=True)
    await city.assess(person)
    print(await city.holds(person, KARTE))
    await unreadable(city, person, "sgb2", since=until + timedelta(days=1))
    await city.assess(person)
    for _ in range(60):
        await city.night()
    print(await city.latest(person, KARTE), (await city.decision(person, KARTE)).outcome)
    print(await city.told(person))
    other = await city.person(ADULT)
    await city.state(other, until=city.today + timedelta(days=5), sgb2=True)
    await city.assess(other)
    for _ in range(60):
        await city.night()
    print(await city.latest(other, KARTE), (await city.decision(other, KARTE)).outcome)
