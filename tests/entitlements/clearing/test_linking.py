"""A number finds its person by name, birth date and address where that is sure; where it is not, a clerk is asked."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from core.audit.models import Entry
from core.jobs.service import enqueue
from entitlements.people.models import Identity, Person
from entitlements.registers.models import Link, LinkMade, Review
from tests.entitlements.clearing.making import Town
from tests.entitlements.deliveries.making import fact, household, person

HOME = {"street": "Münsterstraße 9", "postcode": "44145", "town": "Dortmund"}
MILA = {"birth_date": "2015-05-03", **HOME}


def mila(number: str, **other: Any) -> dict[str, Any]:
    return person(number, "Mila", "Sommer", **(MILA | other))


async def made_by(town: Town, number: str) -> LinkMade:
    meant = await town.meant(town.jobcenter, number)
    async with town.database.reading() as session:
        found = await session.execute(
            select(col(Link.made_by)).where(
                col(Link.register_id) == town.jobcenter.register.id, col(Link.person_id) == meant
            )
        )
        return found.scalar_one()


async def test_whoever_is_surely_meant_is_linked_and_nothing_of_the_name_is_kept(town: Town) -> None:
    await town.melde.deliver(
        "people", [mila("P-1"), person("P-2", "Karl", "Winter", birth_date="1950-02-11")]
    )
    said = mila("J-1", family_name="SOMMER", street="Muensterstr. 9", town="")
    taken = await town.jobcenter.deliver("first", [said, fact("J-1", "sgb2", value=True)])
    assert taken["results"] == {"accepted": 1, "unchanged": 1}
    assert await town.meant(town.jobcenter, "J-1") == await town.known("P-1")
    assert await made_by(town, "J-1") is LinkMade.LIKENESS
    assert await town.waiting() == []
    async with town.database.reading() as session:
        kept = await session.execute(select(func.count()).select_from(Identity))
        assert kept.scalar_one() == 2


async def test_in_doubt_both_sides_are_shown_and_the_look_is_written_down(town: Town) -> None:
    await town.melde.deliver("people", [mila("P-1")])
    rows = [mila("J-1", street="Nordmarkt 1", postcode="44147"), fact("J-1", "sgb2", value=True)]
    taken = await town.jobcenter.deliver("first", rows)
    assert taken["results"] == {"no-link": 2}
    (review,) = await town.waiting()
    assert review["number"] == "J-1"
    sides = await town.do(f"/reviews/{review['id']}/sides")
    assert sides["said"]["street"] == "Nordmarkt 1"
    (candidate,) = sides["candidates"]
    assert candidate["person_id"] == str(await town.known("P-1"))
    assert candidate["known_as"]["street"] == "Münsterstraße 9"
    assert candidate["agreement"] == {
        "family_name": "exact",
        "given_name": "exact",
        "birth_date": "exact",
        "address": "differs",
    }
    assert (sides["verdict"], candidate["elsewhere"]) == ("doubt", False)
    async with town.database.reading() as session:
        looked = await session.execute(select(Entry).where(col(Entry.action) == "review.seen"))
        assert looked.scalar_one().subject == f"review:{review['id']}"


async def test_once_a_clerk_has_said_who_it_is_the_rows_wait_no_longer(town: Town) -> None:
    await town.melde.deliver("people", [mila("P-1")])
    rows = [mila("J-1", birth_date="2015-03-05"), fact("J-1", "sgb2", value=True)]
    taken = await town.jobcenter.deliver("first", rows)
    (review,) = await town.waiting()
    await town.do(f"/reviews/{review['id']}/link", {"person_id": str(await town.known("P-1"))})
    assert await town.jobcenter.results(taken) == ["unchanged", "accepted"]
    again = await town.jobcenter.deliver("second", [*rows, fact("J-1", "sgb2", value=False)])
    assert "no-link" not in again["results"]
    assert await town.waiting() == []
    async with town.database.reading() as session:
        row = (await session.execute(select(Review))).scalar_one()
        assert (row.sealed_number, row.sealed_identity) == (b"", None)
    await town.do(f"/reviews/{review['id']}/link", {"person_id": str(await town.known("P-1"))}, expect=409)


async def test_somebody_different_becomes_known_and_is_not_asked_for_again(town: Town) -> None:
    await town.melde.deliver("people", [mila("P-1")])
    rows = [mila("S-1", street="Nordmarkt 1", postcode="44147"), fact("S-1", "sgb12_gsi", value=True)]
    await town.sozialamt.deliver("first", rows)
    (review,) = await town.waiting()
    await town.do(f"/reviews/{review['id']}/new-person")
    other = await town.meant(town.sozialamt, "S-1")
    assert other not in {None, await town.known("P-1")}
    assert (await town.sozialamt.deliver("second", rows))["results"] == {"unchanged": 2}
    assert await town.waiting() == []
    found = await town.do("/people/search", {"name": "Mila Sommer"})
    assert len(found) == 2


async def test_a_register_that_may_not_name_people_makes_nobody_known(town: Town) -> None:
    await town.melde.deliver("people", [mila("P-1")])
    await town.jobcenter.deliver("first", [person("J-1", "Mila", "Sommer", **HOME)])
    (review,) = await town.waiting()
    await town.do(f"/reviews/{review['id']}/new-person", expect=422)
    await town.do(f"/reviews/{review['id']}/dismiss")
    await town.jobcenter.deliver("second", [person("J-1", "Mila", "Sommer", **HOME)])
    assert await town.waiting() == []


async def test_what_is_put_off_comes_back(town: Town) -> None:
    await town.jobcenter.deliver("first", [mila("J-1")])
    (review,) = await town.waiting()
    await town.do(f"/reviews/{review['id']}/later")
    assert await town.waiting() == []
    await town.days_later(14)
    assert [one["id"] for one in await town.waiting()] == [review["id"]]


async def test_what_waits_for_a_year_is_forgotten(town: Town) -> None:
    await town.jobcenter.deliver("first", [mila("J-1")])
    town.clock.forward(timedelta(days=366))
    async with town.database.writing() as session:
        await enqueue(session, "reviews.look_again", {}, run_at=town.clock.now())
    await town.work()
    async with town.database.reading() as session:
        assert (await session.execute(select(Review))).all() == []


async def test_whoever_becomes_known_later_is_found_by_night(town: Town) -> None:
    taken = await town.jobcenter.deliver("early", [mila("J-1"), fact("J-1", "sgb2", value=True)])
    assert taken["results"] == {"no-link": 2}
    await town.melde.deliver("people", [mila("P-1")])
    async with town.database.writing() as session:
        await enqueue(session, "reviews.look_again", {}, run_at=town.clock.now())
    await town.work()
    assert await town.waiting() == []
    assert await town.meant(town.jobcenter, "J-1") == await town.known("P-1")
    assert (await town.jobcenter.results(taken))[1] == "accepted"


@pytest.mark.parametrize("said", ["Lea", "Lena"])
async def test_twins_are_never_linked_by_likeness_alone(town: Town, said: str) -> None:
    twins = [
        person("P-1", "Lea", "Sommer", **MILA),
        person("P-2", "Lena", "Sommer", **MILA),
        household("H-1", "P-1", "P-2"),
    ]
    assert (await town.melde.deliver("twins", twins))["results"] == {"accepted": 3}
    await town.jobcenter.deliver("first", [person("J-1", said, "Sommer", **MILA)])
    (review,) = await town.waiting()
    sides = await town.do(f"/reviews/{review['id']}/sides")
    assert {one["known_as"]["given_name"] for one in sides["candidates"]} == {"Lea", "Lena"}
    assert sides["candidates"][0]["known_as"]["given_name"] == said


async def test_a_twin_who_is_born_later_or_brought_later_is_somebody_new(town: Town) -> None:
    await town.melde.deliver("one", [person("P-1", "Lea", "Sommer", **MILA)])
    await town.melde.deliver("other", [person("P-2", "Lena", "Sommer", **MILA)])
    assert await town.known("P-1") != await town.known("P-2")
    assert await town.waiting() == []


async def test_the_same_person_under_two_numbers_of_one_register_is_not_linked_by_itself(town: Town) -> None:
    await town.melde.deliver("people", [mila("P-1")])
    await town.jobcenter.deliver("both", [mila("J-1"), mila("J-2")])
    assert len(await town.waiting()) == 2
    await town.sozialamt.deliver("one", [mila("S-1")])
    await town.sozialamt.deliver("two", [mila("S-2")])
    assert await town.meant(town.sozialamt, "S-1") == await town.known("P-1")
    assert await town.meant(town.sozialamt, "S-2") is None


async def test_different_identification_numbers_are_different_people(town: Town) -> None:
    await town.melde.deliver("one", [mila("P-1", identification_number="12345678901")])
    await town.melde.deliver("two", [mila("P-2", identification_number="10987654321")])
    assert await town.known("P-1") != await town.known("P-2")
    assert await town.waiting() == []


async def test_a_number_that_was_linked_before_stays_whatever_it_is_called_now(town: Town) -> None:
    """Whoever marries is the same person, in every register by its own time."""
    await town.melde.deliver("people", [mila("P-1")])
    await town.jobcenter.deliver("first", [mila("J-1")])
    await town.melde.deliver("wedding", [mila("P-1", family_name="Winter", birth_name="Sommer")])
    meant = await town.known("P-1")
    assert await town.meant(town.jobcenter, "J-1") == meant
    # A register that only knows the old name finds her by the name at birth.
    await town.sozialamt.deliver("late", [mila("S-1")])
    assert await town.meant(town.sozialamt, "S-1") == meant
    async with town.database.reading() as session:
        count = await session.execute(select(func.count()).select_from(Person))
        assert count.scalar_one() == 1


async def test_names_of_every_script_find_their_person(town: Town) -> None:
    names = [
        ("محمد", "العلي"),
        ("Иван", "Петров"),
        ("Γιώργος", "Παπαδόπουλος"),
        ("小龍", "李"),
        ("ராஜா", "முருகன்"),
        ("", "Sukarno"),
        ("Xaver " * 30, "Ho" * 90),
    ]
    births = [f"19{70 + place}-03-{10 + place}" for place in range(len(names))]
    for office, letter in ((town.melde, "P"), (town.jobcenter, "J")):
        rows = [
            person(f"{letter}-{place}", *name, **(HOME | {"birth_date": birth}))
            for place, (name, birth) in enumerate(zip(names, births, strict=True))
        ]
        await office.deliver("people", rows)
    for place, _ in enumerate(names):
        assert await town.meant(town.jobcenter, f"J-{place}") == await town.known(f"P-{place}")


async def test_what_a_likeness_register_says_of_a_birth_is_no_fact(town: Town) -> None:
    await town.melde.deliver("people", [mila("P-1")])
    taken = await town.jobcenter.deliver("first", [mila("J-1", birth_date="2015-05-03")])
    assert taken["results"] == {"unchanged": 1}


async def test_only_the_desk_sees_both_sides(town: Town) -> None:
    await town.jobcenter.deliver("first", [mila("J-1")])
    (review,) = await town.waiting()
    await town.melde.deliver("people", [mila("P-1")])
    citizen = await town.citizen(await town.known("P-1"))
    for url in (f"/v1/reviews/{review['id']}/sides", f"/v1/reviews/{review['id']}/later"):
        assert (await town.client.post(url, headers=citizen)).status_code == 403
        assert (await town.client.post(url)).status_code == 401
    await town.do("/reviews/0190d6a2-7c1e-7e3a-9f51-3d1c5b8a2f18/sides", expect=404)
