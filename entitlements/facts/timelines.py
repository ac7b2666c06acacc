"""What becomes of a timeline when its register states more of it, and of the rows that keep it: of facts or of homes."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import case, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.bulk import among, chunks
from entitlements.facts.models import Fact
from entitlements.facts.rules import Denial, Piece, Statement, last_day, settle
from entitlements.people.models import Membership


class Outcome(StrEnum):
    """What became of a statement."""

    ACCEPTED = "accepted"
    """It counts, for some of its days at least."""
    UNCHANGED = "unchanged"
    """It was known."""
    SUPERSEDED = "superseded"
    """Something stated later was known for all of its days; it is kept, and counts for none."""


@dataclass(slots=True)
class Changes:
    """What is to be written about one timeline."""

    closed: list[UUID] = field(default_factory=list)
    confirmed: dict[UUID, datetime] = field(default_factory=dict)
    opened: list[Piece] = field(default_factory=list)
    """Rows that count from now on."""
    noted: list[Statement] = field(default_factory=list)
    """Statements that count for no day, kept for the record."""
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def touched(self) -> bool:
        """Whether something else counts than before."""
        return bool(self.closed or self.opened)

    def written(self, now: datetime) -> Iterator[tuple[Piece, datetime | None]]:
        """What becomes a row, and until when the row is known: what is only noted counts no longer.

        In the order in which it arrived, so that the ids of the rows still say so when it is settled again.
        """
        rows: list[tuple[Piece, datetime | None]] = [(piece, None) for piece in self.opened]
        rows += [(Piece(said, said.first, said.following), now) for said in self.noted]
        yield from sorted(rows, key=lambda row: row[0].statement.order)


@dataclass(slots=True)
class _Said:
    """One statement as the history knows it: on as many rows as later ones have cut it into."""

    statement: Statement
    rows: list[Any] = field(default_factory=list)


def _known(
    rows: Iterable[Any], value_of: Callable[[Any], Hashable], rank_of: Callable[[Any], int]
) -> dict[Hashable, _Said]:
    """What was stated before, each statement once, by what tells it apart from all others."""
    said: dict[Hashable, _Said] = {}
    for row in rows:
        value = value_of(row)
        identity = (value, row.stated_from, row.stated_next, row.stated_at, row.delivery_id)
        # Later statements cut it into rows that are younger: it arrived with the oldest of them.
        counted, order = row.confirmed_at, (rank_of(row), row.known_from, row.id.int)
        if identity in said:
            before = said[identity].statement
            counted, order = max(counted, before.stated_at), min(order, before.order)
        statement = Statement(value, row.stated_from, row.stated_next, counted, order, identity)
        known = said.setdefault(identity, _Said(statement))
        known.statement = statement
        known.rows.append(row)
    return said


def _equal(_row: Any) -> int:
    return 0


def amend(
    rows: Iterable[Any],
    value_of: Callable[[Any], Hashable],
    new: Sequence[Statement],
    denials: Sequence[Denial],
    rank_of: Callable[[Any], int] = _equal,
) -> Changes:
    """Works out what one timeline looks like after the new statements, and what must be written for it.

    Of two statements of the same moment the one with the higher rank counts (the new ones bring theirs), among equals
    the one that arrived later.
    The key of what is opened or noted says to `Origin` where it came from.
    """
    changes = Changes()
    said = _known(rows, value_of, rank_of)
    current = [
        (identity, row) for identity, one in said.items() for row in one.rows if row.known_until is None
    ]
    for position, statement in enumerate(new):
        same = [
            one
            for one in said.values()
            if (one.statement.value, one.statement.first, one.statement.following)
            == (statement.value, statement.first, statement.following)
        ]
        if any(one.statement.stated_at >= statement.stated_at for one in same):
            changes.outcomes.append(Outcome.UNCHANGED)
            continue
        whole = [(one, row) for one in same for row in one.rows if _whole(row)]
        if whole:
            one, row = whole[0]
            changes.confirmed[row.id] = statement.stated_at
            one.statement = replace(one.statement, stated_at=statement.stated_at)
            changes.outcomes.append(Outcome.UNCHANGED)
            continue
        key = ("new", position)
        order = (statement.order[0], datetime.max.replace(tzinfo=statement.stated_at.tzinfo), position)
        said[key] = _Said(replace(statement, order=order, key=key))
        changes.outcomes.append(Outcome.SUPERSEDED)  # until a piece of it shows that it counts

    wanted = {
        (piece.statement.key, piece.first, piece.following): piece
        for piece in settle((one.statement for one in said.values()), denials)
    }
    for identity, row in current:
        if wanted.pop((identity, row.valid_from, row.valid_next), None) is None:
            changes.closed.append(row.id)
    changes.opened = list(wanted.values())
    counting = {piece.statement.key for piece in changes.opened}
    for position in range(len(new)):
        if ("new", position) in counting:
            changes.outcomes[position] = Outcome.ACCEPTED
        elif ("new", position) in said:
            changes.noted.append(said["new", position].statement)
    return changes


def _whole(row: Any) -> bool:
    return row.known_until is None and row.valid_from == row.stated_from and row.valid_next == row.stated_next


COLUMNS = (
    "valid_from",
    "valid_until",
    "valid_next",
    "stated_from",
    "stated_next",
    "stated_at",
    "confirmed_at",
    "known_from",
    "known_until",
    "register_id",
    "delivery_id",
)
"""What every row of a timeline keeps besides whom and what it is about."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Which register states something, when it is written down, and which delivery brought each new statement."""

    register_id: UUID
    now: datetime
    deliveries: Sequence[UUID | None] = ()
    """In the order in which the new statements were given to `amend`."""

    def columns(self, piece: Piece, known_until: datetime | None) -> tuple[Any, ...]:
        """The piece as `COLUMNS` keep it."""
        said = piece.statement
        stated_at, delivery_id = self._first_stated(said)
        return (
            piece.first,
            last_day(piece.following) or date.max,
            piece.following,
            said.first,
            said.following,
            stated_at,
            said.stated_at,
            self.now,
            known_until,
            self.register_id,
            delivery_id,
        )

    def _first_stated(self, said: Statement) -> tuple[datetime, UUID | None]:
        """When it was first stated and in which delivery."""
        match said.key:
            case ("new", int(position)):
                return said.stated_at, self.deliveries[position]
            case (_, _, _, datetime() as stated_at, (UUID() | None) as delivery_id):
                return stated_at, delivery_id
        raise AssertionError(said.key)


async def close(
    session: AsyncSession, model: type[Fact | Membership], ids: Sequence[UUID], now: datetime
) -> None:
    """Lets these rows count no longer."""
    for some in chunks(ids):
        await session.execute(
            update(model)
            .where(among(col(model.id), some))
            # Whoever came before us and was applied later may have written it after our moment.
            .values(known_until=case((col(model.known_from) > now, col(model.known_from)), else_=now))
            .execution_options(synchronize_session=False)
        )


async def confirm(
    session: AsyncSession, model: type[Fact | Membership], confirmed: Mapping[UUID, datetime]
) -> None:
    """Notes when each of these rows was last said again."""
    moments: dict[datetime, list[UUID]] = defaultdict(list)
    for row_id, moment in confirmed.items():
        moments[moment].append(row_id)
    for moment, ids in moments.items():
        for some in chunks(ids):
            await session.execute(
                update(model)
                .where(among(col(model.id), some))
                .values(confirmed_at=moment)
                .execution_options(synchronize_session=False)
            )
