"""A database that judges people by many rules in one statement, and is compared with the interpreter."""

from collections.abc import Callable, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from entitlements.language import Known, Result, Tree, Unknown, evaluate
from entitlements.language.sql import Compiled, Persons, compile_rules
from tests.entitlements.language.worlds import ALWAYS_KNOWN, FACTS, KINDS, World, smallest

TYPES = {name: fact.type for name, fact in FACTS.items()}


class Court:
    def __init__(
        self, connection: AsyncConnection, compile_: Callable[..., Compiled] = compile_rules
    ) -> None:
        self.connection, self.compile = connection, compile_

    async def open(self) -> None:
        """Makes room for the people."""
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
        """What the database says of whoever was filled in."""
        persons = self.persons(current=world.current)
        compiled = self.compile(rules, persons.rows, name_missing=name_missing)
        rows = await self.connection.execute(compiled.select, compiled.bind(world.parameters, world.on))
        return {
            (row["key"], label): compiled.result(row, label) for row in rows.mappings() for label in rules
        }

    async def disagreements(self, rules: Mapping[str, Tree], world: World) -> list[tuple[str, str]]:
        """The rules and persons for whom the database says something else, asked for what is missing or not."""
        await self.fill(world)
        named = await self.judge(rules, world, name_missing=True)
        plain = await self.judge(rules, world, name_missing=False)
        return [
            (label, who.key)
            for label, rule in rules.items()
            for who in world.people
            if not _same(said := evaluate(rule, who, world.parameters, world.on), named[who.key, label])
            or not _same(_unnamed(said), plain[who.key, label])
        ]

    async def explain(self, rule: Tree, world: World) -> str:
        """A disagreement made small, for whoever has to understand it."""
        rule, world = await smallest(rule, world, self.differs)
        await self.fill(world)
        named = await self.judge({"rule": rule}, world, name_missing=True)
        plain = await self.judge({"rule": rule}, world, name_missing=False)
        lines = [f"{rule}   on {world.on} with {world.parameters}, current: {world.current}"]
        for who in world.people:
            said = evaluate(rule, who, world.parameters, world.on)
            facts = {name: (s.value, s.since, s.until) for name, s in who.facts.items()}
            kinds = {kind: [member.key for member in members] for kind, members in who.households.items()}
            lines.append(f"{who.key}: {said}; by SQL {named[who.key, 'rule']}, {plain[who.key, 'rule']}")
            lines.append(f"    {facts} {kinds}")
        return "\n".join(lines)

    async def differs(self, rule: Tree, world: World) -> bool:
        return bool(await self.disagreements({"rule": rule}, world))


def _same(one: Result, other: Result) -> bool:
    """Equal, and not merely as 1 equals true."""
    if isinstance(one, Known) and isinstance(other, Known):
        return one == other and type(one.value) is type(other.value)
    return one == other


def _unnamed(result: Result) -> Result:
    return Unknown(frozenset()) if isinstance(result, Unknown) else result
