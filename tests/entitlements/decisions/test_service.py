from datetime import date, timedelta
from itertools import pairwise
from uuid import UUID

import anyio
import pytest
from sqlalchemy import select
from sqlmodel import SQLModel, col

from core.clock import first_moment
from core.database import tables
from core.errors import NotFound
from core.jobs.models import Job
from entitlements.decisions import explaining, service
from entitlements.decisions.models import Decision
from entitlements.facts import service as facts
from entitlements.grants import service as grants
from entitlements.grants.models import EndReason, Standing
from entitlements.rulebook.programmes import Outcome
from tests.entitlements.decisions.making import NOON, TODAY, City
from tests.rulebooks import dortmund

ADULT = date(1990, 5, 4)
KARTE, PASS, BILDUNG = "dortmund-karte", "sozialpass", "bildungskarte"
NOTICE_AND_GRACE = timedelta(days=4 + 14)


async def every_row(city: City) -> dict[str, list[tuple[object, ...]]]:
    async with city.database.reading() as session:
        return {
            table.name: sorted(tuple(map(repr, row)) for row in (await session.execute(select(table))).all())  # type: ignore[misc]
            for table in tables().sorted_tables
            # That it was looked at everybody is on record; it changes nothing for anybody.
            if table.name not in {"assessment_runs", "assessed", "jobs", "audit_entries"}
        }


async def changes_owed(city: City, person_id: UUID) -> list[object]:
    """When the right-hand side is told that what this person holds is another."""
    async with city.database.reading() as session:
        rows = await session.execute(
            select(Job).where(col(Job.kind) == "holdings.changed").order_by(col(Job.run_at))
        )
        return [job.run_at for job in rows.scalars() if str(person_id) in job.payload["person_ids"]]


# --- granted ------------------------------------------------------------------------------------------------


async def test_what_the_jobcenter_states_entitles_without_an_application(city: City) -> None:
    person = await city.person(ADULT, sgb2=True)
    done = await city.assess(person)
    assert (done.persons, done.decisions, done.granted) == (1, len(dortmund().programmes), 2)
    held = await city.holds(person, KARTE)
    assert held is not None
    assert (held.ground, held.since, held.tariffs) == ("sgb2", TODAY, ["reduced"])
    assert {params["programme"] for _, params in await city.told(person)} == {KARTE, PASS}
    assert await changes_owed(city, person) == [NOON]


async def test_a_decision_says_by_what_it_was_made(city: City) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    decision = await city.decision(person, PASS)
    assert (decision.outcome, decision.ground, decision.cause) == (Outcome.GRANTED, "sgb2", "delivery")
    assert [reason["code"] for reason in decision.reasons] == ["receives"]
    assert len(decision.rule_hash) == len(decision.parameter_hash) == len(decision.facts_hash) == 64
    assert decision.previous_id is None


async def test_the_same_assessment_twice_writes_nothing(city: City) -> None:
    parent = await city.person(ADULT, sgb2=True)
    child = await city.person(date(2015, 3, 1), sgb2=True, school_stage="primary")
    await city.household("bedarfsgemeinschaft", parent, child)
    await city.assess(parent, child)
    before = await every_row(city)
    done = await city.assess(parent, child)
    assert (done.decisions, done.granted, done.ending) == (0, 0, 0)
    assert await every_row(city) == before


async def test_that_a_day_has_passed_is_no_new_decision(city: City) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    city.clock.forward(timedelta(days=3))
    assert (await city.assess(person)).decisions == 0
    assert len(await city.decisions(person)) == len(dortmund().programmes)


async def test_two_assessments_at_once_grant_once(city: City) -> None:
    people = [await city.person(date(2015, 3, day), sgb2=True, school_stage="primary") for day in (1, 2, 3)]
    await city.household("bedarfsgemeinschaft", *people)
    async with city.database.writing() as session:
        await facts.refresh(session, people, city.today)

    async def assess(first: UUID) -> None:
        await city.database.in_transaction(
            lambda session: service.assess(
                session, [first], now=NOON, settings=city.settings, cause="delivery"
            )
        )

    async with anyio.create_task_group() as tasks:
        for person in people * 2:
            tasks.start_soon(assess, person)
    for person in people:
        assert len(await city.decisions(person)) == len(dortmund().programmes)
        assert [said["programme"] for _, said in await city.told(person)] == [BILDUNG, KARTE, PASS]
        assert sum(pot.balance_cents for pot in await city.pots(person)) == 9 * 1500
    assert await city.books_in_order()


