"""A random population in the wide rows of the city's own facts, for the rules of its own rulebook."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS
from entitlements.facts.models import CURRENT, UNSURE, UNTIL
from entitlements.language import Kind
from entitlements.language.days import years_before
from entitlements.people.models import Person

LEARNED = datetime(2026, 1, 1, tzinfo=UTC)


def wide_rows(count: int, on: date, register: UUID, seed: int = 1) -> Iterator[dict[str, Any]]:
    """So many persons in households of one to six, most of them without any benefit."""
    random = Random(seed)
    made = 0
    while made < count:
        size = min(random.choice([1, 1, 2, 2, 3, 4, 5, 6]), count - made)
        poor, homes = random.random() < 0.2, {name: _id(random) for name in HOUSEHOLDS}
        shares = {
            name: name == "registered_household" or (poor and random.random() < 0.7) for name in HOUSEHOLDS
        }
        for _ in range(size):
            made += 1
            row: dict[str, Any] = dict.fromkeys((column.name for column in CURRENT.columns), None)
            row |= {"person_id": _id(random), "on_day": on, "refresh_on": on + timedelta(1)}
            row |= {
                name: homes[name] if shares[name] and random.random() < 0.95 else None for name in HOUSEHOLDS
            }
            for name in HOUSEHOLDS:
                # Of some, a list said something that nobody could read.
                row[name + UNSURE] = True if row[name] is None and made % 3 == 0 else None
            sources: dict[str, str] = {}
            for name, value in _facts(random, on, poor=poor):
                row[name] = value
                if random.random() < 0.3:
                    row[name + UNTIL] = on + timedelta(random.choice([0, 1, 30, 300]))
                since = on - timedelta(random.choice([0, 1, 500]))
                said = f"{since.isoformat()}|{register}|{LEARNED.isoformat()}"
                sources[said] = f"{sources.get(said, '')} {name}".strip()
            yield row | {"sources": sources}


def _id(random: Random) -> UUID:
    return UUID(int=random.getrandbits(128))


def _facts(random: Random, on: date, *, poor: bool) -> Iterator[tuple[str, Any]]:
    silent = 0.0 if random.random() < 0.8 else 0.3
    years = random.choice([0, 3, 6, 10, 15, 17, 18, 18, 24, 25, 25, 30, 45, 60, 80])
    born = years_before(on, years) + timedelta(random.choice([-1, 0, 1, 40, -200]))
    yield "birth_date", born
    yield "birth_date_latest", born + timedelta(random.choice([0] * 12 + [30, 364]))
    for name, kind in CATALOGUE.items():
        if name.startswith("birth_date") or (not kind.always_known and random.random() < silent):
            continue
        match kind.type:
            case Kind.BOOL:
                often = (
                    0.9 if name == "main_residence" else 0.5 if name in _SCHOOL else 0.25 if poor else 0.01
                )
                yield name, random.random() < (0.01 if kind.always_known else often)
            case Kind.ENUM:
                pupil = 5 < years < 25
                yield name, random.choice(kind.members) if pupil else "none"
            case Kind.INT:
                yield name, random.choice([1999, 2000, 2001, 3500, 3501, 5000, 5001])
            case Kind.CENTS:
                yield name, random.randrange(0, 500_000)
            case _:
                raise AssertionError(name)


_SCHOOL = {
    "school_full_time",
    "dangerous_route",
    "nearest_school",
    "school_authority_participates",
    "takes_communal_lunch",
    "kindergeld",
    "training_pay",
    "learning_need_confirmed",
}


async def settle_in(connection: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    """Makes the persons and their wide rows."""
    persons = [{"id": row["person_id"], "created_at": LEARNED} for row in rows]
    await connection.execute(insert(Person), persons)
    await connection.execute(insert(CURRENT), rows)
