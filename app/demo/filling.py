"""Fills an empty database with the demo city, through the same services that a real city would use."""

import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.demo.accounts import logins
from app.demo.city import REGISTERS, City, Resident
from app.demo.places import places
from app.demo.telling import NAMES, ndjson, remit_of, rows
from app.walk.machine import new_private_jwk
from core.access import service as access
from core.access.models import Principal
from core.access.rules import Caller, Method, PrincipalKind, Role
from core.clock import Clock, day_of
from core.database import Database
from core.jobs.service import Worker
from core.settings import Settings
from core.vault import Vault
from entitlements.decisions.service import assess
from entitlements.deliveries.models import Delivery, Mode, State
from entitlements.deliveries.receiving import Announced, Media
from entitlements.deliveries.service import deliver
from entitlements.facts.catalogue import RULEBOOKS
from entitlements.people import service as people
from entitlements.people.models import LinkedBy
from entitlements.registers import service as registers
from entitlements.registers.models import Link, LinkMade, Register
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.drafting import written_in
from entitlements.rulebook.reading import load_rulebook
from issuers.authorities.service import ensure_authority
from issuers.trustlist.service import publish
from verifiers.offers import service as offers
from verifiers.partners import service as partners
from verifiers.partners.schemas import NewPartner
from verifiers.venues import service as venues

RESIDENTS = "melderegister"
HOMES = 150
"""Homes that are assessed in one transaction."""


T = TypeVar("T")
Numbers = dict[bytes, tuple[UUID, str | None, LinkMade]]


class NotFilled(RuntimeError):
    """A delivery of the demo city was not applied."""


