"""A city with an https address, somebody who holds its card, and a wallet of another maker's.

One application of each kind of database serves all of these tests: each has a person, a wallet and a noon of its own.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import select
from sqlmodel import col

from core.access.rules import Role
from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import Vault
from entitlements.people import service as people
from entitlements.people.rules import PersonIdentity
from issuers.credentials.models import Credential
from issuers.openid import offers
from issuers.openid.desk import Desk
from tests.conftest import NOON
from tests.houses import PUBLIC, House, client, clock, house_url, opened, settings
from tests.issuers.openid.makers import give, take
from tests.issuers.openid.wallet import Provider, Wallet
from tests.makers import sign_in

ISSUER = PUBLIC
__all__ = ["ISSUER", "City", "House", "client", "clock", "house_url", "settings"]


@pytest.fixture(scope="session")
def provider() -> Provider:
    return Provider(NOON)


@pytest.fixture(scope="session")
async def house(
    house_url: str, tmp_path_factory: pytest.TempPathFactory, provider: Provider
) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("openid")
    (folder / "providers.pem").write_bytes(provider.pem)
    anchors = folder / "providers.pem"
    async with opened(House, house_url, folder, wallet_provider_anchors=anchors) as house:
        yield house


@dataclass
class City:
    """What a test does on the city's side, and the person it is about."""

    house: House
    clock: FixedClock
    person_id: UUID
    anchor: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        self.anchor = self.house.anchor

    @property
    def database(self) -> Database:
        return self.house.database

    @property
    def vault(self) -> Vault:
        return self.house.vault

    @property
    def settings(self) -> Settings:
        return self.house.settings

    async def offer(self, person_id: UUID | None = None, **other: Any) -> offers.Offered:
        async with self.database.writing() as session:
            desk = Desk(session, self.vault, self.settings, self.clock.now())
            return await offers.offer(desk, None, person_id or self.person_id, **other)

    async def session(self, person_id: UUID | None = None) -> dict[str, str]:
        """The headers of a browser in which this person is signed in."""
        return await sign_in(
            self.database, self.vault, self.clock.now(), Role.CITIZEN, person_id=person_id or self.person_id
        )

    async def newcomer(self, **held: Any) -> UUID:
        """Another person; with what they hold, if anything is said of it."""
        async with self.database.writing() as session:
            person = await people.make_person(session, self.clock.now())
            if held:
                await give(session, self.settings, person.id, self.clock.now(), **held)
            return person.id

    async def give(self, person_id: UUID | None = None, **held: Any) -> None:
        async with self.database.writing() as session:
            await give(session, self.settings, person_id or self.person_id, self.clock.now(), **held)

    async def take(self) -> None:
        """Takes away at once what the person holds."""
        async with self.database.writing() as session:
            await take(session, self.settings, self.person_id, self.clock.now())

    async def credentials(self) -> list[Credential]:
        async with self.database.reading() as session:
            found = await session.execute(
                select(Credential).where(col(Credential.person_id) == self.person_id)
            )
            return list(found.scalars().all())


@pytest.fixture
async def city(house: House, clock: FixedClock) -> City:
    now = clock.now()
    async with house.database.writing() as session:
        person = await people.make_person(session, now)
        identity = PersonIdentity(given_name="Änne", family_name="Müller", birth_date="1961-03-07")
        await people.keep_identity(session, house.vault, person.id, identity, stated_at=now, now=now)
        await give(session, house.settings, person.id, now, tariffs=("reduced", "social_ticket"))
    return City(house, clock, person.id)


@pytest.fixture
async def wallet(
    client: AsyncTestClient[Litestar], city: City, clock: FixedClock, provider: Provider
) -> Wallet:
    wallet = Wallet(client, ISSUER, clock, provider)
    await wallet.discover()
    return wallet


@pytest.fixture
async def loaded(wallet: Wallet, city: City) -> Wallet:
    """A wallet with tokens by the pre-authorized code."""
    offered = await city.offer()
    answer = await wallet.redeem(await wallet.read_offer(offered.link), offered.tx_code)
    assert answer.status_code == 200, answer.text
    return wallet
