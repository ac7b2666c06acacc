"""Where requests go that others' addresses send us: to public addresses, and to the one that was looked at."""

from ipaddress import ip_address

import httpx
import pytest

from core.errors import Unavailable
from core.http import NotPublic, OnlyPublic, Outgoing, OutOfReach, is_public


class Seen(httpx.AsyncBaseTransport):
    """What would go over the wire."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200, text="hello")


def resolving(*addresses: str):  # type: ignore[no-untyped-def]
    async def resolve(_host: str, _port: int) -> list[str]:
        return [*addresses]

    return resolve


async def test_the_connection_goes_to_the_address_that_was_looked_at_under_the_name() -> None:
    seen = Seen()
    outgoing = Outgoing(OnlyPublic(seen, resolve=resolving("93.184.216.34", "2606:2800:220:1::1")))
    assert (await outgoing.get("https://list.example:8443/1?a=b")).body == b"hello"
    (request,) = seen.requests
    assert request.url.host == "93.184.216.34"
    assert request.url.port == 8443
    assert request.url.raw_path == b"/1?a=b"
    assert request.headers["host"] == "list.example:8443"
    assert request.extensions["sni_hostname"] == "list.example"
    await outgoing.close()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "ff02::1",
    ],
)
async def test_no_address_of_this_machine_or_network_is_opened(address: str) -> None:
    assert not is_public(ip_address(address))
    seen = Seen()
    outgoing = Outgoing(OnlyPublic(seen, resolve=resolving("93.184.216.34", address)))
    with pytest.raises(NotPublic):
        await outgoing.get("https://list.example/1")
    assert seen.requests == []
    await outgoing.close()


async def test_this_machine_itself_is_asked_only_where_that_is_switched_on() -> None:
    seen = Seen()
    outgoing = Outgoing(OnlyPublic(seen, loopback=True, resolve=resolving("127.0.0.1")))
    assert (await outgoing.get("http://localhost:8000/status/1")).status == 200
    outgoing = Outgoing(OnlyPublic(seen, loopback=True, resolve=resolving("10.0.0.1")))
    with pytest.raises(NotPublic):
        await outgoing.get("http://intern/1")


async def test_a_name_that_leads_nowhere_is_out_of_reach() -> None:
    outgoing = Outgoing(OnlyPublic(Seen(), resolve=resolving()))
    with pytest.raises(OutOfReach):
        await outgoing.get("https://list.example/1")
    real = Outgoing(OnlyPublic(Seen()))
    with pytest.raises(Unavailable):
        await real.get("https://127.0.0.1/1")
