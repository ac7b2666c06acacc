"""Makes a small city whose departments speak, for the tests of decisions and of what follows from them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.clock import FixedClock, day_of
from core.database import Database
from core.settings import Settings
from entitlements.allowances import service as allowances
from entitlements.decisions import everybody
from entitlements.decisions import service as decisions
from entitlements.decisions.models import Decision
from entitlements.decisions.service import AssessmentSummary
from entitlements.facts import service as facts
from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS, REGISTERS
from entitlements.grants import service as grants
from entitlements.grants.models import Entitlement
from entitlements.language import Value
from entitlements.ledger import service as ledger
from entitlements.notices import service as notices
from entitlements.notices.models import Notice
from entitlements.people.service import make_person
from entitlements.registers.models import Register
from entitlements.registers.service import complete
from tests import rulebooks
from tests.entitlements.facts.making import a_household, a_register, list_members, state

NOON = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)
TODAY = NOON.date()
LONG_AGO = date(2026, 1, 1)


@dataclass
class City:
    """Every department of the catalogue, and a clock that tests move by the day."""

    database: Database
    settings: Settings
    clock: FixedClock
    registers: dict[str, Register] = field(default_factory=dict)

    @property
    def today(self) -> date:
        return day_of(self.clock.now(), self.settings.zone)

    async def found(self, *, speak: bool = True) -> None:
        """Loads the rulebook and makes the departments; `speak`: each has delivered a complete list."""
        async with self.database.writing() as session:
            await rulebooks.load(session, self.clock.now(), self.settings.city)
            for kind in REGISTERS:
                states = [n for n, k in CATALOGUE.items() if kind in k.suppliers]
                groups = [n for n, k in HOUSEHOLDS.items() if kind in k.suppliers]
                self.registers[kind] = await a_register(session, kind, states, groups)
        if speak:
            await self.lists_complete(*REGISTERS)

    async def lists_complete(self, *kinds: str, at: datetime | None = None) -> None:
        at = at or self.clock.now()
        async with self.database.writing() as session:
            for kind in kinds:
                register = self.registers[kind]
                await complete(session, register.id, uuid4(), as_of=at, day=LONG_AGO, now=at)

    async def person(self, born: date, *, residence: bool = True, **stated: Value) -> UUID:
        """Somebody born on a day, who lives here unless said otherwise."""
        async with self.database.writing() as session:
            person_id = (await make_person(session, self.clock.now())).id
        await self.state(person_id, since=born, birth_date=born, birth_date_latest=born)
        if residence:
            await self.state(person_id, main_residence=True)
        await self.state(person_id, **stated)
        return person_id

    async def state(
        self,
        subject: UUID,
        *,
        since: date = LONG_AGO,
        until: date | None = None,
        **stated: Value | None,
    ) -> None:
        """A department states something; a value of None takes it back."""
        async with self.database.writing() as session:
            for kind, value in stated.items():
                register = self.registers[CATALOGUE[kind].suppliers[0]]
                household = CATALOGUE[kind].about == "household"
                await state(
                    session,
                    register,
                    subject,
                    kind,
                    value,
                    since,
                    until,
                    at=self.clock.now(),
                    known=self.clock.now(),
                    about_household=household,
                )

    async def household(self, kind: str, *members: UUID, since: date = LONG_AGO) -> UUID:
        register = self.registers[HOUSEHOLDS[kind].suppliers[0]]
        async with self.database.writing() as session:
            household_id = await a_household(session, register, kind)
            await list_members(
                session,
                register,
                household_id,
                kind,
                members,
                since,
                at=self.clock.now(),
                known=self.clock.now(),
            )
        return household_id

    async def assess(
        self, *person_ids: UUID, cause: str = "delivery", reinstate: UUID | None = None
    ) -> AssessmentSummary:
        """Refreshes what is known of these persons and judges them."""
        async with self.database.writing() as session:
            near = await facts.closure(session, person_ids)
            await facts.refresh(session, near, self.today)
            return await decisions.assess(
                session,
                person_ids,
                now=self.clock.now(),
                settings=self.settings,
                cause=cause,
                reinstate=reinstate,
            )

    async def post(self) -> None:
        """The mail goes out: every notice that is owed leaves the house."""
        async with self.database.writing() as session:
            owed = await session.execute(select(Notice).where(col(Notice.sent_at).is_(None)))
            for notice in owed.scalars():
                await notices.sent(session, notice, now=self.clock.now(), settings=self.settings)

    async def night(self, *, post: bool = True) -> None:
        """One midnight passes: a new day, the nightly jobs in their order, and the mail."""
        self.clock.forward(timedelta(days=1))
        for turn in (everybody.turn, grants.turn, grants.turn_allowances):
            async with self.database.writing() as session:
                await turn(session, {}, self.clock.now(), settings=self.settings)
        if post:
            await self.post()

    async def until(self, day: date, *, post: bool = True) -> None:
        """Lets the nights pass until it is this day."""
        while self.today < day:
            await self.night(post=post)

    # --- what a citizen or a clerk sees -----------------------------------------------------------------

    async def holds(self, person_id: UUID, programme: str) -> Entitlement | None:
        async with self.database.reading() as session:
            held = await grants.held(session, person_id, self.today)
        return next((e for e in held if e.programme == programme), None)

    async def latest(self, person_id: UUID, programme: str) -> Entitlement:
        async with self.database.reading() as session:
            return next(e for e in await grants.of_person(session, person_id) if e.programme == programme)

    async def decision(self, person_id: UUID, programme: str) -> Decision:
        async with self.database.reading() as session:
            return (await decisions.standing_decisions(session, person_id))[programme]

    async def decisions(self, person_id: UUID, programme: str | None = None) -> list[Decision]:
        async with self.database.reading() as session:
            return await decisions.decisions_of(session, person_id, programme=programme)

    async def told(self, person_id: UUID) -> list[tuple[str, dict[str, object]]]:
        """The notices owed to a person, the oldest first."""
        async with self.database.reading() as session:
            rows = await session.execute(
                select(Notice)
                .where(col(Notice.person_id) == person_id)
                .order_by(col(Notice.owed_at), col(Notice.id))
            )
            return [(notice.code, notice.params) for notice in rows.scalars()]

    async def pots(self, person_id: UUID) -> list[allowances.Pot]:
        async with self.database.reading() as session:
            return await allowances.pots_of(session, person_id)

    async def books_in_order(self) -> bool:
        async with self.database.reading() as session:
            return (await ledger.prove(session)).in_order


async def everything(session: AsyncSession, tables: Iterable[type]) -> list[object]:
    """Every row of these tables, to compare before and after."""
    return [row for table in tables for row in (await session.execute(select(table.__table__))).all()]  # type: ignore[attr-defined]
