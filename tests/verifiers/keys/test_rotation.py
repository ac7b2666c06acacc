"""Keys change while cards are made, shown and checked: nobody with a good card is turned away, and a lost key ends at once."""

from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select
from sqlmodel import col

from core import jose, texts
from core.access.rules import Role
from core.clock import day_of
from core.vault import KeyUse, UnknownKey
from entitlements.notices.models import Notice
from issuers.authorities.certificates import development_anchor
from issuers.authorities.service import current_key, rotate, withdraw
from issuers.credentials.models import Credential
from issuers.credentials.rules import Revocation
from issuers.credentials.service import Issued, issue_for_wallet
from issuers.credentials.x5c import Anchors, Path
from issuers.status.rules import Status, read, read_reference
from issuers.trustlist.rules import read as read_trust_list
from tests.issuers.makers import hold, make_person, run_jobs
from tests.makers import sign_in
from tests.verifiers.makers import City, Paper, Phone, Till
from verifiers.bundles.rules import BundleRefused, Kit, Memory, judge_offline, open_bundle, remember
from verifiers.bundles.schemas import BundleView
from verifiers.checks.rules import Outcome, Reason

STEP = timedelta(hours=8)


@dataclass
class Alone:
    """A scanner that fetches what it needs now and then, and judges by it."""

    city: City
    till: Till
    kit: Kit | None = None
    memory: Memory = field(default_factory=Memory)

    async def fetch(self) -> Kit:
        answer = await self.till.get("/v1/bundle")
        assert answer.status_code == 200, answer.text
        view = BundleView.model_validate_json(answer.content)
        held = None if self.kit is None else self.kit.trust_list
        trusted = held or read_trust_list(texts.read_object(texts.unb64url(view.trust_list.split(".")[1])))
        anchors = trusted.anchors_at(max(self.city.now, trusted.issued_at))
        self.kit = open_bundle(view, anchors, held, self.city.now)
        remember(self.memory, self.kit)
        return self.kit

    def judge(self, code: str) -> tuple[Outcome, Reason | None]:
        assert self.kit is not None
        today = day_of(self.city.now, self.city.settings.zone)
        judged = judge_offline(code, self.kit, self.memory, now=self.city.now, today=today)
        return judged.outcome, judged.reason


async def test_keys_rotate_under_load_and_nobody_is_refused(city: City) -> None:
    venue = await city.venue()
    await city.offer(venue)
    till = await city.till(venue)
    often, daily = Alone(city, await city.till(venue, "2")), Alone(city, await city.till(venue, "3"))
    cards: list[tuple[Phone | Paper, Any]] = []
    signed_by: set[bytes] = set()
    refused: list[Any] = []

    async def make() -> None:
        phone, paper = await city.phone(ends=timedelta(days=3)), await city.paper()
        cards.extend(((phone, city.now + timedelta(days=3)), (paper, city.now + timedelta(days=90))))
        signed_by.update({_kid(phone.card), _kid(paper.card)})

    async def turn(use: KeyUse) -> None:
        async with city.database.writing() as session:
            await rotate(session, city.vault, use, city.now)

    async def check(card: Phone | Paper) -> None:
        code = card.code if isinstance(card, Paper) else card.code(city.now)
        answer = await till.check(code)
        if answer.status_code != 200 or answer.json()["outcome"] != "accepted":
            refused.append(answer.text)

    for step in range(24):  # eight days: every key changes once, that of the cards twice
        good = [card for card, ends in cards if ends > city.now]
        async with anyio.create_task_group() as tasks:
            for use in {1: [KeyUse.CARD], 2: [KeyUse.PRINTED, KeyUse.STATUS_LIST], 10: [KeyUse.CARD]}.get(
                step, []
            ):
                tasks.start_soon(turn, use)
            tasks.start_soon(make)
            for card in dict.fromkeys(map(id, good[-4:] + good[:2])):
                tasks.start_soon(check, next(one for one in good if id(one) == card))
        await _work(city)
        await often.fetch()
        if step % 3 == 0:
            await daily.fetch()
        city.clock.forward(timedelta(minutes=1))
        for scanner in (often, daily):
            for card in good:
                code = card.code if isinstance(card, Paper) else card.code(city.now)
                outcome, reason = scanner.judge(code)
                if outcome is not Outcome.ACCEPTED and not (
                    # A scanner that was away may not know a list that was opened since; it says so and refuses nobody.
                    outcome is Outcome.CANNOT_TELL and scanner is daily and reason is Reason.STATUS_MISSING
                ):
                    refused.append((step, outcome, reason))
        city.clock.forward(STEP)
    assert not refused
    assert len(signed_by) == 5  # three keys of cards and two of paper have signed what was accepted


