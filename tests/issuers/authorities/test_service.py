from datetime import timedelta

import anyio
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.access.rules import Role
from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import KeyUse, UnknownKey, Vault, open_vault
from issuers.authorities.models import Authority
from issuers.authorities.service import (
    USES,
    NoKey,
    RotationPending,
    current_key,
    destroy_key,
    ensure_authority,
    keys_of,
    rotate,
    signer_for,
    withdraw,
)
from tests.issuers.makers import run_jobs
from tests.makers import sign_in


async def test_before_the_first_start_nothing_can_be_signed(
    database: Database, vault: Vault, clock: FixedClock
) -> None:
    async with database.reading() as session:
        with pytest.raises(NoKey):
            await signer_for(session, vault, KeyUse.CARD, clock.now())


async def test_two_processes_that_start_at_once_make_one_authority_with_one_key_for_each_use(
    database: Database, settings: Settings, clock: FixedClock
) -> None:
    async def start() -> None:
        async with database.writing() as session:
            await ensure_authority(session, open_vault(settings), settings, clock.now())

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(start)
    async with database.reading() as session:
        keys = await keys_of(session)
    assert sorted(key.use for key in keys) == sorted(USES)
    assert len({key.authority_id for key in keys}) == 1


async def test_starting_again_changes_nothing(
    database: Database, vault: Vault, settings: Settings, clock: FixedClock, authority: Authority
) -> None:
    async with database.writing() as session:
        before = [key.key_id for key in await keys_of(session)]
        clock.forward(timedelta(days=100))
        again = await ensure_authority(session, vault, settings, clock.now())
        assert (again.id, [key.key_id for key in await keys_of(session)]) == (authority.id, before)


async def test_a_next_key_is_announced_a_day_before_it_signs(
    database: Database, vault: Vault, clock: FixedClock, authority: Authority
) -> None:
    async with database.writing() as session:
        old = await current_key(session, KeyUse.CARD, clock.now())
        new = await rotate(session, vault, KeyUse.CARD, clock.now())
        assert (await current_key(session, KeyUse.CARD, clock.now())).key_id == old.key_id
        with pytest.raises(RotationPending):
            await rotate(session, vault, KeyUse.CARD, clock.now())
        clock.forward(timedelta(days=1))
        assert (await current_key(session, KeyUse.CARD, clock.now())).key_id == new.key_id
        assert (await signer_for(session, vault, KeyUse.CARD, clock.now())).kid.hex() == new.key_id
        assert (await current_key(session, KeyUse.PRINTED, clock.now())).key_id not in {
            old.key_id,
            new.key_id,
        }


async def test_a_withdrawn_key_is_followed_at_once_and_never_by_a_retired_one(
    database: Database, vault: Vault, clock: FixedClock, authority: Authority
) -> None:
    async with database.writing() as session:
        retired = await current_key(session, KeyUse.CARD, clock.now())
        lost = await rotate(session, vault, KeyUse.CARD, clock.now(), not_before=clock.now())
        clock.forward(timedelta(days=3))
        await withdraw(session, vault, lost.key_id, clock.now(), reason="compromised")
        now_signs = await current_key(session, KeyUse.CARD, clock.now())
        assert now_signs.key_id not in {retired.key_id, lost.key_id}


async def test_an_announced_key_takes_over_early_when_the_present_one_is_withdrawn(
    database: Database, vault: Vault, clock: FixedClock, authority: Authority
) -> None:
    async with database.writing() as session:
        old = await current_key(session, KeyUse.CARD, clock.now())
        new = await rotate(session, vault, KeyUse.CARD, clock.now())
        await withdraw(session, vault, old.key_id, clock.now(), reason="compromised")
        assert (await current_key(session, KeyUse.CARD, clock.now())).key_id == new.key_id
        before = len(await keys_of(session))
        await withdraw(session, vault, old.key_id, clock.now(), reason="again")
        assert len(await keys_of(session)) == before


async def test_the_private_half_of_a_withdrawn_key_goes_after_the_commit_and_not_before(
    *,
    client: AsyncTestClient[Litestar],
    database: Database,
    vault: Vault,
    settings: Settings,
    clock: FixedClock,
    authority: Authority,
) -> None:
    headers = await sign_in(database, vault, clock.now(), Role.OPERATOR)
    async with database.reading() as session:
        key_id = (await current_key(session, KeyUse.CARD, clock.now())).key_id
    answer = await client.post(
        f"/v1/keys/{key_id}/withdrawal", json={"reason": "compromised"}, headers=headers
    )
    assert answer.status_code == 201
    assert vault.signer(key_id).kid.hex() == key_id
    await run_jobs(database, settings, vault, clock)
    with pytest.raises(UnknownKey):
        vault.signer(key_id)
    async with database.writing() as session:
        await destroy_key(session, {"key_id": key_id}, clock.now(), vault=vault)


async def test_the_operator_reads_rotates_and_withdraws(
    client: AsyncTestClient[Litestar],
    database: Database,
    vault: Vault,
    clock: FixedClock,
    authority: Authority,
) -> None:
    headers = await sign_in(database, vault, clock.now(), Role.OPERATOR)
    listed = (await client.get("/v1/keys", headers=headers)).json()["keys"]
    assert {key["use"] for key in listed} == {use.value for use in USES}
    assert all(set(key["jwk"]) == {"kty", "crv", "x", "y"} for key in listed)
    made = await client.post("/v1/keys", json={"use": "card"}, headers=headers)
    assert made.status_code == 201
    assert made.json()["not_before"] == "2026-09-17T10:00:00Z"
    assert (await client.post("/v1/keys", json={"use": "card"}, headers=headers)).status_code == 409
    naive = {"use": "printed", "not_before": "2026-09-20T10:00:00"}
    assert (await client.post("/v1/keys", json=naive, headers=headers)).status_code == 400
    gone = await client.post("/v1/keys/00000000/withdrawal", json={"reason": "x"}, headers=headers)
    assert gone.status_code == 404


@pytest.mark.parametrize("role", [Role.CASE_WORKER, Role.CITIZEN, Role.AUDITOR, Role.SCANNER])
async def test_nobody_else_touches_keys(
    client: AsyncTestClient[Litestar], database: Database, vault: Vault, clock: FixedClock, role: Role
) -> None:
    headers = await sign_in(database, vault, clock.now(), role)
    assert (await client.get("/v1/keys", headers=headers)).status_code == 403
    assert (await client.post("/v1/keys", json={"use": "card"}, headers=headers)).status_code == 403
