"""The promises about participation money, told through the city; the ones about terms, straight at the service."""

from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from entitlements.allowances import service
from entitlements.allowances.models import ApprovalState, CreditedMonth, Terms
from entitlements.allowances.service import Feed
from entitlements.ledger import service as ledger
from entitlements.ledger.models import AccountKind, EntryKind
from entitlements.ledger.service import NewEntry, Outcome
from entitlements.rulebook.rules import AllowanceGrant
from tests.entitlements.decisions.making import NOON, TODAY, City

BORN = date(2015, 3, 1)
MONTHLY = AllowanceGrant(
    kind="participation",
    monthly_cents=1500,
    accrual="monthly",
    carry_over="within_approval",
    grace="P3M",
    since=date(2026, 6, 1),
    until=date(2027, 2, 28),
    statute="§ 28 Abs. 7 SGB II",
)
UPFRONT = replace(MONTHLY, accrual="upfront")
AT_COST = replace(
    MONTHLY, kind="learning_support", monthly_cents=0, terms="by_decision", ceiling_cents=24_000
)


async def a_child(city: City, **stated: bool) -> UUID:
    return await city.person(BORN, school_stage="primary", **stated)


async def feed(
    city: City, person: UUID, *grants: AllowanceGrant, ground: str = "G2", payer: str = "jobcenter"
) -> None:
    """What a decision about the Bildungskarte brings this person from today on."""
    decision = (await city.decision(person, "bildungskarte")).id
    async with city.database.writing() as session:
        one = Feed(person, "bildungskarte", decision, ground, payer, grants)
        await service.feed(session, [one], on=city.today, now=city.clock.now())


async def a_fed_child(city: City, *grants: AllowanceGrant) -> UUID:
    child = await a_child(city)
    await city.assess(child)
    await feed(city, child, *grants)
    return child


async def pots_of(city: City, person: UUID, kind: str = "participation") -> list[service.Pot]:
    return [pot for pot in await city.pots(person) if pot.approval.kind == kind]


async def pot_of(city: City, person: UUID, kind: str = "participation") -> service.Pot:
    return (await pots_of(city, person, kind))[-1]


async def spend(city: City, pot: service.Pot, cents: int) -> Outcome:
    """A club books."""
    async with city.database.writing() as session:
        club = await ledger.account(session, AccountKind.PAYABLE, "club", now=NOON)
        entry = NewEntry(
            f"club:{pot.approval.id}:{cents}:{city.today}",
            EntryKind.BOOKING,
            {pot.approval.account_id: -cents, club: cents},
        )
        return await ledger.book(session, entry, now=city.clock.now())


async def paid_by(city: City) -> dict[str, int]:
    """What each payer has given out and not got back, in cents."""
    async with city.database.writing() as session:
        accounts = await ledger.accounts(session, AccountKind.BUDGET, ["city", "jobcenter"], now=NOON)
        found = await ledger.balances(session, accounts.values())
        return {payer: -found[account] for payer, account in accounts.items()}


async def credited(city: City, person: UUID) -> list[str]:
    async with city.database.reading() as session:
        rows = await session.execute(
            select(col(CreditedMonth.month))
            .where(col(CreditedMonth.person_id) == person, col(CreditedMonth.moved_at).is_(None))
            .order_by(col(CreditedMonth.month))
        )
        return [f"{month:%Y-%m}" for month in rows.scalars()]


# --- through the city ---------------------------------------------------------------------------------------


async def test_a_child_gets_fifteen_euros_a_month_from_the_start_of_the_approval(city: City) -> None:
    child = await a_child(city)
    await city.state(child, since=date(2026, 7, 1), until=date(2026, 12, 31), sgb2=True)
    await city.assess(child)
    pot = await pot_of(city, child)
    assert (pot.balance_cents, pot.approval.payer, pot.approval.ground) == (3 * 1500, "jobcenter", "G2")
    assert (pot.approval.since, pot.approval.until) == (date(2026, 7, 1), date(2026, 12, 31))
    assert pot.approval.usable_until == date(2027, 3, 31)
    assert [f"{month:%m}" for month in pot.coming] == ["10", "11", "12"]
    await city.until(date(2026, 10, 1))
    assert (await pot_of(city, child)).balance_cents == 4 * 1500
    assert await city.books_in_order()


