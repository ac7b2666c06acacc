"""Requests from the assessment to the answer, as the person, a guardian and a case worker meet them."""

from datetime import date, timedelta
from typing import Any

import anyio
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import select, update

from core.access.rules import Role
from core.database import new_id, tables
from core.vault import Vault
from entitlements.decisions import explaining
from entitlements.decisions.models import Verdict
from entitlements.people.rules import PersonIdentity
from entitlements.people.service import keep_identity, make_guardian
from entitlements.requests.models import BenefitRequest, GoneRequest, RequestState
from entitlements.rulebook.programmes import Outcome
from tests.entitlements.decisions.making import TODAY, City
from tests.issuers.makers import run_jobs
from tests.makers import sign_in

Client = AsyncTestClient[Litestar]
Headers = dict[str, str]
ADULT, CHILD = date(1990, 5, 4), date(2015, 3, 1)
BILDUNG = "bildungskarte"


class Family:
    """A mother with housing benefit, and a child for whom she draws child benefit: § 6b BKGG, on request."""

    def __init__(self, city: City, vault: Vault, client: Client) -> None:
        self.city, self.vault, self.client = city, vault, client

    async def found(self) -> "Family":
        city = self.city
        self.mother = await city.person(ADULT, kindergeld_recipient=True)
        self.child = await city.person(CHILD, kindergeld=True, school_stage="primary")
        await city.household("wohngeld_household", self.mother, self.child)
        await city.state(self.mother, wog=True)
        async with city.database.writing() as session:
            await make_guardian(
                session,
                None,
                self.mother,
                self.child,
                since=CHILD,
                until=date(2033, 2, 28),
                now=city.clock.now(),
            )
        await self.judged()
        return self

    async def judged(self) -> None:
        await self.city.assess(self.mother)
        await self.work()

    async def work(self) -> None:
        await run_jobs(self.city.database, self.city.settings, self.vault, self.city.clock)

    async def guardian(self) -> Headers:
        headers = await sign_in(
            self.city.database, self.vault, self.city.clock.now(), Role.CITIZEN, person_id=self.mother
        )
        return headers | {"Acting-For": str(self.child)}

    async def desk(self) -> Headers:
        headers = await sign_in(self.city.database, self.vault, self.city.clock.now(), Role.CASE_WORKER)
        return headers | {"Acting-For": str(self.child), "Channel": "desk"}

    async def offers(self, headers: Headers | None = None) -> list[dict[str, Any]]:
        answer = await self.client.get("/v1/requests/", headers=headers or await self.guardian())
        assert answer.status_code == 200, answer.text
        return list(answer.json())

    async def answer(
        self, what: str, headers: Headers | None = None, request_id: str | None = None, **body: Any
    ) -> Any:
        if request_id is None:
            (offer,) = await self.offers()
            request_id = offer["id"]
        return await self.client.post(
            f"/v1/requests/{request_id}/{what}",
            headers=headers or await self.guardian(),
            json=body if what == "acceptance" else None,
        )

    async def inbox(self) -> list[str]:
        """What the child is told of the Bildungskarte, the newest first."""
        headers = await self.guardian()
        told = await self.client.get("/v1/inbox", headers=headers)
        return [m["code"] for m in told.json()["messages"] if "Bildungskarte" in m["title"]]


@pytest.fixture
async def family(city: City, vault: Vault, client: Client) -> Family:
    return await Family(city, vault, client).found()


async def rows_about(city: City, *words: object) -> dict[str, int]:
    """How many rows of each table have all of these in them, whatever the column."""
    found: dict[str, int] = {}
    async with city.database.reading() as session:
        for table in tables().sorted_tables:
            rows = [repr(tuple(row)) for row in (await session.execute(select(table))).all()]
            number = sum(all(str(word) in row for word in words) for row in rows)
            if number:
                found[table.name] = number
    return found


# --- the offer ----------------------------------------------------------------------------------------------


async def test_what_the_law_gives_on_request_is_offered_filled_in_and_not_granted(family: Family) -> None:
    assert await family.city.holds(family.child, BILDUNG) is None
    (offer,) = await family.offers()
    assert (offer["programme"], offer["state"]) == (BILDUNG, "open")
    assert offer["expires_on"] == (TODAY + timedelta(days=90)).isoformat()
    assert "BKGG" in offer["why"][0]
    assert "Soziale und kulturelle Teilhabe: 15 Euro im Monat" in offer["brings"]
    facts = {one["fact"]: one for one in offer["filled_in"]}
    assert (facts["kindergeld"]["value"], facts["kindergeld"]["register_label"]) == (
        "ja",
        "die Familienkasse",
    )
    assert facts["school_stage"]["value"] == "Grundschule"
    # What somebody else receives is not part of the form that the child's file holds.
    assert "wog" not in facts
    assert "birth_date" in facts
    assert "birth_date_latest" not in facts
    assert await family.inbox() == ["request.offered"]


