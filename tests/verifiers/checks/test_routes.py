"""The till's view of a check."""

import asyncio
import json
from datetime import timedelta

import pytest
from litestar.testing import AsyncTestClient
from sqlalchemy import func, select
from sqlmodel import SQLModel

from app import create_app
from core.database import Database
from issuers.status.rules import Status
from tests.verifiers.makers import REDUCED, YOUTH, City
from verifiers.checks.models import ReplayMark, VisitCount
from verifiers.checks.receipts import LENGTH
from verifiers.checks.routes import WORDS
from verifiers.checks.rules import Outcome, Reason
from verifiers.checks.schemas import CheckView
from verifiers.offers.words import complete


async def test_a_fresh_code_is_accepted_with_what_applies_here(city: City) -> None:
    venue = await city.venue()
    offer = await city.offer(venue)
    await city.offer(venue, tariffs=["reduced_youth"], price_cents=100)
    till, phone = await city.till(venue), await city.phone()
    answer = await till.check(phone.code(city.now))
    assert answer.status_code == 200, answer.text
    view = CheckView.model_validate_json(answer.content)
    assert view.outcome is Outcome.ACCEPTED
    assert view.headline == "Gültig"
    assert [str(each.id) for each in view.offers] == [offer]
    assert view.offers[0].price_cents == 200
    assert view.name == "<" * 23
    assert view.time == city.now
    assert view.receipt is not None
    assert len(view.receipt) == LENGTH


async def test_words_come_in_the_asked_language(city: City) -> None:
    venue = await city.venue()
    await city.offer(venue)
    till, phone = await city.till(venue), await city.phone()
    for language, headline, text in [
        ("en-GB,en;q=0.9", "Valid", "Entry €2"),
        ("de-simple", "Die Karte gilt.", "Sie zahlen 2 Euro."),
        ("tr,de", "Gültig", "Eintritt 2 €"),
    ]:
        city.clock.forward(timedelta(seconds=1))
        answer = (await till.check(phone.code(city.now), **{"Accept-Language": language})).json()
        assert (answer["headline"], answer["offers"][0]["text"]) == (headline, text)


def test_every_outcome_and_reason_has_words_in_every_language() -> None:
    assert complete(WORDS, "outcome", Outcome)
    assert complete(WORDS, "reason", Reason)


async def test_a_screenshot_a_minute_later_is_refused(city: City) -> None:
    venue = await city.venue()
    await city.offer(venue)
    till, phone = await city.till(venue), await city.phone()
    picture = phone.code(city.now)
    city.clock.forward(timedelta(seconds=61))
    answer = (await till.check(picture)).json()
    assert (answer["outcome"], answer["reason"]) == ("refused", "stale_code")
    assert "Bildschirmfoto" in answer["explanation"]
    assert answer["receipt"] is None
    assert answer["offers"] == []


async def test_a_code_is_accepted_once_on_any_instance(city: City, database_url: str) -> None:
    venue = await city.venue()
    await city.offer(venue)
    here, there = await city.till(venue), await city.till(venue, "Kasse 2")
    phone = await city.phone()
    other = create_app(city.settings, city.clock, vault=city.vault, work=False)
    async with AsyncTestClient(other, base_url="https://testserver.local") as elsewhere:
        code = phone.code(city.now)
        assert (await here.check(code)).json()["outcome"] == "accepted"
        again = (await there.check(code, client=elsewhere)).json()
        assert (again["outcome"], again["reason"]) == ("refused", "replayed")
        assert (await here.check(code)).json()["reason"] == "replayed"
        # At the same instant on both: one of them.
        city.clock.forward(timedelta(seconds=1))
        code = phone.code(city.now)
        both = await asyncio.gather(
            *(till.check(code, client=client) for till in (here, there) for client in (None, elsewhere))
        )
        outcomes = sorted(answer.json()["outcome"] for answer in both)
        assert outcomes == ["accepted", "refused", "refused", "refused"]


