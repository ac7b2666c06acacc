"""The whole rulebook as one statement: whoever is asked, it says what `decide` says."""

import textwrap
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from entitlements.facts import service as facts
from entitlements.facts.catalogue import HOUSEHOLDS
from entitlements.facts.models import CURRENT
from entitlements.language import Subject
from entitlements.registers import service as registers
from entitlements.rulebook import compiled
from entitlements.rulebook.programmes import Outcome, Rulebook, RuleVersion
from entitlements.rulebook.rules import Ruling, decide, load_rulebook
from tests.entitlements.facts.making import NOON, a_register
from tests.entitlements.language.citizens import settle_in, wide_rows
from tests.mutants import Mutant, applied
from tests.rulebooks import dortmund

FRONT = """\
    city: Teststadt
    tariffs:
      reduced: {bit: 0, label: {de: x, de-simple: x, en: x}}
      young: {bit: 1, label: {de: x, de-simple: x, en: x}}
    parameters:
      price: {unit: cents, values: [{from: 2020-01-01, value: 100, statute: Satzung}]}
      vast: {unit: int, values: [{from: 2020-01-01, value: 40000000000000, statute: Satzung}]}
    """
FIRST = """\
    programme: first
    label: {de: x, de-simple: x, en: x}
    versions:
      - from: 2020-01-01
        statute: Satzung § 1
        requires:
          - {when: main_residence, reason: no_main_residence, statute: § 2}
          - {when: "household_net_income * param.vast > cents(7)", reason: no_education_part, statute: § 3}
        hit: first
        grounds:
          - {name: a, when: "sgb2 && !training_pay", payer: jobcenter, reason: {code: receives, fact: sgb2}, statute: § 4}
          - {name: b, when: "household_need * param.vast >= cents(0) && wog", reason: no_ground, statute: § 5}
          - {name: c, when: "under(birth_date, 25) && any_member(registered_household, kiz)", payer: city, reason: no_ground, statute: § 6}
        otherwise: no_ground
        refer:
          - {when: "bafoeg && kindergeld", reason: receives_sgb12, statute: § 7}
          - {when: "asylblg_2 || asylblg_3", reason: receives_asylblg, statute: § 8, even_if_granted: true}
          - {when: "sgb14", reason: no_but_ground, statute: § 9}
        validity: {ends_with: ground}
        tariffs:
          - {name: reduced, when: "takes_communal_lunch"}
          - {name: young, when: "under(birth_date, 18)"}
        allowances:
          - {kind: lunch, monthly: "household_net_income + param.price", when: "school_full_time", accrual: monthly, carry_over: none, grace: P3M, statute: § 10}
          - {kind: participation, monthly: param.price, accrual: monthly, carry_over: none, grace: P3M, statute: § 10}
        amounts:
          - {kind: school_supplies, cents: "household_need + param.price", due: "08-01", when: "dangerous_route", statute: § 11}
          - {kind: trips, cents: param.price, due: "08-10", statute: § 11}
        charges:
          - {kind: fee, monthly: "household_net_income * param.vast", grounds: [c], statute: § 12}
          - {kind: fee, monthly: param.price, when: "nearest_school", statute: § 12}
    """
SECOND = """\
    programme: second
    label: {de: x, de-simple: x, en: x}
    versions:
      - from: 2020-01-01
        statute: Satzung § 1
        after: [{programme: first, outcomes: [refused]}]
        hit: any
        grounds:
          - {name: d, when: "kiz || count_members(bedarfsgemeinschaft, sgb2) > 1", reason: no_ground, statute: § 4}
          - {name: e, when: "rank_among(registered_household, kindergeld) == 1", reason: no_ground, statute: § 5}
        otherwise: no_ground
        validity: {ends_with: ground}
        tariffs: [{name: reduced}, {name: young, when: "school_route_m > 2000"}]
    """
THIRD = """\
    programme: third
    label: {de: x, de-simple: x, en: x}
    versions:
      - from: 2020-01-01
        statute: Satzung § 1
        after: [{programme: second, outcomes: [granted]}, {programme: first, outcomes: [refused]}]
        hit: any
        grounds: [{name: f, when: "!elternbeitrag_befreit", reason: no_ground, statute: § 4}]
        otherwise: no_ground
        validity: {ends_with: ground}
    """
FOURTH = """\
    programme: fourth
    label: {de: x, de-simple: x, en: x}
    versions:
      - from: 2020-01-01
        statute: Satzung § 1
        requires:
          - {when: "under(birth_date, 18)", reason: no_education_part, statute: § 2}
          - {when: main_residence, reason: no_main_residence, statute: § 2}
        hit: any
        grounds: [{name: g, when: "!address_blocked", reason: no_ground, statute: § 4}]
        otherwise: no_ground
        validity: {ends_with: ground}
    """


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Rulebook:
    """Rules as no city has them, that come to every end that a decision can come to."""
    folder = tmp_path_factory.mktemp("strange")
    texts = {"rulebook": FRONT, "first": FIRST, "second": SECOND, "third": THIRD, "fourth": FOURTH}
    for name, content in texts.items():
        (folder / f"{name}.yaml").write_text(textwrap.dedent(content), encoding="utf-8")
    return load_rulebook(folder)


