"""A holder's phone: signed in, enrolled with a key of its own, with a batch of cards of which each visit gets one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

from app.walk.keeping import Drawer, NotThere
from app.walk.signin import SignedIn, sign_in
from app.walk.timekeeping import Ticks, Timekeeper, machine_ticks
from app.walk.wire import Refused, Unreachable, Wire
from core import jose, texts
from wallet.codes.picture import Drawing, budget, draw
from wallet.codes.text import Kind, live_text
from wallet.devices.rules import CARDS_TYPE, DEVICE_TYPE, HOLDER_TYPE

STATE, CARDS = "phone", "cards"
DEVICE_KEY = "phone-key"
BATCH = 8
LOW = 3
"""With fewer fresh cards than this, a phone that has a network gets more."""
VISIT = timedelta(minutes=5)
"""So long after it was last drawn, a card still belongs to the same visit."""
AHEAD = timedelta(seconds=30)
"""As far a code may be ahead of the clock, so that two drawn in one second are not one."""


class Moved(Exception):
    """The phone holds cards no more: another has taken its place, or it was removed."""

    def __init__(self, state: str, successor: str | None) -> None:
        super().__init__(state)
        self.state, self.successor = state, successor


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
    clock_in_doubt: bool = False
    """Whether the machine's clock says an earlier time than the server has said already."""


