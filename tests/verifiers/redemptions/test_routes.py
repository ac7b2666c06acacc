"""Uses that are taken: exactly as often as the offer allows, on any instance and under any retry."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from litestar.testing import AsyncTestClient
from sqlalchemy import select

from app import create_app
from entitlements.people.models import Person
from issuers.status.rules import Status
from tests.verifiers.makers import REDUCED, City, Phone, Till
from verifiers.checks.models import VisitCount
from verifiers.offers.words import complete
from verifiers.redemptions.models import PeriodKey, Redemption, UseCounter
from verifiers.redemptions.routes import WORDS
from verifiers.redemptions.schemas import RedemptionOutcome, RedemptionReason


async def visit(
    city: City, till: Till, phone: Phone, offer: str, **where: AsyncTestClient
) -> tuple[str, str | None]:  # type: ignore[type-arg]
    """Shows the card and takes the offer, a second after whatever was before."""
    city.clock.forward(timedelta(seconds=1))
    checked = (await till.check(phone.code(city.now), **where)).json()
    assert checked["outcome"] == "accepted", checked
    answer = (await till.redeem(checked["receipt"], offer, **where)).json()
    return answer["outcome"], answer["reason"]


async def test_used_twice_on_one_day_is_refused_and_the_next_day_accepted(city: City) -> None:
    venue = await city.venue()
    offer = await city.offer(venue, limit_uses=1, limit_period="day")
    till, phone = await city.till(venue), await city.phone()
    assert await visit(city, till, phone, offer) == ("redeemed", None)
    assert await visit(city, till, phone, offer) == ("refused", "limit_reached")
    city.clock.forward(timedelta(hours=11, minutes=58))
    assert await visit(city, till, phone, offer) == ("refused", "limit_reached"), "it is still the same day"
    city.clock.forward(timedelta(minutes=2))
    assert await visit(city, till, phone, offer) == ("redeemed", None), "after midnight in Dortmund"


@pytest.mark.parametrize(("period", "days"), [("week", 5), ("month", 15)])
async def test_weeks_begin_on_monday_and_months_on_the_first(city: City, period: str, days: int) -> None:
    venue = await city.venue()
    offer = await city.offer(venue, limit_uses=1, limit_period=period)
    till, phone = await city.till(venue), await city.phone(ends=timedelta(days=30))
    assert await visit(city, till, phone, offer) == ("redeemed", None)
    city.clock.forward(timedelta(days=days - 1))
    assert await visit(city, till, phone, offer) == ("refused", "limit_reached")
    city.clock.forward(timedelta(days=1))
    assert await visit(city, till, phone, offer) == ("redeemed", None)


async def test_the_last_use_goes_to_one_of_two(city: City) -> None:
    venue = await city.venue()
    offer = await city.offer(venue, limit_uses=1, limit_period="day")
    person = uuid4()
    here, there = await city.till(venue), await city.till(venue, "Kasse 2")
    phones = [await city.phone(person_id=person), await city.phone(person_id=person)]
    other = create_app(city.settings, city.clock, vault=city.vault, work=False)
    async with AsyncTestClient(other, base_url="https://testserver.local") as elsewhere:
        both = await asyncio.gather(
            visit(city, here, phones[0], offer), visit(city, there, phones[1], offer, client=elsewhere)
        )
    assert sorted(both) == [("redeemed", None), ("refused", "limit_reached")]


async def test_twelve_at_once_for_three_uses(city: City) -> None:
    venue = await city.venue()
    offer = await city.offer(venue, limit_uses=3, limit_period="day")
    till, person = await city.till(venue), uuid4()
    receipts = []
    for _ in range(12):
        phone = await city.phone(person_id=person)
        receipts.append((await till.check(phone.code(city.now))).json()["receipt"])
    answers = await asyncio.gather(*(till.redeem(receipt, offer) for receipt in receipts))
    told = [(answer.json()["outcome"], answer.json()["reason"]) for answer in answers]
    assert sorted(told, key=str) == [("redeemed", None)] * 3 + [("refused", "limit_reached")] * 9
    async with city.database.reading() as session:
        counted = {
            row.what.value: row.number for row in (await session.execute(select(VisitCount))).scalars()
        }
        kept = (await session.execute(select(Redemption))).scalars().all()
    assert counted == {"accepted": 12, "redeemed": 3, "not_redeemed": 9}, "all twelve are recorded"
    assert len(kept) == 3


async def test_a_retry_under_the_same_key_is_answered_the_same(city: City) -> None:
    venue = await city.venue()
    offer = await city.offer(venue, limit_uses=2, limit_period="day")
    till, phone = await city.till(venue), await city.phone()
    receipt = (await till.check(phone.code(city.now))).json()["receipt"]
    first, again = [await till.redeem(receipt, offer, "key-1") for _ in range(2)]
    assert first.content == again.content
    assert again.headers["Idempotency-Replayed"] == "true"
    async with city.database.reading() as session:
        assert len((await session.execute(select(Redemption))).scalars().all()) == 1


async def test_without_a_key_nothing_is_taken(city: City) -> None:
    venue = await city.venue()
    offer = await city.offer(venue)
    till, phone = await city.till(venue), await city.phone()
    receipt = (await till.check(phone.code(city.now))).json()["receipt"]
    answer = await till.post("/v1/redemptions", {"receipt": receipt, "offer_id": offer})
    assert answer.status_code == 400
    assert answer.json()["type"].endswith(":idempotency-key-missing")


async def test_phone_and_paper_of_one_person_share_their_uses(city: City) -> None:
    venue = await city.venue()
    offer = await city.offer(venue, limit_uses=1, limit_period="day")
    till, phone = await city.till(venue), await city.phone()
    paper = await city.paper(person_id=phone.person_id)
    assert await visit(city, till, phone, offer) == ("redeemed", None)
    receipt = (await till.check(paper.code)).json()["receipt"]
    assert (await till.redeem(receipt, offer)).json()["reason"] == "limit_reached"


async def test_two_persons_who_turned_out_to_be_one_share_their_uses(city: City) -> None:
    venue = await city.venue()
    offer = await city.offer(venue, limit_uses=1, limit_period="day")
    till = await city.till(venue)
    async with city.database.writing() as session:
        kept = Person(created_at=city.now)
        session.add(kept)
        await session.flush()
        gone = Person(created_at=city.now, merged_into=kept.id)
        session.add(gone)
        await session.flush()
        ids = kept.id, gone.id
    one, two = [await city.phone(person_id=person) for person in ids]
    assert await visit(city, till, one, offer) == ("redeemed", None)
    assert await visit(city, till, two, offer) == ("refused", "limit_reached")


async def test_a_printed_code_is_limited_too(city: City) -> None:
    venue = await city.venue()
    offer = await city.offer(venue, limit_uses=1, limit_period="day")
    till, paper = await city.till(venue), await city.paper()
    told = []
    for _ in range(2):
        receipt = (await till.check(paper.code)).json()["receipt"]
        told.append((await till.redeem(receipt, offer)).json()["reason"])
    assert told == [None, "limit_reached"]


async def test_a_receipt_is_for_its_scanner_its_offers_and_five_minutes(city: City) -> None:
    venue, elsewhere = await city.venue(), await city.venue()
    offer, theirs = await city.offer(venue), await city.offer(elsewhere)
    youth = await city.offer(venue, tariffs=["reduced_youth"])
    till, other, phone = await city.till(venue), await city.till(venue, "Kasse 2"), await city.phone()
    receipt = (await till.check(phone.code(city.now))).json()["receipt"]
    assert (await other.redeem(receipt, offer)).json()["reason"] == "receipt_not_valid"
    changed = receipt[:40] + ("A" if receipt[40] != "A" else "B") + receipt[41:]
    assert (await till.redeem(changed, offer)).json()["reason"] == "receipt_not_valid"
    assert (await till.redeem("AAAA", offer)).json()["reason"] == "receipt_not_valid"
    assert (await till.redeem(receipt, theirs)).json()["reason"] == "not_offered"
    assert (await till.redeem(receipt, youth)).json()["reason"] == "not_offered"
    assert (await till.redeem(receipt, str(uuid4()))).json()["reason"] == "not_offered"
    city.clock.forward(timedelta(minutes=5))
    expired = (await till.redeem(receipt, offer)).json()
    assert (expired["reason"], expired["headline"]) == ("receipt_expired", "Nicht eingelöst")
    async with city.database.reading() as session:
        counted = {
            row.what.value: row.number for row in (await session.execute(select(VisitCount))).scalars()
        }
    assert counted == {"accepted": 1, "not_redeemed": 7}, "a refusal is counted, not rolled back"


async def test_a_use_can_be_given_back_once_by_the_same_scanner(city: City) -> None:
    venue = await city.venue()
    offer = await city.offer(venue, limit_uses=1, limit_period="day")
    till, other, phone = await city.till(venue), await city.till(venue, "Kasse 2"), await city.phone()
    receipt = (await till.check(phone.code(city.now))).json()["receipt"]
    undo = (await till.redeem(receipt, offer)).json()["undo"]

    async def give_back(by: Till) -> tuple[str, str | None]:
        answer = (await by.post("/v1/redemptions/undo", {"undo": undo}, str(uuid4()))).json()
        return answer["outcome"], answer["reason"]

    assert await give_back(other) == ("refused", "undo_not_valid")
    assert await give_back(till) == ("undone", None)
    assert await give_back(till) == ("refused", "undo_not_valid")
    assert await visit(city, till, phone, offer) == ("redeemed", None)
    assert await visit(city, till, phone, offer) == ("refused", "limit_reached")


async def test_giving_back_takes_minutes_at_most(city: City) -> None:
    venue = await city.venue()
    offer = await city.offer(venue)
    till, phone = await city.till(venue), await city.phone()
    receipt = (await till.check(phone.code(city.now))).json()["receipt"]
    undo = (await till.redeem(receipt, offer)).json()["undo"]
    city.clock.forward(timedelta(minutes=5))
    answer = (await till.post("/v1/redemptions/undo", {"undo": undo}, "key-9")).json()
    assert (answer["outcome"], answer["reason"]) == ("refused", "undo_expired")


async def test_keys_and_counters_die_with_their_period(city: City) -> None:
    venue = await city.venue()
    daily = await city.offer(venue, limit_uses=1, limit_period="day")
    monthly = await city.offer(venue, limit_uses=5, limit_period="month")
    till, phone = await city.till(venue), await city.phone(ends=timedelta(days=30))
    await visit(city, till, phone, daily)
    await visit(city, till, phone, monthly)

    async def left() -> tuple[set[str], int]:
        async with city.database.reading() as session:
            periods = {key.period.value for key in (await session.execute(select(PeriodKey))).scalars()}
            return periods, len((await session.execute(select(UseCounter))).scalars().all())

    await city.run_jobs()
    assert await left() == ({"day", "month"}, 4)
    city.clock.forward(timedelta(hours=12))
    await city.run_jobs()
    assert await left() == ({"month"}, 1)
    city.clock.forward(timedelta(days=15))
    await city.run_jobs()
    assert await left() == (set(), 0)


async def test_what_is_kept_names_offer_tariff_and_hour_and_nobody(city: City) -> None:
    venue = await city.venue()
    offer = await city.offer(venue, limit_uses=1, limit_period="day")
    till, phone = await city.till(venue), await city.phone(REDUCED)
    city.clock.forward(timedelta(minutes=17))
    await visit(city, till, phone, offer)
    async with city.database.reading() as session:
        row = (await session.execute(select(Redemption))).scalar_one()
        kept = [*(await session.execute(select(UseCounter))).scalars(), row]
    assert (str(row.offer_id), row.tariff, row.hour.minute, row.undone) == (offer, "reduced", 0, False)
    assert set(Redemption.model_fields) == {"id", "offer_id", "tariff", "hour", "undone"}
    assert not any(phone.person_id.bytes in repr(each).encode() for each in kept)


def test_every_outcome_and_reason_has_words_in_every_language() -> None:
    assert complete(WORDS, "outcome", RedemptionOutcome)
    assert complete(WORDS, "reason", RedemptionReason)


async def test_nobody_but_a_scanner_redeems(city: City) -> None:
    body = {"receipt": "AAAA", "offer_id": str(uuid4())}
    headers = {"Idempotency-Key": "k"}
    assert (await city.client.post("/v1/redemptions", json=body, headers=headers)).status_code == 401
    assert (
        await city.client.post("/v1/redemptions", json=body, headers=headers | city.operator)
    ).status_code == 403


async def test_an_offer_that_asks_for_the_name_is_not_taken_without_one(city: City) -> None:
    venue = await city.venue()
    free, named = await city.offer(venue), await city.offer(venue, needs_name=True)
    till, nameless, shown = await city.till(venue), await city.phone(), await city.phone(name="MUSTER<<ERIKA")
    receipt = (await till.check(nameless.code(city.now))).json()["receipt"]
    assert (await till.redeem(receipt, named)).json()["reason"] == "name_needed"
    assert (await till.redeem(receipt, free)).json()["outcome"] == "redeemed"
    receipt = (await till.check(shown.code(city.now))).json()["receipt"]
    assert (await till.redeem(receipt, named)).json()["outcome"] == "redeemed"


@pytest.mark.parametrize("status", [Status.INVALID, Status.SUSPENDED])
async def test_a_card_that_was_taken_back_after_the_check_takes_nothing(city: City, status: Status) -> None:
    venue = await city.venue()
    offer, till, phone = await city.offer(venue), await city.till(venue), await city.phone()
    receipt = (await till.check(phone.code(city.now))).json()["receipt"]
    await city.revoke(phone, status)
    assert (await till.redeem(receipt, offer)).json()["reason"] == "card_not_valid"
