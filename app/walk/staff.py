"""Somebody who works for the city or a partner, with a browser: signs in, and asks."""

from typing import Any

from app.walk.signin import SignedIn, sign_in
from app.walk.wire import Wire


class Staff:
    """One account, signed in as long as it asks something."""

    def __init__(self, wire: Wire, account: str, password: str = "demo") -> None:  # noqa: S107  (the demo's)
        self._wire, self._account, self._password = wire, account, password
        self._signed_in: SignedIn | None = None

    def headers(self) -> dict[str, str]:
        """What proves who asks, renewed when it is over."""
        if self._signed_in is None or self._wire.now() >= self._signed_in.expires_at:
            self._signed_in = sign_in(self._wire, self._account, self._password)
        return self._signed_in.headers()

    def ask(self, method: str, target: str, content: Any = None, **headers: str) -> Any:
        """A request in this account's name; `acting_for` and `channel` become the headers of those names."""
        answer = self._wire.ask(method, target, content=content, headers=self._named(headers))
        return answer.json() if answer.content else None

    def fetch(self, target: str, **headers: str) -> bytes:
        """A picture or a file."""
        return self._wire.ask("GET", target, headers=self._named(headers)).content

    def _named(self, headers: dict[str, str]) -> dict[str, str]:
        named = {name.replace("_", "-").title(): value for name, value in headers.items()}
        return {**self.headers(), **named}
