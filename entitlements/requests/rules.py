"""What a pre-filled request asks for, how far back it reaches, and when it runs out: values, no database."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from entitlements.language import canonical_json
from entitlements.language.days import add_months, month_start
from entitlements.rulebook.rules import AllowanceGrant, AmountDue, Ruling

OFFERED_FOR = timedelta(days=90)
"""How long an offer stands; assumed, for the city to confirm."""
LATE_LETTERS = timedelta(days=366)
"""How long after it arrived a letter can still be recorded."""
SECRET = "gone-requests/1"  # noqa: S105  (the label of a secret, no secret)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a person could have if they asked for it."""

    person_id: UUID
    programme: str
    ground: str
    essence: str
    content: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[UUID, str]:
        return self.person_id, self.programme


def essence_of(ruling: Ruling) -> str:
    """SHA-256 over what it would bring; its days are left out, or the same offer would be another every night."""
    said = [
        ruling.ground,
        ruling.payer,
        sorted(ruling.tariffs),
        [
            [a.kind, a.monthly_cents, a.terms, a.unit_ceiling_cents, a.ceiling_cents]
            for a in ruling.allowances
        ],
        [[c.kind, c.monthly_cents] for c in ruling.charges],
    ]
    return hashlib.sha256(canonical_json(said).encode()).hexdigest()


def mark_of(secret: bytes, person_id: UUID, programme: str, essence: str) -> bytes:
    """What is kept of an offer that is gone: whoever has not the secret cannot tell whose it was."""
    said = canonical_json([str(person_id), programme, essence])
    return hmac.digest(secret, said.encode(), hashlib.sha256)


def made_good_since(received_on: date, reaches_back: int | None) -> date | None:
    """The first day for which the claim can be made good; None: however far back its facts reach."""
    if reaches_back is None:
        return None
    return add_months(month_start(received_on), -reaches_back)


def within_reach(
    ruling: Ruling, received_on: date | None
) -> tuple[tuple[AllowanceGrant, ...], tuple[AmountDue, ...]]:
    """What a ruling brings in money, no further back than a request of this day reaches."""
    floor = made_good_since(received_on, ruling.reaches_back) if received_on is not None else None
    if floor is None:
        return ruling.allowances, ruling.amounts
    allowances = tuple(replace(grant, since=max(grant.since or floor, floor)) for grant in ruling.allowances)
    return allowances, tuple(amount for amount in ruling.amounts if amount.due >= floor)
