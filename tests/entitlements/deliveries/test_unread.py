"""What a complete list says in a row that cannot be taken is unknown: not what its silence would mean."""

from collections.abc import Mapping
from datetime import date, timedelta

import pytest

from core.clock import FixedClock
from core.database import Database
from core.vault import Vault
from entitlements.facts.service import refresh, subjects, subjects_on
from entitlements.language import Subject
from entitlements.registers.rules import Remit
from tests.entitlements.deliveries.conftest import Opening
from tests.entitlements.deliveries.making import Office, Row, fact, household, person
from tests.entitlements.deliveries.test_routes import TODAY, meant, melde_moment

PEOPLE = [person(number, f"Given{number}", f"Family{number}") for number in ("P-0", "P-1", "P-2")]
OFFICE = Remit(
    frozenset({"main_residence"}),
    frozenset({"registered_household"}),
    identities=True,
    identification_numbers=True,
)
HOME = household("H-0", "P-0", "P-1")
LIVES = fact("P-0", "main_residence", value=True)


@pytest.fixture
async def office(opening: Opening) -> Office:
    return await opening("melderegister", OFFICE)


async def known(
    database: Database, vault: Vault, office: Office, number: str, on: date = TODAY
) -> Mapping[str, object]:
    """What is known of somebody: the same in the wide rows as in the history, and as it is derived anew."""
    person_id = await meant(database, vault, office, number)
    async with database.reading() as session:
        wide = (await subjects(session, [person_id], on))[person_id]
        history = (await subjects_on(session, [person_id], on))[person_id]
    assert plainly(wide) == plainly(history)
    async with database.writing() as session:
        await refresh(session, [person_id], on)
        assert plainly((await subjects(session, [person_id], on))[person_id]) == plainly(history)
    return plainly(history)


def plainly(subject: Subject) -> Mapping[str, object]:
    together = subject.households.get("registered_household")
    said = {name: stated.value for name, stated in subject.facts.items() if name == "main_residence"}
    return said if together is None else said | {"together": len(together)}


NOBODY = {"main_residence": False, "together": 0}
"""What is known of whom a complete list leaves out."""


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"value": "perhaps"}, "wrong-type"),
        ({"until": "2020-01-01"}, "bad-days"),
        ({"stated_at": "soon"}, "bad-moment"),
        ({"fact": "main_residense"}, "unknown-fact"),
    ],
)
async def test_a_fact_that_cannot_be_read_in_the_first_list_is_unknown(
    office: Office, database: Database, vault: Vault, wrong: Row, code: str
) -> None:
    one = await office.deliver("one", [*PEOPLE, HOME, LIVES | wrong], mode="full", as_of=melde_moment(-3))
    assert one["results"][code] == 1
    assert await known(database, vault, office, "P-0") == {"together": 2}
    assert await known(database, vault, office, "P-1") == {"main_residence": False, "together": 2}
    assert await known(database, vault, office, "P-2") == NOBODY


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"until": "2020-01-01"}, "bad-days"),
        ({"kind": "registerd_household"}, "unknown-household-kind"),
        ({"members": ["P-0", "P-1", *(f"Q-{n}" for n in range(200))]}, "too-many-members"),
        ({"members": ["P-0", "P-1", "Q-1"]}, "no-link"),
    ],
)
async def test_with_whom_somebody_lives_is_unknown_where_the_first_list_cannot_be_read(
    office: Office, database: Database, vault: Vault, wrong: Row, code: str
) -> None:
    one = await office.deliver("one", [*PEOPLE, HOME | wrong, LIVES], mode="full", as_of=melde_moment(-3))
    assert one["results"][code] == 1
    assert await known(database, vault, office, "P-0") == {"main_residence": True}
    assert await known(database, vault, office, "P-1") == {"main_residence": False}
    assert await known(database, vault, office, "P-2") == NOBODY


async def test_what_is_said_readably_later_counts(office: Office, database: Database, vault: Vault) -> None:
    first = [*PEOPLE, HOME | {"from": "soon"}, LIVES | {"value": "perhaps"}]
    await office.deliver("one", first, mode="full", as_of=melde_moment(-3))
    assert await known(database, vault, office, "P-0") == {}
    await office.deliver("two", [HOME, LIVES])
    assert await known(database, vault, office, "P-0") == {"main_residence": True, "together": 2}


