"""What a complete list says of somebody in a row that cannot be taken: not that they were left out."""

from collections.abc import Mapping
from datetime import date

import pytest
from sqlalchemy import select
from sqlmodel import col

from core.database import Database
from core.vault import Vault
from entitlements.deliveries.models import About, DeliverySubject
from entitlements.deliveries.rules import MOST_MEMBERS
from entitlements.facts.service import subjects_on
from entitlements.registers.rules import Remit
from tests.entitlements.deliveries.conftest import Opening
from tests.entitlements.deliveries.making import Office, Row, fact, household, person
from tests.entitlements.deliveries.test_routes import TODAY, meant, melde_moment

MANY = 40
"""Of so many, one who is left out is less than the share at which a person must look."""
SINCE = {"from": "2024-01-01"}
HOME = {"row": "household", "household": "H-0"}
FACT = {"row": "fact", "number": "P-0"}
NEED = {"row": "fact", "household": "H-0"}
OFFICE = Remit(
    frozenset({"main_residence", "household_need"}), frozenset({"registered_household"}), identities=True
)


@pytest.fixture
async def office(opening: Opening) -> Office:
    return await opening("melderegister", OFFICE)


def rows() -> list[Row]:
    numbers = [f"P-{n}" for n in range(MANY)]
    people = [person(number, f"Given{number}", f"Family{number}") for number in numbers]
    homes = [household(f"H-{n}", *numbers[2 * n : 2 * n + 2], **SINCE) for n in range(MANY // 2)]
    needs = [
        {"row": "fact", "household": f"H-{n}", "fact": "household_need", "value": 90_000} | SINCE
        for n in range(MANY // 2)
    ]
    return [
        *people,
        *homes,
        *needs,
        *(fact(number, "main_residence", value=True, **SINCE) for number in numbers),
    ]


async def standing(
    database: Database, vault: Vault, office: Office, number: str, on: date = TODAY
) -> Mapping[str, object]:
    """What counts today of somebody: main residence, how many live together, what the household needs."""
    person_id = await meant(database, vault, office, number)
    async with database.reading() as session:
        subject = (await subjects_on(session, [person_id], on))[person_id]
    said = {
        name: subject.facts[name].value
        for name in ("main_residence", "household_need")
        if name in subject.facts
    }
    return {**said, "together": len(subject.households.get("registered_household", ()))}


WHOLE = {"main_residence": True, "household_need": 90_000, "together": 2}


@pytest.mark.parametrize(
    ("which", "wrong", "code"),
    [
        (HOME, {"until": "2020-01-01"}, "bad-days"),
        (HOME, {"from": "soon"}, "bad-days"),
        (HOME, {"stated_at": "soon"}, "bad-moment"),
        (HOME, {"kind": "registerd_household"}, "unknown-household-kind"),
        (HOME, {"members": ["P-0", "P-1", *(f"Q-{n}" for n in range(199))]}, "too-many-members"),
        (HOME, {"members": ["P-0", "P-1", "Q-1"]}, "no-link"),
        (HOME, {"members": ["P-0"], "from": "soon"}, "bad-days"),
        (NEED, {"value": "much"}, "wrong-type"),
        (NEED, {"fact": "household_ned"}, "unknown-fact"),
        (FACT, {"value": "perhaps"}, "wrong-type"),
        (FACT, {"fact": "main_residense"}, "unknown-fact"),
    ],
)
async def test_a_row_that_is_refused_ends_nothing_of_whom_it_speaks_of(  # noqa: PLR0917  (fixtures and a case)
    office: Office, database: Database, vault: Vault, which: Row, wrong: Row, code: str
) -> None:
    await office.deliver("one", rows(), mode="full", as_of=melde_moment(-3))
    assert await standing(database, vault, office, "P-0") == WHOLE
    again = [row | wrong if which.items() <= row.items() else row for row in rows()]
    second = await office.deliver("two", again, mode="full", as_of=melde_moment(-2))
    assert (second["state"], second["results"][code]) == ("applied", 1)
    for number in ("P-0", "P-1"):
        assert await standing(database, vault, office, number) == WHOLE


@pytest.mark.parametrize(
    ("which", "wrong"),
    [
        (HOME, {"from": "soon"}),
        (HOME, {"members": ["P-0", "P-1", "Q-1"]}),
        (NEED, {"value": "much"}),
        (FACT, {"value": "perhaps"}),
    ],
)
async def test_nor_is_it_counted_among_what_the_list_would_end(
    office: Office, which: Row, wrong: Row
) -> None:
    await office.deliver("one", rows(), mode="full", as_of=melde_moment(-3))
    again = [row | wrong if which.items() <= row.items() else row for row in rows()]
    second = await office.deliver("two", again, mode="full", as_of=melde_moment(-2))
    assert (second["state"], second["ends"]) == ("applied", 0)
    fewer = [row for row in rows() if not which.items() <= row.items()]
    third = await office.deliver("three", fewer, mode="full", as_of=melde_moment(-1))
    assert third["ends"] == (2 if which is HOME else 1)


@pytest.mark.parametrize(
    ("which", "left"),
    [(HOME, {"together": 0}), (NEED, {"household_need": None}), (FACT, {"main_residence": False})],
)
async def test_a_row_that_is_not_there_ends_what_it_said(
    office: Office, database: Database, vault: Vault, which: Row, left: Mapping[str, object]
) -> None:
    await office.deliver("one", rows(), mode="full", as_of=melde_moment(-3))
    fewer = [row for row in rows() if not which.items() <= row.items()]
    second = await office.deliver("two", fewer, mode="full", as_of=melde_moment(-2))
    assert second["state"] == "applied"
    found = await standing(database, vault, office, "P-0")
    assert {name: found.get(name) for name in left} == left


async def test_nor_does_it_end_anything_when_the_register_speaks_of_them_again(
    office: Office, database: Database, vault: Vault
) -> None:
    """Whatever is said later is settled with every list that came before it."""
    await office.deliver("one", rows(), mode="full", as_of=melde_moment(-3))
    again = [row | {"from": "soon"} if HOME.items() <= row.items() else row for row in rows()]
    await office.deliver("two", again, mode="full", as_of=melde_moment(-2))
    await office.deliver("three", [household("H-99", "P-0", **{"from": "2026-10-01"})])
    assert await standing(database, vault, office, "P-0") == WHOLE
    assert await standing(database, vault, office, "P-0", date(2026, 10, 1)) == {
        "main_residence": True,
        "together": 1,
    }


async def test_a_home_that_waits_for_a_link_is_taken_whole_once_it_is_there(
    office: Office, database: Database, vault: Vault
) -> None:
    await office.deliver("one", rows(), mode="full", as_of=melde_moment(-3))
    wider = {"members": ["P-0", "P-1", "Q-1"]}
    again = [row | wider if HOME.items() <= row.items() else row for row in rows()]
    await office.deliver("two", again, mode="full", as_of=melde_moment(-2))
    assert await standing(database, vault, office, "P-0") == WHOLE
    await office.deliver("three", [person("Q-1", "Ada", "Neu")])
    assert await standing(database, vault, office, "P-0") == WHOLE | {"together": 3}


async def test_a_household_of_as_many_as_there_may_be_is_taken(office: Office) -> None:
    crowd = [person(f"C-{n}", f"Given{n}", f"Family{n}") for n in range(MOST_MEMBERS + 1)]
    numbers = [row["number"] for row in crowd]
    await office.deliver("crowd", crowd)
    homes = [household("H-1", *numbers[1:]), household("H-2", *numbers)]
    delivery = await office.deliver("homes", homes)
    assert await office.results(delivery) == ["accepted", "too-many-members"]


async def test_thousands_of_rows_that_are_refused_about_one_person_are_about_one(
    office: Office, database: Database
) -> None:
    """What is looked up for each of whom a delivery speaks is looked up once for them."""
    wrong = [fact("P-1", "main_residence", value="perhaps") for _ in range(300)]
    homes = [household("H-1", "P-1", kind="home") for _ in range(300)]
    await office.deliver("one", [*wrong, person("P-1"), *homes, *wrong], mode="full", as_of=melde_moment(-3))
    async with database.reading() as session:
        subjects = await session.execute(
            select(DeliverySubject).where(col(DeliverySubject.about) == About.PERSON)
        )
        assert len(subjects.all()) == 2  # as a row about them was refused, and as a row said who they are
