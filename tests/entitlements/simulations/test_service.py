from collections import Counter
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from core.access.rules import Role
from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from entitlements.facts import service as facts
from entitlements.facts.models import CURRENT
from entitlements.language import Subject
from entitlements.releases.gate import judged
from entitlements.releases.models import Step
from entitlements.rulebook.changing import merged
from entitlements.rulebook.drafting import Form, read_changes
from entitlements.rulebook.programmes import Outcome, Rulebook
from entitlements.rulebook.rules import Ruling
from entitlements.simulations import rules, service
from entitlements.simulations.rules import AGE, COUNTS, DISTRICT, MONEY, NOT_KNOWN, TOTAL, Change
from entitlements.simulations.service import Compared
from entitlements.simulations.statements import differing, side_of
from entitlements.simulations.together import Side
from tests.entitlements.releases.making import RAISED, Office, karte, staff, town_book

DAY = date(2027, 1, 1)
CHANGED = (
    karte(["sgb2", "kiz", "bafoeg"])
    + RAISED
    + """
ends: [{programme: sozialpass, until: 2026-12-31}]
"""
)


def changed() -> Rulebook:
    book = town_book()
    return merged(book, read_changes(CHANGED, Form.YAML, book), {})


def age_group(born: date | None, on: date) -> str:
    if born is None:
        return NOT_KNOWN
    # Whole years on the day: the birthday counts, and 29 February is reached on 1 March.
    years = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
    for group, limit in (
        ("0-5", 6),
        ("6-14", 15),
        ("15-17", 18),
        ("18-24", 25),
        ("25-44", 45),
        ("45-64", 65),
    ):
        if years < limit:
            return group
    return "65+"


def becomes(before: Ruling | None, after: Ruling | None) -> list[str]:
    """What becomes of one person, in the words of a simulation."""
    held, holds = ((r is not None and r.outcome is Outcome.GRANTED) for r in (before, after))
    refused = after is None or after.outcome is Outcome.REFUSED
    found = ["held_before"] * held + ["held_after"] * holds
    if held and holds and before is not None and after is not None and before.ground != after.ground:
        found.append("moves")
    if held and not holds:
        found.append("losses" if refused else "unclear")
    return found + ["gains"] * (holds and not held)


@pytest.fixture
async def town(database: Database, settings: Settings, clock: FixedClock) -> Office:
    office = Office(database, settings, clock)
    await office.open()
    await office.settle(400, seed=7)
    return office


async def compared(town: Office, before: Rulebook, after: Rulebook, day: date) -> Compared:
    async with town.database.reading() as session:
        return await service.compare(session, side_of(before, day), side_of(after, day), day, town.today)


async def people(town: Office) -> dict[Any, Subject]:
    async with town.database.reading() as session:
        everybody = list((await session.execute(select(CURRENT.c.person_id))).scalars())
        return await facts.subjects(session, everybody, town.today)


def rulings(side: Side, subject: Subject, on: date) -> dict[str, Ruling]:
    return {version.programme: ruling for version, ruling in judged(side, subject, on)}


