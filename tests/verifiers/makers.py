"""A city with venues, scanners and cards, made the way it is made in earnest."""

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from litestar import Litestar
from litestar.testing import AsyncTestClient

from app.handlers import handlers, recurring
from core import jose, p256, texts
from core.access.rules import Role
from core.access.signatures import sign_request
from core.clock import FixedClock
from core.cose import KeyInHand
from core.database import Database
from core.jobs.service import Worker
from core.settings import Settings
from core.vault import KeyUse, SoftwareSigner, Vault
from entitlements.rulebook.models import TariffRow
from issuers.authorities.service import ensure_authority, signer_for
from issuers.credentials.card import Card, CardId, PrintedCard, sign_card, sign_printed
from issuers.credentials.models import Credential, Holder
from issuers.credentials.rules import CredentialKind
from issuers.status.models import ListKind
from issuers.status.rules import Status
from issuers.status.service import allocate, set_status
from issuers.trustlist.service import publish
from tests.makers import sign_in
from verifiers.scanners.rules import to_be_signed, understood
from wallet.codes.text import live_text, printed_text

REDUCED, YOUTH = 1, 2
"""Tariff bits, as the city's rulebook numbers them."""

Client = AsyncTestClient[Litestar]


@dataclass
class Phone:
    """A card in somebody's hand."""

    host: str
    card: bytes
    place: CardId
    device: KeyInHand
    person_id: UUID

    def code(self, at: datetime, venue: int | None = None) -> str:
        return live_text(self.host, self.card, self.device, int(at.timestamp()), venue)


@dataclass
class Paper:
    """A card on paper."""

    host: str
    card: bytes
    place: CardId
    person_id: UUID

    @property
    def code(self) -> str:
        return printed_text(self.host, self.card)


class Till:
    """A scanner with its own key."""

    def __init__(self, client: Client, clock: FixedClock, key: ec.EllipticCurvePrivateKey) -> None:
        self.client, self.clock = client, clock
        self.signer = SoftwareSigner(key)
        self.id = ""

    def members(self) -> dict[str, str]:
        return jose.jwk(self.signer.public_key)

    def proof(self, code: str) -> str:
        meant = understood(code) or code
        return texts.b64url(self.signer.sign(to_be_signed(meant, jose.thumbprint(self.signer.public_key))))

    async def enrol(self, code: str, name: str = "Kasse 1") -> Any:
        answer = await self.client.post(
            "/v1/scanners",
            json={"code": code, "name": name, "key": self.members(), "proof": self.proof(code)},
        )
        if answer.status_code == 201:
            self.id = answer.json()["id"]
        return answer

    def signed(
        self, method: str, target: str, body: bytes = b"", key: str | None = None, **headers: str
    ) -> dict[str, str]:
        proof = sign_request(self.signer, method, target, body, created=self.clock.now(), idempotency_key=key)
        content = {"Content-Type": "application/json"} if body else {}
        return proof | content | headers

    async def post(
        self, target: str, data: Any, key: str | None = None, *, client: Client | None = None, **headers: str
    ) -> Any:
        body = json.dumps(data).encode()
        sent = self.signed("POST", target, body, key, **headers)
        return await (client or self.client).post(target, content=body, headers=sent)

    async def check(
        self, code: str, key: str | None = None, *, client: Client | None = None, **headers: str
    ) -> Any:
        return await self.post("/v1/checks", {"code": code}, key, client=client, **headers)

    async def redeem(
        self, receipt: str, offer: str, key: str | None = None, *, client: Client | None = None
    ) -> Any:
        data = {"receipt": receipt, "offer_id": offer}
        return await self.post("/v1/redemptions", data, key or str(uuid4()), client=client)

    async def get(self, target: str) -> Any:
        return await self.client.get(target, headers=self.signed("GET", target))


