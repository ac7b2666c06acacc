"""The verdicts of many people, taken and kept in few statements: plain rows, of which only the changed are written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.bulk import among, chunks, insert_new, table_of, update_rows
from entitlements.decisions.models import Verdict
from entitlements.rulebook.programmes import Outcome

Key = tuple[UUID, str]
_KEY = ("person_id", "programme")
_KEPT = (
    "decision_id",
    "digest",
    "outcome",
    "timeline_hash",
    "next_change_on",
    "look_on",
    "judged_at",
)


@dataclass(slots=True)
class Held:
    """A verdict as it stands, and as it is to stand."""

    person_id: UUID
    programme: str
    decision_id: UUID | None = None
    digest: str | None = None
    outcome: Outcome | None = None
    timeline_hash: str = ""
    next_change_on: date | None = None
    look_on: date | None = None
    judged_at: datetime | None = None
    _before: tuple[Any, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        self._before = self.now()

    def now(self) -> tuple[Any, ...]:
        return (
            self.decision_id,
            self.digest,
            self.outcome,
            self.timeline_hash,
            self.next_change_on,
            self.look_on,
            self.judged_at,
        )

    @property
    def changed(self) -> bool:
        return self.now() != self._before


async def take(session: AsyncSession, people: Sequence[UUID], programmes: Sequence[str]) -> dict[Key, Held]:
    """Everybody's verdicts, made where there is none yet, and locked in one order for all."""
    found: dict[Key, Held] = {}
    for some in chunks(people):
        have = await _locked(session, some)
        missing = [
            (person, name) for person in some for name in sorted(programmes) if (person, name) not in have
        ]
        if missing:
            rows = [{"person_id": person, "programme": name, "timeline_hash": ""} for person, name in missing]
            await insert_new(session, Verdict, rows)
            # Somebody else may have made some of them meanwhile; what they wrote is seen now.
            have = await _locked(session, some) if have else await _locked_or_new(session, some, missing)
        found |= have
    return found


async def _locked(session: AsyncSession, people: Sequence[UUID]) -> dict[Key, Held]:
    table = table_of(Verdict)
    rows = await session.execute(
        select(*(table.c[name] for name in (*_KEY, *_KEPT)))
        .where(among(table.c.person_id, people))
        .order_by(table.c.person_id, table.c.programme)
        .with_for_update(key_share=True)
    )
    return {(row[0], row[1]): Held(*row) for row in rows}


async def _locked_or_new(
    session: AsyncSession, people: Sequence[UUID], made: Sequence[Key]
) -> dict[Key, Held]:
    """Of a city that is judged for the first time nothing needs to be read again but what is not as we made it."""
    table = table_of(Verdict)
    rows = await session.execute(
        select(*(table.c[name] for name in (*_KEY, *_KEPT)))
        .where(and_(among(table.c.person_id, people), table.c.judged_at.is_not(None)))
        .order_by(table.c.person_id, table.c.programme)
        .with_for_update(key_share=True)
    )
    others = {(row[0], row[1]): Held(*row) for row in rows}
    return {key: others.get(key) or Held(*key) for key in made}


async def keep(session: AsyncSession, verdicts: Iterable[Held]) -> int:
    """Writes what is another now; gives the number of rows."""
    rows = [(one.person_id, one.programme, *one.now()) for one in verdicts if one.changed]
    await update_rows(session, table_of(Verdict), _KEY, _KEPT, rows)
    return len(rows)


__all__ = ["Held", "Key", "keep", "take"]
