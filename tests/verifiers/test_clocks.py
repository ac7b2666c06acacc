"""Clocks that stand wrong: two minutes do not matter once corrected, an hour is no invalid card, and none runs back."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.walk.keeping import Drawer
from app.walk.phone import Phone
from app.walk.scanner import KEY, Scanner
from app.walk.wire import Wire
from core import jose, texts
from core.clock import FixedClock
from core.vault import KeyUse
from tests.verifiers.makers import City, Till
from tests.verifiers.makers import Phone as Held
from verifiers.bundles.rules import Memory, open_bundle, remember
from verifiers.bundles.schemas import BundleView

OFF = [timedelta(minutes=-2), timedelta(minutes=2)]


@dataclass
class Net:
    """The way to the city, as long as there is one: it tells the time and hands out the bundle that is there."""

    city: City
    bundle: Any = None
    checked: Any = None
    away: bool = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("away", request=request)
        now = self.city.now.isoformat()
        told = {"/v1/time": {"now": now}, "/v1/bundle": self.bundle, "/v1/checks": self.checked}
        return httpx.Response(200, json=told[request.url.path])


@dataclass
class Ticks:
    """The machine's counter; a restart makes it begin anew."""

    start: str = "first"
    seconds: float = 100.0

    def __call__(self) -> tuple[str, float]:
        return self.start, self.seconds


@dataclass
class Here:
    """A device's own clock and counter."""

    city: City
    folder: Path
    off: timedelta = timedelta()
    ticks: Ticks = field(default_factory=Ticks)

    def __post_init__(self) -> None:
        self.net = Net(self.city)
        self.clock = FixedClock(self.city.now + self.off)

    def wire(self) -> Wire:
        return Wire(
            "http://city.example", clock=self.clock, transport=httpx.MockTransport(self.net), language="de"
        )

    def forward(self, by: timedelta) -> None:
        """Time passes, everywhere."""
        self.city.clock.forward(by)
        self.clock.forward(by)
        self.ticks.seconds += by.total_seconds()

    def phone(self, held: Held) -> Phone:
        drawer = Drawer(self.folder)
        pem = held.device.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        drawer.put("keys/0.pem", pem)
        ends = (self.city.now + timedelta(days=7)).isoformat()
        card = {"key": "keys/0", "person": None, "shown": False, "kind": "nameless", "expires_at": ends}
        drawer.write("cards", {"cards": [card | {"card": texts.b64url(held.card)}]})
        drawer.write("phone", {"code_host": self.city.settings.code_host})
        return Phone(self.wire(), drawer, self.ticks)

    async def scanner(self, till: Till) -> Scanner:
        drawer = Drawer(self.folder)
        drawer.new_key(KEY)
        drawer.write("scanner", {"url": "http://city.example"})
        self.net.bundle = (await till.get("/v1/bundle")).json()
        return Scanner(self.wire(), drawer, self.ticks)


async def a_pool(city: City) -> tuple[Till, Held]:
    venue = await city.venue()
    await city.offer(venue)
    return await city.till(venue), await city.phone(ends=timedelta(days=7))


@pytest.mark.parametrize("off", OFF)
async def test_a_phone_two_minutes_off_works_with_a_network(
    city: City, tmp_path: Path, off: timedelta
) -> None:
    till, held = await a_pool(city)
    here = Here(city, tmp_path, off)
    assert (await till.check(here.phone(held).show().text)).json()["outcome"] == "accepted"


@pytest.mark.parametrize("off", OFF)
async def test_a_phone_two_minutes_off_works_without_one_after_a_sync(
    city: City, tmp_path: Path, off: timedelta
) -> None:
    till, held = await a_pool(city)
    here = Here(city, tmp_path, off)
    phone = here.phone(held)
    here.net.away = True
    before = (await till.check(phone.show().text)).json()
    assert (before["outcome"], before["clock_off_by"]) in (
        ("check_the_clock", 120),
        ("refused", None),  # two minutes late may be a screenshot
    )
    here.net.away = False
    phone.show()
    here.net.away = True
    here.forward(timedelta(hours=5))
    assert (await till.check(phone.show().text)).json()["outcome"] == "accepted"
    # A restart of the phone stops the counter; its clock is corrected by as much as before.
    here.ticks.start, here.ticks.seconds = "second", 1.0
    here.forward(timedelta(minutes=1))
    assert (await till.check(phone.show().text)).json()["outcome"] == "accepted"


