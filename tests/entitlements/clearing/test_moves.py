"""A number that was linked to the wrong person goes to the right one, with all that its register said, and back."""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from core.audit.models import Entry
from entitlements.facts.models import Fact
from entitlements.facts.service import subjects_on
from entitlements.people.models import Membership
from entitlements.people.service import identity_of
from tests.entitlements.clearing.making import Town
from tests.entitlements.deliveries.making import fact, household, person

KARTE = "dortmund-karte"
RESIDENCE: dict[str, Any] = {"from": "2024-01-01"}


async def two_of_one_name(town: Town, *, rules: bool = False) -> tuple[UUID, UUID]:
    """Two who are called the same; the Jobcenter's number is linked to the first of them by mistake."""
    if rules:
        await town.rules()
    await town.melde.deliver(
        "people",
        [
            person("P-1", "Mila", "Sommer", birth_date="1990-05-03"),
            person("P-2", "Mila", "Sommer", birth_date="1991-07-12"),
            fact("P-1", "main_residence", value=True, **RESIDENCE),
            fact("P-2", "main_residence", value=True, **RESIDENCE),
        ],
    )
    await town.jobcenter.deliver(
        "first",
        [
            person("J-1", "Mila", "Sommer"),
            fact("J-1", "sgb2", value=True, **{"from": "2026-07-01"}),
            household("B-1", "J-1", kind="bedarfsgemeinschaft"),
        ],
    )
    (review,) = await town.waiting()
    wrong, right = await town.known("P-1"), await town.known("P-2")
    await town.do(f"/reviews/{review['id']}/link", {"person_id": str(wrong)})
    return wrong, right


async def link_id(town: Town, person_id: UUID, number: str) -> str:
    connected = await town.do(f"/people/{person_id}/connections")
    return next(one["id"] for one in connected["links"] if one["number"] == number)


async def holds(town: Town, person_id: UUID) -> Any:
    held = (await town.entitlements(person_id))[KARTE]
    return held.get("status")


async def sgb2(town: Town, person_id: UUID) -> object:
    async with town.database.reading() as session:
        subject = (await subjects_on(session, [person_id], date(2026, 9, 16)))[person_id]
        stated = subject.facts.get("sgb2")
        return (stated.value if stated else None, len(subject.households.get("bedarfsgemeinschaft", ())))


async def test_what_a_register_said_goes_with_its_number_and_comes_back(town: Town) -> None:
    wrong, right = await two_of_one_name(town, rules=True)
    assert (await sgb2(town, wrong), await sgb2(town, right)) == ((True, 1), (None, 0))
    assert await holds(town, wrong) == "active"
    link = await link_id(town, wrong, "J-1")
    look = await town.do(f"/register-links/{link}/move/look", {"to_id": str(right)})
    changed = {(one["person_id"], one["what"]): one for one in look["differences"]}
    assert changed[str(right), KARTE]["before"] == ""
    assert changed[str(right), KARTE]["after"].startswith("active")
    assert await town.meant(town.jobcenter, "J-1") == wrong
    act = await town.do(f"/register-links/{link}/move", {"to_id": str(right)}, expect=201)
    assert (act["from_id"], act["to_id"]) == (str(wrong), str(right))
    assert await town.meant(town.jobcenter, "J-1") == right
    assert (await sgb2(town, wrong), await sgb2(town, right)) == ((None, 0), (True, 1))
    # Nobody loses anything silently, not even what was never theirs: a human has to look.
    assert (await holds(town, wrong), await holds(town, right)) == ("active", "active")
    referred = await town.client.get("/v1/referrals", headers=town.desk)
    assert str(wrong) in {one["person_id"] for one in referred.json()["referrals"] if one["held"]}
    assert await link_id(town, right, "J-1") == link
    # The next delivery means the right one.
    await town.jobcenter.deliver("second", [fact("J-1", "sgb2", value=True, **{"from": "2026-07-01"})])
    assert await sgb2(town, wrong) == (None, 0)
    undone = await town.do(f"/link-moves/{act['id']}/undo")
    assert undone["undone_at"] is not None
    assert (await sgb2(town, wrong), await sgb2(town, right)) == ((True, 1), (None, 0))
    await town.do(f"/link-moves/{act['id']}/undo", expect=409)