async def test_a_family_of_five_is_entitled_when_one_of_them_is_judged(city: City) -> None:
    mother, father = await city.person(ADULT, sgb2=True), await city.person(date(1988, 1, 9), sgb2=True)
    children = [
        await city.person(date(2010 + n, 6, 1), sgb2=True, school_stage=stage)
        for n, stage in enumerate(["sek1", "sek1", "sek1"])
    ]
    await city.household("bedarfsgemeinschaft", mother, father, *children)
    assert (await city.assess(mother)).persons == 5
    for person in (mother, father, *children):
        assert await city.holds(person, KARTE) is not None
    for child in children:
        assert (await city.holds(child, BILDUNG)) is not None
        assert {pot.approval.payer for pot in await city.pots(child)} == {"jobcenter"}
    assert await city.holds(mother, BILDUNG) is None


async def test_a_wohngeld_family_is_offered_what_the_child_benefit_act_gives_on_request(city: City) -> None:
    parent = await city.person(ADULT)
    child = await city.person(date(2014, 2, 2), kindergeld=True, school_stage="primary")
    await city.household("wohngeld_household", parent, child)
    await city.state(parent, wog=True, kindergeld_recipient=True)
    await city.assess(parent)
    assert await city.holds(child, KARTE) is not None
    assert await city.holds(child, BILDUNG) is None
    assert BILDUNG not in {decision.programme for decision in await city.decisions(child)}
    assert (await city.holds(parent, BILDUNG)) is None


async def test_a_stranger_to_the_registers_is_refused_with_the_reason(city: City) -> None:
    person = await city.person(ADULT)
    await city.assess(person)
    decision = await city.decision(person, KARTE)
    assert decision.outcome is Outcome.REFUSED
    assert [reason["code"] for reason in decision.reasons] == ["no_ground"]
    assert await city.told(person) == []


# --- ends ---------------------------------------------------------------------------------------------------


async def test_when_the_fact_ends_notice_comes_first_then_grace_then_the_end(city: City) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    await city.post()
    city.clock.forward(timedelta(hours=1))
    await city.state(person, sgb2=False)
    assert (await city.assess(person)).ending == 2

    held, last = await city.holds(person, PASS), TODAY + NOTICE_AND_GRACE
    assert held is not None
    assert (held.status, held.ends_on, held.end_reason) == (Standing.ENDING, last, EndReason.GROUND_ENDED)
    assert ("entitlement.ending", {"programme": PASS, "ends_on": last.isoformat()}) in await city.told(person)
    after = first_moment(last + timedelta(days=1), city.settings.zone)
    assert (await changes_owed(city, person))[-1] == after

    await city.post()
    await city.until(last)
    assert await city.holds(person, PASS) is not None
    await city.night()
    assert await city.holds(person, PASS) is None
    assert (await city.latest(person, PASS)).status is Standing.ENDED


async def test_an_end_known_from_the_start_is_announced_in_time_and_comes_on_its_day(city: City) -> None:
    last = TODAY + timedelta(days=40)
    person = await city.person(ADULT)
    await city.state(person, until=last, sgb2=True)
    await city.assess(person)
    await city.post()
    assert ("entitlement.granted-until", {"programme": PASS, "until": last.isoformat()}) in await city.told(
        person
    )

    await city.until(last - NOTICE_AND_GRACE - timedelta(days=1))
    assert (await city.latest(person, PASS)).status is Standing.ACTIVE
    await city.night()
    held = await city.latest(person, PASS)
    assert (held.status, held.ends_on, held.end_reason) == (Standing.ENDING, last, EndReason.FORESEEN)
    assert [code for code, _ in await city.told(person)].count("entitlement.ending") == 2
    await city.until(last)
    assert await city.holds(person, PASS) is not None
    await city.night()
    assert await city.holds(person, PASS) is None