async def test_a_scanner_that_was_away_for_days_cannot_tell_and_calls_nobody_a_forger(city: City) -> None:
    venue = await city.venue()
    await city.offer(venue)
    away = Alone(city, await city.till(venue))
    before = await city.phone(ends=timedelta(days=13))
    await away.fetch()
    async with city.database.writing() as session:
        await rotate(session, city.vault, KeyUse.CARD, city.now)
    city.clock.forward(timedelta(days=2))
    after = await city.phone()
    assert _kid(before.card) != _kid(after.card)
    assert away.judge(before.code(city.now)) == (Outcome.ACCEPTED, None)
    assert away.judge(after.code(city.now)) == (Outcome.CANNOT_TELL, Reason.TRUST_LIST_STALE)
    await _work(city)
    await away.fetch()
    assert away.judge(after.code(city.now)) == (Outcome.ACCEPTED, None)


async def test_a_lost_key_of_cards_ends_everywhere_with_the_next_list(city: City) -> None:
    venue = await city.venue()
    await city.offer(venue)
    till, alone = await city.till(venue), Alone(city, await city.till(venue, "2"))
    phone, paper = await city.phone(), await city.paper()
    old = await alone.fetch()
    operator = await sign_in(city.database, city.vault, city.now, Role.OPERATOR)
    for card in (phone, paper):
        path = f"/v1/keys/{_kid(card.card).hex()}/withdrawal"
        answer = await city.client.post(path, json={"reason": "compromised"}, headers=operator)
        assert answer.status_code == 201, answer.text
    city.clock.forward(timedelta(seconds=5))
    for code in (phone.code(city.now), paper.code):  # online at once, before any job has run
        assert (await till.check(code)).json()["reason"] == "key_withdrawn"
        if code is paper.code:
            assert alone.judge(code)[0] is Outcome.ACCEPTED  # offline, as of the last list
    await _work(city)
    new = await alone.fetch()
    assert new.trust_list.version > old.trust_list.version
    for code in (phone.code(city.now), paper.code):
        assert alone.judge(code) == (Outcome.REFUSED, Reason.KEY_WITHDRAWN)
    for card in (phone, paper):
        assert new.sheets[card.place.status_list][card.place.index] == Status.INVALID
        with pytest.raises(UnknownKey):
            city.vault.signer(_kid(card.card).hex())
    # What is made now is good, and nobody gets a scanner to go back to the list of before.
    assert alone.judge((await city.paper()).code)[0] is not Outcome.REFUSED
    with pytest.raises(BundleRefused):
        open_bundle(old.view, new.trust_list.anchors_at(city.now), new.trust_list, city.now)
    anew = await city.phone()
    await alone.fetch()
    assert alone.judge(anew.code(city.now)) == (Outcome.ACCEPTED, None)


async def test_a_card_that_was_being_signed_while_the_key_was_withdrawn_is_revoked_too(city: City) -> None:
    async with city.database.writing() as session:
        key = await current_key(session, KeyUse.CARD, city.now)
        await withdraw(session, city.vault, key.key_id, city.now, reason="compromised")
    await _work(city)
    late = await city.phone()
    async with city.database.writing() as session:  # as if its transaction had begun before
        row = (await session.execute(_row_of(late))).scalar_one()
        row.key_id = key.key_id
        session.add(row)
    city.clock.forward(timedelta(minutes=3))
    await _work(city)
    async with city.database.reading() as session:
        assert (await session.execute(_row_of(late))).scalar_one().revoked_for is Revocation.KEY_WITHDRAWN


