"""One person with everybody in their households, out of the wide rows, in a single statement."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import CTE, FromClause, Select, Subquery, Uuid, bindparam, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from entitlements.facts.catalogue import HOUSEHOLDS
from entitlements.facts.models import CURRENT
from entitlements.facts.service import silences, wide_facts
from entitlements.language import Subject
from entitlements.registers.service import Vouching, vouching


def around(whose: CTE) -> tuple[Subquery, FromClause]:
    """For a query about one person (`whose` has their `person_id`): everybody near, and the rows to join to that."""
    mine = (
        select(*(CURRENT.c[name] for name in HOUSEHOLDS))
        .join(whose, CURRENT.c.person_id == whose.c.person_id)
        .cte("mine")
    )
    near = union(
        select(whose.c.person_id),
        *(select(CURRENT.c.person_id).join(mine, CURRENT.c[name] == mine.c[name]) for name in HOUSEHOLDS),
    ).subquery("near")
    return near, CURRENT


def _one() -> Select[Any]:
    whose = select(bindparam("person", type_=Uuid()).label("person_id")).cte("whose")
    near, rows = around(whose)
    return select(rows).join(near, CURRENT.c.person_id == near.c.person_id)


_ROWS = _one()

_vouching: WeakKeyDictionary[Any, Vouching] = WeakKeyDictionary()
"""By database, which registers vouched for what when it was last asked."""


async def presumably(session: AsyncSession, person_id: UUID, on: date) -> Subject | None:
    """The person as the wide rows have them; see `from_rows`."""
    rows = list(await session.execute(_ROWS, {"person": person_id}))
    return await from_rows(session, rows, person_id, on)


async def from_rows(session: AsyncSession, found: Sequence[Any], person_id: UUID, on: date) -> Subject | None:
    """The person, out of the wide rows of everybody near; None where they have none, or name an unknown register.

    Presumably: the rows may speak of another day, and who vouches for what is remembered from an earlier
    question. Whoever relies on it compares `decisions.rules.facts_hash`.
    """
    engine = session.get_bind()
    rows = {row.person_id: row for row in found if row.person_id is not None}
    own, registers = rows.get(person_id), _vouching.get(engine)
    if registers is None:
        registers = _vouching[engine] = await vouching(session)
    if own is None:
        return None
    said, alone, _ = silences(registers, on)
    try:
        plainly = {
            key: Subject(str(key), wide_facts(row, registers.kinds, said)) for key, row in rows.items()
        }
    except KeyError:
        forget(session)
        return None
    households: dict[str, tuple[Subject, ...]] = {}
    for name in HOUSEHOLDS:
        household_id = getattr(own, name)
        if household_id is not None:
            same = sorted(key for key, row in rows.items() if getattr(row, name) == household_id)
            households[name] = tuple(plainly[key] for key in same)
        elif name in alone:
            households[name] = ()
    return Subject(str(person_id), plainly[person_id].facts, households)


def forget(session: AsyncSession) -> None:
    """Asks anew, next time, who vouches for what."""
    _vouching.pop(session.get_bind(), None)
