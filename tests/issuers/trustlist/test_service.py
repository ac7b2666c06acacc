from datetime import timedelta

import anyio
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core import jose, texts
from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import KeyUse, Vault
from issuers.authorities.models import Authority
from issuers.authorities.service import current_key, rotate, withdraw
from issuers.trustlist import rules
from issuers.trustlist.rules import Acceptance, Standing, TrustList
from issuers.trustlist.service import current, publish, trusted
from tests.issuers.makers import run_jobs


class Press:
    """Publishes lists and reads them as a scanner would, from the anchors it was enrolled with."""

    def __init__(self, database: Database, vault: Vault, settings: Settings, clock: FixedClock) -> None:
        self.database, self.vault, self.settings, self.clock = database, vault, settings, clock
        anchor = vault.keys(KeyUse.TRUST_LIST)[0]
        self.anchors = jose.KeySet((jose.Key(anchor.public_key, anchor.key_id),))

    async def publish(self) -> TrustList:
        async with self.database.writing() as session:
            row = await publish(session, self.vault, self.settings, self.clock.now())
            return rules.verify(row.token, self.anchors)

    async def key(self, use: KeyUse = KeyUse.CARD) -> bytes:
        async with self.database.reading() as session:
            return bytes.fromhex((await current_key(session, use, self.clock.now())).key_id)


async def test_the_list_names_every_key_that_scanners_need(
    database: Database, vault: Vault, settings: Settings, clock: FixedClock, authority: Authority
) -> None:
    press = Press(database, vault, settings, clock)
    published = await press.publish()
    for use in (KeyUse.CARD, KeyUse.PRINTED, KeyUse.STATUS_LIST, KeyUse.CHECKPOINT):
        assert published.standing(await press.key(use), use, clock.now()) is Standing.TRUSTED
    assert (published.version, published.publisher) == (1, settings.public_url)


async def test_nothing_new_is_no_new_version_and_a_day_later_there_is_one(
    database: Database, vault: Vault, settings: Settings, clock: FixedClock, authority: Authority
) -> None:
    press = Press(database, vault, settings, clock)
    first = await press.publish()
    clock.forward(timedelta(hours=1))
    assert rules.accept(first, await press.publish(), clock.now()) is Acceptance.SAME
    clock.forward(timedelta(days=1))
    second = await press.publish()
    assert second.version == 2
    assert rules.accept(first, second, clock.now()) is Acceptance.TAKEN


async def test_of_two_who_publish_at_once_one_makes_the_version(
    database: Database, vault: Vault, settings: Settings, clock: FixedClock, authority: Authority
) -> None:
    press = Press(database, vault, settings, clock)
    seen: list[int] = []

    async def one() -> None:
        seen.append((await press.publish()).version)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(one)
    assert seen == [1] * 5


async def test_a_rotated_key_stays_good_until_all_that_it_signed_has_ended(
    database: Database, vault: Vault, settings: Settings, clock: FixedClock, authority: Authority
) -> None:
    press = Press(database, vault, settings, clock)
    held, old = await press.publish(), await press.key()
    async with database.writing() as session:
        new = bytes.fromhex((await rotate(session, vault, KeyUse.CARD, clock.now())).key_id)
    for _ in range(1 + settings.card_days):
        offered = await press.publish()
        assert rules.accept(held, offered, clock.now()) in {Acceptance.TAKEN, Acceptance.SAME}
        held = offered
        # Known from its announcement on, so that the first card it signs is refused nowhere.
        assert held.standing(new, KeyUse.CARD, clock.now()) is Standing.TRUSTED
        assert held.standing(old, KeyUse.CARD, clock.now()) is Standing.TRUSTED
        clock.forward(timedelta(days=1))
    clock.forward(timedelta(days=2))
    assert (await press.publish()).find(old) is None


async def test_a_withdrawn_key_is_withdrawn_in_the_next_list_and_never_comes_back(
    database: Database, vault: Vault, settings: Settings, clock: FixedClock, authority: Authority
) -> None:
    press = Press(database, vault, settings, clock)
    held, lost = await press.publish(), await press.key()
    clock.forward(timedelta(minutes=1))
    async with database.writing() as session:
        await withdraw(session, vault, lost.hex(), clock.now(), reason="compromised")
        assert (await trusted(session, settings, clock.now())).standing(
            lost, KeyUse.CARD, clock.now()
        ) is Standing.WITHDRAWN
    offered = await press.publish()
    assert rules.accept(held, offered, clock.now()) is Acceptance.TAKEN
    assert offered.standing(lost, KeyUse.CARD, clock.now()) is Standing.WITHDRAWN
    assert offered.standing(await press.key(), KeyUse.CARD, clock.now()) is Standing.TRUSTED
    for _ in range(3):
        clock.forward(timedelta(days=1))
        held, offered = offered, await press.publish()
        assert rules.accept(held, offered, clock.now()) is Acceptance.TAKEN


async def test_the_key_of_the_list_itself_can_be_rotated_without_a_new_enrolment(
    database: Database, vault: Vault, settings: Settings, clock: FixedClock, authority: Authority
) -> None:
    press = Press(database, vault, settings, clock)
    held = await press.publish()
    async with database.writing() as session:
        await rotate(session, vault, KeyUse.TRUST_LIST, clock.now())
    for _ in range(20):
        async with database.writing() as session:
            row = await publish(session, vault, settings, clock.now())
        offered = rules.verify(row.token, held.anchors_at(clock.now()))
        assert rules.accept(held, offered, clock.now()) in {Acceptance.TAKEN, Acceptance.SAME}
        held = offered
        clock.forward(timedelta(days=1))
    signed_by = texts.read_object(texts.unb64url(row.token.split(".")[0]))["kid"]
    assert signed_by == vault.keys(KeyUse.TRUST_LIST)[-1].key_id


async def test_everybody_reads_the_list_and_asks_again_cheaply(
    *,
    client: AsyncTestClient[Litestar],
    database: Database,
    vault: Vault,
    settings: Settings,
    clock: FixedClock,
    authority: Authority,
) -> None:
    await Press(database, vault, settings, clock).publish()
    answer = await client.get("/trustlist")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(rules.MEDIA_TYPE)
    assert answer.headers["access-control-allow-origin"] == "*"
    again = await client.get("/trustlist", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    async with database.writing() as session:
        await rotate(session, vault, KeyUse.CARD, clock.now())
    await run_jobs(database, settings, vault, clock)
    newer = await client.get("/trustlist", headers={"If-None-Match": answer.headers["etag"]})
    assert newer.status_code == 200
    async with database.reading() as session:
        assert newer.text == (await current(session)).token


async def test_before_the_first_start_there_is_no_list(client: AsyncTestClient[Litestar]) -> None:
    assert (await client.get("/trustlist")).status_code == 503
