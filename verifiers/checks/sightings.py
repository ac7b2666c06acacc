"""Notices one card at two venues within minutes, without anything being kept of where: not on disk, not in a log.

What it goes by lives in this process alone, under a key that no other process and no backup has, for minutes; a second
process sees its own checks only. What comes of it (`flags`) is that it happened, on a day.
"""

import hmac
import secrets
from collections import OrderedDict
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from issuers.credentials.card import CardId

MOST: Final = 100_000
"""Cards that are remembered at once; the oldest go first. A city's whole day would not fill it in three minutes."""


class Sightings:
    """What this process has just accepted: by card, a keyed hash of the place."""

    def __init__(self, within: timedelta) -> None:
        self._within = within
        self._key = secrets.token_bytes(32)
        self._seen: OrderedDict[bytes, tuple[bytes, datetime]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def saw(self, card: CardId, venue: int, at: datetime) -> bool:
        """Remembers an accepted card; says whether it was accepted at another venue a moment ago."""
        if not self._within:
            return False
        self._forget(at)
        who = self._hash(b"card %d %d" % (card.status_list, card.index))
        where = self._hash(who + b"at %d" % venue)
        before = self._seen.pop(who, None)
        self._seen[who] = (where, at)
        return before is not None and before[0] != where and abs(at - before[1]) <= self._within

    def _forget(self, now: datetime) -> None:
        while self._seen:
            oldest = next(iter(self._seen))
            if len(self._seen) < MOST and now - self._seen[oldest][1] <= self._within:
                return
            del self._seen[oldest]

    def _hash(self, what: bytes) -> bytes:
        return hmac.digest(self._key, what, sha256)[:16]