async def test_an_end_that_is_near_at_the_start_comes_with_its_grace_and_one_message(city: City) -> None:
    person = await city.person(ADULT)
    await city.state(person, until=TODAY + timedelta(days=5), sgb2=True)
    await city.assess(person)
    held = await city.holds(person, PASS)
    assert held is not None
    assert (held.status, held.ends_on) == (Standing.ENDING, TODAY + NOTICE_AND_GRACE)
    assert await city.told(person) == [
        ("entitlement.granted-until", {"programme": p, "until": (TODAY + NOTICE_AND_GRACE).isoformat()})
        for p in (KARTE, PASS)
    ]


async def test_a_benefit_that_was_prolonged_before_its_end_goes_on_without_a_word(city: City) -> None:
    last = TODAY + timedelta(days=30)
    person = await city.person(ADULT)
    await city.state(person, until=last, sgb2=True)
    await city.state(person, since=last + timedelta(days=1), until=last + timedelta(days=180), sgb2=True)
    await city.assess(person)
    await city.until(last + timedelta(days=2))
    assert (await city.latest(person, PASS)).status is Standing.ACTIVE
    assert [code for code, _ in await city.told(person)] == ["entitlement.granted-until"] * 2


async def test_a_year_that_is_over_is_renewed_while_the_ground_holds(city: City) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    first = await city.holds(person, KARTE)
    assert first is not None
    assert first.until == date(2027, 9, 15)
    city.clock.forward(timedelta(days=345))
    await city.until(date(2027, 9, 17))
    held = await city.holds(person, KARTE)
    assert held is not None
    assert (held.id, held.status, held.until) == (first.id, Standing.ACTIVE, date(2028, 9, 15))
    assert "entitlement.ending" not in [code for code, _ in await city.told(person)]
    city.clock.forward(timedelta(days=5))
    assert (await city.assess(person)).decisions == 0


async def test_a_fact_that_comes_back_in_the_grace_takes_the_end_back_and_says_so(city: City) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    city.clock.forward(timedelta(hours=1))
    await city.state(person, sgb2=False)
    await city.assess(person)
    await city.post()
    await city.until(TODAY + timedelta(days=5))
    await city.state(person, sgb2=True)
    await city.assess(person)
    held = await city.holds(person, PASS)
    assert held is not None
    assert (held.status, held.ends_on, held.end_reason) == (Standing.ACTIVE, None, None)
    assert (await city.told(person))[-1] == ("entitlement.continues", {"programme": PASS})
    await city.until(TODAY + timedelta(days=30))
    assert await city.holds(person, PASS) is not None


async def test_a_fact_that_comes_back_for_a_while_puts_the_end_off(city: City) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    city.clock.forward(timedelta(hours=1))
    await city.state(person, sgb2=False)
    await city.assess(person)
    await city.post()
    later = TODAY + timedelta(days=25)
    city.clock.forward(timedelta(hours=1))
    await city.state(person, until=later, sgb2=True)
    await city.assess(person)
    held = await city.holds(person, PASS)
    assert held is not None
    assert (held.status, held.ends_on) == (Standing.ENDING, later)
    assert (await city.told(person))[-1] == (
        "entitlement.ending",
        {"programme": PASS, "ends_on": later.isoformat()},
    )


async def test_an_end_waits_for_a_notice_that_has_not_left_the_house(city: City) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    city.clock.forward(timedelta(hours=1))
    await city.state(person, sgb2=False)
    await city.assess(person)
    announced = TODAY + NOTICE_AND_GRACE
    await city.until(announced + timedelta(days=3), post=False)
    assert await city.holds(person, PASS) is not None
    await city.post()
    sent_on = city.today
    await city.until(sent_on + NOTICE_AND_GRACE)
    assert await city.holds(person, PASS) is not None
    await city.night()
    assert await city.holds(person, PASS) is None


