"""Two back ends, one meaning: whatever rule and whoever is judged, SQL says what the interpreter says."""

from collections.abc import AsyncIterator, Mapping
from random import Random

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from entitlements.language import Known, Result, Tree, Unknown, evaluate
from entitlements.language.sql import Persons, compile_rules
from tests.entitlements.language.worlds import ALWAYS_KNOWN, FACTS, KINDS, World, Writer, a_world, smallest

TYPES = {name: fact.type for name, fact in FACTS.items()}


class Court:
    """A database that judges people by many rules in one statement."""

    def __init__(self, connection: AsyncConnection, compiler=compile_rules) -> None:
        self.connection, self.compiler = connection, compiler

    async def open(self) -> None:
        await self.connection.run_sync(self.persons(current=True).table.create)

    def persons(self, *, current: bool) -> Persons:
        return Persons(TYPES, KINDS, always_known=ALWAYS_KNOWN, current=current)

    async def fill(self, world: World) -> None:
        persons = self.persons(current=world.current)
        await self.connection.execute(persons.table.delete())
        if world.people:
            await self.connection.execute(persons.table.insert(), persons.rows_of(world.people))

    async def judge(
        self, rules: Mapping[str, Tree], world: World, *, name_missing: bool
    ) -> dict[tuple[str, str], Result]:
        persons = self.persons(current=world.current)
        compiled = self.compiler(rules, persons.rows, name_missing=name_missing)
        rows = await self.connection.execute(compiled.select, compiled.bind(world.parameters, world.on))
        return {
            (row["key"], label): compiled.result(row, label) for row in rows.mappings() for label in rules
        }

    async def disagreements(self, rules: Mapping[str, Tree], world: World) -> list[tuple[str, str]]:
        """The rules and persons for whom the database says something else, named or not what is missing."""
        await self.fill(world)
        named = await self.judge(rules, world, name_missing=True)
        plain = await self.judge(rules, world, name_missing=False)
        found = []
        for label, rule in rules.items():
            for who in world.people:
                said = evaluate(rule, who, world.parameters, world.on)
                if not same(said, named[who.key, label]) or not same(unnamed(said), plain[who.key, label]):
                    found.append((label, who.key))
        return found

    async def differs(self, rule: Tree, world: World) -> bool:
        return bool(await self.disagreements({"rule": rule}, world))


def same(one: Result, other: Result) -> bool:
    """Equal, and not merely as 1 equals true."""
    if isinstance(one, Known) and isinstance(other, Known):
        return one == other and type(one.value) is type(other.value)
    return one == other


def unnamed(result: Result) -> Result:
    return Unknown(frozenset()) if isinstance(result, Unknown) else result


@pytest.fixture
async def court(database_url: str) -> AsyncIterator[Court]:
    engine = create_async_engine(database_url)
    async with engine.connect() as connection:
        court = Court(connection)
        await court.open()
        yield court
    await engine.dispose()


async def show(court: Court, rule: Tree, world: World) -> str:
    rule, world = await smallest(rule, world, court.differs)
    lines = [f"{rule}   on {world.on} with {world.parameters}, current {world.current}"]
    await court.fill(world)
    named = await court.judge({"rule": rule}, world, name_missing=True)
    plain = await court.judge({"rule": rule}, world, name_missing=False)
    for who in world.people:
        said = evaluate(rule, who, world.parameters, world.on)
        facts = {n: (s.value, s.since, s.until) for n, s in who.facts.items()}
        kinds = {k: [m.key for m in ms] for k, ms in who.households.items()}
        lines.append(
            f"{who.key}: {said} by SQL {named[who.key, 'rule']} {plain[who.key, 'rule']}; {facts} {kinds}"
        )
    return "\n".join(lines)


BATCHES, RULES = 30, 60


@pytest.mark.parametrize("seed", range(BATCHES))
async def test_back_ends_agree(court: Court, seed: int) -> None:
    random = Random(seed)
    writer = Writer(random)
    world = a_world(random)
    rules = {f"r{n}": writer.rule() for n in range(RULES)}
    found = await court.disagreements(rules, world)
    if found:
        pytest.fail(await show(court, rules[found[0][0]], world))
