"""Write an entry, seal the chain, verify it."""

from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from core.access.rules import Caller
from core.audit.models import Entry


def note(
    session: AsyncSession,
    caller: Caller | None,
    action: str,
    subject: str | tuple[str, UUID] = "",
    *,
    now: datetime,
    **details: str | int | bool | None,
) -> None:
    """Writes down what is being done, in the caller's transaction: it stands if and only if the act does.

    `details` are codes, ids and counts; a personal value has no place in the trail.
    """
    session.add(
        Entry(
            at=now,
            principal_id=caller.principal_id if caller else None,
            acting_for=caller.acting_for if caller else None,
            channel=caller.channel.value if caller else "",
            action=action,
            subject=subject if isinstance(subject, str) else f"{subject[0]}:{subject[1]}",
            details=details,
        )
    )
