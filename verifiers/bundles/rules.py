"""Judges without a network, by a bundle and what the scanner itself remembers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

from core import jose
from core.jose import Key, KeySet
from core.vault import KeyUse
from issuers.credentials.card import CardId
from issuers.status.rules import LONGEST, TYPE, StatusListToken
from issuers.status.rules import read as read_list
from issuers.trustlist.rules import Acceptance, Standing, TrustList, accept
from issuers.trustlist.rules import verify as verify_trust_list
from verifiers.bundles.schemas import BundleOffer, BundleView
from verifiers.checks.rules import Judgement, Offer, Outcome, Place, judge
from verifiers.checks.trust import trust_of
from wallet.codes.text import Kind, parse, read_live

LASTS: Final = timedelta(days=7)
"""How long a status list without an end of its own is relied on."""


class BundleRefused(ValueError):
    """The bundle is not signed by whom this scanner believes, or is older than what it has."""


@dataclass(frozen=True, slots=True)
class OfflineSheet:
    """A verified status list as the judgement reads it."""

    token: StatusListToken

    @property
    def issued_at(self) -> datetime:
        return self.token.issued_at

    @property
    def expires_at(self) -> datetime:
        return self.token.expires_at or self.token.issued_at + LASTS

    def __len__(self) -> int:
        return self.token.statuses.size

    def __getitem__(self, index: int, /) -> int:
        return self.token.statuses.get(index)


@dataclass(slots=True)
class Memory:
    """What a scanner remembers between scans and bundles."""

    floor: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    """The newest signed time it has seen; its clock never runs back behind it."""
    newest: dict[int, datetime] = field(default_factory=dict)
    """By list, the newest issue ever seen."""
    last_accepted: dict[CardId, int] = field(default_factory=dict)
    """By card, the second of the last live code that it accepted."""


@dataclass(frozen=True, slots=True)
class Kit:
    """A bundle whose signatures hold."""

    view: BundleView
    trust_list: TrustList
    sheets: Mapping[int, OfflineSheet]


def open_bundle(view: BundleView, anchors: KeySet, held: TrustList | None, now: datetime) -> Kit:
    """Verifies a bundle: the trust list by an anchor, never an older one than is held; the lists by its keys.

    `anchors` are those of the held list, or those that came with the scanner. TokenRefused, TrustListRefused and
    StatusListRefused say what does not hold.
    """
    trust_list = verify_trust_list(view.trust_list, anchors)
    if accept(held, trust_list, now) not in {Acceptance.TAKEN, Acceptance.SAME}:
        raise BundleRefused("the trust list cannot take the place of the one that is held")
    keys = KeySet(
        tuple(
            Key(key.public_key, key.kid.hex())
            for issuer in trust_list.issuers
            for key in issuer.keys
            if key.standing(KeyUse.STATUS_LIST, max(now, trust_list.issued_at)) is Standing.TRUSTED
        )
    )
    sheets = {
        each.number: OfflineSheet(
            read_list(jose.verify(each.token, keys, typ=TYPE, low_s=True, longest=LONGEST).claims, each.uri)
        )
        for each in view.status_lists
    }
    return Kit(view, trust_list, sheets)


def remember(memory: Memory, kit: Kit) -> None:
    """Takes the times of a bundle into memory: they only rise."""
    signed = (kit.trust_list.issued_at, *(sheet.issued_at for sheet in kit.sheets.values()))
    memory.floor = max(memory.floor, kit.view.time, *signed)
    for number, sheet in kit.sheets.items():
        memory.newest[number] = max(memory.newest.get(number, sheet.issued_at), sheet.issued_at)


def remember_accepted(memory: Memory, shown: str, host: str) -> None:
    """Takes what the server has just accepted here as seen: the network may go before the same code is shown again."""
    try:
        kind, body = parse(shown, host)
        if kind is not Kind.LIVE:
            return  # paper may be shown as often as one likes
        code = read_live(body)
    except ValueError:
        return
    card = code.card.status
    memory.last_accepted[card] = max(memory.last_accepted.get(card, code.at), code.at)


def judge_offline(shown: str, kit: Kit, memory: Memory, *, now: datetime, today: date) -> Judgement:
    """Judges a code as the server would, as far as bundle and memory reach; an accepted one is remembered."""
    judgement = judge(
        shown,
        host=kit.view.code_host,
        trust=trust_of(kit.trust_list, max(now, memory.floor)),
        status=_Lists(kit, memory),
        now=now,
        floor=memory.floor,
        place=Place(kit.view.venue.number, kit.view.venue.has_sign),
        offers=[_judged(offer) for offer in kit.view.offers if _in_force(offer, today)],
        last_accepted=memory.last_accepted.get,
    )
    if judgement.outcome is Outcome.ACCEPTED and judgement.card is not None and judgement.at is not None:
        memory.last_accepted[judgement.card] = judgement.at
    return judgement


@dataclass(frozen=True, slots=True)
class _Lists:
    kit: Kit
    memory: Memory

    def sheet(self, status_list: int, /) -> OfflineSheet | None:
        return self.kit.sheets.get(status_list)

    def newest_seen(self, status_list: int, /) -> datetime | None:
        return self.memory.newest.get(status_list)


def _in_force(offer: BundleOffer, today: date) -> bool:
    return offer.since <= today and (offer.until is None or today <= offer.until)


def _judged(offer: BundleOffer) -> Offer:
    return Offer(
        str(offer.id),
        offer.kind,
        offer.tariff_bits,
        asks_name=offer.needs_name,
        value=offer.percentage if offer.percentage is not None else offer.price_cents,
    )
