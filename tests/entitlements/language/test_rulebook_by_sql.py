"""The city's own rules over its own wide rows: the whole population at once, and nobody is told otherwise."""

from datetime import date

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from entitlements.facts import service as facts
from entitlements.facts.catalogue import HOUSEHOLDS
from entitlements.facts.models import UNSURE
from entitlements.facts.rows import CURRENT_ROWS
from entitlements.language import Tree, evaluate
from entitlements.language.sql import MISSING, SAYS, compile_rules
from tests.entitlements.facts.making import a_register
from tests.entitlements.language.citizens import settle_in, wide_rows
from tests.rulebooks import dortmund

BOOK = dortmund()
NOBODY_ALONE = {f"alone_{name}": False for name in HOUSEHOLDS}


def rules_on(day: date) -> dict[str, Tree]:
    """Each programme's whole condition, and each part of which a decision is made."""
    rules: dict[str, Tree] = {}
    for number, programme in enumerate(BOOK.programmes.values()):
        version = programme.on(day)
        assert version is not None
        rules[f"p{number}"] = version.condition
        rules |= {f"p{number}_{part}": tree for part, tree in enumerate(version.trees())}
    return rules


@pytest.mark.parametrize(("on", "count"), [(date(2026, 9, 16), 2_000), (date(2028, 2, 29), 500)], ids=str)
async def test_everybody_is_told_by_sql_what_the_interpreter_tells_them(
    session: AsyncSession, on: date, count: int
) -> None:
    register = await a_register(session)
    rows = list(wide_rows(count, on, register.id, seed=on.year))
    await settle_in(await session.connection(), rows)
    subjects = await facts.subjects(session, [row["person_id"] for row in rows], on)
    rules, parameters = rules_on(on), BOOK.parameters_on(on)

    compiled = compile_rules(rules, CURRENT_ROWS, name_missing=True)
    given = compiled.bind(parameters, on) | NOBODY_ALONE
    told = {row["key"]: row for row in (await session.execute(compiled.select, given)).mappings()}

    assert told.keys() == subjects.keys()
    words: dict[str, set[str]] = {label: set() for label in rules}
    for person_id, subject in subjects.items():
        for label, rule in rules.items():
            said = evaluate(rule, subject, parameters, on)
            assert compiled.result(told[person_id], label) == said, f"{rule} for {person_id}"
            words[label].add(told[person_id][label + SAYS])
    # Nothing would be proven by people to whom every rule says the same.
    said_of = {name: words[f"p{n}"] for n, name in enumerate(BOOK.programmes)}
    assert said_of == {name: {"granted", "refused", "undetermined"} for name in BOOK.programmes}


async def test_which_fact_would_decide_for_how_many_is_one_statement(session: AsyncSession) -> None:
    on = date(2026, 9, 16)
    register = await a_register(session)
    await settle_in(await session.connection(), list(wide_rows(300, on, register.id)))
    rule = BOOK.programmes["bildungskarte"].on(on)
    assert rule is not None
    compiled = compile_rules({"rule": rule.condition}, CURRENT_ROWS, name_missing=True)
    given = compiled.bind(BOOK.parameters_on(on), on) | NOBODY_ALONE
    rows = (await session.execute(compiled.select, given)).mappings().all()
    open_cases = [
        compiled.missing(row["rule" + MISSING]) for row in rows if row["rule" + SAYS] == "undetermined"
    ]
    assert open_cases
    assert all(open_cases)
    assert {"sgb2", "kindergeld"} <= frozenset[str]().union(*open_cases)


async def test_whoever_is_known_to_live_alone_is_in_no_household(session: AsyncSession) -> None:
    on = date(2026, 9, 16)
    register = await a_register(session)
    rows = [row for row in wide_rows(200, on, register.id) if row["wohngeld_household"] is None]
    await settle_in(await session.connection(), rows)
    rule = {"rule": Tree.from_json(_ANY_WOG)}
    compiled = compile_rules(rule, CURRENT_ROWS)
    unsure = {row["person_id"] for row in rows if row["wohngeld_household" + UNSURE]}
    assert 0 < len(unsure) < len(rows)
    for alone in (True, False):
        given = compiled.bind({}, on) | NOBODY_ALONE | {"alone_wohngeld_household": alone}
        told = (await session.execute(compiled.select, given)).mappings()
        refused = {row["key"] for row in told if row["rule" + SAYS] == "refused"}
        assert refused == ({row["person_id"] for row in rows} - unsure if alone else set())


_ANY_WOG = {
    "node": "any_member",
    "household": "wohngeld_household",
    "term": {"node": "fact", "name": "wog", "type": "bool"},
}