@pytest.mark.parametrize("off", [timedelta(hours=-1), timedelta(hours=1)])
async def test_a_phone_an_hour_off_is_told_to_check_the_clock_and_what_time_it_is(
    city: City, tmp_path: Path, off: timedelta
) -> None:
    till, held = await a_pool(city)
    here = Here(city, tmp_path, off)
    here.net.away = True
    answer = (await till.check(here.phone(held).show().text)).json()
    assert (answer["outcome"], answer["reason"]) == ("check_the_clock", "code_clock_off")
    assert answer["clock_off_by"] == int(off.total_seconds())
    assert datetime.fromisoformat(answer["time"]) == city.now
    assert "Uhr" in answer["headline"]


async def test_an_hour_off_does_not_matter_to_a_phone_that_was_synced(city: City, tmp_path: Path) -> None:
    till, held = await a_pool(city)
    here = Here(city, tmp_path, timedelta(hours=1))
    phone = here.phone(held)
    phone.show()
    here.net.away = True
    here.forward(timedelta(minutes=10))
    assert (await till.check(phone.show().text)).json()["outcome"] == "accepted"


@pytest.mark.parametrize("off", [*OFF, timedelta(hours=-5), timedelta(days=3)])
async def test_a_scanner_alone_goes_by_the_servers_time(city: City, tmp_path: Path, off: timedelta) -> None:
    till, held = await a_pool(city)
    here = Here(city, tmp_path, off)
    scanner = await here.scanner(till)
    scanner.fetch_bundle()
    here.net.away = True
    here.forward(timedelta(hours=2))
    assert scanner.check_alone(held.code(city.now))["outcome"] == "accepted"


async def test_setting_a_scanners_clock_changes_nothing(city: City, tmp_path: Path) -> None:
    till, held = await a_pool(city)
    here = Here(city, tmp_path)
    scanner = await here.scanner(till)
    scanner.fetch_bundle()
    here.net.away = True
    old = held.code(city.now)
    here.forward(timedelta(minutes=30))
    here.clock.at -= timedelta(minutes=30)
    assert scanner.check_alone(old)["reason"] == "stale_code"
    assert scanner.check_alone(held.code(city.now))["outcome"] == "accepted"


async def test_a_scanner_that_was_started_with_an_old_clock_says_so_and_what_time_it_is(
    city: City, tmp_path: Path
) -> None:
    till, held = await a_pool(city)
    here = Here(city, tmp_path)
    scanner = await here.scanner(till)
    scanner.fetch_bundle()
    here.net.away = True
    here.ticks.start = "second"
    here.clock.at -= timedelta(hours=1)
    answer = scanner.check_alone(held.code(city.now))
    assert (answer["outcome"], answer["reason"]) == ("check_the_clock", "scanner_clock_behind")
    assert answer["clock_off_by"] == -3600
    assert datetime.fromisoformat(answer["time"]) == city.now
    # A minute's lag is no lag: it stands still until time has caught up.
    here.clock.at = city.now - timedelta(seconds=50)
    assert scanner.check_alone(held.code(city.now))["outcome"] == "accepted"


async def test_an_online_check_sets_the_clock_and_the_floor_for_the_time_without_a_network(
    city: City, tmp_path: Path
) -> None:
    till, held = await a_pool(city)
    here = Here(city, tmp_path)
    scanner = await here.scanner(till)
    scanner.fetch_bundle()
    here.forward(timedelta(days=1))
    here.net.checked = json.loads((await till.check(held.code(city.now))).content)
    scanner.check("whatever")
    here.net.away, here.ticks.start = True, "second"
    here.clock.at -= timedelta(hours=3)
    assert scanner.check_alone(held.code(city.now))["reason"] == "scanner_clock_behind"


async def test_the_newest_signed_time_counts_whichever_list_has_it(city: City) -> None:
    till, held = await a_pool(city)
    trust = await till.get("/v1/bundle")
    city.clock.forward(timedelta(hours=1))
    await city.revoke(held)
    city.clock.forward(timedelta(minutes=2))
    view = BundleView.model_validate_json((await till.get("/v1/bundle")).content)
    # Whoever sends the bundle may say what they like about the time; what is signed in it, they may not.
    lied = view.model_copy(update={"time": BundleView.model_validate_json(trust.content).time})
    keys = jose.KeySet(
        tuple(jose.Key(key.public_key, key.key_id) for key in city.vault.keys(KeyUse.TRUST_LIST))
    )
    kit, memory = open_bundle(lied, keys, None, city.now), Memory()
    remember(memory, kit)
    newest = max(sheet.issued_at for sheet in kit.sheets.values())
    assert memory.floor == newest > lied.time
