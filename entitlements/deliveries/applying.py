"""Applies a delivery household by household: facts, current rows and assessment in one transaction each."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, exists, false, literal, or_, select, text, true, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col

from core.audit.service import note
from core.clock import day_of
from core.settings import Settings
from core.vault import Vault
from entitlements.decisions import everybody
from entitlements.decisions.service import assess
from entitlements.deliveries.checking import check, incomplete, statistics
from entitlements.deliveries.ending import keep_mentioned, unreadable
from entitlements.deliveries.models import RUNNING, About, Delivery, DeliverySubject, Mode, Phase, State
from entitlements.deliveries.parts import Part
from entitlements.deliveries.results import decided
from entitlements.deliveries.rules import SMALL, Result, held_back, stride
from entitlements.deliveries.scope import waiting
from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS
from entitlements.facts.history import deny
from entitlements.facts.models import CURRENT, Fact
from entitlements.facts.service import members, refresh
from entitlements.people.models import Household, Membership, Person
from entitlements.registers.models import Link, Register
from entitlements.registers.rules import Remit
from entitlements.registers.service import complete, lists_of

LEFT_OUT = 500
"""Persons or households whose ends are written in one transaction."""
LISTED = 2_000
"""Persons of whom one transaction looks whether a complete list says something by its silence."""


GROWN = 4
"""Tables are counted anew when so many times as many rows of a delivery are applied as the last time."""


async def advance(
    session: AsyncSession, delivery_id: UUID, now: datetime, *, settings: Settings, vault: Vault
) -> bool:
    """Takes a delivery one step further, all in the caller's transaction; False when there is nothing left to do.

    After a crash the next step begins where the last committed one ended.
    """
    found = await wait_for_turn(session, delivery_id)
    return found is not None and await take_step(session, *found, now, settings=settings, vault=vault)


async def take_step(
    session: AsyncSession,
    delivery: Delivery,
    register: Register,
    now: datetime,
    *,
    settings: Settings,
    vault: Vault,
) -> bool:
    """The step itself, once it is the delivery's turn; what it says is learned at this moment."""
    if delivery.rows > SMALL:
        await _prepare(session)
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


