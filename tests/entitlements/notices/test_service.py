from datetime import date, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.jobs.models import Job
from core.settings import Settings
from entitlements.notices import service
from entitlements.notices.rules import Mismatched
from entitlements.people.service import make_person
from tests import rulebooks
from tests.conftest import NOON

ENDING = {"programme": "dortmund-karte", "ends_on": date(2026, 10, 4)}


async def test_a_notice_is_owed_in_the_same_transaction_as_its_delivery(session: AsyncSession) -> None:
    person = await make_person(session, NOON)
    notice = await service.owe(session, person.id, "entitlement.ending", ENDING, now=NOON)
    assert notice.params == {"programme": "dortmund-karte", "ends_on": "2026-10-04"}
    job = (await session.execute(select(Job).where(col(Job.kind) == "notice.deliver"))).scalar_one()
    assert (job.payload, job.run_at) == ({"notice_id": str(notice.id)}, NOON)


async def test_a_notice_counts_as_received_on_the_fourth_day(
    session: AsyncSession, settings: Settings
) -> None:
    person = await make_person(session, NOON)
    notice = await service.owe(session, person.id, "entitlement.ending", ENDING, now=NOON)
    await service.sent(session, notice, now=NOON, settings=settings)
    assert notice.deemed_received_on == date(2026, 9, 20)
    # Sent is sent: a second try of the job changes nothing.
    await service.sent(session, notice, now=NOON + timedelta(days=3), settings=settings)
    assert (notice.sent_at, notice.deemed_received_on) == (NOON, date(2026, 9, 20))


async def test_a_notice_without_what_its_text_names_is_not_owed(session: AsyncSession) -> None:
    person = await make_person(session, NOON)
    with pytest.raises(Mismatched):
        await service.owe(session, person.id, "entitlement.ending", {"programme": "x"}, now=NOON)
    assert (await session.execute(select(Job).where(col(Job.kind) == "notice.deliver"))).first() is None


async def test_notices_read_in_the_language_of_the_reader(session: AsyncSession) -> None:
    await rulebooks.load(session, NOON)
    person = await make_person(session, NOON)
    notice = await service.owe(session, person.id, "entitlement.ending", ENDING, now=NOON)
    lapsing = await service.owe(
        session,
        person.id,
        "allowance.lapsing",
        {"allowance": "participation", "cents": 4500, "usable_until": date(2026, 12, 31)},
        now=NOON,
    )
    said = await service.texts_of(session, [notice, lapsing], "en")
    assert said[notice.id].title == "Dortmund Card ends on 4 October 2026"
    assert said[lapsing.id].title == "Social and cultural participation: 45.00 euros left"
