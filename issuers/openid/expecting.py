"""Whether a credential that cannot be made now may be possible later: unknown is an answer, and not a no."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from entitlements.decisions.service import standing_decisions
from entitlements.people import service as people
from entitlements.rulebook.programmes import Outcome

_OPEN = frozenset({Outcome.UNDETERMINED, Outcome.REFER})


async def is_expected(session: AsyncSession, person_id: UUID, programme: str | None) -> bool:
    """Whether a decision about this programme, or about any, waits for a fact or for a case worker."""
    for alias in await people.aliases(session, [person_id]):
        decisions = await standing_decisions(session, alias)
        if any(
            decision.outcome in _OPEN and programme in {None, slug} for slug, decision in decisions.items()
        ):
            return True
    return False