@dataclass(slots=True)
class Filling:
    """Everything that the filling needs, and how long each part took."""

    settings: Settings
    vault: Vault
    clock: Clock
    database: Database
    worker: Worker
    folder: Path
    """Where the clients' keys go."""
    tell: Callable[[str, float], None] = lambda _what, _seconds: None
    people: dict[int, UUID] = field(default_factory=dict)
    """The person of each resident, by the resident's number."""

    @contextmanager
    def part(self, what: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.tell(what, time.perf_counter() - begun)

    async def all(self, city: City) -> None:
        """The whole city."""
        with self.part("authority and keys"):
            await self._write(self._authority)
        with self.part("departments and their keys"):
            known = await self._registers()
        with self.part("the residents' register delivers"):
            await self._deliver(city, known[RESIDENTS])
        with self.part("numbers linked"):
            await self._link(city, known)
        with self.part("the other departments deliver"):
            for name in REGISTERS:
                if name != RESIDENTS:
                    await self._deliver(city, known[name])
        with self.part("rules loaded, everybody assessed"):
            await self._assess(city)
        with self.part("partners, venues, offers"):
            await self._places(await self._operator())
        with self.part("logins linked"):
            await self._logins(city)
        with self.part("jobs done"):
            await self.worker.run_due()

    async def _write(self, work: Callable[[AsyncSession, datetime], Awaitable[T]]) -> T:
        """Does something in a transaction of its own."""
        now = self.clock.now()
        return await self.database.in_transaction(lambda session: work(session, now))

    # ---- the city's side ----

    async def _authority(self, session: AsyncSession, now: datetime) -> None:
        await ensure_authority(session, self.vault, self.settings, now)
        await publish(session, self.vault, self.settings, now)

    async def _login(self, session: AsyncSession, sub: str, now: datetime) -> UUID:
        principal = await access.login(session, self.vault, self.settings.oidc_issuer, sub, now)
        return principal.id

    async def _operator(self) -> Caller:
        """The operator, as whom partners are let in."""

        async def make(session: AsyncSession, now: datetime) -> UUID:
            return await self._login(session, "betrieb", now)

        return Caller(await self._write(make), PrincipalKind.LOGIN, frozenset({Role.OPERATOR}), Method.SYSTEM)

    async def _places(self, operator: Caller) -> None:
        async def make(session: AsyncSession, now: datetime) -> None:
            today = day_of(now, self.settings.zone)
            tariffs = await rulebook.tariff_bits(session)
            manager = await self._login(session, "partner", now)
            known: dict[str, UUID] = {}
            for place in places():
                if place.partner not in known:
                    partner = await partners.join(session, operator, NewPartner(name=place.partner), now)
                    known[place.partner] = partner.id
                    if len(known) == 1:
                        await partners.appoint(session, operator, partner.id, manager, now)
                venue = await venues.open_venue(session, operator, place.venue(known[place.partner]), now)
                for offer in place.offers(venue.id, today):
                    await offers.make(session, operator, offer, tariffs, now)

        await self._write(make)

    # ---- the departments' side ----

    async def _registers(self) -> Mapping[str, Register]:
        """Each department's register, with a key of its own in the folder."""
        folder = self.folder / "clients"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        known: dict[str, Register] = {}
        for kind in REGISTERS:
            jwk = new_private_jwk()
            public = {name: value for name, value in jwk.items() if name != "d"}

            async def make(
                session: AsyncSession, now: datetime, kind: str = kind, public: dict[str, str] = public
            ) -> tuple[Register, str]:
                register = await registers.enrol_register(
                    session,
                    None,
                    public_jwk=public,
                    kind=kind,
                    name=NAMES[kind],
                    remit=remit_of(kind),
                    now=now,
                )
                principal = await session.get_one(Principal, register.principal_id)
                return register, str(principal.client_id)

            known[kind], client_id = await self._write(make)
            content = json.dumps({"client_id": client_id, "jwk": jwk}, indent=1)
            descriptor = os.open(folder / f"{kind}.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(content + "\n")
        return known

    async def _deliver(self, city: City, register: Register) -> None:
        """A full delivery of all that a department knows, taken in and applied as one that is posted."""
        said = list(rows(city, register.kind))
        machine = Caller(
            register.principal_id,
            PrincipalKind.REGISTER,
            frozenset({Role.INTEGRATION_CLIENT}),
            Method.SYSTEM,
        )
        now = self.clock.now()

        async def body() -> AsyncIterator[bytes]:
            yield ndjson(said)

        received = await deliver(
            self.database,
            self.vault,
            self.settings,
            machine,
            announced=Announced("first", Mode.FULL, now, len(said), Media.NDJSON),
            body=body(),
            now=now,
        )
        # What is left of a large one waits for the worker.
        await self.worker.run_due()
        async with self.database.reading() as session:
            delivery = await session.get_one(Delivery, received.delivery_id)
        if delivery.state is not State.APPLIED:
            raise NotFilled(f"{register.kind}: {delivery.state} {delivery.reason}")

    async def _link(self, city: City, known: Mapping[str, Register]) -> None:
        """Tells every other department's numbers whom they mean, once the residents are known."""
        hashed = registers.NumberHash(self.vault, known[RESIDENTS].id)
        by_hash = {hashed(resident.number_at(RESIDENTS)): resident.number for resident in city.residents}
        async with self.database.reading() as session:
            links = await session.execute(
                select(col(Link.number_hash), col(Link.person_id)).where(
                    col(Link.register_id) == known[RESIDENTS].id
                )
            )
            self.people = {by_hash[number]: person_id for number, person_id in links}
        for name in REGISTERS:
            if name == RESIDENTS:
                continue
            own = registers.NumberHash(self.vault, known[name].id)
            numbers: Numbers = {
                own(number): (self.people[resident.number], number, LinkMade.STATED)
                for resident in city.known_to(name)
                for number in (resident.number_at(name),)
            }

            async def link(
                session: AsyncSession, now: datetime, name: str = name, numbers: Numbers = numbers
            ) -> None:
                await registers.link(session, self.vault, known[name].id, numbers, now)

            await self._write(link)

    # ---- what follows ----

    async def _assess(self, city: City) -> None:
        """Puts the rules into force when every department has spoken, so that each person is judged once."""

        async def load(session: AsyncSession, now: datetime) -> None:
            folder = RULEBOOKS / self.settings.city
            await rulebook.load(session, load_rulebook(folder), now, written_in(folder))

        await self._write(load)
        for start in range(0, len(city.homes), HOMES):
            homes = city.homes[start : start + HOMES]
            some = [self.people[member.number] for home in homes for member in home.members]

            async def judge(session: AsyncSession, now: datetime, some: list[UUID] = some) -> None:
                await assess(session, some, now=now, settings=self.settings, cause="rules-loaded")

            await self._write(judge)

    async def _logins(self, city: City) -> None:
        async def link(session: AsyncSession, now: datetime) -> None:
            today = day_of(now, self.settings.zone)
            for login in logins(city):
                if login.resident is None:
                    continue
                own = self.people[login.resident.number]
                principal = await self._login(session, login.account.sub, now)
                await people.link_login(session, principal, own, by=LinkedBy.DESK, caller=None, now=now)
                for child in login.children:
                    await people.make_guardian(
                        session,
                        None,
                        own,
                        self.people[child.number],
                        since=today,
                        until=_grown_up(child),
                        now=now,
                    )

        await self._write(link)


def _grown_up(child: Resident) -> date:
    """The last day before a child's eighteenth birthday."""
    return child.born.replace(year=child.born.year + 18, day=min(child.born.day, 28)) - timedelta(days=1)
