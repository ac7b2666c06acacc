from dataclasses import replace
from datetime import date
from uuid import uuid4

from entitlements.requests.rules import essence_of, made_good_since, mark_of, within_reach
from entitlements.rulebook.rules import AllowanceGrant, AmountDue, Outcome, Ruling

POT = AllowanceGrant(
    "participation", 1500, "monthly", "none", "P3M", date(2025, 2, 1), date(2027, 1, 31), "§"
)
RULING = Ruling(
    Outcome.GRANTED,
    ground="GB",
    payer="city",
    until=date(2027, 1, 31),
    tariffs=("education",),
    allowances=(POT,),
    amounts=(AmountDue("school_supplies", 13000, date(2025, 8, 1), "§"),),
    on_request=True,
)


def test_another_day_is_no_other_offer_but_another_sum_is() -> None:
    later = replace(RULING, until=date(2027, 7, 31), changes_on=date(2026, 10, 1))
    assert essence_of(later) == essence_of(RULING)
    richer = replace(RULING, allowances=(replace(POT, monthly_cents=2000),))
    assert essence_of(richer) != essence_of(RULING)
    assert essence_of(replace(RULING, ground="G2")) != essence_of(RULING)


def test_a_request_reaches_back_as_many_months_as_the_rule_says_and_to_their_first() -> None:
    assert made_good_since(date(2026, 3, 31), 0) == date(2026, 3, 1)
    assert made_good_since(date(2026, 3, 31), 12) == date(2025, 3, 1)
    assert made_good_since(date(2026, 1, 15), 1) == date(2025, 12, 1)
    assert made_good_since(date(2026, 1, 15), None) is None


def test_money_reaches_no_further_back_than_the_request() -> None:
    asked = date(2026, 9, 16)
    assert within_reach(RULING, asked) == (RULING.allowances, RULING.amounts)
    (pot,), amounts = within_reach(replace(RULING, reaches_back=1), asked)
    assert (pot.since, amounts) == (date(2026, 8, 1), ())
    (pot,), amounts = within_reach(replace(RULING, reaches_back=24), asked)
    assert (pot.since, amounts) == (date(2025, 2, 1), RULING.amounts)
    assert within_reach(replace(RULING, reaches_back=1), None) == (RULING.allowances, RULING.amounts)


def test_what_is_kept_of_a_no_tells_nobody_without_the_secret_whose_it_was() -> None:
    person = uuid4()
    mark = mark_of(b"s" * 32, person, "bildungskarte", "e")
    assert mark == mark_of(b"s" * 32, person, "bildungskarte", "e")
    assert (
        len(
            {
                mark,
                mark_of(b"t" * 32, person, "bildungskarte", "e"),
                mark_of(b"s" * 32, uuid4(), "bildungskarte", "e"),
            }
        )
        == 3
    )