@dataclass(frozen=True)
class People:
    """A population, as the database and as the interpreter knows it."""

    on: date
    subjects: Mapping[UUID, Subject]
    told: Mapping[UUID, Mapping[str, Ruling]]
    """What `decide` says to each of them."""
    alone: frozenset[str] = frozenset()
    """Of which kinds of household it is known who is in none."""


async def people(
    session: AsyncSession, book: Rulebook, on: date, count: int, seed: int = 3, *, listed: bool = False
) -> People:
    """People in a city whose lists of households are complete, or not."""
    register = await a_register(session, facts=(), households=HOUSEHOLDS)
    if listed:
        await registers.complete(session, register.id, uuid4(), as_of=NOON, day=on, now=NOON)
    await settle_in(await session.connection(), list(wide_rows(count, on, register.id, seed=seed)))
    ids = (await session.execute(select(CURRENT.c.person_id))).scalars().all()
    subjects = await facts.subjects(session, ids, on)
    told = {who: told_by_decide(book, subjects[who], on) for who in subjects}
    return People(on, subjects, told, frozenset(HOUSEHOLDS if listed else ()))


def versions_on(book: Rulebook, day: date) -> list[RuleVersion]:
    found = (book.programmes[name].on(day) for name in book.order())
    return [version for version in found if version is not None]


def told_by_decide(book: Rulebook, subject: Subject, on: date) -> dict[str, Ruling]:
    told: dict[str, Ruling] = {}
    for version in versions_on(book, on):
        others: dict[str, Outcome] = {name: ruling.outcome for name, ruling in told.items()}
        told[version.programme] = decide(version, subject, book.parameters_on(on), on, others=others)
    return told


def without_days(ruling: Ruling) -> object:
    """What the decision says, in the order in which it says it, without the days."""
    reasons = [(r.code, *((k, v) for k, v in r.params.items() if k != "on")) for r in ruling.reasons]
    return repr(
        (
            ruling.outcome,
            ruling.ground,
            ruling.payer,
            ruling.tariffs,
            [
                (a.kind, a.monthly_cents, a.terms, a.unit_ceiling_cents, a.ceiling_cents)
                for a in ruling.allowances
            ],
            ruling.amounts,
            ruling.charges,
            reasons,
            ruling.missing,
        )
    )


