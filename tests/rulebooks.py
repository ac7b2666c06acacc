"""The cities' rulebooks as they are in the repository: each is read once a process, and worked out once for the database."""

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import exists, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.bulk import table_of
from entitlements.facts.catalogue import RULEBOOKS
from entitlements.rulebook import service
from entitlements.rulebook.models import (
    CaseRow,
    ParameterValue,
    Programme,
    RulebookState,
    RuleVersionRow,
    TariffRow,
)
from entitlements.rulebook.programmes import Rulebook
from entitlements.rulebook.reading import load_rulebook

TABLES = [
    table_of(row) for row in (TariffRow, ParameterValue, Programme, RuleVersionRow, CaseRow, RulebookState)
]

_written: dict[tuple[str, datetime], list[list[dict[str, Any]]]] = {}
"""The rows of each table, by the city and the moment of the first load."""


@cache
def rulebook_of(city: str) -> Rulebook:
    return load_rulebook(RULEBOOKS / city)


def dortmund() -> Rulebook:
    return rulebook_of("dortmund")


def cities() -> list[Rulebook]:
    """Every city's."""
    return [rulebook_of(front.parent.name) for front in sorted(RULEBOOKS.glob("*/rulebook.yaml"))]


async def load(session: AsyncSession, now: datetime, city: str = "dortmund") -> None:
    """Loads a city's rules where there are none: as the service does it, and from then on by writing what it wrote."""
    programmes, tariffs = select(exists().select_from(Programme)), select(exists().select_from(TariffRow))
    if (await session.execute(programmes)).scalar_one():
        return
    if (await session.execute(tariffs)).scalar_one():  # a test's own, which the service must bear
        await service.load(session, rulebook_of(city), now)
    elif (city, now) in _written:
        for table, rows in zip(TABLES, _written[city, now], strict=True):
            if rows:
                await session.execute(insert(table), rows)
    else:
        await service.load(session, rulebook_of(city), now)
        read = [await session.execute(select(table)) for table in TABLES]
        _written[city, now] = [[dict(row) for row in rows.mappings()] for rows in read]