async def test_nothing_is_decided_before_somebody_asks(family: Family) -> None:
    assert await family.city.decisions(family.child, BILDUNG) == []
    assert await family.city.pots(family.child) == []


async def test_the_same_night_twice_offers_once(family: Family) -> None:
    before = await family.offers()
    await family.judged()
    await family.city.night()
    await family.work()
    assert [offer["id"] for offer in await family.offers()] == [before[0]["id"]]
    assert (await family.inbox()).count("request.offered") == 1


async def test_an_offer_goes_without_a_word_when_its_ground_is_gone(family: Family) -> None:
    family.city.clock.forward(timedelta(hours=1))
    await family.city.state(family.mother, wog=False)
    await family.judged()
    assert await family.offers() == []
    assert await family.inbox() == []
    assert (await family.city.decision(family.child, BILDUNG)).outcome is Outcome.REFUSED


async def test_another_adult_does_not_see_a_childs_offer(family: Family) -> None:
    stranger = await family.city.person(ADULT)
    headers = await sign_in(
        family.city.database, family.vault, family.city.clock.now(), Role.CITIZEN, person_id=stranger
    )
    assert await family.offers(headers) == []
    (offer,) = await family.offers()
    for what in ("acceptance", "refusal"):
        assert (await family.answer(what, headers, offer["id"])).status_code == 404
    acting = headers | {"Acting-For": str(family.child)}
    assert (await family.client.get("/v1/requests/", headers=acting)).status_code == 404


# --- yes ----------------------------------------------------------------------------------------------------


async def test_one_tap_grants_it_at_once_from_that_day(family: Family) -> None:
    answer = await family.answer("acceptance")
    assert answer.status_code == 201, answer.text
    assert (answer.json()["state"], answer.json()["received_on"]) == ("accepted", TODAY.isoformat())
    held = await family.city.holds(family.child, BILDUNG)
    assert held is not None
    assert (held.since, held.payer) == (TODAY, "city")
    decision = await family.city.decision(family.child, BILDUNG)
    assert decision.outcome is Outcome.GRANTED
    assert decision.cause.startswith("request:")
    await family.work()
    assert await family.inbox() == ["entitlement.granted", "request.offered"]
    async with family.city.database.reading() as session:
        assert (await explaining.replay(session, decision.id)).same


async def test_accepting_twice_grants_once(family: Family) -> None:
    (offer,) = await family.offers()
    answers = []

    async def tap(headers: Headers) -> None:
        answers.append((await family.answer("acceptance", headers, offer["id"])).status_code)

    headers = await family.guardian()
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(tap, headers)
    assert set(answers) <= {201, 409}
    assert 201 in answers
    assert (await family.answer("acceptance", headers, offer["id"])).status_code == 201
    told = await family.city.told(family.child)
    assert [said["programme"] for code, said in told if code == "entitlement.granted"].count(BILDUNG) == 1


async def test_a_letter_counts_from_the_day_on_which_it_arrived(family: Family) -> None:
    arrived = (TODAY - timedelta(days=20)).isoformat()
    assert (await family.answer("acceptance", received_on=arrived)).status_code == 403
    desk = await family.desk()
    tomorrow = (TODAY + timedelta(days=1)).isoformat()
    assert (await family.answer("acceptance", desk, received_on=tomorrow)).status_code == 422
    answer = await family.answer("acceptance", desk, received_on=arrived)
    assert answer.status_code == 201, answer.text
    held = await family.city.holds(family.child, BILDUNG)
    assert held is not None
    assert held.since.isoformat() == arrived


async def test_the_letter_is_filled_in_completely(family: Family) -> None:
    async with family.city.database.writing() as session:
        await keep_identity(
            session,
            family.vault,
            family.child,
            PersonIdentity("Mila", "Öztürk {x}", "2015-03-01", "Weg 1", "44135", "Dortmund"),
            stated_at=family.city.clock.now(),
            now=family.city.clock.now(),
        )
    (offer,) = await family.offers()
    path = f"/v1/requests/{offer['id']}/letter"
    letter = (await family.client.get(path, headers=await family.desk())).text
    for said in (
        "Mila Öztürk {x}",
        "1. März 2015",
        "Weg 1, 44135 Dortmund",
        "Kindergeld: ja",
        "Unterschrift",
        "BKGG",
    ):
        assert said in letter
    plain = (await family.client.get(path + "?lang=de-simple", headers=await family.guardian())).text
    assert "Ich möchte bekommen: Bildungs-Karte" in plain