def money(some: Any, cents: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in some:
        found[one.kind] += getattr(one, cents)
    return +found


async def disagreements(
    session: AsyncSession, book: Rulebook, people: People, module: ModuleType = compiled
) -> list[str]:
    """Whoever is told something else by the statement; and essences that do not stand for one thing only."""
    on, found = people.on, list[str]()
    statement = module.compile_book(versions_on(book, on), on=on)
    given = statement.bind(book.parameters_on(on), on, alone=people.alone)
    rows = {row["key"]: row for row in (await session.execute(statement.select, given)).mappings()}
    if rows.keys() != people.subjects.keys():
        return ["not the same persons"]
    stands_for: dict[tuple[str, int], set[object]] = {}
    written_as: dict[tuple[str, object], set[int]] = {}
    for person_id, told in people.told.items():
        row = rows[person_id]
        for name, ruling in told.items():
            if (row[name + "__outcome"], row[name + "__ground"]) != (ruling.outcome, ruling.ground):
                found.append(f"{name} {person_id}: {row[name + '__outcome']}, not {ruling}")
            for what, some, cents in (
                ("__allowance__", ruling.allowances, "monthly_cents"),
                ("__charge__", ruling.charges, "monthly_cents"),
                ("__amount__", ruling.amounts, "cents"),
            ):
                start = name + what
                paid = {k.removeprefix(start): v for k, v in row.items() if k.startswith(start) and v}
                if paid != dict(money(some, cents)):
                    found.append(f"{name}{what} {person_id}: {paid}, not {some}")
            essence, said = row[name + "__essence"], without_days(ruling)
            stands_for.setdefault((name, essence), set()).add(said)
            written_as.setdefault((name, said), set()).add(essence)
        assert row["essence"] == sum(row[name + "__essence"] for name in statement.programmes)
    found += [f"{name}: {said}" for (name, _), said in stands_for.items() if len(said) > 1]
    found += [f"{name}: {some} for {said}" for (name, said), some in written_as.items() if len(some) > 1]
    return found


@pytest.mark.parametrize(
    ("on", "count"), [(date(2026, 9, 16), 1_000), (date(2026, 8, 10), 500), (date(2028, 2, 29), 300)], ids=str
)
@pytest.mark.parametrize("listed", [False, True])
async def test_the_city_is_told_what_each_person_is_told(
    session: AsyncSession, on: date, count: int, listed: bool
) -> None:
    some = await people(session, dortmund(), on, count, listed=listed)
    assert await disagreements(session, dortmund(), some) == []
    if listed:
        known = Counter(frozenset(subject.households) for subject in some.subjects.values())
        assert len(known) > 1, "of some it must be unsure whether they are in a household"


@pytest.mark.parametrize("on", [date(2026, 8, 11), date(2026, 9, 1)], ids=str)
async def test_rules_that_end_in_every_way_end_the_same(
    session: AsyncSession, strange: Rulebook, on: date
) -> None:
    some = await people(session, strange, on, 1_000, seed=on.day)
    assert await disagreements(session, strange, some) == []
    # Nothing would be proven by people to whom every rule says the same.
    told = some.told.values()
    codes = {(ruling.outcome, r.code) for one in told for ruling in one.values() for r in ruling.reasons}
    assert {
        ("refused", "deceased"),
        ("refused", "other_programme_first"),
        ("undetermined", "other_programme_open"),
        ("undetermined", "missing_fact"),
        ("refer", "known_in_part"),
        ("refer", "calculation_fault"),
        ("refer", "receives_sgb12"),
        ("refer", "receives_asylblg"),
        ("refused", "no_ground"),
    } <= codes
    assert {ruling.ground for one in told for ruling in one.values()} >= {"a", "b", "c", "d", "e", "f"}
    assert any(ruling.missing for one in told for ruling in one.values() if ruling.outcome is Outcome.GRANTED)
    assert any(one["first"].amounts for one in told) is (on.month == 8)


# --- and it would be noticed if it did not ------------------------------------------------------------------

ROOM = Path(compiled.__file__).parent
MUTANTS = (
    Mutant(
        "death is overlooked",
        "book.py",
        "whens: list[tuple[Any, Any]] = [(layer.c.dead, number(DIED))]",
        "whens: list[tuple[Any, Any]] = []",
    ),
    Mutant(
        "an open ground above is passed over",
        "book.py",
        '(whens if one.version.hit == "first" else opens).extend(some)',
        "opens.extend(some)",
    ),
    Mutant(
        "an open ground below outweighs one that holds",
        "book.py",
        '(whens if one.version.hit == "first" else opens).extend(some)',
        "whens.extend(some)",
    ),
    Mutant(
        "what is missing outweighs a refusal",
        "book.py",
        "fails = or_(ground == number(0), *failed)",
        "fails = and_(or_(ground == number(0), *failed), ground != number(UNKNOWN))",
    ),
    Mutant(
        "a referral replaces any refusal",
        "book.py",
        "whens += [(and_(fails, *known, when), referred)",
        "whens += [(and_(fails, when), referred)",
    ),
    Mutant(
        "a referral in any case waits for a refusal",
        "book.py",
        "whens += [(when, referred) for when, referred, always in referrals if always]",
        "pass",
    ),
    Mutant(
        "which requirements fail is mixed up",
        "book.py",
        "case((failed, number(1 << n)), else_=number(0))",
        "case((failed, number(1)), else_=number(0))",
    ),
    Mutant(
        "a fault is taken for missing",
        "book.py",
        "return layer.c[label + MISSING] != number(0)",
        "return layer.c[label].is_(None)",
    ),
    Mutant(
        "a fault in a requirement is passed over",
        "book.py",
        "faults = [layer.c[label].is_(None) for label in required if self.opens(label)]",
        "faults: list[Any] = []",
    ),
    Mutant(
        "known in part is taken for missing",
        "book.py",
        "return case((partly, number(PARTLY)), else_=decision)",
        "return decision",
    ),
    Mutant(
        "another programme that is open counts as refused",
        "book.py",
        "(not_(Grouping(fits)), number(OTHER_OPEN - k)),",
        "(not_(Grouping(fits)), number(OTHER_FIRST - k)),",
    ),
    Mutant(
        "charges belong to every ground",
        "asked.py",
        "if not charge.grounds:",
        "if True:",
    ),
    Mutant(
        "what fell due is judged today",
        "book.py",
        "parts.append((compiled, day))",
        "parts.append((compiled, None))",
    ),
    Mutant(
        "what fell due is judged by the facts of today",
        "book.py",
        "self.of_some(asked, self.dated,",
        "self.of_some(asked, self.rows,",
    ),
    Mutant(
        "what a granted programme misses is not said",
        "book.py",
        "if brought is not None:",
        "if False:",
    ),
    Mutant(
        "the households of those for whom something is missing are left out",
        "book.py",
        "for kind in kinds:",
        "for kind in list[str]():",
    ),
    Mutant(
        "the first open ground misses what all of them miss",
        "book.py",
        "missing = case(*firsts, else_=number(0))",
        "pass",
    ),
)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_statement_with_a_bug_is_found_out(
    session: AsyncSession, strange: Rulebook, tmp_path: Path
) -> None:
    """The statement has the bug before any database reads it; that both read it alike is shown above."""
    some = await people(session, strange, date(2026, 8, 11), 900, seed=11)
    missed = []
    for place, mutant in enumerate(MUTANTS):
        folder = tmp_path / str(place)
        folder.mkdir()
        with applied(mutant, ROOM, folder) as module:
            if not await disagreements(session, strange, some, module):
                missed.append(mutant.wrong)
    assert missed == []
