"""The machine with the keys hangs or is gone: nothing is issued, nothing is half made, and every check goes on."""

import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import anyio
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import func, select

from core.access.models import Principal
from core.access.oidc import Provider
from core.access.policy import Policy
from core.access.rules import PrincipalKind
from core.access.tokens import issue_token
from core.clock import FixedClock
from core.database import Database
from core.http import Outgoing
from core.settings import Settings
from core.vault import HsmVault, KeyUse, VaultSilent
from entitlements.rulebook.models import TariffRow
from issuers.authorities.service import rotate, withdraw
from issuers.credentials.models import Credential
from issuers.openid.desk import Desk
from issuers.status.models import Place
from tests.issuers.makers import hold, run_jobs
from tests.machines import PretendMachine
from tests.verifiers.makers import City, make_city
from tests.wallet.makers import Phone, Town
from verifiers.presentations import service as presentations
from verifiers.presentations.service import Wish

LIMIT = 0.3


@pytest.fixture
def machine() -> Iterator[PretendMachine]:
    machine = PretendMachine()
    yield machine
    machine.recover()


@pytest.fixture
def vault(machine: PretendMachine, tmp_path: Path) -> Iterator[HsmVault]:
    """The whole application on keys that are in another machine."""
    vault = HsmVault.found(tmp_path / "root.json", machine.reach, limit=LIMIT, pulse=None)
    yield vault
    machine.recover()
    vault.close()


@pytest.fixture
async def city(
    client: AsyncTestClient[Litestar],
    database: Database,
    vault: HsmVault,
    settings: Settings,
    clock: FixedClock,
) -> City:
    return await make_city(client, database, vault, settings, clock)


async def _holder(city: City) -> Phone:
    town = Town(city.client, city.database, city.vault, city.settings, city.clock)
    owner = await town.person()
    async with city.database.writing() as session:
        for row in (await session.execute(select(TariffRow))).scalars().all():
            await session.delete(row)
        await session.flush()
        await hold(session, city.settings, owner.id, city.now)
    return await town.phone(owner)


async def _count(city: City) -> tuple[int, int]:
    async with city.database.reading() as session:
        credentials = (await session.execute(select(func.count()).select_from(Credential))).scalar_one()
        places = (await session.execute(select(func.count()).select_from(Place))).scalar_one()
    return credentials, places


@pytest.mark.parametrize("how", ["hang", "fail"])
async def test_issuing_stops_cleanly_and_goes_on_when_the_machine_is_back(
    city: City, vault: HsmVault, machine: PretendMachine, how: str
) -> None:
    phone = await _holder(city)
    assert (await phone.ask(2)).status_code == 201
    before = await _count(city)
    getattr(machine, how)()
    begun = time.monotonic()
    refused = await phone.ask(2)
    assert refused.status_code == 503
    assert "Device" not in refused.text
    first = time.monotonic() - begun
    begun = time.monotonic()
    for _ in range(5):
        assert (await phone.ask(2)).status_code == 503
    # Known to be silent, it is not waited for: five answers take less than the limit of one.
    assert time.monotonic() - begun < max(first, LIMIT) + LIMIT
    assert await _count(city) == before  # no row and no place without a card
    machine.recover()
    vault.look()
    assert (await phone.ask(2)).status_code == 201
    assert (await _count(city))[0] == before[0] + 2


async def test_checks_go_on_while_somebody_waits_for_the_machine_and_after(
    city: City, vault: HsmVault, machine: PretendMachine
) -> None:
    venue = await city.venue()
    offer = await city.offer(venue)
    till = await city.till(venue)
    visitors = [await city.phone() for _ in range(4)]
    phone = await _holder(city)
    listed = (await city.client.get(f"/status/{visitors[0].place.status_list}")).content
    machine.hang()
    waited: list[float] = []
    checked: list[float] = []
    begun = time.monotonic()

    async def wait() -> None:
        assert (await phone.ask(1)).status_code == 503
        waited.append(time.monotonic() - begun)

    async def check() -> None:
        answer = await till.check(visitors[0].code(city.now))
        assert (answer.status_code, answer.json()["outcome"]) == (200, "accepted"), answer.text
        checked.append(time.monotonic() - begun)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        tasks.start_soon(check)
    assert waited
    assert checked
    assert vault.silent
    for visitor in visitors[1:]:
        city.clock.forward(timedelta(seconds=5))
        answer = await till.check(visitor.code(city.now))
        assert (answer.status_code, answer.json()["outcome"]) == (200, "accepted"), answer.text
        taken = await till.redeem(answer.json()["receipt"], offer)
        assert taken.status_code == 200, taken.text
    # What was signed last is still served, and a scanner still gets its bundle; both say how old they are.
    city.clock.forward(timedelta(seconds=city.settings.status_ttl))
    answer = await city.client.get(f"/status/{visitors[0].place.status_list}")
    assert (answer.status_code, answer.content) == (200, listed)
    assert (await city.client.get("/trustlist")).status_code == 200
    city.clock.forward(timedelta(days=city.settings.status_days))
    gone = await city.client.get(f"/status/{visitors[0].place.status_list}")
    assert gone.status_code == 503  # and what is too old is not served as if it were good


