"""One person with everybody in their households, out of the wide rows, in a single statement."""

from datetime import date
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import Uuid, bindparam, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from entitlements.facts.catalogue import HOUSEHOLDS
from entitlements.facts.models import CURRENT
from entitlements.facts.service import silences, wide_facts
from entitlements.language import Subject
from entitlements.registers.service import Vouching, vouching

_WHOM = bindparam("person", type_=Uuid())
_MINE = select(*(CURRENT.c[name] for name in HOUSEHOLDS)).where(CURRENT.c.person_id == _WHOM).cte("mine")
_NEAR = union(
    select(_WHOM.label("person_id")),
    *(select(CURRENT.c.person_id).join(_MINE, CURRENT.c[name] == _MINE.c[name]) for name in HOUSEHOLDS),
).subquery("near")
_ROWS = select(CURRENT).where(CURRENT.c.person_id.in_(select(_NEAR.c.person_id)))

_vouching: WeakKeyDictionary[Any, Vouching] = WeakKeyDictionary()
"""By database, which registers vouched for what when it was last asked."""


async def presumably(
    session: AsyncSession, person_id: UUID, on: date, *, anew: bool = False
) -> Subject | None:
    """The person as the wide rows have them; None where one names a register that nobody knows.

    Presumably: the rows may speak of another day, and who vouches for what is remembered from an earlier
    question (`anew` asks again). Whoever relies on it compares `decisions.rules.facts_hash`.
    """
    engine = session.get_bind()
    registers = _vouching.get(engine)
    if registers is None or anew:
        registers = _vouching[engine] = await vouching(session)
    rows = {row.person_id: row for row in await session.execute(_ROWS, {"person": person_id})}
    said, alone, _ = silences(registers, on)
    own = rows.get(person_id)
    if own is None:
        return None
    try:
        plainly = {
            key: Subject(str(key), wide_facts(row, registers.kinds, said)) for key, row in rows.items()
        }
    except KeyError:
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