async def test_a_printed_card_is_made_anew_when_its_key_is_lost_and_its_holder_is_told(city: City) -> None:
    async with city.database.writing() as session:
        person = await make_person(session, city.vault, city.now, given="Erika", family="Muster")
        await _hold(session, city, person)
    desk = await sign_in(city.database, city.vault, city.now, Role.CASE_WORKER)
    desk |= {"Acting-For": str(person), "Channel": "desk"}
    made = await city.client.post("/v1/printed-cards", headers=desk)
    assert made.status_code == 201, made.text
    async with city.database.writing() as session:
        key = await current_key(session, KeyUse.PRINTED, city.now)
        await withdraw(session, city.vault, key.key_id, city.now, reason="compromised")
    await _work(city)
    listed = (await city.client.get("/v1/printed-cards", headers=desk)).json()["cards"]
    (anew,) = [card for card in listed if card["ended_at"] is None]
    assert anew["id"] != made.json()["id"]
    async with city.database.reading() as session:
        rows = (
            await session.execute(select(Credential).where(col(Credential.person_id) == person))
        ).scalars()
        standing = {row.key_id == key.key_id: row.revoked_for for row in rows}
        assert standing == {True: Revocation.KEY_WITHDRAWN, False: None}
        told = (await session.execute(select(col(Notice.code)))).scalars().all()
    assert told.count("card.printed-again") == 1


# ---- credentials in the wallets of others ----


async def test_wallets_credentials_hold_across_a_rotation_and_end_with_a_lost_key(city: City) -> None:
    async with city.database.writing() as session:
        anchor = await development_anchor(session, city.vault, city.now)
        assert anchor is not None
        person = await make_person(session, city.vault, city.now, given="Erika", family="Muster")
        await _hold(session, city, person)
    trusted = Anchors([anchor])
    first = await _issue(city, person)
    async with city.database.writing() as session:
        next_key = (await rotate(session, city.vault, KeyUse.CREDENTIAL, city.now)).key_id
    await _work(city)
    for _ in range(4):
        assert await _verdict(city, trusted, first) is Status.VALID
        assert await _verdict(city, trusted, await _issue(city, person)) is Status.VALID
        city.clock.forward(timedelta(hours=8))
    second = await _issue(city, person)
    assert second.credential_id != first.credential_id
    async with city.database.writing() as session:
        row = await session.get_one(Credential, second.credential_id)
        assert row.key_id == next_key
        await withdraw(session, city.vault, next_key, city.now, reason="compromised")
    await _work(city)
    assert await _verdict(city, trusted, second) is Status.INVALID
    assert (
        await _verdict(city, trusted, first) is Status.VALID
    )  # another key signed it, and that one is not lost
    third = await _issue(city, person)
    assert await _verdict(city, trusted, third) is Status.VALID


async def _work(city: City) -> None:
    """Does what is owed, and nothing that a night brings."""
    await run_jobs(city.database, city.settings, city.vault, city.clock)


async def _issue(city: City, person: UUID) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    async with city.database.writing() as session:
        (issued,) = await issue_for_wallet(
            session,
            city.vault,
            city.settings,
            person_id=person,
            keys=[key],
            programme=None,
            batch_id=uuid4(),
            now=city.now,
        )
    return issued


async def _verdict(city: City, trusted: Anchors, issued: Issued) -> Status:
    """What a verifier who knows nothing but the anchor finds: both chains hold, and so does the list's word."""
    token = issued.signed.decode().split("~")[0]
    claims = _by_chain(city, trusted, token, "dc+sd-jwt")
    reference = read_reference(claims["status"])
    answer = await city.client.get(reference.uri.removeprefix(city.settings.public_url))
    assert answer.status_code == 200, answer.text
    listed = read(_by_chain(city, trusted, answer.text, "statuslist+jwt"), reference.uri)
    return Status(listed.statuses.get(reference.index))


def _by_chain(city: City, trusted: Anchors, token: str, typ: str) -> Any:
    header = texts.read_object(texts.unb64url(token.split(".", maxsplit=1)[0]))
    path = trusted.trace(header["x5c"], city.now)
    assert isinstance(path, Path), path
    return jose.verify(token, jose.KeySet((jose.Key(path.key, header.get("kid", "")),)), typ=typ).claims


async def _hold(session: Any, city: City, person: UUID) -> None:
    from entitlements.rulebook.models import TariffRow

    for row in (await session.execute(select(TariffRow))).scalars().all():
        await session.delete(row)
    await session.flush()
    await hold(session, city.settings, person, city.now)


def _row_of(card: Phone) -> Any:
    return select(Credential).where(col(Credential.card_hash) == sha256(card.card).digest())


def _kid(card: bytes) -> bytes:
    import cbor2

    kid: bytes = cbor2.loads(cbor2.loads(card)[0])[4]
    return kid
