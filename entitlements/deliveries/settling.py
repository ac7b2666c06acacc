"""Writes the facts of a part into the history: what was never said before at once, the rest settled with what was."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    String,
    Uuid,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col

from core.bulk import among, chunks
from core.database import Moment
from entitlements.deliveries.models import DeliveryRow, DeliveryStatement, DeliverySubject
from entitlements.deliveries.results import Results
from entitlements.deliveries.rules import Result
from entitlements.deliveries.scope import Scope, said_rows
from entitlements.facts.catalogue import CATALOGUE
from entitlements.facts.history import Stating, learn, plain
from entitlements.facts.models import Fact
from entitlements.facts.service import members
from entitlements.language import Kind, Value

PARTS = 4
"""More than the facts that one row can state: the place of a part in a fact's id."""
_VALUES = ("value_int", "value_text", "value_day")
_WHOSE = (("person_id", Fact.person_id), ("household_id", Fact.household_id))
_FRESH = (
    "id",
    "person_id",
    "household_id",
    "kind",
    *_VALUES,
    "withdrawn",
    "unread",
    "valid_from",
    "valid_until",
    "valid_next",
    "stated_from",
    "stated_next",
    "stated_at",
    "confirmed_at",
    "known_from",
    "register_id",
    "delivery_id",
)


