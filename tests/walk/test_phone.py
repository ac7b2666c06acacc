"""A phone shows each card once, knows the server's time without a network, and drops what has ended."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.walk.keeping import Drawer, NotThere
from app.walk.phone import Phone, SignInAgain
from app.walk.wire import Wire
from core import jose, p256
from core.clock import FixedClock
from core.vault import SoftwareSigner
from issuers.credentials.card import Card, CardId, sign_card
from tests.conftest import NOON
from tests.issuers.makers import PhoneKey
from wallet.codes.text import Kind, LiveCode, parse, read_live

HOST = "KARTE.DORTMUND.DE"
CHILD = "0199f6a2-6d3e-7c11-9a55-3c1f0a7b9d21"


class Server:
    """Says what time it is, as long as there is a network."""

    def __init__(self) -> None:
        self.ahead, self.away = timedelta(), False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("away", request=request)
        assert request.url.path == "/v1/time"
        return httpx.Response(200, json={"now": (NOON + self.ahead).isoformat(), "unix": 0})


@pytest.fixture
def server() -> Server:
    return Server()


def phone_with(folder: Path, server: Server, *cards: dict[str, Any]) -> Phone:
    """A phone whose cards the city has really signed."""
    drawer, city = Drawer(folder), PhoneKey()
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
                "card": jose.b64url(sign_card(card, SoftwareSigner(city.private))),
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
        },
    )
    wire = Wire("http://city.example", clock=FixedClock(NOON), transport=httpx.MockTransport(server))
    return Phone(wire, drawer)


def read(text: str) -> LiveCode:
    kind, body = parse(text, HOST)
    assert kind is Kind.LIVE
    return read_live(body)


def test_each_visit_shows_another_card(tmp_path: Path, server: Server) -> None:
    phone = phone_with(tmp_path, server, {}, {}, {})
    shown = [phone.show() for _ in range(3)]
    assert len({read(each.text).card.status for each in shown}) == 3
    assert all(each.fresh for each in shown)
    assert [each.left for each in shown] == [2, 1, 0]
    assert all(read(each.text).is_shown_by_its_holder() for each in shown)


def test_an_empty_phone_shows_its_last_card_again_rather_than_none(tmp_path: Path, server: Server) -> None:
    phone = phone_with(tmp_path, server, {"shown": True}, {"shown": True})
    again = phone.show()
    assert not again.fresh
    assert read(again.text).card.status == CardId(1, 1)


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
    code = read(Phone(wire, Drawer(tmp_path)).show().text)
    assert code.at == int((NOON - timedelta(minutes=7)).timestamp())


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
