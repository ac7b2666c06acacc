"""A phone shows each visit another card, knows the server's time without a network, and drops what has ended."""

import json
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.walk.keeping import Drawer, NotThere
from app.walk.phone import Moved, Phone, SignInAgain
from app.walk.wire import Wire
from core import jose, p256, texts
from core.clock import FixedClock
from core.vault import SoftwareSigner
from issuers.credentials.card import Card, CardId, sign_card
from tests.conftest import NOON
from tests.issuers.makers import PhoneKey
from wallet.codes.text import Kind, LiveCode, parse, read_live

HOST = "KARTE.DORTMUND.DE"
CHILD = "0199f6a2-6d3e-7c11-9a55-3c1f0a7b9d21"


class Server:
    """Says what time it is and signs cards, as long as there is a network."""

    def __init__(self) -> None:
        self.ahead, self.away = timedelta(), False
        self.city, self.batches = PhoneKey(), 0
        self.told: dict[str, Any] = {"state": "in-use", "replaced_by": None, "taken_back": [], "batch": 8}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("away", request=request)
        now = (NOON + self.ahead).isoformat()
        match request.url.path:
            case "/v1/time":
                return httpx.Response(200, json={"now": now, "unix": 0})
            case "/v1/devices/challenges":
                return httpx.Response(201, json={"nonce": "n", "audience": "http://city.example"})
            case "/v1/devices/D":
                return httpx.Response(200, json={**self.told, "server_time": now, "holds": []})
            case "/v1/devices/D/cards":
                return httpx.Response(201, json={"cards": self._cards(json.loads(request.content))})
        raise AssertionError(request.url.path)

    def _cards(self, wish: dict[str, Any]) -> list[dict[str, Any]]:
        self.batches += 1
        ends, made = NOON + timedelta(days=10), []
        for number, holder in enumerate(wish["holders"]):
            point = p256.point(jose.read_jwk(holder["key"]).public)  # type: ignore[arg-type]
            card = Card(self.city.kid, int(ends.timestamp()), 1, CardId(2 + self.batches, number), point)
            signed = sign_card(card, SoftwareSigner(self.city.private))
            made.append({"card": texts.b64url(signed), "kind": wish["kind"], "expires_at": ends.isoformat()})
        return made


@pytest.fixture
def server() -> Server:
    return Server()


def phone_with(folder: Path, server: Server, *cards: dict[str, Any], enrolled: bool = False) -> Phone:
    """A phone whose cards the city has really signed."""
    drawer, city = Drawer(folder), server.city
    kept = []
    for number, wish in enumerate(cards):
        ends = wish.get("ends", NOON + timedelta(days=10))
        key = drawer.new_key(f"keys/{number}")
        card = Card(
            city.kid,
            int(ends.timestamp()),
            1,
            CardId(1, number),
            p256.point(key.public_key),
            "MEIER<<ANNA" if wish.get("named") else None,
        )
        kept.append(
            {
                "key": f"keys/{number}",
                "person": wish.get("person"),
                "shown": wish.get("shown", False),
                "card": texts.b64url(sign_card(card, SoftwareSigner(city.private))),
                "kind": "named" if wish.get("named") else "nameless",
                "expires_at": ends.isoformat(),
            }
        )
    drawer.write("cards", {"cards": kept})
    drawer.write(
        "phone",
        {
            "account": "anna",
            "access_token": "t",
            "expires_at": (NOON + timedelta(hours=1)).isoformat(),
            "url": "http://city.example",
            "code_host": HOST,
            **({"device_id": "D"} if enrolled else {}),
        },
    )
    drawer.new_key("phone-key")
    wire = Wire("http://city.example", clock=FixedClock(NOON), transport=httpx.MockTransport(server))
    return Phone(wire, drawer)


def read(text: str) -> LiveCode:
    kind, body = parse(text, HOST)
    assert kind is Kind.LIVE
    return read_live(body)


def at(phone: Phone, moment: timedelta) -> Phone:
    """The same phone, so much later by its own clock."""
    clock = phone.wire.clock
    assert isinstance(clock, FixedClock)
    clock.at = NOON + moment
    return phone


