"""The signed trust list as the judgement asks it: by the id of a key."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from issuers.trustlist.rules import TrustList
from verifiers.checks.rules import TrustedKey


@dataclass(frozen=True, slots=True)
class Trust:
    """The trust list in the form in which the judgement asks it."""

    issued_at: datetime
    expires_at: datetime
    keys: Mapping[bytes, TrustedKey]

    def key(self, kid: bytes, /) -> TrustedKey | None:
        return self.keys.get(kid)


def trust_of(listed: TrustList, now: datetime) -> Trust:
    """The keys of a trust list, each as it stands at `now`."""
    keys = {
        key.kid: TrustedKey(
            key.kid,
            key.use.value,
            key.public_key,
            key.not_before,
            key.not_after,
            withdrawn=key.withdrawn_at is not None and key.withdrawn_at <= now,
        )
        for issuer in listed.issuers
        for key in issuer.keys
    }
    return Trust(listed.issued_at, listed.expires_at, keys)
