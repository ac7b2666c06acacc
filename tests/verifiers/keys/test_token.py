"""A whole city on the keys of a real PKCS#11 token."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import HsmVault, KeyUse
from issuers.authorities.service import withdraw
from tests.issuers.makers import run_jobs
from tests.machines import make_token
from tests.verifiers.makers import make_city


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HsmVault]:
    token = make_token(tmp_path / "hsm", monkeypatch)
    import pkcs11

    from core.vault.pkcs11 import Pkcs11Machine

    reach = Pkcs11Machine.reaching(token.module, token.label, token.pin)
    vault = HsmVault.found(tmp_path / "root.json", reach, limit=10, pulse=None)
    yield vault
    vault.close()
    pkcs11.unload(str(token.module))


async def test_cards_are_made_checked_and_taken_back_with_keys_that_never_leave_a_token(
    client: AsyncTestClient[Litestar],
    database: Database,
    vault: HsmVault,
    settings: Settings,
    clock: FixedClock,
) -> None:
    city = await make_city(client, database, vault, settings, clock)
    venue = await city.venue()
    await city.offer(venue)
    till, phone, paper = await city.till(venue), await city.phone(), await city.paper()
    for code in (phone.code(city.now), paper.code):
        answer = await till.check(code)
        assert answer.json()["outcome"] == "accepted", answer.text
    assert (await client.get("/trustlist")).status_code == 200
    assert (await client.get(f"/status/{phone.place.status_list}")).status_code == 200
    clock.forward(timedelta(minutes=1))
    lost = vault.keys(KeyUse.PRINTED)[0]
    async with database.writing() as session:
        await withdraw(session, vault, lost.key_id, city.now, reason="compromised")
    await run_jobs(database, settings, vault, clock)
    vault.look()
    assert lost.key_id not in [key.key_id for key in vault.keys(KeyUse.PRINTED)]
    clock.forward(timedelta(seconds=5))
    assert (await till.check(paper.code)).json()["reason"] == "key_withdrawn"
    assert (await till.check((await city.paper()).code)).json()["outcome"] == "accepted"
