"""A city with an https address, a pool that asks for the reduced tariff, somebody who holds it, and their wallet.

One application of each kind of database serves all of these tests: each has a person, a venue and a noon of its own.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import delete, select
from sqlmodel import col

from core.access.rules import Role
from core.clock import FixedClock
from core.limits.models import Count
from core.vault import KeyUse
from entitlements.people import service as people
from entitlements.people.rules import PersonIdentity
from issuers.authorities.certificates import Purpose, chain_for
from issuers.credentials.models import Credential
from issuers.credentials.service import issue_for_wallet
from issuers.status.rules import Status
from issuers.status.service import set_status
from tests import houses
from tests.conftest import NOON
from tests.houses import PUBLIC, client, clock, house_url, settings
from tests.issuers.openid.makers import give
from tests.makers import sign_in
from tests.verifiers.makers import City, Till
from tests.verifiers.presentations.wallet import Authority, Request, Wallet, b64, digest, json64, unb64
from verifiers.presentations.models import Presentation

OTHERS = "https://jobcenter.example"
REGISTRATION = "eyJ0eXAiOiJyYy13cnArand0In0.e30.c2ln"


@dataclass
class House(houses.House):
    """Here with a counter and a holder for all tests that only ask."""

    counter: "Counter | None" = None
    holder: "Holder | None" = None


@pytest.fixture(scope="session")
def jobcenter() -> Authority:
    return Authority(NOON)


@pytest.fixture(scope="session")
async def house(
    house_url: str, tmp_path_factory: pytest.TempPathFactory, jobcenter: Authority
) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("presentations")
    anchors, registration = folder / "anchors.pem", folder / "registration.jwt"
    anchors.write_bytes(jobcenter.pem)
    registration.write_text(REGISTRATION + "\n")
    own = {"presentation_anchors": anchors, "registration_certificate": registration}
    async with houses.opened(House, house_url, folder, **own) as house:
        yield house


@pytest.fixture
async def city(client: AsyncTestClient[Litestar], house: House, clock: FixedClock) -> City:
    async with house.database.writing() as session:
        # All tests knock from one address; how often somebody may is a test of its own.
        await session.execute(delete(Count))
    operator = await sign_in(house.database, house.vault, clock.now(), Role.OPERATOR)
    return City(client, house.database, house.vault, house.settings, clock, operator)


@dataclass
class Counter:
    """A venue with an offer and a scanner, which asks wallets."""

    city: City
    house: House
    venue: dict[str, Any]
    offer_id: str
    till: Till

    async def ask(self, **wish: Any) -> dict[str, Any]:
        answer = await self.till.post("/v1/presentations", wish)
        assert answer.status_code == 201, answer.text
        asked: dict[str, Any] = answer.json()
        return asked

    async def status(self, asked: dict[str, Any]) -> dict[str, Any]:
        """As anybody with the address reads it, without signing in."""
        answer = await self.city.client.get(asked["status_url"])
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def rows(self) -> list[Presentation]:
        """Everything that is kept of questions."""
        async with self.city.database.reading() as session:
            return list((await session.execute(select(Presentation))).scalars().all())

    async def row(self, asked: dict[str, Any]) -> Presentation | None:
        """What is kept of one."""
        watch = sha256(asked["status_url"].rsplit("/", 1)[1].encode()).digest()
        return next((row for row in await self.rows() if row.watch_hash == watch), None)


@pytest.fixture
async def new_counter(city: City, house: House) -> Counter:
    """A venue of the test's own."""
    return await make_counter(city, house)


async def make_counter(city: City, house: House) -> Counter:
    venue = await city.venue()
    offer = await city.offer(venue)
    return Counter(city, house, venue, offer, await city.till(venue))


@pytest.fixture
async def counter(city: City, house: House) -> Counter:
    """The same counter for all tests that only ask at it."""
    if house.counter is None:
        house.counter = await make_counter(city, house)
    house.counter.city.clock = house.counter.till.clock = city.clock
    return house.counter


@dataclass
class Holder:
    """A person with a card in a wallet; and the city's own key, for credentials that should never have been signed."""

    house: House
    clock: FixedClock
    person_id: UUID
    wallet: Wallet

    async def sign_as_city(self, claims: dict[str, Any], **header: Any) -> str:
        """A token signed with the city's own key, whatever it says."""
        async with self.house.database.reading() as session:
            chain = await chain_for(
                session, self.house.vault, self.house.settings, Purpose.CREDENTIAL, self.clock.now()
            )
        head = {"alg": "ES256", "typ": "dc+sd-jwt", "x5c": list(chain.x5c)} | header
        signed = f"{json64({k: v for k, v in head.items() if v is not None})}.{json64(claims)}"
        key_id = chain.key_id
        return f"{signed}.{b64(self.house.vault.signer(key_id, KeyUse.CREDENTIAL).sign(signed.encode()))}"

    def opened(self) -> tuple[dict[str, Any], list[str]]:
        """What the city signed, and the disclosures."""
        issued, *disclosures, _ = self.wallet.credential.split("~")
        return json.loads(unb64(issued.split(".")[1])), disclosures

    async def forge(self, *more: str, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """The credential with other claims, signed by the city all the same; None takes one away."""
        claims, disclosures = self.opened()
        claims = {name: value for name, value in (claims | changes).items() if value is not None}
        return "~".join([await self.sign_as_city(claims, **(header or {})), *disclosures, *more, ""])

    async def mark(self, status: Status) -> None:
        async with self.house.database.writing() as session:
            found = await session.execute(
                select(Credential).where(col(Credential.person_id) == self.person_id)
            )
            places = [(row.status_list, row.status_index) for row in found.scalars()]
            await set_status(session, places, status, now=self.clock.now())


@pytest.fixture
async def holder(house: House, clock: FixedClock, client: AsyncTestClient[Litestar]) -> Holder:
    """The same person for all tests that leave the credential as it is, with a wallet of the test's own."""
    if house.holder is None:
        house.holder = await make_holder(house, clock, client)
    kept = house.holder
    return Holder(
        house, clock, kept.person_id, Wallet(client, clock, kept.wallet.key, kept.wallet.credential)
    )


@pytest.fixture
async def new_holder(house: House, clock: FixedClock, client: AsyncTestClient[Litestar]) -> Holder:
    """A person of the test's own."""
    return await make_holder(house, clock, client)


async def make_holder(house: House, clock: FixedClock, client: AsyncTestClient[Litestar]) -> Holder:
    now, wallet = clock.now(), Wallet(client, clock)
    async with house.database.writing() as session:
        person = await people.make_person(session, now)
        identity = PersonIdentity(given_name="Änne", family_name="Müller", birth_date="1961-03-07")
        await people.keep_identity(session, house.vault, person.id, identity, stated_at=now, now=now)
        await give(session, house.settings, person.id, now, tariffs=("reduced", "social_ticket"))
        (issued,) = await issue_for_wallet(
            session,
            house.vault,
            house.settings,
            person_id=person.id,
            keys=[wallet.key.public_key()],
            programme=None,
            batch_id=uuid4(),
            now=now,
        )
    wallet.credential = issued.signed.decode()
    return Holder(house, clock, person.id, wallet)


__all__ = [
    "PUBLIC",
    "Counter",
    "Holder",
    "House",
    "Request",
    "client",
    "clock",
    "digest",
    "house_url",
    "settings",
]