async def test_a_list_by_a_withdrawn_key_is_not_served_for_want_of_a_better(
    city: City, vault: HsmVault, machine: PretendMachine
) -> None:
    phone = await city.phone()
    path = f"/status/{phone.place.status_list}"
    assert (await city.client.get(path)).status_code == 200
    async with city.database.writing() as session:
        key = vault.keys(KeyUse.STATUS_LIST)[0]
        await withdraw(session, vault, key.key_id, city.now, reason="compromised")
    machine.fail()
    with pytest.raises(VaultSilent):
        vault.look()
    assert (await city.client.get(path)).status_code == 503
    machine.recover()
    vault.look()
    assert (await city.client.get(path)).status_code == 200


async def test_jobs_that_need_a_signature_wait_and_the_others_are_done(
    city: City, vault: HsmVault, machine: PretendMachine
) -> None:
    phone = await city.phone()
    async with city.database.writing() as session:
        await rotate(session, vault, KeyUse.CARD, city.now)
    machine.fail()
    with pytest.raises(VaultSilent):
        vault.look()
    before = (await city.client.get("/trustlist")).content
    await city.revoke(phone)
    await run_jobs(city.database, city.settings, vault, city.clock)
    assert (await city.client.get("/trustlist")).content == before
    machine.recover()
    vault.look()
    city.clock.forward(timedelta(hours=1))
    await run_jobs(city.database, city.settings, vault, city.clock)
    assert (await city.client.get("/trustlist")).content != before


async def _longest_gap(work: Awaitable[object]) -> float:
    """For how long, at most, nobody else had a turn while this work waited for the machine and was refused."""
    gaps: list[float] = []
    over = anyio.Event()

    async def others() -> None:
        while not over.is_set():
            begun = time.monotonic()
            await anyio.sleep(0.005)
            gaps.append(time.monotonic() - begun)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(others)
        with pytest.raises(VaultSilent):
            await work
        over.set()
    return max(gaps)


@pytest.mark.parametrize("what", ["access token", "assertion", "request"])
async def test_nobody_else_waits_while_something_is_signed(
    city: City, vault: HsmVault, machine: PretendMachine, what: str
) -> None:
    settings = city.settings.model_copy(
        update={"loopback_http": True, "oidc_issuer": "https://login.example"}
    )
    venue = await city.venue()
    await city.offer(venue)
    async with city.database.writing() as session:
        desk = Desk(session, vault, settings, city.now)
        opened = await presentations.ask(desk, None, Wish(venue_id=UUID(venue["id"])))
        reference = parse_qs(urlsplit(opened.link).query)["request_uri"][0].rpartition("/")[2]
        client = Principal(kind=PrincipalKind.REGISTER, client_id=f"register-{uuid4()}", created_at=city.now)
        lasts = timedelta(minutes=5)
        # Both at once, so that the keys are there before the machine falls silent.
        assert await issue_token(vault, settings, client, city.now, lasts)
        provider = Provider(settings, Policy(), vault, Outgoing())
        assert await provider._assertion(city.now)
        assert await presentations.request_object(desk, reference)
        machine.hang()
        work: dict[str, Callable[[], Awaitable[object]]] = {
            "access token": lambda: issue_token(vault, settings, client, city.now, lasts),
            "assertion": lambda: provider._assertion(city.now),
            "request": lambda: presentations.request_object(desk, reference),
        }
        assert await _longest_gap(work[what]()) < LIMIT / 2
