from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.access.rules import Role
from core.vault import Vault
from entitlements.decisions import explaining
from entitlements.facts.contradictions import contradictions
from entitlements.people.merging import merge
from entitlements.rulebook.programmes import Outcome
from tests.entitlements.decisions.making import City
from tests.entitlements.facts.making import state
from tests.makers import sign_in

Client = AsyncTestClient[Litestar]
TICKET, BILDUNG = "deutschlandticket-schule", "bildungskarte"
YOUTH = date(2006, 3, 1)


async def says(city: City, register: str, person: UUID, fact: str, value: Any) -> None:
    async with city.database.writing() as session:
        await state(
            session, city.registers[register], person, fact, value, date(2026, 1, 1), None,
            at=city.clock.now(), known=city.clock.now(),
        )  # fmt: skip


@pytest.fixture
async def pupil(city: City) -> UUID:
    """An adult at school, of whom the school and the school office tell different things."""
    found = await city.person(YOUTH, sgb2=True, school_full_time=True)
    await says(city, "school", found, "school_stage", "sek2")
    await says(city, "schulverwaltungsamt", found, "school_stage", "none")
    await city.assess(found)
    return found


async def test_two_registers_that_differ_are_for_a_human_to_settle(city: City, pupil: UUID) -> None:
    decision = await city.decision(pupil, BILDUNG)
    assert decision.outcome is Outcome.REFER
    assert [(r["code"], r["params"]["fact"]) for r in decision.reasons] == [
        ("registers_contradict", "school_stage"),
        ("missing_fact", "training_pay"),
    ]
    assert (await city.assess(pupil)).decisions == 0


async def test_what_nobody_said_stays_open_and_is_no_contradiction(silent_city: City) -> None:
    person = await silent_city.person(YOUTH, sgb2=True)
    await silent_city.assess(person)
    assert (await silent_city.decision(person, BILDUNG)).outcome is Outcome.UNDETERMINED


async def test_a_case_worker_sees_both_statements(
    client: Client, city: City, vault: Vault, pupil: UUID
) -> None:
    headers = await sign_in(city.database, vault, city.clock.now(), Role.CASE_WORKER)
    page = (await client.get("/v1/referrals/", headers=headers)).json()
    (waiting,) = [one for one in page["referrals"] if one["decision"]["programme"] == BILDUNG]
    (differs,) = waiting["contradictions"]
    assert differs["member_id"] == str(pupil)
    assert {(one["register_kind"], one["value_text"]) for one in differs["statements"]} == {
        ("school", "Sekundarstufe II"),
        ("schulverwaltungsamt", "keine Schule"),
    }


async def test_the_person_is_told_in_neutral_words(
    client: Client, city: City, vault: Vault, pupil: UUID
) -> None:
    headers = await sign_in(city.database, vault, city.clock.now(), Role.CITIZEN, person_id=pupil)
    decision = await city.decision(pupil, BILDUNG)
    for language, words in (
        ("de", "zwei Stellen Verschiedenes"),
        ("de-simple", "Zwei Ämter sagen etwas anderes"),
        ("en", "two offices have told us different things"),
    ):
        answer = await client.get(f"/v1/decisions/{decision.id}/explanation?lang={language}", headers=headers)
        (differs,) = answer.json()["contradictions"]
        assert words in differs["text"]
        assert differs["member_id"] is None
        assert len(differs["statements"]) == 2


async def test_when_one_of_them_gives_way_it_is_decided_and_the_past_can_still_be_replayed(
    client: Client, city: City, vault: Vault, pupil: UUID
) -> None:
    before = await city.decision(pupil, BILDUNG)
    city.clock.forward(timedelta(hours=1))
    await says(city, "schulverwaltungsamt", pupil, "school_stage", "sek2")
    await city.assess(pupil)
    after = await city.decision(pupil, BILDUNG)
    assert after.outcome is Outcome.GRANTED
    async with city.database.reading() as session:
        assert (await explaining.replay(session, before.id)).same
        assert (await explaining.replay(session, after.id)).same
        found = await contradictions(session, [pupil], city.today)
        then = await contradictions(session, [pupil], before.day, before.decided_at)
    assert found == {}
    assert [one.fact for one in then[pupil]] == ["school_stage"]


async def test_what_somebody_else_is_in_doubt_about_is_not_shown_to_the_person(
    client: Client, city: City, vault: Vault
) -> None:
    reader, other = await city.person(YOUTH, school_stage="sek2"), await city.person(date(1990, 5, 4))
    await city.household("wohngeld_household", reader, other)
    await says(city, "wohngeldstelle", other, "wog", True)
    await says(city, "jobcenter", other, "wog", False)
    await city.assess(reader)
    decision = await city.decision(reader, "sozialpass")
    assert decision.outcome is Outcome.REFER
    headers = await sign_in(city.database, vault, city.clock.now(), Role.CITIZEN, person_id=reader)
    path = f"/v1/decisions/{decision.id}/explanation"
    (differs,) = (await client.get(path, headers=headers)).json()["contradictions"]
    assert (differs["of_household"], differs["statements"], differs["member_id"]) == (True, [], None)
    desk = await sign_in(city.database, vault, city.clock.now(), Role.CASE_WORKER)
    desk |= {"Acting-For": str(reader), "Channel": "desk"}
    (differs,) = (await client.get(path, headers=desk)).json()["contradictions"]
    assert (differs["member_id"], len(differs["statements"])) == (str(other), 2)


async def test_of_somebody_at_the_same_address_not_even_the_doubt_is_shown(
    client: Client, city: City, vault: Vault
) -> None:
    reader, other = await city.person(YOUTH), await city.person(date(1990, 5, 4))
    await city.household("registered_household", reader, other)
    await says(city, "familienkasse", other, "kiz", True)
    await says(city, "jobcenter", other, "kiz", False)
    await city.assess(reader)
    decision = await city.decision(reader, "dortmund-karte")
    assert decision.outcome is Outcome.REFER
    path = f"/v1/decisions/{decision.id}/explanation"
    headers = await sign_in(city.database, vault, city.clock.now(), Role.CITIZEN, person_id=reader)
    assert (await client.get(path, headers=headers)).json()["contradictions"] == []
    desk = await sign_in(city.database, vault, city.clock.now(), Role.CASE_WORKER)
    desk |= {"Acting-For": str(reader), "Channel": "desk"}
    (differs,) = (await client.get(path, headers=desk)).json()["contradictions"]
    assert differs["member_id"] == str(other)


async def test_two_who_turn_out_to_be_one_can_contradict_each_other(city: City) -> None:
    one, other = await city.person(YOUTH), await city.person(YOUTH)
    await says(city, "school", one, "school_stage", "sek2")
    await says(city, "school", other, "school_stage", "bk_full")
    async with city.database.writing() as session:
        assert await contradictions(session, [one, other], city.today) == {}
        await merge(session, None, other, one, city.clock.now() + timedelta(minutes=1))
        found = await contradictions(session, [one], city.today)
        before = await contradictions(session, [one], city.today, city.clock.now())
    assert [(d.fact, {s.value for s in d.statements}) for d in found[one]] == [
        ("school_stage", {"sek2", "bk_full"})
    ]
    assert before == {}
