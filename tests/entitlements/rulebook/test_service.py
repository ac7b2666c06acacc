from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import Database, new_id
from core.errors import NotFound
from entitlements.language import Subject
from entitlements.rulebook import service
from entitlements.rulebook.keeping import to_json, version_from_json
from entitlements.rulebook.models import ParameterValue, RuleVersionRow, TariffRow
from entitlements.rulebook.programmes import ProgrammeRules, Rulebook
from entitlements.rulebook.rules import decide
from entitlements.rulebook.service import Loaded, RulebookChanged, RulebookGap
from tests.conftest import NOON
from tests.entitlements.decisions.making import TODAY
from tests.rulebooks import dortmund

KARTE = "dortmund-karte"
NEXT_YEAR = date(2027, 1, 1)


def with_versions(book: Rulebook, programme: str, *versions: object) -> Rulebook:
    rules = ProgrammeRules(programme, book.programmes[programme].label, versions)  # type: ignore[arg-type]
    return replace(book, programmes={**book.programmes, programme: rules})


def with_successor(book: Rulebook, *, gap: int = 0) -> Rulebook:
    """The same book with another version of the Dortmund-Karte, from the first of next year."""
    *before, old = book.programmes[KARTE].versions
    until = NEXT_YEAR - timedelta(days=1 + gap)
    return with_versions(book, KARTE, *before, replace(old, until=until), replace(old, since=NEXT_YEAR))


async def count(session: AsyncSession, table: type) -> int:
    return (await session.execute(select(func.count()).select_from(table))).scalar_one()


async def test_a_rulebook_is_kept_whole(session: AsyncSession) -> None:
    done = await service.load(session, dortmund(), NOON)
    versions = [version for rules in dortmund().programmes.values() for version in rules.versions]
    assert (done.programmes, done.versions, done.tariffs) == (len(dortmund().programmes), len(versions), 5)
    book = await service.in_force(session)
    assert book.order() == dortmund().order()
    assert book.parameters == dortmund().parameters
    assert {n: t.bit for n, t in book.tariffs.items()} == {n: t.bit for n, t in dortmund().tariffs.items()}
    assert {n: r.versions for n, r in book.programmes.items()} == {
        n: r.versions for n, r in dortmund().programmes.items()
    }


async def test_the_same_rulebook_again_changes_nothing(session: AsyncSession) -> None:
    await service.load(session, dortmund(), NOON)
    before = await service.timelines(session)
    assert await service.load(session, dortmund(), NOON + timedelta(days=1)) == Loaded()
    assert await service.timelines(session) == before


async def test_what_decides_is_the_stored_tree_and_not_the_file(session: AsyncSession) -> None:
    await service.load(session, dortmund(), NOON)
    for stored in (await session.execute(select(RuleVersionRow))).scalars():
        version = version_from_json(stored.content)
        (read,) = (v for v in dortmund().programmes[stored.programme].versions if v.since == stored.since)
        assert version == read
        assert version.rule_hash == stored.rule_hash
        assert to_json(version) == stored.content
        subject = Subject("nobody", {})
        parameters = dortmund().parameters_on(TODAY)
        assert decide(version, subject, parameters, TODAY) == decide(read, subject, parameters, TODAY)


async def test_a_rule_in_force_cannot_be_given_another_content(session: AsyncSession) -> None:
    await service.load(session, dortmund(), NOON)
    *before, old = dortmund().programmes[KARTE].versions
    changed = with_versions(dortmund(), KARTE, *before, replace(old, grounds=old.grounds[:1]))
    with pytest.raises(RulebookChanged):
        await service.load(session, changed, NOON)


async def test_an_amount_in_force_cannot_be_given_another_value(session: AsyncSession) -> None:
    await service.load(session, dortmund(), NOON)
    name = "participation_monthly"
    parameter = dortmund().parameters[name]
    raised = replace(parameter, values=(replace(parameter.values[0], value=2000),))
    changed = replace(dortmund(), parameters={**dortmund().parameters, name: raised})
    with pytest.raises(RulebookChanged):
        await service.load(session, changed, NOON)


