"""A venue's device: enrolled once by a code, checks with the server or alone, and redeems."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import verifiers.checks
from app.walk.keeping import Drawer, NotThere
from app.walk.timekeeping import Ticks, Timekeeper, machine_ticks
from app.walk.wire import Wire
from core import jose, texts
from core.access.signatures import sign_request
from core.clock import day_of
from core.jose import TokenRefused
from core.languages import Language, preferred
from issuers.credentials.card import CardId
from issuers.trustlist.rules import TrustList
from issuers.trustlist.rules import read as read_trust_list
from verifiers.bundles.rules import Memory, judge_offline, open_bundle, remember, remember_accepted
from verifiers.bundles.schemas import BundleView
from verifiers.offers.words import words
from verifiers.scanners.rules import to_be_signed, understood

KEY = "scanner-key"
STATE, BUNDLE, MEMORY = "scanner", "bundle", "memory"
ZONE = ZoneInfo("Europe/Berlin")
WORDS = words(Path(verifiers.checks.__file__).with_name("words.yaml"))


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a bundle brought."""

    offers: int
    lists: int


class Scanner:
    """One device and what it keeps."""

    def __init__(self, wire: Wire, drawer: Drawer, ticks: Ticks = machine_ticks) -> None:
        self.wire, self._drawer = wire, drawer
        self._time = Timekeeper(drawer, wire.clock, ticks)

    @property
    def state(self) -> dict[str, Any]:
        """Where the device stands and what it last heard; NotThere before it is enrolled."""
        state = self._drawer.read(STATE)
        if not state:
            raise NotThere("scanner")
        return state

    def keep(self, **changes: Any) -> None:
        """Remembers something."""
        self._drawer.write(STATE, {**self._drawer.read(STATE), **changes})

    def enrol(self, code: str, name: str) -> dict[str, Any]:
        """Makes a key, proves it with the one-time code, and is known from then on."""
        signer = self._drawer.new_key(KEY)
        plain = understood(code) or code
        proof = texts.b64url(signer.sign(to_be_signed(plain, jose.thumbprint(signer.public_key))))
        enrolled: dict[str, Any] = self.wire.post(
            "/v1/scanners",
            {"code": code, "name": name, "key": jose.jwk(signer.public_key), "proof": proof},
        )
        self._drawer.write(STATE, {"url": self.wire.url, **enrolled})
        return enrolled

    def check(self, text: str, *, key: str | None = None) -> dict[str, Any]:
        """Has the server judge the text of a code; the same `key` asks for the same showing again."""
        answer: dict[str, Any] = self._signed("POST", "/v1/checks", {"code": text}, key or str(uuid4()))
        self.keep(receipt=answer.get("receipt"), offers=answer.get("offers", []))
        self._heard(datetime.fromisoformat(answer["time"]))
        kept = self._drawer.read(BUNDLE)
        if kept and answer.get("outcome") == "accepted":
            memory = self._memory()
            remember_accepted(memory, text, kept["bundle"]["code_host"])
            self._keep_memory(memory)
        return answer

    def _heard(self, server: datetime) -> None:
        """Takes in what time the server said it was: the device goes by it, and never runs back behind it."""
        self._time.learn(server)
        memory = self._memory()
        memory.floor = max(memory.floor, server)
        self._keep_memory(memory)

    def redeem(self, offer_id: str, *, receipt: str | None = None, key: str | None = None) -> dict[str, Any]:
        """Takes one use of an offer, for the code that was checked last."""
        receipt = receipt or self.state.get("receipt")
        if receipt is None:
            raise NotThere("receipt")
        content = {"receipt": receipt, "offer_id": offer_id}
        taken: dict[str, Any] = self._signed("POST", "/v1/redemptions", content, key or str(uuid4()))
        return taken

    def _signed(self, method: str, target: str, content: Any = None, key: str | None = None) -> Any:
        """A request that the device's key has signed over method, path, body and Idempotency-Key."""
        body = b"" if content is None else json.dumps(content).encode()
        signer = self._drawer.key(KEY)
        headers = sign_request(signer, method, target, body, created=self.wire.now(), idempotency_key=key)
        if body:
            headers["Content-Type"] = "application/json"
        answer = self.wire.ask(method, target, body=body or None, headers=headers)
        return answer.json() if answer.content else None

    # ---- without a network ----

    def fetch_bundle(self) -> Fetched:
        """Takes along what is needed to judge alone; refuses what is older than what it has."""
        said = self._signed("GET", "/v1/bundle")
        view = BundleView.model_validate_json(json.dumps(said))
        now = self.wire.now()
        kept = self._drawer.read(BUNDLE)
        # The first list is believed as it comes from the server that let the device in; every later one only if
        # an anchor of the list before has signed it.
        held = _trust_list(kept["bundle"]["trust_list"]) if kept else None
        trusted = held or _trust_list(view.trust_list)
        try:
            kit = open_bundle(view, trusted.anchors_at(max(now, trusted.issued_at)), held, now)
        except TokenRefused:
            if held is None:
                raise
            # The keys have changed since the last bundle, and none that this device trusts vouches for the new ones.
            raise NotThere("keys") from None
        memory = self._memory()
        remember(memory, kit)
        self._drawer.write(BUNDLE, {"bundle": said})
        self._keep_memory(memory)
        self._heard(view.time)
        return Fetched(len(view.offers), len(view.status_lists))

    def check_alone(self, text: str) -> dict[str, Any]:
        """Judges the text of a code without a word to the server; NotThere before the first bundle."""
        kept = self._drawer.read(BUNDLE)
        if not kept:
            raise NotThere("bundle")
        view = BundleView.model_validate_json(json.dumps(kept["bundle"]))
        held = _trust_list(view.trust_list)
        # As of its own moment: whether it is too old by now is for the judgement to say.
        kit = open_bundle(view, held.anchors_at(held.issued_at), None, held.issued_at)
        memory = self._memory()
        now = self._time.read()
        judgement = judge_offline(text, kit, memory, now=now, today=day_of(now, ZONE))
        self._keep_memory(memory)
        language = preferred(self.wire.language)
        offers = {str(each.id): each.texts.get(language) or each.texts[Language.DE] for each in view.offers}
        told: dict[str, Any] = {
            "outcome": judgement.outcome.value,
            "reason": judgement.reason,
            "headline": WORDS["outcome"][judgement.outcome][language],
            "explanation": WORDS["reason"][judgement.reason][language] if judgement.reason else "",
            "name": judgement.name or "",
            "compare_name": judgement.compare_name,
            "clock_off_by": None if judgement.off_by is None else int(judgement.off_by.total_seconds()),
            "time": max(now, memory.floor).isoformat(),
        }
        for name in ("offers", "offers_with_name"):
            told[name] = [{"id": offer.id, "text": offers[offer.id]} for offer in getattr(judgement, name)]
        # Alone, nothing can be redeemed: there is no receipt.
        self.keep(receipt=None, offers=told["offers"])
        return told

    def _memory(self) -> Memory:
        kept = self._drawer.read(MEMORY)
        if not kept:
            return Memory()
        return Memory(
            floor=datetime.fromisoformat(kept["floor"]),
            newest={int(number): datetime.fromisoformat(at) for number, at in kept["newest"].items()},
            last_accepted={CardId(number, index): second for number, index, second in kept["last_accepted"]},
        )

    def _keep_memory(self, memory: Memory) -> None:
        self._drawer.write(
            MEMORY,
            {
                "floor": memory.floor.isoformat(),
                "newest": {str(number): at.isoformat() for number, at in memory.newest.items()},
                "last_accepted": [
                    [card.status_list, card.index, second] for card, second in memory.last_accepted.items()
                ],
            },
        )


def _trust_list(token: str) -> TrustList:
    return read_trust_list(texts.read_object(texts.unb64url(token.split(".")[1])))
