"""What another issuer's status list says: fetched when somebody first asks, and kept for its `ttl`."""

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import urljoin, urlsplit

import anyio
import cbor2
import structlog

from core.http import OnlyPublic, Outgoing, OutOfReach, Reply
from core.settings import Settings
from issuers.credentials.sdjwt.jws import is_typ, read_token
from issuers.credentials.sdjwt.reasons import Unacceptable
from issuers.credentials.x5c import Anchors, Break
from issuers.openid.issuer import is_loopback
from issuers.status.cwt import read_cwt
from issuers.status.rules import (
    CWT_TYPE,
    LONGEST,
    MEDIA_TYPE,
    TYPE,
    Reference,
    Status,
    StatusListRefused,
    StatusListToken,
    read,
)

AHEAD: Final = timedelta(seconds=60)
WITHOUT_TTL: Final = timedelta(minutes=5)
"""How long a list is kept that does not say it."""
AT_MOST: Final = timedelta(hours=12)
"""How long a list is kept, whatever it says: a revocation must not wait for days."""
REDIRECTS: Final = 3
"""How often a list may be somewhere else than where it was asked for."""

_ELSEWHERE = frozenset({301, 302, 303, 307, 308})
_X5CHAIN, _SIGN1 = 33, 18

log = structlog.get_logger("status")


class Standing(StrEnum):
    """What is known of a credential's status; only `valid` is a yes."""

    VALID = "valid"
    REVOKED = "revoked"
    SUSPENDED = "suspended"
    UNKNOWN = "status-unknown"
    """The list knows no such place, or a status that nobody here can read."""
    NOT_ON_RECORD = "not-on-record"
    """Signed with our key, and we did not: somebody else can sign as we do."""
    OUT_OF_REACH = "status-out-of-reach"
    """The list could not be had, or is not one that can be believed: cannot tell, which is not a no."""


STANDINGS = {
    int(Status.VALID): Standing.VALID,
    int(Status.INVALID): Standing.REVOKED,
    int(Status.SUSPENDED): Standing.SUSPENDED,
}


class ForeignLists:
    """Status lists of other issuers. Each is fetched when somebody first asks, and again when its time is over."""

    def __init__(
        self,
        settings: Settings,
        outgoing: Callable[[], Outgoing] | None = None,
        *,
        most: int = 64,
        seconds: float = 10,
    ) -> None:
        self._settings, self._most, self._seconds = settings, most, seconds
        self._outgoing = outgoing or self._careful
        self._kept: dict[str, tuple[datetime, StatusListToken]] = {}

    async def standing(self, reference: Reference, anchors: Anchors, now: datetime) -> Standing:
        """What the list says of this place now. Nothing is asked of a host that is not public (SSRF)."""
        listed = self._fresh(reference.uri, now)
        if listed is None:
            try:
                listed = await self._fetch(reference.uri, anchors, now)
            except (OutOfReach, StatusListRefused, Unacceptable, ValueError) as error:
                # Neither the address nor what was sent: both are somebody else's.
                log.warning("status.out_of_reach", error=type(error).__name__)
                return Standing.OUT_OF_REACH
            self._keep(reference.uri, listed, now)
        try:
            return STANDINGS.get(listed.statuses.get(reference.index), Standing.UNKNOWN)
        except IndexError:
            return Standing.UNKNOWN

    def _fresh(self, uri: str, now: datetime) -> StatusListToken | None:
        until, listed = self._kept.get(uri, (None, None))
        return listed if until is not None and now < until else None

    def _keep(self, uri: str, listed: StatusListToken, now: datetime) -> None:
        self._kept.pop(uri, None)
        while len(self._kept) >= self._most:
            self._kept.pop(next(iter(self._kept)))
        until = now + min(listed.ttl or WITHOUT_TTL, AT_MOST)
        self._kept[uri] = (until if listed.expires_at is None else min(until, listed.expires_at), listed)

    def _careful(self) -> Outgoing:
        through = OnlyPublic(loopback=self._settings.loopback_http)
        return Outgoing(through, seconds=self._seconds, largest=LONGEST)

    async def _fetch(self, uri: str, anchors: Anchors, now: datetime) -> StatusListToken:
        outgoing = self._outgoing()
        try:
            # All steps together have the time that one would have.
            with anyio.fail_after(self._seconds):
                reply = await self._follow(outgoing, uri)
        except TimeoutError:
            raise OutOfReach("the list did not come in time") from None
        finally:
            await outgoing.close()
        if reply.status != 200:
            raise OutOfReach("the list is not there")
        kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
        listed = (
            read_signed_cwt(reply.body, uri, anchors, now)
            if kind == CWT_TYPE
            else read_signed_jwt(reply.body, uri, anchors, now)
        )
        if listed.issued_at > now + AHEAD or (listed.expires_at is not None and listed.expires_at <= now):
            raise StatusListRefused("the list is not of now")
        return listed

    async def _follow(self, outgoing: Outgoing, uri: str) -> Reply:
        """What is there, or where it is said to be instead (Token Status List section 8.2); each step may lead only to
        where the first one may.
        """
        for _ in range(REDIRECTS + 1):
            self._check(uri)
            reply = await outgoing.get(uri, headers={"Accept": f"{MEDIA_TYPE}, {CWT_TYPE};q=0.5"})
            if reply.status not in _ELSEWHERE or "location" not in reply.headers:
                return reply
            uri = urljoin(uri, reply.headers["location"])
        raise OutOfReach("the list is always somewhere else")

    def _check(self, uri: str) -> None:
        parts = urlsplit(uri)
        plain = self._settings.loopback_http and parts.scheme == "http" and is_loopback(parts.hostname)
        if not (parts.scheme == "https" or plain) or not parts.hostname or parts.username is not None:
            raise StatusListRefused("a list is fetched by https")


def read_signed_jwt(body: bytes, uri: str, anchors: Anchors, now: datetime) -> StatusListToken:
    """A list as JWT whose x5c leads to an anchor; StatusListRefused, Unacceptable or ValueError otherwise."""
    token = read_token(body.decode("ascii").strip())
    path = anchors.trace(token.header.get("x5c"), now)
    if isinstance(path, Break) or not is_typ(token.header, TYPE) or not token.is_signed_by(path.key):
        raise StatusListRefused("nobody who is believed signed this list")
    return read(token.claims, uri)


def read_signed_cwt(body: bytes, uri: str, anchors: Anchors, now: datetime) -> StatusListToken:
    """The same as CWT, whose chain stands in `x5chain` (RFC 9360 section 2)."""
    try:
        opened = cbor2.loads(body)
        message = opened.value if isinstance(opened, cbor2.CBORTag) and opened.tag == _SIGN1 else opened
        chain = cbor2.loads(message[0])[_X5CHAIN]
    except (cbor2.CBORDecodeError, TypeError, ValueError, KeyError, IndexError, RecursionError):
        raise StatusListRefused("the token is no COSE_Sign1 with a chain") from None
    entries = chain if isinstance(chain, list) else [chain]
    if not all(isinstance(entry, bytes) for entry in entries):
        raise StatusListRefused("the chain is no list of certificates")
    path = anchors.trace([base64.b64encode(entry).decode() for entry in entries], now)
    if isinstance(path, Break):
        raise StatusListRefused("nobody who is believed signed this list")
    return read_cwt(body, path.key, uri)