async def test_what_lunch_and_trips_cost_is_approved_without_a_cent_credited(city: City) -> None:
    child = await a_child(city, takes_communal_lunch=True)
    await city.state(child, since=date(2026, 7, 1), until=date(2026, 12, 31), sgb2=True)
    await city.assess(child)
    for kind, terms in (
        ("lunch", Terms.PER_MEAL),
        ("day_trips", Terms.PER_EVENT),
        ("class_trips", Terms.PER_EVENT),
    ):
        pot = await pot_of(city, child, kind)
        assert (pot.approval.terms, pot.balance_cents, pot.coming) == (terms, 0, ())
        assert (pot.approval.ground, pot.approval.payer) == ("G2", "jobcenter")
        assert (pot.approval.since, pot.approval.until) == (date(2026, 7, 1), date(2026, 12, 31))
        assert pot.approval.usable_until == date(2027, 3, 31)
        assert (pot.approval.unit_ceiling_cents, pot.approval.ceiling_cents) == (None, None)
    await city.until(date(2026, 10, 1))
    assert (await pot_of(city, child, "lunch")).balance_cents == 0
    assert await credited(city, child) == ["2026-07", "2026-08", "2026-09", "2026-10"]
    assert await city.books_in_order()


async def test_a_child_that_eats_at_home_again_has_no_lunch_approved(city: City) -> None:
    child = await a_child(city, takes_communal_lunch=True, sgb2=True)
    await city.assess(child)
    await city.until(TODAY + timedelta(days=1))
    await city.state(child, since=city.today, takes_communal_lunch=False)
    await city.assess(child)
    pots = {pot.approval.kind: pot.approval.state for pot in await city.pots(child)}
    assert pots["lunch"] is ApprovalState.ENDED
    assert pots["participation"] is ApprovalState.ACTIVE


async def test_learning_support_goes_to_a_person_and_then_up_to_what_was_approved(city: City) -> None:
    child = await a_child(city, sgb2=True, learning_need_confirmed=True, comparable_learning_offer=False)
    await city.assess(child)
    decision = await city.decision(child, "lernfoerderung")
    assert (decision.outcome, decision.reasons[0]["code"]) == ("refer", "learning_support_to_decide")
    assert "learning_support" not in {pot.approval.kind for pot in await city.pots(child)}

    await city.state(child, until=date(2027, 1, 31), learning_support_decision="approved")
    await city.state(child, until=date(2027, 1, 31), learning_support_amount=24_000)
    await city.assess(child)
    assert (await city.decision(child, "lernfoerderung")).outcome == "granted"


async def test_an_approved_amount_is_a_ceiling_and_no_balance(city: City) -> None:
    child = await a_fed_child(city, AT_COST)
    pot = await pot_of(city, child, "learning_support")
    assert (pot.approval.terms, pot.approval.ceiling_cents, pot.balance_cents) == (
        Terms.BY_DECISION,
        24_000,
        0,
    )
    await feed(city, child, replace(AT_COST, ceiling_cents=30_000))
    again = await pot_of(city, child, "learning_support")
    assert (again.approval.id, again.approval.ceiling_cents) == (pot.approval.id, 30_000)
    assert await credited(city, child) == []


async def test_an_approval_of_nothing_is_none(city: City) -> None:
    child = await a_fed_child(city, replace(AT_COST, ceiling_cents=0))
    assert await city.pots(child) == []


async def test_nothing_lapses_where_nothing_was_credited(city: City) -> None:
    child = await a_fed_child(city, replace(AT_COST, until=date(2026, 10, 31), grace="P1M"))
    await city.until(date(2026, 12, 2))
    assert await city.pots(child) == []
    assert all(code != "allowance.lapsing" for code, _ in await city.told(child))
    assert await paid_by(city) == {"city": 0, "jobcenter": 0}


