"""On which days, and until when, what a complete list said and nobody could read keeps silence from meaning no."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from core.clock import FixedClock
from core.database import Database
from core.vault import Vault
from entitlements.facts.service import refresh, subjects, subjects_on
from tests.entitlements.deliveries.conftest import Opening
from tests.entitlements.deliveries.making import Office, Row, fact, household, person
from tests.entitlements.deliveries.test_routes import TODAY, meant, melde_moment
from tests.entitlements.deliveries.test_unread import (
    HOME,
    LIVES,
    NOBODY,
    OFFICE,
    PEOPLE,
    known,
    office,
    plainly,
)

__all__ = ["office"]

SOON = TODAY + timedelta(days=3)
LATER = TODAY + timedelta(days=9)
AFTER = LATER + timedelta(days=1)
CROWD = [
    row
    for n in range(40)
    for row in (person(f"C-{n}", f"Given{n}", f"Family{n}"), fact(f"C-{n}", "main_residence", value=True))
]
"""Of so many, one who is left out is less than the share at which a person must look."""


async def test_a_row_turns_on_the_days_between_which_nobody_knows(
    office: Office, database: Database, vault: Vault
) -> None:
    """The home waits for somebody's link, and is to begin and to end: nothing else changes on those days."""
    waits = household("H-0", "P-0", "Q-1", **{"from": SOON.isoformat(), "until": LATER.isoformat()})
    await office.deliver("one", [*PEOPLE, waits], mode="full", as_of=melde_moment(-3))
    person_id = await meant(database, vault, office, "P-0")
    for day, then in ((TODAY, SOON), (SOON, AFTER)):
        async with database.writing() as session:
            await refresh(session, [person_id], day)
        for on in (day, then - timedelta(days=1), then):
            async with database.reading() as session:
                wide = (await subjects(session, [person_id], on))[person_id]
                history = (await subjects_on(session, [person_id], on))[person_id]
            assert (
                plainly(wide)
                == plainly(history)
                == ({"main_residence": False} if SOON <= on <= LATER else NOBODY)
            )


async def test_it_is_unknown_again_by_the_next_list_whatever_else_that_list_changes(
    office: Office, database: Database, vault: Vault
) -> None:
    wrong = HOME | {"from": "soon"}
    await office.deliver("one", [*PEOPLE, wrong], mode="full", as_of=melde_moment(-3))
    await office.deliver("two", [*PEOPLE, wrong, LIVES], mode="full", as_of=melde_moment(-2))
    assert await known(database, vault, office, "P-0") == {"main_residence": True}
    assert await known(database, vault, office, "P-1") == {"main_residence": False}


@pytest.mark.parametrize("first", [True, False])
async def test_whom_only_the_second_of_two_rows_about_a_home_names_may_live_there(
    office: Office, database: Database, vault: Vault, *, first: bool
) -> None:
    """The first one counts; what the second says of others is not that they live nowhere."""
    if not first:
        await office.deliver(
            "before", [*PEOPLE, *CROWD, household("H-0", "P-2")], mode="full", as_of=melde_moment(-4)
        )
    rows = [*PEOPLE, *CROWD, HOME, household("H-0", "P-1", "P-2")]
    done = await office.deliver("one", rows, mode="full", as_of=melde_moment(-3))
    assert (done["state"], done["results"]["duplicate"]) == ("applied", 1)
    assert (await office.results(done))[-2:] == ["accepted", "duplicate"]
    assert await known(database, vault, office, "P-0") == {"main_residence": False, "together": 2}
    assert await known(database, vault, office, "P-1") == {"main_residence": False, "together": 2}
    assert await known(database, vault, office, "P-2") == {"main_residence": False}


async def test_days_that_only_the_second_of_two_rows_names_are_unknown(
    office: Office, database: Database, vault: Vault
) -> None:
    rows = [*PEOPLE, HOME, LIVES | {"until": SOON.isoformat()}, LIVES]
    done = await office.deliver("one", rows, mode="full", as_of=melde_moment(-3))
    assert done["results"]["duplicate"] == 1
    assert (await known(database, vault, office, "P-0", SOON))["main_residence"] is True
    assert await known(database, vault, office, "P-0", SOON + timedelta(days=1)) == {"together": 2}


async def test_whoever_leaves_a_home_that_was_read_at_last_is_in_none(
    office: Office, database: Database, vault: Vault
) -> None:
    waits = household("H-0", "P-0", "P-1", "Q-1")
    await office.deliver("one", [*PEOPLE, waits], mode="full", as_of=melde_moment(-3))
    assert await known(database, vault, office, "P-0") == {"main_residence": False}
    await office.deliver("two", [person("Q-1", "Ada", "Neu")])
    assert await known(database, vault, office, "P-0") == {"main_residence": False, "together": 3}
    await office.deliver("three", [household("H-0", "P-1", "Q-1")])
    assert await known(database, vault, office, "P-0") == NOBODY
    assert await known(database, vault, office, "P-1") == {"main_residence": False, "together": 2}


async def test_a_home_of_some_days_says_nothing_of_the_others(
    office: Office, database: Database, vault: Vault
) -> None:
    await office.deliver("one", [*PEOPLE, HOME | {"from": "soon"}], mode="full", as_of=melde_moment(-3))
    passing = {"from": SOON.isoformat(), "until": LATER.isoformat()}
    await office.deliver("two", [household("H-1", "P-0", **passing)])
    for on, together in ((SOON, {"together": 1}), (LATER, {"together": 1}), (TODAY, {}), (AFTER, {})):
        assert await known(database, vault, office, "P-0", on) == {"main_residence": False, **together}


async def test_a_row_that_names_a_home_beside_the_person_keeps_what_stands_of_the_person(
    office: Office, database: Database, vault: Vault
) -> None:
    await office.deliver("one", [*PEOPLE, *CROWD, HOME, LIVES], mode="full", as_of=melde_moment(-3))
    wrong = LIVES | {"fact": "main_residense", "household": "H-0"}
    done = await office.deliver("two", [*PEOPLE, *CROWD, HOME, wrong], mode="full", as_of=melde_moment(-2))
    assert (done["state"], done["results"]["unknown-fact"]) == ("applied", 1)
    assert await known(database, vault, office, "P-0") == {"main_residence": True, "together": 2}


async def test_in_the_last_hour_of_the_day_a_list_speaks_of_the_next(
    opening: Opening, database: Database, vault: Vault, clock: FixedClock
) -> None:
    """Its clock may be some minutes ahead of ours, and so on another day."""
    clock.forward(timedelta(hours=11, minutes=58))
    office = await opening("melderegister", OFFICE)
    rows: list[Row] = [*PEOPLE, HOME | {"from": "soon"}]
    ahead = clock.now() + timedelta(minutes=4)
    await office.deliver("one", PEOPLE, mode="full", as_of=melde_moment(-3))
    done = await office.deliver("two", rows, mode="full", as_of=ahead)
    assert done["state"] == "applied"
    said: Mapping[str, object] = {"main_residence": False}
    assert await known(database, vault, office, "P-0") == NOBODY
    person_id = await meant(database, vault, office, "P-0")
    async with database.reading() as session:
        tomorrow = TODAY + timedelta(days=1)
        wide = (await subjects(session, [person_id], tomorrow))[person_id]
        assert (
            plainly(wide) == plainly((await subjects_on(session, [person_id], tomorrow))[person_id]) == said
        )
