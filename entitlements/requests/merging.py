"""Joins the requests of two persons who turn out to be one, and parts them again.

A request that was made stays made. An offer that nobody has answered goes: the assessment after the merge makes
the right one anew.
"""

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncSession

from core.bulk import table_of
from entitlements.people.models import MergedRow
from entitlements.people.record import Joining, give_back, typed
from entitlements.requests.models import BenefitRequest, RequestState
from entitlements.requests.service import drop_offers


async def join(work: Joining) -> None:
    """Puts the requests of the one that goes to the one that stays."""
    going = await work.rows(BenefitRequest, work.act.gone_id)
    staying = await work.rows(BenefitRequest, work.act.kept_id)
    made = {row.programme for row in going if row.state is RequestState.ACCEPTED}
    waiting = (RequestState.PREPARED, RequestState.OPEN)
    stale = [row for row in going if row.state in waiting]
    stale += [row for row in staying if row.state in waiting and row.programme in made]
    await drop_offers(work.session, [(row.id, row.notice_id) for row in stale], work.now)
    made_by_both = {row.programme for row in staying if row.state is RequestState.ACCEPTED} & made
    for row in going:
        if row in stale:
            continue
        if row.state is RequestState.ACCEPTED and row.programme in made_by_both:
            await work.change(row, state=RequestState.CLOSED)
        await work.change(row, person_id=work.act.kept_id)


async def part(session: AsyncSession, record: Iterable[MergedRow]) -> None:
    """Gives each of the two their own requests back."""
    table = table_of(BenefitRequest)
    for row in record:
        if row.table == table.name and row.row_id is not None:
            stands = await session.get(BenefitRequest, row.row_id, populate_existing=True)
            if stands is not None:
                await give_back(session, stands, typed(table, row.was))