async def test_death_ends_everything_at_once_and_writes_to_nobody(city: City) -> None:
    widow, husband = await city.person(ADULT, sgb2=True), await city.person(ADULT, sgb2=True)
    await city.household("bedarfsgemeinschaft", widow, husband)
    await city.assess(widow)
    told = len(await city.told(husband))
    city.clock.forward(timedelta(hours=1))
    await city.state(husband, since=TODAY, deceased=True)
    assert (await city.assess(husband)).revoked == 2
    assert await city.holds(husband, KARTE) is None
    gone = await city.latest(husband, KARTE)
    assert (gone.status, gone.end_reason) == (Standing.REVOKED, EndReason.DEATH)
    assert len(await city.told(husband)) == told
    assert await city.holds(widow, KARTE) is not None
    async with city.database.reading() as session:
        assert (await grants.tariffs_of(session, husband, city.today)).tariff_bits == 0


async def test_a_death_stated_by_mistake_gives_everything_back(city: City) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    city.clock.forward(timedelta(hours=1))
    await city.state(person, since=TODAY, deceased=True)
    await city.assess(person)
    city.clock.forward(timedelta(hours=1))
    await city.state(person, since=TODAY, deceased=False)
    assert (await city.assess(person)).granted == 2
    assert await city.holds(person, KARTE) is not None


# --- not known ----------------------------------------------------------------------------------------------


async def test_what_nobody_has_said_is_undetermined_and_names_the_department(silent_city: City) -> None:
    person = await silent_city.person(ADULT)
    await silent_city.assess(person)
    decision = await silent_city.decision(person, PASS)
    assert decision.outcome is Outcome.UNDETERMINED
    assert {"fact": "sgb2", "register": "jobcenter"} in decision.missing
    assert {"fact": "wog", "register": "wohngeldstelle"} in decision.missing
    assert await silent_city.told(person) == []


async def test_a_register_that_falls_silent_takes_nothing_away(silent_city: City) -> None:
    city = silent_city
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    city.clock.forward(timedelta(hours=1))
    await city.state(person, sgb2=None)
    await city.assess(person)
    assert (await city.decision(person, PASS)).outcome is Outcome.UNDETERMINED
    await city.until(TODAY + timedelta(days=60))
    held = await city.holds(person, PASS)
    assert held is not None
    assert held.status is Standing.ACTIVE
    async with city.database.reading() as session:
        waiting = await service.referrals(session)
    assert (person, PASS, True) in [(d.person_id, d.programme, held) for d, held in waiting]


async def test_silence_lets_a_stated_last_day_stand_and_announces_it(silent_city: City) -> None:
    city, last = silent_city, TODAY + timedelta(days=30)
    person = await city.person(ADULT)
    await city.state(person, until=last, sgb2=True)
    await city.assess(person)
    await city.until(last)
    held = await city.holds(person, PASS)
    assert held is not None
    assert (held.status, held.ends_on) == (Standing.ENDING, last)
    await city.night()
    assert await city.holds(person, PASS) is None


async def test_a_birth_date_known_in_part_goes_to_a_human(city: City) -> None:
    person = await city.person(date(2008, 1, 1), sgb2=True)
    city.clock.forward(timedelta(hours=1))
    await city.state(person, since=date(2008, 1, 1), birth_date_latest=date(2008, 12, 31))
    await city.assess(person)
    async with city.database.reading() as session:
        waiting = await service.referrals(session)
    assert (person, BILDUNG, Outcome.REFER) in [(d.person_id, d.programme, d.outcome) for d, _ in waiting]
    assert await city.holds(person, KARTE) is not None


async def test_referrals_come_page_by_page(city: City) -> None:
    for _ in range(3):
        person = await city.person(date(2008, 1, 1), sgb2=True)
        city.clock.forward(timedelta(hours=1))
        await city.state(person, since=date(2008, 1, 1), birth_date_latest=date(2008, 12, 31))
        await city.assess(person)
    async with city.database.reading() as session:
        whole = [d.id for d, _ in await service.referrals(session)]
        pages, after = list[UUID](), None
        while found := await service.referrals(session, after=after, limit=2):
            pages += [d.id for d, _ in found]
            after = pages[-1]
    assert pages == whole
    assert len(whole) >= 3


# --- the frontier and the night -----------------------------------------------------------------------------


