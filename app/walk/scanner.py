"""A venue's device: enrolled once by a code, checks with the server or alone, and redeems."""

import json
from typing import Any
from uuid import uuid4

from app.walk.keeping import Drawer, NotThere
from app.walk.wire import Wire
from core import jose
from core.access.signatures import sign_request
from verifiers.scanners.rules import to_be_signed, understood

KEY = "scanner-key"
STATE = "scanner"


class Scanner:
    """One device and what it keeps."""

    def __init__(self, wire: Wire, drawer: Drawer) -> None:
        self.wire, self._drawer = wire, drawer

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
        proof = jose.b64url(signer.sign(to_be_signed(plain, jose.thumbprint(signer.public_key))))
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
        return answer

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
