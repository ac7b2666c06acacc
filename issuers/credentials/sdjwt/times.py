"""Moments in claims: read with suspicion, judged with the time that the caller gives."""

from collections.abc import Mapping
from datetime import UTC, datetime

_LATEST = 2**35


def moment(claims: Mapping[str, object], name: str) -> float | None:
    """The seconds that a claim names, None where it is absent; ValueError where it is no moment."""
    if name not in claims:
        return None
    value = claims[name]
    # True is an int in Python, and no date.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LATEST:
        raise ValueError("this is not a moment")
    return value


def aware(seconds: float) -> datetime:
    """The same moment as the rest of the house writes it."""
    return datetime.fromtimestamp(seconds, UTC)
