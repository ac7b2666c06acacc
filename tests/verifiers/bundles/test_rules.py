"""A scanner without a network judges as the server does, and knows what it cannot know."""

from datetime import timedelta

import pytest

from core import jose
from core.clock import day_of
from core.jose import KeySet, TokenRefused
from core.vault import KeyUse
from issuers.trustlist.rules import read as read_trust_list
from tests.verifiers.makers import City, Till
from verifiers.bundles.rules import (
    BundleRefused,
    Kit,
    Memory,
    judge_offline,
    open_bundle,
    remember,
    remember_accepted,
)
from verifiers.bundles.schemas import BundleView
from verifiers.checks.rules import Judgement, Outcome, Reason


async def fetch(city: City, till: Till) -> BundleView:
    answer = await till.get("/v1/bundle")
    assert answer.status_code == 200, answer.text
    return BundleView.model_validate_json(answer.content)


def anchors(city: City) -> KeySet:
    return KeySet(tuple(jose.Key(key.public_key, key.key_id) for key in city.vault.keys(KeyUse.TRUST_LIST)))


def judged(city: City, code: str, kit: Kit, memory: Memory) -> Judgement:
    return judge_offline(code, kit, memory, now=city.now, today=day_of(city.now, city.settings.zone))


async def test_what_the_server_accepts_the_scanner_accepts_too(city: City) -> None:
    venue = await city.venue()
    offer = await city.offer(venue)
    await city.offer(venue, since="2026-09-20")
    till, phone, paper = await city.till(venue), await city.phone(), await city.paper()
    kit, memory = open_bundle(await fetch(city, till), anchors(city), None, city.now), Memory()
    remember(memory, kit)
    for code in (phone.code(city.now), paper.code):
        judgement = judged(city, code, kit, memory)
        assert judgement.outcome is Outcome.ACCEPTED, judgement.reason
        assert [each.id for each in judgement.offers] == [offer]
    assert judged(city, phone.code(city.now), kit, memory).reason is Reason.REPLAYED


async def test_a_revocation_comes_with_the_next_bundle_and_lists_never_go_back(city: City) -> None:
    venue = await city.venue()
    await city.offer(venue)
    till, phone = await city.till(venue), await city.phone()
    old = open_bundle(await fetch(city, till), anchors(city), None, city.now)
    memory = Memory()
    remember(memory, old)
    await city.revoke(phone)
    city.clock.forward(timedelta(minutes=2))
    assert judged(city, phone.code(city.now), old, memory).outcome is Outcome.ACCEPTED
    new = open_bundle(await fetch(city, till), anchors(city), old.trust_list, city.now)
    remember(memory, new)
    city.clock.forward(timedelta(seconds=1))
    assert judged(city, phone.code(city.now), new, memory).reason is Reason.REVOKED
    assert judged(city, phone.code(city.now), old, memory).reason is Reason.STATUS_ROLLED_BACK


async def test_lists_that_are_too_old_mean_cannot_tell(city: City) -> None:
    venue = await city.venue()
    await city.offer(venue)
    till, phone = await city.till(venue), await city.phone(ends=timedelta(days=14))
    kit, memory = open_bundle(await fetch(city, till), anchors(city), None, city.now), Memory()
    remember(memory, kit)
    city.clock.forward(timedelta(days=8))
    judgement = judged(city, phone.code(city.now), kit, memory)
    assert (judgement.outcome, judgement.reason) == (Outcome.CANNOT_TELL, Reason.STATUS_STALE)


async def test_a_scanners_clock_never_runs_back_behind_its_bundle(city: City) -> None:
    venue = await city.venue()
    till, phone = await city.till(venue), await city.phone()
    kit, memory = open_bundle(await fetch(city, till), anchors(city), None, city.now), Memory()
    remember(memory, kit)
    city.clock.forward(timedelta(hours=-1))
    judgement = judged(city, phone.code(city.now), kit, memory)
    assert (judgement.outcome, judgement.reason) == (Outcome.CHECK_THE_CLOCK, Reason.SCANNER_CLOCK_BEHIND)


async def test_a_bundle_by_another_hand_is_refused(city: City) -> None:
    venue = await city.venue()
    till = await city.till(venue)
    await city.phone()
    view = await fetch(city, till)
    kit = open_bundle(view, anchors(city), None, city.now)
    with pytest.raises(TokenRefused):
        open_bundle(view, KeySet(), None, city.now)
    forged = view.status_lists[0].token[:-4] + "AAAA"
    lists = [view.status_lists[0].model_copy(update={"token": forged})]
    with pytest.raises(TokenRefused):
        open_bundle(view.model_copy(update={"status_lists": lists}), anchors(city), None, city.now)
    newer = read_trust_list({**kit.trust_list.claims(), "version": kit.trust_list.version + 1})
    with pytest.raises(BundleRefused):
        open_bundle(view, anchors(city), newer, city.now)


async def test_what_the_server_accepted_is_seen_when_the_network_goes(city: City) -> None:
    venue = await city.venue()
    await city.offer(venue)
    till, phone, paper = await city.till(venue), await city.phone(), await city.paper()
    kit, memory = open_bundle(await fetch(city, till), anchors(city), None, city.now), Memory()
    remember(memory, kit)
    code = phone.code(city.now)
    for shown in (code, paper.code):
        assert (await till.check(shown)).json()["outcome"] == "accepted"
        remember_accepted(memory, shown, kit.view.code_host)
    remember_accepted(memory, "no code", kit.view.code_host)
    remember_accepted(memory, phone.code(city.now - timedelta(seconds=30)), kit.view.code_host)
    assert judged(city, code, kit, memory).reason is Reason.REPLAYED
    assert judged(city, paper.code, kit, memory).outcome is Outcome.ACCEPTED
    city.clock.forward(timedelta(seconds=1))
    assert judged(city, phone.code(city.now), kit, memory).outcome is Outcome.ACCEPTED
