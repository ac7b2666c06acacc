"""A city with an https address, somebody who holds its card, and a wallet of another maker's."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.access.rules import Role
from core.clock import FixedClock
from core.database import Database
from core.settings import Mode, Settings
from core.vault import Vault
from entitlements.people import service as people
from entitlements.people.rules import PersonIdentity
from issuers.authorities.certificates import development_anchor
from issuers.authorities.service import ensure_authority
from issuers.openid import offers
from issuers.openid.desk import Desk
from tests.conftest import NOON
from tests.issuers.makers import hold, make_person
from tests.issuers.openid.wallet import Provider, Wallet
from tests.makers import sign_in

ISSUER = "https://karte.example"


@pytest.fixture(scope="session")
def provider() -> Provider:
    return Provider(NOON)


@pytest.fixture
def settings(database_url: str, tmp_path: Path, provider: Provider) -> Settings:
    anchors = tmp_path / "providers.pem"
    anchors.write_bytes(provider.pem)
    return Settings(
        mode=Mode.TEST,
        database_url=database_url,
        vault_file=tmp_path / "vault.json",
        status_size=4096,
        public_url=ISSUER,
        wallet_provider_anchors=anchors,
        _env_file=None,
    )


@pytest.fixture
async def client(application: Litestar) -> AsyncIterator[AsyncTestClient[Litestar]]:
    async with AsyncTestClient(application, base_url=ISSUER) as client:
        yield client


@dataclass
class City:
    """What a test does on the city's side."""

    database: Database
    vault: Vault
    settings: Settings
    clock: FixedClock
    person_id: UUID
    anchor: x509.Certificate

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
        async with self.database.writing() as session:
            person_id = await make_person(session, self.vault, self.clock.now())
            if held:
                await hold(session, self.settings, person_id, self.clock.now(), **held)
            return person_id


@pytest.fixture
async def city(database: Database, vault: Vault, settings: Settings, clock: FixedClock) -> City:
    now = clock.now()
    async with database.writing() as session:
        await ensure_authority(session, vault, settings, now)
        person = await people.make_person(session, now)
        identity = PersonIdentity(given_name="Änne", family_name="Müller", birth_date="1961-03-07")
        await people.keep_identity(session, vault, person.id, identity, stated_at=now, now=now)
        await hold(session, settings, person.id, now, tariffs=("reduced", "social_ticket"))
        anchor = await development_anchor(session, vault, now)
    assert anchor is not None
    return City(database, vault, settings, clock, person.id, anchor)


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
