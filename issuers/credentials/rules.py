"""Until when a card holds, how its number reads, and which cards promise more than is held."""

from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from core.clock import day_of, first_moment

PRINTED_DAYS = 184
"""Longest life of a card on paper: it is bound to no key, so its loss must not matter for years."""

WALLET_DAYS = 92
"""Longest life of a credential in somebody else's wallet; the wallet fetches the next by itself."""

_A_MONDAY = date(1970, 1, 5)


class CredentialKind(StrEnum):
    """What was signed."""

    CARD = "card"
    PRINTED = "printed"
    SD_JWT = "sd-jwt"
    """For the wallets of others."""


class Revocation(StrEnum):
    """Why a credential was taken back."""

    LOST = "lost"
    REPLACED = "replaced"
    DEVICE_REMOVED = "device-removed"
    NOT_HELD = "not-held"
    """It promised more than its person holds."""
    GUARDIANSHIP_ENDED = "guardianship-ended"
    KEY_WITHDRAWN = "key-withdrawn"
    FORGOTTEN = "forgotten"
    CONSENT_WITHDRAWN = "consent-withdrawn"
    """Its holder does not want it to be kept elsewhere any more."""
    BY_OPERATOR = "by-operator"
    """Named by its place in a status list, on the command line."""
    DELETED = "deleted"
    """The wallet that was given it says that its holder deleted it."""


def card_ends(
    now: datetime, *, days: int, zone: ZoneInfo, until: date | None, changes_on: date | None
) -> datetime:
    """When a phone's card issued now ends: on a boundary common to all, or with what it stands for.

    The boundary is the latest of a fixed grid of days (with fourteen days of life: Mondays) that the card can
    reach. So a card tells by its end neither when it was made nor for whom, only that week; where the end of
    an entitlement (`until`, its last day) or a change of tariff (`changes_on`, the first day of another) comes
    earlier, it tells that day.
    """
    today = day_of(now, zone)
    step = max(1, days // 2)
    latest = (today - _A_MONDAY).days + days
    boundary = _A_MONDAY + timedelta(days=latest // step * step)
    return _ends(boundary, until, changes_on, zone)


def printed_ends(now: datetime, *, zone: ZoneInfo, until: date | None, changes_on: date | None) -> datetime:
    """When a printed card made now ends: on the first of a month, or with what it stands for."""
    boundary = (day_of(now, zone) + timedelta(days=PRINTED_DAYS)).replace(day=1)
    return _ends(boundary, until, changes_on, zone)


def wallet_ends(now: datetime, *, zone: ZoneInfo, until: date | None, changes_on: date | None) -> datetime:
    """When a credential for another's wallet made now ends: on the first of a month, or with what it stands for."""
    boundary = (day_of(now, zone) + timedelta(days=WALLET_DAYS)).replace(day=1)
    return _ends(boundary, until, changes_on, zone)


def _ends(boundary: date, until: date | None, changes_on: date | None, zone: ZoneInfo) -> datetime:
    first_days_without = [boundary]
    if until is not None:
        first_days_without.append(until + timedelta(days=1))
    if changes_on is not None:
        first_days_without.append(changes_on)
    return first_moment(min(first_days_without), zone)


def promises_more(card_bits: int, held_bits: int) -> bool:
    """Whether a card names a tariff that its person does not hold."""
    return bool(card_bits & ~held_bits)


def card_number(drawn: int) -> str:
    """Eleven digits with a check digit (Luhn), in groups of four: `4821 0937 5516`."""
    if not 0 <= drawn < 10**11:
        raise ValueError("a card number has eleven digits before the check digit")
    digits = f"{drawn:011d}"
    doubled = [int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits))]
    check = -sum(value // 10 + value % 10 for value in doubled) % 10
    return " ".join((digits[:4], digits[4:8], digits[8:] + str(check)))
