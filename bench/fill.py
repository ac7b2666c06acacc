"""Fills a database with one venue, one scanner and many cards, and signs what phones and scanners would send."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import insert
from sqlmodel import SQLModel

import app.tables  # noqa: F401
from core import jose, p256
from core.access.rules import PrincipalKind, Role
from core.access.service import enrol
from core.access.signatures import sign_request
from core.cose import KeyInHand
from core.database import Database
from core.settings import Mode, Settings
from core.vault import KeyUse, SoftwareSigner, Vault, open_vault
from entitlements.rulebook.models import TariffRow
from issuers.authorities.service import ensure_authority, signer_for
from issuers.credentials.card import Card, CardId, sign_card
from issuers.credentials.models import Credential, Holder
from issuers.credentials.rules import CredentialKind
from issuers.status.models import ListKind
from issuers.status.service import allocate
from issuers.trustlist.service import publish
from verifiers.offers.models import Offer
from verifiers.offers.rules import OfferKind, Period
from verifiers.partners.models import Partner
from verifiers.scanners.models import Scanner
from verifiers.venues.models import Venue
from verifiers.venues.service import changed
from wallet.codes.text import live_text

TARGET = "/v1/checks"


@dataclass(frozen=True)
class City:
    """What the load is made of: the cards, and the scanner that shows them."""

    host: str
    scanner: SoftwareSigner
    cards: list[tuple[bytes, KeyInHand]]

    def requests(self, at: datetime, file: Path, most: int | None = None) -> None:
        """Writes one signed request for each card, as made at `at`."""
        with file.open("w") as out:
            for card, device in self.cards[:most]:
                body = json.dumps(
                    {"code": live_text(self.host, card, device, int(at.timestamp()))}, separators=(",", ":")
                )
                headers = sign_request(
                    self.scanner,
                    "POST",
                    TARGET,
                    body.encode(),
                    created=at,
                    idempotency_key=uuid4().hex,
                )
                out.write("\n".join([body, *(f"{name}: {value}" for name, value in headers.items()), "", ""]))


def settings_for(database_url: str, folder: Path) -> Settings:
    return Settings(
        mode=Mode.TEST,
        database_url=database_url,
        vault_file=folder / "vault.json",
        _env_file=None,  # type: ignore[call-arg]
    )


async def fill(settings: Settings, cards: int) -> City:
    """An empty database becomes a small city."""
    now = datetime.now(UTC)  # noqa: DTZ005, RUF100  (a bench is outside the house: it asks the machine)
    vault = open_vault(settings)
    database = Database(settings.database_url)
    async with database.engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    scanner = SoftwareSigner(ec.generate_private_key(ec.SECP256R1()))
    await database.in_transaction(lambda session: _venue(session, vault, settings, scanner, now))
    made = []
    for start in range(0, cards, 5000):
        count = min(5000, cards - start)
        made += await database.in_transaction(
            lambda session, count=count: _cards(session, vault, settings, count, now)
        )
    await database.dispose()
    return City(settings.code_host, scanner, made)


async def _venue(session, vault: Vault, settings: Settings, scanner: SoftwareSigner, now: datetime) -> None:
    await ensure_authority(session, vault, settings, now)
    await publish(session, vault, settings, now)
    session.add(TariffRow(name="reduced", bit=0, names={"de": "ermäßigt"}))
    partner = Partner(name="Bäder", joined_at=now)
    session.add(partner)
    await session.flush()
    venue = Venue(number=2718281828, partner_id=partner.id, name="Hallenbad", kind="pool", opened_at=now)
    session.add(venue)
    await session.flush()
    for cents in (200, 350):
        session.add(
            Offer(
                venue_id=venue.id,
                kind=OfferKind.FIXED_PRICE,
                price_cents=cents,
                tariffs=["reduced"],
                texts={"de": "Eintritt", "en": "Entry"},
                limit_uses=1,
                limit_period=Period.DAY,
                since=date(2020, 1, 1),
            )
        )
    members = jose.jwk(scanner.public_key)
    principal = await enrol(
        session, PrincipalKind.SCANNER, "Kasse 1", now, roles=[Role.SCANNER], public_jwk=members
    )
    session.add(Scanner(venue_id=venue.id, principal_id=principal.id, name="Kasse 1", enrolled_at=now))
    await changed(session)


async def _cards(session, vault: Vault, settings: Settings, count: int, now: datetime) -> list:
    ends = (now + timedelta(days=7)).replace(microsecond=0)
    signer = await signer_for(session, vault, KeyUse.CARD, now)
    places = await allocate(session, ListKind.CARD, count, until=ends, settings=settings, now=now)
    made, holders, rows = [], [], []
    for number, index in places:
        device = KeyInHand(ec.generate_private_key(ec.SECP256R1()))
        point = p256.point(device.key.public_key())
        card = sign_card(Card(signer.kid, int(ends.timestamp()), 1, CardId(number, index), point), signer)
        person: UUID = uuid4()
        holders.append({"person_id": person, "touched_at": now})
        rows.append(
            {
                "id": uuid4(),
                "person_id": person,
                "kind": CredentialKind.CARD,
                "key_id": signer.kid.hex(),
                "status_list": number,
                "status_index": index,
                "tariff_bits": 1,
                "named": False,
                "issued_at": now,
                "expires_at": ends,
                "holder_point": point,
                "card_hash": sha256(card).digest(),
            }
        )
        made.append((card, device))
    await session.execute(insert(Holder), holders)
    await session.execute(insert(Credential), rows)
    return made