async def test_the_month_of_the_18th_birthday_is_the_last(city: City) -> None:
    child = await city.person(date(2008, 10, 20), sgb2=True, school_stage="sek2")
    await city.assess(child)
    assert (await pot_of(city, child)).approval.until == date(2026, 10, 31)
    city.clock.forward(timedelta(days=12))
    await city.until(date(2026, 11, 2))
    assert (await credited(city, child))[-1] == "2026-10"
    assert (await pot_of(city, child)).approval.state is ApprovalState.ENDED
    # At school and under 25, the young person keeps the rest of the card.
    assert await city.holds(child, "bildungskarte") is not None


async def test_an_18th_birthday_on_the_first_opens_no_new_month(city: City) -> None:
    child = await city.person(date(2008, 10, 1), sgb2=True, school_stage="sek2")
    await city.assess(child)
    city.clock.forward(timedelta(days=14))
    await city.until(date(2026, 10, 2))
    assert (await credited(city, child))[-1] == "2026-09"


async def test_the_month_of_birth_counts(city: City) -> None:
    child = await city.person(date(2026, 9, 10))
    await city.state(child, since=date(2026, 9, 10), sgb2=True)
    await city.assess(child)
    assert await credited(city, child) == ["2026-09"]


async def test_when_the_ground_ends_nothing_more_is_credited_and_nothing_taken_back(city: City) -> None:
    child = await a_child(city)
    await city.state(child, since=date(2026, 7, 1), sgb2=True)
    await city.assess(child)
    city.clock.forward(timedelta(hours=1))
    # Corrected afterwards: it had ended in July already. What was credited was rendered.
    await city.state(child, since=date(2026, 8, 1), sgb2=False)
    await city.assess(child)
    pot = await pot_of(city, child)
    assert (pot.balance_cents, pot.approval.state) == (3 * 1500, ApprovalState.ENDED)
    assert (pot.approval.until, pot.approval.usable_until) == (date(2026, 9, 15), date(2026, 12, 15))
    await city.until(date(2026, 10, 2))
    assert (await pot_of(city, child)).balance_cents == 3 * 1500


async def test_a_ground_that_turns_out_to_have_begun_earlier_brings_the_months_before(city: City) -> None:
    child = await a_child(city)
    await city.state(child, since=date(2026, 8, 1), sgb2=True)
    await city.assess(child)
    assert await credited(city, child) == ["2026-08", "2026-09"]
    city.clock.forward(timedelta(hours=1))
    await city.state(child, since=date(2026, 6, 1), sgb2=True)
    await city.assess(child)
    assert await credited(city, child) == ["2026-06", "2026-07", "2026-08", "2026-09"]
    assert len(await pots_of(city, child)) == 1


async def test_a_ground_that_comes_back_carries_on_as_if_it_had_never_been_away(city: City) -> None:
    child = await a_child(city)
    await city.state(child, since=date(2026, 7, 1), sgb2=True)
    await city.assess(child)
    city.clock.forward(timedelta(hours=1))
    await city.state(child, since=TODAY, sgb2=False)
    await city.assess(child)
    await city.until(date(2026, 10, 3))
    await city.state(child, since=TODAY, sgb2=True)
    await city.assess(child)
    (pot,) = await pots_of(city, child)
    assert pot.approval.state is ApprovalState.ACTIVE
    assert await credited(city, child) == ["2026-07", "2026-08", "2026-09", "2026-10"]


async def test_a_child_whose_ground_changes_has_months_of_both_payers(city: City) -> None:
    child = await a_child(city)
    await city.state(child, since=date(2026, 7, 1), sgb2=True)
    await city.assess(child)
    city.clock.forward(timedelta(hours=1))
    await city.state(child, since=date(2026, 9, 1), sgb2=False)
    await city.state(child, since=date(2026, 9, 1), sgb12_hlu=True)
    await city.assess(child)
    old, new = await pots_of(city, child)
    assert [(p.approval.ground, p.approval.payer, p.balance_cents) for p in (old, new)] == [
        ("G2", "jobcenter", 2 * 1500),
        ("G12", "city", 1500),
    ]
    assert await paid_by(city) == {"city": 1500, "jobcenter": 3000}
    assert await city.books_in_order()


