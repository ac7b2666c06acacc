"""Does this answer a request? Every rule but the status, in one order, answered with a value; pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from issuers.credentials.sdjwt.keybinding import Binding
from issuers.credentials.sdjwt.reasons import Reason
from issuers.credentials.sdjwt.verify import Accepted, Expected, Memory, Refused, Trust, verify
from verifiers.presentations.dcql import SD_JWT_VC, CredentialQuery, Presented, Query, Unsatisfied, evaluate

VP_TOKEN = "vp-token"  # noqa: S105  (a word for a reason)
"""The answer is not an object with a list of presentations for each query."""
UNASKED = "unasked"
"""It answers a query that was not asked."""


@dataclass(frozen=True, slots=True)
class Accordingly:
    """Whose word counts for one query, and whom it must be from."""

    trust: Trust
    issuers: Collection[str] | None


@dataclass(frozen=True, slots=True)
class Shown:
    """Verified credentials, by the query that each answers; their status is still to be asked for, and last."""

    credentials: Mapping[str, tuple[Accepted, ...]]

    def only(self, query_id: str) -> Accepted:
        """The one credential that a query without `multiple` has."""
        (one,) = self.credentials[query_id]
        return one


@dataclass(frozen=True, slots=True)
class NotShown:
    """The first rule that is broken, as a word that does not change."""

    reason: str


def judge(
    vp_token: object,
    query: Query,
    *,
    binding: Binding,
    accordingly: Mapping[str, Accordingly],
    now: datetime,
    memory: Memory | None = None,
) -> Shown | NotShown:
    """Settles shape, then each credential by itself (RFC 9901 §7.1 and §7.3), then whether the query is met."""
    if not isinstance(vp_token, dict) or not vp_token:
        return NotShown(VP_TOKEN)
    asked = {one.id: one for one in query.credentials}
    if not asked.keys() >= vp_token.keys():
        return NotShown(UNASKED)
    shown: dict[str, tuple[Accepted, ...]] = {}
    for name, entries in vp_token.items():
        if not isinstance(entries, list) or not entries or (len(entries) > 1 and not asked[name].multiple):
            return NotShown(VP_TOKEN)
        accepted = []
        for entry in entries:
            one = _one(
                entry,
                asked[name],
                binding=binding,
                accordingly=accordingly[name],
                now=now,
                memory=memory,
            )
            if isinstance(one, NotShown):
                return one
            accepted.append(one)
        shown[name] = tuple(accepted)
    met = evaluate(query, {name: [_presented(one) for one in some] for name, some in shown.items()})
    if isinstance(met, Unsatisfied):
        return NotShown(f"query-{met.why}")
    return Shown(shown)


def _one(
    entry: object,
    asked: CredentialQuery,
    *,
    binding: Binding,
    accordingly: Accordingly,
    now: datetime,
    memory: Memory | None,
) -> Accepted | NotShown:
    # HAIP 1.0 section 6.1 has the compact form; the JSON one would be an object, not a text.
    if not isinstance(entry, str) or entry.lstrip().startswith("{"):
        return NotShown(VP_TOKEN)
    vcts = asked.meta["vct_values"]
    expected = Expected(
        binding,
        vcts=[str(vct) for vct in vcts] if isinstance(vcts, list) else [],
        issuers=accordingly.issuers,
    )
    verified = verify(entry, accordingly.trust, expected, now, memory)
    if isinstance(verified, Refused):
        return NotShown(verified.reason.value)
    if verified.holder is None:
        return NotShown(Reason.BINDING_MISSING.value)
    return verified


def _presented(one: Accepted) -> Presented:
    return Presented(SD_JWT_VC, one.types, one.claims, one.holder is not None, one.authority_key_ids)