class Facts:
    """What is said of the subjects of a part, apart from who they are and who belongs together."""

    def __init__(self, scope: Scope, results: Results) -> None:
        self.scope, self.session, self.results = scope, scope.session, results
        self.row: Any = aliased(DeliveryRow)
        self.said: Any = aliased(DeliveryStatement)
        self.mine = and_(said_rows(scope.delivery_id, self.row, DeliverySubject, self.said), scope.which)

    async def write(self) -> set[UUID]:
        """Writes down what is stated: what was never said before at once, the rest settled with what was."""
        await self._set_aside()
        one = DeliverySubject
        found = await self.session.execute(
            select(col(one.place), col(one.person_id), col(one.household_id), col(one.settles)).where(
                self.scope.which
            )
        )
        fresh: list[Any] = []
        settling: list[Any] = []
        for subject in found:
            (settling if subject.settles else fresh).append(subject)
        concerned: set[UUID] = set()
        if fresh:
            await self._fresh()
            for subject in fresh:
                self.results.of_subject.setdefault(subject.place, Result.ACCEPTED)
            concerned |= {subject.person_id for subject in fresh if subject.person_id is not None}
            concerned |= await members(
                self.session, {subject.household_id for subject in fresh if subject.person_id is None}
            )
        if settling:
            for subject in settling:
                self.results.of_subject.setdefault(subject.place, Result.UNCHANGED)
            concerned |= await self._settle()
        return concerned

    async def _set_aside(self) -> None:
        """Finds the subjects whose facts cannot go straight in."""
        one, said = DeliverySubject, self.said
        for whose, mine_too in (
            (col(Fact.person_id), col(one.person_id)),
            (col(Fact.household_id), col(one.household_id)),
        ):
            for counts in (col(Fact.known_until).is_(None), col(Fact.known_until).is_not(None)):
                # A look-up for each subject, not a join: a planner that expects few facts would go through them.
                earlier = (
                    select(col(Fact.id))
                    .where(whose == mine_too, col(Fact.register_id) == self.scope.register_id, counts)
                    .limit(1)
                    .scalar_subquery()
                )
                await self.scope.mark(col(one.settles).is_(False), earlier.is_not(None), settles=True)
        entity = func.coalesce(col(one.person_id), col(one.household_id))
        newest = self.scope.newest
        stale = func.min(col(said.stated_at)) < newest if newest is not None else false()
        found = await self.session.execute(
            select(entity, func.count())
            .where(self.mine)
            .group_by(entity, col(said.kind))
            .having(or_(func.count() > 1, func.max(case((col(said.withdrawn), 1), else_=0)) == 1, stale))
        )
        special = [(subject, count) for subject, count in found]
        for some in chunks(sorted({subject for subject, _ in special})):
            about = or_(among(col(one.person_id), some), among(col(one.household_id), some))
            await self.scope.mark(about, settles=True)
        await self._refuse_repeated(sorted({subject for subject, count in special if count > 1}))

    async def _refuse_repeated(self, subjects: Sequence[UUID]) -> None:
        """Of the rows that say something about the same from the same day on, the first is taken."""
        one, row, said = DeliverySubject, aliased(DeliveryRow), self.said
        together = and_(said_rows(self.scope.delivery_id, row, one, said), self.scope.which)
        for some in chunks(subjects):
            found = await self.session.execute(
                select(
                    col(row.position),
                    func.coalesce(col(one.person_id), col(one.household_id)),
                    col(said.kind),
                    col(said.valid_from),
                )
                .where(together, or_(among(col(one.person_id), some), among(col(one.household_id), some)))
                .order_by(col(row.position))
            )
            taken: dict[tuple[Any, ...], int] = {}
            later = {
                position for position, *same in found if taken.setdefault(tuple(same), position) != position
            }
            await self.results.keep({Result.DUPLICATE: later}, all_parts=True)

    async def _fresh(self) -> None:
        """What nothing was ever said about: straight into the history, without a look at each row."""
        who, said = DeliverySubject, self.said
        await self.session.execute(
            insert(Fact)
            .from_select(
                _FRESH,
                select(
                    self._fact_id(),
                    col(who.person_id),
                    col(who.household_id),
                    col(said.kind),
                    *(col(getattr(said, name)) for name in _VALUES),
                    literal(False),
                    literal(False),
                    col(said.valid_from),
                    col(said.valid_until),
                    col(said.valid_next),
                    col(said.valid_from),
                    col(said.valid_next),
                    col(said.stated_at),
                    col(said.stated_at),
                    literal(self.scope.now, Moment()),
                    literal(self.scope.register_id, Uuid()),
                    literal(self.scope.delivery_id, Uuid()),
                ).where(self.mine, col(who.settles).is_(False)),
                include_defaults=False,
            )
            .execution_options(synchronize_session=False)
        )

    def _fact_id(self) -> Any:
        """An id made of the delivery's and the row's place in it: in order, unlike any other, and the same again."""
        place = col(self.row.position) * PARTS + col(self.row.part)
        begin = self.scope.delivery_id.hex[:20]
        if self.session.get_bind().dialect.name == "sqlite":
            return type_coerce(literal(begin, String()) + func.printf("%012x", place, type_=String()), Uuid())
        return cast(literal(begin, String()) + func.lpad(func.to_hex(place), 12, "0", type_=String()), Uuid())

    async def _settle(self) -> set[UUID]:
        """What was said before about the same subjects, or is said of several periods: each for itself."""
        who, row, said = DeliverySubject, self.row, self.said
        await self._confirm()
        found = await self.session.execute(
            select(
                col(row.position),
                col(row.part),
                col(row.subject).label("subject"),
                col(who.person_id).label("person_id"),
                col(who.household_id).label("household_id"),
                col(said.kind).label("kind"),
                *(col(getattr(said, name)).label(name) for name in _VALUES),
                col(said.valid_from).label("first"),
                col(said.valid_next).label("following"),
                col(said.stated_at).label("stated_at"),
            )
            .where(
                self.mine,
                col(who.settles),
                *(
                    ~exists().where(*self._same(whose), col(Fact.confirmed_at) >= col(said.stated_at))
                    for whose in _WHOSE
                ),
            )
            .order_by(col(row.position), col(row.part))
        )
        rows = found.all()
        statements = [
            Stating(
                one.person_id if one.person_id is not None else one.household_id,
                one.person_id is None,
                one.kind,
                _value(one),
                one.first,
                one.following,
                one.stated_at,
                self.scope.delivery_id,
            )
            for one in rows
        ]
        outcomes, persons, households = await learn(
            self.session, self.scope.register_id, statements, self.scope.lists, self.scope.now
        )
        await self._outcomes(rows, [Result(outcome.value) for outcome in outcomes])
        concerned = {person for person, _ in persons}
        return concerned | await members(self.session, {household for household, _ in households})

    async def _confirm(self) -> None:
        """What stands already, word for word, is noted as said again."""
        for whose in _WHOSE:
            await self.session.execute(
                update(Fact)
                .where(
                    self.mine,
                    col(DeliverySubject.settles),
                    *self._same(whose),
                    col(Fact.confirmed_at) < col(self.said.stated_at),
                )
                .values(confirmed_at=col(self.said.stated_at))
                .execution_options(synchronize_session=False)
            )

    def _same(self, whose: tuple[str, Any]) -> list[ColumnElement[bool]]:
        """The fact that stands as it is stated again: the same subject, value and days."""
        name, subject = whose
        who, said = DeliverySubject, self.said
        return [
            col(subject) == col(getattr(who, name)),
            col(Fact.kind) == col(said.kind),
            col(Fact.register_id) == self.scope.register_id,
            col(Fact.known_until).is_(None),
            col(Fact.valid_from) == col(said.valid_from),
            col(Fact.valid_next) == col(said.valid_next),
            col(Fact.stated_from) == col(said.valid_from),
            col(Fact.stated_next) == col(said.valid_next),
            *(col(getattr(Fact, name)).is_not_distinct_from(col(getattr(said, name))) for name in _VALUES),
        ]

    async def _outcomes(self, rows: Sequence[Any], outcomes: Sequence[Result]) -> None:
        """Keeps what became of rows that were settled each for itself; of all others it is that they were known."""
        own: dict[Result, set[int]] = defaultdict(set)
        for row, outcome in zip(rows, outcomes, strict=True):
            # What became of a birth date within a row about a person is not what became of that row.
            if row.part == 0 and outcome is not self.results.of_subject[row.subject]:
                own[outcome].add(row.position)
        await self.results.keep(own)


def _value(row: Any) -> Value | None:
    value = plain(row)
    return bool(value) if value is not None and CATALOGUE[row.kind].type is Kind.BOOL else value