async def test_a_year_that_is_over_is_approved_anew(city: City) -> None:
    child = await a_child(city)
    await city.state(child, since=date(2026, 2, 1), sgb2=True)
    await city.assess(child)
    city.clock.forward(timedelta(days=135))
    await city.until(date(2027, 2, 2))
    old, new = await pots_of(city, child)
    assert (old.approval.state, old.approval.until) == (ApprovalState.ENDED, date(2027, 1, 31))
    assert (new.approval.since, new.balance_cents, old.balance_cents) == (date(2027, 2, 1), 1500, 12 * 1500)


async def test_school_supplies_fall_due_once_and_are_shown(city: City) -> None:
    child = await a_child(city, sgb2=True)
    await city.assess(child)
    city.clock.forward(timedelta(days=137))
    await city.until(date(2027, 2, 3))
    async with city.database.reading() as session:
        sums = await service.lump_sums_of(session, child)
    assert [(s.kind, s.cents, s.due) for s in sums] == [("school_supplies", 6500, date(2027, 2, 1))]
    decided = [d for d in await city.decisions(child, "bildungskarte") if d.brings["amounts"]]
    assert [d.brings["amounts"][0]["cents"] for d in decided] == [6500]


async def test_a_revoked_card_brings_no_more_money(city: City) -> None:
    from entitlements.grants import service as grants
    from entitlements.grants.models import EndReason

    child = await a_child(city, sgb2=True)
    await city.assess(child)
    held = await city.holds(child, "bildungskarte")
    assert held is not None
    async with city.database.writing() as session:
        await grants.revoke(session, held.id, EndReason.ERROR, caller=None, now=NOON, settings=city.settings)
    assert (await pot_of(city, child)).approval.state is ApprovalState.ENDED


# --- lapse --------------------------------------------------------------------------------------------------


async def test_what_is_left_after_the_grace_lapses_and_the_family_is_told_before(city: City) -> None:
    child = await a_child(city)
    await city.state(child, since=date(2026, 7, 1), until=date(2026, 9, 30), sgb2=True)
    await city.assess(child)
    city.clock.forward(timedelta(days=80))
    await city.until(date(2026, 12, 14))
    said = [params for code, params in await city.told(child) if code == "allowance.lapsing"]
    assert said == [{"allowance": "participation", "cents": 4500, "usable_until": "2026-12-31"}]
    await city.until(date(2026, 12, 31))
    assert await spend(city, await pot_of(city, child), 500) is Outcome.BOOKED
    assert (await pot_of(city, child)).balance_cents == 4000
    await city.night()
    assert await city.pots(child) == []
    assert await paid_by(city) == {"city": 0, "jobcenter": 500}
    assert await city.books_in_order()


async def test_money_does_not_lapse_before_the_warning_has_left_the_house(city: City) -> None:
    child = await a_child(city)
    await city.state(child, since=date(2026, 7, 1), until=date(2026, 9, 30), sgb2=True)
    await city.assess(child)
    await city.post()
    city.clock.forward(timedelta(days=85))
    await city.until(date(2027, 1, 5), post=False)
    assert (await pot_of(city, child)).balance_cents == 4500
    await city.post()
    await city.until(date(2027, 1, 5) + timedelta(days=18))
    assert (await pot_of(city, child)).balance_cents == 4500
    await city.night()
    assert await city.pots(child) == []


# --- the terms, straight at the service ---------------------------------------------------------------------


async def test_months_credited_up_front_can_be_used_at_once(city: City) -> None:
    child = await a_fed_child(city, UPFRONT)
    pot = await pot_of(city, child)
    assert (pot.balance_cents, pot.coming) == (9 * 1500, ())