async def test_the_night_judges_whom_a_birthday_changes(city: City) -> None:
    child = await city.person(date(2008, 9, 20), sgb2=True)
    await city.assess(child)
    held = await city.holds(child, KARTE)
    assert held is not None
    assert held.tariffs == ["reduced", "reduced_youth"]
    async with city.database.reading() as session:
        holding = await grants.tariffs_of(session, child, city.today)
    assert holding.tariffs == ("reduced", "reduced_youth", "social_ticket", "education")
    assert (holding.tariff_bits, holding.changes_on) == (0b1111, date(2026, 9, 20))
    await city.until(date(2026, 9, 20))
    held = await city.holds(child, KARTE)
    assert held is not None
    assert held.tariffs == ["reduced"]


async def test_a_benefit_that_begins_later_is_granted_on_its_first_day(city: City) -> None:
    person = await city.person(ADULT)
    await city.state(person, since=TODAY + timedelta(days=10), sgb2=True)
    await city.assess(person)
    await city.until(TODAY + timedelta(days=9))
    assert await city.holds(person, PASS) is None
    await city.night()
    assert await city.holds(person, PASS) is not None


async def test_the_night_leaves_everybody_else_alone(city: City) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    await city.night()
    before = await every_row(city)
    await city.night()
    assert await every_row(city) == before


# --- revoked ------------------------------------------------------------------------------------------------


async def test_what_was_revoked_is_given_again_only_by_a_case_worker(city: City) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    held = await city.holds(person, PASS)
    assert held is not None
    async with city.database.writing() as session:
        await grants.revoke(
            session, held.id, EndReason.FRAUD, caller=None, now=city.clock.now(), settings=city.settings
        )
    assert await city.holds(person, PASS) is None
    assert (await city.told(person))[-1] == ("entitlement.revoked-fraud", {"programme": PASS})
    await city.night()
    await city.assess(person)
    assert await city.holds(person, PASS) is None
    assert (await city.assess(person, cause="case-worker", reinstate=person)).granted == 1
    assert await city.holds(person, PASS) is not None


# --- decisions are kept -------------------------------------------------------------------------------------


async def test_decisions_are_appended_and_name_the_one_before(city: City) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    for value in (False, True):
        city.clock.forward(timedelta(hours=1))
        await city.state(person, sgb2=value)
        await city.assess(person)
    chain = await city.decisions(person, PASS)
    assert [d.outcome for d in chain] == [Outcome.GRANTED, Outcome.REFUSED, Outcome.GRANTED]
    assert all(later.previous_id == earlier.id for later, earlier in pairwise(chain))


async def test_a_decision_can_be_worked_out_again_after_the_facts_were_corrected(city: City) -> None:
    parent, child = (
        await city.person(ADULT, sgb2=True),
        await city.person(date(2015, 3, 1), school_stage="primary"),
    )
    await city.household("bedarfsgemeinschaft", parent, child)
    await city.assess(parent)
    first = [d.id for p in (parent, child) for d in await city.decisions(p)]
    city.clock.forward(timedelta(days=2))
    await city.state(parent, sgb2=False)
    await city.state(child, school_stage="sek1")
    await city.assess(parent)
    assert (await city.decision(child, KARTE)).outcome is Outcome.REFUSED
    async with city.database.reading() as session:
        for decision_id in first:
            again = await explaining.replay(session, decision_id)
            assert again.same


async def test_a_decision_that_was_tampered_with_does_not_come_out_again(city: City) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    async with city.database.writing() as session:
        row = await session.get_one(Decision, (await city.decision(person, PASS)).id)
        row.outcome = Outcome.REFUSED
        await session.flush()
        assert (await explaining.replay(session, row.id)).same_ruling is False


async def test_somebody_elses_decision_is_not_found(city: City) -> None:
    one, other = await city.person(ADULT, sgb2=True), await city.person(ADULT)
    await city.assess(one, other)
    theirs = (await city.decision(one, PASS)).id
    async with city.database.reading() as session:
        with pytest.raises(NotFound):
            await service.decision_of(session, other, theirs)


def test_every_table_says_whose_it_is() -> None:
    for name in (
        "decisions",
        "verdicts",
        "entitlements",
        "notices",
        "approvals",
        "credited_months",
        "lump_sums",
    ):
        assert SQLModel.metadata.tables[name].info["person"] == "person_id"
