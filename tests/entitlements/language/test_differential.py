"""Two back ends, one meaning: whatever the rule and whoever is judged, SQL says what the interpreter says."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from functools import cache
from itertools import product
from pathlib import Path
from random import Random

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from entitlements.language import Stated, Subject, Tree, parse
from entitlements.language.days import years_before
from tests.entitlements.language.court import Court
from tests.entitlements.language.mutants import MUTANTS, ROOM
from tests.entitlements.language.worlds import DAYS, LEARNED, VOCABULARY, World, Writer, a_world
from tests.mutants import Mutant, applied

BATCH = 60
"""Rules in one statement."""


@pytest.fixture
async def court(database_url: str) -> AsyncIterator[Court]:
    engine = create_async_engine(database_url, hide_parameters=True)
    async with engine.connect() as connection:
        # No statement comes twice; keeping them would only cost.
        await connection.execution_options(compiled_cache=None)
        court = Court(connection)
        await court.open()
        yield court
    await engine.dispose()


@cache
def a_batch(seed: int) -> tuple[dict[str, Tree], World]:
    random = Random(seed)
    writer, world = Writer(random), a_world(random)
    return {f"r{n}": writer.rule() for n in range(BATCH)}, world


@pytest.mark.parametrize("series", range(6))
async def test_both_say_the_same_of_any_rule_and_anybody(court: Court, series: int) -> None:
    for seed in range(series, 24, 6):
        rules, world = a_batch(seed)
        if found := await court.disagreements(rules, world):
            pytest.fail(await court.explain(rules[found[0][0]], world))


@pytest.mark.parametrize("seed", range(4))
async def test_both_say_the_same_of_rules_deep_and_wide(court: Court, seed: int) -> None:
    random = Random(1_000 + seed)
    writer, world = Writer(random), a_world(random)
    rules = {"tower": writer.tower(random.randint(30, 45)), "row": writer.row(random.randint(45, 120))}
    if found := await court.disagreements(rules, world):
        pytest.fail(await court.explain(rules[found[0][0]], world))


DIVISIONS = tuple(
    f"{one} {sign} {other}"
    for sign in "/%"
    for one, other in (
        *(
            ("n", "m"),
            ("n", "-1"),
            ("n", "0"),
            ("n", "7"),
            ("n", "-7"),
            ("n", "number"),
            ("param.limit", "n"),
        ),
        *(
            ("-9223372036854775808", "n"),
            ("9223372036854775807", "n"),
            ("0", "n"),
            ("(n + m)", "m"),
            ("n", "(m - m)"),
        ),
        *(("n", "count_members(registered_household, a)"), ("count_members(registered_household, a)", "n")),
    )
)


@cache
def at_the_edges() -> tuple[dict[str, Tree], World]:
    """Every division of every number at which something can go wrong by every other, and by none."""
    numbers = (-(2**63), -(2**63) + 1, -8, -7, -1, 0, 1, 7, 8, 2**63 - 1, None)
    people = []
    for n, m in product(numbers, numbers):
        given = {"n": n, "m": m, "number": m or 0, "sure": True, "a": n == m or (None if n == 0 else False)}
        facts = {
            name: Stated(value, date(2026, 1, 1), None, "", LEARNED)
            for name, value in given.items()
            if value is not None
        }
        one = Subject(f"p{len(people):03}", facts)
        people.append(Subject(one.key, facts, {"registered_household": (one,)} if m != 7 else {}))
    world = World(tuple(people), {"limit": 5}, date(2026, 9, 16), current=True)
    return {text: parse(text, VOCABULARY) for text in DIVISIONS}, world


async def test_both_say_the_same_of_every_division(court: Court) -> None:
    rules, world = at_the_edges()
    if found := await court.disagreements(rules, world):
        pytest.fail(await court.explain(rules[found[0][0]], world))


AGES = (
    "under(birth_date, 18)",
    "under(birth_date, 25)",
    "under(birth_date, 18, month_start)",
    "under(birth_date, 25, month_start)",
    "!under(birth_date, param.limit) || under(came_on, 18)",
    "today <= until(a) && came_on < today",
    "came_on == today || until(a) == left_on",
    "rank_among(registered_household, under(birth_date, 25)) == 1",
    "rank_among(registered_household, a)",
    "least(came_on, until(a))",
)


def born_about(on: date) -> list[tuple[date, date | None]]:
    """Days of birth around the birthdays that count, known to the day or in part."""
    days = {
        years_before(on, years) + timedelta(beside)
        for years in (18, 25)
        for beside in (-32, -31, -1, 0, 1, 31)
    }
    days |= {date(2008, 2, 29), date(2000, 2, 29), date(2008, 2, 28), date(2008, 3, 1), date(2007, 3, 1)}
    return [
        (first, None if span is None else first + timedelta(span))
        for first in sorted(days)
        for span in (None, 0, 1, 30, 365)
    ]


@pytest.mark.parametrize("on", DAYS, ids=str)
async def test_both_say_the_same_around_every_boundary_day(court: Court, on: date) -> None:
    plain = []
    for number, (first, last) in enumerate(born_about(on)):
        about = {"birth_date": first, "birth_date_latest": last, "came_on": first, "left_on": on}
        facts = {
            name: Stated(day, date(1, 1, 1), None, "", LEARNED)
            for name, day in about.items()
            if day is not None
        }
        until = on + timedelta(number % 4 - 2)
        facts["a"] = Stated(True, on - timedelta(5), until if number % 5 else None, "", LEARNED)
        facts |= {
            name: Stated(value, on, None, "", LEARNED) for name, value in (("sure", True), ("number", 1))
        }
        plain.append(Subject(f"p{number:03}", facts))
    people = tuple(
        Subject(one.key, one.facts, {"registered_household": tuple(plain[n // 3 * 3 : n // 3 * 3 + 3])})
        for n, one in enumerate(plain)
    )
    rules = {f"r{n}": parse(text, VOCABULARY) for n, text in enumerate(AGES)}
    for limit, current in product((18, 25), (True, False)):
        held = [one for one in people if not current or _holds(one, on)]
        world = World(tuple(held), {"limit": limit}, on, current)
        if found := await court.disagreements(rules, world):
            pytest.fail(await court.explain(rules[found[0][0]], world))


def _holds(who: Subject, on: date) -> bool:
    return all(m.facts["a"].holds(on) for m in who.households["registered_household"])


# --- the harness itself -------------------------------------------------------------------------------------


async def catches(court: Court, batches: int = 12) -> tuple[Tree, World] | None:
    """The first rule, and people, of whom this back end says something else or about whom it stumbles."""
    for rules, world in (at_the_edges(), *map(a_batch, range(batches))):
        try:
            found = await court.disagreements(rules, world)
        except (DBAPIError, OverflowError):
            return next(iter(rules.values())), world
        if found:
            return rules[found[0][0]], world
    return None


def on_one(only_on_postgres: bool) -> pytest.MarkDecorator:
    """Every mutant is tried on the database on which it shows, and once is enough."""
    mutants = [mutant for mutant in MUTANTS if mutant.only_on_postgres is only_on_postgres]
    return pytest.mark.parametrize("mutant", mutants, ids=str)


@on_one(only_on_postgres=False)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_harness_catches(court: Court, mutant: Mutant, tmp_path: Path) -> None:
    with applied(mutant, ROOM, tmp_path) as changed:
        assert await catches(Court(court.connection, changed.compile_rules)), mutant.wrong


@on_one(only_on_postgres=True)
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_the_harness_catches_on_postgres(court: Court, mutant: Mutant, tmp_path: Path) -> None:
    with applied(mutant, ROOM, tmp_path) as changed:
        assert await catches(Court(court.connection, changed.compile_rules)), mutant.wrong


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_disagreement_is_made_small(court: Court, tmp_path: Path) -> None:
    mutant = next(m for m in MUTANTS if "empty list" in m.wrong)
    with applied(mutant, ROOM, tmp_path) as changed:
        judging = Court(court.connection, changed.compile_rules)
        found = await catches(judging)
        assert found is not None
        text = await judging.explain(*found)
    rule, *people = text.splitlines()
    assert "in []" in rule
    assert len(rule.split("   on ", maxsplit=1)[0]) < 60
    assert len(people) == 2, "one person, in two lines"
