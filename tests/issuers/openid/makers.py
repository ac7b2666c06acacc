"""Makes what people hold, and somebody about whom the city does not know enough yet."""

from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.settings import Settings
from entitlements.decisions.models import Decision, Verdict
from entitlements.grants import service as grants
from entitlements.grants.changes import Changes
from entitlements.grants.models import EndReason, Entitlement
from entitlements.grants.rules import Terms
from entitlements.rulebook.models import RuleVersionRow
from entitlements.rulebook.programmes import Outcome


async def give(
    session: AsyncSession,
    settings: Settings,
    person_id: UUID,
    now: datetime,
    *,
    programme: str = "dortmund-karte",
    tariffs: tuple[str, ...] = ("reduced",),
    until: date | None = None,
) -> None:
    """Grants a programme whose rules are loaded already."""
    terms = Terms(
        decision_id=uuid4(),
        ground="sgb2",
        payer=None,
        tariffs=tariffs,
        until=until,
        changes_on=None,
        renewable=False,
    )
    changes = Changes(now, settings)
    changes.grant(person_id, programme, terms)
    await changes.write(session)


async def take(session: AsyncSession, settings: Settings, person_id: UUID, now: datetime) -> None:
    """Takes away at once what a person holds."""
    found = await session.execute(select(Entitlement).where(col(Entitlement.person_id) == person_id))
    for held in found.scalars().all():
        await grants.revoke(session, held.id, EndReason.ERROR, caller=None, now=now, settings=settings)


async def waiting_person(city: Any, programme: str = "dortmund-karte") -> UUID:
    """A person whose decision about this programme waits for a fact."""
    now, person_id = city.clock.now(), await city.newcomer()
    async with city.database.writing() as session:
        found = await session.execute(
            select(RuleVersionRow).where(col(RuleVersionRow.programme) == programme)
        )
        version = found.scalars().first()
        assert version is not None
        decision = Decision(
            person_id=person_id,
            programme=programme,
            rule_hash=version.rule_hash,
            parameter_hash="0" * 64,
            facts_hash="0" * 64,
            day=now.date(),
            decided_at=now,
            cause="test",
            outcome=Outcome.UNDETERMINED,
        )
        session.add(decision)
        await session.flush()
        session.add(
            Verdict(
                person_id=person_id,
                programme=programme,
                decision_id=decision.id,
                digest="0" * 64,
                outcome=Outcome.UNDETERMINED,
            )
        )
    return UUID(str(person_id))