async def test_feeding_twice_credits_once(city: City) -> None:
    child = await a_fed_child(city, UPFRONT)
    await feed(city, child, UPFRONT)
    assert (await pot_of(city, child)).balance_cents == 9 * 1500
    assert len(await credited(city, child)) == 9


async def test_an_early_end_leaves_what_was_credited_up_front(city: City) -> None:
    child = await a_fed_child(city, UPFRONT)
    await feed(city, child)
    pot = await pot_of(city, child)
    assert (pot.balance_cents, pot.approval.state) == (9 * 1500, ApprovalState.ENDED)


async def test_when_the_ground_changes_unspent_months_pass_to_the_new_payer(city: City) -> None:
    child = await a_fed_child(city, UPFRONT)
    await feed(city, child, replace(UPFRONT, since=date(2026, 9, 15)), ground="G12", payer="city")
    old, new = await pots_of(city, child)
    # September began under the old ground; October to February belong to the new one.
    assert (old.balance_cents, new.balance_cents) == (4 * 1500, 5 * 1500)
    assert old.approval.until == date(2026, 9, 14)
    assert await paid_by(city) == {"city": 5 * 1500, "jobcenter": 4 * 1500}
    assert len(await credited(city, child)) == 9


async def test_months_that_were_spent_in_advance_stay_with_the_payer_who_gave_them(city: City) -> None:
    child = await a_fed_child(city, UPFRONT)
    # The annual fee of a club, paid ahead: of nine months seven and a half are gone.
    assert await spend(city, await pot_of(city, child), 11_250) is Outcome.BOOKED
    await feed(city, child, replace(UPFRONT, since=date(2026, 9, 15)), ground="G12", payer="city")
    old, new = await pots_of(city, child)
    assert (old.balance_cents, new.balance_cents) == (750, 1500)
    assert len(await credited(city, child)) == 9
    assert await city.books_in_order()


async def test_without_carry_over_only_the_current_month_stands_there(city: City) -> None:
    none = replace(MONTHLY, carry_over="none")
    child = await a_fed_child(city, none)
    assert (await pot_of(city, child)).balance_cents == 1500
    assert await credited(city, child) == ["2026-06", "2026-07", "2026-08", "2026-09"]
    assert await spend(city, await pot_of(city, child), 400) is Outcome.BOOKED
    city.clock.forward(timedelta(days=16))
    async with city.database.writing() as session:
        await service.turn_months(session, on=city.today, now=city.clock.now())
    assert (await pot_of(city, child)).balance_cents == 1500
    assert await city.books_in_order()


async def test_what_is_left_goes_to_the_next_approval_where_the_rulebook_says_so(city: City) -> None:
    carried = replace(MONTHLY, carry_over="to_next_approval", until=date(2026, 9, 16))
    child = await a_fed_child(city, carried)
    city.clock.forward(timedelta(days=20))
    async with city.database.writing() as session:
        await service.turn_months(session, on=city.today, now=city.clock.now())
    again = replace(carried, since=date(2026, 10, 1), until=date(2027, 3, 31))
    await feed(city, child, again)
    old, new = await pots_of(city, child)
    assert (old.balance_cents, new.balance_cents) == (0, 5 * 1500)


async def test_within_the_approval_it_stays_where_it_is(city: City) -> None:
    child = await a_fed_child(city, replace(MONTHLY, until=date(2026, 9, 16)))
    city.clock.forward(timedelta(days=20))
    async with city.database.writing() as session:
        await service.turn_months(session, on=city.today, now=city.clock.now())
    await feed(city, child, replace(MONTHLY, since=date(2026, 10, 1), until=date(2027, 3, 31)))
    old, new = await pots_of(city, child)
    assert (old.balance_cents, new.balance_cents) == (4 * 1500, 1500)


async def test_nights_that_were_missed_cost_no_month(city: City) -> None:
    child = await a_fed_child(city, MONTHLY)
    city.clock.forward(timedelta(days=80))
    async with city.database.writing() as session:
        await service.turn_months(session, on=city.today, now=city.clock.now())
    assert (await credited(city, child))[-1] == "2026-12"
