"""Hands what an attestation states over to the city, as the delivery of a register of its own kind."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core import jose
from core.access.rules import Caller, Method, PrincipalKind, Role
from core.database import Database
from core.settings import Settings
from core.vault import Vault
from entitlements.deliveries.models import Delivery, Mode, State
from entitlements.deliveries.receiving import Announced, Media
from entitlements.deliveries.rules import Result
from entitlements.deliveries.service import deliver
from entitlements.registers import service as registers
from entitlements.registers.models import LinkMade, Register
from entitlements.registers.rules import Remit
from verifiers.presentations.attestations import Attestation, Fact, attestations

TAKEN = frozenset({Result.ACCEPTED.value, Result.UNCHANGED.value, Result.SUPERSEDED.value})


async def deliver_facts(
    database: Database,
    vault: Vault,
    settings: Settings,
    attestation: Attestation,
    *,
    person_id: UUID,
    name: str,
    facts: Sequence[Fact],
    now: datetime,
) -> bool:
    """Whether all of it was taken; the person is judged anew before this returns.

    It goes the way of every fact: a register with a remit, a delivery with a name, a result per row. The register
    never hands over a list, so its silence says nothing of anybody.
    """
    number = person_id.hex

    async def prepare(session: AsyncSession) -> Register:
        register = await _register(session, settings, attestation, now)
        link = {registers.number_hash(vault, register.id, number): (person_id, number, LinkMade.LIKENESS)}
        await registers.link(session, vault, register.id, link, now)
        return register

    register = await database.in_transaction(prepare)
    lines = b"".join(msgspec.json.encode(fact.row(number)) + b"\n" for fact in facts)

    async def body() -> AsyncIterator[bytes]:
        yield lines

    received = await deliver(
        database,
        vault,
        settings,
        _speaker(register),
        announced=Announced(name, Mode.CHANGES, now, len(facts), Media.NDJSON),
        body=body(),
        now=now,
    )
    async with database.reading() as session:
        delivery = await session.get_one(Delivery, received.delivery_id)
    return delivery.state is State.APPLIED and delivery.tally.keys() <= TAKEN


def _speaker(register: Register) -> Caller:
    return Caller(
        register.principal_id, PrincipalKind.REGISTER, frozenset({Role.INTEGRATION_CLIENT}), Method.SYSTEM
    )


async def _register(
    session: AsyncSession, settings: Settings, attestation: Attestation, now: datetime
) -> Register:
    """The register that this kind of attestation comes in by; made when the first one is shown."""
    known = attestations(settings.city).values()
    stated = frozenset(
        one.fact for each in known if each.register == attestation.register for one in each.facts
    )
    remit = Remit(facts=stated, one_by_one=True)
    found = await session.execute(
        select(Register)
        .where(col(Register.kind) == attestation.register)
        .order_by(col(Register.created_at), col(Register.id))
        .limit(1)
    )
    register: Register | None = found.scalar_one_or_none()
    if register is None:
        # Nobody signs in as this register: the private half of its key is forgotten at once.
        public = ec.generate_private_key(ec.SECP256R1()).public_key()
        return await registers.enrol_register(
            session,
            None,
            public_jwk=jose.jwk(public),
            kind=attestation.register,
            name=attestation.labels["de"],
            remit=remit,
            now=now,
        )
    if Remit.of(register.remit) != remit:
        register.remit = remit.kept()
        session.add(register)
        await session.flush()
    return register
