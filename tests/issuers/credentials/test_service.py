from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

import anyio
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from core import cose
from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import KeyUse, Vault
from issuers.authorities.service import withdraw
from issuers.credentials import service
from issuers.credentials.card import CardId, card_is_genuine, read_card
from issuers.credentials.models import Credential
from issuers.credentials.rules import Revocation
from issuers.credentials.service import Issued, NothingHeld
from issuers.status.rules import Status
from issuers.status.service import StatusMemory
from tests.issuers.makers import PhoneKey, hold, lose, make_person

pytestmark = pytest.mark.usefixtures("authority")

PHONE = uuid4()


class Town:
    """A database with an authority, in which people hold something and get cards."""

    def __init__(self, database: Database, vault: Vault, settings: Settings, clock: FixedClock) -> None:
        self.database, self.vault, self.settings, self.clock = database, vault, settings, clock

    async def person(self, **held: object) -> UUID:
        async with self.database.writing() as session:
            person_id = await make_person(session, self.vault, self.clock.now())
            await hold(session, self.settings, person_id, self.clock.now(), **held)  # type: ignore[arg-type]
            return person_id

    async def cards(
        self,
        person_id: UUID,
        count: int = 1,
        *,
        keys: Sequence[PhoneKey] | None = None,
        vault: Vault | None = None,
    ) -> list[Issued]:
        async with self.database.writing() as session:
            return await service.issue_cards(
                session,
                vault or self.vault,
                self.settings,
                person_id=person_id,
                device_id=PHONE,
                holders=[key.point for key in keys or [PhoneKey() for _ in range(count)]],
                name=None,
                now=self.clock.now(),
            )

    async def rows(self) -> list[Credential]:
        async with self.database.reading() as session:
            return list((await session.execute(select(Credential))).scalars())

    async def statuses(self) -> dict[UUID, Status | None]:
        memory = StatusMemory()
        async with self.database.reading() as session:
            await memory.follow(session, self.clock.now())
        return {row.id: memory.status((row.status_list, row.status_index)) for row in await self.rows()}

    async def holdings_changed(self, person_id: UUID) -> None:
        async with self.database.writing() as session:
            await service.on_holdings_changed(
                session, {"person_id": str(person_id)}, self.clock.now(), settings=self.settings
            )


@pytest.fixture
def town(database: Database, vault: Vault, settings: Settings, clock: FixedClock) -> Town:
    return Town(database, vault, settings, clock)


class Falls(Exception):
    """The machine falls."""


class FallingVault:
    """A vault whose machine falls at the second signature."""

    def __init__(self, vault: Vault) -> None:
        self.vault, self.signed = vault, 0

    def signer(self, key_id: str, use: KeyUse | None = None) -> "FallingVault":
        self.inner = self.vault.signer(key_id, use)
        self.kid, self.public_key = self.inner.kid, self.inner.public_key
        return self

    def sign(self, data: bytes) -> bytes:
        self.signed += 1
        if self.signed == 2:
            raise Falls
        return self.inner.sign(data)


async def test_a_card_says_what_is_held_and_the_authority_signed_it(town: Town, vault: Vault) -> None:
    person = await town.person(tariffs=("reduced", "reduced_youth"))
    key = PhoneKey()
    (issued,) = await town.cards(person, keys=[key])
    signed, end = cose.read_sign1(issued.signed)
    card = read_card(signed)
    (row,) = await town.rows()
    assert end == len(issued.signed)
    assert (card.tariff_bits, card.holder, card.name) == (3, key.point, None)
    assert card.status == CardId(row.status_list, row.status_index)
    assert card.exp == int(row.expires_at.timestamp()) == int(issued.expires_at.timestamp())
    assert card_is_genuine(signed, vault.keys(KeyUse.CARD)[0].public_key)
    assert row.card_hash == sha256(issued.signed).digest()


