"""Joins what two persons hold when they turn out to be one, and gives each their own back when they do not.

Nothing is lost and nothing doubled: an entitlement that both hold goes on once, in its better standing; money stays
on the account on which it is, with its last day; a month that was credited to both is credited once, and the second
goes back to its payer as far as nothing was spent of it. Of every row that changes, what it was is written down.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.bulk import table_of
from entitlements.allowances.models import Approval, ApprovalState, CreditedMonth, LumpSum
from entitlements.grants.changes import tell
from entitlements.grants.models import EndReason, Entitlement, Standing
from entitlements.grants.service import STANDING, standing_of
from entitlements.ledger import service as ledger
from entitlements.ledger.models import AccountKind, EntryKind
from entitlements.ledger.service import NewEntry, Outcome
from entitlements.people.models import Merge, MergedRow
from entitlements.people.record import Joining, give_back, plain, typed

MONEY = "ledger_entries"
"""Names, among the rows that a merge changed, the money that went back to its payer."""
TRIES = 5
"""How often money is counted anew, where somebody spends it at the same moment."""


async def join(work: Joining) -> None:
    """Puts what the one that goes holds to the one that stays."""
    await _join_entitlements(work)
    await _join_money(work)
    # The cards of the one that went promise what nobody holds any more: they are taken back first.
    await tell(work.session, {(work.act.gone_id, work.now), (work.act.kept_id, work.now)})


async def _join_entitlements(work: Joining) -> None:
    act = work.act
    going, staying = await work.rows(Entitlement, act.gone_id), await work.rows(Entitlement, act.kept_id)
    standing = {row.programme: row for row in staying if row.status in STANDING}
    for row in going:
        other = standing.get(row.programme)
        if row.status in STANDING and other is not None:
            worse = min((row, other), key=_goodness)
            over = {
                "status": Standing.ENDED,
                "end_reason": EndReason.MERGED,
                "ended_at": work.now,
                "changed_at": work.now,
            }
            await work.change(worse, **over)
        await work.change(row, person_id=act.kept_id)


def _goodness(row: Entitlement) -> tuple[bool, date, date]:
    """Of two standing entitlements, which one is worth more: one that does not end, else the one that ends later."""
    ends = row.ends_on or row.until or date.max
    return row.status is Standing.ACTIVE, ends, date.fromordinal(date.max.toordinal() - row.since.toordinal())


async def _join_money(work: Joining) -> None:
    act = work.act
    staying = await work.rows(Approval, act.kept_id)
    active = {row.kind for row in staying if row.state is ApprovalState.ACTIVE}
    for row in staying:
        # What both are known by may carry it further back; undone, it must not credit those months again.
        work.note(act.kept_id, table_of(Approval).name, row.id, {"since": plain(row.since)})
    going = await work.rows(Approval, act.gone_id)
    for row in going:
        if row.state is ApprovalState.ACTIVE and row.kind in active:
            # Its money stays usable as long as was promised; what is still to come, the other one credits.
            await work.change(row, state=ApprovalState.ENDED)
        await work.change(row, person_id=act.kept_id)
    credited = {
        (month.kind, month.month)
        for month in await work.rows(CreditedMonth, act.kept_id)
        if month.moved_at is None
    }
    twice: dict[UUID, int] = {}
    for month in await work.rows(CreditedMonth, act.gone_id):
        if month.moved_at is None and (month.kind, month.month) in credited:
            twice[month.approval_id] = twice.get(month.approval_id, 0) + month.cents
            await work.change(month, moved_at=work.now)
        await work.change(month, person_id=act.kept_id)
    due = {(row.kind, row.due) for row in await work.rows(LumpSum, act.kept_id)}
    for row in await work.rows(LumpSum, act.gone_id):
        if (row.kind, row.due) not in due:
            await work.change(row, person_id=act.kept_id)
    for row in going:
        if row.id in twice:
            await _give_back(work, row, twice[row.id])


async def _give_back(work: Joining, approval: Approval, twice: int) -> None:
    """Gives back to the payer what was credited twice, as far as it still stands there."""
    payer = await ledger.account(work.session, AccountKind.BUDGET, approval.payer, now=work.now)
    for _ in range(TRIES):
        cents = min(twice, await ledger.balance(work.session, approval.account_id))
        if cents == 0:
            return
        key = f"twice:{work.act.id}:{approval.id}"
        postings = {approval.account_id: -cents, payer: cents}
        booked = await ledger.book(
            work.session, NewEntry(key=key, kind=EntryKind.TWICE, postings=postings), now=work.now
        )
        if booked is not Outcome.SHORT:
            said = {"account": str(approval.account_id), "payer": str(payer), "cents": cents}
            work.note(work.act.gone_id, MONEY, approval.id, said)
            return


async def part(session: AsyncSession, act: Merge, record: Iterable[MergedRow], now: datetime) -> None:
    """Gives each of the two their own back, from the record of the merge, the last change first."""
    for row in record:
        if row.table == MONEY:
            await _take_again(session, act, row, now)
            continue
        model = _BY_TABLE.get(row.table)
        if model is None or row.row_id is None:
            continue
        was = typed(table_of(model), row.was)
        stands = await session.get(model, row.row_id, populate_existing=True)
        if stands is None or not await _may_return(session, stands, was):
            continue
        await give_back(session, stands, was)
    await tell(session, {(act.gone_id, now), (act.kept_id, now)})


async def _may_return(session: AsyncSession, stands: Any, was: dict[str, Any]) -> bool:
    """Whether a row is still as the merge left it; what has ended or lapsed since in its own way stays so."""
    if isinstance(stands, Entitlement) and "status" in was:
        held = await standing_of(session, [stands.person_id])
        return stands.end_reason is EndReason.MERGED and (stands.person_id, stands.programme) not in held
    if isinstance(stands, Approval) and "state" in was:
        return stands.state is ApprovalState.ENDED
    return True


async def _take_again(session: AsyncSession, act: Merge, row: MergedRow, now: datetime) -> None:
    account, payer, cents = UUID(row.was["account"]), UUID(row.was["payer"]), int(row.was["cents"])
    entry = NewEntry(
        key=f"twice:{act.id}:{row.row_id}:undone",
        kind=EntryKind.TWICE,
        postings={account: cents, payer: -cents},
    )
    await ledger.book(session, entry, now=now)


_BY_TABLE: dict[str, type[Any]] = {
    table_of(model).name: model for model in (Entitlement, Approval, CreditedMonth, LumpSum)
}
