"""A town with its departments in front of the door and a case worker behind the desk."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from litestar import Litestar
from litestar.testing import AsyncTestClient

from app.handlers import handlers
from core.access.rules import Role
from core.clock import FixedClock
from core.database import Database
from core.jobs.service import Worker
from core.settings import Settings
from core.vault import Vault
from entitlements.registers.rules import Remit
from entitlements.registers.service import number_hash, person_by_number
from tests import rulebooks
from tests.entitlements.deliveries.making import Office
from tests.makers import sign_in

NAMED = Remit(frozenset({"sgb2"}), frozenset({"bedarfsgemeinschaft"}), likeness=True)
"""A Jobcenter that names people only so that its numbers find them."""
SOZIALAMT = Remit(frozenset({"sgb12_gsi"}), frozenset(), identities=True)


@dataclass
class Town:
    """Departments in front of the door, and a case worker behind the desk."""

    client: AsyncTestClient[Litestar]
    database: Database
    vault: Vault
    settings: Settings
    clock: FixedClock
    desk: dict[str, str]
    melde: Office
    jobcenter: Office
    sozialamt: Office

    async def rules(self) -> None:
        """From now on everybody is judged by the city's own rulebook."""
        async with self.database.writing() as session:
            await rulebooks.load(session, self.clock.now())

    async def meant(self, office: Office, number: str) -> UUID | None:
        """Whom a number means."""
        hashed = number_hash(self.vault, office.register.id, number)
        async with self.database.reading() as session:
            return await person_by_number(session, hashed, office.register.id)

    async def known(self, number: str) -> UUID:
        found = await self.meant(self.melde, number)
        assert found is not None
        return found

    async def do(self, url: str, body: Any = None, *, expect: int = 200) -> Any:
        """The case worker does something."""
        answer = await self.client.post(f"/v1{url}", json=body, headers=self.desk)
        assert answer.status_code == expect, answer.text
        return answer.json() if answer.content else None

    async def waiting(self) -> list[Any]:
        answer = await self.client.get("/v1/reviews", headers=self.desk)
        assert answer.status_code == 200, answer.text
        found: list[Any] = answer.json()["reviews"]
        return found

    async def work(self) -> None:
        """The jobs that are due are done."""
        worker = Worker(self.database, handlers(self.settings, self.vault), self.clock)
        while await worker.run_due():
            pass

    async def days_later(self, days: int) -> None:
        """It is some days later, and somebody sits behind the desk again."""
        self.clock.forward(timedelta(days=days))
        self.desk = await sign_in(self.database, self.vault, self.clock.now(), Role.CASE_WORKER)

    async def citizen(self, person_id: UUID) -> dict[str, str]:
        return await sign_in(self.database, self.vault, self.clock.now(), Role.CITIZEN, person_id=person_id)

    async def entitlements(self, person_id: UUID) -> dict[str, Any]:
        """What somebody sees of what they hold, by programme."""
        answer = await self.client.get("/v1/entitlements", headers=await self.citizen(person_id))
        assert answer.status_code == 200, answer.text
        return {one["programme"]: one for one in answer.json()}