async def test_an_earlier_code_of_the_same_card_is_refused_and_a_later_one_accepted(city: City) -> None:
    venue = await city.venue()
    await city.offer(venue)
    till, phone = await city.till(venue), await city.phone()
    assert (await till.check(phone.code(city.now))).json()["outcome"] == "accepted"
    earlier = phone.code(city.now - timedelta(seconds=30))
    assert (await till.check(earlier)).json()["reason"] == "replayed"
    later = phone.code(city.now + timedelta(seconds=30))
    assert (await till.check(later)).json()["outcome"] == "accepted"


async def test_a_retry_by_the_same_scanner_is_accepted_again_and_counts_once(city: City) -> None:
    venue = await city.venue()
    await city.offer(venue)
    till, other, phone = await city.till(venue), await city.till(venue, "Kasse 2"), await city.phone()
    code = phone.code(city.now)
    first = (await till.check(code, "key-1")).json()
    city.clock.forward(timedelta(seconds=10))
    again = (await till.check(code, "key-1")).json()
    assert first["outcome"] == again["outcome"] == "accepted"
    assert (await other.check(code, "key-1")).json()["reason"] == "replayed"
    assert (await till.check(code, "key-2")).json()["reason"] == "replayed"
    at_once = await asyncio.gather(*(till.check(code, "key-1") for _ in range(5)))
    assert {answer.json()["outcome"] for answer in at_once} == {"accepted"}
    async with city.database.reading() as session:
        counted = {
            row.what.value: row.number for row in (await session.execute(select(VisitCount))).scalars()
        }
    assert counted == {"accepted": 1, "refused": 2}


async def test_the_retry_is_redeemed_once(city: City) -> None:
    venue = await city.venue()
    offer = await city.offer(venue)
    till, phone = await city.till(venue), await city.phone()
    code = phone.code(city.now)
    receipts = [(await till.check(code, "key-1")).json()["receipt"] for _ in range(2)]
    first, second = [(await till.redeem(receipt, offer)).json() for receipt in receipts]
    assert first["outcome"] == "redeemed"
    assert (second["outcome"], second["reason"]) == ("refused", "already_redeemed")


async def test_a_revoked_card_is_refused_from_the_next_check_on(city: City) -> None:
    venue = await city.venue()
    await city.offer(venue)
    till, phone, paper = await city.till(venue), await city.phone(), await city.paper()
    assert (await till.check(phone.code(city.now))).json()["outcome"] == "accepted"
    assert (await till.check(paper.code)).json()["outcome"] == "accepted"
    await city.revoke(phone)
    await city.revoke(paper, Status.SUSPENDED)
    city.clock.forward(timedelta(seconds=2))
    assert (await till.check(phone.code(city.now))).json()["reason"] == "revoked"
    assert (await till.check(paper.code)).json()["reason"] == "suspended"


async def test_an_unknown_status_list_is_no_refusal(city: City) -> None:
    venue = await city.venue()
    await city.offer(venue)
    till, phone = await city.till(venue), await city.phone()
    async with city.database.writing() as session:
        from issuers.status.models import KeptList

        kept = await session.get_one(KeptList, phone.place.status_list)
        kept.holds_until = city.now - timedelta(days=30)
        session.add(kept)
    answer = (await till.check(phone.code(city.now))).json()
    assert (answer["outcome"], answer["reason"]) == ("cannot_tell", "status_missing")


async def test_a_clock_that_is_hours_off_is_not_an_invalid_card(city: City) -> None:
    venue = await city.venue()
    await city.offer(venue)
    till, phone = await city.till(venue), await city.phone()
    answer = (await till.check(phone.code(city.now - timedelta(hours=1)))).json()
    assert (answer["outcome"], answer["reason"]) == ("check_the_clock", "code_clock_off")
    assert answer["clock_off_by"] == -3600
    assert (await till.check(phone.code(city.now + timedelta(minutes=2)))).json()["clock_off_by"] == 120


