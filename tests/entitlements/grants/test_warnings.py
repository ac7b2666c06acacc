from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from entitlements.grants import warnings
from entitlements.grants.models import Standing
from entitlements.notices.rules import LANGUAGES, TEXTS, render
from tests.entitlements.decisions.making import TODAY, City

ADULT = date(1990, 5, 4)
PASS, KARTE, BILDUNG = "sozialpass", "dortmund-karte", "bildungskarte"
LAST = TODAY + timedelta(days=100)


async def warn(city: City) -> None:
    async with city.database.writing() as session:
        await warnings.turn(session, {}, city.clock.now(), settings=city.settings)


async def told(city: City, person: UUID, programme: str = PASS) -> list[tuple[str, dict[str, Any]]]:
    """What was said of a programme since it was granted."""
    said = await city.told(person)
    mine = [(code, dict(params)) for code, params in said if params.get("programme", programme) == programme]
    return [(code, params) for code, params in mine if not code.startswith("entitlement.granted")]


async def codes(city: City, person: UUID, programme: str = PASS) -> list[str]:
    return [code.removeprefix("entitlement.") for code, _ in await told(city, person, programme)]


async def nights(city: City, until: date) -> None:
    """Every night until that day, with its warnings."""
    while city.today < until:
        await city.night()
        await warn(city)


@pytest.fixture
async def person(city: City) -> UUID:
    """Somebody whose benefit ends in a hundred days."""
    found = await city.person(ADULT)
    await city.state(found, until=LAST, sgb2=True)
    await city.assess(found)
    await city.post()
    return found


async def leap(city: City, day: date) -> None:
    """Time passes, and nobody works."""
    city.clock.forward(day - city.today)


async def test_people_are_warned_at_each_stage_once_and_then_the_end_is_announced(
    city: City, person: UUID
) -> None:
    for ahead, expected in ((91, []), (90, ["can-end"]), (89, ["can-end"]), (30, ["can-end"] * 2)):
        await leap(city, LAST - timedelta(days=ahead))
        await warn(city)
        await warn(city)
        assert await codes(city, person) == expected
    await nights(city, LAST - timedelta(days=7))
    assert await codes(city, person) == ["can-end", "can-end", "ending", "ends-soon"]
    await nights(city, LAST + timedelta(days=2))
    assert await codes(city, person) == ["can-end", "can-end", "ending", "ends-soon"]
    assert (await city.latest(person, PASS)).status is Standing.ENDED


async def test_a_warning_says_what_ends_when_and_whom_to_ask(city: City, person: UUID) -> None:
    await leap(city, LAST - timedelta(days=90))
    await warn(city)
    ((code, said),) = await told(city, person)
    assert said == {"programme": PASS, "until": LAST.isoformat(), "fact": "sgb2", "register": "jobcenter"}
    texts = {language: render(code, said, language, {PASS: "Sozialpass"}) for language in LANGUAGES}
    assert "das Jobcenter" in texts["de"].body
    assert "Grund-Sicherungs-Geld" in texts["de-simple"].body
    assert "The place to ask is the job centre" in texts["en"].body


async def test_after_nights_that_were_missed_only_the_nearest_stage_is_told(city: City, person: UUID) -> None:
    await leap(city, LAST - timedelta(days=25))
    await warn(city)
    await warn(city)
    assert await codes(city, person) == ["can-end"]


async def test_what_the_message_of_the_grant_said_is_not_said_again_the_next_night(city: City) -> None:
    person = await city.person(ADULT)
    await city.state(person, until=TODAY + timedelta(days=80), sgb2=True)
    await city.assess(person)
    await leap(city, TODAY + timedelta(days=1))
    await warn(city)
    assert await codes(city, person) == []
    await leap(city, TODAY + timedelta(days=50))
    await warn(city)
    assert await codes(city, person) == ["can-end"]


async def test_a_year_that_renews_itself_is_nothing_to_warn_of(city: City) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    held = await city.holds(person, KARTE)
    assert held is not None
    assert held.until is not None
    for ahead in (90, 30, 7):
        await leap(city, held.until - timedelta(days=ahead))
        await warn(city)
    assert await codes(city, person, KARTE) == []


async def test_a_warning_is_taken_back_when_the_end_moves_away(city: City, person: UUID) -> None:
    await leap(city, LAST - timedelta(days=60))
    await warn(city)
    await city.state(person, since=LAST + timedelta(days=1), until=LAST + timedelta(days=365), sgb2=True)
    await city.assess(person)
    await warn(city)
    await warn(city)
    assert await codes(city, person) == ["can-end", "end-moved"]


async def test_an_end_that_only_moves_a_little_is_told_with_its_new_day(city: City, person: UUID) -> None:
    await leap(city, LAST - timedelta(days=60))
    await warn(city)
    later = LAST + timedelta(days=20)
    await city.state(person, since=LAST + timedelta(days=1), until=later, sgb2=True)
    await city.assess(person)
    await warn(city)
    said = await told(city, person)
    assert [(code.removeprefix("entitlement."), params["until"]) for code, params in said] == [
        ("can-end", LAST.isoformat()),
        ("can-end", later.isoformat()),
    ]