async def test_the_next_list_that_can_be_read_settles_it_by_its_silence(
    office: Office, database: Database, vault: Vault
) -> None:
    first = [*PEOPLE, HOME | {"from": "soon"}, LIVES | {"value": "perhaps"}]
    await office.deliver("one", first, mode="full", as_of=melde_moment(-3))
    second = await office.deliver("two", PEOPLE, mode="full", as_of=melde_moment(-2))
    assert second["state"] == "applied"
    assert await known(database, vault, office, "P-0") == NOBODY


async def test_it_stays_unknown_as_long_as_no_list_can_be_read(
    office: Office, database: Database, vault: Vault
) -> None:
    unreadable = [*PEOPLE, HOME | {"from": "soon"}, LIVES | {"value": "perhaps"}]
    for name, days in (("one", -3), ("two", -2), ("three", -1)):
        done = await office.deliver(name, unreadable, mode="full", as_of=melde_moment(days))
        assert done["state"] == "applied"
        assert await known(database, vault, office, "P-0") == {}
        assert await known(database, vault, office, "P-2") == NOBODY


async def test_days_that_stand_are_kept_and_only_the_others_are_unknown(
    office: Office, database: Database, vault: Vault
) -> None:
    until = TODAY + timedelta(days=10)
    crowd = [fact(f"C-{n}", "main_residence", value=True) for n in range(40)]
    others = [*PEOPLE, *(person(f"C-{n}", f"Given{n}", f"Family{n}") for n in range(40)), HOME, *crowd]
    ends = LIVES | {"until": until.isoformat()}
    await office.deliver("one", [*others, ends], mode="full", as_of=melde_moment(-3))
    second = await office.deliver(
        "two", [*others, LIVES | {"value": "still"}], mode="full", as_of=melde_moment(-2)
    )
    assert second["state"] == "applied"
    whole = {"main_residence": True, "together": 2}
    assert await known(database, vault, office, "P-0") == whole
    assert await known(database, vault, office, "P-0", until) == whole
    assert await known(database, vault, office, "P-0", until + timedelta(days=1)) == {"together": 2}


async def test_what_was_unknown_is_unknown_when_it_is_looked_up_later(
    office: Office, database: Database, vault: Vault, clock: FixedClock
) -> None:
    """A replay knows no more than was known."""
    first = [*PEOPLE, HOME | {"from": "soon"}, LIVES | {"value": "perhaps"}]
    await office.deliver("one", first, mode="full", as_of=melde_moment(-3))
    then = clock.now()
    clock.forward(timedelta(minutes=1))
    await office.deliver("two", [HOME, LIVES])
    person_id = await meant(database, vault, office, "P-0")
    async with database.reading() as session:
        before = (await subjects_on(session, [person_id], TODAY, then))[person_id]
        now = (await subjects_on(session, [person_id], TODAY, clock.now()))[person_id]
    assert (plainly(before), plainly(now)) == ({}, {"main_residence": True, "together": 2})


async def test_a_row_of_changes_that_cannot_be_read_leaves_what_is_known(
    office: Office, database: Database, vault: Vault
) -> None:
    await office.deliver("one", PEOPLE, mode="full", as_of=melde_moment(-3))
    await office.deliver("two", [HOME | {"from": "soon"}, LIVES | {"value": "perhaps"}])
    assert await known(database, vault, office, "P-0") == NOBODY


async def test_of_whoever_is_linked_later_it_is_unknown_as_well(
    office: Office, opening: Opening, database: Database, vault: Vault
) -> None:
    """The Jobcenter's list came before anybody knew whom its number means."""
    jobcenter = await opening(
        "jobcenter",
        Remit(frozenset({"sgb2"}), frozenset({"bedarfsgemeinschaft"}), identification_numbers=True),
    )
    tax = {"identification_number": "86095742719"}
    rows = [
        {"row": "person", "number": "J-1"} | tax,
        fact("J-1", "sgb2", value=True) | {"value": "?"},
        household("B-1", "J-1", "J-2") | {"kind": "bedarfsgemeinschaft"},
    ]
    await jobcenter.deliver("one", rows, mode="full", as_of=melde_moment(-3))
    await office.deliver("people", [PEOPLE[0] | tax], mode="full", as_of=melde_moment(-3))
    await jobcenter.deliver("again", [{"row": "person", "number": "J-1"} | tax])
    person_id = await meant(database, vault, office, "P-0")
    async with database.reading() as session:
        subject = (await subjects(session, [person_id], TODAY))[person_id]
        assert "sgb2" not in subject.facts
        assert "bedarfsgemeinschaft" not in subject.households
        assert subject == (await subjects_on(session, [person_id], TODAY))[person_id]
