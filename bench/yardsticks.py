"""What the check is held against: a bare route, the same judgement without a database, and the obvious way."""

import uuid
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from litestar import Litestar, Request, post
from litestar.exceptions import NotAuthorizedException
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import jose, p256
from core.access.models import Principal, PrincipalKey
from core.access.signatures import Message, check_signature, read_signature
from core.clock import day_of
from core.database import Database
from core.languages import Language
from core.settings import Settings
from core.vault import open_vault
from entitlements.rulebook.service import tariff_bits
from issuers.authorities.models import IssuingKey
from issuers.credentials.card import CardId
from issuers.credentials.models import Credential
from issuers.status.models import Place as StatusPlace
from issuers.status.service import StatusMemory
from verifiers.checks.models import Counted, ReplayMark, VisitCount
from verifiers.checks.places import Surroundings
from verifiers.checks.receipts import LIFE, Receipt, Receipts
from verifiers.checks.routes import answer
from verifiers.checks.rules import Outcome, judge
from verifiers.checks.schemas import CheckView, NewCheck, OfferShown
from verifiers.checks.service import Verdict, hour_of
from verifiers.offers.models import Offer
from verifiers.scanners.models import Scanner
from verifiers.venues.models import Venue
from wallet.codes import base41


def bare(_settings: Settings) -> Litestar:
    """A POST that reads its body and answers JSON: what the framework costs."""

    @post("/v1/checks", status_code=200)
    async def check(data: JSONBody[NewCheck]) -> dict[str, object]:
        return {"outcome": "accepted", "length": len(data.code)}

    return Litestar([check], openapi_config=None)


def no_database(settings: Settings) -> Litestar:
    """The same proofs, the same judgement, the same answer; nothing is asked of a database, nothing is kept."""
    vault = open_vault(settings)
    around = Surroundings(settings, StatusMemory())
    receipts = Receipts(vault)
    keys: dict[str, tuple[uuid.UUID, ec.EllipticCurvePublicKey]] = {}

    async def load(_app: Litestar) -> None:
        now = datetime.now(UTC)
        database = Database(settings.database_url)
        async with database.reading() as session:
            await around.follow(session, now, day_of(now, settings.zone))
            for key in (await session.execute(select(PrincipalKey))).scalars():
                keys[key.thumbprint] = key.principal_id, jose.read_jwk(key.jwk).public
        await database.dispose()

    @post("/v1/checks", status_code=200)
    async def check(data: JSONBody[NewCheck], request: Request) -> bytes:
        now = datetime.now(UTC)
        principal_id, _ = await proven(request, lambda key_id: keys[key_id], now)
        post_ = around.posts[principal_id]
        judgement = judge(
            data.code,
            host=settings.code_host,
            trust=around.trust,
            status=around.statuses,
            now=now,
            floor=around.trust.issued_at,
            place=post_.place,
            offers=post_.offers,
            recognise=lambda _digest: True,
        )
        # The memory of status lists is good for a minute; nothing changes here, so it is taken as fresh.
        receipt = (
            receipts.write(
                Receipt(
                    judgement.card,
                    judgement.tariff_bits,
                    post_.place.venue,
                    principal_id,
                    bytes(16),
                    now + LIFE,
                )
            )
            if judgement.outcome is Outcome.ACCEPTED
            else None
        )
        return answer(Verdict(judgement, post_, receipt), Language.DE, now)

    return Litestar([check], on_startup=[load], openapi_config=None)