@pytest.mark.parametrize("day", [DAY, date(2027, 8, 15)], ids=str)
async def test_everybody_is_counted_as_the_interpreter_judges_them(town: Office, day: date) -> None:
    before, after = side_of(town_book(), day), side_of(changed(), day)
    told = await compared(town, town_book(), changed(), day)
    assert told.persons == 400
    wanted: Counter[tuple[str, str, str, str]] = Counter()
    money: Counter[tuple[str, str]] = Counter()
    most: Counter[tuple[str, str]] = Counter()
    pairs: Counter[tuple[str, str, str]] = Counter()
    for subject in (await people(town)).values():
        was, will = rulings(before, subject, day), rulings(after, subject, day)
        born = subject.facts.get("birth_date")
        group = age_group(born.value if born and isinstance(born.value, date) else None, day)
        district = str(subject.facts["district"].value) if "district" in subject.facts else NOT_KNOWN
        for programme in told.programmes:
            for what in becomes(was.get(programme), will.get(programme)):
                wanted[programme, TOTAL, "", what] += 1
                wanted[programme, AGE, group, what] += 1
                wanted[programme, DISTRICT, district, what] += 1
                if what == "moves":
                    pairs[programme, was[programme].ground or "", will[programme].ground or ""] += 1
            for when, said in (("before", was), ("after", will)):
                if programme in said:
                    ruling = said[programme]
                    money[programme, f"allowances_{when}"] += sum(a.monthly_cents for a in ruling.allowances)
                    money[programme, f"charges_{when}"] += sum(c.monthly_cents for c in ruling.charges)
                    for what, cents in (
                        (f"allowances_{when}", sum(a.monthly_cents for a in ruling.allowances)),
                        (f"charges_{when}", sum(c.monthly_cents for c in ruling.charges)),
                    ):
                        most[programme, what] = max(most[programme, what], cents)
    for programme, counted in told.programmes.items():
        for (breakdown, group, what), number in counted.counts.items():
            assert number == wanted[programme, breakdown, group, what], (programme, breakdown, group, what)
        for what in MONEY:
            if "lump" not in what:
                assert counted.money.get((TOTAL, "", what), 0) == money[programme, what], (programme, what)
                assert counted.largest.get(what, 0) == most[programme, what]
                assert what in counted.pays or not money[programme, what]
        assert counted.pairs == {pair[1:]: n for pair, n in pairs.items() if pair[0] == programme}
    # Nothing would be proven by a change that concerns nobody.
    for what in COUNTS:
        assert sum(c.counts[TOTAL, "", what] for c in told.programmes.values()), what


async def test_what_is_paid_once_a_year_is_counted_as_if_it_were_due(town: Office) -> None:
    told = await compared(town, town_book(), changed(), date(2027, 8, 1))
    due = 0
    side = side_of(changed(), date(2027, 8, 1))
    for subject in (await people(town)).values():
        due += sum(a.cents for a in rulings(side, subject, date(2027, 8, 1))["bildungskarte"].amounts)
    assert due
    assert told.programmes["bildungskarte"].money[TOTAL, "", "lump_sums_after"] == due


async def test_only_programmes_that_can_differ_are_decided() -> None:
    book, other = town_book(), changed()
    assert differing(side_of(book, DAY), side_of(book, DAY)) == ()
    assert set(differing(side_of(book, DAY), side_of(other, DAY))) == {
        "dortmund-karte",
        "bildungskarte",
        "sozialpass",
    }
    eve = date(2026, 12, 31)
    assert differing(side_of(book, eve), side_of(other, eve)) == ()


async def test_whom_it_concerns_is_found_page_by_page(town: Office) -> None:
    sides = side_of(town_book(), DAY), side_of(changed(), DAY)
    found, behind = [], None
    async with town.database.reading() as session:
        while True:
            page = await service.persons(
                session,
                *sides,
                on=DAY,
                today=town.today,
                programme="dortmund-karte",
                change=Change.LOSES,
                behind=behind,
                limit=3,
            )
            found += page
            if len(page) < 3:
                break
            behind = page[-1]
    losing = {
        person_id
        for person_id, subject in (await people(town)).items()
        if "losses" in becomes(*(rulings(side, subject, DAY)["dortmund-karte"] for side in sides))
    }
    assert len(found) == len(set(found))
    assert set(found) == losing
    assert len(losing) > 3


