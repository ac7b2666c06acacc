"""Applies a delivery household by household: facts, current rows and assessment in one transaction each."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, exists, func, insert, literal, select, true, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col

from core.audit.service import note
from core.bulk import chunks, insert_new, table_of
from core.clock import day_of
from core.database import Moment
from core.settings import Settings
from core.vault import Vault
from entitlements.decisions.service import assess
from entitlements.deliveries.checking import check, mentioned, opened, unreadable, waiting
from entitlements.deliveries.models import OVER, Delivery, DeliveryRow, Mode, Phase, State
from entitlements.deliveries.rules import CHUNK, Result, held_back
from entitlements.facts.catalogue import CATALOGUE
from entitlements.facts.history import Listing, Stating, deny, learn, learn_members, plain
from entitlements.facts.models import Fact
from entitlements.facts.service import members, refresh
from entitlements.language import Kind, Value
from entitlements.people.models import Household, Membership, Person
from entitlements.people.rules import PersonIdentity
from entitlements.people.service import keep_identifications, keep_identities, make_persons
from entitlements.registers.models import Link, LinkMade, Register
from entitlements.registers.rules import Remit
from entitlements.registers.service import complete, link, lists_of

LEFT_OUT = 500
"""Persons or households whose ends are written in one transaction."""


async def advance(
    session: AsyncSession, delivery_id: UUID, now: datetime, *, settings: Settings, vault: Vault
) -> bool:
    """Takes a delivery one step further, all in the caller's transaction; False when there is nothing left to do.

    After a crash the next step begins where the last committed one ended.
    """
    found = await session.execute(
        select(Delivery)
        .where(col(Delivery.id) == delivery_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    delivery: Delivery | None = found.scalar_one_or_none()
    if delivery is None or delivery.state in OVER or delivery.state in {State.HELD, State.RECEIVING}:
        return False
    # Two deliveries of one register wait for each other: each settles with what the other has written.
    locked = await session.execute(
        select(Register).where(col(Register.id) == delivery.register_id).with_for_update()
    )
    register = locked.scalar_one()
    work = _Work(session, delivery, register, now=now, settings=settings, vault=vault)
    if delivery.state is State.CHECKING:
        await work.check()
    elif delivery.phase is Phase.ROWS:
        await work.rows()
    elif delivery.phase is Phase.ENDS:
        await work.ends()
    else:
        await work.silence()
    await session.flush()
    return delivery.state is State.APPLYING


class _Work:
    """One step of one delivery."""

    def __init__(
        self,
        session: AsyncSession,
        delivery: Delivery,
        register: Register,
        *,
        now: datetime,
        settings: Settings,
        vault: Vault,
    ) -> None:
        self.session, self.delivery, self.register = session, delivery, register
        self.now, self.settings, self.vault = now, settings, vault
        self.remit = Remit.of(register.remit)
        self.day = day_of(delivery.as_of, settings.zone)
        self.full = delivery.mode is Mode.FULL

    async def check(self) -> None:
        """Judges the rows as a whole, and holds the delivery where it would end too much."""
        one = self.delivery
        one.ends, one.standing = await check(
            self.session, self.vault, one, remit=self.remit, day=self.day, now=self.now
        )
        one.done = await self._count(col(DeliveryRow.result).is_not(None), col(DeliveryRow.part) == 0)
        if self.full and await unreadable(self.session, one.id):
            one.state, one.reason = State.HELD, "unreadable-rows"
            note(self.session, None, "delivery.held", ("delivery", one.id), now=self.now, reason=one.reason)
            return
        if held_back(one.ends, one.standing, self.settings.hold_share, full=self.full):
            one.state, one.reason = State.HELD, "ends-too-much"
            note(
                self.session,
                None,
                "delivery.held",
                ("delivery", one.id),
                now=self.now,
                ends=one.ends,
                standing=one.standing,
            )
            return
        one.state = State.APPLYING

    async def rows(self) -> None:
        """Applies the next households, and goes on to what the delivery leaves out when there are none."""
        one = self.delivery
        behind = col(DeliveryRow.anchor) > one.reached if one.reached is not None else true()
        found = await self.session.execute(
            select(col(DeliveryRow.anchor))
            .where(waiting(one.id), behind)
            .order_by(col(DeliveryRow.anchor))
            .offset(CHUNK - 1)
            .limit(1)
        )
        last = found.scalar_one_or_none()
        upto = col(DeliveryRow.anchor) <= last if last is not None else true()
        part = Part(self.session, self.vault, self.register, self.now)
        concerned = await part.apply(
            and_(waiting(one.id), behind, upto), await self._lists(), full=one.id if self.full else None
        )
        one.done += part.done
        one.reached = last
        if last is None:
            one.phase = Phase.ENDS
        await self._reassess(concerned)
        if last is None and not self.full:
            await self._finish()

    async def ends(self) -> None:
        """Ends what a full delivery leaves out, some persons and households at a time."""
        one, session = self.delivery, self.session
        left_out = and_(
            col(Fact.register_id) == self.register.id,
            col(Fact.known_until).is_(None),
            col(Fact.valid_next) > self.day,
            col(Fact.confirmed_at) < one.as_of,
        )
        persons = await self._some(
            col(Fact.person_id), and_(left_out, ~mentioned(one.id, col(Fact.person_id)))
        )
        households = await self._some(col(Fact.household_id), left_out)
        moved_out = await self._some(
            col(Membership.person_id),
            and_(
                col(Membership.register_id) == self.register.id,
                col(Membership.known_until).is_(None),
                col(Membership.valid_next) > self.day,
                col(Membership.confirmed_at) < one.as_of,
                ~mentioned(one.id, col(Membership.person_id)),
            ),
        )
        if persons or households or moved_out:
            changed, housed, moved = await deny(
                session,
                self.register.id,
                person_ids=persons | moved_out,
                household_ids=households,
                lists=await self._lists(),
                now=self.now,
            )
            concerned = {person for person, _ in changed} | moved
            concerned |= await members(session, {household for household, _ in housed})
            await self._reassess(concerned)
            return
        is_first = await complete(
            session, self.register.id, one.id, as_of=one.as_of, day=self.day, now=self.now
        )
        exhaustive = any(
            CATALOGUE[name].listing == "exhaustive" for name in self.remit.facts if name in CATALOGUE
        )
        if is_first and (exhaustive or self.remit.households):
            one.phase, one.reached = Phase.SILENCE, None
        else:
            await self._finish()

    async def silence(self) -> None:
        """The first complete list of a register says something about everybody whom it leaves out."""
        one = self.delivery
        found = await self.session.execute(
            select(col(Person.id))
            .where(
                col(Person.merged_into).is_(None),
                col(Person.id) > one.reached if one.reached is not None else true(),
            )
            .order_by(col(Person.id))
            .limit(LEFT_OUT)
        )
        some = list(found.scalars())
        await self._reassess(some)
        if len(some) < LEFT_OUT:
            await self._finish()
        else:
            one.reached = some[-1]

    async def _finish(self) -> None:
        one = self.delivery
        one.state, one.finished_at = State.APPLIED, self.now
        one.done = one.rows
        await self.session.flush()
        # Whoever was linked while we were at work: their rows wait no longer.
        await take_up(self.session, self.vault, self.register, now=self.now, settings=self.settings)
        note(self.session, None, "delivery.applied", ("delivery", one.id), now=self.now, rows=one.rows)

    async def _some(self, subject: Any, where: ColumnElement[bool]) -> set[UUID]:
        rows = await self.session.execute(
            select(subject).where(where, subject.is_not(None)).distinct().order_by(subject).limit(LEFT_OUT)
        )
        return set(rows.scalars())

    async def _count(self, *where: ColumnElement[bool]) -> int:
        found = await self.session.execute(
            select(func.count())
            .select_from(DeliveryRow)
            .where(col(DeliveryRow.delivery_id) == self.delivery.id, *where)
        )
        return found.scalar_one()

    async def _lists(self) -> list[tuple[datetime, date]]:
        lists = await lists_of(self.session, self.register.id)
        return [*lists, (self.delivery.as_of, self.day)] if self.full else lists

    async def _reassess(self, person_ids: Collection[UUID]) -> None:
        await reassess(
            self.session,
            person_ids,
            now=self.now,
            settings=self.settings,
            cause=f"delivery:{self.delivery.id}",
        )


async def reassess(
    session: AsyncSession, person_ids: Iterable[UUID], *, now: datetime, settings: Settings, cause: str
) -> None:
    """Derives what holds of these persons today, and judges them and their households by it."""
    concerned = sorted(set(person_ids))
    if not concerned:
        return
    await refresh(session, concerned, day_of(now, settings.zone))
    await assess(session, concerned, now=now, settings=settings, cause=cause)


async def take_up(
    session: AsyncSession, vault: Vault, register: Register, *, now: datetime, settings: Settings
) -> int:
    """Applies the rows that waited for a link which there is now; gives their number."""
    linked = (
        select(col(Link.person_id))
        .where(col(Link.register_id) == register.id, col(Link.number_hash) == col(DeliveryRow.number_hash))
        .scalar_subquery()
    )
    of_register = select(col(Delivery.id)).where(
        col(Delivery.register_id) == register.id, col(Delivery.state) == State.APPLIED
    )
    waited = and_(
        col(DeliveryRow.delivery_id).in_(of_register), col(DeliveryRow.result) == Result.NO_LINK.value
    )
    await session.execute(
        update(DeliveryRow)
        .where(waited, col(DeliveryRow.number_hash).is_not(None), col(DeliveryRow.person_id).is_(None))
        .values(person_id=linked)
        .execution_options(synchronize_session=False)
    )
    other = aliased(DeliveryRow)
    incomplete = select(col(other.delivery_id), col(other.position)).where(
        col(other.delivery_id).in_(of_register),
        col(other.result) == Result.NO_LINK.value,
        col(other.number_hash).is_not(None),
        col(other.person_id).is_(None),
    )
    ready = await session.execute(
        update(DeliveryRow)
        .where(waited, tuple_(col(DeliveryRow.delivery_id), col(DeliveryRow.position)).not_in(incomplete))
        .values(result=None)
        .returning(col(DeliveryRow.delivery_id))
        .execution_options(synchronize_session=False)
    )
    deliveries = ready.scalars().all()
    if not deliveries:
        return 0
    in_order = await session.execute(
        select(col(Delivery.id))
        .where(col(Delivery.id).in_(set(deliveries)))
        .order_by(col(Delivery.as_of), col(Delivery.id))
    )
    part = Part(session, vault, register, now)
    concerned: set[UUID] = set()
    # One delivery after the other: the same row may have waited in two of them, and the second says nothing new.
    for delivery_id in in_order.scalars().all():
        rows = and_(col(DeliveryRow.delivery_id) == delivery_id, col(DeliveryRow.result).is_(None))
        concerned |= await part.apply(rows, await lists_of(session, register.id))
    await reassess(session, concerned, now=now, settings=settings, cause=f"link:{register.id}")
    return len(deliveries)


class Part:
    """Rows that are applied together."""

    def __init__(self, session: AsyncSession, vault: Vault, register: Register, now: datetime) -> None:
        self.session, self.vault, self.register, self.now = session, vault, register, now
        self.done = 0

    async def apply(
        self,
        rows: ColumnElement[bool],
        lists: Sequence[tuple[datetime, date]],
        *,
        full: UUID | None = None,
    ) -> set[UUID]:
        """Turns the rows into persons, households and facts; gives the persons of whom something changed.

        What these persons are left without by a full delivery (its id) ends in the same transaction.
        """
        await self._resolve_again(rows)
        listed: set[UUID] = set()
        if full is not None:
            found = await self.session.execute(
                select(col(DeliveryRow.person_id))
                .where(rows, col(DeliveryRow.person_id).is_not(None))
                .where(~mentioned(full, col(DeliveryRow.person_id)))
                .distinct()
            )
            listed = {person_id for person_id in found.scalars() if person_id is not None}
        concerned = await self._persons(rows)
        concerned |= await self._households(rows, lists)
        concerned |= await self._facts(rows, lists)
        if listed:
            persons, _, moved = await deny(
                self.session,
                self.register.id,
                person_ids=listed,
                household_ids=(),
                lists=lists,
                now=self.now,
            )
            concerned |= {person for person, _ in persons} | moved
        return concerned

    async def _resolve_again(self, rows: ColumnElement[bool]) -> None:
        """Since the check, another delivery may have made the same person or household known."""
        linked = (
            select(col(Link.person_id))
            .where(
                col(Link.register_id) == self.register.id,
                col(Link.number_hash) == col(DeliveryRow.number_hash),
            )
            .scalar_subquery()
        )
        known = (
            select(col(Household.id))
            .where(
                col(Household.register_id) == self.register.id,
                col(Household.kind) == col(DeliveryRow.household_kind),
                col(Household.number_hash) == col(DeliveryRow.household_hash),
            )
            .scalar_subquery()
        )
        for name, meant in (("person_id", linked), ("household_id", known)):
            await self.session.execute(
                update(DeliveryRow)
                .where(rows, meant.is_not(None), meant.is_distinct_from(table_of(DeliveryRow).c[name]))
                .values({name: meant})
                .execution_options(synchronize_session=False)
            )

    async def _results(self, results: dict[str, list[tuple[UUID, int, int]]]) -> None:
        for result, keys in results.items():
            self.done += sum(1 for _, _, part in keys if part == 0)
            by_part: dict[tuple[UUID, int], list[int]] = {}
            for delivery_id, position, part in keys:
                by_part.setdefault((delivery_id, part), []).append(position)
            for (delivery_id, part), positions in by_part.items():
                for some in chunks(positions):
                    await self.session.execute(
                        update(DeliveryRow)
                        .where(
                            col(DeliveryRow.delivery_id) == delivery_id,
                            col(DeliveryRow.part) == part,
                            col(DeliveryRow.position).in_(some),
                        )
                        .values(result=result, sealed=None)
                        .execution_options(synchronize_session=False)
                    )

    # ---- persons ----

    async def _persons(self, rows: ColumnElement[bool]) -> set[UUID]:
        found = await self.session.execute(
            select(DeliveryRow)
            .where(rows, col(DeliveryRow.form) == "person")
            .order_by(col(DeliveryRow.position))
        )
        said = list(found.scalars())
        if not said:
            return set()
        ids = {row.person_id for row in said if row.person_id is not None}
        new = set(ids)
        for some in chunks(sorted(ids)):
            known = await self.session.execute(select(col(Person.id)).where(col(Person.id).in_(some)))
            new -= set(known.scalars())
        await make_persons(self.session, new, self.now)
        numbers: dict[bytes, tuple[UUID, str | None, LinkMade]] = {}
        identities: dict[UUID, tuple[PersonIdentity, datetime]] = {}
        identifications: dict[bytes, UUID] = {}
        for row in said:
            person_id, hashed, sealed = row.person_id, row.number_hash, row.sealed
            if person_id is None or hashed is None or sealed is None:
                continue
            content = opened(self.vault, hashed, sealed)
            by = LinkMade.IDENTIFICATION if content["identity"] is None else LinkMade.STATED
            numbers[hashed] = (person_id, content["number"], by)
            if content["identity"] is not None and row.stated_at is not None:
                before = identities.get(person_id)
                if before is None or before[1] <= row.stated_at:
                    identities[person_id] = (PersonIdentity(**content["identity"]), row.stated_at)
            if row.identification_hash is not None:
                identifications[row.identification_hash] = person_id
        await link(self.session, self.vault, self.register.id, numbers, self.now)
        renamed = await keep_identities(self.session, self.vault, identities, self.now)
        await keep_identifications(self.session, identifications)
        results: dict[str, list[tuple[UUID, int, int]]] = {}
        for row in said:
            changed = row.person_id in new or row.person_id in renamed
            result = Result.ACCEPTED if changed else Result.UNCHANGED
            results.setdefault(result.value, []).append((row.delivery_id, row.position, row.part))
        await self._results(results)
        return new

    # ---- households ----

    async def _households(
        self, rows: ColumnElement[bool], lists: Sequence[tuple[datetime, date]]
    ) -> set[UUID]:
        table = table_of(DeliveryRow)
        found = await self.session.execute(
            select(table)
            .where(rows, table.c.form.in_(["household", "member"]))
            .order_by(table.c.position, table.c.part)
        )
        said = found.all()
        if not said:
            return set()
        together: dict[tuple[UUID, int], list[Any]] = {}
        for row in said:
            together.setdefault((row.delivery_id, row.position), []).append(row)
        heads = [parts[0] for parts in together.values()]
        fresh = {
            row.household_id: {
                "id": row.household_id,
                "kind": row.household_kind,
                "register_id": self.register.id,
                "number_hash": row.household_hash,
            }
            for row in heads
        }
        await insert_new(self.session, Household, list(fresh.values()))
        listings = [
            Listing(
                head.household_id,
                head.household_kind,
                frozenset(row.person_id for row in parts[1:]),
                head.valid_from,
                head.valid_next,
                head.stated_at,
                head.delivery_id,
            )
            for head, parts in zip(heads, together.values(), strict=True)
        ]
        outcomes, moved = await learn_members(self.session, self.register.id, listings, lists, self.now)
        results: dict[str, list[tuple[UUID, int, int]]] = {}
        for outcome, parts in zip(outcomes, together.values(), strict=True):
            results.setdefault(outcome.value, []).extend((r.delivery_id, r.position, r.part) for r in parts)
        await self._results(results)
        # Everybody in the household is judged by who else is in it.
        near = await members(self.session, {one.household_id for one in listings}) if moved else set()
        return moved | near

    # ---- facts ----

    async def _facts(self, rows: ColumnElement[bool], lists: Sequence[tuple[datetime, date]]) -> set[UUID]:
        facts = and_(rows, col(DeliveryRow.form) == "fact")
        await self._known(facts)
        newest = max((as_of for as_of, _ in lists), default=None)
        concerned = await self._fresh(facts, newest)
        table = table_of(DeliveryRow)
        found = await self.session.execute(
            select(table).where(facts).order_by(table.c.position, table.c.part)
        )
        said = found.all()
        statements = [
            Stating(
                row.household_id if row.person_id is None else row.person_id,
                row.person_id is None,
                row.kind,
                _value(row),
                row.valid_from,
                row.valid_next,
                row.stated_at,
                row.delivery_id,
            )
            for row in said
        ]
        outcomes, persons, households = await learn(
            self.session, self.register.id, statements, lists, self.now
        )
        results: dict[str, list[tuple[UUID, int, int]]] = {}
        for row, outcome in zip(said, outcomes, strict=True):
            results.setdefault(outcome.value, []).append((row.delivery_id, row.position, row.part))
        await self._results(results)
        concerned |= {person for person, _ in persons}
        return concerned | await members(self.session, {household for household, _ in households})

    async def _known(self, facts: ColumnElement[bool]) -> None:
        """What stands already, word for word: noted as said again, and done."""
        row = table_of(DeliveryRow)
        again: dict[datetime, list[UUID]] = {}
        results: list[tuple[UUID, int, int]] = []
        for about, whose in (
            (row.c.person_id.is_not(None), col(Fact.person_id) == row.c.person_id),
            (row.c.person_id.is_(None), col(Fact.household_id) == row.c.household_id),
        ):
            # A look-up for each row, not a join: a planner that expects few facts would begin with the facts.
            stands = (
                select(col(Fact.id))
                .where(
                    whose,
                    col(Fact.kind) == row.c.kind,
                    col(Fact.register_id) == self.register.id,
                    col(Fact.known_until).is_(None),
                    col(Fact.valid_from) == row.c.valid_from,
                    col(Fact.valid_next) == row.c.valid_next,
                    col(Fact.stated_from) == row.c.valid_from,
                    col(Fact.stated_next) == row.c.valid_next,
                    *(col(getattr(Fact, name)).is_not_distinct_from(row.c[name]) for name in _VALUES),
                )
                .limit(1)
                .correlate(row)
                .scalar_subquery()
            )
            found = await self.session.execute(
                select(row.c.delivery_id, row.c.position, row.c.part, row.c.stated_at, stands).where(
                    facts, about
                )
            )
            for delivery_id, position, part, stated_at, fact_id in found:
                if fact_id is not None:
                    results.append((delivery_id, position, part))
                    again.setdefault(stated_at, []).append(fact_id)
        for moment, ids in again.items():
            for some in chunks(ids):
                await self.session.execute(
                    update(Fact)
                    .where(col(Fact.id).in_(some), col(Fact.confirmed_at) < moment)
                    .values(confirmed_at=moment)
                    .execution_options(synchronize_session=False)
                )
        await self._results({Result.UNCHANGED.value: results})

    async def _fresh(self, facts: ColumnElement[bool], newest: datetime | None) -> set[UUID]:
        """What nothing was ever said about: straight into the history, without a look at each row."""
        row, other = table_of(DeliveryRow), aliased(DeliveryRow)
        about_person = row.c.person_id.is_not(None)
        never = ~exists().where(
            col(Fact.person_id) == row.c.person_id,
            col(Fact.kind) == row.c.kind,
            col(Fact.register_id) == self.register.id,
        )
        alone = ~exists().where(
            col(other.delivery_id) == row.c.delivery_id,
            col(other.anchor) == row.c.anchor,
            col(other.person_id) == row.c.person_id,
            col(other.kind) == row.c.kind,
            col(other.form) == "fact",
            col(other.result).is_(None),
            col(other.position) != row.c.position,
        )
        no_list_since = row.c.stated_at >= newest if newest is not None else true()
        written = await self.session.execute(
            insert(Fact)
            .from_select(
                _FRESH,
                select(
                    row.c.item_id,
                    row.c.person_id,
                    row.c.kind,
                    *(row.c[name] for name in _VALUES),
                    literal(False),
                    row.c.valid_from,
                    row.c.valid_until,
                    row.c.valid_next,
                    row.c.valid_from,
                    row.c.valid_next,
                    row.c.stated_at,
                    row.c.stated_at,
                    literal(self.now, Moment()),
                    literal(self.register.id),
                    row.c.delivery_id,
                ).where(facts, about_person, row.c.withdrawn.is_(False), no_list_since, never, alone),
            )
            .returning(col(Fact.id), col(Fact.person_id))
            .execution_options(synchronize_session=False)
        )
        done = {row[0]: row[1] for row in written}
        for some in chunks(list(done)):
            marked = await self.session.execute(
                update(DeliveryRow)
                .where(facts, col(DeliveryRow.item_id).in_(some))
                .values(result=Result.ACCEPTED.value, sealed=None)
                .returning(col(DeliveryRow.part))
                .execution_options(synchronize_session=False)
            )
            self.done += sum(1 for part in marked.scalars() if part == 0)
        return {person_id for person_id in done.values() if person_id is not None}


_VALUES = ("value_int", "value_text", "value_day")
_FRESH = (
    "id",
    "person_id",
    "kind",
    *_VALUES,
    "withdrawn",
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


def _value(row: Any) -> Value | None:
    value = plain(row)
    return bool(value) if value is not None and CATALOGUE[row.kind].type is Kind.BOOL else value