def test_each_visit_shows_another_card(tmp_path: Path, server: Server) -> None:
    phone = phone_with(tmp_path, server, {}, {}, {})
    shown = [phone.show(new_visit=True) for _ in range(3)]
    assert len({read(each.text).card.status for each in shown}) == 3
    assert all(each.fresh for each in shown)
    assert [each.left for each in shown] == [2, 1, 0]
    assert all(read(each.text).is_shown_by_its_holder() for each in shown)


def test_looking_again_within_a_visit_takes_no_other_card_but_another_second(
    tmp_path: Path, server: Server
) -> None:
    phone = phone_with(tmp_path, server, {}, {})
    looks = [read(phone.show().text) for _ in range(4)]
    assert {look.card.status for look in looks} == {CardId(1, 0)}
    assert [look.at - looks[0].at for look in looks] == [0, 1, 2, 3]
    server.ahead = timedelta(minutes=4)
    assert read(phone.show().text).card.status == CardId(1, 0)
    server.ahead = timedelta(minutes=9)
    again = phone.show()
    assert (read(again.text).card.status, again.fresh, again.left) == (CardId(1, 1), True, 0)


def test_another_door_is_another_visit(tmp_path: Path, server: Server) -> None:
    phone = phone_with(tmp_path, server, {}, {}, {})
    doors = [read(phone.show(venue=venue).text).card.status for venue in (7, 7, 8, None, 7)]
    assert doors == [CardId(1, 0), CardId(1, 0), CardId(1, 1), CardId(1, 2), CardId(1, 0)]


def test_an_empty_phone_shows_its_last_card_again_rather_than_none(tmp_path: Path, server: Server) -> None:
    phone = phone_with(tmp_path, server, {"shown": True}, {"shown": True}, enrolled=True)
    server.away = True
    again = phone.show()
    assert not again.fresh
    assert read(again.text).card.status == CardId(1, 1)
    assert server.batches == 0


def test_an_empty_phone_with_a_network_gets_fresh_cards(tmp_path: Path, server: Server) -> None:
    phone = phone_with(tmp_path, server, {"shown": True}, enrolled=True)
    shown = phone.show()
    assert (shown.fresh, shown.left, server.batches) == (True, 7, 1)
    assert read(shown.text).is_shown_by_its_holder()


def test_whoever_asks_how_things_stand_gets_more_when_they_run_low(tmp_path: Path, server: Server) -> None:
    phone = phone_with(tmp_path, server, {}, {}, {"named": True}, enrolled=True)
    assert phone.sync()["cards"] == 3 + 2 * 8
    assert server.batches == 2
    assert phone.show().left == 9
    assert phone.show(named=True).left == 8
    phone.sync()
    assert server.batches == 2


def test_a_card_that_was_taken_back_is_not_shown_any_more(tmp_path: Path, server: Server) -> None:
    phone = phone_with(tmp_path, server, {}, {}, {}, {}, enrolled=True)
    first = Drawer(tmp_path).read("cards")["cards"][0]["card"]
    server.told["taken_back"] = [texts.b64url(sha256(texts.unb64url(first)).digest())]
    phone.sync()
    assert read(phone.show().text).card.status == CardId(1, 1)
    assert not (tmp_path / "keys" / "0.pem").exists()


@pytest.mark.parametrize("state", ["replaced", "removed"])
def test_a_phone_that_is_replaced_learns_it_and_keeps_no_card(
    tmp_path: Path, server: Server, state: str
) -> None:
    phone = phone_with(tmp_path, server, {}, {}, enrolled=True)
    server.told |= {"state": state, "replaced_by": "Neues Handy"}
    with pytest.raises(Moved, match=state):
        phone.sync()
    assert not (tmp_path / "keys" / "0.pem").exists()
    assert not (tmp_path / "phone-key.pem").exists()
    with pytest.raises(NotThere):
        phone.show()
    with pytest.raises(NotThere, match="device"):
        phone.sync()


def test_named_and_childrens_cards_are_shown_only_when_asked_for(tmp_path: Path, server: Server) -> None:
    phone = phone_with(tmp_path, server, {"named": True}, {"person": CHILD}, {})
    assert read(phone.show().text).card.status == CardId(1, 2)
    assert read(phone.show(named=True).text).card.name == "MEIER<<ANNA"
    assert read(phone.show(person=CHILD).text).card.status == CardId(1, 1)
    with pytest.raises(NotThere):
        phone.show(named=True, person=CHILD)


