"""Feed allowances from decisions: approve, credit months, split by payer, end, lapse.

What was credited counts as rendered (§ 29(2) SGB II) and is never taken back: a fact that ends early stops
what is still to come. The month belongs to the ground that holds on its first day; when the ground changes,
months that the new payer owes pass over as far as nothing was spent of them.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.database import new_id
from entitlements.allowances.models import (
    Accrual,
    Approval,
    ApprovalState,
    CarryOver,
    CreditedMonth,
    LumpSum,
    Terms,
)
from entitlements.allowances.rules import day_before, last_day, months, period
from entitlements.language.days import add_months, month_start, next_day
from entitlements.ledger import service as ledger
from entitlements.ledger.models import AccountKind, EntryKind
from entitlements.ledger.service import NewEntry, Outcome, in_chunks
from entitlements.rulebook.rules import AllowanceGrant, AmountDue, grace_end

CITY = "city"
"""Who pays where a rulebook names nobody."""


@dataclass(frozen=True, slots=True)
class Feed:
    """What one person's decision about one programme brings in money; nothing, where it was refused."""

    person_id: UUID
    programme: str
    decision_id: UUID
    ground: str | None = None
    payer: str | None = None
    grants: tuple[AllowanceGrant, ...] = ()
    amounts: tuple[AmountDue, ...] = ()


@dataclass(frozen=True, slots=True)
class Pot:
    """One approval as its owner sees it: what stands there, what is still to come, and until when it can be used."""

    approval: Approval
    balance_cents: int
    coming: tuple[date, ...]
    """The months that will be credited, by their first day."""


Key = tuple[UUID, str]


def brings_something(grant: AllowanceGrant) -> bool:
    """Whether there is anything to approve: cents each month, or costs that may arise."""
    return grant.monthly_cents > 0 if grant.terms == "monthly" else grant.ceiling_cents != 0


async def feed(
    session: AsyncSession, feeds: Sequence[Feed], *, on: date, now: datetime
) -> dict[tuple[UUID, str], date]:
    """Makes the approvals of these persons what their decisions say, and credits the months that are due.

    Gives, by person and programme, the next day on which an approval year ends and a new one is due.
    """
    await _record_amounts(session, feeds, now)
    standing = await _approvals(session, {f.person_id for f in feeds})
    look: dict[Key, date] = {}
    credit: list[Approval] = []
    fresh: list[Approval] = []
    for one in feeds:
        wanted = {grant.kind: grant for grant in one.grants if brings_something(grant)}
        for approval in standing[one.person_id]:
            gone = approval.programme == one.programme and approval.kind not in wanted
            if gone and approval.state is ApprovalState.ACTIVE:
                _close(approval, day_before(on))
        for grant in wanted.values():
            going = await _continued(session, one, grant, standing[one.person_id], on=on, now=now)
            if going is None:
                going = _new(one, grant, on, now)
                fresh.append(going)
            credit.append(going)
            if grant.until is None or going.until < grant.until:
                key = (one.person_id, one.programme)
                look[key] = min(look.get(key, date.max), next_day(going.until))
    await session.flush()
    await _open(session, fresh, now)
    for approval in fresh:
        await _carry_over(session, approval, standing[approval.person_id], now)
    await _credit(session, credit, on, now)
    return look


async def recorded(
    session: AsyncSession, person_ids: Iterable[UUID], *, since: date
) -> set[tuple[UUID, str, date]]:
    """The lump sums of these persons that became due since a day: person, kind, day."""
    found: set[tuple[UUID, str, date]] = set()
    for some in in_chunks(sorted(set(person_ids))):
        rows = await session.execute(
            select(col(LumpSum.person_id), col(LumpSum.kind), col(LumpSum.due)).where(
                col(LumpSum.person_id).in_(some), col(LumpSum.due) >= since
            )
        )
        found |= {(person_id, kind, due) for person_id, kind, due in rows}
    return found


async def stop(session: AsyncSession, person_id: UUID, programme: str, *, on: date) -> None:
    """Ends what a programme brings a person in money, because the entitlement was revoked."""
    for approval in (await _approvals(session, {person_id}))[person_id]:
        if approval.programme == programme and approval.state is ApprovalState.ACTIVE:
            _close(approval, day_before(on))
    await session.flush()