async def test_a_request_is_used_up_when_its_ground_is_gone(family: Family) -> None:
    await family.answer("acceptance")
    city = family.city
    city.clock.forward(timedelta(hours=1))
    await city.state(family.mother, wog=False)
    await family.judged()
    await city.post()
    await city.until(city.today + timedelta(days=20))
    assert await city.holds(family.child, BILDUNG) is None
    await family.judged()
    await city.state(family.mother, since=city.today, wog=True)
    await family.judged()
    assert await city.holds(family.child, BILDUNG) is None
    assert [offer["state"] for offer in await family.offers()] == ["open"]


async def test_whoever_loses_a_ground_without_request_keeps_it_for_the_grace_and_may_ask(
    city: City, vault: Vault, client: Client
) -> None:
    family = Family(city, vault, client)
    city_ = family.city
    family.mother = await city_.person(ADULT, kindergeld_recipient=True)
    family.child = await city_.person(CHILD, kindergeld=True, school_stage="primary", sgb2=True)
    await city_.household("wohngeld_household", family.mother, family.child)
    async with city_.database.writing() as session:
        await make_guardian(
            session,
            None,
            family.mother,
            family.child,
            since=CHILD,
            until=date(2033, 2, 28),
            now=city_.clock.now(),
        )
    await family.judged()
    assert (await city_.latest(family.child, BILDUNG)).ground == "G2"
    city_.clock.forward(timedelta(hours=1))
    await city_.state(family.child, sgb2=False)
    await city_.state(family.mother, wog=True)
    await family.judged()
    held = await city_.holds(family.child, BILDUNG)
    assert held is not None
    assert held.ends_on == TODAY + timedelta(days=18)
    decision = await city_.decision(family.child, BILDUNG)
    assert [reason["code"] for reason in decision.reasons] == ["no_request"]
    async with city_.database.reading() as session:
        assert (await explaining.replay(session, decision.id)).same
    await family.answer("acceptance")
    held = await city_.holds(family.child, BILDUNG)
    assert held is not None
    assert (held.ends_on, held.status.value) == (None, "active")


# --- no -----------------------------------------------------------------------------------------------------


async def test_nothing_is_kept_of_a_no(family: Family) -> None:
    city, child = family.city, family.child
    (offer,) = await family.offers()
    of_the_offer = await rows_about(city, child, BILDUNG)
    assert of_the_offer.keys() >= {"benefit_requests", "notices", "verdicts"}
    assert (await family.answer("refusal")).status_code == 204
    await family.work()
    left = await rows_about(city, child, BILDUNG)
    # A verdict stands for every programme, decided or not; what comes after this one says that it is open.
    assert left.keys() == {"verdicts", "decisions"}
    assert {d.others.get(BILDUNG, "") for d in await city.decisions(child)} == {"", "undetermined"}
    assert await city.decisions(child, BILDUNG) == []
    async with city.database.reading() as session:
        verdict = await session.get_one(Verdict, (child, BILDUNG))
    assert (verdict.decision_id, verdict.digest, verdict.outcome) == (None, None, None)
    assert await rows_about(city, offer["id"]) == {}
    assert await rows_about(city, "request.") == {}
    async with city.database.reading() as session:
        (gone,) = (await session.execute(select(GoneRequest))).scalars().all()
    assert len(gone.mark) == 32


async def test_the_same_offer_is_not_made_again_and_another_one_is(family: Family) -> None:
    await family.answer("refusal")
    city = family.city
    for _ in range(2):
        await city.night()
        await family.judged()
    assert await family.offers() == []
    assert await family.inbox() == []
    async with city.database.reading() as session:
        assert (await session.execute(select(BenefitRequest))).all() == []
    # Child supplement in place of housing benefit is another ground, and so another offer.
    city.clock.forward(timedelta(hours=1))
    await city.household("registered_household", family.mother, family.child)
    await city.state(family.mother, wog=False)
    await city.state(family.child, kiz=True)
    await family.judged()
    (offer,) = await family.offers()
    assert offer["state"] == "open"


async def test_whoever_changes_their_mind_is_offered_it_again(family: Family) -> None:
    await family.answer("refusal")
    await family.judged()
    assert await family.offers() == []
    answer = await family.client.post(
        "/v1/assessments", json={"person_id": str(family.child)}, headers=await family.desk()
    )
    assert answer.status_code == 201, answer.text
    await family.work()
    (offer,) = await family.offers()
    assert offer["state"] == "open"
    async with family.city.database.reading() as session:
        assert (await session.execute(select(GoneRequest))).all() == []
    assert (await family.answer("acceptance")).status_code == 201
    assert await family.city.holds(family.child, BILDUNG) is not None


