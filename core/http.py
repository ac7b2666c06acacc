"""The one way out: every request that this system makes of others goes through here."""

import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
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


@cache
def _trust() -> ssl.SSLContext:
    """Whose certificates are believed: read once, some hundred of them."""
    return httpx.create_ssl_context()


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
            verify=_trust(),
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


class NotPublic(OutOfReach):
    """The address is on this machine or in this network, where nobody outside may send us."""


Resolve = Callable[[str, int], Awaitable[Iterable[str]]]


class OnlyPublic(httpx.AsyncBaseTransport):
    """Opens connections only to hosts of which every address is public, and only to an address that was looked at.

    For addresses that others name: a name may mean something else from one look to the next, so the connection goes
    to the number, and the certificate is still asked for the name.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport | None = None,
        *,
        loopback: bool = False,
        resolve: Resolve | None = None,
    ) -> None:
        self._inner = inner or httpx.AsyncHTTPTransport()
        self._loopback, self._resolve = loopback, resolve or _resolved

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host, port = request.url.host, request.url.port or 443
        address = await self._address(host, port)
        return await self._inner.handle_async_request(
            httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
        )

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _address(self, host: str, port: int) -> str:
        found = [ip_address(one) for one in await self._resolve(host, port)]
        if not found or not all(is_public(one) or (self._loopback and one.is_loopback) for one in found):
            raise NotPublic("the address is not a public one")
        return str(found[0])


# An IPv6 address that carries an IPv4 address within: what it leads to is the inner one's business.
_CARRYING = (ip_network("64:ff9b::/96"), ip_network("2002::/16"), ip_network("2001::/32"))


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is one that everybody in the world can be sent to."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if any(address in network for network in _CARRYING):
            return False
    return address.is_global and not address.is_multicast


async def _resolved(host: str, port: int) -> list[str]:
    try:
        found = await anyio.getaddrinfo(host, port, proto=socket.IPPROTO_TCP)
    except OSError:
        raise OutOfReach("the other side cannot be found") from None
    return [str(entry[4][0]).partition("%")[0] for entry in found]
