"""How often, in which window, and who is counted as one."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network


@dataclass(frozen=True, slots=True)
class Limit:
    """So many times in each window of this length."""

    times: int
    per: timedelta

    def window(self, now: datetime) -> int:
        """The number of the window that `now` falls into, counted from the beginning of 1970."""
        return int((now - _EPOCH) // self.per)

    def ends(self, now: datetime) -> datetime:
        """When the window of `now` is over."""
        return _EPOCH + (self.window(now) + 1) * self.per


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def caller_address(peer: str | None, forwarded: str | None, trusted: Iterable[str]) -> str:
    """The address that a request came from: the last one that was not written by a proxy of ours.

    What stands before it in X-Forwarded-For, the caller may have written there.
    """
    proxies = [ip_network(each, strict=False) for each in trusted]
    hops = [hop.strip() for hop in forwarded.split(",")] if forwarded else []
    seen = _address(peer)
    while seen is not None and hops and any(seen in proxy for proxy in proxies):
        earlier = _address(hops.pop())
        if earlier is None:
            break
        seen = earlier
    return "unknown" if seen is None else _one_household(seen)


def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text or "")
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def _one_household(address: IPv4Address | IPv6Address) -> str:
    # Whoever has an IPv6 address has 2^64 of them.
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, 64), strict=False))
    return str(address)