async def test_an_offer_that_nobody_answers_goes_the_same_way(family: Family) -> None:
    (offer,) = await family.offers()
    last = date.fromisoformat(offer["expires_on"])
    family.city.clock.forward(last - family.city.today - timedelta(days=7))  # months without a night
    await family.city.until(last)
    assert len(await family.offers()) == 1
    await family.city.night()
    await work_nightly(family)
    assert await family.offers() == []
    assert (await family.answer("acceptance", request_id=offer["id"])).status_code == 404
    assert "benefit_requests" not in await rows_about(family.city, family.child)
    await family.judged()
    assert await family.offers() == []


async def work_nightly(family: Family) -> None:
    from entitlements.requests.service import expire

    async with family.city.database.writing() as session:
        await expire(session, {}, family.city.clock.now(), settings=family.city.settings, vault=family.vault)
    await family.work()


async def test_a_yes_and_a_no_at_once_leave_one_of_them(family: Family) -> None:
    (offer,) = await family.offers()
    headers = await family.guardian()
    answers: dict[str, int] = {}

    async def say(what: str) -> None:
        answers[what] = (await family.answer(what, headers, offer["id"])).status_code

    async with anyio.create_task_group() as tasks:
        for what in ("acceptance", "refusal"):
            tasks.start_soon(say, what)
    held = await family.city.holds(family.child, BILDUNG)
    assert (answers["acceptance"] == 201) is (held is not None)
    assert (answers["refusal"] == 204) is (held is None)


async def test_an_offer_that_is_only_prepared_cannot_be_accepted(family: Family) -> None:
    (offer,) = await family.offers()
    async with family.city.database.writing() as session:
        await session.execute(update(BenefitRequest).values(state=RequestState.PREPARED))
    assert (await family.answer("acceptance", request_id=offer["id"])).status_code == 404
    assert (await family.answer("acceptance", request_id=str(new_id()))).status_code == 404


# --- on the holder's page -----------------------------------------------------------------------------------


async def page(family: Family, headers: Headers, language: str = "de") -> str:
    answer = await family.client.get(f"/card?of=1&lang={language}", headers=headers)
    assert answer.status_code == 200
    return answer.text


async def test_the_page_shows_a_childs_request_and_takes_a_tap(family: Family) -> None:
    headers = await family.guardian()
    del headers["Acting-For"]
    (offer,) = await family.offers()
    assert "Was Sie beantragen können" in await page(family, headers)
    assert "Das können Sie beantragen" in await page(family, headers, "de-simple")
    assert "What you can request" in await page(family, headers, "en")
    path = f"/card/requests/{offer['id']}"
    letter = await family.client.get(f"{path}/letter?of=1&lang=de", headers=headers)
    assert "Ich beantrage: Bildungskarte" in letter.text
    assert 'href="/card?of=1&amp;lang=de"' in letter.text
    assert 'href="?of=1&amp;lang=en"' in letter.text
    elsewhere = await family.client.post(f"{path}/acceptance?of=0", headers=headers, follow_redirects=False)
    assert elsewhere.status_code == 404
    tapped = await family.client.post(f"{path}/acceptance?of=1", headers=headers, follow_redirects=False)
    assert (tapped.status_code, tapped.headers["location"]) == (303, "/card?of=1&lang=de")
    assert await family.city.holds(family.child, BILDUNG) is not None
    assert "Was Sie beantragen können" not in await page(family, headers)


async def test_the_page_says_why_something_is_not_held(family: Family) -> None:
    headers = await family.guardian()
    del headers["Acting-For"]
    lacking = (await page(family, headers)).partition("Was Sie zurzeit nicht bekommen")[2]
    assert "<h3>DeutschlandTicket Schule</h3>\n<ul><li>Sie besuchen keine der Schulen" in lacking
    # What only waits for a yes is no refusal.
    assert "<h3>Bildungskarte</h3>" not in lacking
    assert "Das bekommen Sie im Moment nicht" in await page(family, headers, "de-simple")
    assert "What you do not get at present" in await page(family, headers, "en")


async def test_the_page_takes_a_no(family: Family) -> None:
    headers = await family.guardian()
    del headers["Acting-For"]
    (offer,) = await family.offers()
    answer = await family.client.post(
        f"/card/requests/{offer['id']}/refusal?of=1", headers=headers, follow_redirects=False
    )
    assert answer.status_code == 303
    assert await family.offers() == []
