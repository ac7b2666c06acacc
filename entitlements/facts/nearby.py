"""One person with everybody in their households, out of the wide rows, in a single statement."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import CTE, FromClause, Select, Subquery, Uuid, bindparam, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS
from entitlements.facts.models import CURRENT, UNSURE
from entitlements.facts.service import Silence, silences, wide_facts
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

_MOST_DAYS = 400


@dataclass(slots=True)
class _Memory:
    """Who vouched for what when it was last asked, and what silence says on which day."""

    registers: Vouching
    said: dict[date, tuple[Mapping[str, Silence], frozenset[str]]] = field(default_factory=dict)

    def silences(self, on: date) -> tuple[Mapping[str, Silence], frozenset[str]]:
        if on not in self.said:
            if len(self.said) >= _MOST_DAYS:
                self.said.clear()
            said, alone, _ = silences(self.registers, on)
            self.said[on] = said, alone
        return self.said[on]


_memories: WeakKeyDictionary[Any, _Memory] = WeakKeyDictionary()
"""By database."""


async def presumably(
    session: AsyncSession, person_id: UUID, on: date, names: Collection[str]
) -> Subject | None:
    """The person as the wide rows have them; see `from_rows`."""
    rows = list(await session.execute(_ROWS, {"person": person_id}))
    return await from_rows(session, rows, person_id, on, names)


async def from_rows(
    session: AsyncSession, found: Sequence[Any], person_id: UUID, on: date, names: Collection[str]
) -> Subject | None:
    """The person with these facts and households, out of the wide rows of everybody near.

    None where they have none, or one of them names a register that nobody knows.

    Presumably: the rows may speak of another day, and who vouches for what is remembered from an earlier
    question. Whoever relies on it compares `decisions.rules.facts_hash`.
    """
    engine = session.get_bind()
    rows = {row.person_id: row for row in found if row.person_id is not None}
    own, memory = rows.get(person_id), _memories.get(engine)
    if memory is None:
        memory = _memories[engine] = _Memory(await vouching(session))
    if own is None:
        return None
    said, alone = memory.silences(on)
    wanted = [name for name in CATALOGUE if name in names]
    try:
        plainly = {
            key: Subject(str(key), wide_facts(row, memory.registers.kinds, said, wanted))
            for key, row in rows.items()
        }
    except KeyError:
        forget(session)
        return None
    households: dict[str, tuple[Subject, ...]] = {}
    for name in HOUSEHOLDS:
        if name not in names:
            continue
        household_id = getattr(own, name)
        if household_id is not None:
            same = sorted(key for key, row in rows.items() if getattr(row, name) == household_id)
            households[name] = tuple(plainly[key] for key in same)
        elif name in alone and not getattr(own, name + UNSURE):
            households[name] = ()
    return Subject(str(person_id), plainly[person_id].facts, households)


def forget(session: AsyncSession) -> None:
    """Asks anew, next time, who vouches for what."""
    _memories.pop(session.get_bind(), None)