class Phone:
    """One phone and what it keeps."""

    def __init__(self, wire: Wire, drawer: Drawer, ticks: Ticks = machine_ticks) -> None:
        self.wire, self._drawer = wire, drawer
        self._time = Timekeeper(drawer, wire.clock, ticks)

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
        return self.wire.get("/v1/entitlements", self.headers(person))

    def allowances(self, person: str | None = None) -> Any:
        """What money stands at the person's disposal."""
        return self.wire.get("/v1/allowances", self.headers(person))

    def inbox(self) -> Any:
        """The newest messages."""
        return self.wire.get("/v1/inbox", self.headers())

    # ---- the phone itself ----

    def others(self) -> list[dict[str, Any]]:
        """The holder's other phones, of which this one can take the place."""
        own = self.state.get("device_id")
        listed: list[dict[str, Any]] = self.wire.get("/v1/devices", self.headers())["devices"]
        return [device for device in listed if device["id"] != own]

    def enrol(self, name: str, *, replaces: str | None = None) -> dict[str, Any]:
        """Makes the phone's key and proves it to the server.

        It takes the place of this phone's earlier self, or of another phone that its holder names.
        """
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
                "replaces": replaces or self.state.get("device_id"),
            },
            headers,
        )
        self._forget_cards()
        self._drawer.write(STATE, {**self.state, "device_id": device["id"], "code_host": device["code_host"]})
        return device

    def top_up(self, *, named: bool = False, person: str | None = None, count: int = BATCH) -> dict[str, Any]:
        """Gets fresh cards, each for a key that is made for it; `person` is a ward."""
        state = self.state
        if "device_id" not in state:
            raise NotThere("device")
        headers = self.headers(person)
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

    def sync(self) -> dict[str, Any]:
        """Asks how things stand: drops what was taken back, and gets more where fresh cards run low.

        Moved where another phone has taken the place of this one: then nothing of the cards stays.
        """
        state = self.state
        if "device_id" not in state:
            raise NotThere("device")
        said: dict[str, Any] = self.wire.get(f"/v1/devices/{state['device_id']}", self.headers())
        self._time.learn(datetime.fromisoformat(said["server_time"]))
        if said["state"] != "in-use":
            self._forget_cards()
            self._drawer.forget(DEVICE_KEY)
            self._drawer.write(STATE, {name: value for name, value in state.items() if name != "device_id"})
            raise Moved(said["state"], said["replaced_by"])
        gone = set(said["taken_back"])
        kept = []
        for card in self._unexpired(datetime.fromisoformat(said["server_time"])):
            if texts.b64url(sha256(texts.unb64url(card["card"])).digest()) in gone:
                self._drawer.forget(card["key"])
            else:
                kept.append(card)
        self._drawer.write(CARDS, {"cards": kept})
        wanted = {(card["kind"], card["person"]) for card in kept} | {("nameless", None)}
        for kind, person in sorted(wanted, key=str):
            self._refill(kind, person, batch=said["batch"])
        # What the server said was true before it gave fresh ones.
        return said | {"cards": len(self._unexpired(datetime.fromisoformat(said["server_time"])))}

    def show(
        self,
        *,
        venue: int | None = None,
        named: bool = False,
        person: str | None = None,
        new_visit: bool = False,
    ) -> Shown:
        """A live code of this visit's card: as often as it is looked at, the same; the next visit gets another.

        A visit goes on for five minutes after the last look, at the same sign. NotThere where there is no card at all.
        """
        now, in_doubt = self._now()
        kind = "named" if named else "nameless"
        chosen = None if new_visit else self._of_this_visit(kind, person, venue, now)
        if chosen is None and not self._fresh(kind, person):
            self._refill(kind, person)
        cards = self._unexpired(now)
        fitting = [card for card in cards if card["kind"] == kind and card["person"] == person]
        if chosen is None:
            # An empty phone without a network shows its last card again: that can be linked, and still lets in.
            chosen = next((card for card in fitting if not card["shown"]), None)
            fresh = chosen is not None
            chosen = chosen or max(reversed(fitting), key=lambda card: card.get("at", 0), default=None)
        else:
            chosen = next((card for card in fitting if card["key"] == chosen["key"]), None)
            fresh = True
        if chosen is None:
            raise NotThere("cards")
        # No two codes of one card for one second: the second would count as the first, shown again.
        at = max(int(now.timestamp()), chosen.get("at", 0) + 1)
        at = at if at <= now.timestamp() + AHEAD.total_seconds() else int(now.timestamp())
        chosen.update(shown=True, at=at, venue=venue)
        # Written before it is drawn: if we fall between, the next visit takes another card.
        self._drawer.write(CARDS, {"cards": cards})
        host = self.state["code_host"]
        signer = self._drawer.key(chosen["key"])
        text = live_text(host, texts.unb64url(chosen["card"]), signer, at, venue)
        left = sum(not card["shown"] for card in fitting)
        drawing = draw(text, budget(host).version(Kind.LIVE))
        return Shown(text, drawing, now, fresh, left, in_doubt)

    def _of_this_visit(
        self, kind: str, person: str | None, venue: int | None, now: datetime
    ) -> dict[str, Any] | None:
        """The card that was drawn a moment ago for the same sign."""
        for card in self._cards():
            since = now.timestamp() - card.get("at", 0)
            if (
                (card["kind"], card["person"], card.get("venue")) == (kind, person, venue)
                and card["shown"]
                and -AHEAD.total_seconds() <= since < VISIT.total_seconds()
            ):
                return card
        return None

    def _fresh(self, kind: str, person: str | None) -> int:
        return sum(
            (card["kind"], card["person"]) == (kind, person) and not card["shown"] for card in self._cards()
        )

    def _refill(self, kind: str, person: str | None, *, batch: int = BATCH) -> None:
        """Gets fresh cards where few are left, if that is possible now; if not, what is there has to do."""
        if self._fresh(kind, person) >= LOW:
            return
        try:
            self.top_up(named=kind == "named", person=person, count=batch)
        except (Refused, Unreachable, SignInAgain, NotThere):
            return

    def _now(self) -> tuple[datetime, bool]:
        """The server's time, without a network as far as it is known; and whether the clock here is in doubt.

        It never runs back behind what the server has said.
        """
        try:
            self.wire.ask_time()
        except Unreachable:
            at, floor = self._time.read(), self._time.floor()
            return (at, False) if floor is None else (max(at, floor), at < floor)
        now = self.wire.now()
        self._time.learn(now)
        return now, False

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