async def test_the_name_is_told_where_the_card_carries_one(city: City) -> None:
    venue = await city.venue()
    plain = await city.offer(venue)
    asking = await city.offer(venue, needs_name=True, price_cents=100)
    till = await city.till(venue)
    nameless, named = await city.phone(), await city.phone(name="MUSTERMANN<<ERIKA")
    first = (await till.check(nameless.code(city.now))).json()
    assert ([each["id"] for each in first["offers"]], first["compare_name"]) == ([plain], False)
    assert [each["id"] for each in first["offers_with_name"]] == [asking]
    second = (await till.check(named.code(city.now))).json()
    assert {each["id"] for each in second["offers"]} == {plain, asking}
    assert second["name"] == "MUSTERMANN<<ERIKA<<<<<<"
    assert second["compare_name"] is True
    third = (await till.check((await city.paper(name="MUSTER<<EVA")).code)).json()
    assert third["name"] == "MUSTER<<EVA".ljust(23, "<")
    assert third["compare_name"] is True


async def test_where_a_sign_hangs_only_codes_made_for_it_count(city: City) -> None:
    venue, other = await city.venue(has_sign=True), await city.venue(has_sign=True)
    await city.offer(venue)
    till, phone = await city.till(venue), await city.phone()
    assert (await till.check(phone.code(city.now))).json()["reason"] == "venue_missing"
    assert (await till.check(phone.code(city.now, other["number"]))).json()["reason"] == "wrong_venue"
    assert (await till.check(phone.code(city.now, venue["number"]))).json()["outcome"] == "accepted"


async def test_a_genuine_signature_over_an_unknown_card_is_refused(city: City) -> None:
    venue = await city.venue()
    await city.offer(venue)
    till, phone = await city.till(venue), await city.phone(on_record=False)
    answer = (await till.check(phone.code(city.now))).json()
    assert (answer["outcome"], answer["reason"]) == ("refused", "not_on_record")


async def test_a_forged_card_is_not_genuine_even_when_it_is_expired(city: City) -> None:
    venue = await city.venue()
    till, phone = await city.till(venue), await city.phone()
    phone.card = phone.card[:-1] + bytes([phone.card[-1] ^ 1])
    assert (await till.check(phone.code(city.now))).json()["reason"] == "bad_signature"


async def test_garbage_gets_an_answer(city: City) -> None:
    venue = await city.venue()
    till = await city.till(venue)
    for shown in ("hello", "HTTPS://EXAMPLE.ORG/L#ABC", f"HTTPS://{city.settings.code_host}/L#", "Ä" * 2048):
        answer = await till.check(shown)
        assert answer.status_code == 200
        assert answer.json()["outcome"] == "refused"


async def test_offers_begin_and_end_by_the_citys_calendar(city: City) -> None:
    venue = await city.venue()
    await city.offer(venue, until="2026-09-16")
    till, phone = await city.till(venue), await city.phone()
    city.clock.forward(timedelta(hours=11, minutes=59))
    assert (await till.check(phone.code(city.now))).json()["outcome"] == "accepted"
    city.clock.forward(timedelta(minutes=1))
    assert (await till.check(phone.code(city.now))).json()["reason"] == "no_offer", "midnight in Dortmund"


async def test_a_withdrawn_offer_is_gone_at_the_next_check(city: City) -> None:
    venue = await city.venue()
    offer = await city.offer(venue)
    till, phone = await city.till(venue), await city.phone()
    assert (await till.check(phone.code(city.now))).json()["outcome"] == "accepted"
    gone = await city.client.delete(f"/v1/offers/{offer}", headers=city.operator)
    assert gone.status_code == 204
    city.clock.forward(timedelta(seconds=1))
    assert (await till.check(phone.code(city.now))).json()["reason"] == "no_offer"


async def test_nobody_but_a_scanner_checks(city: City) -> None:
    phone = await city.phone()
    body = {"code": phone.code(city.now)}
    assert (await city.client.post("/v1/checks", json=body)).status_code == 401
    assert (await city.client.post("/v1/checks", json=body, headers=city.operator)).status_code == 403