async def test_what_was_known_before_stays_in_the_history(town: Town) -> None:
    wrong, right = await two_of_one_name(town)
    link = await link_id(town, wrong, "J-1")
    before = town.clock.now()
    await town.days_later(1)
    await town.do(f"/register-links/{link}/move", {"to_id": str(right)}, expect=201)
    async with town.database.reading() as session:
        then = await subjects_on(session, [wrong, right], date(2026, 9, 16), before)
        assert then[wrong].facts["sgb2"].value is True
        assert "sgb2" not in then[right].facts
        for table in (Fact, Membership):
            rows = await session.execute(
                select(col(table.person_id), col(table.known_until)).where(
                    col(table.register_id) == town.jobcenter.register.id
                )
            )
            assert {(who, until is None) for who, until in rows} == {(wrong, False), (right, True)}
        noted = await session.execute(select(Entry).where(col(Entry.action) == "link.moved"))
        assert noted.scalar_one().subject == f"link:{link}"


async def test_a_number_can_turn_out_to_mean_somebody_new_with_the_name_that_it_brought(town: Town) -> None:
    await town.melde.deliver("people", [person("P-1", "Mila", "Sommer", birth_date="1990-05-03")])
    only = await town.known("P-1")
    await town.sozialamt.deliver("first", [person("S-1", "Karl", "Winter", birth_date="1950-02-11")])
    karl = await town.meant(town.sozialamt, "S-1")
    assert karl is not None
    link = await link_id(town, karl, "S-1")
    act = await town.do(f"/register-links/{link}/move", {}, expect=201)
    fresh = UUID(act["to_id"])
    assert fresh not in {only, karl}
    async with town.database.reading() as session:
        named = await identity_of(session, town.vault, fresh)
        assert named is not None
        assert named.name == "Karl Winter"
        assert await identity_of(session, town.vault, karl) is None
    found = await town.do("/people/search", {"name": "winter"})
    assert [one["person_id"] for one in found] == [str(fresh)]


async def test_numbers_of_one_register_for_one_person_are_not_told_apart(town: Town) -> None:
    wrong, right = await two_of_one_name(town)
    await town.jobcenter.deliver("more", [person("J-2", "Mila", "Sommer")])
    (review,) = await town.waiting()
    await town.do(f"/reviews/{review['id']}/link", {"person_id": str(wrong)})
    link = await link_id(town, wrong, "J-1")
    refused = await town.do(f"/register-links/{link}/move", {"to_id": str(right)}, expect=409)
    assert refused["type"].endswith("numbers-not-told-apart")
    await town.do(f"/register-links/{link}/move", {"to_id": str(wrong)}, expect=422)
    await town.do(f"/register-links/{link}/move", {"to_id": str(UUID(int=7))}, expect=404)
    await town.do(f"/register-links/{UUID(int=7)}/move", {}, expect=404)


async def test_the_desk_merges_after_a_look_and_undoes_it(town: Town) -> None:
    wrong, right = await two_of_one_name(town, rules=True)
    two = {"gone_id": str(wrong), "kept_id": str(right)}
    look = await town.do("/merges/look", two)
    assert {(one["person_id"], one["after"][:6]) for one in look["differences"] if one["what"] == KARTE} == {
        (str(wrong), ""),
        (str(right), "active"),
    }
    assert await holds(town, wrong) == "active"
    act = await town.do("/merges", two, expect=201)
    assert await holds(town, wrong) == "active"  # whoever signs in as either is the one that stays
    connected = await town.do(f"/people/{wrong}/connections")
    assert [one["id"] for one in connected["merges"]] == [act["id"]]
    assert {one["number"] for one in connected["links"]} == {"P-1", "P-2", "J-1"}
    await town.do("/merges", two, expect=409)
    await town.do("/merges/look", two, expect=409)
    await town.do(f"/merges/{act['id']}/undo")
    await town.do(f"/merges/{act['id']}/undo", expect=409)
    await town.do("/merges", {"gone_id": str(wrong), "kept_id": str(wrong)}, expect=422)
    await town.do(f"/merges/{UUID(int=7)}/undo", expect=404)
    citizen = await town.citizen(right)
    for url in ("/v1/merges/look", "/v1/merges"):
        assert (await town.client.post(url, json=two, headers=citizen)).status_code == 403
    assert (await town.client.post(f"/v1/people/{right}/connections", headers=citizen)).status_code == 403