def test_a_code_carries_the_servers_time_and_the_venue(tmp_path: Path, server: Server) -> None:
    server.ahead = timedelta(days=3)
    code = read(phone_with(tmp_path, server, {}).show(venue=2718281828).text)
    assert code.at == int((NOON + timedelta(days=3)).timestamp())
    assert code.venue == 2718281828


def test_without_a_network_the_time_is_the_last_one_that_was_known(tmp_path: Path, server: Server) -> None:
    server.ahead = timedelta(minutes=-7)
    phone = phone_with(tmp_path, server, {}, {})
    phone.show()
    server.away = True
    wire = Wire("http://city.example", clock=FixedClock(NOON), transport=httpx.MockTransport(server))
    code = read(Phone(wire, Drawer(tmp_path)).show(new_visit=True).text)
    assert code.at == int((NOON - timedelta(minutes=7)).timestamp())


class Ticks:
    """A counter of the machine, in the test's hand."""

    def __init__(self) -> None:
        self.start, self.seconds = "first", 1000.0

    def __call__(self) -> tuple[str, float]:
        return self.start, self.seconds


def test_setting_the_clock_without_a_network_does_not_change_what_a_code_says(
    tmp_path: Path, server: Server
) -> None:
    ticks = Ticks()
    phone = phone_with(tmp_path, server, {}, {}, {})
    phone = Phone(phone.wire, Drawer(tmp_path), ticks)
    phone.show()
    server.away, ticks.seconds = True, 1000.0 + 600
    for moved in (timedelta(hours=-1), timedelta(days=2)):
        code = read(at(phone, moved).show(new_visit=True).text)
        assert code.at - int((NOON + timedelta(minutes=10)).timestamp()) in (0, 1)


def test_after_a_restart_the_clock_counts_again_corrected_as_it_was(tmp_path: Path, server: Server) -> None:
    ticks = Ticks()
    server.ahead = timedelta(minutes=2)
    phone = Phone(phone_with(tmp_path, server, {}, {}).wire, Drawer(tmp_path), ticks)
    phone.show()
    server.away, ticks.start, ticks.seconds = True, "second", 5.0
    shown = at(phone, timedelta(hours=3)).show()
    assert read(shown.text).at == int((NOON + timedelta(hours=3, minutes=2)).timestamp())
    assert not shown.clock_in_doubt


def test_a_clock_behind_what_the_server_has_said_is_in_doubt_and_never_runs_back(
    tmp_path: Path, server: Server
) -> None:
    ticks = Ticks()
    phone = Phone(phone_with(tmp_path, server, {}, {}).wire, Drawer(tmp_path), ticks)
    phone.show()
    server.away, ticks.start = True, "second"
    shown = at(phone, timedelta(hours=-1)).show(new_visit=True)
    assert shown.clock_in_doubt
    assert read(shown.text).at == int(NOON.timestamp())


def test_cards_that_have_ended_go_with_their_keys(tmp_path: Path, server: Server) -> None:
    phone = phone_with(tmp_path, server, {"ends": NOON - timedelta(seconds=1)}, {})
    phone.show()
    assert not (tmp_path / "keys" / "0.pem").exists()
    assert (tmp_path / "keys" / "1.pem").exists()


def test_the_sign_in_ends_and_says_so(tmp_path: Path, server: Server) -> None:
    phone = phone_with(tmp_path, server)
    assert phone.headers(CHILD)["Acting-For"] == CHILD
    server.ahead = timedelta(hours=2)
    phone.wire.ask_time()
    with pytest.raises(SignInAgain, match="anna"):
        phone.headers()


def test_a_phone_without_a_sign_in_has_nothing(tmp_path: Path, server: Server) -> None:
    wire = Wire("http://city.example", clock=FixedClock(NOON), transport=httpx.MockTransport(server))
    with pytest.raises(NotThere, match="login"):
        Phone(wire, Drawer(tmp_path)).headers()
