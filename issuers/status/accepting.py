"""Which of two forms of one document a caller would rather have (RFC 9110 section 12.5.1)."""

from collections.abc import Iterable
from typing import Final

_MOST: Final = 20


def prefers(accept: str, wanted: str, usual: str) -> bool:
    """Whether an Accept header names the one form, and before the usual one; in doubt it is the usual one.

    Of two that weigh the same, the one that is named first. Wildcards ask for nothing in particular.
    """
    weights: dict[str, tuple[float, int]] = {}
    for at, part in enumerate(accept.lower().split(",")[:_MOST]):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        weights.setdefault(media, (_weight(parameters), -at))
    named = weights.get(wanted)
    if named is None or named[0] == 0:
        return False
    other = weights.get(usual)
    return other is None or named > other


def _weight(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