async def test_months_ahead_follow_the_days_of_facts(town: Office) -> None:
    book, days = town_book(), [date(2026, 10, 1), date(2026, 11, 1)]
    async with town.database.reading() as session:
        first = await service.look_ahead(session, book, last=None, day=days[0], today=town.today)
        second = await service.look_ahead(session, book, last=days[0], day=days[1], today=town.today)
    held = [Counter[str](), Counter[str]()]
    for subject in (await people(town)).values():
        for n, day in enumerate(days):
            for name, ruling in rulings(side_of(book, day), subject, day).items():
                held[n][name] += ruling.outcome is Outcome.GRANTED
    assert {name: month.held for name, month in first.items()} == dict(held[0])
    assert {name: month.held for name, month in second.items()} == dict(held[1])
    assert sum(month.ending for month in second.values()) > 0
    for name, month in second.items():
        assert month.held == first[name].held + month.granted - month.ending - month.unclear


async def test_a_simulation_of_twelve_months_is_done_step_by_step(town: Office) -> None:
    release = await town.write(CHANGED)
    row = await town.simulate(release_id=release.id, months=12)
    assert row.state.value == "done"
    assert row.so_far == {}
    ahead = {one["programme"]: one["months"] for one in row.result["months"]}
    assert all(len(months) == 12 for months in ahead.values())
    assert ahead["dortmund-karte"][0]["day"] == "2027-02-01"
    shown = {one["programme"]: one for one in row.result["programmes"]}
    assert shown.keys() == {"dortmund-karte", "bildungskarte", "sozialpass"}


async def test_two_days_of_what_is_released_can_be_compared(town: Office) -> None:
    await town.release(RAISED)
    row = await town.simulate(before_on=date(2026, 12, 31), after_on=DAY, on=DAY)
    (only,) = row.result["programmes"]
    assert only["programme"] == "bildungskarte"
    assert only["total"]["gains"] is None
    before, after = only["total"]["allowances_before"], only["total"]["allowances_after"]
    assert before % 10_000 == after % 10_000 == 0
    assert abs(after * 3 - before * 4) < 7 * 10_000


async def test_nothing_exact_is_kept(town: Office) -> None:
    async with town.database.reading() as session:
        compared = await service.compare(
            session, side_of(town_book(), DAY), side_of(changed(), DAY), DAY, town.today
        )
    release = await town.write(CHANGED)
    row = await town.simulate(release_id=release.id, months=2)
    kept = [
        number
        for programme in row.result["programmes"]
        for line in (programme["total"], *programme["districts"], *programme["ages"])
        for name, number in line.items()
        if name in COUNTS and number is not None
    ]
    assert kept
    assert all(number % 5 == 0 and number > 5 for number in kept)
    exact = {number for one in compared.programmes.values() for number in one.counts.values()}
    assert any(number % 5 for number in exact)
    for one in row.result["months"]:
        for month in one["months"]:
            assert all(month[name] is None or month[name] % 5 == 0 for name in rules.MONTH_COUNTS)
    again = await town.simulate(release_id=release.id, months=2)
    assert again.result == row.result


async def test_nobody_is_shown_more_tables_in_a_day_than_anybody_may(town: Office) -> None:
    town.settings = town.settings.model_copy(update={"simulation_tables": 4})
    release = await town.write(CHANGED)
    first = await town.simulate(release_id=release.id)
    assert (first.tables, first.result["withheld"]) == (3, False)
    second = await town.simulate(release_id=release.id)
    assert (second.tables, second.result["withheld"], second.result["programmes"]) == (0, True, [])
    # Two tables of one day's rules are left to a question about fewer; the author's checks count as well.
    small = await town.ready(RAISED, whole=True)
    steps = await town.steps(await town.checked(small))
    assert [one["code"] for one in steps[Step.SIMULATION].findings] == []
    again = await town.ready(RAISED + "\nnote: again", whole=True)
    steps = await town.steps(await town.checked(again))
    (said,) = steps[Step.SIMULATION].findings
    assert (said["code"], said["stops"]) == ("simulation-withheld", False)
    # Somebody else, and the next day, have looks of their own.
    town.author = staff(Role.RULE_AUTHOR)
    assert not (await town.simulate(release_id=release.id)).result["withheld"]
    town.clock.forward(timedelta(days=1))
    assert not (await town.simulate(release_id=release.id)).result["withheld"]
