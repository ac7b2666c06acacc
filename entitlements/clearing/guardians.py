"""Lets somebody act for a child, and not a day longer than the child is one."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller
from core.errors import Unprocessable
from entitlements.facts.service import subjects
from entitlements.language.days import is_under, reaches
from entitlements.people.models import Guardianship
from entitlements.people.service import make_guardian, roots

OF_AGE = 18
"""Years after which nobody acts for somebody because of their age (§ 2 BGB)."""


class OfAge(Unprocessable):
    """The child would be of age on the last day."""

    slug, title = "of-age", "For a child, this ends the day before the 18th birthday at the latest"


async def make(
    session: AsyncSession,
    caller: Caller,
    guardian_id: UUID,
    child_id: UUID,
    *,
    since: date,
    until: date,
    today: date,
    now: datetime,
) -> Guardianship:
    """From a day and until a day, the guardian may act for the child. OfAge where that day is beyond childhood.

    Whoever is of age already has a guardian by a court's word, on whatever day that ends; of a birth date known in
    part, the last possible day counts.
    """
    await check(session, child_id, since=since, until=until, today=today)
    return await make_guardian(session, caller, guardian_id, child_id, since=since, until=until, now=now)


async def check(session: AsyncSession, child_id: UUID, *, since: date, until: date, today: date) -> None:
    """Whether somebody may act for the child from a day and until a day, whoever that is."""
    if until < since:
        raise Unprocessable("the guardianship would end before it begins")
    born = await _born(session, child_id, today)
    if born is not None and is_under(born, OF_AGE, today) and until >= reaches(born, OF_AGE):
        raise OfAge


async def _born(session: AsyncSession, child_id: UUID, today: date) -> date | None:
    child = (await roots(session, [child_id])).get(child_id)
    if child is None:
        return None
    subject = (await subjects(session, [child], today)).get(child)
    stated = subject.facts.get("birth_date_latest") if subject is not None else None
    return stated.value if stated is not None and isinstance(stated.value, date) else None