async def _approvals(session: AsyncSession, person_ids: Iterable[UUID]) -> dict[UUID, list[Approval]]:
    """Each person's approvals that still have an account in use, the oldest first, locked."""
    found: dict[UUID, list[Approval]] = defaultdict(list)
    for some in in_chunks(sorted(person_ids)):
        rows = await session.execute(
            select(Approval)
            .where(col(Approval.person_id).in_(some), col(Approval.state) != ApprovalState.LAPSED)
            .order_by(col(Approval.person_id), col(Approval.since), col(Approval.id))
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        for approval in rows.scalars():
            found[approval.person_id].append(approval)
    return found


async def _continued(
    session: AsyncSession,
    one: Feed,
    grant: AllowanceGrant,
    mine: Sequence[Approval],
    *,
    on: date,
    now: datetime,
) -> Approval | None:
    """The approval that carries this grant on: the one that stands, or an ended one taken up again."""
    payer, days = one.payer or CITY, period(grant.since or on, grant.until, on)
    same_kind = [a for a in mine if a.kind == grant.kind]
    active = next((a for a in same_kind if a.state is ApprovalState.ACTIVE), None)
    if active is not None and (active.ground, active.payer) != (one.ground, payer):
        # Closed first, and the months that the new payer owes handed over, before the new one credits them.
        changed_on = grant.since or on
        _close(active, day_before(changed_on))
        await session.flush()
        await _hand_over(session, active, changed_on, now)
        active = None
    elif active is not None and on > last_day(active.since, None):
        _close(active, last_day(active.since, None))
        await session.flush()
        active = None
    if active is None:
        # A fact that came back carries on where it left off, as if it had never been away.
        active = next(
            (
                a
                for a in reversed(same_kind)
                if a.state is ApprovalState.ENDED
                and (a.ground, a.payer) == (one.ground, payer)
                and a.since <= days.since <= next_day(a.until)
                and on <= last_day(a.since, None)
            ),
            None,
        )
    if active is None:
        return None
    active.since = min(active.since, days.since)
    active.until = max(active.since, last_day(active.since, grant.until))
    active.usable_until = grace_end(active.until, grant.grace)
    active.terms, active.monthly_cents, active.grace = Terms(grant.terms), grant.monthly_cents, grant.grace
    active.unit_ceiling_cents, active.ceiling_cents = grant.unit_ceiling_cents, grant.ceiling_cents
    active.accrual, active.carry_over = Accrual(grant.accrual), CarryOver(grant.carry_over)
    active.state, active.notice_id, active.decision_id = ApprovalState.ACTIVE, None, one.decision_id
    return active


def _new(one: Feed, grant: AllowanceGrant, on: date, now: datetime) -> Approval:
    days = period(grant.since or on, grant.until, on)
    return Approval(
        id=new_id(),
        person_id=one.person_id,
        programme=one.programme,
        kind=grant.kind,
        ground=one.ground,
        payer=one.payer or CITY,
        terms=Terms(grant.terms),
        monthly_cents=grant.monthly_cents,
        unit_ceiling_cents=grant.unit_ceiling_cents,
        ceiling_cents=grant.ceiling_cents,
        accrual=Accrual(grant.accrual),
        carry_over=CarryOver(grant.carry_over),
        grace=grant.grace,
        since=days.since,
        until=days.until,
        usable_until=grace_end(days.until, grant.grace),
        account_id=new_id(),
        decision_id=one.decision_id,
        approved_at=now,
    )


async def _open(session: AsyncSession, fresh: Sequence[Approval], now: datetime) -> None:
    """Opens an account for each new approval: one for each child, kind and approval, never one pot."""
    opened = await ledger.accounts(session, AccountKind.ALLOWANCE, [str(a.id) for a in fresh], now=now)
    for approval in fresh:
        approval.account_id = opened[str(approval.id)]
    session.add_all(fresh)
    await session.flush()


def _close(approval: Approval, last: date) -> None:
    """Nothing is credited after this day; what stands there can still be used for the time of grace."""
    approval.until = max(approval.since, min(approval.until, last))
    approval.usable_until = grace_end(approval.until, approval.grace)
    approval.state = ApprovalState.ENDED


async def _credit(session: AsyncSession, approvals: Sequence[Approval], on: date, now: datetime) -> None:
    """Credits the months that are due and that nobody was credited yet: each once, whatever the ground."""
    due = {
        (a.person_id, a.kind, month): a
        for a in approvals
        if a.terms is Terms.MONTHLY
        for month in months(a.since, a.until)
        if a.accrual is Accrual.UPFRONT or month <= on
    }
    await _leave_out_credited(session, due)
    credited = [
        CreditedMonth(
            id=new_id(),
            approval_id=a.id,
            person_id=a.person_id,
            kind=a.kind,
            month=month,
            cents=a.monthly_cents,
            credited_at=now,
        )
        for (_, _, month), a in sorted(due.items(), key=lambda item: item[0])
    ]
    add = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    taken: set[UUID] = set()
    for some in in_chunks(credited):
        rows = add(CreditedMonth).values([month.model_dump() for month in some])
        fresh = await session.execute(rows.on_conflict_do_nothing().returning(col(CreditedMonth.id)))
        taken |= set(fresh.scalars())
    booked = [month for month in credited if month.id in taken]
    payers = await _payers(session, approvals, now)
    by_id = {a.id: a for a in approvals}
    await ledger.book_all(
        session,
        [
            NewEntry(
                key=f"accrual:{month.id}",
                kind=EntryKind.ACCRUAL,
                postings={
                    by_id[month.approval_id].account_id: month.cents,
                    payers[by_id[month.approval_id].payer]: -month.cents,
                },
                service_month=month.month,
            )
            for month in booked
        ],
        now=now,
    )
    for month in booked:
        approval = by_id[month.approval_id]
        approval.credited_through = max(approval.credited_through or month.month, month.month)
    await session.flush()
    for approval in {month.approval_id: by_id[month.approval_id] for month in booked}.values():
        if approval.carry_over is CarryOver.NONE and approval.accrual is Accrual.MONTHLY:
            await _lapse_older_months(session, approval, payers[approval.payer], now)


async def _leave_out_credited(session: AsyncSession, due: dict[tuple[UUID, str, date], Approval]) -> None:
    """Drops the months that are credited already; the constraint would, this spares it the work."""
    for some in in_chunks(sorted({person_id for person_id, _, _ in due})):
        rows = await session.execute(
            select(col(CreditedMonth.person_id), col(CreditedMonth.kind), col(CreditedMonth.month)).where(
                col(CreditedMonth.person_id).in_(some), col(CreditedMonth.moved_at).is_(None)
            )
        )
        for person_id, kind, month in rows:
            due.pop((person_id, kind, month), None)


async def _payers(session: AsyncSession, approvals: Iterable[Approval], now: datetime) -> dict[str, UUID]:
    return await ledger.accounts(session, AccountKind.BUDGET, {a.payer for a in approvals}, now=now)


async def _lapse_older_months(session: AsyncSession, approval: Approval, payer: UUID, now: datetime) -> None:
    """Where nothing is carried over, no more stands there than the last month brought."""
    over = await ledger.balance(session, approval.account_id) - approval.monthly_cents
    if over > 0 and approval.credited_through is not None:
        entry = NewEntry(
            key=f"lapse:{approval.id}:{approval.credited_through}",
            kind=EntryKind.LAPSE,
            postings={approval.account_id: -over, payer: over},
        )
        await ledger.book(session, entry, now=now)


async def _hand_over(session: AsyncSession, approval: Approval, changed_on: date, now: datetime) -> None:
    """Gives back to the old payer the months that begin under the new ground, as far as nothing was spent."""
    rows = await session.execute(
        select(CreditedMonth)
        .where(
            col(CreditedMonth.approval_id) == approval.id,
            col(CreditedMonth.moved_at).is_(None),
            col(CreditedMonth.month) >= changed_on,
        )
        .order_by(col(CreditedMonth.month).desc())
    )
    left = await ledger.balance(session, approval.account_id)
    payer = (await _payers(session, [approval], now))[approval.payer]
    for month in rows.scalars():
        if left < month.cents:
            break
        entry = NewEntry(
            key=f"transfer:{month.id}",
            kind=EntryKind.TRANSFER,
            postings={approval.account_id: -month.cents, payer: month.cents},
            service_month=month.month,
        )
        if await ledger.book(session, entry, now=now) is Outcome.SHORT:
            break
        month.moved_at = now
        left -= month.cents
    await session.flush()


async def _carry_over(
    session: AsyncSession, approval: Approval, mine: Sequence[Approval], now: datetime
) -> None:
    """Takes what is left of the approval before over to the new one, where the rulebook says so."""
    if approval.carry_over is not CarryOver.TO_NEXT_APPROVAL:
        return
    for before in mine:
        same = (before.kind, before.payer, before.ground) == (approval.kind, approval.payer, approval.ground)
        if not same or before.state is not ApprovalState.ENDED:
            continue
        left = await ledger.balance(session, before.account_id)
        if left > 0:
            entry = NewEntry(
                key=f"carry-over:{before.id}:{approval.id}",
                kind=EntryKind.CARRY_OVER,
                postings={before.account_id: -left, approval.account_id: left},
            )
            await ledger.book(session, entry, now=now)


async def _record_amounts(session: AsyncSession, feeds: Sequence[Feed], now: datetime) -> None:
    rows = [
        {
            "id": new_id(),
            "person_id": one.person_id,
            "programme": one.programme,
            "kind": amount.kind,
            "ground": one.ground,
            "payer": one.payer,
            "cents": amount.cents,
            "due": amount.due,
            "statute": amount.statute,
            "decision_id": one.decision_id,
            "recorded_at": now,
        }
        for one in feeds
        for amount in one.amounts
        if amount.cents > 0
    ]
    add = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    for some in in_chunks(rows):
        await session.execute(add(LumpSum).values(some).on_conflict_do_nothing())


# --- by night -----------------------------------------------------------------------------------------------


async def turn_months(session: AsyncSession, *, on: date, now: datetime) -> None:
    """Credits the month that has begun, and ends the approvals whose last day is over."""
    begun = month_start(on)
    rows = await session.execute(
        select(Approval)
        .where(
            col(Approval.state) == ApprovalState.ACTIVE,
            col(Approval.terms) == Terms.MONTHLY,
            col(Approval.accrual) == Accrual.MONTHLY,
            col(Approval.until) >= begun,
            (col(Approval.credited_through).is_(None)) | (col(Approval.credited_through) < begun),
        )
        .order_by(col(Approval.person_id), col(Approval.id))
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    await _credit(session, list(rows.scalars()), on, now)
    await session.execute(
        update(Approval)
        .where(col(Approval.state) == ApprovalState.ACTIVE, col(Approval.until) < on)
        .values(state=ApprovalState.ENDED)
        .execution_options(synchronize_session=False)
    )


async def ended_by(session: AsyncSession, usable_until: date) -> list[Pot]:
    """The ended approvals whose money can be used no longer than this day, locked."""
    rows = await session.execute(
        select(Approval)
        .where(col(Approval.state) == ApprovalState.ENDED, col(Approval.usable_until) <= usable_until)
        .order_by(col(Approval.person_id), col(Approval.id))
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return await _pots(session, list(rows.scalars()))


async def lapse(session: AsyncSession, pot: Pot, *, now: datetime) -> None:
    """Gives what was left back to its payer, and closes the approval for good."""
    approval = pot.approval
    if pot.balance_cents > 0:
        payer = (await _payers(session, [approval], now))[approval.payer]
        entry = NewEntry(
            key=f"lapse:{approval.id}",
            kind=EntryKind.LAPSE,
            postings={approval.account_id: -pot.balance_cents, payer: pot.balance_cents},
        )
        if await ledger.book(session, entry, now=now) is Outcome.SHORT:
            # Something was booked while we looked: tomorrow there is less to lapse.
            return
    approval.state = ApprovalState.LAPSED
    await session.flush()


# --- to be seen ---------------------------------------------------------------------------------------------


async def pots_of(session: AsyncSession, person_id: UUID) -> list[Pot]:
    """A person's allowances: those that run, and those that can still be used."""
    rows = await session.execute(
        select(Approval)
        .where(col(Approval.person_id) == person_id, col(Approval.state) != ApprovalState.LAPSED)
        .order_by(col(Approval.since), col(Approval.id))
    )
    return await _pots(session, list(rows.scalars()))


async def _pots(session: AsyncSession, approvals: Sequence[Approval]) -> list[Pot]:
    left = await ledger.balances(session, [a.account_id for a in approvals])
    return [Pot(a, left.get(a.account_id, 0), _coming(a)) for a in approvals]


def _coming(approval: Approval) -> tuple[date, ...]:
    if approval.state is not ApprovalState.ACTIVE or approval.terms is not Terms.MONTHLY:
        return ()
    first = add_months(approval.credited_through, 1) if approval.credited_through else approval.since
    return tuple(months(first, approval.until))


async def lump_sums_of(session: AsyncSession, person_id: UUID) -> list[LumpSum]:
    """The lump sums that became due to a person, the latest first."""
    rows = await session.execute(
        select(LumpSum)
        .where(col(LumpSum.person_id) == person_id)
        .order_by(col(LumpSum.due).desc(), col(LumpSum.kind))
    )
    return list(rows.scalars())
