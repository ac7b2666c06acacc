"""Facts name persons, households and registers without foreign keys; still, none of these can go."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel, col

import core
from core.database import Database
from entitlements.facts.service import refresh
from entitlements.people.models import Household, Person
from entitlements.registers.models import Register
from tests.entitlements.facts.making import (
    NOON,
    a_household,
    a_register,
    list_members,
    some_persons,
    state,
)

HOUSE = Path(core.__file__).parents[1]
PACKAGES = ("core", "entitlements", "issuers", "wallet", "verifiers", "app")
STAY = {"Person", "Household", "Register", "persons", "households", "registers"}


def deletions(source: str) -> Iterator[str]:
    """What a module deletes from: `delete(Table)` and `session.delete(row)`, and SQL that says DELETE FROM."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name == "delete" and node.args:
                yield ast.unparse(node.args[0]).removeprefix("table_of(").removesuffix(")")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "DELETE FROM" in node.value:
            yield node.value.partition("DELETE FROM")[2].split()[0].strip('"')


def test_the_walk_sees_every_way_to_delete() -> None:
    source = 'delete(Person)\ntable.delete(table_of(Household))\ntext("DELETE FROM registers WHERE true")'
    assert set(deletions(source)) == {"Person", "Household", "registers"}


def test_nothing_in_the_house_deletes_whom_facts_are_about_or_who_stated_them() -> None:
    found = {
        (module.name, name)
        for package in PACKAGES
        for module in (HOUSE / package).rglob("*.py")
        for name in deletions(module.read_text())
        if name in STAY
    }
    assert not found


@pytest.mark.parametrize("table", [Person, Household, Register])
async def test_the_database_itself_keeps_whom_facts_are_about_and_who_stated_them(
    database: Database, table: type[SQLModel]
) -> None:
    async with database.writing() as session:
        ids = await _told(session)
    with pytest.raises(IntegrityError):
        async with database.writing() as session:
            await session.execute(delete(table).where(col(table.id) == ids[table]))  # type: ignore[attr-defined]


async def _told(session: AsyncSession) -> dict[type[SQLModel], object]:
    """A register that has said something of a person and of a home."""
    register = await a_register(session, households=("bedarfsgemeinschaft",))
    (person_id,) = await some_persons(session, 1)
    home = await a_household(session, register, "bedarfsgemeinschaft")
    await list_members(session, register, home, "bedarfsgemeinschaft", [person_id], NOON.date())
    await state(session, register, person_id, "sgb2", True, NOON.date())
    await refresh(session, [person_id], NOON.date())
    return {Person: person_id, Household: home, Register: register.id}
