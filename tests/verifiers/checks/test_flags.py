"""One card at two venues within minutes raises a flag, and nothing anywhere says which venues."""

from datetime import timedelta
from typing import Any

import pytest
from litestar.testing import AsyncTestClient
from sqlalchemy import select

from app import create_app
from core.access.rules import Role
from issuers.credentials.card import CardId
from tests.conftest import NOON
from tests.issuers.makers import make_person
from tests.makers import sign_in
from tests.verifiers.makers import City, Paper, Phone, Till
from verifiers.checks.models import CardFlag
from verifiers.checks.sightings import MOST, Sightings

WITHIN = timedelta(minutes=3)
CARD = CardId(1, 7)


class TestSightings:
    def test_another_venue_within_minutes_is_seen(self) -> None:
        sightings = Sightings(WITHIN)
        assert not sightings.saw(CARD, 1, NOON)
        assert sightings.saw(CARD, 2, NOON + WITHIN)
        assert sightings.saw(CARD, 1, NOON + WITHIN)

    def test_the_same_venue_another_card_and_later_on_are_not(self) -> None:
        sightings = Sightings(WITHIN)
        sightings.saw(CARD, 1, NOON)
        assert not sightings.saw(CARD, 1, NOON + timedelta(seconds=30))
        assert not sightings.saw(CardId(1, 8), 2, NOON + timedelta(seconds=30))
        assert not sightings.saw(CARD, 2, NOON + timedelta(seconds=30) + WITHIN + timedelta(seconds=1))

    def test_a_city_that_wants_no_flags_remembers_nothing(self) -> None:
        sightings = Sightings(timedelta())
        assert not sightings.saw(CARD, 1, NOON)
        assert not sightings.saw(CARD, 2, NOON)
        assert len(sightings) == 0

    def test_what_is_older_is_forgotten_and_there_is_an_end_to_it(self) -> None:
        sightings = Sightings(WITHIN)
        for index in range(MOST + 10):
            sightings.saw(CardId(1, index), 1, NOON)
        assert len(sightings) == MOST
        sightings.saw(CARD, 1, NOON + timedelta(minutes=4))
        assert len(sightings) == 1

    def test_no_two_processes_keep_the_same_of_the_same_visit(self) -> None:
        one, other = Sightings(WITHIN), Sightings(WITHIN)
        for each in (one, other):
            each.saw(CARD, 1, NOON)
        assert one._seen.keys().isdisjoint(other._seen.keys())


async def two_tills(city: City) -> tuple[Till, Till]:
    tills = []
    for _ in range(2):
        venue = await city.venue()
        await city.offer(venue)
        tills.append(await city.till(venue))
    return tills[0], tills[1]


async def somebodys(city: City) -> tuple[Phone, Paper]:
    async with city.database.writing() as session:
        person_id = await make_person(session, city.vault, city.now)
    return await city.phone(person_id=person_id), await city.paper(person_id=person_id)


async def flags(city: City) -> Any:
    answer = await city.client.get("/v1/card-flags", headers=city.operator)
    assert answer.status_code == 200, answer.text
    return answer.json()["flags"]


async def visit(city: City, till: Till, card: Phone | Paper) -> None:
    code = card.code(city.now) if isinstance(card, Phone) else card.code
    assert (await till.check(code)).json()["outcome"] == "accepted"


@pytest.mark.parametrize("on_paper", [False, True])
async def test_a_card_at_two_venues_within_minutes_is_flagged_and_stays_valid(
    city: City, *, on_paper: bool
) -> None:
    here, there = await two_tills(city)
    card = (await somebodys(city))[on_paper]
    await visit(city, here, card)
    await visit(city, here, card) if on_paper else None
    assert await flags(city) == []
    city.clock.forward(timedelta(minutes=2))
    await visit(city, there, card)
    (flag,) = await flags(city)
    assert (flag["day"], flag["times"]) == ("2026-09-16", 1)
    city.clock.forward(timedelta(minutes=1))
    await visit(city, here, card)
    assert [flag["times"] for flag in await flags(city)] == [2]


async def test_a_quick_walk_is_no_flag(city: City) -> None:
    here, there = await two_tills(city)
    phone, paper = await somebodys(city)
    for card in (phone, paper):
        await visit(city, here, card)
    city.clock.forward(timedelta(minutes=3, seconds=1))
    for card in (phone, paper):
        await visit(city, there, card)
    assert await flags(city) == []


async def test_a_refused_card_is_not_seen(city: City) -> None:
    here, there = await two_tills(city)
    phone, _ = await somebodys(city)
    code = phone.code(city.now)
    assert (await here.check(code)).json()["outcome"] == "accepted"
    assert (await there.check(code)).json()["reason"] == "replayed"
    assert await flags(city) == []


async def test_the_holder_is_told_the_next_day_once_and_without_a_place(city: City) -> None:
    here, there = await two_tills(city)
    phone, _ = await somebodys(city)
    for _ in range(2):
        for till in (here, there):
            await visit(city, till, phone)
            city.clock.forward(timedelta(seconds=1))
    await city.run_jobs()

    async def box() -> list[dict[str, Any]]:
        holder = await sign_in(city.database, city.vault, city.now, Role.CITIZEN, person_id=phone.person_id)
        messages = (await city.client.get("/v1/inbox", headers=holder)).json()["messages"]
        return [m for m in messages if m["code"] == "card.two-places"]

    assert await box() == []
    for _ in range(2):
        city.clock.forward(timedelta(days=1))
        await city.run_jobs()
    (message,) = await box()
    assert "16. September 2026" in message["body"]
    assert "Hallenbad" not in message["body"]
    city.clock.forward(timedelta(days=31))
    await city.run_jobs()
    async with city.database.reading() as session:
        assert (await session.execute(select(CardFlag))).first() is None


async def test_nothing_of_the_venues_is_kept(city: City, capfd: pytest.CaptureFixture[str]) -> None:
    here, there = await two_tills(city)
    phone, _ = await somebodys(city)
    capfd.readouterr()
    await visit(city, here, phone)
    city.clock.forward(timedelta(seconds=1))
    await visit(city, there, phone)
    (flag,) = await flags(city)
    assert set(flag) == {"credential_id", "day", "times"}
    columns = CardFlag.__table__.columns  # type: ignore[attr-defined]
    assert set(columns.keys()) == {"credential_id", "person_id", "day", "times", "told"}
    out, err = capfd.readouterr()
    raised = [line for line in (out + err).splitlines() if "card_at_two_venues" in line]
    assert len(raised) == 1
    assert flag["credential_id"] not in out + err
    assert str(phone.person_id) not in out + err


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_city_can_do_without(city: City) -> None:
    here, there = await two_tills(city)
    phone, _ = await somebodys(city)
    silent = city.settings.model_copy(update={"two_venues_minutes": 0})
    application = create_app(silent, city.clock, vault=city.vault, work=False)
    async with AsyncTestClient(application, base_url="https://testserver.local") as client:
        for till in (here, there):
            answer = await till.check(phone.code(city.now), client=client)
            assert answer.json()["outcome"] == "accepted"
            city.clock.forward(timedelta(seconds=1))
    assert await flags(city) == []


async def test_only_operators_read_flags(city: City) -> None:
    assert (await city.client.get("/v1/card-flags")).status_code == 401
    till, _ = await two_tills(city)
    assert (await till.get("/v1/card-flags")).status_code == 403