async def test_a_new_amount_from_a_later_day_is_added_and_the_programme_judged_anew(
    session: AsyncSession,
) -> None:
    await service.load(session, dortmund(), NOON)
    before = await service.timelines(session)
    name = "participation_monthly"
    parameter = dortmund().parameters[name]
    later = replace(parameter.values[-1], since=NEXT_YEAR, value=2000)
    grown = replace(parameter, values=(*parameter.values, later))
    done = await service.load(
        session, replace(dortmund(), parameters={**dortmund().parameters, name: grown}), NOON
    )
    assert done == Loaded(parameters=1)
    after = await service.timelines(session)
    assert {p for p in after if after[p] != before[p]} == {"bildungskarte"}
    book = await service.in_force(session)
    assert book.parameters_on(TODAY)[name] == 1500
    assert book.parameters_on(NEXT_YEAR)[name] == 2000


async def test_a_tariff_keeps_its_bit_while_cards_are_out(session: AsyncSession) -> None:
    await service.load(session, dortmund(), NOON)
    moved = {**dortmund().tariffs, "reduced": replace(dortmund().tariffs["reduced"], bit=9)}
    with pytest.raises(RulebookChanged):
        await service.load(session, replace(dortmund(), tariffs=moved), NOON)


async def test_a_successor_closes_the_version_before_it(session: AsyncSession) -> None:
    await service.load(session, dortmund(), NOON)
    *_, old = dortmund().programmes[KARTE].versions
    assert (await service.load(session, with_successor(dortmund()), NOON)).versions == 1
    rows = (await service.rows_of(session, KARTE))[-2:]
    assert [(r.since, r.until) for r in rows] == [(old.since, date(2026, 12, 31)), (NEXT_YEAR, None)]
    assert rows[0].rule_hash == old.rule_hash
    on = {v.programme: v.since for v in await service.versions_on(session, TODAY)}
    later = {v.programme: v.since for v in await service.versions_on(session, NEXT_YEAR)}
    assert (on[KARTE], later[KARTE]) == (old.since, NEXT_YEAR)
    # A decision made by the old rule still finds it, now with its last day.
    assert (await service.version_of(session, old.rule_hash)).until == date(2026, 12, 31)


async def test_a_day_without_a_rule_is_refused(session: AsyncSession) -> None:
    with pytest.raises(RulebookGap):
        await service.load(session, with_successor(dortmund(), gap=1), NOON)


async def test_a_rule_in_force_cannot_be_left_out(session: AsyncSession) -> None:
    await service.load(session, with_successor(dortmund()), NOON)
    with pytest.raises(RulebookChanged):
        await service.load(session, dortmund(), NOON)


async def test_two_rules_cannot_begin_on_the_same_day(database: Database) -> None:
    async with database.writing() as session:
        await service.load(session, dortmund(), NOON)
        row = (await service.rows_of(session, KARTE))[0]
    twin = RuleVersionRow(**(row.model_dump() | {"id": new_id(), "rule_hash": "other"}))
    with pytest.raises(IntegrityError):
        async with database.writing() as session:
            session.add(twin)


async def test_nobody_approves_what_they_wrote_themselves(database: Database) -> None:
    async with database.writing() as session:
        await service.load(session, dortmund(), NOON)
    somebody = new_id()
    for table in (RuleVersionRow, ParameterValue):
        with pytest.raises(IntegrityError):
            async with database.writing() as session:
                await session.execute(update(table).values(author_id=somebody, approver_id=somebody))


async def test_a_rule_that_nobody_kept_is_not_found(session: AsyncSession) -> None:
    await service.load(session, dortmund(), NOON)
    with pytest.raises(NotFound):
        await service.version_of(session, "0" * 64)
    with pytest.raises(NotFound):
        await service.rows_of(session, "no-such-programme")


async def test_rules_are_parsed_once_for_each_state_of_the_rulebook(session: AsyncSession) -> None:
    await service.load(session, dortmund(), NOON)
    first = await service.in_force(session)
    assert await service.in_force(session) is first
    await service.load(session, with_successor(dortmund()), NOON)
    second = await service.in_force(session)
    assert second is not first
    assert second.programmes["sozialpass"].versions[0] is first.programmes["sozialpass"].versions[0]


async def test_programmes_and_tariffs_are_named_in_the_language_asked_for(session: AsyncSession) -> None:
    await service.load(session, dortmund(), NOON)
    assert (await service.programme_names(session, "en"))[KARTE] == "Dortmund Card"
    assert (await service.programme_names(session, "tlh"))[KARTE] == "Dortmund-Karte"
    assert (await service.tariff_bits(session))["education"] == 0b1000
    assert await count(session, TariffRow) == len(await service.tariffs(session))