async def wait_for_turn(session: AsyncSession, delivery_id: UUID) -> tuple[Delivery, Register] | None:
    """The delivery and its register, both locked until the transaction ends; None where there is nothing to do.

    Two deliveries of one register wait for each other: each settles with what the other has written.
    """
    found = await session.execute(
        select(Delivery)
        .where(col(Delivery.id) == delivery_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    delivery: Delivery | None = found.scalar_one_or_none()
    if delivery is None or delivery.state not in RUNNING:
        return None
    locked = await session.execute(
        select(Register).where(col(Register.id) == delivery.register_id).with_for_update()
    )
    return delivery, locked.scalar_one()


async def _prepare(session: AsyncSession) -> None:
    """Lets PostgreSQL sort a large part in memory, and compile no statement that is over before it is compiled."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(text("SET LOCAL work_mem = '64MB'"))
        await session.execute(text("SET LOCAL jit = off"))


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
        one.tally = {}
        count(one, await decided(self.session, one.id))
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
        if self.full and one.reached is None:
            await keep_mentioned(self.session, one, self.day)
        behind = col(DeliverySubject.anchor) > one.reached if one.reached is not None else true()
        found = await self.session.execute(
            select(col(DeliverySubject.anchor))
            .where(waiting(one.id), behind)
            .order_by(col(DeliverySubject.anchor))
            .offset(stride(one.rows) - 1)
            .limit(1)
        )
        last = found.scalar_one_or_none()
        upto = col(DeliverySubject.anchor) <= last if last is not None else true()
        part = Part(self.session, self.vault, self.register, self.now)
        concerned, tally = await part.apply(one, and_(behind, upto), await self._lists())
        before = one.done
        count(one, tally)
        if last is not None and one.rows > SMALL and before * GROWN < one.done:
            await statistics(self.session, Person, Link, Household, Membership, Fact)
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
        persons = await self._some(col(Fact.person_id), left_out)
        households = await self._some(col(Fact.household_id), left_out)
        moved_out = await self._some(
            col(Membership.person_id),
            and_(
                col(Membership.register_id) == self.register.id,
                col(Membership.known_until).is_(None),
                col(Membership.valid_next) > self.day,
                col(Membership.confirmed_at) < one.as_of,
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
            select(col(Person.id), *self._unsaid())
            .outerjoin(CURRENT, CURRENT.c.person_id == col(Person.id))
            .where(
                col(Person.merged_into).is_(None),
                col(Person.id) > one.reached if one.reached is not None else true(),
            )
            .order_by(col(Person.id))
            .limit(LISTED)
        )
        some = found.all()
        # Of whom the register says all that it may, its silence says nothing.
        await self._reassess(
            [person_id for person_id, unsaid, alone in some if unsaid or alone],
            derive=[person_id for person_id, unsaid, _ in some if unsaid],
        )
        if len(some) < LISTED:
            await self._finish()
        else:
            one.reached = some[-1][0]

    def _unsaid(self) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        """Whether something is unknown of a person that this register's silence can settle: a fact; a household."""
        facts = [
            CURRENT.c[name]
            for name, kind in CATALOGUE.items()
            if name in self.remit.facts and kind.absent is not None
        ]
        households = [CURRENT.c[name] for name in HOUSEHOLDS if name in self.remit.households]
        later = literal(self.day > day_of(self.now, self.settings.zone))
        return (
            or_(CURRENT.c.person_id.is_(None), later, *(cell.is_(None) for cell in facts)),
            or_(false(), *(cell.is_(None) for cell in households)),
        )

    async def _finish(self) -> None:
        one = self.delivery
        one.state, one.finished_at = State.APPLIED, self.now
        await self.session.flush()
        # Whoever was linked while we were at work: their rows wait no longer.
        await take_up(self.session, self.vault, self.register, now=self.now, settings=self.settings)
        if await self._everybody():
            await everybody.ask_for(self.session, cause=self._cause, now=self.now, settings=self.settings)
        note(self.session, None, "delivery.applied", ("delivery", one.id), now=self.now, rows=one.rows)

    async def _some(self, subject: Any, where: ColumnElement[bool]) -> set[UUID]:
        rows = await self.session.execute(
            select(subject).where(where, subject.is_not(None)).distinct().order_by(subject).limit(LEFT_OUT)
        )
        return set(rows.scalars())

    async def _lists(self) -> list[tuple[datetime, date]]:
        lists = await lists_of(self.session, self.register.id)
        return [*lists, (self.delivery.as_of, self.day)] if self.full else lists

    @property
    def _cause(self) -> str:
        return f"delivery:{self.delivery.id}"

    async def _everybody(self) -> bool:
        """Whether it says something of nearly everybody, and then once more by its silence: a register's first list.

        They are judged once, when it is through, by a run that several processes share.
        """
        one = self.delivery
        if not self.full or one.rows <= SMALL:
            return False
        return all(day == (one.as_of, self.day) for day in await lists_of(self.session, self.register.id))

    async def _reassess(
        self, person_ids: Collection[UUID], *, derive: Collection[UUID] | None = None
    ) -> None:
        if not person_ids:
            return
        if await self._everybody():
            today = day_of(self.now, self.settings.zone)
            await refresh(self.session, sorted(person_ids if derive is None else derive), today)
            await everybody.look_again(self.session, person_ids, today)
            return
        await reassess(
            self.session,
            person_ids,
            derive=derive,
            now=self.now,
            settings=self.settings,
            cause=self._cause,
        )


async def reassess(
    session: AsyncSession,
    person_ids: Iterable[UUID],
    *,
    now: datetime,
    settings: Settings,
    cause: str,
    derive: Collection[UUID] | None = None,
) -> None:
    """Derives what holds of these persons (or of `derive`) today, and judges them and their households by it."""
    concerned = sorted(set(person_ids))
    if not concerned:
        return
    await refresh(session, concerned if derive is None else sorted(derive), day_of(now, settings.zone))
    await assess(session, concerned, now=now, settings=settings, cause=cause)


async def take_up(
    session: AsyncSession, vault: Vault, register: Register, *, now: datetime, settings: Settings
) -> int:
    """Applies what waited for a link which there is now; gives the number of subjects."""
    one, other = DeliverySubject, aliased(DeliverySubject)
    linked = (
        select(col(Link.person_id))
        .where(col(Link.register_id) == register.id, col(Link.number_hash) == col(one.number_hash))
        .scalar_subquery()
    )
    of_register = select(col(Delivery.id)).where(
        col(Delivery.register_id) == register.id, col(Delivery.state) == State.APPLIED
    )
    waited = and_(col(one.delivery_id).in_(of_register), col(one.result) == Result.NO_LINK.value)
    person = col(one.about) == About.PERSON
    await _mark(session, waited, person, col(one.person_id).is_(None), linked.is_not(None), person_id=linked)
    there = or_(
        exists().where(col(Household.id) == col(one.household_id)),
        exists().where(
            col(other.delivery_id) == col(one.delivery_id),
            col(other.household_id) == col(one.household_id),
            col(other.explained_at).is_not(None),
            ~incomplete(other),
        ),
    )
    ready = await session.execute(
        update(one)
        .where(
            waited,
            or_(
                and_(person, col(one.person_id).is_not(None)),
                and_(~person, col(one.explained_at).is_not(None), ~incomplete(one)),
                and_(~person, col(one.explained_at).is_(None), there),
            ),
        )
        .values(result=None)
        .returning(col(one.delivery_id))
        .execution_options(synchronize_session=False)
    )
    deliveries = ready.scalars().all()
    if not deliveries:
        return 0
    in_order = await session.execute(
        select(Delivery)
        .where(col(Delivery.id).in_(set(deliveries)))
        .order_by(col(Delivery.as_of), col(Delivery.id))
    )
    part = Part(session, vault, register, now)
    concerned: set[UUID] = set()
    # One delivery after the other: the same row may have waited in two of them, and the second says nothing new.
    for delivery in in_order.scalars().all():
        changed, tally = await part.apply(delivery, true(), await lists_of(session, register.id), waited=True)
        concerned |= changed
        tally[Result.NO_LINK.value] -= tally.total()
        count(delivery, tally)
    await reassess(session, concerned, now=now, settings=settings, cause=f"link:{register.id}")
    return len(deliveries)


def count(delivery: Delivery, tally: Mapping[str, int]) -> None:
    """Adds to the delivery how many rows more have which result."""
    before = Counter(delivery.tally)
    before.update(tally)
    delivery.tally = {result: rows for result, rows in sorted(before.items()) if rows}
    delivery.done = before.total()


async def _mark(session: AsyncSession, *where: ColumnElement[bool], **values: Any) -> None:
    await session.execute(
        update(DeliverySubject).where(*where).values(values).execution_options(synchronize_session=False)
    )
