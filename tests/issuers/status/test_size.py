"""Lists of a million entries, and of one bit."""

import random
import time
from datetime import UTC, datetime, timedelta
from math import log2

import pytest

from core.clock import FixedClock
from core.database import Database
from core.errors import Conflict
from core.settings import Settings
from core.vault import Vault
from issuers.authorities.models import Authority
from issuers.credentials import pausing
from issuers.credentials.models import Credential
from issuers.credentials.rules import CredentialKind
from issuers.status.models import ListKind
from issuers.status.rules import Status, StatusList
from issuers.status.service import StatusMemory, allocate, set_status

MILLION = 1_000_000


@pytest.mark.parametrize(("bits", "share"), [(1, 0.005), (2, 0.005), (1, 0.03), (2, 0.03)])
def test_a_list_of_a_million_is_little_larger_than_what_it_says(bits: int, share: float) -> None:
    statuses = StatusList.blank(MILLION, bits)
    for index in random.Random(1).sample(range(MILLION), int(MILLION * share)):
        statuses.set(index, Status.INVALID)
    entropy = -MILLION * (share * log2(share) + (1 - share) * log2(1 - share)) / 8
    assert len(statuses.packed()) <= 1.6 * entropy


def test_a_list_is_packed_once_and_anew_after_a_change() -> None:
    statuses = StatusList.blank(MILLION)
    packed = statuses.packed()
    assert statuses.packed() is packed
    statuses.set(77, Status.INVALID)
    assert StatusList.unpack(1, statuses.packed()).get(77) == Status.INVALID
    assert StatusList.unpack(1, packed).get(77) == Status.VALID


async def test_a_million_places_are_given_out_and_published(
    database: Database, vault: Vault, settings: Settings, clock: FixedClock, authority: Authority
) -> None:
    large = settings.model_copy(update={"status_size": MILLION})
    memory, until = StatusMemory(), clock.now() + timedelta(days=90)
    async with database.writing() as session:
        places = await allocate(
            session, ListKind.CREDENTIAL, 500, until=until, settings=large, now=clock.now()
        )
    assert len(set(places)) == 500
    assert max(index for _, index in places) > MILLION // 2
    async with database.writing() as session:
        await set_status(session, places[:1], Status.INVALID, now=clock.now())
    async with database.reading() as session:
        await memory.follow(session, clock.now())
        begun = time.process_time()
        published = await memory.published(
            session, places[0][0], vault=vault, settings=large, now=clock.now()
        )
        assert time.process_time() - begun < 1
    assert len(published.jwt.token) < 150_000
    assert [memory.status(place) for place in places[:2]] == [Status.INVALID, Status.VALID]


async def test_with_one_bit_a_credential_is_valid_or_revoked_and_never_between(
    database: Database, vault: Vault, settings: Settings, clock: FixedClock, authority: Authority
) -> None:
    one_bit = settings.model_copy(update={"status_bits": 1})
    memory, until = StatusMemory(one_bit.status_bits), clock.now() + timedelta(days=90)
    async with database.writing() as session:
        places = await allocate(session, ListKind.CARD, 3, until=until, settings=one_bit, now=clock.now())
        await set_status(session, places[:1], Status.INVALID, now=clock.now())
        # From before the setting was changed: what was suspended must not become valid.
        await set_status(session, places[1:2], Status.SUSPENDED, now=clock.now())
        row = Credential(
            person_id=authority.id,
            kind=CredentialKind.PRINTED,
            key_id="00000000",
            status_list=places[2][0],
            status_index=places[2][1],
            tariff_bits=1,
            named=True,
            issued_at=datetime(2026, 1, 1, tzinfo=UTC),
            expires_at=until,
        )
        with pytest.raises(Conflict):
            await pausing.pause(session, None, row, settings=one_bit, now=clock.now())
    async with database.reading() as session:
        await memory.follow(session, clock.now())
    assert [memory.status(place) for place in places] == [Status.INVALID, Status.INVALID, Status.VALID]
    assert memory.held(places[0][0]).statuses.bits == 1
