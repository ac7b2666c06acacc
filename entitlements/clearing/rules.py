"""What becomes of each table when two persons turn out to be one, and how two standings differ: pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Way(StrEnum):
    """How what is kept about the one that goes is found under the one that stays."""

    READ = "read"
    """It stays where it is, and whoever reads looks under every id of a person."""
    MOVED = "moved"
    """It goes over to the one that stays, and the merge writes down whose it was."""
    DERIVED = "derived"
    """It is worked out anew from what is known of both."""
    RENEWED = "renewed"
    """It ends with the merge, and the one that stays gets another: what was signed stays bound to its id."""


WAYS: Mapping[str, Way] = {
    "persons": Way.READ,
    "merges": Way.READ,
    "merged_rows": Way.READ,
    "identity_keys": Way.READ,
    "identities": Way.READ,
    "name_marks": Way.READ,
    "likemarks": Way.READ,
    "identifications": Way.READ,
    "logins": Way.READ,
    "activation_codes": Way.READ,
    "guardianships": Way.READ,
    "memberships": Way.READ,
    "links": Way.READ,
    "link_moves": Way.READ,
    "reviews": Way.READ,
    "facts": Way.READ,
    "delivery_rows": Way.READ,
    "delivery_subjects": Way.READ,
    "decisions": Way.READ,
    "notices": Way.READ,
    "inbox_messages": Way.READ,
    "devices": Way.READ,
    "credential_offers": Way.READ,
    "wallet_grants": Way.READ,
    "end_warnings": Way.READ,
    "card_flags": Way.READ,
    "presentations": Way.READ,
    "print_batch_places": Way.READ,
    "current_facts": Way.DERIVED,
    "verdicts": Way.DERIVED,
    "assessed": Way.DERIVED,
    "assessment_run_persons": Way.DERIVED,
    "entitlements": Way.MOVED,
    "approvals": Way.MOVED,
    "credited_months": Way.MOVED,
    "lump_sums": Way.MOVED,
    "benefit_requests": Way.MOVED,
    "holders": Way.RENEWED,
    "credentials": Way.RENEWED,
    "printed_cards": Way.RENEWED,
    "wallet_passes": Way.RENEWED,
}
"""By table. A table about persons that is not named here has not been thought about (see the tests)."""


@dataclass(frozen=True, slots=True)
class Held:
    """One thing that somebody holds, as it stands."""

    person_id: UUID
    what: str
    """A programme, or a kind of money."""
    says: str
    """How it stands, or the cents."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What would be another after an act; empty where there would be, or was, nothing."""

    person_id: UUID
    what: str
    before: str
    after: str


def differences(before: Iterable[Held], after: Iterable[Held]) -> list[Difference]:
    """What differs between two looks at the same persons, in the order of persons and things."""
    looks: list[dict[tuple[UUID, str], str]] = []
    for look in (before, after):
        found: dict[tuple[UUID, str], list[str]] = {}
        for one in look:
            found.setdefault((one.person_id, one.what), []).append(one.says)
        looks.append({key: ", ".join(sorted(said)) for key, said in found.items()})
    then, now = looks
    return [
        Difference(*key, then.get(key, ""), now.get(key, ""))
        for key in sorted(then.keys() | now.keys())
        if then.get(key) != now.get(key)
    ]