async def test_a_fall_between_row_and_signature_leaves_rows_that_can_be_revoked(
    town: Town, database: Database, clock: FixedClock
) -> None:
    person = await town.person()
    async with database.writing() as session:
        with pytest.raises(Falls):
            await service.issue_cards(
                session,
                FallingVault(town.vault),  # type: ignore[arg-type]
                town.settings,
                person_id=person,
                device_id=PHONE,
                holders=[PhoneKey().point for _ in range(3)],
                name=None,
                now=clock.now(),
            )
    rows = await town.rows()
    assert len(rows) == 3
    async with database.writing() as session:
        taken = await service.revoke(session, [row.id for row in rows], Revocation.LOST, now=clock.now())
    assert len(taken) == 3
    assert set((await town.statuses()).values()) == {Status.INVALID}


async def test_when_the_signer_fails_the_caller_gets_nothing_and_nothing_is_promised(town: Town) -> None:
    person = await town.person()
    with pytest.raises(Falls):
        await town.cards(person, 3, vault=FallingVault(town.vault))  # type: ignore[arg-type]
    assert await town.rows() == []


async def test_nobody_gets_a_card_for_nothing(town: Town, database: Database, clock: FixedClock) -> None:
    async with database.writing() as session:
        person = await make_person(session, town.vault, clock.now())
    with pytest.raises(NothingHeld):
        await town.cards(person)
    assert await town.rows() == []


async def test_one_key_gets_one_card(town: Town) -> None:
    key = PhoneKey()
    person = await town.person()
    await town.cards(person, keys=[key])
    with pytest.raises(IntegrityError):
        await town.cards(person, keys=[key])


async def test_nameless_cards_of_equal_tariff_differ_only_where_chance_made_them(town: Town) -> None:
    people = [await town.person(tariffs=("reduced",)) for _ in range(3)]
    shown = []
    for person in people:
        for issued in await town.cards(person, 4):
            signed, _ = cose.read_sign1(issued.signed)
            shown.append((read_card(signed), len(issued.signed)))
        town.clock.forward(timedelta(hours=7))
    assert len({(card.kid, card.exp, card.tariff_bits, card.name) for card, _ in shown}) == 1
    assert len({card.holder for card, _ in shown}) == len({card.status for card, _ in shown}) == 12
    # The index takes as many bytes as its number needs; that is all that the length can tell.
    lengths = {(card.status.index > 255) + (card.status.index > 23): length for card, length in shown}
    assert all(
        length == lengths[(card.status.index > 255) + (card.status.index > 23)] for card, length in shown
    )


async def test_a_birthday_that_changes_the_tariff_ends_the_card_before_it(town: Town) -> None:
    person = await town.person(tariffs=("reduced", "reduced_youth"), changes_on=date(2026, 9, 20))
    (issued,) = await town.cards(person)
    assert issued.expires_at == datetime(2026, 9, 19, 22, 0, tzinfo=UTC)


async def test_a_card_does_not_outlive_an_announced_end(town: Town) -> None:
    person = await town.person(until=date(2026, 9, 20))
    town.clock.forward(timedelta(days=14))
    (issued,) = await town.cards(person)
    # Announced on 16 September: received on the 20th, held until 4 October.
    assert issued.expires_at == datetime(2026, 10, 4, 22, 0, tzinfo=UTC)


async def test_cards_that_promise_more_than_is_held_are_taken_back_and_others_are_not(
    town: Town, database: Database, clock: FixedClock
) -> None:
    person, other = await town.person(), await town.person()
    async with database.writing() as session:
        extra = await hold(
            session, town.settings, person, clock.now(), tariffs=("social_ticket",), programme="sozialpass"
        )
    before = {card.credential_id for card in await town.cards(person, 3)}
    others = {card.credential_id for card in await town.cards(other, 2)}
    async with database.writing() as session:
        await lose(session, town.settings, extra, clock.now())
    after = {card.credential_id for card in await town.cards(person, 2)}
    await town.holdings_changed(person)
    statuses = await town.statuses()
    assert {statuses[card] for card in before} == {Status.INVALID}
    assert {statuses[card] for card in after | others} == {Status.VALID}
    rows = {row.id: row for row in await town.rows()}
    assert {rows[card].revoked_for for card in before} == {Revocation.NOT_HELD}