async def test_a_removed_scanner_is_refused_within_two_seconds(city: City) -> None:
    venue = await city.venue()
    await city.offer(venue)
    till, phone = await city.till(venue), await city.phone()
    assert (await till.check(phone.code(city.now))).status_code == 200
    removed = await city.client.delete(f"/v1/scanners/{till.id}", headers=city.operator)
    assert removed.status_code == 204
    city.clock.forward(timedelta(seconds=2))
    assert (await till.check(phone.code(city.now))).status_code == 401


async def test_a_scanner_of_a_closed_venue_checks_nothing(city: City) -> None:
    venue = await city.venue()
    till, phone = await city.till(venue), await city.phone()
    await city.client.delete(f"/v1/venues/{venue['id']}", headers=city.operator)
    answer = await till.check(phone.code(city.now))
    assert answer.status_code == 403
    assert answer.json()["type"].endswith(":venue-closed")


async def _rows(database: Database) -> dict[str, int]:
    async with database.reading() as session:
        return {
            table.name: (await session.execute(select(func.count()).select_from(table))).scalar_one()
            for table in SQLModel.metadata.sorted_tables
        }


async def test_a_check_writes_to_its_stores_and_to_nothing_else(city: City) -> None:
    venue = await city.venue()
    await city.offer(venue)
    till, phone, paper = await city.till(venue), await city.phone(), await city.paper()
    before = await _rows(city.database)
    await till.check(phone.code(city.now), "key-1")
    await till.check(phone.code(city.now), "key-2")
    await till.check(paper.code)
    after = await _rows(city.database)
    grown = {name for name, number in after.items() if number != before[name]}
    assert grown == {"replay_marks", "visit_counts"}


def test_no_store_names_card_and_venue_together() -> None:
    marks, counts = ReplayMark.__table__.columns, VisitCount.__table__.columns  # type: ignore[attr-defined]
    assert set(marks.keys()) == {"card", "code_time", "retry", "tries"}
    assert set(counts.keys()) == {"venue", "hour", "what", "number"}


async def test_marks_are_gone_after_minutes(city: City) -> None:
    venue = await city.venue()
    await city.offer(venue)
    till, phone = await city.till(venue), await city.phone()
    await till.check(phone.code(city.now))
    city.clock.forward(timedelta(minutes=4))
    await city.run_jobs()
    async with city.database.reading() as session:
        assert (await session.execute(select(ReplayMark))).first() is None


@pytest.mark.parametrize("language", ["de", "de-simple", "en"])
async def test_two_guests_with_the_same_tariff_get_the_same_bytes(city: City, language: str) -> None:
    venue = await city.venue()
    await city.offer(venue)
    await city.offer(venue, tariffs=["reduced", "reduced_youth"], kind="free", price_cents=None)
    till = await city.till(venue)
    answers = []
    for bits, name in [
        (REDUCED, None),
        (REDUCED, None),
        (REDUCED, "A<<B"),
        (REDUCED, "LANGERNAME<<MAXIMILIAN"),
    ]:
        phone = await city.phone(bits, name=name, ends=timedelta(days=5 + len(answers)))
        answers.append(await till.check(phone.code(city.now), **{"Accept-Language": language}))
    told = [json.loads(answer.content) for answer in answers]
    assert {len(answer.content) for answer in answers} == {len(answers[0].content)}
    assert len({frozenset(answer.headers.items()) for answer in answers}) == 1
    for each in told:
        receipt = each.pop("receipt")
        assert len(receipt) == LENGTH
    assert told[0] == told[1]
    for each in told:
        each.pop("name")
    assert told[0] == told[1] == told[2] == told[3]


async def test_tariffs_that_bring_the_same_here_are_told_apart_by_nothing(city: City) -> None:
    venue = await city.venue()
    await city.offer(venue, tariffs=["reduced", "reduced_youth"])
    till = await city.till(venue)
    told = []
    for bits in (REDUCED, YOUTH, REDUCED | YOUTH):
        phone = await city.phone(bits)
        answer = (await till.check(phone.code(city.now))).json()
        answer.pop("receipt")
        told.append(answer)
    assert told[0] == told[1] == told[2]