@dataclass
class City:
    """Everything that a visit needs."""

    client: Client
    database: Database
    vault: Vault
    settings: Settings
    clock: FixedClock
    operator: dict[str, str]

    @property
    def now(self) -> datetime:
        return self.clock.now()

    async def partner(self, name: str = "Bäder") -> str:
        answer = await self.client.post("/v1/partners", json={"name": name}, headers=self.operator)
        assert answer.status_code == 201, answer.text
        partner_id: str = answer.json()["id"]
        return partner_id

    async def venue(self, *, partner: str | None = None, has_sign: bool = False) -> dict[str, Any]:
        data = {
            "partner_id": partner or await self.partner(),
            "name": "Hallenbad Nord",
            "kind": "pool",
            "has_sign": has_sign,
        }
        answer = await self.client.post("/v1/venues", json=data, headers=self.operator)
        assert answer.status_code == 201, answer.text
        venue: dict[str, Any] = answer.json()
        return venue

    async def offer(self, venue: dict[str, Any], **terms: Any) -> str:
        data = {
            "venue_id": venue["id"],
            "kind": "fixed_price",
            "price_cents": 200,
            "tariffs": ["reduced"],
            "texts": {"de": "Eintritt 2 €", "de-simple": "Sie zahlen 2 Euro.", "en": "Entry €2"},
            "since": date(2026, 1, 1).isoformat(),
        } | terms
        answer = await self.client.post("/v1/offers", json=data, headers=self.operator)
        assert answer.status_code == 201, answer.text
        offer_id: str = answer.json()["id"]
        return offer_id

    async def invite(self, venue: dict[str, Any]) -> str:
        answer = await self.client.post(f"/v1/venues/{venue['id']}/scanner-codes", headers=self.operator)
        assert answer.status_code == 201, answer.text
        code: str = answer.json()["code"]
        return code

    async def till(self, venue: dict[str, Any], name: str = "Kasse 1") -> Till:
        till = Till(self.client, self.clock, ec.generate_private_key(ec.SECP256R1()))
        answer = await till.enrol(await self.invite(venue), name)
        assert answer.status_code == 201, answer.text
        return till

    async def phone(
        self,
        bits: int = REDUCED,
        *,
        name: str | None = None,
        person_id: UUID | None = None,
        ends: timedelta = timedelta(days=7),
        on_record: bool = True,
    ) -> Phone:
        device = KeyInHand(ec.generate_private_key(ec.SECP256R1()))
        point = p256.point(device.key.public_key())
        person_id = person_id or uuid4()
        async with self.database.writing() as session:
            signer = await signer_for(session, self.vault, KeyUse.CARD, self.now)
            row = await self._row(
                session, CredentialKind.CARD, bits, person_id=person_id, ends=ends, name=name
            )
            row.holder_point, row.key_id = point, signer.kid.hex()
            place = CardId(row.status_list, row.status_index)
            card = sign_card(
                Card(signer.kid, int(row.expires_at.timestamp()), bits, place, point, name), signer
            )
            if on_record:
                row.card_hash = sha256(card).digest()
            session.add(row)
        return Phone(self.settings.code_host, card, place, device, person_id)

    async def paper(
        self, bits: int = REDUCED, *, name: str = "MUSTER<<ERIKA", person_id: UUID | None = None
    ) -> Paper:
        person_id = person_id or uuid4()
        async with self.database.writing() as session:
            signer = await signer_for(session, self.vault, KeyUse.PRINTED, self.now)
            row = await self._row(
                session, CredentialKind.PRINTED, bits, person_id=person_id, ends=timedelta(days=90), name=name
            )
            row.key_id = signer.kid.hex()
            place = CardId(row.status_list, row.status_index)
            card = sign_printed(
                PrintedCard(signer.kid, int(row.expires_at.timestamp()), bits, place, name), signer
            )
            row.card_hash = sha256(card).digest()
            session.add(row)
        return Paper(self.settings.code_host, card, place, person_id)

    async def _row(
        self,
        session: Any,
        kind: CredentialKind,
        bits: int,
        *,
        person_id: UUID,
        ends: timedelta,
        name: str | None,
    ) -> Credential:
        if await session.get(Holder, person_id) is None:
            session.add(Holder(person_id=person_id, touched_at=self.now))
            await session.flush()
        lists = ListKind.CARD if kind is CredentialKind.CARD else ListKind.PRINTED
        [(number, index)] = await allocate(
            session, lists, 1, until=self.now + ends, settings=self.settings, now=self.now
        )
        return Credential(
            person_id=person_id,
            kind=kind,
            key_id="",
            status_list=number,
            status_index=index,
            tariff_bits=bits,
            named=name is not None,
            issued_at=self.now,
            expires_at=self.now + ends,
        )

    async def run_jobs(self) -> None:
        """Does what is due, on connections of this event loop: the application under test has one of its own."""
        jobs = handlers(self.settings, self.vault)
        await Worker(self.database, jobs, self.clock, recurring(self.settings)).run_due()

    async def revoke(self, card: Phone | Paper, status: Status = Status.INVALID) -> None:
        async with self.database.writing() as session:
            place = (card.place.status_list, card.place.index)
            await set_status(session, [place], status, now=self.now)


async def make_city(
    client: Client, database: Database, vault: Vault, settings: Settings, clock: FixedClock
) -> City:
    """A city whose authority has its keys, with an operator who is signed in."""
    async with database.writing() as session:
        await ensure_authority(session, vault, settings, clock.now())
        await publish(session, vault, settings, clock.now())
        for bit, name in enumerate(("reduced", "reduced_youth")):
            session.add(TariffRow(name=name, bit=bit, names={"de": name}))
    operator = await sign_in(database, vault, clock.now(), Role.OPERATOR)
    return City(client, database, vault, settings, clock, operator)