async def test_no_warning_contradicts_an_end_that_was_announced(city: City, person: UUID) -> None:
    await leap(city, LAST - timedelta(days=60))
    await warn(city)
    await city.state(person, sgb2=False)
    await city.assess(person)
    await city.post()
    ends_on = city.today + timedelta(days=18)
    await nights(city, ends_on + timedelta(days=1))
    said = await told(city, person)
    assert [code for code, _ in said] == [
        "entitlement.can-end",
        "entitlement.ending",
        "entitlement.ends-soon",
    ]
    assert {params["ends_on"] for _, params in said[1:]} == {ends_on.isoformat()}


async def test_an_announced_end_that_is_taken_back_needs_no_second_word(city: City, person: UUID) -> None:
    await leap(city, LAST - timedelta(days=30))
    await nights(city, LAST - timedelta(days=6))
    await city.state(person, since=LAST + timedelta(days=1), sgb2=True)
    await city.assess(person)
    await warn(city)
    assert (await codes(city, person))[-2:] == ["ends-soon", "continues"]


async def test_an_age_limit_is_named_as_one(city: City) -> None:
    born = TODAY + timedelta(days=40) - timedelta(days=365 * 25 + 6)
    pupil = await city.person(born, sgb2=True, school_stage="sek2")
    await city.assess(pupil)
    held = await city.latest(pupil, BILDUNG)
    assert held.until == date(born.year + 25, born.month, born.day) - timedelta(days=1)
    await leap(city, held.until - timedelta(days=30))
    await warn(city)
    assert await codes(city, pupil, BILDUNG) == ["can-end-by-age"]


async def test_what_rests_on_somebody_else_does_not_say_on_whom(city: City) -> None:
    recipient, reader = await city.person(ADULT), await city.person(ADULT)
    await city.household("wohngeld_household", recipient, reader)
    await city.state(recipient, until=LAST, wog=True)
    await city.assess(reader)
    await leap(city, LAST - timedelta(days=90))
    await warn(city)
    ((_, said),) = await told(city, reader)
    assert (said["fact"], said["register"]) == ("wog", "wohngeldstelle")
    assert str(recipient) not in str(said)


async def test_whoever_turns_eighteen_hears_of_it_once(city: City) -> None:
    birthday = TODAY + timedelta(days=40)
    child = await city.person(birthday.replace(year=birthday.year - 18), sgb2=True)
    stranger = await city.person(birthday.replace(year=birthday.year - 18))
    await city.assess(child, stranger)
    for ahead in (31, 30, 20, 0):
        await leap(city, birthday - timedelta(days=ahead))
        await warn(city)
    of_age = [said for code, said in await city.told(child) if code == "person.of-age"]
    assert of_age == [{"day": birthday.isoformat()}]
    assert await city.told(stranger) == []


async def test_born_on_29_february_one_is_of_age_on_the_first_of_march(city: City) -> None:
    city.clock.at = city.clock.at.replace(year=2026, month=9)
    child = await city.person(date(2008, 2, 29), sgb2=True)
    await city.assess(child)
    await leap(city, date(2026, 9, 17))
    await warn(city)
    assert "person.of-age" not in [code for code, _ in await city.told(child)]
    other = await city.person(date(2009, 2, 28), sgb2=True)
    await city.assess(other)
    await leap(city, date(2027, 1, 29))
    await warn(city)
    assert [said["day"] for code, said in await city.told(other) if code == "person.of-age"] == ["2027-02-28"]


async def test_more_than_fit_into_one_night_are_all_warned(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warnings, "AT_ONCE", 2)
    people = [await city.person(ADULT) for _ in range(3)]
    for one in people:
        await city.state(one, until=LAST, sgb2=True)
    await city.assess(*people)
    await leap(city, LAST - timedelta(days=90))
    async with city.database.writing() as session:
        await warnings.turn(session, {}, city.clock.now(), settings=city.settings)
        from sqlalchemy import select
        from sqlmodel import col

        from core.jobs.models import Job

        seen = 1
        while True:
            rows = await session.execute(select(Job).where(col(Job.kind) == "warnings.turn"))
            owed = rows.scalars().all()
            if len(owed) < seen:
                break
            seen += 1
            await warnings.turn(session, owed[-1].payload, city.clock.now(), settings=city.settings)
    for one in people:
        assert await codes(city, one) == ["can-end"]
        assert await codes(city, one, KARTE) == ["can-end"]


def test_every_warning_names_what_to_do_in_every_language() -> None:
    for code in (
        "entitlement.can-end",
        "entitlement.can-end-by-age",
        "entitlement.can-end-otherwise",
        "person.of-age",
    ):
        for language in LANGUAGES:
            body = TEXTS[code].texts[language].body
            assert any(
                word in body
                for word in (
                    "Sie müssen",
                    "kümmern",
                    "Holen Sie",
                    "do not have to",
                    "see to it",
                    "Get a code",
                    "fragen Sie",
                )
            ), (code, language)
