"""People who sign in, and the phones in their hands, speaking to the application over HTTP alone."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from httpx import Response
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import select

from core import texts
from core.access.rules import Role
from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import Vault
from entitlements.grants.models import Entitlement
from entitlements.people import service as people
from issuers.credentials.models import Credential
from issuers.credentials.rules import Revocation
from issuers.status.rules import Status
from issuers.status.service import StatusMemory
from tests.issuers.makers import PhoneKey, hold, lose, make_person, run_jobs
from tests.makers import sign_in

Headers = dict[str, str]


@dataclass
class Somebody:
    """A person with a login."""

    id: UUID
    headers: Headers
    entitlement: Entitlement | None = None


@dataclass
class Phone:
    """A phone: its key, and the keys of the cards it holds."""

    town: "Town"
    owner: Somebody
    id: str
    key: PhoneKey
    cards: list[tuple[PhoneKey, bytes]] = field(default_factory=list)

    async def ask(
        self,
        count: int = 1,
        *,
        kind: str = "nameless",
        acting_for: UUID | None = None,
        keys: list[PhoneKey] | None = None,
        **tampered: Any,
    ) -> Response:
        """Asks for cards; what is `tampered` with replaces what an honest phone would send or sign."""
        headers = self.owner.headers | ({"Acting-For": str(acting_for)} if acting_for else {})
        keys = keys or [PhoneKey() for _ in range(count)]
        nonce = tampered.get("nonce") or await self.town.nonce(self.owner)
        said = {"aud": self.town.settings.public_url, "nonce": nonce}
        thumbprints = tampered.get("holders", [key.thumbprint for key in keys])
        wish = {
            "kind": kind,
            "nonce": nonce,
            "holders": [
                {
                    "key": key.jwk,
                    "proof": tampered.get("holder_key", key).jws(
                        "citycard-holder+jwt", **said, device=tampered.get("device", self.id)
                    ),
                }
                for key in keys
            ],
            "proof": tampered.get("key", self.key).jws(
                tampered.get("typ", "citycard-cards+jwt"), **said, kind=kind, holders=thumbprints
            ),
        }
        path = f"/v1/devices/{tampered.get('path', self.id)}/cards"
        answer = await self.town.client.post(path, json=wish, headers=headers)
        if answer.status_code == 201:
            got = [texts.unb64url(card["card"]) for card in answer.json()["cards"]]
            self.cards += zip(keys, got, strict=True)
        return answer


@dataclass
class Town:
    """The application with everything that a test of the wallet needs of it."""

    client: AsyncTestClient[Litestar]
    database: Database
    vault: Vault
    settings: Settings
    clock: FixedClock

    async def person(self, given: str = "", family: str = "", **held: Any) -> Somebody:
        """Somebody who signs in; with `tariffs=…` they hold something."""
        entitlement = None
        async with self.database.writing() as session:
            person_id = await make_person(session, self.vault, self.clock.now(), given=given, family=family)
            if held:
                entitlement = await hold(session, self.settings, person_id, self.clock.now(), **held)
        headers = await sign_in(
            self.database, self.vault, self.clock.now(), Role.CITIZEN, person_id=person_id
        )
        return Somebody(person_id, headers, entitlement)

    async def again(self, somebody: Somebody) -> Somebody:
        """The same person, signed in anew: a session does not last for weeks."""
        now = self.clock.now()
        headers = await sign_in(self.database, self.vault, now, Role.CITIZEN, person_id=somebody.id)
        return Somebody(somebody.id, headers, somebody.entitlement)

    async def staff(self, *roles: Role) -> Headers:
        return await sign_in(self.database, self.vault, self.clock.now(), *(roles or (Role.CASE_WORKER,)))

    async def guardian(
        self,
        guardian: Somebody,
        child: Somebody,
        until: date | None = None,
        *,
        since: date | None = None,
    ) -> UUID:
        today = self.clock.now().date()
        async with self.database.writing() as session:
            row = await people.make_guardian(
                session,
                None,
                guardian.id,
                child.id,
                since=since or today,
                until=until or today + timedelta(days=3000),
                now=self.clock.now(),
            )
            return row.id

    async def nonce(self, owner: Somebody) -> str:
        answer = await self.client.post("/v1/devices/challenges", headers=owner.headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["nonce"])

    async def try_enrol(self, owner: Somebody, key: PhoneKey | None = None, **tampered: Any) -> Response:
        key = key or PhoneKey()
        nonce = tampered.pop("nonce", None) or await self.nonce(owner)
        said = {"aud": tampered.pop("aud", self.settings.public_url), "nonce": tampered.pop("said", nonce)}
        typ, signer = tampered.pop("typ", "citycard-device+jwt"), tampered.pop("signer", key)
        body = {"key": key.jwk, "nonce": nonce, "proof": signer.jws(typ, **said), **tampered}
        return await self.client.post("/v1/devices", json=body, headers=owner.headers)

    async def phone(self, owner: Somebody, **more: Any) -> Phone:
        key = PhoneKey()
        answer = await self.try_enrol(owner, key, **more)
        assert answer.status_code == 201, answer.text
        return Phone(self, owner, answer.json()["id"], key)

    async def lose(self, somebody: Somebody) -> None:
        assert somebody.entitlement is not None
        async with self.database.writing() as session:
            await lose(session, self.settings, somebody.entitlement, self.clock.now())

    async def work(self) -> None:
        await run_jobs(self.database, self.settings, self.vault, self.clock)

    async def credentials(self) -> list[tuple[Credential, Status | None]]:
        memory = StatusMemory()
        async with self.database.reading() as session:
            await memory.follow(session, self.clock.now())
            rows = (await session.execute(select(Credential))).scalars().all()
        return [(row, memory.status((row.status_list, row.status_index))) for row in rows]

    async def standing(self) -> list[Revocation | None]:
        """Of each credential, why it was taken back; and the list must say the same."""
        rows = await self.credentials()
        for row, status in rows:
            assert (row.revoked_at is None) == (status is Status.VALID)
        return [row.revoked_for for row, _ in rows]
