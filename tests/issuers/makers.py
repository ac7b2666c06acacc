"""Makes people who hold something: real programmes, granted on real terms."""

from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy.ext.asyncio import AsyncSession

from app.handlers import handlers
from core import jose, p256
from core.clock import FixedClock
from core.database import Database
from core.jobs.service import Worker
from core.p256 import kid_of, sign
from core.settings import Settings
from core.vault import Vault
from entitlements.grants import service as grants
from entitlements.grants.changes import Changes
from entitlements.grants.models import EndReason, Entitlement
from entitlements.grants.rules import Terms
from entitlements.people import service as people
from entitlements.people.rules import PersonIdentity
from tests import rulebooks


async def make_person(
    session: AsyncSession, vault: Vault, now: datetime, *, given: str = "", family: str = ""
) -> UUID:
    person = await people.make_person(session, now)
    if family:
        identity = PersonIdentity(given_name=given, family_name=family)
        await people.keep_identity(session, vault, person.id, identity, stated_at=now, now=now)
    return person.id


async def hold(
    session: AsyncSession,
    settings: Settings,
    person_id: UUID,
    now: datetime,
    *,
    tariffs: tuple[str, ...] = ("reduced",),
    programme: str = "dortmund-karte",
    until: date | None = None,
    changes_on: date | None = None,
) -> Entitlement:
    await rulebooks.load(session, now)
    terms = Terms(
        decision_id=uuid4(),
        ground="sgb2",
        payer=None,
        tariffs=tariffs,
        until=until,
        changes_on=changes_on,
        renewable=False,
    )
    changes = Changes(now, settings)
    entitlement = changes.grant(person_id, programme, terms)
    await changes.write(session)
    return entitlement


async def lose(session: AsyncSession, settings: Settings, entitlement: Entitlement, now: datetime) -> None:
    """Takes the entitlement away at once."""
    await grants.revoke(session, entitlement.id, EndReason.ERROR, caller=None, now=now, settings=settings)


async def run_jobs(database: Database, settings: Settings, vault: Vault, clock: FixedClock) -> None:
    """Does what is due, as the worker does."""
    await Worker(database, handlers(settings, vault), clock).run_due()


@dataclass
class PhoneKey:
    """A key as a phone makes one."""

    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def kid(self) -> bytes:
        return kid_of(self.private.public_key())

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self.private.public_key()

    @property
    def point(self) -> bytes:
        return p256.point(self.public_key)

    @property
    def jwk(self) -> dict[str, str]:
        return jose.jwk(self.public_key)

    @property
    def thumbprint(self) -> str:
        return jose.thumbprint(self.public_key)

    def sign(self, data: bytes, /) -> bytes:
        return sign(self.private, data)

    def jws(self, typ: str, **claims: object) -> str:
        return jose.sign(self, claims, typ=typ)
