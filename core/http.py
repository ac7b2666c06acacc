"""The one way out: every request that this system makes of others goes through here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import httpx

from core.errors import Unavailable


class OutOfReach(Unavailable):
    """The other side did not answer in time, not in full, or not at all."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the other side answered, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> object:
        """The body as JSON; ValueError where it is none."""
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deep") from None


class Outgoing:
    """Asks others, with a limit on time and size, and goes nowhere it was not sent: a redirect is an answer."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        seconds: float = 10,
        largest: int = 1_000_000,
    ) -> None:
        self._seconds, self._largest = seconds, largest
        self._client = httpx.AsyncClient(
            transport=transport,
            follow_redirects=False,
            timeout=httpx.Timeout(seconds, connect=min(seconds, 5)),
            limits=httpx.Limits(max_connections=50, max_keepalive_connections=10),
            headers={"User-Agent": "citycard", "Accept": "application/json"},
        )

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        """What is there at this address."""
        return await self._ask("GET", url, headers=headers)

    async def post_form(
        self, url: str, form: Mapping[str, str], *, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """The answer to a form."""
        return await self._ask("POST", url, headers=headers, data=form)

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, method: str, url: str, **rest: Any) -> Reply:
        try:
            # httpx counts each wait; a server that sends one byte a second would hold us for ever.
            with anyio.fail_after(self._seconds):
                async with self._client.stream(method, url, **rest) as response:
                    body = bytearray()
                    async for chunk in response.aiter_bytes():
                        body += chunk
                        if len(body) > self._largest:
                            raise OutOfReach("the other side sent more than is taken")
                    return Reply(response.status_code, response.headers, bytes(body))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            # Neither the address nor the error's text: both may hold what is nobody's business.
            raise OutOfReach("the other side did not answer") from None