def plain(settings: Settings) -> Litestar:
    """The obvious way, well meant: one session a request, rows by the ORM, both signatures checked each time."""
    engine = create_async_engine(settings.database_url, pool_size=20, max_overflow=20)
    receipts = Receipts(open_vault(settings))

    @post("/v1/checks", status_code=200)
    async def check(data: JSONBody[NewCheck], request: Request) -> CheckView:
        now = datetime.now(UTC)
        async with AsyncSession(engine, expire_on_commit=False) as session:

            async def key_named(key_id: str) -> tuple[uuid.UUID, ec.EllipticCurvePublicKey]:
                row = (
                    await session.exec(select(PrincipalKey).where(PrincipalKey.thumbprint == key_id))
                ).one()
                principal = await session.get(Principal, row.principal_id)
                if row.removed_at is not None or principal is None or principal.disabled_at is not None:
                    raise NotAuthorizedException
                return principal.id, jose.read_jwk(row.jwk).public

            principal_id, _ = await proven(request, key_named, now)
            scanner = (await session.exec(select(Scanner).where(Scanner.principal_id == principal_id))).one()
            venue = await session.get_one(Venue, scanner.venue_id)
            offers = (await session.exec(select(Offer).where(Offer.venue_id == venue.id))).all()
            tariffs = await tariff_bits(session)
            card, at = await read(session, data.code, settings)
            number, index = card[3]
            credential = (
                await session.exec(
                    select(Credential).where(
                        Credential.status_list == number, Credential.status_index == index
                    )
                )
            ).one()
            place = await session.get_one(StatusPlace, (number, index))
            # A row of one's own for each card, locked while it is looked at; the obvious counter likewise.
            name = f"{number}.{index}"
            mark = await session.get(ReplayMark, name, with_for_update=True)
            fresh = mark is None or mark.code_time < at
            if mark is None:
                session.add(ReplayMark(card=name, code_time=at, retry=""))
            elif fresh:
                mark.code_time = at
                session.add(mark)
            applies = [
                offer
                for offer in offers
                if offer.withdrawn_at is None and any(card[2] & tariffs[tariff] for tariff in offer.tariffs)
            ]
            accepted = (
                fresh
                and place.status == 0
                and credential.revoked_at is None
                and card[1] > now.timestamp()
                and abs(now.timestamp() - at) <= 60
                and bool(applies)
            )
            what = Counted.ACCEPTED if accepted else Counted.REFUSED
            key = (venue.number, hour_of(now), what)
            count = await session.get(VisitCount, key, with_for_update=True)
            if count is None:
                session.add(VisitCount(venue=venue.number, hour=hour_of(now), what=what, number=1))
            else:
                count.number += 1
                session.add(count)
            await session.commit()
        return CheckView(
            outcome=Outcome.ACCEPTED if accepted else Outcome.REFUSED,
            reason=None,
            headline="Gültig",
            explanation="",
            offers=[
                OfferShown(
                    id=offer.id,
                    kind=offer.kind,
                    percentage=offer.percentage,
                    price_cents=offer.price_cents,
                    text=offer.texts["de"],
                    needs_name=offer.needs_name,
                    limit_uses=offer.limit_uses,
                    limit_period=offer.limit_period,
                )
                for offer in applies
            ],
            offers_with_name=[],
            name="<" * 23,
            compare_name=False,
            clock_off_by=None,
            time=now,
            receipt=receipts.write(
                Receipt(
                    CardId(number, index),
                    card[2],
                    venue.number,
                    principal_id,
                    uuid.uuid4().bytes,
                    now + timedelta(minutes=5),
                )
            ),
        )

    async def read(session: AsyncSession, text: str, settings: Settings) -> tuple[dict, int]:
        body = base41.decode(text.removeprefix(f"HTTPS://{settings.code_host}/L#"))
        card, proof = cbor2.loads(body)
        header, claims = cbor2.loads(card[0]), cbor2.loads(card[2])
        issuer = (await session.exec(select(IssuingKey).where(IssuingKey.key_id == header[4].hex()))).one()
        verify(p256.from_point(issuer.point), card, b"citycard/card/1")
        card_bytes = cbor2.dumps(card, canonical=True)
        verify(p256.from_point(claims[4]), proof, b"citycard/live/1" + sha256(card_bytes).digest())
        return claims, cbor2.loads(proof[2])[0]

    return Litestar([check], openapi_config=None, on_shutdown=[engine.dispose])


def verify(key: ec.EllipticCurvePublicKey, signed: list, aad: bytes) -> None:
    """A COSE_Sign1 as its specification says it."""
    to_be_signed = cbor2.dumps(["Signature1", signed[0], aad, signed[2]], canonical=True)
    raw = signed[3]
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    try:
        key.verify(der, to_be_signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise NotAuthorizedException from None


async def proven(request: Request, key_named, now: datetime) -> tuple[uuid.UUID, ec.EllipticCurvePublicKey]:
    """Who signed the request: the same proof that the real door asks for."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    claimed = read_signature(headers)
    found = key_named(claimed.key_id)
    principal_id, key = await found if hasattr(found, "__await__") else found
    message = Message(
        request.method,
        request.scope["path"],
        idempotency_key=headers.get("idempotency-key"),
        body=await request.body(),
    )
    check_signature(claimed, message, key, digest=headers.get("content-digest"), now=now)
    return principal_id, key