async def test_taking_back_again_changes_nothing(town: Town, database: Database, clock: FixedClock) -> None:
    person = await town.person()
    issued = [card.credential_id for card in await town.cards(person, 2)]
    async with database.writing() as session:
        assert len(await service.revoke(session, issued, Revocation.LOST, now=clock.now())) == 2
    clock.forward(timedelta(hours=1))
    async with database.writing() as session:
        assert await service.revoke(session, issued, Revocation.REPLACED, now=clock.now()) == []
    assert {row.revoked_for for row in await town.rows()} == {Revocation.LOST}
    await town.holdings_changed(person)
    assert {row.revoked_for for row in await town.rows()} == {Revocation.LOST}


async def test_a_card_made_while_the_entitlement_ends_is_taken_back_or_not_made(
    town: Town, database: Database, clock: FixedClock
) -> None:
    async with database.writing() as session:
        person = await make_person(session, town.vault, clock.now())
        held = await hold(session, town.settings, person, clock.now())

    async def top_up() -> None:
        try:
            await town.cards(person, 4)
        except NothingHeld:
            return

    async def end() -> None:
        async with database.writing() as session:
            await lose(session, town.settings, held, clock.now())
        await town.holdings_changed(person)

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(top_up)
        tasks.start_soon(end)
        for _ in range(4):
            tasks.start_soon(top_up)
    assert set((await town.statuses()).values()) <= {Status.INVALID}


async def test_a_card_of_ours_is_known_again_by_its_bytes_and_by_nothing_else(
    town: Town, database: Database, clock: FixedClock
) -> None:
    person = await town.person()
    issued = await town.cards(person, 5)
    digests = {sha256(card.signed).digest() for card in issued}
    async with database.reading() as session:
        known = await service.recognise(session, sha256(issued[0].signed).digest())
        assert known is not None
        assert known.expires_at == issued[0].expires_at
        assert await service.recognise(session, sha256(issued[0].signed + b"\0").digest()) is None
        chunks = [part async for part in service.issued_since(session, None, now=clock.now(), chunk=2)]
    assert {card.card_hash for part in chunks for card in part} == digests
    clock.forward(timedelta(days=15))
    async with database.reading() as session:
        assert [part async for part in service.issued_since(session, None, now=clock.now())] == []


async def test_what_a_withdrawn_key_signed_is_revoked_and_the_next_card_has_another_key(
    town: Town, database: Database, clock: FixedClock
) -> None:
    person = await town.person()
    (before,) = await town.cards(person)
    old = town.vault.keys(KeyUse.CARD)[0].key_id
    async with database.writing() as session:
        await withdraw(session, town.vault, old, clock.now(), reason="compromised")
    async with database.writing() as session:
        await service.on_key_withdrawn(session, {"key_id": old}, clock.now())
    (after,) = await town.cards(person)
    statuses = await town.statuses()
    assert statuses[before.credential_id] is Status.INVALID
    assert statuses[after.credential_id] is Status.VALID
    assert {row.key_id for row in await town.rows()} > {old}


async def test_rows_of_ended_cards_are_forgotten_after_a_month(
    town: Town, database: Database, clock: FixedClock
) -> None:
    await town.cards(await town.person(), 2)
    for days, left in ((20, 2), (30, 0)):
        clock.forward(timedelta(days=days))
        async with database.writing() as session:
            await service.forget_ended(session, {}, clock.now())
            found = await session.execute(select(func.count(col(Credential.id))))
            assert found.scalar_one() == left
