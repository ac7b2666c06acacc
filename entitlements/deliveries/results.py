"""What became of the rows of a delivery: kept once for a subject, and beside a row where that one differs."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col

from core.bulk import among, chunks
from entitlements.deliveries.models import DeliveryRow, DeliverySubject
from entitlements.deliveries.rules import Result
from entitlements.deliveries.scope import Scope


async def decided(session: AsyncSession, delivery_id: UUID) -> Counter[str]:
    """How many rows of a delivery have which result, those without one left out."""
    row, who = aliased(DeliveryRow), aliased(DeliverySubject)
    first = and_(col(row.delivery_id) == delivery_id, col(row.part) == 0)
    tally: Counter[str] = Counter()
    for query in (
        select(col(row.result), func.count())
        .where(first, col(row.result).is_not(None))
        .group_by(col(row.result)),
        select(col(who.result), func.count())
        .where(
            first,
            col(row.result).is_(None),
            col(who.delivery_id) == delivery_id,
            col(who.place) == col(row.subject),
            col(who.result).is_not(None),
        )
        .group_by(col(who.result)),
    ):
        for result, count in (await session.execute(query)).all():
            tally[str(result)] += count
    return tally


class Results:
    """What becomes of the rows of one part."""

    def __init__(self, scope: Scope) -> None:
        self.scope, self.session = scope, scope.session
        self.tally: Counter[str] = Counter()
        """How many rows have which result, of those that have one already."""
        self.of_subject: dict[int, Result] = {}
        """By place, what became of all that was said of a subject and has no result of its own."""
        self.explained: dict[int, Result] = {}
        """By place, what became of the row that says who a person is."""

    async def keep(self, results: Mapping[Result, Collection[int]], *, all_parts: bool = False) -> None:
        """Keeps these results beside the rows at these positions; of all parts of a row, or of its first."""
        parts = col(DeliveryRow.statement).is_not(None) if all_parts else col(DeliveryRow.part) == 0
        for result, positions in results.items():
            for some in chunks(sorted(positions)):
                await self.session.execute(
                    update(DeliveryRow)
                    .where(
                        col(DeliveryRow.delivery_id) == self.scope.delivery_id,
                        parts,
                        among(col(DeliveryRow.position), some),
                    )
                    .values(result=result.value)
                    .execution_options(synchronize_session=False)
                )
            self.tally[result.value] += await self._of_rows(positions) if all_parts else len(positions)

    async def _of_rows(self, positions: Collection[int]) -> int:
        """How many of these rows now have a result of their own; a person's has not, whose birth date was repeated."""
        count = 0
        for some in chunks(sorted(positions)):
            found = await self.session.execute(
                select(func.count()).where(
                    col(DeliveryRow.delivery_id) == self.scope.delivery_id,
                    among(col(DeliveryRow.position), some),
                    col(DeliveryRow.part) == 0,
                    col(DeliveryRow.result).is_not(None),
                )
            )
            count += found.scalar_one()
        return count

    async def finish(self, subjects: Collection[Any]) -> Counter[str]:
        """Keeps what became of what was said of these subjects; gives how many rows have which result."""
        own: dict[Result, set[int]] = defaultdict(set)
        for one in subjects:
            explained = self.explained.get(one.place)
            if explained is not None and explained is not self.of_subject.get(one.place, Result.ACCEPTED):
                own[explained].add(one.explained_at)
        await self.keep(own)
        by_result: dict[Result, list[int]] = defaultdict(list)
        for one in subjects:
            by_result[self.of_subject.get(one.place, Result.ACCEPTED)].append(one.place)
        rest = await self._count()
        *few, most = sorted(by_result, key=lambda result: len(by_result[result])) or [Result.ACCEPTED]
        for result in few:
            for some in chunks(by_result[result]):
                these = among(col(DeliverySubject.place), some)
                count = await self._count(these)
                rest -= count
                self.tally[result.value] += count
                await self.scope.mark(these, result=result.value, sealed=None)
        # The most common result is kept for whoever is left, in one statement.
        self.tally[most.value] += rest
        await self.scope.mark(result=most.value, sealed=None)
        return self.tally

    async def _count(self, *where: ColumnElement[bool]) -> int:
        row, who = aliased(DeliveryRow), DeliverySubject
        found = await self.session.execute(
            select(func.count()).where(
                self.scope.which,
                *where,
                col(row.delivery_id) == self.scope.delivery_id,
                col(row.subject) == col(who.place),
                col(row.part) == 0,
                col(row.result).is_(None),
            )
        )
        return found.scalar_one()
