"""A holder's phone: signed in, enrolled with a key of its own, and with a batch of cards to show codes from."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from app.walk.keeping import Drawer, NotThere
from app.walk.signin import SignedIn, sign_in
from app.walk.wire import Unreachable, Wire
from core import jose
from wallet.codes.picture import Drawing, budget, draw
from wallet.codes.text import Kind, live_text
from wallet.devices.rules import CARDS_TYPE, DEVICE_TYPE, HOLDER_TYPE

STATE, CARDS = "phone", "cards"
DEVICE_KEY = "phone-key"
BATCH = 8


class SignInAgain(Exception):
    """The sign-in is over; the account's name is known, its password is not kept."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A live code as the phone draws it."""

    text: str
    drawing: Drawing
    at: datetime
    fresh: bool
    """False where the phone had to show a card that it has shown before."""
    left: int
    """How many cards of this kind were never shown."""


class Phone:
    """One phone and what it keeps."""

    def __init__(self, wire: Wire, drawer: Drawer) -> None:
        self.wire, self._drawer = wire, drawer

    # ---- who holds it ----

    def login(self, account: str, password: str) -> SignedIn:
        """Signs in; somebody else's cards do not stay on the phone."""
        signed_in = sign_in(self.wire, account, password)
        before = self._drawer.read(STATE)
        if before and (before.get("account"), before.get("url")) != (account, self.wire.url):
            self._clear()
            before = {}
        self._drawer.write(STATE, {**before, **signed_in.kept(), "url": self.wire.url})
        return signed_in

    @property
    def state(self) -> dict[str, Any]:
        """What the phone knows of itself; NotThere before the first sign-in."""
        state = self._drawer.read(STATE)
        if not state:
            raise NotThere("login")
        return state

    def headers(self, person: str | None = None) -> dict[str, str]:
        """What proves the holder, and for whom they act; SignInAgain where the sign-in is over."""
        signed_in = SignedIn.of(self.state)
        if self.wire.now() >= signed_in.expires_at:
            raise SignInAgain(signed_in.account)
        acting = {} if person is None else {"Acting-For": person}
        return {**signed_in.headers(), **acting}

    # ---- what the holder reads ----

    def activate(self, code: str) -> Any:
        """Makes this login the person for whom the code was made, or their guardian; typed or scanned."""
        return self.wire.post("/v1/me/activation", {"code": code}, self.headers())

    def persons(self) -> Any:
        """Who the holder is, and for whom they may act."""
        return self.wire.get("/v1/me/persons", self.headers())

    def ward(self, wanted: str) -> str:
        """The id of somebody for whom the holder may act, by id or given name; NotThere for anybody else."""
        for ward in self.persons()["wards"]:
            if wanted.casefold() in {ward["person_id"], ward["given_name"].casefold()}:
                return str(ward["person_id"])
        raise NotThere("ward")

    def card(self, person: str | None = None) -> Any:
        """The one neutral card and what it brings."""
        return self.wire.get("/v1/card", self.headers(person))

    def entitlements(self, person: str | None = None) -> Any:
        """What is held and what is not, with the reasons."""
        return self.wire.get(f"/v1/entitlements?language={self.wire.language}", self.headers(person))

    def allowances(self, person: str | None = None) -> Any:
        """What money stands at the person's disposal."""
        return self.wire.get(f"/v1/allowances?language={self.wire.language}", self.headers(person))

    def inbox(self) -> Any:
        """The newest messages."""
        return self.wire.get("/v1/inbox", self.headers())

    # ---- the phone itself ----

    def enrol(self, name: str) -> dict[str, Any]:
        """Makes the phone's key and proves it to the server; takes the place of this phone's earlier self."""
        headers = self.headers()
        challenge = self.wire.post("/v1/devices/challenges", None, headers)
        signer = self._drawer.new_key(DEVICE_KEY)
        claims = {"aud": challenge["audience"], "nonce": challenge["nonce"]}
        device: dict[str, Any] = self.wire.post(
            "/v1/devices",
            {
                "key": jose.jwk(signer.public_key),
                "nonce": challenge["nonce"],
                "proof": jose.sign(signer, claims, typ=DEVICE_TYPE),
                "name": name,
                "replaces": self.state.get("device_id"),
            },
            headers,
        )
        self._forget_cards()
        self._drawer.write(STATE, {**self.state, "device_id": device["id"], "code_host": device["code_host"]})
        return device

    def top_up(self, *, named: bool = False, person: str | None = None, count: int = BATCH) -> dict[str, Any]:
        """Gets fresh cards, each for a key that is made for it; `person` is a ward."""
        state, headers = self.state, self.headers(person)
        if "device_id" not in state:
            raise NotThere("device")
        challenge = self.wire.post("/v1/devices/challenges", None, self.headers())
        kind = "named" if named else "nameless"
        names = [f"keys/{uuid4().hex}" for _ in range(count)]
        keys = [self._drawer.new_key(name) for name in names]
        about = {"aud": challenge["audience"], "nonce": challenge["nonce"]}
        thumbprints = [jose.thumbprint(key.public_key) for key in keys]
        wish = {**about, "kind": kind, "holders": thumbprints}
        batch: dict[str, Any] = self.wire.post(
            f"/v1/devices/{state['device_id']}/cards",
            {
                "kind": kind,
                "nonce": challenge["nonce"],
                "holders": [
                    {
                        "key": jose.jwk(key.public_key),
                        "proof": jose.sign(key, {**about, "device": state["device_id"]}, typ=HOLDER_TYPE),
                    }
                    for key in keys
                ],
                "proof": jose.sign(self._drawer.key(DEVICE_KEY), wish, typ=CARDS_TYPE),
            },
            headers,
        )
        fresh = [
            {"key": name, "person": person, "shown": False, **card}
            for name, card in zip(names, batch["cards"], strict=True)
        ]
        self._drawer.write(CARDS, {"cards": [*self._cards(), *fresh]})
        return batch

    def show(self, *, venue: int | None = None, named: bool = False, person: str | None = None) -> Shown:
        """A live code of a card that was never shown, where there is one; NotThere where there is none at all."""
        now = self._now()
        kind = "named" if named else "nameless"
        cards = self._unexpired(now)
        fitting = [card for card in cards if card["kind"] == kind and card["person"] == person]
        # An empty phone without a network shows its last card again: that can be linked, and still lets in.
        chosen = next((card for card in fitting if not card["shown"]), fitting[-1] if fitting else None)
        if chosen is None:
            raise NotThere("cards")
        fresh = not chosen["shown"]
        chosen["shown"] = True
        # Written before it is drawn: if we fall between, the next visit takes another card.
        self._drawer.write(CARDS, {"cards": cards})
        host = self.state["code_host"]
        signer = self._drawer.key(chosen["key"])
        text = live_text(host, jose.unb64url(chosen["card"]), signer, int(now.timestamp()), venue)
        left = sum(not card["shown"] for card in fitting)
        return Shown(text, draw(text, budget(host).version(Kind.LIVE)), now, fresh, left)

    def _now(self) -> datetime:
        """The server's time; without a network, as far as it was known when there last was one."""
        try:
            ahead = self.wire.ask_time()
        except Unreachable:
            return self.wire.clock.now() + timedelta(seconds=self.state.get("ahead", 0))
        self._drawer.write(STATE, {**self.state, "ahead": ahead.total_seconds()})
        return self.wire.now()

    def _unexpired(self, now: datetime) -> list[dict[str, Any]]:
        """The cards that have not ended; the keys of those that have are of no use any more."""
        standing = []
        for card in self._cards():
            if datetime.fromisoformat(card["expires_at"]) > now:
                standing.append(card)
            else:
                self._drawer.forget(card["key"])
        return standing

    def _cards(self) -> list[dict[str, Any]]:
        cards: list[dict[str, Any]] = self._drawer.read(CARDS).get("cards", [])
        return cards

    def _forget_cards(self) -> None:
        for card in self._cards():
            self._drawer.forget(card["key"])
        self._drawer.forget(CARDS)

    def _clear(self) -> None:
        self._forget_cards()
        self._drawer.forget(DEVICE_KEY)
        self._drawer.forget(STATE)
